"""Alarms held against what was really wrong: finds, misses, false alarms, delays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import Alarm
from monitor.camera.schedule import Truth
from monitor.camera.truth import SERVICE_SOURCES, KindTally, compare

S = 1_000_000_000


def alarm(first_seq: int, last_seq: int, raised_t_ns: int = 10 * S, source: str = "local") -> Alarm:
    return Alarm(
        id=f"{raised_t_ns}-{first_seq}-{last_seq}-{source}",
        rev=1,
        camera="melt",
        stream="s",
        state="active",
        priority="medium",
        source=source,
        first_seq=first_seq,
        last_seq=last_seq,
        first_t_ns=raised_t_ns,
        raised_t_ns=raised_t_ns,
        frames_over=last_seq - first_seq + 1,
        peak=None,
        pool=None,
        where=None,
        kind=None,
        job="",
        layer=None,
        context="",
        xy=None,
        bundle="",
    )


def truth(first_seq: int, last_seq: int, kind: str = "splash") -> Truth:
    return Truth(kind, first_seq, last_seq, 1.0)


@pytest.mark.parametrize(
    ("first_seq", "last_seq", "found"),
    [(10, 20, True), (0, 10, True), (20, 30, True), (0, 99, True), (14, 15, True), (0, 9, False), (21, 30, False)],
)
def test_an_alarm_that_overlaps_an_anomaly_has_found_it(first_seq: int, last_seq: int, found: bool) -> None:
    one = alarm(first_seq, last_seq)
    comparison = compare([one], [truth(10, 20)], [9 * S])
    assert (comparison.found, comparison.shown) == (int(found), 1)
    assert comparison.false_alarms == (() if found else (one,))
    assert comparison.delays_s == ((1.0,) if found else ())


def test_kinds_are_counted_each_for_itself() -> None:
    truths = [truth(10, 12), truth(50, 55, "plume"), truth(90, 95)]
    comparison = compare([alarm(11, 13), alarm(52, 52)], truths, [9 * S] * 3)
    assert comparison.kinds == (KindTally("plume", 1, 1), KindTally("splash", 2, 1))


def test_one_alarm_may_find_two_anomalies() -> None:
    comparison = compare([alarm(5, 60)], [truth(10, 12), truth(50, 55)], [8 * S, 9 * S])
    assert comparison.found == 2
    assert comparison.delays_s == (2.0, 1.0)


def test_two_alarms_on_one_anomaly_are_one_find_with_the_delay_of_the_first() -> None:
    alarms = [alarm(10, 12, 12 * S), alarm(11, 15, 11 * S)]
    comparison = compare(alarms, [truth(10, 20)], [10 * S])
    assert (comparison.found, comparison.false_alarms, comparison.delays_s) == (1, (), (1.0,))


def test_an_alarm_open_before_the_anomaly_began_has_found_it_without_delay() -> None:
    comparison = compare([alarm(0, 30, 5 * S)], [truth(10, 20)], [6 * S])
    assert (comparison.found, comparison.delays_s) == (1, ())


@pytest.mark.parametrize("source", sorted(SERVICE_SOURCES))
def test_alarms_about_the_monitor_are_neither_finds_nor_false(source: str) -> None:
    comparison = compare([alarm(10, 20, source=source), alarm(70, 80, source=source)], [truth(10, 20)], [9 * S])
    assert (comparison.found, comparison.false_alarms) == (0, ())


def test_camera_faults_count_as_finds() -> None:
    assert compare([alarm(10, 20, source="frozen")], [truth(10, 20, "frozen")], [9 * S]).found == 1


def test_nothing_shown_and_nothing_raised() -> None:
    assert compare([], [], []) == ((), (), ())


def test_every_truth_needs_its_exposure() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare([], [truth(1, 2)], [])


SPANS = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@given(
    alarms=st.lists(
        st.builds(
            lambda span, raised, source: alarm(*span, raised, source),
            SPANS,
            st.integers(0, 100),
            st.sampled_from(["local", "t2", "frozen", "blind"]),
        ),
        max_size=8,
    ),
    truths=st.lists(
        st.builds(lambda span, kind: truth(*span, kind), SPANS, st.sampled_from(["splash", "dim"])), max_size=8
    ),
)
def test_every_alarm_and_every_anomaly_is_accounted_for(alarms: list[Alarm], truths: list[Truth]) -> None:
    comparison = compare(alarms, truths, [50] * len(truths))
    frames = [set(range(one.first_seq, one.last_seq + 1)) for one in truths]
    judged = [one for one in alarms if one.source not in SERVICE_SOURCES]
    shown = [set(range(one.first_seq, one.last_seq + 1)) for one in judged]
    assert comparison.shown == len(truths)
    assert comparison.found == sum(any(one & other for other in shown) for one in frames)
    assert list(comparison.false_alarms) == [
        one for one, seen in zip(judged, shown, strict=True) if not any(seen & other for other in frames)
    ]
    assert all(0 <= tally.found <= tally.shown for tally in comparison.kinds)
    assert len(comparison.delays_s) <= comparison.found
    assert all(delay >= 0 for delay in comparison.delays_s)
    assert compare(alarms[::-1], truths, [50] * len(truths)).kinds == comparison.kinds, "order does not matter"
