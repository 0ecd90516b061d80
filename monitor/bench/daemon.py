"""The real daemon, with the measuring process as its supervisor: so it sees the shared memory of the others."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from monitor import ledger as ledgers
from monitor import service
from monitor.bench.children import BenchError
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.ledger import LedgerSnapshot
from monitor.orders import open_memory
from monitor.recorder import board
from monitor.recorder.board import Counts
from monitor.ring import Ring
from monitor.vitals import STATES, read_text

SOURCE: Final = "framewatch bench"
START_S: Final = 120.0
LOOK_S: Final = 0.01
HOT_STOP_S: Final = 15.0
INTERRUPTED_STOP_S: Final = 4.0


class Use(NamedTuple):
    """What each process has used so far, or at the moment."""

    hot: float
    side: float
    recorder: float = 0.0  # 0: there is none


class Daemon:
    """The processes of *config*, as `framewatch run` starts them. Use it as a context manager.

    A process that dies is not restarted: what is measured would be something else. `look` then raises BenchError.
    """

    def __init__(self, config: Config, bundle: Bundle) -> None:
        """Raises ConfigError and BundleError as `framewatch run` does."""
        self._config = config
        self._orders = service.prepare(config, SOURCE, bundle)
        self._memory = open_memory(self._orders)
        self.ring = Ring(self._memory.ring)
        self._side = service.Child("side", self._orders, {})
        self._hot = service.Child("hot", self._orders, service.MALLOC)
        self._recorder = service.recorder_of(self._orders)
        self.started_s = 0.0
        self.ring_bytes = service.ring_bytes(config, bundle)

    def __enter__(self) -> Self:
        self.started_s = time.monotonic()
        self._side.start(self.started_s)
        self._hot.start(self.started_s)
        if self._recorder is not None:
            self._recorder.start(self.started_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            # After an error nobody waits for the last frames to be judged.
            hot_stop_s = HOT_STOP_S if error is None else INTERRUPTED_STOP_S
            service.stop(self._side, self._hot, self._recorder, self._memory, hot_stop_s)
        finally:
            os.close(self._orders.memory_fd)
            os.close(self._orders.wake_fd)

    def ledger(self) -> LedgerSnapshot:
        """The account of all frames so far."""
        return ledgers.read(self._memory.ledger)

    def told_state(self) -> str:
        """The state, and why."""
        board = self._memory.vitals
        state, why = STATES[int(board["state"][0])], read_text(board, "why")
        return f"{state.value} ({why})" if why else state.value

    def look(self) -> None:
        """Raises BenchError where one of the processes has ended."""
        for child in (self._hot, self._side, self._recorder):
            if child is not None and (status := child.look(time.monotonic())) is not None:
                raise BenchError(f"the daemon's process {child.name} ended with status {status}")

    def wait_until(self, holds: Callable[[], bool], patience_s: float) -> float | None:
        """Seconds until *holds*, None where it does not within *patience_s*."""
        begun = time.monotonic()
        while not holds():
            self.look()
            if time.monotonic() - begun > patience_s:
                return None
            time.sleep(LOOK_S)
        return time.monotonic() - begun

    def wait_until_ready(self) -> bool:
        """Until the network is loaded and the camera's socket open; False where it never is."""
        return self.wait_until(lambda: service.is_ready(self._memory), START_S) is not None

    def wait_until_recording(self) -> bool:
        """Until the recorder has begun, where there is to be one; False where it never does."""
        if self._recorder is None:
            return True
        return self.wait_until(lambda: bool(self._memory.recorder["pid"][0]), START_S) is not None

    def has_recorded_all(self) -> bool:
        """Whether of each event so far there is a recording, or it is given up."""
        return int(self._memory.recorder["cursor"][0]) == int(self._memory.log["count"][0])

    def recorded(self) -> Counts:
        """What the recorder has counted so far."""
        return board.counts(self._memory.recorder)

    def first_judged_ns(self) -> int | None:
        """When the first frame of all was judged, as long as it is in the ring; None before."""
        batch = self.ring.view(0, self.ring.until_wrap(0, self.ring.written))
        judged = batch.judged_ns[batch.judged_ns > 0]
        return int(judged[0]) if len(judged) else None

    def cpu_s(self) -> Use:
        """Processor time that each process has used."""
        return Use(*(_cpu_s(pid) for pid in self._pids()))

    def resident_mib(self) -> Use:
        """Resident memory of each process, the shared one not counted."""
        return Use(*(_resident_mib(pid) for pid in self._pids()))

    def _pids(self) -> list[int]:
        vitals, recorder = self._memory.vitals, int(self._memory.recorder["pid"][0])
        return [int(vitals["hot_pid"][0]), int(vitals["side_pid"][0]), *([recorder] if recorder else [])]


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens at just now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(fields["RssAnon"].split()[0]) + int(fields["RssFile"].split()[0])) / 1024
