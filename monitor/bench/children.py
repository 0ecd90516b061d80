"""The processes that a measurement starts beside the daemon: camera, competitor, and workers that load torch.

Each has a session of its own, so that Ctrl-C reaches the command alone, which ends them; and each ends by itself once
the command is gone.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from monitor.bench.producer import Opened, Opening, Order, Sent

Answer = TypeVar("Answer")

START_S: Final = 60.0
OVERTIME_S: Final = 60.0
"""So much longer than it should take may a producer be before it is given up."""

LOOK_S: Final = 0.25

SPIN: Final = """
import os
while os.getppid() == {parent}:
    for _ in range(10**6):
        pass
"""
"""A competitor: takes what the scheduler gives it of one core."""


class BenchError(RuntimeError):
    """A measurement that could not be made: one line that says why."""


def competitors(cores: int) -> int:
    """How many competing processes: one for every two cores, at least one."""
    return max(1, cores // 2)


@contextlib.contextmanager
def competing(count: int) -> Iterator[None]:
    """With *count* processes that compute without end on the same cores."""
    command = [sys.executable, "-c", SPIN.format(parent=os.getpid())]
    processes = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ask(module: str, order: msgspec.Struct, kind: type[Answer], environment: dict[str, str] | None = None) -> Answer:
    """What `python -m MODULE` answers to *order*: one JSON object on its standard input, one on its output."""
    process = _start(module, environment)
    try:
        out, _ = process.communicate(msgspec.json.encode(order))
    finally:
        _end(process)
    if process.returncode != 0:
        raise BenchError(f"{module} ended with status {process.returncode}; what it said stands above")
    return msgspec.json.decode(out, type=kind)


def serve(kind: type[Any], measure: Callable[[Any], msgspec.Struct]) -> int:
    """The worker's side of `ask`."""
    asked = sys.stdin.buffer.read()
    if not asked:
        return 1  # whoever wanted to ask was interrupted
    order = msgspec.json.decode(asked, type=kind)
    sys.stdout.buffer.write(msgspec.json.encode(measure(order)))
    return 0


class Camera:
    """A producer in a process of its own. Use it as a context manager."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._process = _start("monitor.bench.producer")
        self._read = b""
        self.endpoint = ""

    def __enter__(self) -> Self:
        try:
            self._tell(self._opening)
            self.endpoint = self._answer(Opened, START_S).endpoint
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def begin(self, order: Order) -> None:
        """Have it send, without waiting for the end."""
        self._tell(order)

    def send(self, order: Order, meanwhile: Callable[[], None] = lambda: None) -> Sent:
        """Have it send, and call *meanwhile* a few times a second until it has."""
        self._tell(order)
        return self._answer(Sent, order.frames / order.rate_hz + OVERTIME_S, meanwhile)

    def _tell(self, value: msgspec.Struct) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(value) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError("the camera process has ended; what it said stands above") from None

    def _answer(self, kind: type[Answer], patience_s: float, meanwhile: Callable[[], None] = lambda: None) -> Answer:
        assert self._process.stdout is not None
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._read:
            if select.select([self._process.stdout], [], [], LOOK_S)[0]:
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece:
                    raise BenchError("the camera process has ended; what it said stands above")
                self._read += piece
            elif time.monotonic() > deadline:
                raise BenchError(f"the camera process did not answer within {patience_s:.0f} s")
            meanwhile()
        line, _, self._read = self._read.partition(b"\n")
        return msgspec.json.decode(line, type=kind)

    def _end(self) -> None:
        _end(self._process)


def _start(module: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
