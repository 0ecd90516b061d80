"""The OPC UA server as one of the sinks: changes come out of the journal, and what clients do goes to the desk."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from monitor.alarms.alarm import Alarm
from monitor.sinks.feed import Entry
from monitor.sinks.opcua.settings import NAME, OpcuaError
from monitor.sinks.opcua.sink import OpcuaSink
from monitor.sinks.sink import DeliveryError, Sink
from monitor.voice import Heartbeat, Permit

AGAIN_S: Final = 5.0
START_S: Final = 30.0
"""So long a delivery waits for the server: it takes two seconds to build what it shows."""

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
        while True:
            try:
                await self._server.start()
                break
            except OpcuaError as error:
                _log.error("OPC UA: %s; tried again in %g s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
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
