"""A small daemon's orders and shared memory, and event records, for the tests of the side process."""

import contextlib
import os
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from monitor import shared
from monitor.config import Config, Http, Outputs
from monitor.eventlog import EventRecord, Phase
from monitor.ledger import Ledger
from monitor.orders import BundleFacts, Memory, Orders, layout, open_memory
from monitor.types import Dropped, Peak, State, Unjudged
from monitor.vitals import STATES

LIMITS = {"t2": 50.0, "s2": 3.0}
SLOTS, HEIGHT, WIDTH = 4, 8, 8


_ours: deque[socket.socket] = deque()
HELD_MOST = 200


def free_port() -> int:
    """A port of this process's own: who is told of it can listen there, and the system gives it to nobody else.

    A socket is bound to it and does not listen, which keeps no server away that says SO_REUSEADDR, as all of ours do.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _ours.append(held)
    if len(_ours) > HELD_MOST:
        _ours.popleft().close()
    return int(held.getsockname()[1])


def some_config(folder: Path, camera: str = "melt") -> Config:
    return Config(
        camera=camera,
        journal=str(folder / "journal.db"),
        outputs=Outputs(*(f"tcp://127.0.0.1:{free_port()}" for _ in range(3))),
        http=Http(port=free_port()),
    )


@contextlib.contextmanager
def some_orders(config: Config, *, bundle: bool = True) -> Iterator[tuple[Orders, Memory]]:
    """Orders with memory and bell of their own."""
    facts = BundleFacts("ab" * 32, LIMITS, extrapolated=False, created_ns=1_000_000_000) if bundle else None
    charts = len(LIMITS) if bundle else 0
    memory_fd = shared.create(shared.size_of(*layout(charts, SLOTS, HEIGHT, WIDTH, "uint8")))
    wake_fd = os.eventfd(0)
    given = Orders(
        config, "framewatch.yaml", os.getpid(), memory_fd, wake_fd, "boot-1", SLOTS, HEIGHT, WIDTH, "uint8", facts
    )
    try:
        yield given, open_memory(given)
    finally:
        os.close(memory_fd)
        os.close(wake_fd)


def beat(memory: Memory, mono_ns: int, state: State = State.OK, why: str = "") -> None:
    """The hot process moves."""
    memory.vitals["hot_beat_ns"][0] = mono_ns
    memory.vitals["epoch"][0] = b"hot-1"
    memory.vitals["state"][0] = STATES.index(state)
    memory.vitals["why"][0] = why.encode()
    memory.vitals["permit"][0] = state is State.OK


def count_frames(memory: Memory) -> None:
    """A ledger of 100 frames announced: 90 came, of which 70 were judged and 5 are still waiting."""
    ledger = Ledger(memory.ledger)
    ledger.announced, ledger.lost_upstream, ledger.received, ledger.judged = 100, 10, 90, 70
    ledger.unjudged[Unjudged.INACTIVE] = 12
    ledger.dropped[Dropped.OVERRUN] = 3
    ledger.rejected["parts"] = 2
    ledger.publish()


def judge_frames(memory: Memory) -> None:
    memory.vitals["chart_score"][:] = np.array([12.5, 4.5])
    memory.vitals["exceedances"][:] = np.array([7, 1])


def record(phase: Phase, event: int = 1, epoch: str = "hot-1", **more: Any) -> EventRecord:
    """An event of chart t2 that began at second 5 of the Unix epoch."""
    told: dict[str, Any] = {
        "source": "t2",
        "t_ns": 5_000_000_000 + event,
        "stream": "s",
        "first_seq": 10,
        "last_seq": 12,
        "frames_over": 3,
        "peak": Peak(11, 60.0, 50.0, 1.2),
    }
    return EventRecord(phase, epoch, event, **{**told, **more})
