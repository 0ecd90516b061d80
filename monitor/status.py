"""What the daemon says of itself at one moment, put together from shared memory: for the page and /metrics."""

import math
from typing import Final

import msgspec
import numpy as np

from monitor import __version__, ledger, vitals
from monitor.alarms.alarm import Alarm
from monitor.keeping import PromiseStatus
from monitor.layers import LayerCount
from monitor.notify import DIED_NS
from monitor.orders import Memory, Orders
from monitor.shared import Arrays
from monitor.state import LOADING, STOPPING_WHY
from monitor.types import State
from monitor.vitals import read_text

START_NS: Final = 120_000_000_000
"""The hot process may take so long to its first beat: importing torch from a cold disk takes tens of seconds."""

STOPPING_NS: Final = 5_000_000_000
"""A hot process that was told to stop by anybody else than the supervisor may be silent so long."""

LOADING_NS: Final = 300_000_000_000
"""A hot process that loads may be silent so long: what compiles loops lets no other thread beat, and takes two minutes
where others have the cores. Less than the ten minutes in which systemd gives a start up."""

LOST_WHY: Final = "the hot process does not answer"


class ChartStatus(msgspec.Struct, frozen=True):
    """A chart's upper limit in the context of the newest frame, and its score (None: nothing judged yet)."""

    name: str
    limit: float
    score: float | None
    exceedances: int


class LedgerStatus(msgspec.Struct, frozen=True):
    """The ledger at one instant: it closes. `rejected` counts messages, all others frames."""

    announced: int
    lost_upstream: int
    received: int
    judged: int
    unjudged: dict[str, int]
    dropped: dict[str, int]
    rejected: dict[str, int]
    in_flight: int


class DriftStatus(msgspec.Struct, frozen=True):
    """Whether scores have drifted from what they were at calibration; *evidence* 1 is where that is said."""

    evidence: float
    shift_decades: float
    why: str  # empty: no drift is shown


class Status(msgspec.Struct, frozen=True):
    """The whole daemon at one moment."""

    camera: str
    version: str
    t_ns: int  # Unix nanoseconds
    state: State
    why: str
    side_why: str  # what is wrong with the side process; empty: nothing
    permit: bool
    permit_why: str  # why it is withheld
    permit_mode: str
    last_seq: int
    context: str  # of the frame judged last
    coverage: float
    frame_age_p99_ms: float
    ledger: LedgerStatus
    charts: list[ChartStatus]
    alarms: list[Alarm]  # the open ones, oldest first
    alarm_changes: int  # revisions of all alarms since the side process began: another number, and there is news
    bundle: str | None  # its sha256
    calibrated_t_ns: int | None  # Unix nanoseconds, when its limits were set
    judged_s: float  # since the start
    promise: PromiseStatus | None  # None: limits per frame, or not known yet
    drift: DriftStatus | None
    layers: LayerCount | None  # None: no chart of rates, or no layer or window is finished


def hot_lost(arrays: Arrays, mono_ns: int, started_ns: int) -> bool:
    """Whether the hot process is dead or hung at *mono_ns*; this process started at *started_ns* (both monotonic).

    One that ends because all are to end is not, and one that loads has `LOADING_NS`.
    """
    if _ordered_to_stop(arrays, mono_ns):
        return False
    beat_ns = int(arrays["hot_beat_ns"][0])
    if beat_ns == 0:
        return mono_ns - started_ns > START_NS
    if beat_ns == DIED_NS:
        return True
    if is_loading(arrays):
        return mono_ns - beat_ns > LOADING_NS
    return mono_ns - beat_ns > (STOPPING_NS if _state(arrays) is State.STOPPING else vitals.LOST_NS)


def hot_answers(arrays: Arrays, mono_ns: int) -> bool:
    """Whether the hot process beats at *mono_ns* and has loaded: one that was lost is back, and judges again."""
    return _fresh(arrays, mono_ns) and not is_loading(arrays)


def is_loading(arrays: Arrays) -> bool:
    """Whether the hot process said last that it loads its network."""
    return _state(arrays) is State.STARTING and read_text(arrays, "why") == LOADING


def state_of(arrays: Arrays, mono_ns: int, started_ns: int) -> tuple[State, str]:
    """The state of the daemon, and why: of a hot process that is lost degraded, whatever it said last."""
    if hot_lost(arrays, mono_ns, started_ns):
        return State.DEGRADED, LOST_WHY
    if _ordered_to_stop(arrays, mono_ns):  # it may hang, and not say so itself
        return State.STOPPING, STOPPING_WHY
    return _state(arrays), read_text(arrays, "why")


def _ordered_to_stop(arrays: Arrays, mono_ns: int) -> bool:
    return mono_ns <= int(arrays["stop_by_ns"][0])


def _fresh(arrays: Arrays, mono_ns: int) -> bool:
    return mono_ns - int(arrays["hot_beat_ns"][0]) <= vitals.LOST_NS


def _state(arrays: Arrays) -> State:
    return vitals.STATES[int(arrays["state"][0])]


def _permit(arrays: Arrays, state: State, mono_ns: int) -> tuple[bool, str]:
    """Whether there is a permit, and why not: a silent process gives none, whatever the state."""
    if _fresh(arrays, mono_ns):
        return bool(arrays["permit"][0]), read_text(arrays, "permit_why")
    return False, LOST_WHY if state is State.DEGRADED else f"state {state.value}"


def look(
    orders: Orders,
    memory: Memory,
    alarms: list[Alarm],
    mono_ns: int,
    t_ns: int,
    started_ns: int,
    promise: PromiseStatus | None = None,
    layers: LayerCount | None = None,
    alarm_changes: int = 0,
) -> Status:
    """The daemon as shared memory shows it. A hot process that does not answer is `degraded` and gives no permit."""
    arrays = memory.vitals
    lost = hot_lost(arrays, mono_ns, started_ns)
    state, why = state_of(arrays, mono_ns, started_ns)
    permit, permit_why = _permit(arrays, state, mono_ns)
    return Status(
        camera=orders.config.camera,
        version=__version__,
        t_ns=t_ns,
        state=state,
        why=why,
        side_why=read_text(arrays, "side_why"),
        permit=permit,
        permit_why=permit_why,
        permit_mode=orders.config.permit.mode,
        last_seq=int(arrays["last_seq"][0]),
        context=read_text(arrays, "context"),
        coverage=0.0 if lost else float(np.nan_to_num(arrays["coverage"][0])),
        frame_age_p99_ms=float(np.nan_to_num(arrays["age_p99_ms"][0])),
        ledger=_ledger(memory.ledger),
        charts=_charts(orders, arrays),
        alarms=alarms,
        alarm_changes=alarm_changes,
        bundle=orders.bundle.sha256 if orders.bundle else None,
        calibrated_t_ns=orders.bundle.created_ns if orders.bundle else None,
        judged_s=float(arrays["judged_s"][0]),
        promise=promise,
        drift=_drift(orders, arrays),
        layers=layers,
    )


def _drift(orders: Orders, arrays: Arrays) -> DriftStatus | None:
    if orders.bundle is None or orders.bundle.promise is None or not orders.bundle.promise.drift:
        return None
    evidence, shift = float(arrays["drift_evidence"][0]), float(arrays["drift_shift"][0])
    return DriftStatus(evidence, shift, read_text(arrays, "drift_why"))


def _ledger(arrays: Arrays) -> LedgerStatus:
    snapshot = ledger.read(arrays)
    return LedgerStatus(
        announced=snapshot.announced,
        lost_upstream=snapshot.lost_upstream,
        received=snapshot.received,
        judged=snapshot.judged,
        unjudged={reason.label: count for reason, count in snapshot.unjudged.items()},
        dropped={reason.value: count for reason, count in snapshot.dropped.items()},
        rejected=dict(snapshot.rejected),
        in_flight=snapshot.in_flight,
    )


def _charts(orders: Orders, arrays: Arrays) -> list[ChartStatus]:
    """The charts lie in shared memory in the order in which the bundle names them."""
    limits = orders.bundle.limits_of(read_text(arrays, "context")) if orders.bundle else {}
    scores = [float(score) for score in arrays["chart_score"]]
    return [
        ChartStatus(name, limit, scores[i] if math.isfinite(scores[i]) else None, int(arrays["exceedances"][i]))
        for i, (name, limit) in enumerate(limits.items())
    ]
