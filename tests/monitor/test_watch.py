import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from frames import normal, with_spot

from calibration.camera import FAULTS
from calibration.events import EventRule
from monitor import eventlog, vitals
from monitor.backlog import Backlog
from monitor.bundle import Bundle
from monitor.config import Config, Events, Permit
from monitor.engine import Engine
from monitor.handover import Handover
from monitor.ingest import Ingest
from monitor.judge import Judge
from monitor.ledger import Ledger
from monitor.orders import Memory, layout
from monitor.ring import Ring
from monitor.score import load_scorer
from monitor.shared import lay_out, size_of
from monitor.voice import Heartbeat
from monitor.voice import Permit as PermitSaid
from monitor.watch import IDLE_TURNS, PERIOD_S, Parts, Watch
from monitor.wire import native
from monitor.wire.native import WireLimits

SECOND = 1_000_000_000
CLEAR = 10


class Ear:
    """What would have gone to the socket."""

    def __init__(self) -> None:
        self.heartbeats: list[Heartbeat] = []
        self.permits: list[PermitSaid] = []

    def say(self, message: Any) -> None:
        (self.heartbeats if isinstance(message, Heartbeat) else self.permits).append(message)


class Bench:
    """A watch over real ring, ledger, ingest and engine, with a clock in hand and no threads."""

    def __init__(self, bundle: Bundle, **given: Any) -> None:
        self.now_ns = 100 * SECOND
        self.rings = 0
        events = Events(k=2, n=3, clear_frames=CLEAR)
        self.config = Config(events=events, **{"permit": Permit(quiet_s=0.5)} | given)
        fields = layout(4, 64, 32, 32, "uint8")
        self.memory = Memory(*lay_out(bytearray(size_of(*fields)), *fields))
        self.ear = Ear()
        self.watch = Watch(
            self.config,
            self.memory,
            bundle.manifest,
            "epoch",
            self.ear,
            self.clock,
            self.clock,
            self.ring,
        )
        ring = Ring(self.memory.ring)
        self.backlog = Backlog(ring, Ledger(self.memory.ledger), 16, 0)
        self.ingest = Ingest(self.config.camera, bundle.admission, WireLimits(), SECOND, self.backlog)
        judge = Judge(
            load_scorer(bundle),
            bundle.manifest.charts,
            bundle.context_limits,
            bundle.camera_limits,
            EventRule(2, 3, CLEAR),
        )
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.handover = Handover(
            self.memory.log,
            self.wake_fd,
            "epoch",
            "",
            bundle.manifest.charts,
            ring,
            self.clock,
            self.clock,
        )
        self.engine = Engine(self.backlog, judge, self.memory.vitals, self.handover.report, self.clock, self.clock)
        self.seq = 0

    def clock(self) -> int:
        return self.now_ns

    def ring(self) -> None:
        self.rings += 1

    def ready(self) -> None:
        self.watch.parts = Parts(self.engine, self.ingest, self.backlog, self.handover, FAULTS)

    def send(self, frames: np.ndarray | None) -> None:
        parts = native.encode(self.config.camera, "one", self.seq, self.now_ns, frames)
        self.ingest.take(parts, self.now_ns)
        self.seq += 0 if frames is None else len(frames)
        while (claim := self.backlog.claim(self.now_ns)) is not None:
            self.engine.judge_batch(*claim)

    def pass_time(self, seconds: float, *, frames: bool = False, side: bool = True, engine: bool = True) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now_ns += 50_000_000
            if side:
                self.memory.vitals["side_beat_ns"][0] = self.now_ns
            if engine:
                self.memory.vitals["engine_beat_ns"][0] = self.now_ns
            if frames:
                self.send(normal(4, self.seq))
            self.watch.turn()

    @property
    def said(self) -> Heartbeat:
        return self.ear.heartbeats[-1]

    def records(self) -> list[tuple[str, str]]:
        return [(one.phase, one.source) for one in eventlog.read(self.memory.log, 0)[0]]


@pytest.fixture
def bench(small_bundle: Bundle) -> Iterator[Bench]:
    made = Bench(small_bundle)
    yield made
    os.close(made.wake_fd)


def test_it_speaks_before_the_network_is_loaded(bench: Bench) -> None:
    bench.pass_time(0.5)
    assert bench.said.state == "starting"
    assert not bench.ear.permits[-1].permit


def test_with_frames_it_is_ok_and_the_permit_comes_after_the_quiet_time(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.4, frames=True)
    assert bench.said.state == "ok"
    assert not bench.ear.permits[-1].permit
    bench.pass_time(0.3, frames=True)
    assert bench.ear.permits[-1].permit
    numbers = [one.n for one in bench.ear.permits]
    assert numbers == list(range(len(numbers)))


def test_heartbeats_come_once_a_second_and_at_every_change(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(3.0, frames=True)
    states = [one.state for one in bench.ear.heartbeats]
    assert states.count("ok") == 3
    a_second_of_frames = 20 * 4
    assert bench.seq - a_second_of_frames <= bench.said.seq < bench.seq
    assert bench.said.coverage == pytest.approx(1.0)


def test_silence_is_blind_and_an_alarm_that_ends_with_the_next_frame(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.5, frames=True)
    bench.pass_time(1.5)
    assert bench.said.state == "blind"
    assert not bench.ear.permits[-1].permit
    bench.pass_time(0.1, frames=True)
    assert bench.said.state == "ok"
    assert [one for one in bench.records() if one[1] == "blind"] == [("began", "blind"), ("ended", "blind")]


def test_keep_alives_are_idle_but_one_between_frames_is_not(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.5, frames=True)
    bench.send(None)
    bench.pass_time(0.05)
    bench.pass_time(0.5, frames=True)
    assert "idle" not in {one.state for one in bench.ear.heartbeats}
    for _ in range(4):
        bench.send(None)
        bench.pass_time(0.05)
    assert bench.said.state == "idle"
    assert bench.ear.permits[-1].permit, "idle keeps the permit"


def test_a_lost_side_process_is_told_of_within_a_second(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    since_ns = bench.now_ns
    bench.pass_time(1.0, frames=True, side=False)
    told = next(one for one in bench.ear.heartbeats if one.state == "degraded")
    assert "side process" in told.why
    assert told.t_ns - since_ns < SECOND
    assert not bench.ear.permits[-1].permit
    bench.pass_time(0.1, frames=True)
    assert bench.said.state == "ok"


def test_a_hung_engine_is_degraded_however_alive_the_camera_is(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    bench.pass_time(0.7, frames=True, engine=False)
    assert bench.said.state == "degraded"
    assert "engine" in bench.said.why


def test_an_event_makes_the_permit_fall_at_once_and_is_timed(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    assert bench.ear.permits[-1].permit
    received_ns = bench.now_ns
    bench.send(with_spot(normal(4, 999)))
    bench.now_ns += 3_000_000
    bench.watch.event_changed(received_ns)
    assert not bench.ear.permits[-1].permit
    assert "event" in bench.ear.permits[-1].why
    assert bench.memory.vitals["fall_sum"][0] == pytest.approx(0.003)
    assert bench.memory.vitals["permit"][0] == 0


def test_an_event_that_is_over_in_the_batch_in_which_it_began_makes_the_permit_fall_too(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    assert bench.ear.permits[-1].permit
    received_ns = bench.now_ns
    bench.send(np.concatenate([with_spot(normal(3, 999)), normal(CLEAR + 3, 998)]))  # a batch is as many
    assert [phase for phase, _ in bench.records()][-2:] == ["began", "ended"]
    assert bench.handover.open_causes == ()
    bench.watch.event_changed(received_ns)
    assert not bench.ear.permits[-1].permit
    bench.pass_time(1.0, frames=True)
    assert bench.ear.permits[-1].permit


def test_after_a_standstill_longer_than_its_ttl_the_permit_comes_back_by_quiet(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    assert bench.ear.permits[-1].permit
    bench.now_ns += bench.config.permit.ttl_ms * 1_000_000
    bench.pass_time(0.05, frames=True)  # all moves again, and nothing else shows that it stood still
    assert bench.said.state == "ok"
    assert (bench.ear.permits[-1].permit, bench.ear.permits[-1].why) == (False, "waiting for 0.5 s of quiet")
    assert bench.rings == 3, "a fall, as any"
    bench.pass_time(0.6, frames=True)
    assert bench.ear.permits[-1].permit


def test_the_bell_rings_at_changes_and_not_with_frames(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    assert bench.rings == 2, "the state is ok, and the permit is given"
    bench.pass_time(3.0, frames=True)
    assert bench.rings == 2
    bench.send(with_spot(normal(4, 999)))
    bench.watch.event_changed(bench.now_ns)
    assert bench.rings == 3, "the permit has fallen, in the engine's own thread"
    bench.send(with_spot(normal(4, 999)))
    bench.watch.event_changed(bench.now_ns)
    assert bench.rings == 3
    bench.watch.say_goodbye()
    assert bench.rings == 4


def test_frames_without_end_of_the_old_epochs_alarms_settle_them_once(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(2.0, frames=True)
    assert [one for one in bench.records() if one[0] == "settled"] == [("settled", "service"), ("settled", "")]


def test_a_camera_fault_is_blind_until_its_event_ends(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.5, frames=True)
    bench.send(np.zeros((2, 32, 32), np.uint8))
    bench.pass_time(0.05)
    assert bench.said.state == "blind"
    assert "dark" in bench.said.why
    bench.pass_time(0.5, frames=True)
    assert bench.said.state == "ok"


def test_frames_that_can_never_be_judged_are_told(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(3.0, frames=True)
    bench.seq = 0  # the camera begins again under its old stream's name
    bench.pass_time(1.3, frames=True)
    assert bench.said.state == "degraded"
    assert "out of order" in bench.said.why
    assert not bench.ear.permits[-1].permit


def test_what_an_earlier_process_left_open_withholds_the_permit(bench: Bench) -> None:
    bench.ready()
    bench.memory.vitals["open_causes"][vitals.CAUSES.index("high")] = 1
    bench.pass_time(2.0, frames=True)
    assert bench.said.state == "ok"
    assert not bench.ear.permits[-1].permit
    bench.memory.vitals["open_causes"][:] = 0
    bench.pass_time(0.7, frames=True)
    assert bench.ear.permits[-1].permit


def test_there_is_no_permit_before_the_side_process_has_said_what_is_open(small_bundle: Bundle) -> None:
    made = Bench(small_bundle, permit=Permit(quiet_s=0.0, withhold_states=()))
    made.ready()
    made.pass_time(0.3, frames=True, side=False)
    assert not any(one.permit for one in made.ear.permits)
    made.pass_time(0.1, frames=True)
    assert made.ear.permits[-1].permit
    os.close(made.wake_fd)


def test_before_the_first_frame_there_is_no_permit_however_short_the_quiet(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.9)
    assert bench.said.state == "starting"
    assert not any(one.permit for one in bench.ear.permits)


def test_the_first_rejection_of_each_reason_is_logged_at_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.ready()
    for parts in ([b"one part"], [b"\xff", b"{}", b""], [b"one part"]):
        bench.ingest.take(parts, bench.now_ns)
    with caplog.at_level("WARNING"):
        bench.pass_time(0.1, frames=True)
    assert sorted(line.split("(")[1].split(")")[0] for line in caplog.messages) == ["camera", "parts"]


def test_an_expired_calibration_is_stale(small_bundle: Bundle) -> None:
    bench = Bench(small_bundle, calibration_expires_days=1.0)
    bench.now_ns = small_bundle.manifest.created_ns + 3 * 86_400 * SECOND
    bench.ready()
    bench.pass_time(0.5, frames=True)
    assert bench.said.state == "stale"
    os.close(bench.wake_fd)


def test_goodbye_is_stopping_and_no_permit(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(1.0, frames=True)
    bench.watch.say_goodbye()
    assert bench.said.state == "stopping"
    assert not bench.ear.permits[-1].permit
    assert bench.memory.vitals["state"][0] == vitals.STATES.index("stopping")


def test_in_a_pause_of_the_camera_no_more_turns_are_taken_than_permits_are_due(bench: Bench) -> None:
    assert bench.watch.period_s == PERIOD_S
    bench.ready()
    assert bench.watch.period_s == PERIOD_S, "nothing was heard yet"
    bench.send(normal(4, 1))
    assert bench.watch.period_s == PERIOD_S
    bench.now_ns += 2 * SECOND
    assert bench.watch.period_s == bench.config.permit.period_ms / 1000
    bench.send(None)
    assert bench.watch.period_s == PERIOD_S
    for _ in range(IDLE_TURNS):  # keep-alives, and nothing to judge
        bench.watch.turn()
    assert bench.watch.period_s == bench.config.permit.period_ms / 1000
    bench.send(normal(4, 2))
    bench.watch.turn()
    assert bench.watch.period_s == PERIOD_S


@pytest.mark.parametrize("period_ms", [10, 20, 60, 100, 170, 1000])
def test_there_is_a_turn_whenever_a_permit_is_due(small_bundle: Bundle, period_ms: int) -> None:
    made = Bench(small_bundle, permit=Permit(period_ms=period_ms, ttl_ms=2 * period_ms))
    turns = period_ms / 1000 / made.watch.period_s
    assert made.watch.period_s <= PERIOD_S
    assert turns == pytest.approx(round(turns)), "a permit that is due between two turns would be late"
    made.ready()
    made.send(normal(4, 1))
    made.now_ns += 2 * SECOND
    assert made.watch.period_s <= period_ms / 1000, "in a pause, too"
    os.close(made.wake_fd)
