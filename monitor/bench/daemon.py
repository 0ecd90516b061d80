"""The real daemon, with the measuring process as its supervisor: so it sees the shared memory of the two others."""

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
from monitor.ring import Ring
from monitor.vitals import STATES, read_text

SOURCE: Final = "framewatch bench"
START_S: Final = 120.0
LOOK_S: Final = 0.01
HOT_STOP_S: Final = 15.0
INTERRUPTED_STOP_S: Final = 4.0
NAMES: Final = ("hot", "side")


class Use(NamedTuple):
    """What the two processes have used so far, or at the moment."""

    hot: float
    side: float


class Daemon:
    """Both processes of *config*, as `framewatch run` starts them. Use it as a context manager.

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
        self.started_s = 0.0
        self.ring_bytes = service.ring_bytes(config, bundle)

    def __enter__(self) -> Self:
        self.started_s = time.monotonic()
        self._side.start(self.started_s)
        self._hot.start(self.started_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            # After an error nobody waits for the last frames to be judged.
            self._hot.stop(HOT_STOP_S if error is None else INTERRUPTED_STOP_S)
        finally:
            self._side.stop(service.SIDE_STOP_S)
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
        for name, child in zip(NAMES, (self._hot, self._side), strict=True):
            if (status := child.look(time.monotonic())) is not None:
                raise BenchError(f"the {name} process of the daemon ended with status {status}")

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

    def _pids(self) -> tuple[int, int]:
        vitals = self._memory.vitals
        return int(vitals["hot_pid"][0]), int(vitals["side_pid"][0])


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
