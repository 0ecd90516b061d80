"""The operator page: files that come with the program, sent as they lie in `operator_page`."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

HEADERS: Final = {
    # The page speaks to its own port only, and runs nothing but its own files, whatever a text in it should say.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",  # after an upgrade, no old part stays with a new one
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes() -> list[Route]:
    """`/`, and `/page/NAME` for its parts. They are read once, so that nothing but them can be asked for."""
    parts = {
        one.name: (one.read_bytes(), kind)
        for one in files("monitor.web").joinpath("operator_page").iterdir()
        if (kind := TYPES.get("." + one.name.rpartition(".")[2])) is not None
    }

    def page(_: Request) -> Response:
        return _sent("index.html")

    def part(request: Request) -> Response:
        name = request.path_params["name"]
        return _sent(name) if name in parts else PlainTextResponse("there is no such part", 404)

    def _sent(name: str) -> Response:
        body, kind = parts[name]
        return Response(body, headers=HEADERS, media_type=kind)

    return [Route("/", page, methods=["GET"]), Route("/page/{name}", part, methods=["GET"])]
