"""When anomalies come: as often as asked, apart from each other, never while nothing goes on, as long as drawn."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.schedule import GAP_FRAMES, Event, Schedule, Truth

DURATIONS = {"flash": (1, 5), "haze": (20, 200)}


def schedule(rate: float, seed: int = 0, kinds: tuple[str, ...] | None = None) -> Schedule:
    return Schedule(DURATIONS, rate, np.random.default_rng(seed), kinds)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_probability(rate: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        schedule(rate)


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no such anomaly: meteor; there are flash, haze"):
        schedule(0.1, kinds=("flash", "meteor"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.floats(0, 0.2), st.lists(st.tuples(st.integers(1, 90), st.integers(0, 2)), max_size=40))
def test_events_are_in_order_apart_and_as_long_as_drawn_however_the_frames_are_cut(
    seed: int, rate: float, pieces: list[tuple[int, int]]
) -> None:
    one = schedule(rate, seed)
    shown, told, begins = np.zeros(0, bool), list[Truth](), set[int]()
    off, pauses = np.zeros(0, bool), set[int]()
    for count, what in [*pieces, (1, 2)]:
        first = len(shown)
        held, over = one.over(first, count, begin=what == 0, quiet=what == 2)
        flags = np.zeros(count, bool)
        for event in held:
            flags[event.frames(first, count)] = True
            begins.add(event.first_seq)
            assert what == 0 or event.first_seq < first, "none begins while nothing may"
            assert what == 0 or event.last_seq >= first + count, "none ends while the process is off for a moment"
        if what == 2:
            assert not held
            pauses.add(first)
        shown, off = np.r_[shown, flags], np.r_[off, np.full(count, what != 0)]
        told += over
        running = one.begun(len(shown))
        assert {truth.first_seq for truth in told} | ({running.first_seq} if running else set()) == begins
    said = np.zeros(len(shown), bool)
    for truth in told:
        said[truth.first_seq : truth.last_seq + 1] = True
        shortest, longest = DURATIONS[truth.kind]
        frames = int((~off[truth.first_seq : truth.last_seq + 1]).sum())
        assert (1 if truth.last_seq + 1 in pauses else shortest) <= frames <= longest
    np.testing.assert_array_equal(said, shown)
    for before, after in itertools.pairwise(told):
        assert after.first_seq - before.last_seq - 1 >= GAP_FRAMES


def test_between_two_events_lie_as_many_normal_frames_as_promised_and_no_more() -> None:
    _, told = schedule(1.0).over(0, 2000)
    assert told[0].first_seq == GAP_FRAMES
    assert {after.first_seq - before.last_seq - 1 for before, after in itertools.pairwise(told)} == {GAP_FRAMES}


def test_a_moment_with_the_process_off_prolongs_an_event_and_leaves_what_has_settled_alone() -> None:
    event = Event("haze", 10, 29, settles_seq=26, strength=1.0, seed=0)
    longer = event.prolonged(15, 7)
    assert (longer.first_seq, longer.last_seq, longer.settles_seq) == (10, 36, 33)
    longer = event.prolonged(26, 7)
    assert (longer.first_seq, longer.last_seq, longer.settles_seq) == (10, 36, 26)


def test_an_event_does_nothing_new_in_its_last_frames_but_in_its_first() -> None:
    one = Schedule(DURATIONS, 1.0, np.random.default_rng(0), settling={"flash": 3})
    lasts: dict[str, set[tuple[int, int]]] = {"flash": set(), "haze": set()}
    for event in one.over(0, 5000)[0]:
        lasts[event.kind].add((event.last_seq + 1 - event.first_seq, event.last_seq + 1 - event.settles_seq))
    assert lasts["flash"] == {(1, 0), (2, 1), (3, 2), (4, 3), (5, 3)}
    assert {still for _, still in lasts["haze"]} == {0}


def test_events_come_as_often_as_asked_and_all_kinds_alike() -> None:
    one, told = schedule(0.002), list[Truth]()
    for first in range(0, 1_000_000, 50):
        told += one.over(first, 50)[1]
    busy = sum(event.last_seq - event.first_seq + 1 + GAP_FRAMES for event in told)
    assert len(told) == pytest.approx(0.002 * (1_000_000 - busy), rel=0.06)
    assert sum(event.kind == "haze" for event in told) == pytest.approx(len(told) / 2, rel=0.12)
    lengths = {kind: {e.last_seq - e.first_seq + 1 for e in told if e.kind == kind} for kind in DURATIONS}
    assert lengths["flash"] == {1, 2, 3, 4, 5}
    assert min(lengths["haze"]) < 25
    assert max(lengths["haze"]) > 180
    assert 0.6 <= min(event.strength for event in told) < max(event.strength for event in told) <= 1.4


def test_without_a_rate_nothing_ever_happens() -> None:
    assert schedule(0.0).over(0, 10**6) == ([], ())


def test_an_events_own_numbers_are_the_same_at_every_call() -> None:
    held, _ = schedule(1.0).over(0, 100)
    assert held[0].draws().random() == held[0].draws().random()
    assert held[0].truth.kind == held[0].kind
