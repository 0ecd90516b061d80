"""The page, its API and /metrics as one ASGI application. What changes anything is in `monitor.web.alarms`."""

import sqlite3
from typing import Annotated, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.journal.store import JournalError
from monitor.layers import RateSummary
from monitor.status import Status
from monitor.types import TEXT_BYTES, State
from monitor.web import alarms, history, live, page, pictures, recordings, taxonomy
from monitor.web.answers import answer

READY: Final = (State.OK, State.IDLE)
"""Calibrated, receiving and judging (or told that there is nothing to judge)."""


class LayerQuery(msgspec.Struct, frozen=True):
    """Whose layers are asked for: those of *job*, or of all jobs."""

    job: Annotated[str, msgspec.Meta(max_length=TEXT_BYTES)] | None = None


class View(alarms.View, taxonomy.View, pictures.View, history.View, recordings.View, Protocol):
    """What the application shows. Called in worker threads, but for what is awaited."""

    def status(self) -> Status: ...
    def layers(self, job: str | None) -> RateSummary: ...
    def metrics(self, accept: str) -> tuple[bytes, str]: ...


def application(view: View, allowed: alarms.Allowed | None = None, hub: live.Hub | None = None) -> Starlette:
    """The routes over *view*, and over the *hub* of who looks on.

    What changes anything asks whether it is *allowed*; without that nothing does.
    """

    async def healthz(_: Request) -> Response:  # in the event loop: it answers while that turns
        return PlainTextResponse("alive")

    def readyz(_: Request) -> Response:
        status = view.status()
        ready = status.state in READY
        return answer({"ready": ready, "state": status.state, "why": status.why}, 200 if ready else 503)

    def status(_: Request) -> Response:
        return answer(view.status())

    def layers(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), LayerQuery, strict=False)
        except msgspec.ValidationError as error:
            return answer({"error": str(error)}, 400)
        return answer(view.layers(query.job))

    def metrics(request: Request) -> Response:
        body, content_type = view.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    routes = {
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics,
        "/api/v1/status": status,
        "/api/v1/layers": layers,
    }
    shown = [Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()]
    return Starlette(
        routes=[
            *page.routes(),
            *shown,
            *alarms.routes(view, allowed),
            *taxonomy.routes(view, allowed),
            *pictures.routes(view),
            *history.routes(view),
            *recordings.routes(view, allowed),
            *(live.routes(hub) if hub is not None else ()),
        ],
        exception_handlers={
            JournalError: _unreadable,
            sqlite3.Error: _refused,
            taxonomy.NoKindsError: _there_is_none,
            history.NoScoresError: _there_is_none,
        },
    )


def _there_is_none(_: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 404)


def _refused(_: Request, error: Exception) -> Response:
    return answer({"error": f"the file of kinds cannot be used: {error}"}, 503)


def _unreadable(_: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 503)
