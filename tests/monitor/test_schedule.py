"""When anomalies come: as often as asked, apart from each other, never while nothing goes on, cut where frames end."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.schedule import GAP_FRAMES, Event, Schedule

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
def test_events_are_in_order_apart_and_whole_however_the_frames_are_cut(
    seed: int, rate: float, pieces: list[tuple[int, int]]
) -> None:
    one = schedule(rate, seed)
    first, shown, told = 0, np.zeros(0, bool), list[Event]()
    begun: set[int] = set()
    for count, what in pieces:
        held, ended = one.over(first, count, begin=what == 0, quiet=what == 2)
        flags = np.zeros(count, bool)
        for event in held:
            flags[event.frames(first, count)] = True
            begun.add(event.first_seq)
            assert what == 0 or event.first_seq < first, "none begins while nothing may"
        assert what != 2 or not held
        shown = np.r_[shown, flags]
        told += ended
        first += count
    held, ended = one.over(first, 10, last=True)
    told += ended
    assert one.begun(first + 10) is None
    said = np.zeros(first + 10, bool)
    for event in told:
        said[event.first_seq : event.last_seq + 1] = True
        assert 1 <= event.last_seq - event.first_seq + 1 <= DURATIONS[event.kind][1]
    np.testing.assert_array_equal(said[:first], shown)
    assert begun <= {event.first_seq for event in told}
    for before, after in itertools.pairwise(told):
        assert after.first_seq >= before.last_seq + GAP_FRAMES


def test_events_come_as_often_as_asked_and_all_kinds_alike() -> None:
    one, told = schedule(0.002), list[Event]()
    for first in range(0, 1_000_000, 50):
        told += one.over(first, 50)[1]
    busy = sum(event.last_seq - event.first_seq + GAP_FRAMES for event in told)
    assert len(told) == pytest.approx(0.002 * (1_000_000 - busy), rel=0.06)
    assert sum(event.kind == "haze" for event in told) == pytest.approx(len(told) / 2, rel=0.12)
    lengths = {kind: {e.last_seq - e.first_seq + 1 for e in told if e.kind == kind} for kind in DURATIONS}
    assert lengths["flash"] == {1, 2, 3, 4, 5}
    assert min(lengths["haze"]) < 25
    assert max(lengths["haze"]) > 180
    assert 0.6 <= min(event.strength for event in told) < max(event.strength for event in told) <= 1.4


def test_without_a_rate_nothing_ever_happens() -> None:
    assert schedule(0.0).over(0, 10**6) == ([], [])


def test_an_events_own_numbers_are_the_same_at_every_call() -> None:
    held, _ = schedule(1.0).over(0, 100)
    assert held[0].draws().random() == held[0].draws().random()
    assert held[0].truth.kind == held[0].kind
