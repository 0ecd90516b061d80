"""What the tests of several sinks share: alarms, a journal, a clock that a test turns, receivers."""

import asyncio
import contextlib
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from daemon_example import record

from monitor.alarms.alarm import Alarm
from monitor.alarms.book import apply, open_book
from monitor.sinks.dispatch import Dispatch, Route
from monitor.sinks.feed import Entry
from monitor.sinks.pump import Statistics
from monitor.sinks.retry import Policy
from monitor.sinks.sink import RefusedError, Sink

DEADLINE_S = 10.0
T_NS = 1_800_000_000_000_000_000
"""When the virtual clock begins, Unix nanoseconds."""

_, [_case] = apply(open_book("melt", []), record("began"))
ALARM = _case.alarm


def some_alarm(number: int = 1, rev: int = 1, **more: Any) -> Alarm:
    return msgspec.structs.replace(ALARM, id=f"{number:016x}-00000000", rev=rev, **more)


def some_entry(row: int = 1, t_ns: int = T_NS, number: int = 1, rev: int = 1, **more: Any) -> Entry:
    return Entry(row, t_ns, some_alarm(number, rev, **more))


class Journal:
    """A small journal in memory. *refusing*: the disk does not answer; *forgetting*: what is marked is lost."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute("CREATE TABLE changes (row INTEGER PRIMARY KEY, t_ns INTEGER, body TEXT)")
        self._db.execute("CREATE TABLE cursors (sink TEXT PRIMARY KEY, row INTEGER)")
        self._lock = threading.Lock()
        self.refusing = self.forgetting = False

    def write(self, alarm: Alarm, t_ns: int = T_NS) -> None:
        self._do("INSERT INTO changes (t_ns, body) VALUES (?, ?)", t_ns, msgspec.json.encode(alarm).decode())

    def after(self, row: int, most: int) -> list[Entry]:
        found = self._do("SELECT row, t_ns, body FROM changes WHERE row > ? ORDER BY row LIMIT ?", row, most)
        return [Entry(row, t_ns, msgspec.json.decode(body, type=Alarm)) for row, t_ns, body in found]

    def cursor(self, sink: str) -> int:
        self._do(
            "INSERT INTO cursors VALUES (?, (SELECT ifnull(max(row), 0) FROM changes)) ON CONFLICT DO NOTHING", sink
        )
        return int(self._do("SELECT row FROM cursors WHERE sink = ?", sink)[0][0])

    def standing(self, sink: str, most: int) -> list[Alarm]:
        latest = "SELECT max(row) FROM changes WHERE row <= ? GROUP BY json_extract(body, '$.id')"
        found = self._do(
            f"SELECT body FROM changes WHERE row IN ({latest}) AND json_extract(body, '$.state') = 'active' "
            "ORDER BY row DESC LIMIT ?",
            *(self.cursor(sink), most),
        )
        return [msgspec.json.decode(body, type=Alarm) for (body,) in reversed(found)]

    def mark(self, sink: str, row: int) -> None:
        if not self.forgetting:
            self._do("UPDATE cursors SET row = ? WHERE sink = ?", row, sink)

    def newest(self) -> int:
        return int(self._do("SELECT ifnull(max(row), 0) FROM changes")[0][0])

    def close(self) -> None:
        with self._lock:  # a sink that was killed may still be reading on its thread
            self._db.close()

    def _do(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if self.refusing:
            raise sqlite3.OperationalError("disk I/O error")
        with self._lock:
            return self._db.execute(query, values).fetchall()


@contextlib.contextmanager
def some_journal() -> Iterator[Journal]:
    with contextlib.closing(Journal()) as journal:
        yield journal


class Memory(Sink):
    """Keeps what it is given, or raises *error*; refuses alarms of *poison*; answers nobody while *open* is not set."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.got: list[Alarm] = []
        self.tried = 0
        self.error: Exception | None = None
        self.poison: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    async def deliver(self, entry: Entry) -> None:
        self.tried += 1
        await self.open.wait()
        if entry.alarm.id in self.poison:
            raise RefusedError("the answer is 422")
        if self.error is not None:
            raise self.error
        self.got.append(entry.alarm)

    async def close(self) -> None:
        self.closed = True

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [(alarm.id[:16].lstrip("0"), alarm.rev) for alarm in self.got]


class VirtualClock:
    """Time stands until a test lets it pass."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self.ahead_s = 0.0  # by which the wall clock was set
        self._sleepers: set[tuple[float, asyncio.Future[None]]] = set()

    def mono_s(self) -> float:
        return self._now_s

    def unix_ns(self) -> int:
        return T_NS + round((self._now_s - 1000.0 + self.ahead_s) * 1e9)

    @property
    def sleepers(self) -> int:
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        sleeper = (self._now_s + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.add(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.discard(sleeper)

    def pass_s(self, seconds: float) -> None:
        self._now_s += seconds
        due = {sleeper for sleeper in self._sleepers if sleeper[0] <= self._now_s}
        self._sleepers -= due
        for _, future in due:
            if not future.done():
                future.set_result(None)

    def pass_to_next(self) -> None:
        """Up to when the first of those that sleep is due."""
        self.pass_s(max(0.0, min(due_s for due_s, _ in self._sleepers) - self._now_s))


async def until(condition: Callable[[], bool], what: str = "it") -> None:
    """Return when *condition* holds; fail when it does not for long."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not happen"
        await asyncio.sleep(0.002)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine, for a while at most."""

    async def limited() -> None:
        async with asyncio.timeout(2 * DEADLINE_S):
            await main()

    asyncio.run(limited())


def everything(_: Alarm) -> bool:
    return True


def route(sink: Sink, wants: Callable[[Alarm], bool] = everything, policy: Policy | None = None) -> Route:
    return Route(sink, wants, Policy() if policy is None else policy)


@contextlib.asynccontextmanager
async def dispatching(journal: Journal, *routes: Route, clock: VirtualClock | None = None) -> AsyncIterator[Dispatch]:
    """Sinks at work from now on, stopped in order at the end."""
    for one in routes:
        journal.cursor(one.sink.name)
    dispatch = Dispatch(journal, routes, clock, draw=lambda: 0.5)
    task = asyncio.create_task(dispatch.run())
    try:
        yield dispatch
    finally:
        dispatch.stop(0.3)
        await task


def of(dispatch: Dispatch, name: str) -> Statistics:
    [found] = [one for one in dispatch.statistics if one.sink == name]
    return found


class Request(NamedTuple):
    """What a receiver was sent; header names in small letters."""

    line: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[asyncio.StreamWriter, Request], Awaitable[None]]


async def no_content(writer: asyncio.StreamWriter, _: Request) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter, _: Request) -> None:
        lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return answer


class Receiver:
    """An HTTP server on a port of its own that answers as *answer* does. What it was sent is in *requests*."""

    def __init__(self, port: int, tls: Any = None) -> None:
        self.port = port
        self.answer: Answer = no_content
        self.requests: list[Request] = []
        self._tls = tls
        self._open: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Listening; afterwards connections to its port are refused."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while not writer.is_closing():
                    request = await _request(reader)
                    self.requests.append(request)
                    await self.answer(writer, request)
                    await writer.drain()
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


class Certificates(NamedTuple):
    cert: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """A certificate for 127.0.0.1 that vouches for itself."""
    made = Certificates(folder / "cert.pem", folder / "key.pem")
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    subject = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *kind.split(), *subject.split(), "-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run(command, check=True, capture_output=True)
    made.key.chmod(0o644)  # mosquitto gives up root before it reads it
    return made
