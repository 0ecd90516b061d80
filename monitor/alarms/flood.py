"""More alarms than a person can read: above so many in a while, the next ones stand behind one flood alarm.

The usual figures are those of ISA-18.2 and IEC 62682: more than ten new alarms in ten minutes begin a flood, and fewer
than five end it. Pure: time is an argument (monotonic nanoseconds).
"""

from collections import Counter
from typing import NamedTuple


class FloodRule(NamedTuple):
    """When alarms are a flood."""

    begins_above: int = 10  # new alarms within the window
    ends_below: int = 5
    window_s: float = 600.0


class Flood(NamedTuple):
    """New alarms of the last window, and since when there are too many."""

    raised_ns: tuple[int, ...] = ()  # oldest first
    since_ns: int | None = None  # None: no flood
    grouped: int = 0  # alarms of this flood that stand behind its alarm
    by_source: tuple[tuple[str, int], ...] = ()  # of those


def step(rule: FloodRule, flood: Flood, new_sources: list[str], now_ns: int) -> tuple[Flood, list[bool]]:
    """The flood at *now_ns* after new alarms of *new_sources*, and which of these are grouped.

    The alarm that goes beyond the number begins the flood and is grouped itself; those before it stay as they were.
    """
    window_ns = round(rule.window_s * 1e9)
    raised = [t_ns for t_ns in flood.raised_ns if now_ns - t_ns < window_ns]
    since_ns, grouped, by_source = flood.since_ns, flood.grouped, Counter(dict(flood.by_source))
    if since_ns is not None and len(raised) < rule.ends_below and not new_sources:
        since_ns, grouped, by_source = None, 0, Counter()
    behind = []
    for source in new_sources:
        raised.append(now_ns)
        if since_ns is None and len(raised) > rule.begins_above:
            since_ns = now_ns
        behind.append(since_ns is not None)
        if since_ns is not None:
            grouped += 1
            by_source[source] += 1
    # Older ones than it takes to begin a flood say no more.
    kept = tuple(raised[-max(rule.begins_above, rule.ends_below) - 1 :])
    return Flood(kept, since_ns, grouped, tuple(by_source.most_common())), behind


def due_ns(rule: FloodRule, flood: Flood) -> int | None:
    """When the flood ends if no new alarm comes; None: there is no flood."""
    if flood.since_ns is None or len(flood.raised_ns) < rule.ends_below:
        return flood.since_ns
    return sorted(flood.raised_ns)[-rule.ends_below] + round(rule.window_s * 1e9)


def why(rule: FloodRule, flood: Flood) -> str:
    """What the flood alarm says."""
    told = ", ".join(f"{count} {source}" for source, count in flood.by_source)
    return (
        f"more than {rule.begins_above} new alarms in {rule.window_s / 60:g} minutes: since then {flood.grouped} more "
        f"stand behind this one ({told})"
    )
