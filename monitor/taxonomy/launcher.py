"""When samples are grouped, and the process that does it: one at a time, the machine's last in turn, within a time."""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO, Final, NamedTuple

import msgspec

from monitor.taxonomy.config import Taxonomy

REST_NS: Final = 60_000_000_000
"""Between two groupings that nobody asked for: a flood of events is not to keep a core busy with them."""

REST_TIMES: Final = 10
"""... and so many times what the last one took."""

QUIET: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of what computes: the other cores belong to the frames."""

STOP_S: Final = 5.0


class Task(msgspec.Struct, frozen=True):
    """What a grouping is told, on its standard input."""

    store: str
    camera: str
    bundle: str  # folder
    settings: Taxonomy
    parent_pid: int  # whose death ends it; 0: nobody's
    embedding: str | None = None  # sha256 that the file of the settings must have; None: whatever it has


class Known(NamedTuple):
    """What decides whether a grouping is due."""

    held: int  # samples of events
    new: int  # events since the last grouping
    of_space: bool  # the kinds are those of the bundle that judges now, and of the embedding


class Finished(NamedTuple):
    """A grouping that is over; *why* it failed, empty where it did not."""

    why: str


def due(settings: Taxonomy, known: Known, since_ns: int | None, took_ns: int) -> bool:
    """Whether samples are to be grouped, so long after the last time, which *took_ns* (None: there was none)."""
    if known.held < settings.least_events:
        return False
    if since_ns is not None and since_ns < max(REST_NS, REST_TIMES * took_ns):
        return False
    if not known.of_space:
        return True
    many = settings.every_events is not None and known.new >= settings.every_events
    late = settings.period_s is not None and (since_ns is None or since_ns >= settings.period_s * 1e9)
    return many or (late and known.new > 0)


class Launcher:
    """Runs `python -m monitor.taxonomy.group`. Used by one thread; nothing here blocks for long."""

    def __init__(self, task: Task, ended_ns: int | None = None, took_ns: int = 0) -> None:
        """*ended_ns*: monotonic, when the last grouping of all ended, and how long it took; None: there was none."""
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._began_ns = 0
        self.ended_ns = ended_ns
        self.took_ns = took_ns

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, mono_ns: int) -> None:
        """Raises OSError where no process can be started."""
        self._began_ns = self.ended_ns = mono_ns  # should it fail, the next try is not at once
        said = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process runs; a pipe could fill
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor.taxonomy.group"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, **QUIET},
            )
        except OSError:
            said.close()
            raise
        self._process, self._said = process, said
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once: `look` says so
            process.stdin.write(msgspec.json.encode(self._task))
            process.stdin.close()

    def look(self, mono_ns: int) -> Finished | None:
        """What came of it, once it is over; one that takes too long is ended."""
        if self._process is None:
            return None
        status, late = self._process.poll(), mono_ns - self._began_ns > self._task.settings.limit_s * 1e9
        if status is None and not late:
            return None
        if status is None:
            self._process.kill()
            self._process.wait(STOP_S)
        self.ended_ns, self.took_ns = mono_ns, mono_ns - self._began_ns
        said = self._close()
        if status is None:
            return Finished(f"it took longer than {self._task.settings.limit_s:g} s (taxonomy.limit_s) and was ended")
        return Finished("" if status == 0 else said or f"its process ended with status {status}")

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._close()

    def _close(self) -> str:
        """The last line that it said."""
        assert self._said is not None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        self._said.close()
        self._process = self._said = None
        return lines[-1] if lines else ""
