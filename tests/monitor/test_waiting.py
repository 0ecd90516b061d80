"""How many alarms wait for a person: whatever happens to however many, the count is that of all of them."""

import math
from collections import Counter

import msgspec
from alarm_example import revisions_of
from daemon_example import record
from hypothesis import given, settings
from hypothesis import strategies as st
from test_life import Story

from monitor.alarms.acts import Acknowledge, Comment
from monitor.alarms.alarm import cause_of
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Revision, Rules
from monitor.alarms.waiting import Waiting
from monitor.types import Peak

LIVELY = Rules({"dark": 5.0}, {"t2": 5.0}, frozenset({"frozen"}), {}, FloodRule(begins_above=3, ends_below=2))
SOURCES = ("t2", "dark", "frozen", "stop", "degraded", "new_kind")


def recounted(story: Story) -> tuple[dict[tuple[str, str], int], Counter[str]]:
    """What a journal would count: all that was told and that nobody has acknowledged."""
    told = [entry.told for entry in story.kept.values() if entry.told is not None and not entry.told.acked]
    causes = [cause_of(alarm.source, alarm.priority) for alarm in told]
    return Counter((alarm.source, alarm.priority) for alarm in told), Counter(filter(None, causes))


def test_causes_are_states_of_the_service_and_priorities_of_everything_else() -> None:
    assert cause_of("degraded", "medium") == "degraded"
    assert cause_of("dark", "high") == "high"
    assert cause_of("flood", "high") is None, "it withholds nothing"


def test_where_a_rule_for_stops_speaks_no_chart_waits_for_anybody() -> None:
    waiting = Waiting({("t2", "medium"): 3, ("stop", "critical"): 1, ("dark", "high"): 1}, [], ("t2", "s2"))
    assert waiting.by_cause == {"stop": 1, "high": 1}
    waiting.follow(revisions_of(record("ended"), record("ended", event=2, source="stop")))
    assert waiting.by_cause == {"stop": 2, "high": 1}
    waiting.forget("t2", "medium")
    waiting.forget("stop", "critical")
    assert waiting.by_cause == {"stop": 1, "high": 1}


def test_a_grave_alarm_is_not_forgotten_behind_any_number_of_others() -> None:
    waiting = Waiting({("dark", "high"): 1, ("t2", "medium"): 10**6}, [])
    told = revisions_of(*(record("ended", event=event) for event in range(20)))
    for _ in range(1000):
        waiting.follow(told)
    assert waiting.by_cause == {"high": 1, "medium": 10**6 + 20_000}


def test_only_alarms_that_are_open_are_kept_in_memory() -> None:
    waiting = Waiting({}, [])
    waiting.follow(revisions_of(*(record("ended", event=event) for event in range(100))))
    waiting.follow(revisions_of(record("began", event=200, source="dark")))
    assert waiting.by_cause == {"medium": 100, "high": 1}
    assert len(waiting._open) == 1


def test_an_alarm_that_was_removed_waits_no_more() -> None:
    waiting = Waiting({("t2", "medium"): 2, ("blind", "high"): 1}, [])
    waiting.forget("t2", "medium")
    waiting.forget("blind", "high")
    assert waiting.by_cause == {"medium": 1}


def test_what_is_judged_once_more_was_counted_already() -> None:
    story, waiting = Story(), Waiting({}, [])
    waiting.follow(story.see(record("ended")))
    [alarm_id] = story.kept
    for verdict, waits in ((None, {}), ("true", {}), ("false", {})):
        waiting.follow(story.do(alarm_id, Acknowledge("ann", verdict)))
        assert waiting.by_cause == waits


def test_what_is_said_of_an_alarm_changes_nothing_whether_it_is_open_or_over() -> None:
    story, waiting = Story(), Waiting({}, [])
    waiting.follow(story.see(record("began")))
    [alarm_id] = story.kept
    waiting.follow(story.do(alarm_id, Comment("ann", "dust?")))
    waiting.follow(story.see(record("ended", last_seq=20)))
    waiting.follow(story.do(alarm_id, Comment("ann", "dust")))
    assert waiting.by_cause == {"medium": 1}
    waiting.follow(story.do(alarm_id, Acknowledge("ann")))
    waiting.follow(story.do(alarm_id, Comment("ann", "it was dust")))
    assert waiting.by_cause == {}


def test_a_priority_that_rises_takes_its_alarm_along() -> None:
    story, waiting = Story(), Waiting({}, [])
    waiting.follow(story.see(record("began")))
    assert waiting.by_cause == {"medium": 1}
    waiting.follow(story.see(record("grew", last_seq=20, peak=Peak(20, 500.0, 50.0, 10.0))))
    assert waiting.by_cause == {"high": 1}
    waiting.follow(story.see(record("ended", last_seq=30, peak=Peak(20, 500.0, 50.0, 10.0))))
    waiting.follow(story.do(next(iter(story.kept)), Acknowledge("ann")))
    assert waiting.by_cause == {}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ("began", "grew", "ended", "ended", "acknowledge", "acknowledge", "comment", "wait", "restart")
            ),
            st.integers(0, 5),
            st.sampled_from((1.2, 2.5, math.inf)),
        ),
        max_size=60,
    )
)
def test_it_counts_what_the_journal_would_count(steps: list[tuple[str, int, float]]) -> None:
    story, waiting, events = Story(LIVELY), Waiting({}, []), dict[str, int]()
    for number, (what, which, ratio) in enumerate(steps):
        source = SOURCES[which]
        told: list[Revision] = []
        if what == "wait":
            told = story.wait(float(which))
        elif what in ("acknowledge", "comment"):
            known = [alarm_id for alarm_id, entry in story.kept.items() if entry.told is not None]
            asked = Acknowledge("ann") if what == "acknowledge" else Comment("ann", f"said {number}")
            told = story.do(known[which % len(known)], asked) if known else []
        elif what == "restart":
            story.restart()
            waiting = Waiting(recounted(story)[0], story.life.active)
        else:
            if what == "began" or source not in events:
                events[source] = number
            peak = Peak(number, 1.0, 1.0, min(ratio, 99.0))
            one = record(what, event=events[source], source=source, last_seq=100 + number, peak=peak)
            told = story.see(msgspec.structs.replace(one, t_ns=number + 1))
        waiting.follow(told)
        assert waiting.by_cause == recounted(story)[1]
