"""However late event records are read, and however many at once, the same alarms come of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from alarm_example import at
from daemon_example import record
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.book import apply, open_book
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Entry, Life, Revision, Rules, cases_of, follow, open_life
from monitor.alarms.modes import Mode
from monitor.alarms.reading import read
from monitor.eventlog import EventRecord
from monitor.types import State

S = 10**9
BOOT = "boot-1"
RULES = Rules(
    on_delay_s={"s2": 1.0, "blind": 2.0},
    off_delay_s={"t2": 1.5, "degraded": 0.5},
    latched=frozenset({"frozen"}),
    suppressed_in={"dark": (State.IDLE,)},
    flood=FloodRule(begins_above=3, ends_below=2, window_s=5.0),
)
SHELVED = {("s2", "shelved"): Mode("shelved", "ann", "", 0, 4 * S, 4 * S)}


class Reader:
    """Reads what was written by the time that it gets to it; remembers all that it told."""

    def __init__(self, rules: Rules, modes: Mapping[tuple[str, str], Mode] | None = None) -> None:
        self.rules = rules
        self.book, self.life = open_book("melt", []), Life({}, modes or {}, clock=BOOT)  # type: ignore[arg-type]
        self.told: list[Revision] = []
        self.kept: dict[str, bytes] = {}  # as a journal keeps them

    def read(self, records: Sequence[EventRecord], now_ns: int) -> None:
        self.book, self.life, told = read(self.rules, self.book, self.life, records, at(now_ns))
        self.told += told
        for one in told:
            self.kept[one.alarm.id] = msgspec.json.encode(one.entry)
            if one.what == "given_up":
                del self.kept[one.alarm.id]

    def restart(self, now_ns: int, clock: str = BOOT) -> None:
        """Another process goes on with what was kept."""
        entries = [msgspec.json.decode(entry, type=Entry) for entry in self.kept.values()]
        going_on = [entry for entry in entries if entry.told is None or entry.told.state == "active"]
        self.life = open_life(going_on, self.life.modes, self.rules, now_ns, clock)
        self.book = open_book("melt", cases_of(self.life))

    def raised(self) -> set[tuple[str, int]]:
        return {(one.entry.epoch, one.entry.event) for one in self.told if one.what == "raised"}


def read_at(reader: Reader, records: Sequence[EventRecord], times_ns: Sequence[int], restarts: bool = False) -> None:
    """At each of those times *reader* reads what was written by then and not read before."""
    start = 0
    for now_ns in sorted(times_ns):
        if restarts:
            reader.restart(now_ns)
        end = sum(one.mono_ns <= now_ns for one in records)
        reader.read(records[start:end], now_ns)
        start = end
    assert start == len(records)


some_times = st.lists(st.integers(0, 30 * S), max_size=8)
some_records = st.lists(
    st.builds(
        record,
        phase=st.sampled_from(["began", "grew", "ended", "settled"]),
        event=st.integers(0, 5),
        epoch=st.sampled_from(["hot-1", "hot-2"]),
        source=st.sampled_from(["t2", "s2", "frozen", "dark", "degraded", "blind"]),
        last_seq=st.integers(0, 50),
        frames_over=st.integers(0, 50),
        mono_ns=st.integers(1, 20 * S),
    ),
    max_size=30,
).map(lambda records: sorted(records, key=lambda one: one.mono_ns))


@settings(max_examples=400, deadline=None)
@given(some_records, some_times, st.sampled_from([0.3, 1.0, 100.0]))
def test_however_records_are_cut_into_reads_and_however_late_all_is_told_alike(
    records: list[EventRecord], times_ns: list[int], window_s: float
) -> None:
    rules = RULES._replace(flood=FloodRule(begins_above=3, ends_below=2, window_s=window_s))
    prompt, other, late = (Reader(rules, SHELVED) for _ in range(3))
    end_ns = 500 * S
    read_at(prompt, records, [*range(0, 40 * S, S // 5), end_ns])
    read_at(other, records, [*times_ns, end_ns])
    read_at(late, records, [end_ns])
    assert prompt.told == other.told == late.told


class Happened(NamedTuple):
    """An event as it was: nanoseconds from the first moment on."""

    began_ns: int
    lasted_ns: int
    grew: tuple[int, ...]  # in thousandths of how long it lasted


def records_of(events: Sequence[Happened], source: str = "blind") -> list[EventRecord]:
    """What a hot process wrote of *events*, in its order."""
    written = []
    for number, one in enumerate(events):
        moments = [0, *(one.lasted_ns * share // 1000 for share in sorted(one.grew)), one.lasted_ns]
        for index, after_ns in enumerate(moments):
            phase = "began" if index == 0 else "ended" if index == len(moments) - 1 else "grew"
            told = {"last_seq": 10 + index, "frames_over": 3 + index, "began_ns": one.began_ns}
            told["t_ns"] = 1_000 * (one.began_ns + after_ns)  # room for stamps of events that began together
            mono_ns = one.began_ns + after_ns
            written.append(record(phase, event=number, source=source, mono_ns=mono_ns, **told))  # type: ignore[arg-type]
    return sorted(written, key=lambda one: one.mono_ns)


some_events = st.lists(
    st.builds(
        Happened,
        st.integers(1, 20 * S),
        st.integers(0, 4 * S),
        st.lists(st.integers(0, 1000), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(some_events, some_times, st.booleans())
def test_an_event_is_an_alarm_exactly_where_it_outlasted_its_on_delay_also_over_restarts(
    events: list[Happened], times_ns: list[int], restarts: bool
) -> None:
    reader = Reader(Rules(on_delay_s={"blind": 2.0}))
    read_at(reader, records_of(events), [*times_ns, 500 * S], restarts)
    assert reader.raised() == {("hot-1", i) for i, one in enumerate(events) if one.lasted_ns >= 2 * S}
    outcomes = [one.what for one in reader.told if one.what in ("raised", "cleared")]
    assert outcomes.count("cleared") == len(reader.raised())
    assert reader.life.entries == {}


@settings(max_examples=100, deadline=None)
@given(some_events)
def test_an_event_of_which_only_the_end_was_not_overwritten_is_measured_all_the_same(events: list[Happened]) -> None:
    reader = Reader(Rules(on_delay_s={"blind": 2.0}))
    reader.read([one for one in records_of(events) if one.phase == "ended"], 500 * S)
    assert reader.raised() == {("hot-1", i) for i, one in enumerate(events) if one.lasted_ns >= 2 * S}


@settings(max_examples=200, deadline=None)
@given(some_events, some_times, st.booleans())
def test_an_off_delay_joins_the_same_events_however_they_are_read_also_over_restarts(
    events: list[Happened], times_ns: list[int], restarts: bool
) -> None:
    rules = Rules(off_delay_s={"blind": 1.0})
    prompt, other = Reader(rules), Reader(rules)
    records = records_of(events)
    read_at(prompt, records, [*range(0, 40 * S, S // 5), 500 * S])
    read_at(other, records, [*times_ns, 500 * S], restarts)
    assert [(one.what, one.alarm) for one in other.told] == [(one.what, one.alarm) for one in prompt.told]


def test_an_event_that_began_and_ended_while_nobody_read_is_raised_and_cleared() -> None:
    reader = Reader(Rules(on_delay_s={"blind": 2.0}))
    reader.read(records_of([Happened(S, 3 * S, ())]), 60 * S)
    assert [(one.what, one.alarm.state) for one in reader.told[1:]] == [("raised", "active"), ("cleared", "cleared")]


def test_a_delay_that_began_in_another_start_of_the_daemon_begins_anew() -> None:
    """After a reboot of the machine its clock has begun anew: what it said before lies in the future."""
    reader = Reader(Rules(on_delay_s={"blind": 2.0}))
    reader.read(records_of([Happened(10**6 * S, S, ())])[:1], 10**6 * S)
    reader.restart(5 * S, clock="boot-2")
    reader.read([], 7 * S - 1)
    assert reader.raised() == set()
    reader.read([], 7 * S)
    assert reader.raised() == {("hot-1", 0)}


def test_an_entry_of_which_no_clock_is_known_begins_anew() -> None:
    """As journals of older versions have them."""
    book, [case] = apply(open_book("melt", []), record("began", source="blind"))
    older = Entry(case.epoch, case.event, 0, case.alarm, None)
    rules = Rules(on_delay_s={"blind": 2.0})
    life, told = follow(rules, open_life([older], {}, rules, 50 * S, BOOT), [], at(51 * S))
    assert told == []
    assert [one.what for one in follow(rules, life, [], at(52 * S))[1]] == ["raised"]
    assert book.active == [case.alarm]


def test_a_record_of_a_writer_without_that_clock_counts_from_now() -> None:
    reader = Reader(Rules(on_delay_s={"blind": 2.0}))
    reader.read([record("began", source="blind")], 50 * S)
    assert reader.raised() == set()
    reader.read([], 52 * S)
    assert reader.raised() == {("hot-1", 1)}
