"""Routes about recordings of events: lists and files for everybody, and pins for who has the token."""

import time
from typing import Final, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from monitor.recorder.shelf import Pin, Shelf, ShelfError
from monitor.web.alarms import Allowed, asked_of
from monitor.web.answers import answer

PATH: Final = "/api/v1/recordings"
MEDIA_TYPE: Final = "application/x-hdf5"


class View(Protocol):
    """Where recordings lie; there may be none."""

    def recordings(self) -> Shelf: ...


def routes(view: View, allowed: Allowed | None) -> list[Route]:
    """The routes over *view*; without a token nothing can be pinned, and *allowed* is None."""

    def listed(_: Request) -> Response:
        try:
            return answer({"recordings": view.recordings().shown()})
        except OSError as error:
            return answer({"error": f"the folder of recordings cannot be read: {error.strerror}"}, 503)

    def download(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            path = view.recordings().path(name)
        except ShelfError as error:
            return answer({"error": str(error)}, 404)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, media_type=MEDIA_TYPE, filename=name, headers=headers)

    async def act(request: Request) -> Response:
        asked = await asked_of(request, allowed, Pin)
        if isinstance(asked, Response):
            return asked
        return await run_in_threadpool(_act, view.recordings(), request.path_params, asked)

    return [
        Route(PATH, listed, methods=["GET"]),
        Route(f"{PATH}/{{name}}", download, methods=["GET"]),
        Route(f"{PATH}/{{name}}/{{act}}", act, methods=["POST"]),
    ]


def _act(shelf: Shelf, path: dict[str, str], asked: Pin) -> Response:
    name, act = path["name"], path["act"]
    if act not in ("pin", "unpin"):
        return answer({"error": "unknown; there are pin, unpin"}, 404)
    try:
        if act == "unpin":
            return answer(shelf.unpin(name))
        return answer(shelf.pin(name, msgspec.structs.replace(asked, t_ns=time.time_ns())))
    except ShelfError as error:
        return answer({"error": str(error)}, 404)
    except OSError as error:
        return answer({"error": f"it cannot be {act}ned: {error.strerror}"}, 503)
