"""The life of alarms after ISA-18.2 / IEC 62682: what became of events goes in, with what operators did and the time;
revisions to be journalled and published come out. Pure: no clock, no disk, no socket.

normal -> (on-delay) -> active, unacknowledged -> acknowledged -> normal; or cleared before anybody acknowledged it. A
latched source stays active until it is acknowledged; an off-delay keeps it active for a while, and an event that comes
meanwhile goes on with the same alarm.

Time is that of what happened, not of who hears of it: `follow` first lets happen, each at its own moment, what was due
before, so that the same events make the same alarms however late they are read, and however many at once.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from monitor.alarms import flood as floods
from monitor.alarms import modes
from monitor.alarms.alarm import Alarm, Case, Urgency, Verdict, foremost, gone_on, id_of, priority_of, stamp_of
from monitor.alarms.book import SIDE_EPOCH, family, with_kind
from monitor.alarms.due import due, flood_grows_ns, runs_out_ns
from monitor.alarms.entry import UNTOLD as UNTOLD  # these for those who know them from here
from monitor.alarms.entry import Entry as Entry
from monitor.alarms.entry import Life as Life
from monitor.alarms.entry import Moment as Moment
from monitor.alarms.entry import Revision as Revision
from monitor.alarms.entry import Rules as Rules
from monitor.alarms.entry import What as What
from monitor.alarms.flood import Flood, FloodRule
from monitor.alarms.modes import Modes
from monitor.types import Kind

FLOOD_SUFFIX: Final = 0
"""Of the id of a flood alarm, which bears its cause's stamp: it sorts right before the alarm that it begins with."""


def open_life(entries: Iterable[Entry], modes: Modes, rules: Rules, now_ns: int, clock: str = "") -> Life:
    """The life in which *entries* are not over. A flood lasts at least a window more.

    *clock* names this start of the daemon: delays go on that began in it, all others begin anew.
    """
    known = {
        entry.seen.id if entry.told is None else entry.told.id: entry
        if clock and entry.clock == clock
        else msgspec.structs.replace(entry, since_ns=now_ns, clock=clock)
        for entry in entries
    }
    flooded = next((alarm_id for alarm_id, entry in known.items() if entry.seen.source == "flood"), None)
    flood = Flood()
    if flooded is not None and rules.flood is not None:
        flood = Flood((now_ns,) * (rules.flood.begins_above + 1), now_ns)
    if flooded is not None and rules.flood is None:  # floods are not looked for any more: it is over
        known[flooded] = msgspec.structs.replace(known[flooded], ended=True)
        flooded = None
    return Life(known, modes, flood, flooded, clock=clock)


def cases_of(life: Life) -> list[Case]:
    """The events that are open, as the book follows them."""
    return [
        Case(entry.epoch, entry.event, entry.carried, entry.seen)
        for entry in life.entries.values()
        if not entry.ended and entry.seen.source != "flood"
    ]


def follow(rules: Rules, life: Life, cases: Sequence[Case], at: Moment) -> tuple[Life, list[Revision]]:
    """The life after all that was due up to *at*, and after what the book changed (*cases*) at that moment."""
    life, revisions = _pass_time(rules, life, at)
    for case in cases:
        alarm_id, entry = _entered(life, case, at)
        known = life.entries.get(alarm_id)
        life, told = _tell(rules, _with(life, alarm_id, entry), alarm_id, at)
        if not told and entry != known:
            told = [Revision(entry, "kept")]
        revisions += told
    life, told = _flood_goes_on(rules, life, at)
    return life, [*revisions, *told]


def _pass_time(rules: Rules, life: Life, at: Moment) -> tuple[Life, list[Revision]]:
    """What happens by itself up to *at*, in its order: delays run out, modes and floods end; then a new state holds."""
    revisions: list[Revision] = []
    while (due_ns := min(due(rules, life), default=at.now_ns + 1)) <= at.now_ns:
        then, before = at.moved_to(due_ns), life.modes
        for key in modes.due(life.modes, due_ns):
            life = life._replace(modes=modes.ended(life.modes, *key))
        for alarm_id, entry in list(life.entries.items()):
            end_ns = runs_out_ns(rules, entry)
            if life.modes is not before or (end_ns is not None and end_ns <= due_ns):
                life, told = _tell(rules, life, alarm_id, then)
                revisions += told
        life, told = _flood_goes_on(rules, life, then)
        revisions += told
    if life.state is not at.state:
        life, told = _tell_all(rules, life._replace(state=at.state), at)
        revisions += told
    return life, revisions


def _tell_all(rules: Rules, life: Life, at: Moment) -> tuple[Life, list[Revision]]:
    revisions: list[Revision] = []
    for alarm_id in list(life.entries):
        life, told = _tell(rules, life, alarm_id, at)
        revisions += told
    return life, revisions


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
    life, more = _tell(rules, _with(life, told.id, revised), told.id, at)  # what was latched is over now
    return life, [revision, *more]


def comment(life: Life, entry: Entry, by: str, text: str) -> tuple[Life, list[Revision]]:
    """Someone says *text* of the alarm of *entry*, cleared or not: a revision in which nothing else has changed."""
    told = entry.told
    if told is None:
        return life, []
    said = msgspec.structs.replace(entry, told=msgspec.structs.replace(told, rev=told.rev + 1))
    life = _with(life, told.id, said) if told.id in life.entries else life
    return life, [Revision(said, "commented", by, text)]


def name(
    rules: Rules, life: Life, entry: Entry, kind: Kind | None, urgency: Urgency, at: Moment
) -> tuple[Life, list[Revision]]:
    """It is known only now what the event of *entry* was, which is over. Its alarm is too, or waits for something."""
    told, seen = entry.told, with_kind(urgency, entry.seen, kind)
    if told is None or seen == entry.seen:
        return life, []
    named = msgspec.structs.replace(entry, seen=seen)
    if told.id in life.entries:
        life, revisions = _tell(rules, _with(life, told.id, named), told.id, at)
        return life, revisions or [Revision(named, "kept")]
    if foremost(entry.before, seen) is not seen:  # another event speaks for the alarm
        return life, []
    alarm = msgspec.structs.replace(with_kind(urgency, told, kind), rev=told.rev + 1)
    return life, [Revision(msgspec.structs.replace(named, told=alarm), "named", was=told.priority)]


def recorded(life: Life, entry: Entry, path: str) -> tuple[Life, list[Revision]]:
    """The frames of the alarm of *entry*, cleared or not, are in the file at *path*."""
    told = entry.told
    if told is None or told.recording == path:
        return life, []
    kept = msgspec.structs.replace(entry, told=msgspec.structs.replace(told, recording=path, rev=told.rev + 1))
    life = _with(life, told.id, kept) if told.id in life.entries else life
    return life, [Revision(kept, "recorded")]


def change_modes(
    rules: Rules, life: Life, changed: Modes, what: What, by: str, reason: str, at: Moment
) -> tuple[Life, list[Revision]]:
    """The life in which the *changed* modes hold: alarms that are open show it."""
    life, told = _tell_all(rules, life._replace(modes=changed), at)
    return life, [one._replace(what=what, by=by, reason=reason) if one.what == "changed" else one for one in told]


def _entered(life: Life, case: Case, at: Moment) -> tuple[str, Entry]:
    """The entry that follows *case*: its own, one of the family that lingers, or a new one; and the alarm's id."""
    ended, (epoch, event, carried, seen, began_ns) = case.alarm.state == "cleared", case
    for alarm_id, entry in life.entries.items():
        if entry.seen.id == seen.id:
            since_ns = entry.since_ns if entry.ended == ended else at.now_ns
            return alarm_id, msgspec.structs.replace(
                entry, epoch=epoch, event=event, carried=carried, seen=seen, ended=ended, since_ns=since_ns
            )
    for alarm_id, entry in life.entries.items():
        if entry.ended and entry.told is not None and family(entry.told.source) == family(seen.source):
            told = entry.told
            return alarm_id, Entry(epoch, event, carried, seen, told, told, ended, at.now_ns, life.clock)
    return seen.id, Entry(epoch, event, carried, seen, None, None, ended, began_ns or at.now_ns, life.clock)


def _with(life: Life, alarm_id: str, entry: Entry) -> Life:
    return life._replace(entries={**life.entries, alarm_id: entry})


def _without(life: Life, alarm_id: str) -> Life:
    return life._replace(entries={known: entry for known, entry in life.entries.items() if known != alarm_id})


def _tell(rules: Rules, life: Life, alarm_id: str, at: Moment) -> tuple[Life, list[Revision]]:
    """What is to be told of an alarm now, if it is anything new."""
    entry = life.entries[alarm_id]
    if entry.told is None:
        return _tell_first(rules, life, alarm_id, at)
    end_ns = runs_out_ns(rules, entry)
    over = end_ns is not None and at.now_ns >= end_ns
    content = _flagged(rules, life, _content(entry), at)
    latched = entry.ended and content.source in rules.latched and not content.acked
    content = msgspec.structs.replace(content, state="cleared" if over else "active", latched=latched)
    if content == entry.told:
        return life, []
    told = msgspec.structs.replace(content, rev=entry.told.rev + 1)
    entry = msgspec.structs.replace(entry, told=told)
    if over:
        return _without(life, alarm_id), [Revision(entry, "cleared")]
    return _with(life, alarm_id, entry), [Revision(entry, "changed")]


def _tell_first(rules: Rules, life: Life, alarm_id: str, at: Moment) -> tuple[Life, list[Revision]]:
    """An alarm that was not told yet: its on-delay runs, was long enough, or outlived the event."""
    entry = life.entries[alarm_id]
    if entry.ended and rules.on_delay_s.get(entry.seen.source, 0.0) > 0:
        return _without(life, alarm_id), [Revision(entry, "given_up")]
    end_ns = runs_out_ns(rules, entry)
    if end_ns is not None and at.now_ns < end_ns:
        return life, []
    content = _flagged(rules, life, entry.seen, at)
    life, content, flood = _grouped(rules, life, content, at)
    told = msgspec.structs.replace(content, rev=1, state="active")
    entry = msgspec.structs.replace(entry, told=told)
    life = _with(life, alarm_id, entry)
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
        seen = gone_on(entry.before, seen)
    return msgspec.structs.replace(
        seen, id=told.id, rev=told.rev, raised_t_ns=told.raised_t_ns, acked=told.acked, verdict=told.verdict,
        group=told.group, recording=told.recording,
    )  # fmt: skip


def _flagged(rules: Rules, life: Life, alarm: Alarm, at: Moment) -> Alarm:
    """*alarm* with what holds for its source now."""
    held = {name: mode for (source, name), mode in life.modes.items() if source == alarm.source}
    why = []
    if "suppressed" in held:
        why.append(held["suppressed"].reason)
    if at.state in rules.suppressed_in.get(alarm.source, ()):
        why.append(f"the state is {at.state.value}")
    grouped = alarm.group is not None and alarm.group == life.flood_id
    if grouped and alarm.priority not in rules.flood_breaks_through:
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
        entry = msgspec.structs.replace(entry, since_ns=at.now_ns, clock=life.clock)
        life = _with(life, entry.seen.id, entry)._replace(flood_id=entry.seen.id)
        life = life._replace(flood_told_ns=at.now_ns, flood_told=flood.grouped)
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
    over, grows_ns = flood.since_ns is None, flood_grows_ns(life)
    grew = grows_ns is not None and at.now_ns >= grows_ns
    if entry.ended if over else not grew:
        return life, []
    seen = entry.seen if over else msgspec.structs.replace(entry.seen, why=floods.why(rules.flood, flood))
    since_ns = entry.since_ns if entry.ended == over else at.now_ns
    entry = msgspec.structs.replace(entry, seen=seen, ended=over, since_ns=since_ns)
    flood_id = entry.seen.id
    life = _with(life, flood_id, entry)._replace(flood_told_ns=at.now_ns, flood_told=flood.grouped)
    life, revisions = _tell(rules, life, flood_id, at)
    if not over or flood_id in life.entries:
        return life, revisions
    life, told = _told_after_flood(rules, life, at)
    return life, [*revisions, *told]


def _told_after_flood(rules: Rules, life: Life, at: Moment) -> tuple[Life, list[Revision]]:
    """No flood alarm stands for others any more: those that last are told."""
    return _tell_all(rules, life._replace(flood_id=None), at)
