"""All sinks together: one task each, woken together, stopped together."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from monitor.alarms.alarm import Alarm
from monitor.sinks.feed import Feed
from monitor.sinks.pump import Clock, Pump, Shelf, Statistics, SystemClock, first_of
from monitor.sinks.retry import Policy
from monitor.sinks.sink import Sink
from monitor.voice import Heartbeat, Permit

POLL_S: Final = 5.0
"""The journal is looked at so often, should nobody have called `wake`."""

CLOSE_S: Final = 1.0
"""So long sinks may take to say goodbye, and the disk to note how far each has come."""

KEEP_AGAIN_S: Final = 10.0

_log = logging.getLogger(__name__)


class Route(NamedTuple):
    """A sink, which alarms go there, and how patiently."""

    sink: Sink
    wants: Callable[[Alarm], bool]
    policy: Policy


class Dispatch:
    """Delivers what *feed* holds to every sink of *routes*. All methods belong to the event loop that runs it."""

    def __init__(
        self,
        feed: Feed,
        routes: Sequence[Route],
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._shelf = Shelf(feed, self._clock)
        self._pumps = [Pump(self._shelf, *route, self._clock, draw) for route in routes]
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._deadline_s = 0.0

    @property
    def statistics(self) -> list[Statistics]:
        """Of each sink, since the process started."""
        return [pump.statistics for pump in self._pumps]

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def say(self, message: Heartbeat | Permit) -> None:
        """Pass on what is true at this moment: at once or not at all, and never by way of the journal."""
        for pump in self._pumps:
            pump.sink.say(message)

    def stop(self, deadline_s: float) -> None:
        """`run` delivers what it can within *deadline_s* seconds, and returns."""
        self._deadline_s = deadline_s
        self._stop.set()
        for pump in self._pumps:
            pump.stop()

    async def run(self) -> None:
        """Deliver until stopped. Whatever a sink does to its own deliveries, the others and the caller go on."""
        if not self._pumps:
            await self._stop.wait()
            return
        keepers = [asyncio.create_task(self._keep(pump)) for pump in self._pumps]
        keepers.append(asyncio.create_task(self._watch()))
        pumps = {asyncio.create_task(pump.run()) for pump in self._pumps}
        try:
            await self._until_stopped(pumps)
        finally:
            await _cancel([*pumps])
            await self._close()
            await _cancel(keepers)
            self._shelf.close()

    async def _until_stopped(self, pumps: set["asyncio.Task[None]"]) -> None:
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait({*pumps, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()  # pumps return when stopped only: this raises
            await asyncio.wait(pumps, timeout=self._deadline_s)
        finally:
            stop.cancel()

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            newest = await self._shelf.newest()
            for pump in self._pumps:
                pump.told(newest)
            await first_of(self._wake.wait(), self._clock.sleep(POLL_S))

    async def _keep(self, pump: Pump) -> None:
        while True:
            try:
                return await pump.sink.run(pump.hurry)
            except Exception:  # a fault in one sink must not end the process that keeps the journal
                _log.exception("sink %s: an error that nobody foresaw", pump.sink.name)
            await self._clock.sleep(KEEP_AGAIN_S)

    async def _close(self) -> None:
        """Note how far each sink has come, and let it say goodbye."""
        tasks = [asyncio.create_task(work) for pump in self._pumps for work in (pump.mark(), pump.sink.close())]
        _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
        await _cancel([*tasks])
        for statistics in self.statistics:
            if statistics.pending:
                _log.warning("sink %s: %d changes go with the next start", statistics.sink, statistics.pending)
        if late:
            _log.warning("not every sink was closed within %g s", CLOSE_S)


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """End *tasks*; one that does not end is left alone after a while, so that stopping does end."""
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=CLOSE_S)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("while sinks were stopped: %s", error or type(error).__name__)
