"""Frames of events on their way to the process that names them, and its answers on their way back.

Whoever offers a frame waits for nothing: a thread of its own feeds the process, one frame at a time, and starts it
again when it has ended. What it cannot keep up with is dropped, the oldest first, and counted.
"""

import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Final, NamedTuple, TypeVar

import msgspec

from monitor.alarms.life import Revision
from monitor.eventlog import EventRecord
from monitor.taxonomy.launcher import QUIET, Task
from monitor.taxonomy.records import Key
from monitor.types import Kind, Pixels

WAITING_MOST: Final = 64
"""Events whose frames wait to be named."""

KNOWN_MOST: Final = 1024
"""Events that are remembered: a name may come when the event is over."""

START_S: Final = 120.0  # within which the process must have loaded what it needs
ANSWER_S: Final = 60.0  # within which it must have named a frame
LOOK_S: Final = 1.0  # between two looks whether a process that has nothing to do is still there
STOP_S: Final = 5.0
RESTART_DELAYS_S: Final = (0.0, 1.0, 5.0, 20.0, 60.0)
"""Before the first restart, the second, ...; a process that has named something starts again at the beginning."""

TRIES: Final = 2
"""A frame on which the process has ended twice is not shown to it again."""

_LENGTH: Final = 8  # bytes that say how long a message is

Value = TypeVar("Value")
_log = logging.getLogger("monitor.side")


class Shown(msgspec.Struct, frozen=True):
    """A frame as the process gets it."""

    height: int
    width: int
    dtype: str
    pixels: bytes


class Named(NamedTuple):
    """An answer."""

    record: EventRecord  # of phase `named`
    alarm: str  # the id of the one that the event raised; empty: none is known


class _Offered(NamedTuple):
    record: EventRecord
    pixels: Pixels  # (h, w)
    tries: int = 0


class _EndedError(Exception):
    """The process says no more."""


def message(data: bytes) -> bytes:
    """*data* with its length in front."""
    return len(data).to_bytes(_LENGTH, "little") + data


def received(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end of *stream*, or where it breaks off."""
    length = stream.read(_LENGTH)
    if len(length) < _LENGTH:
        return None
    wanted = int.from_bytes(length, "little")
    data = stream.read(wanted)
    return data if len(data) == wanted else None


class NamerFeed:
    """Runs `python -m monitor.taxonomy.namer`. What is offered and asked for here comes from one thread."""

    def __init__(self, task: Task, wake: Callable[[], None]) -> None:
        """*wake* is called, of another thread, when there is an answer."""
        self._task = task
        self._wake = wake
        self._waiting: dict[Key, _Offered] = {}  # newest last
        self._changed = threading.Condition()
        self._answers: deque[EventRecord] = deque()
        self._ratios: dict[Key, float] = {}  # of the most extreme frame of each event that was offered
        self._alarms: dict[Key, str] = {}
        self._closed = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._said = ""  # why it ended, as long as it has named nothing since
        self._ends = 0  # since it has named something
        self.dropped = 0  # frames that were never named, since there were too many
        self.failures = 0  # ends of the process
        self._thread = threading.Thread(target=self._work, name="namer", daemon=True)
        self._thread.start()

    def wants(self, record: EventRecord) -> bool:
        """Whether the frame of *record* is more extreme than those of its event before."""
        peak = record.peak
        return peak is not None and peak.ratio > self._ratios.get((record.epoch, record.event), -1.0)

    def offer(self, record: EventRecord, pixels: Pixels) -> None:
        """Have *pixels* (h, w), the peak frame of *record*, named when there is time: of each event the last one."""
        key = record.epoch, record.event
        _remember(self._ratios, key, 0.0 if record.peak is None else record.peak.ratio)
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = _Offered(record, pixels)
            self._shorten()
            self._changed.notify()

    def follow(self, revisions: Sequence[Revision]) -> None:
        """Learn which alarms the events raised."""
        for one in revisions:
            key = one.entry.epoch, one.entry.event
            if key in self._ratios:
                _remember(self._alarms, key, one.alarm.id)

    def named(self, t_ns: int) -> list[Named]:
        """What has been answered since this was asked for last."""
        found = [self._answers.popleft() for _ in range(len(self._answers))]
        return [
            Named(msgspec.structs.replace(one, t_ns=t_ns), self._alarms.get((one.epoch, one.event), ""))
            for one in found
        ]

    def close(self) -> None:
        """End the process."""
        with self._changed:
            self._closed.set()
            self._changed.notify()
        process = self._process
        if process is not None:
            process.kill()
        self._thread.join(STOP_S)

    def _shorten(self) -> None:
        while len(self._waiting) > WAITING_MOST:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1

    def _work(self) -> None:
        while not self._closed.is_set():
            why = self._serve()
            if self._closed.is_set():
                return
            self.failures += 1
            if why != self._said:
                _log.error("the process that names events ended, and is started again: %s", why)
            self._said = why
            self._closed.wait(RESTART_DELAYS_S[min(self._ends, len(RESTART_DELAYS_S) - 1)])
            self._ends += 1

    def _serve(self) -> str:
        """Run the process as long as it lives; why it ended."""
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "monitor.taxonomy.namer"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env={**os.environ, **QUIET},
                )
            except OSError as error:
                return f"no process can be started: {error.strerror}"
            self._process = process
            if self._closed.is_set():  # whoever closed may not have seen it
                process.kill()
            try:
                self._talk(process)
            except _EndedError as error:
                silent = str(error)
            except (OSError, msgspec.MsgspecError):  # what it said last tells more
                silent = ""
            finally:
                status = self._end(process)
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            return silent or (lines[-1] if lines else f"it ended with status {status}")

    def _talk(self, process: "subprocess.Popen[bytes]") -> None:
        """Show frames, take answers. Raises OSError or _EndedError where the process has ended."""
        self._send(process, msgspec.msgpack.encode(self._task))
        self._hear(process, START_S)
        while True:
            offered = self._next(process)
            try:
                self._send(process, msgspec.msgpack.encode(_shown(offered.pixels)))
                kind = self._hear(process, ANSWER_S)
            except (OSError, _EndedError):
                self._put_back(offered._replace(tries=offered.tries + 1))
                raise
            self._said, self._ends = "", 0
            self._answers.append(msgspec.structs.replace(offered.record, phase="named", kind=kind, mono_ns=0))
            self._wake()

    def _next(self, process: "subprocess.Popen[bytes]") -> _Offered:
        """The newest that waits."""
        with self._changed:
            while not self._waiting:
                if self._closed.is_set() or process.poll() is not None:
                    raise _EndedError
                self._changed.wait(LOOK_S)
            return self._waiting.popitem()[1]

    def _put_back(self, offered: _Offered) -> None:
        key = offered.record.epoch, offered.record.event
        with self._changed:
            if offered.tries >= TRIES:
                self.dropped += 1
            elif key not in self._waiting:
                self._waiting[key] = offered
                self._shorten()

    def _send(self, process: "subprocess.Popen[bytes]", data: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(message(data))
        process.stdin.flush()

    def _hear(self, process: "subprocess.Popen[bytes]", within_s: float) -> Kind | None:
        assert process.stdout is not None
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        if not waiting.poll(within_s * 1000):
            raise _EndedError(f"it did not answer within {within_s:g} s")
        data = received(process.stdout)
        if data is None:
            raise _EndedError
        return msgspec.msgpack.decode(data, type=Kind | None)

    def _end(self, process: "subprocess.Popen[bytes]") -> int:
        process.kill()
        status = process.wait(STOP_S)
        self._process = None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what it was not given any more
                assert pipe is not None
                pipe.close()
        return status


def _shown(pixels: Pixels) -> Shown:
    return Shown(pixels.shape[0], pixels.shape[1], pixels.dtype.name, pixels.tobytes())


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Among the latest KNOWN_MOST."""
    known.pop(key, None)
    known[key] = value
    while len(known) > KNOWN_MOST:
        del known[next(iter(known))]
