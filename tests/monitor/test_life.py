"""The life of alarms: whatever happens, each is raised once, goes forward only, and nothing is lost."""

from collections.abc import Sequence

import msgspec
import pytest
from alarm_example import PLAIN, at
from daemon_example import record
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.acts import Acknowledge, Asked, Comment, PutBack, Refused, Shelve, Suppress, TakeOut, do
from monitor.alarms.alarm import PRIORITIES, Alarm
from monitor.alarms.book import apply, open_book
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import UNTOLD, Entry, Life, Revision, Rules, cases_of, follow, open_life
from monitor.eventlog import EventRecord
from monitor.types import Peak, State

S = 10**9


class Story:
    """A book and a life that go on together; remembers all that was told."""

    def __init__(self, rules: Rules = PLAIN) -> None:
        self.rules = rules
        self.book, self.life = open_book("melt", []), Life({})
        self.now_ns = 0
        self.state = State.OK
        self.told: list[Revision] = []
        self.kept: dict[str, Entry] = {}  # as a journal keeps them

    def see(self, *records: EventRecord) -> list[Revision]:
        """What is told of *records* now."""
        found: list[Revision] = []
        for one in records or (None,):
            cases = []
            if one is not None:
                self.book, cases = apply(self.book, one)
            self.life, more = follow(self.rules, self.life, cases, self.at)
            found += more
        return self._keep(found)

    def wait(self, seconds: float) -> list[Revision]:
        self.now_ns += round(seconds * S)
        return self.see()

    def do(self, target: str, asked: Asked) -> list[Revision]:
        outcome = do(self.rules, self.life, target, asked, self.kept.get, self.at)
        assert not isinstance(outcome, Refused), outcome
        self.life = outcome.life
        return self._keep(outcome.revisions)

    def restart(self) -> None:
        """Another process goes on with what was kept."""
        entries = [entry for entry in self.kept.values() if entry.told is None or entry.told.state == "active"]
        self.life = open_life(entries, self.life.modes, self.rules, self.now_ns)
        # What was read of the event log is not read again.
        self.book = open_book("melt", cases_of(self.life))._replace(closed=self.book.closed)

    @property
    def at(self):  # type: ignore[no-untyped-def]
        return at(self.now_ns, self.state)

    def _keep(self, revisions: list[Revision]) -> list[Revision]:
        for one in revisions:
            if one.what == "given_up":
                self.kept.pop(one.alarm.id, None)
            else:
                self.kept[one.alarm.id] = one.entry
        told = [one for one in revisions if one.what not in UNTOLD]
        self.told += told
        return told


def seen(revisions: Sequence[Revision]) -> list[tuple[str, int, str]]:
    return [(one.what, one.alarm.rev, one.alarm.state) for one in revisions]


def test_an_alarm_is_raised_acknowledged_and_cleared() -> None:
    story = Story()
    [raised] = story.see(record("began"))
    [acked] = story.do(raised.alarm.id, Acknowledge("ann", "true", "a splash"))
    [cleared] = story.see(record("ended", last_seq=20))
    assert seen([raised, acked, cleared]) == [
        ("raised", 1, "active"),
        ("acknowledged", 2, "active"),
        ("cleared", 3, "cleared"),
    ]
    assert (acked.by, acked.reason, acked.alarm.verdict) == ("ann", "a splash", "true")
    assert cleared.alarm.acked
    assert story.life.entries == {}


def test_an_alarm_that_nobody_saw_is_acknowledged_after_it_was_cleared() -> None:
    story = Story()
    raised, _ = story.see(record("began"), record("ended"))
    [acked] = story.do(raised.alarm.id, Acknowledge("ann"))
    assert (acked.what, acked.alarm.rev, acked.alarm.state, acked.alarm.acked) == ("acknowledged", 3, "cleared", True)
    [judged] = story.do(raised.alarm.id, Acknowledge("bob", "false"))
    assert (judged.what, judged.alarm.rev, judged.alarm.verdict) == ("judged", 4, "false")
    assert story.do(raised.alarm.id, Acknowledge("bob", "false")) == []


def test_a_comment_is_a_revision_that_acknowledges_nothing() -> None:
    story = Story()
    [raised] = story.see(record("began"))
    [said] = story.do(raised.alarm.id, Comment("ann", "dust?"))
    assert (said.what, said.by, said.reason) == ("commented", "ann", "dust?")
    assert said.alarm == msgspec.structs.replace(raised.alarm, rev=2)
    assert seen(story.see(record("ended"))) == [("cleared", 3, "cleared")]
    assert seen(story.do(raised.alarm.id, Comment("bob", "it was"))) == [("commented", 4, "cleared")]
    assert story.life.entries == {}


def test_an_event_that_is_over_before_the_on_delay_is_no_alarm() -> None:
    story = Story(Rules(on_delay_s={"t2": 2.0}))
    assert story.see(record("began")) == []
    assert story.wait(1.9) == []
    assert story.see(record("ended")) == []
    assert story.wait(60) == []
    assert story.kept == {}


def test_an_event_that_outlasts_the_on_delay_is_raised_then() -> None:
    story = Story(Rules(on_delay_s={"t2": 2.0}))
    story.see(record("began"), record("grew", last_seq=30, frames_over=9))
    [raised] = story.wait(2)
    assert (raised.what, raised.alarm.rev, raised.alarm.frames_over) == ("raised", 1, 9)


def test_an_alarm_that_waits_for_its_on_delay_survives_a_restart() -> None:
    story = Story(Rules(on_delay_s={"blind": 2.0}))
    story.see(record("began", source="blind"))
    story.restart()
    [raised] = story.wait(2)
    assert (raised.what, raised.alarm.source) == ("raised", "blind")


def test_an_off_delay_keeps_an_alarm_active_and_another_event_goes_on_with_it() -> None:
    story = Story(Rules(off_delay_s={"t2": 5.0}))
    [raised] = story.see(record("began", frames_over=3))
    assert story.see(record("ended", frames_over=4)) != []
    assert story.wait(4) == []
    [again] = story.see(record("began", event=2, last_seq=50, frames_over=2, peak=Peak(49, 99.0, 50.0, 1.98)))
    assert (again.what, again.alarm.id, again.alarm.frames_over) == ("changed", raised.alarm.id, 6)
    assert again.alarm.peak == Peak(49, 99.0, 50.0, 1.98)
    story.see(record("ended", event=2, last_seq=51, frames_over=2))
    assert story.wait(4.9) == []
    assert seen(story.wait(0.1)) == [("cleared", story.told[-1].alarm.rev, "cleared")]


def test_a_latched_alarm_stays_until_it_is_acknowledged() -> None:
    story = Story(Rules(latched=frozenset({"t2"})))
    [raised] = story.see(record("began"))
    [latched] = story.see(record("ended"))
    assert (latched.alarm.state, latched.alarm.latched) == ("active", True)
    assert story.wait(10_000) == []
    acked, cleared = story.do(raised.alarm.id, Acknowledge("ann"))
    assert seen([acked, cleared]) == [("acknowledged", 3, "active"), ("cleared", 4, "cleared")]
    assert not cleared.alarm.latched


def test_a_latched_alarm_that_was_acknowledged_before_ends_with_its_event() -> None:
    story = Story(Rules(latched=frozenset({"t2"})))
    [raised] = story.see(record("began"))
    story.do(raised.alarm.id, Acknowledge("ann"))
    assert seen(story.see(record("ended"))) == [("cleared", 3, "cleared")]


def test_a_shelved_source_is_told_with_a_flag_until_the_end() -> None:
    story = Story()
    [raised] = story.see(record("began"))
    [shelved] = story.do(raised.alarm.id, Shelve("ann", 60.0, "known"))
    assert (shelved.what, shelved.by, shelved.alarm.shelved) == ("shelved", "ann", True)
    assert story.wait(59) == []
    [back] = story.wait(1)
    assert (back.what, back.alarm.shelved) == ("changed", False)


def test_new_alarms_of_a_shelved_source_are_shelved_and_others_are_not() -> None:
    story = Story()
    assert story.do("t2", Shelve("ann", 60.0)) == []
    alarms = [one.alarm for one in story.see(record("began"), record("began", event=2, source="frozen"))]
    assert [(alarm.source, alarm.shelved) for alarm in alarms] == [("t2", True), ("frozen", False)]


def test_a_source_is_out_of_service_until_it_is_put_back() -> None:
    story = Story()
    story.see(record("began"))
    [out] = story.do("t2", TakeOut("ann", "the lamp is broken"))
    assert out.alarm.out_of_service
    assert story.wait(10**6) == []
    [back] = story.do("t2", PutBack("bob", "out_of_service"))
    assert (back.what, back.by, back.alarm.out_of_service) == ("in_service", "bob", False)


def test_a_program_suppresses_with_its_reason_and_so_does_a_state() -> None:
    story = Story(Rules(suppressed_in={"dark": (State.IDLE,)}))
    story.do("t2", Suppress("calibration", 60.0, "calibration is running"))
    [alarm] = [one.alarm for one in story.see(record("began"))]
    assert (alarm.suppressed, alarm.suppressed_why) == (True, "calibration is running")
    story.state = State.IDLE
    [dark] = [one.alarm for one in story.see(record("began", event=2, source="dark"))]
    assert (dark.suppressed, dark.suppressed_why) == (True, "the state is idle")
    story.state = State.OK
    assert [(one.alarm.source, one.alarm.suppressed) for one in story.see()] == [("dark", False)]


@pytest.mark.parametrize(
    ("target", "asked", "kind"),
    [
        ("nothing", Acknowledge("ann"), "unknown"),
        ("t2", Acknowledge("ann"), "unknown"),  # a source is not acknowledged
        ("t2", Comment("ann", "dust?"), "unknown"),
        ("nothing", Shelve("ann", 5.0), "unknown"),
        ("t2", PutBack("ann", "shelved"), "wrong"),
    ],
)
def test_what_makes_no_sense_is_refused(target: str, asked: Asked, kind: str) -> None:
    refused = do(PLAIN, Life({}), target, asked, lambda _: None, at())
    assert isinstance(refused, Refused)
    assert refused.kind == kind


class TestFlood:
    RULES = Rules(flood=FloodRule(begins_above=3, ends_below=2, window_s=600.0))

    def flooded(self, count: int = 5) -> Story:
        story = Story(self.RULES)
        for event in range(count):
            story.see(record("began", event=event), record("ended", event=event))
        return story

    def test_the_alarm_that_is_one_too_many_raises_the_flood_and_stands_behind_it(self) -> None:
        raised = [one.alarm for one in self.flooded().told if one.what == "raised"]
        assert [(alarm.source, alarm.suppressed) for alarm in raised] == [
            *[("t2", False)] * 3,
            ("flood", False),
            *[("t2", True)] * 2,
        ]
        assert {alarm.group for alarm in raised[4:]} == {raised[3].id}
        assert raised[3].priority == "high"

    def test_it_tells_how_many_stand_behind_it_and_ends_with_the_flood(self) -> None:
        story = self.flooded()
        [grown] = story.wait(2)
        assert "2 more stand behind this one (2 t2)" in grown.alarm.why
        [cleared] = story.wait(600)
        assert (cleared.alarm.source, cleared.alarm.state) == ("flood", "cleared")
        assert story.life.flood_id is None

    def test_what_lasts_longer_than_the_flood_is_told_then(self) -> None:
        story = self.flooded()
        story.see(record("began", event=9))
        story.wait(2)  # it tells how many stand behind it
        told = story.wait(600)
        assert [(one.alarm.source, one.alarm.state, one.alarm.suppressed) for one in told] == [
            ("flood", "cleared", False),
            ("t2", "active", False),
        ]

    @pytest.mark.parametrize("before", [[], [record("began", event=9)]], ids=["at once", "later"])
    def test_a_critical_alarm_is_hidden_by_no_flood(self, before: list[EventRecord]) -> None:
        story = self.flooded()
        story.see(*before)
        assert [alarm.suppressed for alarm in story.life.active[1:]] == [True] * len(before)
        _, [case] = apply(story.book, record("grew", event=9, last_seq=99))
        case = case._replace(alarm=msgspec.structs.replace(case.alarm, priority="critical"))
        story.life, [told] = follow(self.RULES, story.life, [case], story.at)
        assert (told.alarm.priority, told.alarm.suppressed, told.alarm.suppressed_why) == ("critical", False, "")
        assert told.alarm.group == (story.life.flood_id if before else None)

    def test_shelved_alarms_make_no_flood(self) -> None:
        story = Story(self.RULES)
        story.do("t2", Shelve("ann", 600.0))
        for event in range(9):
            story.see(record("began", event=event), record("ended", event=event))
        assert all(one.alarm.source == "t2" for one in story.told)

    @pytest.mark.parametrize("rules", [{"off_delay_s": {"flood": 5.0}}, {"latched": frozenset({"flood"})}])
    def test_one_that_lingers_lets_the_others_go_when_it_is_over(self, rules: dict[str, object]) -> None:
        story = Story(self.RULES._replace(**rules))  # type: ignore[arg-type]
        for event in range(5):
            story.see(record("began", event=event), record("ended", event=event))
        story.see(record("began", event=9))
        flood_id = story.life.flood_id
        assert flood_id is not None
        story.wait(601)
        story.do(flood_id, Acknowledge("ann"))
        story.wait(6)
        assert story.life.flood_id is None
        [lasting] = story.life.active
        assert (lasting.source, lasting.suppressed) == ("t2", False)

    def test_what_waits_for_its_on_delay_withholds_the_permit_all_the_same(self) -> None:
        story = Story(Rules(on_delay_s={"t2": 60.0}))
        story.see(record("began"))
        assert story.life.active == []
        assert [alarm.source for alarm in story.life.holding] == ["t2"]

    def test_a_flood_survives_a_restart(self) -> None:
        story = self.flooded()
        story.restart()
        [behind] = [one for one in story.see(record("began", event=9)) if one.what == "raised"]
        assert behind.alarm.group == story.life.flood_id


RULES = Rules(
    on_delay_s={"s2": 1.0},
    off_delay_s={"t2": 1.0, "degraded": 0.5},
    latched=frozenset({"frozen"}),
    suppressed_in={"dark": (State.IDLE,)},
    flood=FloodRule(begins_above=3, ends_below=2, window_s=5.0),
)
SOURCES = ("t2", "s2", "frozen", "dark", "degraded")
some_peaks = st.none() | st.builds(lambda ratio: Peak(9, ratio * 50.0, 50.0, ratio), st.sampled_from([1.0, 1.5, 2.5]))
some_records = st.builds(
    record,
    phase=st.sampled_from(["began", "grew", "ended", "settled"]),
    event=st.integers(0, 5),
    epoch=st.sampled_from(["hot-1", "hot-2"]),
    source=st.sampled_from(SOURCES),
    last_seq=st.integers(0, 50),
    frames_over=st.integers(0, 50),
    peak=some_peaks,
)
some_acts = st.one_of(
    st.builds(Acknowledge, st.just("ann"), st.sampled_from([None, "true", "false"])),
    st.builds(Comment, st.just("ann"), st.just("dust?")),
    st.builds(Shelve, st.just("ann"), st.sampled_from([1.0, 3.0])),
    st.builds(Suppress, st.just("ann"), st.just(2.0), st.just("why")),
    st.builds(TakeOut, st.just("ann"), st.just("why")),
    st.builds(PutBack, st.just("ann"), st.sampled_from(["shelved", "suppressed", "out_of_service"])),
)
some_steps = st.lists(
    st.one_of(
        some_records,
        st.tuples(st.integers(0, 9), some_acts),
        st.sampled_from([0.0, 0.5, 1.0, 7.0]),
        st.sampled_from([State.OK, State.IDLE]),
        st.just("restart"),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(some_steps)
def test_whatever_happens_each_alarm_lives_once_and_forward(steps: list[object]) -> None:
    story = Story(RULES)
    for step in steps:
        match step:
            case EventRecord():
                story.see(step)
            case (int() as which, asked):
                known = [*SOURCES, *sorted(story.kept)]
                outcome = do(RULES, story.life, known[which % len(known)], asked, story.kept.get, story.at)
                if not isinstance(outcome, Refused):
                    story.life = outcome.life
                    story._keep(outcome.revisions)
            case float():
                story.wait(step)
            case State():
                story.state = step
            case "restart":
                story.restart()
    latest: dict[str, Alarm] = {}
    for one in story.told:
        alarm, before = one.alarm, latest.get(one.alarm.id)
        if before is None:
            assert (one.what, alarm.rev, alarm.state) == ("raised", 1, "active")
        else:
            assert alarm.rev == before.rev + 1
            said = one.what in ("acknowledged", "judged", "commented")
            assert before.state == "active" or (alarm.state == "cleared" and said)
            assert alarm.acked >= before.acked, "nobody forgets"
            assert alarm.frames_over >= before.frames_over
            assert PRIORITIES.index(alarm.priority) >= PRIORITIES.index(before.priority)
            assert alarm.raised_t_ns == before.raised_t_ns
        assert alarm.state == "active" or not alarm.latched
        latest[alarm.id] = alarm
    active = {alarm_id for alarm_id, alarm in latest.items() if alarm.state == "active"}
    assert {alarm.id for alarm in story.life.active} == active
    assert sum(latest[alarm_id].source == "flood" for alarm_id in active) <= 1


@settings(max_examples=100, deadline=None)
@given(some_steps)
def test_an_entry_comes_back_whole_from_json(steps: list[object]) -> None:
    story = Story(RULES)
    for step in steps:
        if isinstance(step, EventRecord):
            story.see(step)
    for entry in story.kept.values():
        assert msgspec.json.decode(msgspec.json.encode(entry), type=Entry) == entry
