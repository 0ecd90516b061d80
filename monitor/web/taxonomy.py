"""Routes about kinds of anomaly: what there is for everybody, and naming and grouping for who has the token."""

from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitor.taxonomy.records import Naming
from monitor.taxonomy.shown import KindInFull, Overview
from monitor.web.alarms import Allowed, asked_of
from monitor.web.answers import answer

PATH: Final = "/api/v1/taxonomy"


class NoKindsError(ValueError):
    """There are none, and will be none: one line."""


class View(Protocol):
    """What is shown of kinds. Called in worker threads.

    Raises sqlite3.Error where the file refuses, NoKindsError where this daemon finds none.
    """

    def kinds(self) -> Overview: ...
    def kind(self, number: int) -> KindInFull | None: ...
    def name_kind(self, number: int, asked: Naming) -> KindInFull | None: ...
    def group_kinds(self) -> None: ...
    def kinds_page(self) -> Path: ...


class Grouping(msgspec.Struct, frozen=True):
    """Who asks to have the samples grouped now."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


def routes(view: View, allowed: Allowed | None) -> list[Route]:
    """The routes over *view*; without a token nothing can be changed, and *allowed* is None."""

    def kinds(_: Request) -> Response:
        return answer(view.kinds())

    def page(_: Request) -> Response:
        path = view.kinds_page()
        if not path.is_file():
            return PlainTextResponse("kinds of anomaly have not been grouped yet", 404)
        return FileResponse(path, media_type="text/html")

    def pictures(_: Request) -> Response:
        path = view.kinds_page().with_suffix(".json")
        if not path.is_file():
            return answer({"error": "kinds of anomaly have not been grouped yet"}, 404)
        return FileResponse(path, media_type="application/json")

    def kind(request: Request) -> Response:
        return _found(view.kind(request.path_params["id"]))

    async def name(request: Request) -> Response:
        asked = await asked_of(request, allowed, Naming)
        if isinstance(asked, Response):
            return asked
        if asked.name is None and not asked.note and asked.priority is None:
            return answer({"error": "give a name, a note or a priority"}, 400)
        return _found(await run_in_threadpool(view.name_kind, request.path_params["id"], asked))

    async def run(request: Request) -> Response:
        asked = await asked_of(request, allowed, Grouping)
        if isinstance(asked, Response):
            return asked
        await run_in_threadpool(view.group_kinds)
        return answer({"asked": True}, 202)

    return [
        Route("/taxonomy", page, methods=["GET"]),
        Route(PATH, kinds, methods=["GET"]),
        Route(f"{PATH}/pictures", pictures, methods=["GET"]),
        Route(f"{PATH}/run", run, methods=["POST"]),
        Route(f"{PATH}/{{id:int}}", kind, methods=["GET"]),
        Route(f"{PATH}/{{id:int}}/name", name, methods=["POST"]),
    ]


def _found(kind: KindInFull | None) -> Response:
    return answer({"error": "there is no such kind"}, 404) if kind is None else answer(kind)
