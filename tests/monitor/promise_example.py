"""Judged frames, blocks of them and a budget, made by hand, for the tests of what is kept of judged time."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from monitor import recordlog, unitlog
from monitor.blockstore import Block
from monitor.budget import FittedBudget, WarningLimit
from monitor.judge import ROW
from monitor.shared import Arrays, lay_out, size_of
from monitor.unitlog import FinishedUnit

RATE_HZ = 100.0
PERIOD_NS = 10_000_000
SCALE = "ab" * 32
T_NS = 1_795_000_000 * 10**9

BUDGET = FittedBudget(
    asked_per_hour=240.0,  # of which a fiftieth of all blocks is 0.3 s: blocks are kept as long as they are
    per_hour=240.0,
    conservative=False,
    rate_hz=RATE_HZ,
    k=2,
    n=3,
    block_frames=30,
    action=4.0,
    low=3.5,
    high=4.5,
    warning=2.0,
    warning_rate=0.01,
    single=WarningLimit(2.0, 1.9, 2.1, "conformal", 1000.0, False, "an order statistic"),
    method="conformal quantile of block extremes",
    blocks=56,
    effective_blocks=56.0,
    hours=56 * 30 / RATE_HZ / 3600,
    extrapolated_by=1.0,
    why="it is well",
    shift=None,
    extremes=(),
    extremes_frames=30,
)


def budget(**changes: Any) -> FittedBudget:
    return msgspec.structs.replace(BUDGET, **changes)


def rows(joint: npt.ArrayLike, first_seq: int = 0, stream: str = "one", **columns: Any) -> npt.NDArray[np.void]:
    """Judged frames with *joint* scores (m,), a period apart; *columns* say what differs."""
    made = np.zeros(np.size(joint), ROW)
    made["joint"], made["seq"], made["stream"] = joint, first_seq + np.arange(len(made)), stream.encode()
    made["t_ns"], made["layer"], made["job"], made["xy"] = T_NS + made["seq"] * PERIOD_NS, -1, b"part 7", np.nan
    for name, values in columns.items():
        made[name] = values
    return made


def block(number: int = 0, epoch: str = "hot-1", **changes: Any) -> Block:
    """Block *number* of a process, of a hundred frames that took an hour: nobody adds up seconds in the head."""
    made = Block(
        epoch=epoch,
        number=number,
        scale=SCALE,
        stream="one",
        job="part 7",
        first_seq=100 * number,
        last_seq=100 * number + 99,
        t_ns=T_NS + (number + 1) * 3600 * 10**9,
        frames=100,
        judged_s=3600.0,
        extreme=2.0 + number / 100,
    )
    return made._replace(**changes)


def unit_log() -> Arrays:
    """A log of units that the hot process has begun."""
    [log] = lay_out(bytearray(size_of(unitlog.fields())), unitlog.fields())
    recordlog.begin(log, "hot-1")
    return log


def unit(number: int = 0, **changes: Any) -> FinishedUnit:
    """Layer *number*, of a hundred frames, in control."""
    made = FinishedUnit(
        stream="one",
        job="part 7",
        layer=number,
        first_seq=100 * number,
        last_seq=100 * number + 99,
        frames=100,
        exceedances=2,
        score=0.5,
        limit=1.5,
        why="",
    )
    return made._replace(**changes)
