"""From the journal to one sink: in order, at least once, at the sink's own pace."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

from monitor.alarms.alarm import Alarm
from monitor.sinks import retry
from monitor.sinks.feed import Entry, Feed
from monitor.sinks.retry import CircuitState, Policy
from monitor.sinks.sink import DeliveryError, RefusedError, Sink

PAGE: Final = 256
"""Changes read at a time, and the stretch within which a newer revision makes an old one needless."""

MARK_S: Final = 1.0
"""A busy sink's place is written down so often: what a killed process sends twice is what it sent within that time."""

REFUSALS_MAX: Final = 3
"""So often a change is offered to a receiver that refuses it for good; then it is counted and passed over."""

STANDING_MAX: Final = 1000
"""So many open alarms, the latest, are kept for a sink whose other side may lose them."""

DISK_RETRY_S: Final = 1.0

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Clock(Protocol):
    """Time as the pumps see it."""

    def mono_s(self) -> float:
        """Monotonic seconds."""
        ...

    def unix_ns(self) -> int:
        """Unix nanoseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so long."""
        ...


class SystemClock:
    """The machine's time."""

    def mono_s(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Statistics(NamedTuple):
    """What one sink has done since the process started; *pending* counts rows of the journal still before it."""

    sink: str
    pending: int
    sent: int
    failures: int  # deliveries that failed, those refused among them
    refused: int  # changes passed over because the receiver refuses them for good
    shed: int  # old revisions passed over because a newer one follows
    circuit: CircuitState


class Shelf:
    """The feed behind a thread of its own. A disk that is slow or refuses holds up the sinks, and nothing else."""

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "sinks")

    async def after(self, row: int, most: int) -> list[Entry]:
        return await self._ask(partial(self._feed.after, row, most))

    async def cursor(self, sink: str) -> int:
        return await self._ask(partial(self._feed.cursor, sink))

    async def standing(self, sink: str) -> list[Alarm]:
        return await self._ask(partial(self._feed.standing, sink, STANDING_MAX))

    async def mark(self, sink: str, row: int) -> None:
        await self._ask(partial(self._feed.mark, sink, row))

    async def newest(self) -> int:
        return await self._ask(self._feed.newest)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        told = False
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, question)
            except (OSError, sqlite3.Error) as error:
                if not told:
                    _log.warning("sinks wait for the journal: %s", error)
                told = True
            await self._clock.sleep(DISK_RETRY_S)


class Pump:
    """Delivers what the journal holds to *sink*, as far as it *wants* it. All methods belong to one event loop."""

    def __init__(
        self,
        shelf: Shelf,
        sink: Sink,
        wants: Callable[[Alarm], bool],
        policy: Policy,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self.sink = sink
        self._shelf = shelf
        self._wants = wants
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._row = self._marked = self._newest = 0
        self._marked_s = self._began_s = clock.mono_s()
        self._began_ns = clock.unix_ns()
        self._circuit = retry.WORKING
        self._refusals: tuple[int, int] = (0, 0)  # row, and how often it was refused
        self._sent = self._failures = self._refused = self._shed = 0
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False

    @property
    def statistics(self) -> Statistics:
        """Since the process started."""
        pending = max(0, self._newest - self._row)
        counts = (self._sent, self._failures, self._refused, self._shed)
        return Statistics(self.sink.name, pending, *counts, self._circuit.state)

    def told(self, newest: int) -> None:
        """The journal's last row is *newest*."""
        self._newest = newest
        if newest > self._row:
            self._news.set()

    def hurry(self) -> None:
        """The other side is there again: try at once."""
        self._circuit = self._circuit._replace(due_s=self._clock.mono_s())
        self._hurry.set()

    def stop(self) -> None:
        """Deliver what is there and return from `run`; at the first failure, return at once."""
        self._stopping = True
        self._news.set()
        self._hurry.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        self._row = self._marked = await self._shelf.cursor(self.sink.name)
        if self.sink.retains:
            self.sink.resume([alarm for alarm in await self._shelf.standing(self.sink.name) if self._wants(alarm)])
        while not (self._stopping and self._circuit.failures):
            self._news.clear()
            newest = self._newest
            entries = await self._shelf.after(self._row, PAGE)
            if entries:
                await self._pass(entries)
                await self.mark()
                continue
            self._row = max(self._row, newest)  # rows that are for no sink
            if self._stopping:
                return
            await self._news.wait()

    async def mark(self) -> None:
        """Write down how far the sink has come."""
        row = self._row
        if row != self._marked:
            await self._shelf.mark(self.sink.name, row)
            self._marked, self._marked_s = row, self._clock.mono_s()

    async def _pass(self, entries: list[Entry]) -> None:
        """Take *entries* one after the other, up to the first that has to wait: it is then read again."""
        wanted = [entry for entry in entries if self._wants(entry.alarm)]
        old = retry.sheddable(wanted, self._now_ns(), self._policy.max_age_s)
        due = {entry.row for entry in wanted} - old
        for entry in entries:
            if entry.row in due and not await self._deliver(entry):
                return
            self._shed += entry.row in old
            self._row = entry.row
            if self._clock.mono_s() - self._marked_s >= MARK_S:
                await self.mark()

    def _now_ns(self) -> int:
        """The time of day (Unix); a clock that was set ahead since the start makes nothing old."""
        passed_ns = round((self._clock.mono_s() - self._began_s) * 1e9)
        return min(self._clock.unix_ns(), self._began_ns + passed_ns)

    async def _deliver(self, entry: Entry) -> bool:
        """Whether the sink is done with *entry*. False: it is to be tried again, and the time for that has come."""
        self._circuit = retry.trying(self._circuit)
        try:
            await self.sink.deliver(entry)
        except RefusedError as error:
            return await self._take_refusal(entry, str(error))
        except DeliveryError as error:
            await self._take_failure(str(error), error.after_s)
            return False
        except Exception as error:  # a fault in one sink must not end the process that keeps the journal
            _log.exception("sink %s: an error that nobody foresaw", self.sink.name)
            await self._take_failure(f"{type(error).__name__}: {error}", None)
            return False
        self._sent += 1
        if self._circuit.failures:
            _log.info("sink %s delivers again after %d failures", self.sink.name, self._circuit.failures)
        self._circuit = retry.WORKING
        return True

    async def _take_refusal(self, entry: Entry, why: str) -> bool:
        row, before = self._refusals
        times = before + 1 if row == entry.row else 1
        self._refusals = (entry.row, times)
        if times < REFUSALS_MAX:
            await self._take_failure(why, None)
            return False
        self._count_failure(None)
        self._refused += 1
        _log.error("sink %s: %s.%d is passed over: %s", self.sink.name, entry.alarm.id, entry.alarm.rev, why)
        return True

    async def _take_failure(self, why: str, after_s: float | None) -> None:
        """Count a failure, and wait until the next attempt is due."""
        self._count_failure(after_s)
        wait_s = max(0.0, self._circuit.due_s - self._clock.mono_s())
        # The first failures and the outage they make are worth a line each, an hour of outage is not.
        level = logging.WARNING if self._circuit.failures <= self._policy.open_after else logging.DEBUG
        _log.log(level, "sink %s: %s; again in %.1f s", self.sink.name, why, wait_s)
        self._hurry.clear()
        if not self._stopping:
            await first_of(self._hurry.wait(), self._clock.sleep(wait_s))

    def _count_failure(self, after_s: float | None) -> None:
        self._failures += 1
        self._circuit = retry.failed(self._circuit, self._policy, self._clock.mono_s(), self._draw(), after_s)


async def first_of(*waits: Coroutine[object, object, object]) -> None:
    """Return when one of *waits* has; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
