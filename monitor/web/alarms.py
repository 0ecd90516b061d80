"""Routes about alarms: lists and figures for everybody, and what changes them for who has the token."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Annotated, Final, Protocol, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.alarms.acts import Acknowledge, AcknowledgeAll, Asked, PutBack, Refused, Shelve, Suppress, TakeOut
from monitor.alarms.alarm import Alarm
from monitor.alarms.figures import Figures
from monitor.alarms.modes import Modes
from monitor.desk import Answer
from monitor.journal.reading import Told, Which
from monitor.recorder.shelf import Shelf, ShelfError
from monitor.sweep import Swept
from monitor.web.answers import answer

ACTS: Final[dict[str, type[Asked]]] = {
    "acknowledge": Acknowledge,
    "shelve": Shelve,
    "suppress": Suppress,
    "take-out": TakeOut,
    "put-back": PutBack,
}
BODY_MAX: Final = 10_000
LISTS_AT_ONCE: Final = 4
"""Lists of a thousand alarms take memory while they are made, and more at once are made no sooner."""
DAY_H: Final = 24.0
LONGEST_H: Final = 87_840.0  # ten years: what is asked of a hundred thousand alarms takes a quarter of a second


class AlarmQuery(msgspec.Struct, frozen=True):
    """Which alarms are asked for: the latest *limit*, all or those in one state."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    state: Which | None = None


class FigureQuery(msgspec.Struct, frozen=True):
    """The last so many hours."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_H)] = DAY_H


class View(Protocol):
    """What is shown of alarms, and who does something about them. Called in worker threads.

    Lists, histories and figures raise JournalError where they cannot be read; what is asked for raises TimeoutError
    where the desk does not come to it.
    """

    def alarms(self, limit: int, which: Which | None) -> list[Alarm]: ...
    def history(self, alarm_id: str) -> list[Told]: ...
    def modes(self) -> Modes: ...
    def figures(self, first_t_ns: int, last_t_ns: int) -> Figures: ...
    def ask(self, target: str, asked: Asked) -> Answer: ...
    def ask_all(self, asked: AcknowledgeAll) -> Swept: ...
    def recordings(self) -> Shelf: ...


Kind = TypeVar("Kind")

Allowed = Callable[[str | None], bool]
"""Whether the `Authorization` header of a request, None where it has none, holds the token."""


def routes(view: View, allowed: Allowed | None) -> list[Route]:
    """The routes over *view*; without a token nothing can be changed, and *allowed* is None."""
    return [*_shown(view), *_acts(view, allowed)]


def _shown(view: View) -> list[Route]:
    lists = asyncio.Semaphore(LISTS_AT_ONCE)

    async def alarms(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), AlarmQuery, strict=False)
        except msgspec.ValidationError as error:
            return answer({"error": str(error)}, 400)
        async with lists:  # whoever waits here holds up nobody who asks for something else
            return await run_in_threadpool(lambda: answer({"alarms": view.alarms(query.limit, query.state)}))

    def history(request: Request) -> Response:
        found = view.history(request.path_params["target"])
        if not found:
            return answer({"error": "there is no such alarm"}, 404)
        kept = _kept(found[-1].alarm.recording, view.recordings())
        return answer({"changes": [one._asdict() for one in found], "recording_kept": kept})

    def sources(_: Request) -> Response:
        return answer({"modes": [{"source": source, **mode._asdict()} for (source, _), mode in view.modes().items()]})

    def figures(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), FigureQuery, strict=False)
        except msgspec.ValidationError as error:
            return answer({"error": str(error)}, 400)
        now_t_ns = time.time_ns()
        return answer(view.figures(now_t_ns - math.ceil(query.hours * 3.6e12), now_t_ns))

    return [
        Route("/api/v1/alarms", alarms, methods=["GET"]),
        Route("/api/v1/alarms/{target}", history, methods=["GET"]),
        Route("/api/v1/sources", sources, methods=["GET"]),
        Route("/api/v1/figures", figures, methods=["GET"]),
    ]


def _acts(view: View, allowed: Allowed | None) -> list[Route]:
    async def acknowledge_all(request: Request) -> Response:
        asked = await asked_of(request, allowed, AcknowledgeAll)
        if isinstance(asked, Response):
            return asked
        try:
            swept = await run_in_threadpool(view.ask_all, asked)
        except TimeoutError:
            return _unanswered()
        done = {"acknowledged": swept.acknowledged, "ids": swept.ids, "journaled": swept.journaled}
        return answer(done) if swept.refused is None else _refusal(swept.refused, **done)

    async def act(request: Request) -> Response:
        kind: type[Asked] | None = ACTS.get(request.path_params["act"])
        asked: Asked | Response = await asked_of(request, allowed, kind)
        if isinstance(asked, Response):
            return asked
        try:
            said = await run_in_threadpool(view.ask, request.path_params["target"], asked)
        except TimeoutError:
            return _unanswered()
        if said.refused is not None:
            return _refusal(said.refused)
        return answer({"alarm": said.alarm, "source": said.source, "journaled": said.journaled})

    return [
        Route("/api/v1/alarms/acknowledge", acknowledge_all, methods=["POST"]),
        Route("/api/v1/alarms/{target}/{act}", act, methods=["POST"]),
    ]


async def asked_of(request: Request, allowed: Allowed | None, kind: type[Kind] | None) -> Kind | Response:
    """What *request* asks for, a *kind* of act (None: there is no such), or the answer that says why not."""
    if allowed is None:
        return answer({"error": "no token is configured (http.token_file): nothing can be changed here"}, 403)
    if not allowed(request.headers.get("authorization")):
        return answer({"error": "the token is missing or wrong"}, 401, {"WWW-Authenticate": "Bearer"})
    if kind is None:
        return answer({"error": f"unknown; there are {', '.join(ACTS)}"}, 404)
    try:
        return msgspec.json.decode(await _body(request), type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        return answer({"error": str(error)}, 400)


def _kept(recording: str | None, shelf: Shelf) -> bool | None:
    """Whether the file is still there, which goes when its turn comes; None: the alarm has none."""
    if recording is None:
        return None
    try:
        shelf.path(PurePath(recording).name)
    except ShelfError:
        return False
    return True


def _refusal(refused: Refused, **done: object) -> Response:
    return answer({"error": refused.why, **done}, 404 if refused.kind == "unknown" else 409)


def _unanswered() -> Response:
    return answer({"error": "the journal does not answer; look whether it was done"}, 503)


async def _body(request: Request) -> bytes:
    """The body of *request*. Raises ValueError where it is longer than anything that is asked for."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_MAX:
            raise ValueError(f"more than {BODY_MAX} bytes")
    return body
