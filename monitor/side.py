"""The side process: alarm life cycle, journal, alarm socket, HTTP. It never imports torch.

`Desk` decides what is to be told, given the time; the rest is the shell around it: sockets, signals, one event loop.
The journal is written in a thread of its own, so that a slow disk holds up neither the beat nor the page.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvicorn
import zmq
from prometheus_client import CollectorRegistry

from monitor import alarms, doorkeeper, eventlog, logs, orders, vitals
from monitor.alarms import Alarm, AlarmState, Case
from monitor.blockstore import BlockStoreError
from monitor.broadcast import Broadcast
from monitor.config import Config
from monitor.doorkeeper import Doorkeeper
from monitor.journal import Change, Journal, JournalError, Outbox
from monitor.keeping import Keeper
from monitor.keys import KeyFileError
from monitor.layers import LayerBook, RateSummary
from monitor.metrics import Metrics
from monitor.orders import Memory, Orders
from monitor.status import LOST_WHY, Status, hot_lost, look
from monitor.vitals import read_text, write_text
from monitor.voice import Heartbeat, Permit
from monitor.web.app import application

TICK_S: Final = 0.2
"""The event log is read at least so often, should the bell be missed; with `vitals.LOST_NS` it is under a second."""

SETTLE_NS: Final = 500_000_000
"""Alarms wait so long after the socket is bound: subscribers of a side process that died are still connecting again."""

TELL_NS: Final = 1_000_000_000
"""While the hot process is lost, its heartbeat and permit are spoken for so often."""

OVERWRITTEN_SHOWN_NS: Final = 60_000_000_000
SLOW_DISK_NS: Final = 2_000_000_000
QUEUED_MESSAGES: Final = 10_000  # per subscriber that does not read: hours of alarms
LINGER_MS: Final = 1000

_log = logging.getLogger(__name__)


class Telegram(NamedTuple):
    """One message of the alarm socket."""

    topic: str
    body: bytes


class StartError(ValueError):
    """The process cannot start as configured: one line for the operator, with the key."""


class Desk:
    """What the side process knows and decides. No clock and no socket; `step` blocks on the disk."""

    def __init__(self, given: Orders, memory: Memory, journal: Journal, mono_ns: int) -> None:
        self._orders = given
        self._memory = memory
        self._journal = journal
        self._started_ns = mono_ns
        self._position = journal.position(given.boot)
        self._outbox = Outbox(journal, given.boot, self._position)
        self.book = alarms.open_book(given.config.camera, journal.open_cases())
        self.raised: Mapping[tuple[str, str], int] = journal.raised()
        self._told_ns: int | None = None  # of a lost hot process; None: it is not lost
        self._overwritten = 0
        self._overwritten_ns = 0
        self._step_ns: int | None = None  # since when a step runs
        self._keeper = _keeper(given, memory)
        rates = given.bundle.rates if given.bundle else None
        self._layers = LayerBook(rates, memory.units) if rates is not None else None

    def step(self, mono_ns: int, t_ns: int, last: bool = False) -> list[Telegram]:
        """Apply what the event log and the beat of the hot process say, journal it, and return what is to be sent.

        *mono_ns* and *t_ns*: now, monotonic and Unix. The *last* step keeps nothing back.
        """
        self._step_ns = mono_ns
        records, self._position, overwritten = eventlog.read(self._memory.log, self._position)
        if overwritten:
            self._overwritten, self._overwritten_ns = overwritten, mono_ns
            _log.error("%d event records were overwritten before they were read", overwritten)
        lost = hot_lost(self._memory.vitals, mono_ns, self._started_ns)
        changes = self._apply([*records, *self._watch(lost, t_ns)])
        self._outbox.accept([Change(case, t_ns) for case in changes], self._position, mono_ns)
        settled = last or mono_ns - self._started_ns >= SETTLE_NS
        leaving = self._outbox.take() if settled else []
        camera = self._orders.config.camera
        telegrams = [Telegram(f"alarm.{camera}", msgspec.json.encode(alarm)) for alarm in leaving]
        telegrams += self._speak_for_hot(lost, mono_ns, t_ns)
        if self._keeper is not None:
            self._keeper.step(mono_ns, self._of_charts)
        if self._layers is not None:
            self._layers.step(mono_ns)
        self._step_ns = None
        return telegrams

    def why(self, mono_ns: int) -> str:
        """What is wrong with this process at *mono_ns*; empty: nothing. Any thread may ask while a step runs."""
        started_ns = self._step_ns
        if started_ns is not None and mono_ns - started_ns > SLOW_DISK_NS:
            return f"the journal has not answered for {(mono_ns - started_ns) // 1_000_000_000} s"
        if self._outbox.why:
            return self._outbox.why
        if self._keeper is not None and self._keeper.why:
            return self._keeper.why
        if self._overwritten and mono_ns - self._overwritten_ns < OVERWRITTEN_SHOWN_NS:
            return f"{self._overwritten} event records were overwritten before they were read"
        return ""

    def status(self, mono_ns: int, t_ns: int) -> Status:
        """The whole daemon. Any thread may ask while a step runs."""
        promise = self._keeper.status if self._keeper is not None else None
        layers = self._layers.current if self._layers is not None else None
        return look(self._orders, self._memory, self.book.active, mono_ns, t_ns, self._started_ns, promise, layers)

    def layers(self, job: str | None) -> RateSummary:
        """The latest layers, of all jobs or of *job*; none without a chart of rates. Any thread may ask likewise."""
        return self._layers.summary(job) if self._layers is not None else RateSummary()

    def _of_charts(self, since_ns: int) -> list[Alarm]:
        charts = list(self._orders.bundle.limits) if self._orders.bundle else []
        return self._journal.alarms_since(charts, since_ns)

    def close(self) -> None:
        """Close what this desk has opened itself."""
        if self._keeper is not None:
            self._keeper.close()

    def _watch(self, lost: bool, t_ns: int) -> list[eventlog.EventRecord]:
        record = alarms.watch_hot(self.book, lost, t_ns)
        if record is None:
            return []
        _log.log(logging.ERROR if lost else logging.INFO, "%s", LOST_WHY if lost else "the hot process is back")
        return [record]

    def _apply(self, records: list[eventlog.EventRecord]) -> list[Case]:
        book, changes = self.book, []
        for record in records:
            book, changed = alarms.apply(book, record, lossy=self._overwritten > 0)
            changes += changed
        self.book = book
        self.raised = _counted(self.raised, [case.alarm for case in changes if case.alarm.rev == 1])
        return changes

    def _speak_for_hot(self, lost: bool, mono_ns: int, t_ns: int) -> list[Telegram]:
        if not lost:
            self._told_ns = None
            return []
        if self._told_ns is not None and mono_ns - self._told_ns < TELL_NS:
            return []
        self._told_ns = mono_ns
        config, arrays = self._orders.config, self._memory.vitals
        status = self.status(mono_ns, t_ns)
        heartbeat = Heartbeat(
            camera=config.camera,
            t_ns=t_ns,
            state=status.state,
            why=status.why,
            seq=status.last_seq,
            coverage=status.coverage,
            frame_age_p99_ms=status.frame_age_p99_ms,
            active_alarms=len(status.alarms),
        )
        epoch = read_text(arrays, "epoch")
        permit = Permit(
            camera=config.camera,
            epoch=epoch,
            n=0,  # it stands still: that alone reads as false
            t_ns=t_ns,
            ttl_ms=config.permit.ttl_ms,
            permit=False,
            why=LOST_WHY,
            mode=config.permit.mode,
        )
        return [
            Telegram(f"heartbeat.{config.camera}", msgspec.json.encode(heartbeat)),
            Telegram(f"permit.{config.camera}", msgspec.json.encode(permit)),
        ]


def _keeper(given: Orders, memory: Memory) -> Keeper | None:
    """What keeps the promise's blocks; None where the limits are per frame."""
    bundle = given.bundle
    if bundle is None or bundle.promise is None:
        return None
    return Keeper(bundle.promise, Path(given.config.journal), memory.blocks, bundle.created_ns)


def _counted(raised: Mapping[tuple[str, str], int], new: list[Alarm]) -> Mapping[tuple[str, str], int]:
    """A new mapping each time: a scrape may be walking through the old one."""
    counts = dict(raised)
    for alarm in new:
        key = (alarm.source, str(alarm.priority))
        counts[key] = counts.get(key, 0) + 1
    return counts


class Window:
    """What HTTP shows: the desk at the present moment."""

    def __init__(self, given: Orders, memory: Memory, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal
        self._metrics = Metrics(CollectorRegistry(), given, memory.vitals, self.status, lambda: desk.raised)

    def status(self) -> Status:
        return self._desk.status(time.monotonic_ns(), time.time_ns())

    def alarms(self, limit: int, state: AlarmState | None) -> list[Alarm]:
        return self._journal.alarms(limit, state)

    def layers(self, job: str | None) -> RateSummary:
        return self._desk.layers(job)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._metrics.expose(accept)


class _Server(uvicorn.Server):
    """A server that leaves the signals to this process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Shell:
    """The event loop's side: when to step, what to send, when to stop."""

    def __init__(self, given: Orders, memory: Memory, desk: Desk, publisher: Broadcast) -> None:
        self._wake_fd = given.wake_fd
        self._vitals = memory.vitals
        self._desk = desk
        self._publisher = publisher
        self._supervisor = given.supervisor_pid
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self, server: uvicorn.Server, listener: socket.socket) -> None:
        """Work until told to stop. A part that fails ends the process: the supervisor starts it again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        os.set_blocking(self._wake_fd, False)
        loop.add_reader(self._wake_fd, self._rung)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            beat = tasks.create_task(self._beat())
            try:
                await self._work()
            finally:
                server.should_exit = True
                beat.cancel()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "journal") as thread:
            while not self._stop.is_set():
                self._wake.clear()
                self._send(await loop.run_in_executor(thread, self._step))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TICK_S)
            self._send(await loop.run_in_executor(thread, self._step, True))

    def _step(self, last: bool = False) -> list[Telegram]:
        return self._desk.step(time.monotonic_ns(), time.time_ns(), last)

    def _send(self, telegrams: list[Telegram]) -> None:
        self._publisher.listen()
        for topic, body in telegrams:
            self._publisher.send(topic, body)

    async def _beat(self) -> None:
        while True:
            now_ns = time.monotonic_ns()
            write_text(self._vitals, "side_why", self._desk.why(now_ns))
            open_alarms = self._desk.book.active
            self._vitals["active_alarms"][0] = len(open_alarms)
            self._vitals["open_by_priority"][:] = alarms.count_by_priority(open_alarms)
            self._vitals["side_pid"][0] = os.getpid()
            self._vitals["side_beat_ns"][0] = now_ns
            if os.getppid() != self._supervisor:
                _log.warning("the supervisor is gone; stopping")
                self._ask_to_stop()
            await asyncio.sleep(vitals.BEAT_NS / 1e9)

    def _ask_to_stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def _rung(self) -> None:
        with suppress(BlockingIOError):  # someone else's ring may have been read with ours
            os.eventfd_read(self._wake_fd)
        self._wake.set()


def run(given: Orders) -> None:
    """The side process from start to end. Raises StartError or JournalError where it cannot start as configured."""
    config = given.config
    memory = orders.open_memory(given)
    journal = Journal(Path(config.journal), config.camera)
    context = zmq.Context()
    desk: Desk | None = None
    keeper: Doorkeeper | None = None
    try:
        desk = Desk(given, memory, journal, time.monotonic_ns())
        listener = listen(config)
        keeper = doorkeeper.hire_for_daemon(config.security, context, memory.vitals)
        publisher = publish(context, config, keeper)
        server = _Server(
            uvicorn.Config(
                application(Window(given, memory, desk, journal)),
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        _serve(lambda: _Shell(given, memory, desk, publisher), server, listener)
    finally:
        if keeper is not None:
            keeper.close()
        context.destroy(linger=LINGER_MS)
        if desk is not None:
            desk.close()
        journal.close()


def _serve(shell: Callable[[], _Shell], server: uvicorn.Server, listener: socket.socket) -> None:
    async def main() -> None:
        await shell().run(server, listener)

    with listener:
        asyncio.run(main())


def listen(config: Config) -> socket.socket:
    """The HTTP socket. Raises StartError."""
    host, port = config.http.host, config.http.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"http.port: {port} is in use; choose another") from None
        if error.errno == errno.EACCES:
            raise StartError(f"http.port: {port} needs more rights than this process has; choose another") from None
        raise StartError(f"http.host: '{host}' is no address of this machine ({error.strerror})") from None


def publish(context: "zmq.Context[zmq.Socket[bytes]]", config: Config, keeper: Doorkeeper | None) -> Broadcast:
    """The alarm socket. Raises StartError."""
    endpoint = config.outputs.alarms
    try:
        return Broadcast(context, endpoint, QUEUED_MESSAGES, LINGER_MS, "alarms", keeper)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"outputs.alarms: {endpoint} is in use; choose another") from None
        raise StartError(f"outputs.alarms: {endpoint} cannot be bound ({error.strerror})") from None


def main() -> int:
    """Take the orders from standard input and run. Returns the exit status."""
    given = orders.receive()
    logs.set_up(given.config.log, "side")
    try:
        run(given)
    except (StartError, JournalError, BlockStoreError, KeyFileError) as error:
        sys.stderr.write(f"framewatch: {given.source}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
