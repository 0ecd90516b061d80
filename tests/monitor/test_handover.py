import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from frames import normal

from calibration.events import Change, Event
from models.scores import CHARTS
from monitor import eventlog
from monitor.handover import GROWTH_PERIOD_NS, Handover, measure_pool
from monitor.judge import CHART_RULE, ROW, STOP_RULE, SourcedChange
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.types import Peak

LIMITS = (50.0, 2.0, 4.0, 8.0)  # of t2, s2, offset and local


class Bench:
    """A handover with real shared memory and a clock in hand."""

    def __init__(self, *, stops: bool = False) -> None:
        fields = (eventlog.fields(), Ring.fields(4, 32, 32, "uint8"))
        self.log, ring = lay_out(bytearray(size_of(*fields)), *fields)
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.now_ns = 10**18
        self.ring = Ring(ring)
        given = (self.log, self.wake_fd, "epoch", "ab" * 32, CHARTS, self.ring, self.clock, self.clock)
        self.handover = Handover(*given, stops=stops)

    def clock(self) -> int:
        return self.now_ns

    def records(self) -> list[eventlog.EventRecord]:
        return eventlog.read(self.log, 0)[0]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    os.close(made.wake_fd)


def row(seq: int, **given: Any) -> Any:
    one = np.zeros(1, ROW)
    one["seq"], one["layer"], one["xy"] = seq, -1, np.nan
    for name in ("scores", "limits"):
        one[name][:, : len(CHARTS)] = given.pop(name, LIMITS if name == "limits" else 0)
    for name, value in given.items():
        one[name] = value
    return one[0]


def event(first: int, last: int, over: int, **peak: Any) -> Event:
    return Event(0, row(first, stream=b"s", t_ns=77), row(last), row(last, **peak), over)


def change(phase: Any, rule: str, source: str, of: Event) -> SourcedChange:
    return SourcedChange(rule, source, Change(phase, of))


def test_an_event_is_logged_with_all_that_is_known_of_it(bench: Bench) -> None:
    peak = {"scores": (10, 1, 1, 24), "where": (6, 25), "layer": 3, "job": b"part 7", "xy": (1.5, 2.5), "position": 99}
    bench.handover.report([change("began", CHART_RULE, "local", event(100, 103, 4, **peak))])
    (record,) = bench.records()
    assert (record.phase, record.source, record.first_seq, record.last_seq, record.frames_over) == (
        "began",
        "local",
        100,
        103,
        4,
    )
    assert record.peak is not None
    assert (record.peak.seq, record.peak.score, record.peak.limit, record.peak.ratio) == (103, 24.0, 8.0, 3.0)
    assert (record.where, record.layer, record.job, record.xy) == ((6, 25), 3, "part 7", (1.5, 2.5))
    assert (record.stream, record.first_t_ns, record.bundle) == ("s", 77, "ab" * 32)
    assert record.pool is None, "position 99 was never written"
    assert os.eventfd_read(bench.wake_fd) >= 1, "the side process was not woken"


def test_the_limit_of_a_peak_is_the_one_that_held_for_its_frame(bench: Bench) -> None:
    peak = {"scores": (10, 1, 1, 24), "limits": (1, 1, 1, 48.0), "context": b"contour"}
    bench.handover.report([change("began", CHART_RULE, "local", event(100, 103, 4, **peak))])
    (record,) = bench.records()
    assert record.peak is not None
    assert (record.context, record.peak.limit, record.peak.ratio) == ("contour", 48.0, 0.5)


def test_growth_is_told_once_a_second_and_the_end_at_once(bench: Bench) -> None:
    bench.handover.report([change("began", CHART_RULE, "t2", event(1, 2, 2, scores=(60, 0, 0, 0)))])
    for _ in range(5):
        bench.now_ns += GROWTH_PERIOD_NS // 10
        bench.handover.report([change("grew", CHART_RULE, "t2", event(1, 3, 3, scores=(60, 0, 0, 0)))])
    assert [one.phase for one in bench.records()] == ["began"]
    bench.now_ns += GROWTH_PERIOD_NS
    bench.handover.report([change("grew", CHART_RULE, "t2", event(1, 9, 9, scores=(60, 0, 0, 0)))])
    bench.handover.report([change("ended", CHART_RULE, "t2", event(1, 9, 9, scores=(60, 0, 0, 0)))])
    assert [one.phase for one in bench.records()] == ["began", "grew", "ended"]
    assert len({one.event for one in bench.records()}) == 1


def test_every_record_says_when_it_was_written_and_when_its_event_began(bench: Bench) -> None:
    begun_ns, large = bench.now_ns, event(1, 9, 9, scores=(60, 0, 0, 0))
    bench.handover.report([change("began", CHART_RULE, "t2", event(1, 2, 2, scores=(60, 0, 0, 0)))])
    bench.now_ns += 1
    bench.handover.hold("blind", "no frames")
    bench.now_ns += GROWTH_PERIOD_NS
    bench.handover.report([change("grew", CHART_RULE, "t2", large), change("ended", CHART_RULE, "t2", large)])
    bench.handover.release("blind")
    bench.handover.settle(service_only=True)
    told = [(one.phase, one.source, one.mono_ns - begun_ns, one.began_ns - begun_ns) for one in bench.records()]
    late_ns = GROWTH_PERIOD_NS + 1
    assert told == [
        ("began", "t2", 0, 0),
        ("began", "blind", 1, 1),
        ("grew", "t2", late_ns, 0),
        ("ended", "t2", late_ns, 0),
        ("ended", "blind", late_ns, 1),
        ("settled", "service", late_ns, late_ns),
    ]


def test_open_events_withhold_by_priority_until_they_end(bench: Bench) -> None:
    assert bench.handover.open_causes == ()
    small, large = event(1, 2, 2, scores=(60, 0, 0, 0)), event(1, 4, 4, scores=(500, 0, 0, 0))
    bench.handover.report([change("began", CHART_RULE, "t2", small)])
    assert bench.handover.open_causes == ("medium",)
    bench.handover.report([change("grew", CHART_RULE, "t2", large)])
    assert bench.handover.open_causes == ("high",), "growth that is not told of still counts"
    bench.handover.report([change("began", "frozen", "frozen", event(3, 4, 2))])
    assert bench.handover.open_sources(("dark", "frozen")) == ("frozen",)
    bench.handover.report([change("ended", CHART_RULE, "t2", large), change("ended", "frozen", "frozen", small)])
    assert bench.handover.open_causes == ()
    assert bench.handover.open_sources(("dark", "frozen")) == ()


def test_where_there_is_a_rule_for_stops_charts_withhold_by_it_alone() -> None:
    bench = Bench(stops=True)
    far = event(1, 4, 4, scores=(500, 0, 0, 0))
    bench.handover.report([change("began", CHART_RULE, "t2", far)])
    assert bench.handover.open_causes == ()
    bench.handover.report([change("began", "frozen", "frozen", far)])
    assert bench.handover.open_causes == ("high",), "a fault of the camera withholds as before"
    peak = Peak(4, 500.0, 70.0, 500 / 70)
    stop = SourcedChange(STOP_RULE, STOP_RULE, Change("began", far), peak, "5 of 8 over it, furthest on t2")
    bench.handover.report([stop])
    assert bench.handover.open_causes == ("high", "stop")
    told = bench.records()[-1]
    assert (told.source, told.peak, told.why) == ("stop", peak, stop.why)
    bench.handover.report([stop._replace(change=Change("ended", far))])
    assert bench.handover.open_causes == ("high",)
    os.close(bench.wake_fd)


def test_a_stop_by_the_local_chart_says_where() -> None:
    bench = Bench(stops=True)
    peak = event(1, 4, 4, source=CHARTS.index("local"), where=(6, 25))
    bench.handover.report([SourcedChange(STOP_RULE, STOP_RULE, Change("began", peak), Peak(4, 9.0, 8.0, 1.1))])
    assert bench.records()[-1].where == (6, 25)
    os.close(bench.wake_fd)


def test_a_condition_is_logged_when_it_begins_and_when_it_is_over(bench: Bench) -> None:
    for _ in range(3):
        bench.handover.hold("blind", "no frames")
    bench.handover.release("blind")
    bench.handover.release("blind")
    assert [(one.phase, one.source) for one in bench.records()] == [("began", "blind"), ("ended", "blind")]
    assert bench.handover.open_causes == (), "conditions withhold by the state, not by a priority"


def test_a_camera_fault_has_no_score_and_no_place(bench: Bench) -> None:
    bench.handover.report([change("began", "dark", "dark", event(5, 5, 1))])
    (record,) = bench.records()
    assert (record.source, record.peak, record.where, record.xy) == ("dark", None, None, None)


def test_the_pool_of_a_frame_is_its_bright_region() -> None:
    frame = np.full((32, 32), 10, np.uint8)
    frame[4:8, 10:16] = 200
    pool = measure_pool(frame)
    assert (pool.area_px, pool.mean, pool.peak) == (24, 200.0, 200.0)
    assert measure_pool(np.full((16, 16), 7, np.uint8)).area_px == 0
    assert 20 < measure_pool(normal(1, 0)[0]).area_px < 400


@pytest.mark.parametrize(
    ("rule", "source", "position"), [(CHART_RULE, "t2", 99), (STOP_RULE, "stop", 99), ("frozen", "frozen", -1)]
)
def test_a_record_says_where_in_the_ring_the_peak_is_of_what_the_charts_found(
    bench: Bench, rule: str, source: str, position: int
) -> None:
    peak = {"scores": (60, 0, 0, 0), "position": 99}
    bench.handover.report([change("began", rule, source, event(100, 103, 4, **peak))])
    assert [one.position for one in bench.records()] == [position]
