"""Alarms as a person reads them in a terminal."""

import time
from collections.abc import Sequence
from pathlib import PurePath

import msgspec

from monitor import screen
from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.alarms.figures import Figures
from monitor.alarms.modes import Modes
from monitor.journal.reading import Told
from monitor.logs import visible


def clock(t_ns: int) -> str:
    """A time of day of this place."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t_ns / 1e9))


def state_of(alarm: Alarm) -> str:
    """In words of ISA-18.2."""
    seen = "acknowledged" if alarm.acked else "unacknowledged"
    hidden = [
        word
        for word, holds in (
            ("shelved", alarm.shelved),
            ("suppressed", alarm.suppressed),
            ("out of service", alarm.out_of_service),
            ("latched", alarm.latched),
        )
        if holds
    ]
    return ", ".join([alarm.state, seen, *hidden])


def line_of(alarm: Alarm) -> str:
    """One line for one revision."""
    if alarm.source in SERVICE_SOURCES:
        told = alarm.why
    else:
        peak = f"{alarm.peak.ratio:.1f} x its limit" if alarm.peak else "camera fault"
        place = "" if alarm.layer is None else f", layer {alarm.layer}"
        told = f"frames {alarm.first_seq} to {alarm.last_seq}, {peak}{place}"
    return f"{alarm.priority:<8} {alarm.source:<15} {state_of(alarm)}: {told}"


def alarms(found: Sequence[Alarm], count: int, unacknowledged: int) -> None:
    """A table, the latest first, of *count* that there are; how many of these nobody has acknowledged."""
    if not found:
        return screen.say("no alarms")
    shown = f"the latest {len(found)}, newest first" if len(found) < count else "newest first"
    screen.say(f"{count} alarm{'s' * (count != 1)}, {unacknowledged} unacknowledged; {shown}")
    numbers = ("frames over", "peak / limit")
    headings = ["id", "raised", "priority", "source", "state", "verdict", "layer", *numbers]
    grouped = any(alarm.group for alarm in found)
    recorded = any(alarm.recording for alarm in found)
    headings += (["behind flood alarm"] if grouped else []) + (["recording"] if recorded else [])
    rows = [
        (
            alarm.id,
            clock(alarm.raised_t_ns),
            alarm.priority,
            alarm.source,
            state_of(alarm),
            alarm.verdict or "",
            "" if alarm.layer is None else str(alarm.layer),
            str(alarm.frames_over),
            f"{alarm.peak.ratio:.2f}" if alarm.peak else "",
            *([alarm.group or ""] if grouped else []),
            *([PurePath(alarm.recording or "").name] if recorded else []),
        )
        for alarm in found
    ]
    return screen.listing(headings, rows, numbers)


def history(changes: Sequence[Told]) -> None:
    """What became of one alarm, line by line."""
    for one in changes:
        who = f" by {visible(one.by)}" if one.by else ""
        why = f" ({visible(one.reason)})" if one.reason else ""
        screen.say(f"{clock(one.t_ns)}  rev {one.alarm.rev:<3} {one.what}{who}{why}: {line_of(one.alarm)}")


def sources(modes: Modes) -> None:
    """Sources that are not told as usual."""
    if not modes:
        return screen.say("all sources are told as usual")
    for (source, name), mode in modes.items():
        until = "" if mode.until_t_ns is None else f" until {clock(mode.until_t_ns)}"
        why = f": {visible(mode.reason)}" if mode.reason else ""
        since = f"by {visible(mode.by)} since {clock(mode.since_t_ns)}"
        screen.say(f"{source} is {name.replace('_', ' ')}{until}, {since}{why}")
    return None


def figures(found: Figures) -> None:
    """The figures of ISA-18.2, with what it asks for."""
    asked = (
        ("alarms", f"{found.alarms} in {found.hours:g} hours", ""),
        ("an hour", f"{found.per_hour:.2f}", "at most 6 to 12"),
        ("in ten minutes", f"{found.per_ten_minutes:.2f}, at most {found.most_in_ten_minutes}", "1 to 2, at most 10"),
        ("in flood", f"{100 * found.flood_share:.2f} % of the time", "under 1 %"),
        ("chattering", ", ".join(found.chattering) or "none", "none"),
        ("stale", f"{found.stale} active for more than a day", "under 5"),
        ("unacknowledged", str(found.unacknowledged), ""),
        ("acknowledged within", "" if found.median_ack_s is None else f"{found.median_ack_s:.0f} s (median)", ""),
        ("by priority", ", ".join(f"{count} {name}" for name, count in found.by_priority.items()), "80 % low"),
    )
    table = screen.plain_table()
    for heading in ("", "found", "ISA-18.2 asks for"):
        table.add_column(heading, no_wrap=True)
    for row in asked:
        table.add_row(*row)
    for one in found.frequent:
        table.add_row("frequent", f"{one.source}: {one.alarms}, {100 * one.share:.0f} %", "")
    screen.out.print(table)


def as_json(value: object) -> None:
    """One JSON document."""
    screen.say(msgspec.json.format(msgspec.json.encode(value)).decode())
