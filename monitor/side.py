"""The side process: alarm life cycle, journal, alarm socket, HTTP. It never imports torch.

`monitor.desk` decides what is to be told; this is the shell around it: sockets, signals, one event loop.
The journal is written in a thread of its own, so that a slow disk holds up neither the beat nor the page.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
import zmq

from monitor import doorkeeper, logs, orders, vitals
from monitor.alarms.alarm import Alarm
from monitor.blockstore import BlockStoreError
from monitor.broadcast import Broadcast
from monitor.config import Config, Http
from monitor.desk import Desk, Telegram, sink_names
from monitor.doorkeeper import Doorkeeper
from monitor.history.follower import Follower
from monitor.journal.reader import Reader
from monitor.journal.store import Journal, JournalError
from monitor.keys import KeyFileError
from monitor.live import Live
from monitor.orders import Memory, Orders
from monitor.people import People
from monitor.recorder.linking import Linker
from monitor.recorder.shelf import Shelf
from monitor.sinks.build import opcua_route, routes
from monitor.sinks.dispatch import Dispatch
from monitor.sinks.sink import SinkError
from monitor.snapshots.clerk import Clerk
from monitor.snapshots.page import Snapshot
from monitor.snapshots.request import Request
from monitor.taxonomy.store import StoreError
from monitor.vitals import write_text
from monitor.web import token
from monitor.web.app import application
from monitor.web.connection import Connection
from monitor.web.live import Hub
from monitor.web.window import Window

TICK_S: Final = 0.2
"""The event log is read at least so often, should the bell be missed; with `vitals.LOST_NS` it is under a second."""

SINKS_STOP_S: Final = 3.0
WAITING_MOST: Final = 1000
QUEUED_MESSAGES: Final = 10_000  # per subscriber that does not read: hours of alarms
LINGER_MS: Final = 1000

_log = logging.getLogger(__name__)


class StartError(ValueError):
    """The process cannot start as configured: one line for the operator, with the key."""


class _Server(uvicorn.Server):
    """A server that leaves the signals to this process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Shell:
    """The event loop's side: when to step, what to send, when to stop."""

    def __init__(
        self,
        given: Orders,
        memory: Memory,
        desk: Desk,
        publisher: Broadcast,
        clerk: Clerk | None,
        dispatch: Dispatch,
        follower: Follower | None,
        hub: Hub,
        linker: Linker | None,
    ) -> None:
        self._wake_fd = given.wake_fd
        self._vitals = memory.vitals
        self._desk = desk
        self._publisher = publisher
        self._clerk = clerk
        self._dispatch = dispatch
        self._follower, self._hub, self._linker = follower, hub, linker
        self._live = Live(given, memory)
        self._supervisor = given.supervisor_pid
        self._closed = threading.Event()
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
            tasks.create_task(self._dispatch.run())
            tasks.create_task(self._hub.run())
            if self._clerk is not None:
                tasks.create_task(self._keep_at("clerk", self._clerk.run))
            if self._follower is not None:
                tasks.create_task(self._keep_at("history", partial(self._follower.run, clock=time.monotonic_ns)))
            beat = tasks.create_task(self._beat())
            try:
                await self._work()
            finally:
                self._dispatch.stop(SINKS_STOP_S)
                self._hub.close()
                server.should_exit = True
                self._closed.set()
                beat.cancel()

    async def _keep_at(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """In a thread: whatever there is to do, the beat, the page and the alarms go on."""
        with ThreadPoolExecutor(1, name) as thread:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, work, self._closed)
            finally:
                self._closed.set()  # where another part has failed; or nothing would end the thread

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "journal") as thread:
            while not self._stop.is_set():
                self._wake.clear()
                self._send(await loop.run_in_executor(thread, self._step))
                await loop.run_in_executor(thread, self._tend)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TICK_S)
            self._send(await loop.run_in_executor(thread, self._step, True))
            await loop.run_in_executor(thread, self._tend, True)

    def _step(self, last: bool = False) -> list[Telegram]:
        if last and self._linker is not None:
            self._linker.tend(time.monotonic_ns(), last=True)
        return self._desk.step(time.monotonic_ns(), time.time_ns(), last)

    def _tend(self, last: bool = False) -> None:
        self._desk.tend(time.monotonic_ns(), time.time_ns(), last)
        if self._linker is not None:
            self._linker.tend(time.monotonic_ns())  # what it asks of the desk is done at the next step

    def _send(self, telegrams: list[Telegram]) -> None:
        self._publisher.listen()  # who subscribed before it got a snapshot hears all that this one did not show
        for topic, body in telegrams:
            self._publisher.send(topic, body)
        if telegrams:
            self._dispatch.wake()

    async def _beat(self) -> None:
        while True:
            now_ns = time.monotonic_ns()
            write_text(self._vitals, "side_why", self._desk.why(now_ns))
            open_alarms = self._desk.life.active
            self._vitals["active_alarms"][0] = len(open_alarms)
            self._vitals["open_causes"][:] = self._desk.causes
            heard, waiting = self._desk.heard, self._desk.unacknowledged
            self._vitals["unacknowledged"][:] = [waiting[cause] for cause in vitals.CAUSES]
            self._vitals["heard"][0] = heard  # after what it is said of
            self._vitals["side_pid"][0] = os.getpid()
            self._vitals["side_beat_ns"][0] = now_ns
            self._say_what_holds()
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
        self._say_what_holds()  # it may be the permit that has changed: sinks are not to hear of it a beat late
        self._wake.set()

    def _say_what_holds(self) -> None:
        for message in self._live.step(time.monotonic_ns(), time.time_ns()):
            self._dispatch.say(message)


def run(given: Orders) -> None:
    """The side process from start to end. Raises StartError or JournalError where it cannot start as configured."""
    config = given.config
    memory = orders.open_memory(given)
    journal = Journal(Path(config.journal), config.camera, hold=True)
    context = zmq.Context()
    reader: Reader | None = None
    desk: Desk | None = None
    keeper: Doorkeeper | None = None
    try:
        reader = Reader(Path(config.journal), config.camera)
        desk = Desk(given, memory, journal, time.monotonic_ns(), time.time_ns())
        listener = listen(config)
        keeper = doorkeeper.hire_for_daemon(config.security, context, memory.vitals)
        publisher = publish(context, config, keeper)
        clerk = answer(context, config, keeper, memory, partial(_show, desk, given.wake_fd))
        found = routes(config.sinks, config.camera)
        if config.opcua is not None:
            people = People(desk, given.wake_fd)
            found.append(opcua_route(config.opcua, config.camera, people, partial(_waiting, reader)))
        dispatch = Dispatch(journal, found)
        for name in sink_names(config):
            journal.cursor(name)  # a new sink begins here: with the first alarm that this process raises
        follower = Follower(given.bundle, memory) if given.bundle is not None else None
        window = Window(given, memory, desk, reader, dispatch, follower)
        hub = Hub(window, window.viewer)
        server = _Server(
            uvicorn.Config(
                application(window, allowed(config.http), hub),
                log_config=None,
                log_level="warning",
                access_log=False,
                http=Connection,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        linker = None
        if config.recorder.on:
            linker = Linker(memory.recorder, Shelf(config.recorder.place(config.journal)), journal, desk.ask)
        shell = partial(_Shell, given, memory, desk, publisher, clerk, dispatch, follower, hub, linker)
        _serve(shell, server, listener)
    finally:
        if keeper is not None:
            keeper.close()
        context.destroy(linger=LINGER_MS)
        if desk is not None:
            desk.close()
        if reader is not None:
            reader.close()
        journal.close()


def _show(desk: Desk, wake_fd: int, request: Request) -> "Future[Snapshot]":
    waiting = desk.show(request)
    os.eventfd_write(wake_fd, 1)
    return waiting


def _waiting(reader: Reader) -> list[Alarm]:
    """Alarms that are open or that nobody has acknowledged, the latest thousand of each, oldest first."""
    found = {alarm.id: alarm for alarm in reader.alarms(WAITING_MOST, "unacknowledged")}
    found |= {alarm.id: alarm for alarm in reader.alarms(WAITING_MOST, "active")}
    return sorted(found.values(), key=lambda alarm: alarm.id)


def _serve(shell: Callable[[], _Shell], server: uvicorn.Server, listener: socket.socket) -> None:
    async def main() -> None:
        await shell().run(server, listener)

    with listener:
        asyncio.run(main())


def allowed(http: Http) -> Callable[[str | None], bool] | None:
    """Whether an `Authorization` header may change something; None: nothing may. Raises KeyFileError."""
    return token.read(Path(http.token_file)).admits if http.token_file else None


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
    with _bound("outputs.alarms", endpoint):
        return Broadcast(context, endpoint, QUEUED_MESSAGES, LINGER_MS, "alarms", keeper)


def answer(
    context: "zmq.Context[zmq.Socket[bytes]]",
    config: Config,
    keeper: Doorkeeper | None,
    memory: Memory,
    ask: Callable[[Request], "Future[Snapshot]"],
) -> Clerk | None:
    """The snapshot socket, if there is to be one. Raises StartError."""
    endpoint = config.outputs.snapshot
    if endpoint is None:
        return None

    def count(outcome: str) -> None:
        memory.vitals["snapshots"][vitals.SNAPSHOTS.index(outcome)] += 1

    with _bound("outputs.snapshot", endpoint):
        return Clerk(context, endpoint, config.camera, ask, count, keeper)


@contextmanager
def _bound(key: str, endpoint: str) -> Iterator[None]:
    """Raises StartError where a socket cannot be bound to *endpoint*, which stands under *key*."""
    try:
        yield
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"{key}: {endpoint} is in use; choose another") from None
        raise StartError(f"{key}: {endpoint} cannot be bound ({error.strerror})") from None


def main() -> int:
    """Take the orders from standard input and run. Returns the exit status."""
    given = orders.receive()
    logs.set_up(given.config.log, "side")
    try:
        run(given)
    except (StartError, JournalError, BlockStoreError, StoreError, SinkError, KeyFileError) as error:
        sys.stderr.write(f"framewatch: {given.source}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
