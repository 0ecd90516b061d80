"""The life of alarms after ISA-18.2 / IEC 62682: what became of events goes in, with what operators did and the time;
revisions to be journalled and published come out. Pure: no clock, no disk, no socket.

normal -> (on-delay) -> active, unacknowledged -> acknowledged -> normal; or cleared before anybody acknowledged it. A
latched source stays active until it is acknowledged; an off-delay keeps it active for a while, and an event that comes
meanwhile goes on with the same alarm.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from monitor.alarms import flood as floods
from monitor.alarms import modes
from monitor.alarms.alarm import Alarm, Case, Verdict, id_of, priority_of, ratio_of, stamp_of
from monitor.alarms.book import SIDE_EPOCH, family
from monitor.alarms.flood import Flood, FloodRule
from monitor.alarms.modes import Modes
from monitor.types import State
from monitor.vitals import PRIORITIES

FLOOD_TOLD_NS: Final = 1_000_000_000
"""A flood that grows is told of so often."""

FLOOD_SUFFIX: Final = 0
"""Of the id of a flood alarm, which bears its cause's stamp: it sorts right before the alarm that it begins with."""

What = Literal[
    "kept", "given_up", "raised", "changed", "cleared", "acknowledged", "judged",
    "shelved", "unshelved", "suppressed", "unsuppressed", "out_of_service", "in_service",
]  # fmt: skip
"""What a revision is about."""

UNTOLD: Final = frozenset({"kept", "given_up"})
"""Published to nobody: what is to be known after a restart, and an event that was over before its on-delay."""


class Rules(NamedTuple):
    """What is asked of the life of each source; a source that is not named takes the plain way."""

    on_delay_s: Mapping[str, float] = {}
    off_delay_s: Mapping[str, float] = {}
    latched: frozenset[str] = frozenset()
    suppressed_in: Mapping[str, tuple[State, ...]] = {}
    flood: FloodRule | None = None
    flood_breaks_through: frozenset[str] = frozenset({"critical"})  # priorities that no flood hides


class Entry(msgspec.Struct, frozen=True):
    """An alarm that is not over yet: what its event says, and what was told of it."""

    epoch: str
    event: int
    carried: int
    seen: Alarm  # what the book says of the event that it follows now
    told: Alarm | None  # its last revision; None: the on-delay still runs
    before: Alarm | None = None  # what was told when an earlier event of it ended
    ended: bool = False  # no event is open


class Life(NamedTuple):
    """All alarms that are not over, and what holds for sources. A value: `follow` gives a new one."""

    entries: Mapping[str, Entry]  # by the alarm's id
    modes: Modes = MappingProxyType({})
    flood: Flood = Flood()
    flood_id: str | None = None  # of the alarm of the flood that lasts
    flood_told_ns: int = 0
    since_ns: Mapping[str, int] = MappingProxyType({})  # by id: monotonic, when what a delay counts from was seen

    @property
    def active(self) -> list[Alarm]:
        """The alarms that were told and are not cleared, oldest first."""
        told = (entry.told for entry in self.entries.values() if entry.told is not None)
        return sorted(told, key=lambda alarm: alarm.id)

    @property
    def holding(self) -> list[Alarm]:
        """Those, and what waits for its on-delay: what withholds the permit."""
        waiting = [entry.seen for entry in self.entries.values() if entry.told is None and not entry.ended]
        return [*self.active, *waiting]


class Revision(NamedTuple):
    """A change of an alarm: to be journalled, and then published unless it is UNTOLD."""

    entry: Entry
    what: What
    by: str = ""  # who did it; empty: the program
    reason: str = ""

    @property
    def alarm(self) -> Alarm:
        """What is told of it, or would be."""
        return self.entry.told or self.entry.seen


class Moment(NamedTuple):
    """When something is decided, and in which state."""

    state: State
    now_ns: int  # monotonic
    t_ns: int  # Unix


def open_life(entries: Iterable[Entry], modes: Modes, rules: Rules, now_ns: int) -> Life:
    """The life in which *entries* are not over. Delays begin anew, and a flood lasts at least a window more."""
    known = {entry.seen.id if entry.told is None else entry.told.id: entry for entry in entries}
    flooded = next((alarm_id for alarm_id, entry in known.items() if entry.seen.source == "flood"), None)
    flood = Flood()
    if flooded is not None and rules.flood is not None:
        flood = Flood((now_ns,) * (rules.flood.begins_above + 1), now_ns)
    if flooded is not None and rules.flood is None:  # floods are not looked for any more: it is over
        known[flooded] = msgspec.structs.replace(known[flooded], ended=True)
        flooded = None
    return Life(known, modes, flood, flooded, since_ns=dict.fromkeys(known, now_ns))


def cases_of(life: Life) -> list[Case]:
    """The events that are open, as the book follows them."""
    return [
        Case(entry.epoch, entry.event, entry.carried, entry.seen)
        for entry in life.entries.values()
        if not entry.ended and entry.seen.source != "flood"
    ]


def follow(rules: Rules, life: Life, cases: Sequence[Case], at: Moment) -> tuple[Life, list[Revision]]:
    """The life after what the book changed (*cases*), and after the time that has passed."""
    revisions: list[Revision] = []
    for case in cases:
        alarm_id, entry = _entered(life, case)
        known = life.entries.get(alarm_id)
        life, told = _tell(rules, _with(life, alarm_id, entry, at), alarm_id, at)
        if not told and entry != known:
            told = [Revision(entry, "kept")]
        revisions += told
    for key in modes.due(life.modes, at.now_ns):
        life = life._replace(modes=modes.ended(life.modes, *key))
    for alarm_id in list(life.entries):  # delays run out, modes begin and end
        life, told = _tell(rules, life, alarm_id, at)
        revisions += told
    life, told = _flood_goes_on(rules, life, at)
    return life, [*revisions, *told]


def acknowledge(
    rules: Rules, life: Life, entry: Entry, by: str, verdict: Verdict | None, reason: str, at: Moment
) -> tuple[Life, list[Revision]]:
    """Someone has seen the alarm of *entry*, cleared or not, and may say whether it was one; that may be said anew."""
    told = entry.told
    if told is None or (told.acked and verdict in (None, told.verdict)):
        return life, []
    seen = msgspec.structs.replace(told, acked=True, verdict=verdict or told.verdict, rev=told.rev + 1)
    revised = msgspec.structs.replace(entry, told=seen)
    revision = Revision(revised, "judged" if told.acked else "acknowledged", by, reason)
    if told.id not in life.entries:
        return life, [revision]
    life, more = _tell(rules, _with(life, told.id, revised, at), told.id, at)  # what was latched is over now
    return life, [revision, *more]


def change_modes(
    rules: Rules, life: Life, changed: Modes, what: What, by: str, reason: str, at: Moment
) -> tuple[Life, list[Revision]]:
    """The life in which the *changed* modes hold: alarms that are open show it."""
    life, revisions = life._replace(modes=changed), []
    for alarm_id in list(life.entries):
        life, told = _tell(rules, life, alarm_id, at)
        revisions += [one._replace(what=what, by=by, reason=reason) if one.what == "changed" else one for one in told]
    return life, revisions


def _entered(life: Life, case: Case) -> tuple[str, Entry]:
    """The entry that follows *case*: its own, one of the family that lingers, or a new one; and the alarm's id."""
    ended, (epoch, event, carried, seen) = case.alarm.state == "cleared", case
    for alarm_id, entry in life.entries.items():
        if entry.seen.id == seen.id:
            return alarm_id, msgspec.structs.replace(
                entry, epoch=epoch, event=event, carried=carried, seen=seen, ended=ended
            )
    for alarm_id, entry in life.entries.items():
        if entry.ended and entry.told is not None and family(entry.told.source) == family(seen.source):
            return alarm_id, Entry(epoch, event, carried, seen, entry.told, entry.told, ended)
    return seen.id, Entry(epoch, event, carried, seen, None, None, ended)


def _with(life: Life, alarm_id: str, entry: Entry, at: Moment) -> Life:
    """The life with *entry* written in. Delays count from where an event begins to be waited for, or ends."""
    before = life.entries.get(alarm_id)
    since = life.since_ns
    if before is None or before.ended != entry.ended:
        since = {**since, alarm_id: at.now_ns}
    return life._replace(entries={**life.entries, alarm_id: entry}, since_ns=since)


def _without(life: Life, alarm_id: str) -> Life:
    entries = {known: entry for known, entry in life.entries.items() if known != alarm_id}
    since_ns = {known: at for known, at in life.since_ns.items() if known != alarm_id}
    return life._replace(entries=entries, since_ns=since_ns)


def _tell(rules: Rules, life: Life, alarm_id: str, at: Moment) -> tuple[Life, list[Revision]]:
    """What is to be told of an alarm now, if it is anything new."""
    entry, since_ns = life.entries[alarm_id], life.since_ns[alarm_id]
    if entry.told is None:
        return _tell_first(rules, life, alarm_id, at)
    content = _content(entry)
    unseen = content.source in rules.latched and not content.acked
    off_ns = rules.off_delay_s.get(content.source, 0.0) * 1e9
    over = entry.ended and not unseen and at.now_ns - since_ns >= off_ns
    content = _flagged(rules, life, content, at)
    content = msgspec.structs.replace(content, state="cleared" if over else "active", latched=entry.ended and unseen)
    if content == entry.told:
        return life, []
    told = msgspec.structs.replace(content, rev=entry.told.rev + 1)
    entry = msgspec.structs.replace(entry, told=told)
    if over:
        return _without(life, alarm_id), [Revision(entry, "cleared")]
    return _with(life, alarm_id, entry, at), [Revision(entry, "changed")]


def _tell_first(rules: Rules, life: Life, alarm_id: str, at: Moment) -> tuple[Life, list[Revision]]:
    """An alarm that was not told yet: its on-delay runs, was long enough, or outlived the event."""
    entry, began_ns = life.entries[alarm_id], life.since_ns[alarm_id]
    delay_ns = rules.on_delay_s.get(entry.seen.source, 0.0) * 1e9
    if entry.ended and delay_ns > 0:
        return _without(life, alarm_id), [Revision(entry, "given_up")]
    if at.now_ns - began_ns < delay_ns:
        return life, []
    content = _flagged(rules, life, entry.seen, at)
    life, content, flood = _grouped(rules, life, content, at)
    told = msgspec.structs.replace(content, rev=1, state="active")
    entry = msgspec.structs.replace(entry, told=told)
    life = _with(life, alarm_id, entry, at)
    revisions = [*flood, Revision(entry, "raised")]
    if not entry.ended:
        return life, revisions
    life, more = _tell(rules, life, alarm_id, at)
    return life, [*revisions, *more]


def _content(entry: Entry) -> Alarm:
    """What the event says, beside what only the life knows."""
    seen, told = entry.seen, entry.told
    assert told is not None
    if entry.before is not None:
        seen = _gone_on(entry.before, seen)
    return msgspec.structs.replace(
        seen, id=told.id, rev=told.rev, raised_t_ns=told.raised_t_ns, acked=told.acked, verdict=told.verdict,
        group=told.group,
    )  # fmt: skip


def _gone_on(before: Alarm, seen: Alarm) -> Alarm:
    """The alarm *before* together with another event that goes on with it."""
    peak = seen if ratio_of(seen) >= ratio_of(before) else before
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
        kind=seen.kind or before.kind,
        bundle=seen.bundle,
        why=seen.why or before.why,
    )


def _flagged(rules: Rules, life: Life, alarm: Alarm, at: Moment) -> Alarm:
    """*alarm* with what holds for its source now."""
    held = {name: mode for (source, name), mode in life.modes.items() if source == alarm.source}
    why = []
    if "suppressed" in held:
        why.append(held["suppressed"].reason)
    if at.state in rules.suppressed_in.get(alarm.source, ()):
        why.append(f"the state is {at.state.value}")
    if alarm.group is not None and alarm.group == life.flood_id:
        why.append("it stands behind a flood alarm")
    return msgspec.structs.replace(
        alarm,
        shelved="shelved" in held,
        out_of_service="out_of_service" in held,
        suppressed=bool(why),
        suppressed_why="; ".join(why),
    )


def _grouped(rules: Rules, life: Life, alarm: Alarm, at: Moment) -> tuple[Life, Alarm, list[Revision]]:
    """A new *alarm*, behind the flood alarm if it is one too many; and the flood alarm if it begins with it."""
    untold = alarm.shelved or alarm.suppressed or alarm.out_of_service
    if rules.flood is None or untold or alarm.source == "flood" or alarm.priority in rules.flood_breaks_through:
        return life, alarm, []
    flood, [behind] = floods.step(rules.flood, life.flood, [alarm.source], at.now_ns)
    life, revisions = life._replace(flood=flood), []
    if behind and life.flood_id is None:
        entry = _flood_entry(rules.flood, flood, alarm, at)
        life = _with(life, entry.seen.id, entry, at)._replace(flood_id=entry.seen.id, flood_told_ns=at.now_ns)
        revisions = [Revision(entry, "raised")]
    if behind:
        alarm = _flagged(rules, life, msgspec.structs.replace(alarm, group=life.flood_id), at)
    return life, alarm, revisions


def _flood_entry(rule: FloodRule, flood: Flood, cause: Alarm, at: Moment) -> Entry:
    alarm = Alarm(
        id=id_of(stamp_of(cause.id), FLOOD_SUFFIX), rev=1, camera=cause.camera, stream=cause.stream, state="active",
        priority=priority_of("flood", 0.0), source="flood", first_seq=cause.first_seq, last_seq=cause.last_seq,
        first_t_ns=cause.first_t_ns, raised_t_ns=at.t_ns, frames_over=0, peak=None, pool=None, where=None, kind=None,
        job=cause.job, layer=cause.layer, context="", xy=None, bundle=cause.bundle, why=floods.why(rule, flood),
    )  # fmt: skip
    return Entry(SIDE_EPOCH, at.t_ns, 0, alarm, alarm)


def _flood_goes_on(rules: Rules, life: Life, at: Moment) -> tuple[Life, list[Revision]]:
    """The flood alarm tells how many stand behind it, and ends with the flood: those that last are told then."""
    if rules.flood is None:
        return life, []
    flood, _ = floods.step(rules.flood, life.flood, [], at.now_ns)
    life = life._replace(flood=flood)
    if life.flood_id is None:
        return life, []
    entry = life.entries.get(life.flood_id)
    if entry is None:  # it was over by itself, after an off-delay or an acknowledgement
        return _told_after_flood(rules, life, at)
    over = flood.since_ns is None
    if not over and (at.now_ns - life.flood_told_ns < FLOOD_TOLD_NS or not flood.grouped):
        return life, []
    seen = entry.seen if over else msgspec.structs.replace(entry.seen, why=floods.why(rules.flood, flood))
    entry = msgspec.structs.replace(entry, seen=seen, ended=over)
    flood_id = entry.seen.id
    life = _with(life, flood_id, entry, at)._replace(flood_told_ns=at.now_ns)
    life, revisions = _tell(rules, life, flood_id, at)
    if not over or flood_id in life.entries:
        return life, revisions
    life, told = _told_after_flood(rules, life, at)
    return life, [*revisions, *told]


def _told_after_flood(rules: Rules, life: Life, at: Moment) -> tuple[Life, list[Revision]]:
    """No flood alarm stands for others any more: those that last are told."""
    life, revisions = life._replace(flood_id=None), list[Revision]()
    for alarm_id in list(life.entries):
        life, told = _tell(rules, life, alarm_id, at)
        revisions += told
    return life, revisions
