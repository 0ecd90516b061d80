"""The OPC UA server as one of the sinks: changes come out of the journal, and what clients do goes to the desk."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from monitor.alarms.alarm import Alarm
from monitor.sinks.feed import Entry
from monitor.sinks.opcua.settings import NAME, OpcuaError
from monitor.sinks.opcua.sink import OpcuaSink
from monitor.sinks.retry import Policy
from monitor.sinks.sink import DeliveryError, Sink
from monitor.voice import Heartbeat, Permit

AGAIN_S: Final = 5.0
START_S: Final = 30.0
"""So long a delivery waits for the server: it takes two seconds to build what it shows."""

LOUD: Final = Policy().open_after
"""Failures in a row that are told as errors: an address that stays taken would fill the log otherwise."""

_log = logging.getLogger(__name__)


class OpcuaRoute(Sink):
    """Starts *server* when it runs, and tells it first what *waiting* gives: what is open, or unacknowledged."""

    def __init__(self, server: OpcuaSink, waiting: Callable[[], Sequence[Alarm]]) -> None:
        super().__init__(NAME)
        self._server, self._waiting = server, waiting
        self._started = asyncio.Event()
        self._told: dict[type, Heartbeat | Permit] = {}  # the newest of each kind that was not said yet
        self._news = asyncio.Event()

    async def run(self, back: Callable[[], None]) -> None:
        """Listen, and say what is true at this moment, until cancelled."""
        await self._start()
        for alarm in await asyncio.to_thread(self._waiting):
            await self._server.send(alarm)
        self._started.set()
        back()
        while True:
            await self._news.wait()
            self._news.clear()
            told, self._told = list(self._told.values()), {}
            for message in told:
                await self._server.say(message)

    async def _start(self) -> None:
        failures = 0
        while True:
            try:
                return await self._server.start()
            except OpcuaError as error:
                failures += 1
                level = logging.ERROR if failures <= LOUD else logging.DEBUG
                _log.log(level, "OPC UA: %s; tried again in %g s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)

    async def deliver(self, entry: Entry) -> None:
        """Clients that are connected have it, and those that come later are told what is open."""
        try:
            async with asyncio.timeout(START_S):
                await self._started.wait()
        except TimeoutError:
            raise DeliveryError("the OPC UA server is not up") from None
        await self._server.send(entry.alarm)

    def say(self, message: Heartbeat | Permit) -> None:
        """The newest wins."""
        self._told[type(message)] = message
        self._news.set()

    async def close(self) -> None:
        """End all connections."""
        await self._server.stop()
