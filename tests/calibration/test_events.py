"""The event rule against a reference that looks at every frame, and against any cutting of the stream."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.events import Change, Event, EventRule, EventState, reset, start, step

ROW = np.dtype([("seq", "i8"), ("joint", "f8"), ("source", "u1")])
Rows = npt.NDArray[np.void]


def rows_of(joint: Sequence[float], first_seq: int = 100) -> Rows:
    rows = np.zeros(len(joint), ROW)
    rows["seq"] = first_seq + np.arange(len(joint))
    rows["joint"] = joint
    rows["source"] = rows["seq"] % 4
    return rows


class Span(NamedTuple):
    """An event in plain numbers: sequence numbers of its first, last and peak frame, and its members."""

    number: int
    first: int
    last: int
    peak: int
    frames_over: int


def span(event: Event) -> Span:
    seqs = (int(row["seq"]) for row in (event.first, event.last, event.peak))
    return Span(event.number, *seqs, event.frames_over)


def reference(rule: EventRule, rows: Rows) -> tuple[list[Span], list[Span]]:
    """(ended, open) events, by the definition: every frame's window is looked at anew."""
    k, n, clear_frames, deadband, limit = rule
    ended: list[Span] = []
    members: list[int] = []
    taken: set[int] = set()
    counted: set[int] = set()
    last_over = -1
    for i in range(len(rows)):
        if members and i > last_over + clear_frames:
            ended.append(summary(len(ended), rows, members))
            members = []
        if not members:
            counted = {j for j in counted if rows["joint"][j] > limit}
        if rows["joint"][i] > (limit * (1 - deadband) if members else limit):
            counted.add(i)
        window = [j for j in range(max(0, i - n + 1), i + 1) if j in counted]
        if len(window) >= k:
            last_over = i
            new = [j for j in window if j not in taken]
            taken.update(new)
            members += new
    if members and len(rows) - 1 - last_over >= clear_frames:
        ended.append(summary(len(ended), rows, members))
        members = []
    return ended, [summary(len(ended), rows, members)] if members else []


def summary(number: int, rows: Rows, members: list[int]) -> Span:
    peak = max(members, key=lambda j: (float(rows["joint"][j]), -j))
    seqs = (int(rows["seq"][j]) for j in (min(members), max(members), peak))
    return Span(number, *seqs, len(members))


def run(rule: EventRule, batches: Sequence[Rows]) -> tuple[EventState, list[list[Change]]]:
    state, told = start(rule), []
    for batch in batches:
        state, changes = step(rule, state, batch)
        told.append(changes)
    return state, told


def phases(changes: Sequence[Change]) -> list[tuple[str, int, int]]:
    return [(phase, event.number, event.frames_over) for phase, event in changes]


JOINTS = st.lists(st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.1, 2.0, float("inf")]), max_size=60)
SPARSE = st.lists(st.sampled_from([0.0] * 6 + [1.5, 3.0]), max_size=120)
RULES = st.tuples(
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.2, 0.6]),
    st.sampled_from([1.0, 1.05]),
).map(lambda drawn: EventRule(drawn[0], drawn[0] + drawn[1], *drawn[2:]))


@given(RULES, JOINTS | SPARSE, st.data())
def test_any_cutting_gives_the_events_of_the_frame_by_frame_reference(
    rule: EventRule, joints: list[float], data: st.DataObject
) -> None:
    rows = rows_of(joints)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=8)))
    state, told = run(rule, np.split(rows, cuts))
    ended, still_open = reference(rule, rows)
    assert [span(event) for changes in told for phase, event in changes if phase == "ended"] == ended
    assert ([span(state.event)] if state.event else []) == still_open


@given(RULES, JOINTS | SPARSE, st.data())
def test_every_event_begins_once_grows_at_most_once_a_call_and_ends_once(
    rule: EventRule, joints: list[float], data: st.DataObject
) -> None:
    rows = rows_of(joints)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=8)))
    state, told = run(rule, np.split(rows, cuts))
    told.append(reset(rule, state)[1])
    sizes: dict[int, int] = {}
    alive: int | None = None
    for changes in told:
        grown = [event.number for phase, event in changes if phase == "grew"]
        assert len(grown) == len(set(grown))
        for phase, event in changes:
            if phase == "began":
                assert alive is None
                assert event.number == len(sizes)
                alive = event.number
            else:
                assert event.number == alive
                assert event.frames_over > sizes[alive] if phase == "grew" else event.frames_over == sizes[alive]
                alive = None if phase == "ended" else alive
            sizes[event.number] = event.frames_over
    assert alive is None


@pytest.mark.parametrize(
    ("rule", "joints", "expected"),
    [
        (EventRule(1, 1, 3), [0, 2, 0, 0, 0], [(101, 101, 101, 1)]),
        (EventRule(1, 1, 3), [0, 2, 0, 0, 2, 0, 0, 0], [(101, 104, 101, 2)]),  # within the dead time
        (EventRule(1, 1, 3), [0, 2, 0, 0, 0, 3, 0, 0, 0], [(101, 101, 101, 1), (105, 105, 105, 1)]),  # after it
        (EventRule(2, 3, 2), [2, 0, 0, 2, 0, 0, 0, 0], []),  # never two of three
        (EventRule(2, 3, 2), [2, 0, 3, 0, 0, 0, 0], [(100, 102, 102, 2)]),  # begins with the earlier of the two
        (EventRule(2, 3, 9), [2, 3, 0, 0, 0, 0, 5, *[0] * 9], [(100, 101, 101, 2)]),  # a lone one is no member
        (EventRule(1, 1, 1), [4, 4, 4, 0], [(100, 102, 100, 3)]),  # the earliest of equal peaks
        (EventRule(1, 1, 2), [1.0, 0, 0, 0], []),  # at the limit is not beyond it
        (
            EventRule(1, 1, 2, 0.2),
            [0.9, 2, 0.9, 0.9, 0.9, 0.7, 0, 0],
            [(101, 104, 101, 4)],
        ),  # it hovers within the deadband
        (EventRule(1, 1, 2, 0.2), [0.9, 0.9, 0.9, 0.9], []),  # which raises nothing
    ],
)
def test_stories(rule: EventRule, joints: list[float], expected: list[tuple[int, ...]]) -> None:
    _, (changes,) = run(rule, [rows_of(joints)])
    assert [span(event)[1:] for phase, event in changes if phase == "ended"] == expected


def test_an_event_is_told_as_it_goes() -> None:
    rule = EventRule(k=2, n=4, clear_frames=3)
    batches = [[0, 2], [2, 2], [0, 3, 3], [0, 0, 0], [0], [0, 0, 0]]
    _, told = run(rule, [rows_of(batch, 10 * i) for i, batch in enumerate(batches)])
    expected = [[], [("began", 0, 3)], [("grew", 0, 5)], [], [], [("ended", 0, 5)]]
    assert [phases(changes) for changes in told] == expected


def test_a_call_may_hold_a_whole_event_and_the_beginning_of_another() -> None:
    rule = EventRule(1, 1, 2)
    state, told = run(rule, [rows_of([2]), rows_of([2, 0, 0, 0, 3, 0, 0, 0, 4])])
    assert phases(told[1]) == [
        *[("grew", 0, 2), ("ended", 0, 2)],
        *[("began", 1, 1), ("ended", 1, 1)],
        ("began", 2, 1),
    ]
    assert state.event is not None


def test_a_frame_belongs_to_one_event_even_where_windows_of_two_hold_it() -> None:
    rule = EventRule(k=2, n=10, clear_frames=2)
    rows = rows_of([2, *[0] * 8, 2, 0, 0, 2, *[0] * 12])
    _, (changes,) = run(rule, [rows])
    ended = [span(event) for phase, event in changes if phase == "ended"]
    assert ended == [Span(0, 100, 109, 100, 2), Span(1, 112, 112, 112, 1)]
    assert reference(rule, rows)[0] == ended


def test_a_new_stream_ends_the_event_and_starts_with_an_empty_window() -> None:
    rule = EventRule(k=2, n=5, clear_frames=50)
    state, _ = run(rule, [rows_of([2, 2, 0, 2])])
    state, changes = reset(rule, state)
    assert phases(changes) == [("ended", 0, 3)]
    state, changes = step(rule, state, rows_of([2]))
    assert changes == []  # the exceedances before the restart count no more
    state, changes = step(rule, state, rows_of([2]))
    assert phases(changes) == [("began", 1, 2)]
    assert reset(rule, start(rule)) == (start(rule), [])


def test_events_keep_their_rows_when_the_callers_memory_is_used_again() -> None:
    rule = EventRule(k=2, n=3, clear_frames=5)
    memory = rows_of([0, 7])
    state, _ = step(rule, start(rule), memory)
    memory[:] = rows_of([9, 0], 500)
    state, (change,) = step(rule, state, memory)
    memory["joint"] = -1
    assert [float(row["joint"]) for row in (change.event.first, change.event.peak)] == [7.0, 9.0]
    assert span(change.event) == Span(0, 101, 500, 500, 2)


def test_the_state_stays_small_in_a_flood() -> None:
    rule = EventRule(k=3, n=1000, clear_frames=1000)
    state, _ = run(rule, [rows_of([2.0] * 5000)])
    assert len(state.recent) == rule.k
    assert state.event is not None
    assert state.event.frames_over == 5000


def test_a_quiet_batch_costs_no_step_per_frame() -> None:
    """Counted, not timed: rows are taken out of the batch only where they exceed."""

    class Counting(np.ndarray[Any, Any]):
        taken = 0

        def __getitem__(self, key: Any) -> Any:
            Counting.taken += not isinstance(key, str)
            return super().__getitem__(key)

    rows = rows_of([0.0] * 100_000).view(Counting)
    state, changes = step(EventRule(1, 1, 5), start(EventRule(1, 1, 5)), rows)
    assert (state.judged, changes, Counting.taken) == (100_000, [], 0)


@pytest.mark.parametrize("rule", [EventRule(0, 1, 1), EventRule(3, 2, 1), EventRule(1, 1, 0)])
def test_a_rule_that_cannot_fire_or_end_is_refused(rule: EventRule) -> None:
    with pytest.raises(ValueError, match="1 <= k <= n"):
        start(rule)
