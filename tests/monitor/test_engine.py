from collections.abc import Sequence

import numpy as np
import pytest
from frames import normal, with_spot
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.events import EventRule
from monitor import ledger as ledgers
from monitor import vitals
from monitor.backlog import Backlog
from monitor.bundle import Bundle
from monitor.engine import Engine
from monitor.ingest import Ingest
from monitor.judge import Judge, SourcedChange
from monitor.ledger import Ledger, LedgerSnapshot
from monitor.ring import Ring
from monitor.score import load_scorer
from monitor.shared import lay_out, size_of
from monitor.types import Dropped, Unjudged
from monitor.warmth import PAUSE_NS
from monitor.wire import native
from monitor.wire.native import WireLimits

SLOTS, BATCH = 64, 16
RULE = EventRule(k=2, n=3, clear_frames=10)


DAY_NS = 86_400_000_000_000


class Clock:
    """Nanoseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns


class WallClock:
    """The time of day while *clock* runs; it may be set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_ns = 0

    def __call__(self) -> int:
        return 1_795_000_000 * 10**9 + self._clock() + self.offset_ns


class Bench:
    """Ingest, ring, backlog and engine of one process, without threads or sockets."""

    def __init__(self, bundle: Bundle | None, judge: Judge | None = None) -> None:
        fields = (Ring.fields(SLOTS, 32, 32, "uint8"), Ledger.fields(), vitals.fields(4))
        ring, self.account, self.board = lay_out(bytearray(size_of(*fields)), *fields)
        self.ring = Ring(ring)
        self.clock = Clock()
        self.wall_clock = WallClock(self.clock)
        self.backlog = Backlog(self.ring, Ledger(self.account), BATCH, 0)
        admission = bundle.admission if bundle else None
        self.ingest = Ingest("cam", admission, WireLimits(), 10**12, self.backlog)
        if judge is None and bundle is not None:
            judge = Judge(
                load_scorer(bundle), bundle.manifest.charts, bundle.context_limits, bundle.camera_limits, RULE
            )
        self.changes: list[SourcedChange] = []
        self.engine = Engine(self.backlog, judge, self.board, self._report, self.clock, self.wall_clock)
        self.seq = 0

    def _report(self, changes: Sequence[SourcedChange]) -> None:
        self.changes += changes

    def send(self, frames: np.ndarray, *, active: bool = True, context: str = "", later_ns: int = 0) -> None:
        """*later_ns*: by how much the camera's clock is ahead of what it was."""
        exposed_ns = 10**18 + self.clock() + later_ns
        parts = native.encode("cam", "one", self.seq, exposed_ns, frames, active=active, context=context)
        self.ingest.take(parts, self.clock())
        self.seq += len(frames)

    def ended(self) -> list[tuple[str, int, int, int, int]]:
        events = [(one.source, one.change.event) for one in self.changes if one.change.phase == "ended"]
        return [
            (source, int(one.first["seq"]), int(one.last["seq"]), int(one.peak["seq"]), one.frames_over)
            for source, one in events
        ]

    def judge_all(self) -> LedgerSnapshot:
        while (claim := self.backlog.claim(self.clock())) is not None:
            self.engine.judge_batch(*claim)
        return ledgers.read(self.account)


@pytest.fixture
def bench(small_bundle: Bundle) -> Bench:
    return Bench(small_bundle)


def test_every_frame_is_judged_and_its_scores_lie_beside_its_pixels(bench: Bench, small_bundle: Bundle) -> None:
    frames = normal(40, 3)
    bench.send(frames)
    snapshot = bench.judge_all()
    assert (snapshot.received, snapshot.judged, snapshot.in_flight) == (40, 40, 0)
    expected = load_scorer(small_bundle)(frames)
    batch = bench.ring.view(0, 40)
    for chart in ("t2", "s2", "offset", "local"):
        np.testing.assert_allclose(getattr(batch, chart), getattr(expected, chart), rtol=1e-3, atol=1e-4)
    assert np.isfinite(batch.joint).all()


def test_inactive_frames_are_settled_by_their_code_and_not_scored(bench: Bench) -> None:
    bench.send(normal(10, 1), active=False)
    bench.send(normal(10, 2))
    snapshot = bench.judge_all()
    assert (snapshot.judged, snapshot.unjudged[Unjudged.INACTIVE]) == (10, 10)
    assert np.isnan(bench.ring.view(0, 10).joint).all()


def test_the_context_of_the_frame_judged_last_is_told(bench: Bench) -> None:
    for seed, context in enumerate(("hatch", "contour")):
        bench.send(normal(10, seed), context=context)
    bench.send(normal(10, 3), active=False)
    bench.judge_all()
    assert bench.board["context"][0] == b"contour"


def test_a_frame_bears_the_time_when_it_was_judged_and_one_that_never_was_bears_none(bench: Bench) -> None:
    bench.send(normal(10, 1), active=False)
    bench.send(np.concatenate([normal(3, 2), np.zeros((1, 32, 32), np.uint8)]))
    bench.clock.now_ns += 7_000
    bench.judge_all()
    assert bench.ring.view(0, 14).judged_ns.tolist() == [0] * 10 + [bench.clock.now_ns] * 3 + [0]


def test_faulty_frames_are_counted_and_remembered(bench: Bench) -> None:
    bench.send(np.concatenate([normal(5, 1), np.zeros((3, 32, 32), np.uint8)]))
    snapshot = bench.judge_all()
    assert (snapshot.judged, snapshot.unjudged[Unjudged.CAMERA_FAULT]) == (5, 3)
    assert [one.source for one in bench.changes] == ["dark"]


def test_events_are_handed_over_with_the_ring_position_of_their_frames(bench: Bench) -> None:
    bench.send(np.concatenate([normal(20, 1), with_spot(normal(4, 2)), normal(20, 3)]))
    bench.judge_all()
    assert [one.change.phase for one in bench.changes] == ["began", "ended"]
    peak = bench.changes[0].change.event.peak
    np.testing.assert_array_equal(
        bench.ring.view(int(peak["position"]), int(peak["position"]) + 1).seq, [int(peak["seq"])]
    )


def test_without_a_bundle_nothing_is_judged_and_all_is_counted() -> None:
    bench = Bench(None)
    bench.send(normal(30, 1))
    snapshot = bench.judge_all()
    assert (snapshot.judged, snapshot.unjudged[Unjudged.UNCALIBRATED], snapshot.in_flight) == (0, 30, 0)


class Overtaken(Judge):
    """A judge so slow that the camera fills the ring while it looks at its first batch."""

    bench: Bench
    laps = 1

    def judge(self, *given):
        verdicts = super().judge(*given)
        if self.laps:
            self.laps -= 1
            self.bench.send(normal(SLOTS - 8, 77))
        return verdicts


def test_frames_overwritten_while_they_were_judged_are_dropped_and_leave_no_trace(small_bundle: Bundle) -> None:
    judge = Overtaken(
        load_scorer(small_bundle),
        small_bundle.manifest.charts,
        small_bundle.context_limits,
        small_bundle.camera_limits,
        RULE,
    )
    bench = Bench(small_bundle, judge)
    judge.bench = bench
    # The spot lies in the slots that the camera overtakes: it must not raise an event, nor count as judged.
    bench.send(np.concatenate([with_spot(normal(8, 1)), normal(8, 2)]))
    claim = bench.backlog.claim(bench.clock())
    assert claim == (0, 16)
    bench.engine.judge_batch(*claim)
    snapshot = ledgers.read(bench.account)
    assert (snapshot.judged, snapshot.dropped[Dropped.OVERRUN]) == (8, 8)
    assert bench.changes == []
    snapshot = bench.judge_all()
    assert snapshot.in_flight == 0
    assert snapshot.judged + snapshot.dropped[Dropped.OVERRUN] == bench.seq


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_stream_cut_into_any_messages_and_batches_gives_the_same_events(
    small_bundle: Bundle, data: st.DataObject
) -> None:
    stuck = np.repeat(normal(1, 9), 5, axis=0)
    frames = np.concatenate([normal(20, 1), with_spot(normal(4, 2)), normal(25, 3), stuck, normal(20, 4)])
    whole = Bench(small_bundle)
    for piece in np.array_split(frames, 2):
        whole.send(piece)
        whole.judge_all()
    cut = Bench(small_bundle)
    while cut.seq < len(frames):
        cut.send(frames[cut.seq : cut.seq + data.draw(st.integers(1, 12))])
        if data.draw(st.booleans()) or cut.backlog.pending > SLOTS // 2:
            cut.judge_all()
    assert cut.judge_all().dropped == whole.judge_all().dropped
    assert sorted(cut.ended()) == sorted(whole.ended())
    assert {source for source, *_ in whole.ended()} == {"local", "frozen"}


def test_frames_overwritten_by_others_that_are_not_judged_are_dropped_all_the_same(bench: Bench) -> None:
    bench.send(normal(16, 1))
    claim = bench.backlog.claim(bench.clock())
    assert claim == (0, 16)
    bench.send(normal(SLOTS, 2), active=False)
    bench.engine.judge_batch(*claim)
    snapshot = ledgers.read(bench.account)
    assert (snapshot.judged, snapshot.dropped[Dropped.OVERRUN]) == (0, 16)


class FallenError(Exception):
    """The process dies here."""


def test_a_process_that_dies_while_it_reports_has_not_booked_the_frames_as_judged(bench: Bench) -> None:
    def die(_changes: Sequence[SourcedChange]) -> None:
        raise FallenError

    bench.engine._handover = die
    bench.send(np.concatenate([normal(8, 1), with_spot(normal(8, 2))]))
    with pytest.raises(FallenError):
        bench.judge_all()
    assert ledgers.read(bench.account).judged == 0


def test_the_vitals_tell_how_long_frames_waited(bench: Bench) -> None:
    bench.send(normal(16, 1))
    bench.clock.now_ns += 30_000_000
    bench.judge_all()
    counts = bench.board["age_counts"]
    assert counts.sum() == 16
    assert vitals.quantile(counts, vitals.AGE_BOUNDS, 0.99) == 0.05
    assert bench.board["last_seq"][0] == 15
    assert bench.board["batch_sum"][0] == 16


def test_delay_is_counted_from_the_least_ever_seen(bench: Bench) -> None:
    bench.send(normal(16, 1))
    bench.judge_all()
    assert bench.board["delay_sum"][0] == pytest.approx(0.0, abs=1e-9)
    bench.send(normal(16, 2))
    bench.clock.now_ns += 7_000_000
    bench.judge_all()
    assert bench.board["delay_sum"][0] == pytest.approx(16 * 0.007)


@pytest.mark.parametrize("whose", ["ours", "the camera's"])
@pytest.mark.parametrize("step_ns", [DAY_NS, -DAY_NS])
def test_a_clock_that_is_set_and_set_right_again_delays_nothing(bench: Bench, whose: str, step_ns: int) -> None:
    for number, offset_ns in enumerate((0, step_ns, step_ns, 0, 0)):
        if whose == "ours":
            bench.wall_clock.offset_ns = offset_ns
        bench.send(normal(16, number), later_ns=0 if whose == "ours" else offset_ns)
        bench.judge_all()
    assert bench.board["delay_counts"].sum() == 5 * 16
    assert bench.board["delay_sum"][0] == pytest.approx(0.0, abs=1e-3)


def test_the_loop_ends_when_told_to_and_nothing_is_left(bench: Bench) -> None:
    bench.send(normal(40, 1))
    bench.engine.run(lambda: True)
    assert ledgers.read(bench.account).judged == 40
    assert bench.board["engine_beat_ns"][0] == bench.clock.now_ns


def test_in_a_pause_the_engine_scores_frames_of_its_own_and_leaves_no_trace(bench: Bench) -> None:
    bench.send(normal(20, 1))
    bench.judge_all()
    before, shown = ledgers.read(bench.account), {name: array.copy() for name, array in bench.board.items()}
    assert not bench.engine.keep_warm(), "it was given no frames for that"
    bench.engine.idle_frames = normal(4, 2)
    assert not bench.engine.keep_warm(), "there is no pause"
    bench.clock.now_ns += PAUSE_NS
    assert bench.engine.keep_warm()
    assert not bench.engine.keep_warm(), "it rests"
    assert ledgers.read(bench.account) == before
    for name, array in shown.items():
        np.testing.assert_array_equal(bench.board[name], array)


def test_frames_that_wait_go_before_keeping_warm(bench: Bench) -> None:
    bench.engine.idle_frames = normal(4, 2)
    bench.clock.now_ns += PAUSE_NS
    bench.send(normal(1, 1))
    assert not bench.engine.keep_warm()
