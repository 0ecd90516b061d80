"""Alarm changes to a program, on its standard input."""

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from monitor.sinks.feed import Entry
from monitor.sinks.sink import DeliveryError, RefusedError, Sink, SinkError, body_of

GRACE_S: Final = 2.0
"""Between the request to end and the end."""

REFUSED_STATUS: Final = 65
"""EX_DATAERR of sysexits.h: the input is at fault, now and always."""

ERROR_BYTES: Final = 2048
"""So much of the end of standard error is kept for the log."""

PATH: Final = "/usr/local/bin:/usr/bin:/bin"

_log = logging.getLogger(__name__)


class CommandSink(Sink):
    """Starts *command* for each change, one at a time. Exit status 0 is delivered, 65 refused, every other failed."""

    def __init__(self, name: str, command: Sequence[str], timeout_s: float) -> None:
        """Raises SinkError where there is no such program."""
        super().__init__(name)
        program = shutil.which(command[0], path=PATH)
        if program is None:
            raise SinkError(f"sinks.commands '{name}': command: {command[0]} is no program that can be started")
        self._command = (program, *command[1:])
        self._timeout_s = timeout_s

    async def deliver(self, entry: Entry) -> None:
        with _file_of(body_of(entry.alarm)) as body, _Tail() as errors:
            status = await self._run(body, errors.writer)
        said = errors.text
        if status == 0:
            if said:
                _log.info("sink %s: %s", self.name, said)
            return
        why = _ending(status, self._timeout_s) + (f": {said}" if said else "")
        raise RefusedError(why) if status == REFUSED_STATUS else DeliveryError(why)

    async def _run(self, body: int, errors: int) -> int | None:
        """The exit status, negative for a signal; None where the time was over. Nothing of its group is left."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=body,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                env={"PATH": PATH, "LANG": "C.UTF-8", "FRAMEWATCH_SINK": self.name},
                start_new_session=True,  # a group of its own, which can be ended as one
            )
        except OSError as error:
            raise DeliveryError(f"{self._command[0]} cannot be started: {error.strerror or error}") from None
        try:
            return await asyncio.wait_for(process.wait(), self._timeout_s)
        except TimeoutError:
            _signal(process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_S)
            return None
        finally:
            _signal(process.pid, signal.SIGKILL)
            await process.wait()


class _Tail:
    """The end of what is written into *writer*. Everything is read, so that whoever writes is never held up."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # The program's end blocks as programs expect; both ends of a pipe have flags of their own.
        os.set_blocking(self.writer, True)
        self._kept = b""

    @property
    def text(self) -> str:
        """In one line."""
        return " ".join(self._kept.decode(errors="replace").split())

    def __enter__(self) -> "_Tail":
        asyncio.get_running_loop().add_reader(self._reader, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        self._read()
        os.close(self._reader)
        os.close(self.writer)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            self._kept = (self._kept + os.read(self._reader, 1 << 16))[-ERROR_BYTES:]


@contextmanager
def _file_of(body: bytes) -> Iterator[int]:
    """A file in memory that holds *body*: unlike a pipe, it needs nobody who writes while the program reads, or not."""
    file = os.memfd_create("alarm", os.MFD_CLOEXEC)
    try:
        os.write(file, body)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ending(status: int | None, timeout_s: float) -> str:
    if status is None:
        return f"not done within {timeout_s:g} s, and ended"
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"
