"""What an alarm is: a value with a revision, and how urgent it is."""

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from monitor.alarms.config import Priorities
from monitor.types import Kind, Peak, Pool, Priority, Source
from monitor.vitals import CAUSES, PRIORITIES

AlarmState = Literal["active", "cleared"]
Verdict = Literal["true", "false", "unknown"]

SERVICE_SOURCES: Final = frozenset({"blind", "stale", "uncalibrated", "degraded", "flood", "new_kind"})
"""Sources that speak of the monitoring and not of any frame."""

SOURCE_PRIORITIES: Final[Mapping[str, Priority]] = {
    # The picture itself is wrong or missing: nothing can be judged, and someone must go and look.
    "frozen": "high",
    "saturated": "high",
    "dark": "high",
    "rows_missing": "high",
    "blind": "high",
    # It has stopped the machine, where a controller acts on the permit.
    "stop": "critical",
    # More alarms than a person can read hide the one that matters.
    "flood": "high",
    # Frames are lost, or a part of the daemon fails: what is seen can be trusted, but not all is seen.
    "degraded": "medium",
    # Known before the job, and mended by calibrating: nothing happens to the work piece.
    "uncalibrated": "low",
    "stale": "low",
    "new_kind": "low",
}
"""Priority of each source; those not named here are charts and rates: see `priority_of`."""

RATES: Final = ("exceedance_rate",)
"""Judged by the layer or window, beside the charts."""

STOP: Final = "stop"
"""Source of what the rule for stops finds on the charts, and what it is called where it withholds the permit."""

SOURCES: Final[tuple[str, ...]] = get_args(Source)


class Urgency(NamedTuple):
    """From what on an alarm of a chart or rate, medium at first, is more urgent; see `monitor.config.Priorities`."""

    high_ratio: float = 2.0
    critical_ratio: float | None = None
    long_s: float | None = None
    kinds: Mapping[str, Priority] = {}
    rate_hz: float = 1000.0  # frames a second, by which frames over the limit are seconds


USUAL: Final = Urgency()


class Alarm(msgspec.Struct, frozen=True):
    """One revision of an alarm, as it is journalled and published (version 1)."""

    id: str  # unique, sorts in the order in which alarms were raised: `id_of`
    rev: int  # 1 raised, then +1 at each change
    camera: str
    stream: str
    state: AlarmState
    priority: Priority
    source: str
    first_seq: int
    last_seq: int
    first_t_ns: int  # sender's clock
    raised_t_ns: int  # Unix nanoseconds, the daemon's clock
    frames_over: int
    peak: Peak | None
    pool: Pool | None
    where: tuple[int, int] | None
    kind: Kind | None
    job: str
    layer: int | None
    context: str
    xy: tuple[float, float] | None
    bundle: str
    recording: str | None = None
    acked: bool = False
    verdict: Verdict | None = None
    shelved: bool = False  # by an operator, until an end
    suppressed: bool = False  # by the program: `suppressed_why`
    latched: bool = False  # what raised it is over; it stays until it is acknowledged
    journaled: bool = True
    why: str = ""  # of alarms about the service: what is wrong, in words
    v: int = 1
    out_of_service: bool = False  # by an operator, without an end
    suppressed_why: str = ""
    group: str | None = None  # id of the flood alarm that stands for it


def id_of(stamp_ns: int, suffix: int) -> str:
    """The id of an alarm: a *stamp_ns* that no other of the daemon has, the time where the clock goes forward."""
    return f"{stamp_ns:016x}-{suffix:08x}"


def suffix_of(epoch: str, event: int) -> int:
    """What the id of an event's alarm ends with; 0 is that of flood alarms."""
    return zlib.crc32(f"{epoch} {event}".encode()) or 1


def stamp_of(alarm_id: str) -> int:
    """The stamp that an id begins with."""
    return int(alarm_id.partition("-")[0], 16)


class Case(NamedTuple):
    """An alarm and the event that it follows."""

    epoch: str
    event: int
    carried: int  # frames over the limit that earlier epochs counted
    alarm: Alarm
    began_ns: int = 0  # monotonic, when the event began; 0: it is not known


def urgency_of(how: Priorities, rate_hz: float) -> Urgency:
    """What *how* says, at *rate_hz* judged frames a second."""
    return Urgency(how.high_ratio, how.critical_ratio, how.long_s, how.kinds, rate_hz)


def with_kinds(urgency: Urgency, priorities: Mapping[str, Priority]) -> Urgency:
    """*urgency* with the *priorities* that operators gave to kinds, by name; the configuration goes before them."""
    return urgency._replace(kinds={**priorities, **urgency.kinds})


def priority_of(source: str, ratio: float, frames_over: int = 0, kind: str = "", urgency: Urgency = USUAL) -> Priority:
    """How urgent an alarm of *source* is: by its *kind*, how far its peak lies over the limit, and for how long."""
    listed = SOURCE_PRIORITIES.get(source)
    if listed is not None:
        return listed
    if kind in urgency.kinds:
        return urgency.kinds[kind]
    far = 0
    if ratio >= urgency.high_ratio:
        far += 1
    if urgency.critical_ratio is not None and ratio >= urgency.critical_ratio:
        far += 1
    if urgency.long_s is not None and frames_over >= urgency.long_s * urgency.rate_hz:
        far += 1
    return PRIORITIES[min(PRIORITIES.index("medium") + far, len(PRIORITIES) - 1)]


def cause_of(source: str, priority: str, charts: Collection[str] = ()) -> str | None:
    """What withholds the permit while such an alarm is open, as `monitor.types.Cause` names it; None: nothing does.

    *charts*: sources that do not, since there is a rule for stops.
    """
    if source in SERVICE_SOURCES:
        return source if source in CAUSES else None
    if source == STOP:
        return STOP
    return None if source in charts else priority


def count_causes(alarms: Iterable[Alarm], charts: Collection[str] = ()) -> list[int]:
    """How many of *alarms* about frames there are of each of CAUSES."""
    about_frames = [alarm for alarm in alarms if alarm.source not in SERVICE_SOURCES]
    found = Counter(cause_of(alarm.source, alarm.priority, charts) for alarm in about_frames)
    return [found[cause] for cause in CAUSES]


def count_raised(raised: Mapping[tuple[str, str], int], new: Iterable[Alarm]) -> Mapping[tuple[str, str], int]:
    """*raised*, by source and priority, and the *new* ones. A new mapping: someone may be walking through the old."""
    counts = dict(raised)
    for alarm in new:
        key = (alarm.source, str(alarm.priority))
        counts[key] = counts.get(key, 0) + 1
    return counts


def ratio_of(alarm: Alarm) -> float:
    """How far the peak lies over the limit; 0 where an alarm has none."""
    return 0.0 if alarm.peak is None else alarm.peak.ratio


def foremost(before: Alarm | None, seen: Alarm) -> Alarm:
    """Which of the two speaks for an alarm, by its peak."""
    return seen if before is None or ratio_of(seen) >= ratio_of(before) else before


def gone_on(before: Alarm, seen: Alarm) -> Alarm:
    """The alarm *before* together with another event that goes on with it."""
    peak = foremost(before, seen)
    same = seen.stream == before.stream
    return msgspec.structs.replace(
        peak,
        state=seen.state,
        stream=seen.stream,
        first_seq=before.first_seq if same else seen.first_seq,
        last_seq=seen.last_seq,
        first_t_ns=before.first_t_ns if same else seen.first_t_ns,
        frames_over=before.frames_over + seen.frames_over,
        priority=max(before.priority, seen.priority, key=PRIORITIES.index),
        bundle=seen.bundle,
        why=seen.why or before.why,
    )
