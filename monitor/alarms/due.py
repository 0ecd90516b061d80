"""When something happens to alarms by itself: delays run out, modes and floods end. Pure."""

from collections.abc import Iterator
from typing import Final

from monitor.alarms import flood as floods
from monitor.alarms.alarm import foremost
from monitor.alarms.entry import Entry, Life, Rules

FLOOD_TOLD_NS: Final = 1_000_000_000
"""A flood that grows is told of so often."""


def due(rules: Rules, life: Life) -> Iterator[int]:
    """When something happens by itself (monotonic)."""
    yield from (mode.until_ns for mode in life.modes.values() if mode.until_ns is not None)
    if rules.on_delay_s or rules.off_delay_s:  # else nothing waits
        found = (runs_out_ns(rules, entry) for entry in life.entries.values())
        yield from (due_ns for due_ns in found if due_ns is not None)
    if rules.flood is None or life.flood_id is None:
        return
    if (ends_ns := floods.due_ns(rules.flood, life.flood)) is not None:
        yield ends_ns
        if (grows_ns := flood_grows_ns(life)) is not None:
            yield grows_ns


def flood_grows_ns(life: Life) -> int | None:
    """When the flood alarm tells that more stand behind it; None: nothing new does."""
    new = life.flood.grouped not in (0, life.flood_told)
    return life.flood_told_ns + FLOOD_TOLD_NS if new else None


def runs_out_ns(rules: Rules, entry: Entry) -> int | None:
    """When the on-delay or off-delay of *entry* runs out; None: it waits for something else."""
    if entry.told is None:
        return entry.since_ns + round(rules.on_delay_s.get(entry.seen.source, 0.0) * 1e9)
    if not entry.ended:
        return None
    source = foremost(entry.before, entry.seen).source
    if source in rules.latched and not entry.told.acked:
        return None
    return entry.since_ns + round(rules.off_delay_s.get(source, 0.0) * 1e9)
