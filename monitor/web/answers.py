"""JSON answers of the API."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response


def answer(value: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """*value* as JSON, which nobody is to keep."""
    kept_by_nobody = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status_code, kept_by_nobody, media_type="application/json")
