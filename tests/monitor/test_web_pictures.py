"""The route of an alarm's picture: what is drawn, or one line that says why not."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from monitor.viewer.helper import HelperError
from monitor.web import pictures
from monitor.web.pictures import NoPictureError


class Shown:
    def __init__(self, found: bytes | Exception | None) -> None:
        self._found = found

    async def picture(self, alarm_id: str) -> bytes:
        if self._found is None:
            await asyncio.Event().wait()
        if isinstance(self._found, Exception):
            raise self._found
        assert alarm_id == "a-1"
        return self._found or b""


def get(found: bytes | Exception | None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport: Any = httpx.ASGITransport(Starlette(routes=pictures.routes(Shown(found))))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/api/v1/alarms/a-1/picture")

    return asyncio.run(ask())


def test_a_picture_is_handed_on_as_it_was_drawn() -> None:
    answer = get(b'{"seq":5}')
    assert (answer.status_code, answer.json()) == (200, {"seq": 5})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("found", "status", "error"),
    [
        (NoPictureError("there is no such alarm"), 404, "there is no such alarm"),
        (HelperError("it died"), 503, "no pictures are drawn now: it died"),
    ],
)
def test_why_there_is_none_is_told_in_one_line(found: Exception, status: int, error: str) -> None:
    answer = get(found)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ANSWER_S", 0.01)
    assert get(None).status_code == 503
