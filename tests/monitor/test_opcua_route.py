"""A server that cannot start is tried again for as long as the daemon runs, and fills no log meanwhile."""

import asyncio
import logging
from typing import cast

import pytest

from monitor.sinks.opcua import route as routes
from monitor.sinks.opcua.route import LOUD, OpcuaRoute
from monitor.sinks.opcua.settings import OpcuaError
from monitor.sinks.opcua.sink import OpcuaSink


class Taken:
    """A server whose port is taken so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    async def start(self) -> None:
        if self._left:
            self._left -= 1
            raise OpcuaError("opcua.port: 4840 is in use; choose another")


def test_the_first_failures_to_start_are_told_as_errors_and_the_rest_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes, "AGAIN_S", 0.0)
    route = OpcuaRoute(cast(OpcuaSink, Taken(LOUD + 3)), list)

    async def until_it_is_up() -> None:
        up = asyncio.Event()
        running = asyncio.create_task(route.run(up.set))
        await up.wait()
        running.cancel()

    with caplog.at_level(logging.DEBUG, routes.__name__):
        asyncio.run(until_it_is_up())
    assert [one.levelno for one in caplog.records] == [logging.ERROR] * LOUD + [logging.DEBUG] * 3
