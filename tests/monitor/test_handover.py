import os
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from frames import normal

from calibration.events import Change, Event
from models.scores import CHARTS
from monitor import eventlog
from monitor.alarms.alarm import USUAL, Urgency
from monitor.handover import GROWTH_PERIOD_NS, Handover, Names, measure_pool
from monitor.judge import CHART_RULE, ROW, STOP_RULE, SourcedChange
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.types import Kind, Peak, Pixels, Place, Priority
from monitor.wire.native import WireLimits, decode, encode

LIMITS = (50.0, 2.0, 4.0, 8.0)  # of t2, s2, offset and local


class Bench:
    """A handover with real shared memory and a clock in hand."""

    def __init__(self, *, stops: bool = False, names: Names | None = None, urgency: Urgency = USUAL) -> None:
        fields = (eventlog.fields(), Ring.fields(4, 32, 32, "uint8"))
        self.log, ring = lay_out(bytearray(size_of(*fields)), *fields)
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.now_ns = 10**18
        self.ring = Ring(ring)
        given = (self.log, self.wake_fd, "epoch", "ab" * 32, CHARTS, self.ring, self.clock, self.clock)
        self.handover = Handover(*given, urgency, stops=stops, names=names)

    def clock(self) -> int:
        return self.now_ns

    def put(self, *frames: Pixels) -> None:
        """Frames that come into the ring, one after the other."""
        for frame in frames:
            parts = encode("melt", "s", 0, 0, frame[None])
            self.ring.write(decode(parts, WireLimits()), 0, 1, 0, 0)

    def records(self) -> list[eventlog.EventRecord]:
        return eventlog.read(self.log, 0)[0]


class ByBrightness:
    """Names frames by their brightest pixel; what is dark is unknown."""

    def __init__(self, **priorities: Priority) -> None:
        self.priorities: Mapping[str, Priority] = priorities
        self.asked = 0
        self.where: list[int] = []  # of the last frame

    def __call__(self, frame: Pixels, where: Place) -> Kind | None:
        self.asked += 1
        self.where = where.tolist()
        return Kind(int(frame.max()), f"kind {frame.max()}", 0.5) if frame.max() > 100 else None


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


def test_what_ended_since_it_was_looked_at_is_seen_once_more(bench: Bench) -> None:
    short = event(1, 2, 2, scores=(60, 0, 0, 0))
    bench.handover.report([change("began", CHART_RULE, "t2", short), change("ended", CHART_RULE, "t2", short)])
    assert bench.handover.open_causes == ()
    assert bench.handover.take_causes() == ("medium",), "it began and ended in one batch"
    assert bench.handover.take_causes() == ()
    bench.handover.report([change("began", CHART_RULE, "t2", short)])
    assert bench.handover.take_causes() == ("medium",)
    far = event(1, 4, 4, scores=(500, 0, 0, 0))
    bench.handover.report([change("grew", CHART_RULE, "t2", far), change("ended", CHART_RULE, "t2", far)])
    assert bench.handover.take_causes() == ("high",), "it had risen before it ended"


def test_causes_may_be_looked_at_while_another_thread_reports(bench: Bench) -> None:
    began, ended = (
        [change(phase, name, name, event(1, 2, 2)) for name in ("frozen", "dark", "saturated", "rows_missing")]
        for phase in ("began", "ended")
    )
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            bench.handover.take_causes()

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as thread:
            looking = thread.submit(look)
            for _ in range(2000):
                bench.handover.report(began)
                bench.handover.report(ended)
            done.set()
            looking.result()
    finally:
        sys.setswitchinterval(before_s)


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


DARK, BRIGHT = normal(1, 0)[0] // 4, np.full((32, 32), 200, np.uint8)


def test_an_event_is_named_by_its_peak_frame_and_an_unknown_one_stays_unknown() -> None:
    names = ByBrightness()
    bench = Bench(names=names)
    bench.put(DARK, BRIGHT)
    grown = event(1, 9, 9, position=1, where=(6, 25))
    bench.handover.report([change("began", CHART_RULE, "t2", event(1, 2, 2, position=0))])
    bench.now_ns += GROWTH_PERIOD_NS
    bench.handover.report([change("grew", CHART_RULE, "t2", grown), change("ended", CHART_RULE, "t2", grown)])
    assert [one.kind for one in bench.records()] == [None, *[Kind(200, "kind 200", 0.5)] * 2]
    assert names.where == [6, 25]
    os.close(bench.wake_fd)


def test_a_peak_is_looked_at_once_and_what_was_seen_is_told_though_its_slot_is_overwritten() -> None:
    names = ByBrightness()
    bench = Bench(stops=True, names=names)
    bench.put(BRIGHT)
    peak = event(1, 2, 2, position=0)
    stop = SourcedChange(STOP_RULE, STOP_RULE, Change("began", peak), Peak(2, 9.0, 8.0, 1.1))
    bench.handover.report([change("began", CHART_RULE, "t2", peak), stop])
    bench.put(*[DARK] * 8)
    bench.handover.report([change("ended", CHART_RULE, "t2", peak)])
    assert names.asked == 1
    told = bench.records()
    assert [(one.source, one.kind, one.pool) for one in told] == [
        (source, Kind(200, "kind 200", 0.5), told[0].pool) for source in ("t2", "stop", "t2")
    ]
    assert told[0].pool is not None
    os.close(bench.wake_fd)


def test_a_frame_that_the_ring_holds_no_more_and_a_camera_fault_have_no_kind() -> None:
    names = ByBrightness()
    bench = Bench(names=names)
    bench.put(*[BRIGHT] * 6)
    bench.handover.report([change("began", CHART_RULE, "t2", event(1, 2, 2, position=0))])
    bench.handover.report([change("began", "saturated", "saturated", event(1, 2, 2, position=5))])
    assert [one.kind for one in bench.records()] == [None, None]
    assert names.asked == 0
    os.close(bench.wake_fd)


@pytest.mark.parametrize(
    ("configured", "given", "cause"),
    [
        ({}, {}, "medium"),
        ({}, {"kind 200": "low"}, "low"),
        ({"kind 200": "critical"}, {"kind 200": "low"}, "critical"),
        ({"kind 7": "critical"}, {"kind 8": "low"}, "medium"),
    ],
)
def test_a_known_kind_withholds_by_its_own_priority_and_the_configuration_goes_before_the_operator(
    configured: dict[str, Priority], given: dict[str, Priority], cause: str
) -> None:
    bench = Bench(names=ByBrightness(**given), urgency=Urgency(kinds=configured))
    bench.put(BRIGHT)
    bench.handover.report([change("began", CHART_RULE, "t2", event(1, 2, 2, position=0, scores=(60, 0, 0, 0)))])
    assert bench.handover.open_causes == (cause,)
    os.close(bench.wake_fd)


@pytest.mark.parametrize(
    ("rule", "source", "position"), [(CHART_RULE, "t2", 99), (STOP_RULE, "stop", 99), ("frozen", "frozen", -1)]
)
def test_a_record_says_where_in_the_ring_the_peak_is_of_what_the_charts_found(
    bench: Bench, rule: str, source: str, position: int
) -> None:
    peak = {"scores": (60, 0, 0, 0), "position": 99}
    bench.handover.report([change("began", rule, source, event(100, 103, 4, **peak))])
    assert [one.position for one in bench.records()] == [position]


def began(rule: str, source: str, **peak: Any) -> SourcedChange:
    return change("began", rule, source, event(1, 2, 2, position=0, **peak))


def test_the_permit_is_withheld_before_any_frame_is_looked_at_where_no_kind_has_a_priority() -> None:
    names = ByBrightness()
    bench = Bench(names=names)
    bench.put(BRIGHT)
    changes = [began(CHART_RULE, "t2", scores=(60, 0, 0, 0)), began("dark", "dark")]
    assert bench.handover.withhold(changes)
    assert (bench.handover.open_causes, names.asked, bench.records()) == (("medium", "high"), 0, [])
    bench.handover.report(changes)
    assert (bench.handover.open_causes, names.asked, len(bench.records())) == (("medium", "high"), 1, 2)
    assert not bench.handover.withhold([]), "nothing more withholds it"
    os.close(bench.wake_fd)


@pytest.mark.parametrize(("configured", "given"), [({"kind 200": "low"}, {}), ({}, {"kind 200": "low"})])
def test_where_kinds_have_priorities_the_permit_waits_for_the_kind(
    configured: dict[str, Priority], given: dict[str, Priority]
) -> None:
    bench = Bench(names=ByBrightness(**given), urgency=Urgency(kinds=configured))
    bench.put(BRIGHT)
    changes = [began(CHART_RULE, "t2", scores=(60, 0, 0, 0))]
    assert not bench.handover.withhold(changes), "it may be of a kind that withholds nothing"
    bench.handover.report(changes)
    assert bench.handover.open_causes == ("low",)
    os.close(bench.wake_fd)


def test_a_stop_waits_for_no_kind_whatever_priorities_kinds_have() -> None:
    names = ByBrightness(**{"kind 200": "low"})
    bench = Bench(stops=True, names=names)
    bench.put(BRIGHT)
    stop = SourcedChange(STOP_RULE, STOP_RULE, Change("began", event(1, 2, 2, position=0)), Peak(2, 9.0, 8.0, 1.1))
    assert bench.handover.withhold([began(CHART_RULE, "t2"), stop])
    assert (bench.handover.open_causes, names.asked) == (("stop",), 0)
    os.close(bench.wake_fd)


def test_an_event_that_ends_with_the_batch_in_which_the_next_begins_ends_by_what_it_was(bench: Bench) -> None:
    far = event(1, 4, 4, scores=(500, 0, 0, 0))
    bench.handover.report([change("began", CHART_RULE, "t2", far)])
    bench.handover.take_causes()
    changes = [change("ended", CHART_RULE, "t2", far), began(CHART_RULE, "t2", scores=(60, 0, 0, 0))]
    bench.handover.withhold(changes)
    bench.handover.report(changes)
    assert bench.handover.take_causes() == ("medium", "high"), "what is open, and what has ended since"


def test_an_event_within_one_batch_is_seen_before_and_after_it_is_told(bench: Bench) -> None:
    short = event(1, 4, 4, scores=(60, 0, 0, 0))
    changes = [change("began", CHART_RULE, "t2", short), change("ended", CHART_RULE, "t2", short)]
    assert bench.handover.withhold(changes)
    assert bench.handover.take_causes() == ("medium",)
    bench.handover.report(changes)
    assert bench.handover.take_causes() == ("medium",)
    assert bench.handover.take_causes() == ()
