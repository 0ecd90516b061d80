"""The process that draws, as the side process has it: started, asked, and ended. All of it waits in the event loop."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO, Final

import msgspec

from monitor.orders import Orders
from monitor.viewer.speech import LENGTHS, Begin, Question, UnreadableError, packed

ANSWER_S: Final = 60.0
"""A process that has not answered by then hangs. The first answer may have loops to be compiled, or torch to load."""

STOP_S: Final = 5.0

QUIET: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of what computes: the other cores belong to the frames."""

PROGRAM: Final = ("-m", "monitor.viewer.process")


class HelperError(RuntimeError):
    """The process that draws is gone, or does not answer: one line that says why."""


class Helper:
    """A process that draws. One question at a time."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        said: IO[bytes],
        heard: asyncio.StreamReader,
        line: asyncio.StreamWriter,
    ) -> None:
        self._process, self._said = process, said
        self._heard, self._line = heard, line

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, question: Question, content: bytes = b"", patience_s: float = ANSWER_S) -> bytes:
        """The answer; empty where there is nothing to draw. Raises HelperError, or UnreadableError."""
        try:
            async with asyncio.timeout(patience_s):
                self._line.write(packed(question, content))
                await self._line.drain()
                size, line = LENGTHS.unpack(await self._heard.readexactly(LENGTHS.size))
                found, wrong = await self._heard.readexactly(size), await self._heard.readexactly(line)
        except TimeoutError:
            raise HelperError(f"it has not answered for {patience_s:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            raise HelperError(await self._why()) from None
        if wrong:
            raise UnreadableError(wrong.decode())
        return found

    async def _why(self) -> str:
        """Why it is gone: the last line that it said, or how it ended."""
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, STOP_S)
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with status {self._process.returncode}"

    async def close(self) -> None:
        """End it, if it runs."""
        self._process.kill()
        self._line.close()
        self._said.close()
        try:
            with suppress(OSError):
                await self._line.wait_closed()
            await asyncio.to_thread(self._process.wait)
        finally:
            self._process.wait()  # also where this task is told to end: it was killed, which takes a moment


async def start(given: Orders) -> Helper:
    """A process that draws frames of the daemon with these orders. Raises HelperError."""
    ours, its = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process runs; a pipe could fill
    try:
        with its:
            process = await asyncio.to_thread(_popen, given.memory_fd, its.fileno(), said)
    except BaseException as error:
        ours.close()
        said.close()
        if isinstance(error, OSError):
            raise HelperError(f"no process can be started: {error.strerror}") from None
        raise
    helper = Helper(process, said, *await asyncio.open_connection(sock=ours))
    try:
        await helper.ask(Begin(), msgspec.json.encode(given))
    except BaseException:
        await helper.close()
        raise
    return helper


def _popen(memory_fd: int, line: int, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, *PROGRAM],
        stdin=line,
        stdout=subprocess.DEVNULL,
        stderr=said,
        pass_fds=(memory_fd,),
        env={**os.environ, **QUIET},
    )
