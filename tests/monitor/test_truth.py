"""Alarms held against what was really wrong: finds, misses, false alarms, delays."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.evaluation import proportion
from monitor.alarms.alarm import Alarm
from monitor.camera.schedule import Truth
from monitor.camera.truth import SERVICE_SOURCES, Comparison, KindTally, compare
from monitor.types import Peak

S = 1_000_000_000


def alarm(
    first_seq: int, last_seq: int, raised_t_ns: int = 10 * S, source: str = "local", peak_seq: int | None = None
) -> Alarm:
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
        peak=None if peak_seq is None else Peak(peak_seq, 2.0, 1.0, 2.0),
        pool=None,
        where=None,
        kind=None,
        job="",
        layer=None,
        context="",
        xy=None,
        bundle="",
    )


def truth(first_seq: int, last_seq: int, kind: str = "splash", first_t_ns: int | None = 9 * S) -> Truth:
    return Truth(kind, first_seq, last_seq, 1.0, first_t_ns=first_t_ns)


@pytest.mark.parametrize(
    ("first_seq", "last_seq", "peak_seq", "found"),
    [
        (10, 20, None, True),
        (0, 10, None, True),
        (20, 30, None, True),
        (14, 15, None, True),
        (0, 99, 10, True),
        (0, 99, 20, True),
        (0, 9, 5, False),
        (21, 30, 25, False),
    ],
)
def test_an_alarm_whose_first_peak_or_last_frame_lies_in_an_anomaly_has_found_it(
    first_seq: int, last_seq: int, peak_seq: int | None, found: bool
) -> None:
    one = alarm(first_seq, last_seq, peak_seq=peak_seq)
    comparison = compare([one], [truth(10, 20)])
    assert comparison.overall == KindTally("all", 1, int(found), (1.0,) if found else ())
    assert comparison.right_alarms == ((one,) if found else ())
    assert comparison.false_alarms == (() if found else (one,))


@pytest.mark.parametrize("peak_seq", [None, 0, 9, 21, 99])
def test_an_alarm_that_goes_on_through_an_anomaly_has_not_found_it_and_is_not_false(peak_seq: int | None) -> None:
    one = alarm(0, 99, peak_seq=peak_seq)
    comparison = compare([one], [truth(10, 20)])
    assert comparison.overall == KindTally("all", 1, 0, ())
    assert comparison.right_alarms == (one,)
    assert comparison.false_alarms == ()


def test_kinds_are_counted_each_for_itself() -> None:
    truths = [truth(10, 12), truth(50, 55, "plume", 8 * S), truth(90, 95)]
    comparison = compare([alarm(11, 13), alarm(52, 52)], truths)
    assert comparison.kinds == (KindTally("plume", 1, 1, (2.0,)), KindTally("splash", 2, 1, (1.0,)))
    assert comparison.overall == KindTally("all", 3, 2, (2.0, 1.0))


def test_one_alarm_may_find_three_anomalies_by_its_first_its_peak_and_its_last_frame() -> None:
    truths = [truth(10, 12, first_t_ns=8 * S), truth(20, 22), truth(30, 32, first_t_ns=7 * S), truth(50, 55)]
    comparison = compare([alarm(11, 52, peak_seq=30)], truths)
    assert comparison.overall == KindTally("all", 4, 3, (2.0, 3.0, 1.0)), "it went on through the second"
    assert comparison.precision.value == 1.0


def test_two_alarms_on_one_anomaly_are_one_find_with_the_delay_of_the_first() -> None:
    alarms = [alarm(10, 12, 12 * S), alarm(11, 15, 11 * S)]
    comparison = compare(alarms, [truth(10, 20, first_t_ns=10 * S)])
    assert comparison.overall == KindTally("all", 1, 1, (1.0,))
    assert comparison.right_alarms == tuple(alarms)
    assert comparison.false_alarms == ()


@pytest.mark.parametrize(
    ("raised_s", "first_t_ns", "delays_s"),
    [(5, 6 * S, ()), (6, 6 * S, (0.0,)), (7, 6 * S, (1.0,)), (7, None, ())],
    ids=["open before", "at once", "after", "exposure unknown"],
)
def test_only_an_alarm_raised_after_a_known_exposure_has_a_delay(
    raised_s: int, first_t_ns: int | None, delays_s: tuple[float, ...]
) -> None:
    comparison = compare([alarm(0, 15, raised_s * S)], [truth(10, 20, first_t_ns=first_t_ns)])
    assert comparison.overall == KindTally("all", 1, 1, delays_s)


@pytest.mark.parametrize(
    ("delays_s", "median_s", "longest_s"), [((), None, None), ((3.0,), 3.0, 3.0), ((5.0, 1.0, 2.0, 4.0), 3.0, 5.0)]
)
def test_delays_are_told_by_their_middle_and_their_longest(
    delays_s: tuple[float, ...], median_s: float | None, longest_s: float | None
) -> None:
    tally = KindTally("dim", 9, len(delays_s), delays_s)
    assert (tally.median_s, tally.longest_s) == (median_s, longest_s)


def test_sensitivity_counts_anomalies_and_precision_alarms() -> None:
    """Five anomalies, three of them found by four alarms; a fifth alarm is false. Intervals: Clopper and Pearson."""
    truths = [truth(first, first + 5) for first in (100, 200, 300, 400, 500)]
    alarms = [alarm(101, 102), alarm(104, 104), alarm(203, 303), alarm(300, 300), alarm(600, 601)]
    comparison = compare(alarms, truths)
    assert comparison.overall.sensitivity == proportion(3, 5)
    assert comparison.precision == proportion(4, 5)
    assert comparison.precision.low == pytest.approx(0.2836, abs=1e-4)
    assert comparison.precision.high == pytest.approx(0.9949, abs=1e-4)


def test_where_nothing_was_raised_precision_has_no_value() -> None:
    comparison = compare([], [truth(1, 2)])
    assert comparison.precision == (None, 0.0, 1.0)
    assert comparison.overall.sensitivity.value == 0.0
    assert comparison.overall.sensitivity.high < 1.0


@pytest.mark.parametrize("source", sorted(SERVICE_SOURCES))
def test_alarms_about_the_monitor_are_neither_finds_nor_false(source: str) -> None:
    comparison = compare([alarm(10, 20, source=source), alarm(70, 80, source=source)], [truth(10, 20)])
    assert comparison == Comparison((KindTally("splash", 1, 0, ()),), (), ())


def test_camera_faults_count_as_finds() -> None:
    assert compare([alarm(10, 20, source="frozen")], [truth(10, 20, "frozen")]).overall.found == 1


def test_nothing_shown_and_nothing_raised() -> None:
    comparison = compare([], [])
    assert comparison == ((), (), ())
    assert comparison.overall.sensitivity.value is None


SPANS = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))
ALARMS = st.builds(
    lambda span, raised, source, peak: alarm(
        *span, raised, source, None if peak is None else min(span[0] + peak, span[1])
    ),
    SPANS,
    st.integers(0, 100),
    st.sampled_from(["local", "t2", "frozen", "blind"]),
    st.none() | st.integers(0, 8),
)
TRUTHS = st.builds(
    lambda span, kind, at: truth(*span, kind, at), SPANS, st.sampled_from(["splash", "dim"]), st.none() | st.just(50)
)


@given(alarms=st.lists(ALARMS, max_size=8), truths=st.lists(TRUTHS, max_size=8))
def test_every_alarm_and_every_anomaly_is_accounted_for(alarms: list[Alarm], truths: list[Truth]) -> None:
    comparison = compare(alarms, truths)
    frames = [set(range(one.first_seq, one.last_seq + 1)) for one in truths]
    judged = [one for one in alarms if one.source not in SERVICE_SOURCES]
    shown = [set(range(one.first_seq, one.last_seq + 1)) for one in judged]
    marks = [{one.first_seq, one.last_seq, one.peak.seq if one.peak else one.first_seq} for one in judged]
    overall = comparison.overall
    assert overall.shown == len(truths)
    assert overall.found == sum(any(one & other for other in marks) for one in frames)
    assert list(comparison.false_alarms) == [
        one for one, seen in zip(judged, shown, strict=True) if not any(seen & other for other in frames)
    ]
    assert len(comparison.right_alarms) + len(comparison.false_alarms) == len(judged)
    assert all(0 <= tally.found <= tally.shown for tally in comparison.kinds)
    assert all(len(tally.delays_s) <= tally.found for tally in comparison.kinds)
    assert all(delay >= 0 for delay in overall.delays_s)
    assert overall.median_s == (statistics.median(overall.delays_s) if overall.delays_s else None)
    assert overall.sensitivity.low <= (overall.sensitivity.value or 0.0) <= overall.sensitivity.high
    assert compare(alarms[::-1], truths).kinds == comparison.kinds, "order does not matter"
