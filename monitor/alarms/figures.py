"""How good the alarms are, as ISA-18.2 / IEC 62682 ask: how many an hour, floods, chattering, stale and frequent ones.

Pure functions of when alarms were raised, acknowledged and cleared (Unix nanoseconds).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

WINDOW_NS: Final = 600_000_000_000
"""Ten minutes: what a person is asked to manage is counted in these."""

MANAGEABLE: Final = 10  # alarms in ten minutes; more are a flood (ISA-18.2)
CHATTERING: Final = 3  # alarms of one source within a minute
CHATTER_NS: Final = 60_000_000_000
STALE_NS: Final = 86_400_000_000_000  # active for longer than a day
MOST_FREQUENT: Final = 10


class Lived(NamedTuple):
    """The times of one alarm; None: not yet."""

    source: str
    priority: str
    raised_t_ns: int
    acked_t_ns: int | None
    cleared_t_ns: int | None


class Frequent(msgspec.Struct, frozen=True):
    """How often a source raised an alarm, and its share of all."""

    source: str
    alarms: int
    share: float


class Figures(msgspec.Struct, frozen=True):
    """The figures of a period. ISA-18.2 asks for at most one to two alarms in ten minutes, and under 1 % in flood."""

    hours: float
    alarms: int
    by_priority: dict[str, int]
    per_hour: float
    per_ten_minutes: float
    most_in_ten_minutes: int
    flood_share: float  # of the ten-minute windows, those with more than MANAGEABLE
    chattering: list[str]  # sources that raised CHATTERING alarms within a minute
    stale: int  # active for longer than a day at the end of the period
    unacknowledged: int
    median_ack_s: float | None  # from raised to acknowledged
    frequent: list[Frequent]


def figures(alarms: Sequence[Lived], first_t_ns: int, last_t_ns: int) -> Figures:
    """Of the *alarms* raised from *first_t_ns* to *last_t_ns*, and of older ones that were active then.

    Raises ValueError where the period is empty.
    """
    if last_t_ns <= first_t_ns:
        raise ValueError("the period must end after it begins")
    new = [one for one in alarms if first_t_ns <= one.raised_t_ns < last_t_ns]
    length_ns = last_t_ns - first_t_ns
    windows = Counter((one.raised_t_ns - first_t_ns) // WINDOW_NS for one in new)
    count = -(-length_ns // WINDOW_NS)
    # Never negative: a clock may have been set back in between.
    waits = sorted(max(0, one.acked_t_ns - one.raised_t_ns) for one in new if one.acked_t_ns is not None)
    sources = Counter(one.source for one in new)
    return Figures(
        hours=length_ns / 3.6e12,
        alarms=len(new),
        by_priority=dict(Counter(one.priority for one in new)),
        per_hour=len(new) / (length_ns / 3.6e12),
        per_ten_minutes=len(new) / (length_ns / WINDOW_NS),
        most_in_ten_minutes=max(windows.values(), default=0),
        flood_share=sum(alarms > MANAGEABLE for alarms in windows.values()) / count,
        chattering=_chattering(new),
        stale=sum(_active_for(one, last_t_ns) > STALE_NS for one in alarms),
        unacknowledged=sum(one.acked_t_ns is None for one in new),
        median_ack_s=waits[len(waits) // 2] / 1e9 if waits else None,
        frequent=[Frequent(name, many, many / len(new)) for name, many in sources.most_common(MOST_FREQUENT)],
    )


def _chattering(alarms: Sequence[Lived]) -> list[str]:
    raised: dict[str, list[int]] = defaultdict(list)
    for one in alarms:
        raised[one.source].append(one.raised_t_ns)
    found = []
    for source, times in sorted(raised.items()):
        times.sort()
        if any(last - first <= CHATTER_NS for first, last in zip(times, times[CHATTERING - 1 :], strict=False)):
            found.append(source)
    return found


def _active_for(alarm: Lived, now_t_ns: int) -> int:
    """Nanoseconds that *alarm* has been active at *now_t_ns*; 0 of one that is over then."""
    if alarm.raised_t_ns >= now_t_ns or (alarm.cleared_t_ns is not None and alarm.cleared_t_ns < now_t_ns):
        return 0
    return now_t_ns - alarm.raised_t_ns
