"""The chart of rates in the daemon: units that exceed too often are one alarm, apart from those of charts."""

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promise_example import rows, unit_log
from test_handover import Bench, change, event

from calibration.exceedance_rate import judge
from monitor import unitlog
from monitor.alarms.alarm import RATES, USUAL, Alarm
from monitor.alarms.book import apply, open_book
from monitor.eventlog import EventRecord
from monitor.handover import GROWTH_PERIOD_NS
from monitor.judge import CHART_RULE, SourcedChange
from monitor.manifest import FittedRates
from monitor.rates import RATE_RULE, RateWatch
from monitor.recordlog import START
from monitor.unitlog import FinishedUnit

Rows = npt.NDArray[np.void]

WINDOW = 200
WARNING = 0.5  # in times the action limit
COUNTS = tuple(np.random.default_rng(2).binomial(WINDOW, 0.01, 60).tolist())
NEAR, FAR = 7, 40  # exceedances of a window beyond the limit, and of one twice as far
FITTED = FittedRates(WINDOW, 100, COUNTS, (WINDOW,) * 60, 0.02, False, 36.0, 8, 1.0, "")


def frames(exceedances: int, count: int = WINDOW, **given: Any) -> Rows:
    """*count* frames, so many of which lie over the warning limit; the last of these lies highest."""
    joint = np.full(count, 0.1)
    joint[:exceedances] = np.linspace(0.6, 0.9, exceedances)
    return rows(joint, **given)


def stream(counts: list[int], **given: Any) -> Rows:
    """Windows with so many exceedances each."""
    parts = [frames(one, first_seq=index * WINDOW, **given) for index, one in enumerate(counts)]
    return np.concatenate(parts)


def watched(*batches: Rows) -> list[SourcedChange]:
    watch = RateWatch(FITTED, WARNING, unit_log())
    changes = []
    for batch in batches:
        watch.take(batch)
        changes += watch.judge()
    return changes


def told(changes: list[SourcedChange]) -> list[tuple[str, int, int, int]]:
    """(phase, first frame, last frame, exceedances) of each change."""
    return [
        (one.change.phase, int(one.change.event.first["seq"]), int(one.change.event.last["seq"]), members)
        for one in changes
        for members in [one.change.event.frames_over]
    ]


def test_units_in_control_raise_nothing() -> None:
    assert watched(stream([0, 2, 5, 1, 3])) == []


def test_an_event_lasts_from_the_first_unit_over_to_the_first_that_is_not() -> None:
    changes = watched(stream([2, 15, 20, 12, 2, 1, 14]))
    assert told(changes) == [
        ("began", 200, 399, 15),
        ("grew", 200, 599, 35),
        ("grew", 200, 799, 47),
        ("ended", 200, 799, 47),
        ("began", 1200, 1399, 14),
    ]
    assert {(one.rule, one.source) for one in changes} == {(RATE_RULE, RATE_RULE)}
    assert RATE_RULE in RATES
    assert changes[-1].change.event.number != changes[0].change.event.number


def test_its_peak_is_the_unit_that_is_rarest() -> None:
    changes = watched(stream([15, 20, 12, 2]))
    expected = judge(FITTED.limit, 20, WINDOW)
    ended = changes[-1]
    assert ended.peak is not None
    assert (ended.peak.seq, ended.peak.score, ended.peak.limit) == (219, expected.score, expected.limit)
    assert ended.peak.ratio == expected.ratio > 1
    assert int(ended.change.event.peak["seq"]) == 219, "the frame that lies highest in it"
    assert [one.peak.seq for one in changes if one.peak] == [14, 219, 219, 219]


@given(cuts=st.lists(st.integers(0, 6 * WINDOW), max_size=8).map(sorted))
def test_any_batches_give_the_same_events(cuts: list[int]) -> None:
    whole = stream([2, 15, 20, 3, 2, 14])
    edges = [0, *cuts, len(whole)]
    pieces = [whole[lo:hi] for lo, hi in pairwise(edges) if hi > lo]
    assert told(watched(*pieces)) == told(watched(whole))


def test_a_layer_is_a_unit_however_long_it_is() -> None:
    layers = [
        frames(12, 1000, layer=1),
        frames(80, 1000, first_seq=1000, layer=2),
        frames(3, 300, first_seq=2000, layer=3),
        frames(0, 10, first_seq=2300, layer=4),
    ]
    assert told(watched(*layers)) == [("began", 1000, 1999, 80), ("ended", 1000, 1999, 80)]


def test_a_layer_of_few_frames_is_not_charted() -> None:
    layers = [frames(60, 99, layer=1), frames(60, 100, first_seq=99, layer=2), frames(0, 5, first_seq=199, layer=3)]
    assert told(watched(*layers)) == [("began", 99, 198, 60)]


def test_a_restarted_camera_leaves_a_unit_that_is_not_charted_and_continues_none() -> None:
    half = frames(100, 150)
    assert watched(half, frames(3, stream="two"), half[:50]) == []
    assert told(watched(half, frames(0, 50, first_seq=150))) == [("began", 0, 199, 100)], "of one stream it is whole"


@pytest.mark.parametrize(("after", "phases"), [(2, ["began", "ended"]), (15, ["began", "ended", "began"])])
def test_a_restarted_camera_continues_no_event(after: int, phases: list[str]) -> None:
    changes = watched(frames(20, first_seq=400), frames(after, stream="two"))
    assert [phase for phase, *_ in told(changes)] == phases
    for one in changes:
        assert bytes(one.change.event.first["stream"]) == bytes(one.change.event.last["stream"])


def test_every_unit_is_logged_with_its_score_or_why_it_has_none() -> None:
    log = unit_log()
    watch = RateWatch(FITTED, WARNING, log)
    watch.take(np.concatenate([frames(20), frames(50, 50, first_seq=200, layer=1, job=b"Platte 3")]))
    watch.take(frames(0, stream="two"))
    watch.judge()
    of_window, of_layer, last = unitlog.read(log, START)[0]
    score = judge(FITTED.limit, 20, WINDOW)
    assert of_window == FinishedUnit("one", "part 7", -1, 0, 199, WINDOW, 20, score.score, score.limit, "")
    assert of_window.over
    assert of_layer[:7] == ("one", "Platte 3", 1, 200, 249, 50, 50)
    assert (of_layer.why, of_layer.over, last.stream) == ("partial", False, "two")


# From there to an alarm


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    os.close(made.wake_fd)


def alarms_of(records: list[EventRecord]) -> list[Alarm]:
    """The last revision of every alarm that *records* raise."""
    book, found = open_book("melt", []), dict[str, Alarm]()
    for record in records:
        book, cases = apply(book, record)
        found |= {case.alarm.id: case.alarm for case in cases}
    return list(found.values())


def report(bench: Bench, changes: list[SourcedChange]) -> None:
    for one in changes:
        bench.handover.report([one])
        bench.now_ns += GROWTH_PERIOD_NS


@pytest.mark.parametrize("most", [NEAR, FAR])
def test_an_event_is_one_alarm_with_the_peak_of_its_rarest_unit(bench: Bench, most: int) -> None:
    report(bench, watched(stream([NEAR, most, NEAR, 1], job=b"part 9")))
    [alarm] = alarms_of(bench.records())
    ratio = judge(FITTED.limit, most, WINDOW).ratio
    assert (alarm.source, alarm.state, alarm.job) == ("exceedance_rate", "cleared", "part 9")
    assert alarm.peak is not None
    assert alarm.peak.ratio == ratio
    assert alarm.priority == ("high" if ratio >= USUAL.high_ratio else "medium")
    assert (alarm.first_seq, alarm.last_seq, alarm.frames_over) == (0, 599, 2 * NEAR + most)
    assert alarm.where is None


def test_while_it_lasts_it_has_the_priority_of_its_peak_and_withholds_by_it(bench: Bench) -> None:
    changes = watched(stream([NEAR, FAR, NEAR, 1]))
    seen = []
    for one in changes:
        report(bench, [one])
        seen.append(bench.handover.open_causes)
    assert seen == [("medium",), ("high",), ("high",), ()]


def test_an_alarm_of_rates_and_one_of_charts_do_not_mix(bench: Bench) -> None:
    report(bench, watched(stream([NEAR]))[:1])
    chart = event(100, 103, 4, scores=(60, 1, 1, 1))
    report(bench, [change("began", CHART_RULE, "t2", chart), change("ended", CHART_RULE, "t2", chart)])
    rate, of_chart = alarms_of(bench.records())
    assert (rate.source, rate.state, rate.rev) == ("exceedance_rate", "active", 1)
    assert (of_chart.source, of_chart.state) == ("t2", "cleared")


@pytest.mark.parametrize(("source", "adopted"), [("exceedance_rate", True), ("t2", False)])
def test_a_restarted_process_goes_on_with_the_alarm_of_its_own_kind(bench: Bench, source: str, adopted: bool) -> None:
    report(bench, watched(stream([NEAR])))
    [record] = bench.records()
    later = msgspec.structs.replace(record, epoch="another", source=source, last_seq=record.last_seq + 500)
    assert len(alarms_of([record, later])) == (1 if adopted else 2)
