"""The page, its API and /metrics as one ASGI application. No route changes anything."""

from importlib.resources import files
from typing import Annotated, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitor.alarms import Alarm, AlarmState
from monitor.layers import RateSummary
from monitor.status import Status
from monitor.types import TEXT_BYTES, State

READY: Final = (State.OK, State.IDLE)
"""Calibrated, receiving and judging (or told that there is nothing to judge)."""


class AlarmQuery(msgspec.Struct, frozen=True):
    """Which alarms are asked for: the latest *limit*, all or those in one state."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    state: AlarmState | None = None


class LayerQuery(msgspec.Struct, frozen=True):
    """Whose layers are asked for: those of *job*, or of all jobs."""

    job: Annotated[str, msgspec.Meta(max_length=TEXT_BYTES)] | None = None


PAGE_HEADERS: Final = {
    # The page speaks to its own port only, whatever a text in it should say.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class View(Protocol):
    """What the application shows. Called in worker threads."""

    def status(self) -> Status: ...
    def alarms(self, limit: int, state: AlarmState | None) -> list[Alarm]: ...
    def layers(self, job: str | None) -> RateSummary: ...
    def metrics(self, accept: str) -> tuple[bytes, str]: ...


def application(view: View) -> Starlette:
    """The routes over *view*."""
    page_text = files("monitor.web").joinpath("page.html").read_text(encoding="utf-8")

    def page(_: Request) -> Response:
        return HTMLResponse(page_text, headers=PAGE_HEADERS)

    async def healthz(_: Request) -> Response:  # in the event loop: it answers while that turns
        return PlainTextResponse("alive")

    def readyz(_: Request) -> Response:
        status = view.status()
        ready = status.state in READY
        return _json({"ready": ready, "state": status.state, "why": status.why}, 200 if ready else 503)

    def status(_: Request) -> Response:
        return _json(view.status())

    def alarms(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), AlarmQuery, strict=False)
        except msgspec.ValidationError as error:
            return _json({"error": str(error)}, 400)
        return _json({"alarms": view.alarms(query.limit, query.state)})

    def layers(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), LayerQuery, strict=False)
        except msgspec.ValidationError as error:
            return _json({"error": str(error)}, 400)
        return _json(view.layers(query.job))

    def metrics(request: Request) -> Response:
        body, content_type = view.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    routes = {
        "/": page,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics,
        "/api/v1/status": status,
        "/api/v1/alarms": alarms,
        "/api/v1/layers": layers,
    }
    return Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()])


def _json(value: object, status_code: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), status_code, headers, media_type="application/json")
