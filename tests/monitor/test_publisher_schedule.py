"""When a camera sends what: the schedule it keeps whatever happens, and its pauses. A clock that nobody waits for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from publisher_example import START_NS, START_S, Clock, Reader, camera, data, frames, meet

from monitor.camera.publisher import KEEP_ALIVE_S, Shot, frames_per_message_at
from monitor.wire.native import WireLimits, decode


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Stall:
    """Shots of one frame each; getting the one after *at* takes *seconds*."""

    def __init__(self, clock: Clock, count: int, at: int, seconds: float) -> None:
        self.clock, self.count, self.at, self.seconds = clock, count, at, seconds
        self.taken_at: list[float] = []

    def __iter__(self) -> Iterator[Shot]:
        for number in range(self.count):
            if number == self.at:
                self.clock.now += self.seconds
            self.taken_at.append(self.clock.now)
            yield Shot(frames(1, first=number))


def test_a_stall_is_followed_by_a_burst_and_not_by_a_shifted_schedule(reader: Reader, clock: Clock) -> None:
    began = clock.now
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        sent = publisher.publish(Stall(clock, 50, at=10, seconds=0.2))
    headers = [message.header for message in data(reader.receive_until_end())]
    assert [header.t_ns - START_NS for header in headers] == [10_000_000 * number for number in range(50)]
    # The shot after the next is fetched early, so the stall hits a frame that was due while it lasted.
    assert sent.late_s == pytest.approx(0.2 - 0.01, abs=0.011)
    assert clock.now - began == pytest.approx(49 * 0.01, abs=1e-6)


@given(st.floats(0.5, 5000.0), st.integers(1, 200))
def test_the_schedule_does_not_drift(rate_hz: float, count: int) -> None:
    clock = Clock()
    with camera(clock, rate_hz, endpoint="inproc://nobody", frames_per_message=1) as publisher:
        publisher.publish([Shot(frames(1))] * count, wait_s=0.0)
    assert clock.now - START_S == pytest.approx((count - 1) / rate_hz, rel=1e-9, abs=1e-9)


def test_a_message_leaves_when_its_last_frame_has_been_exposed(clock: Clock) -> None:
    with camera(clock, rate_hz=100.0, endpoint="inproc://nobody", frames_per_message=10) as publisher:
        publisher.publish([Shot(frames(10))], wait_s=0.0)
    assert clock.now == pytest.approx(START_S + 0.09)


@pytest.mark.parametrize(
    ("rate_hz", "expected"), [(1.0, 1), (2000.0, 1), (2001.0, 5), (10_000.0, 20), (120_000.0, 240)]
)
def test_frames_per_message_follow_the_rate(rate_hz: float, expected: int) -> None:
    assert frames_per_message_at(rate_hz) == expected


def test_a_slow_camera_says_between_its_frames_that_it_lives(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=0.5) as publisher:
        meet(publisher, reader)
        publisher.publish([Shot(frames(2))])
    headers = [message.header for message in reader.receive_until_end()]
    between = headers[1:-2]
    assert [header.count for header in between] == [0] * len(between)
    assert {header.seq for header in between} == {1}
    assert len(between) == pytest.approx(2.0 / KEEP_ALIVE_S, abs=2)


# Pauses


def paused(count: int, first: int, pause_s: float) -> Shot:
    return Shot(frames(count, first=first), pause_s=pause_s)


def test_a_pause_shifts_the_schedule_and_nothing_is_late_for_it(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=100.0, frames_per_message=2) as publisher:
        meet(publisher, reader)
        sent = publisher.publish([Shot(frames(3)), paused(4, 3, 5.0), Shot(frames(1, 7)), paused(1, 8, 0.5)])
        exposed = [publisher.exposed_ns(seq) - START_NS for seq in range(publisher.seq)]
    expected = [10_000_000 * seq + 5_000_000_000 * (seq >= 3) + 500_000_000 * (seq >= 8) for seq in range(9)]
    told = {message.header.seq: message.header.t_ns - START_NS for message in data(reader.receive_until_end())}
    assert told == {seq: expected[seq] for seq in (0, 2, 3, 5, 7, 8)}
    assert exposed == expected, "of frames before a pause, too"
    assert sent.late_s == pytest.approx(0.0, abs=1e-6)
    assert clock.now - START_S == pytest.approx(5.5 + 0.08, abs=1e-6)


@pytest.mark.parametrize("pause_s", [0.001, 0.1, KEEP_ALIVE_S, 1.0, 20.0])
def test_a_pause_is_told_at_once_and_again_as_long_as_it_lasts(reader: Reader, clock: Clock, pause_s: float) -> None:
    keep_alives: list[float] = []
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        send = publisher._try_send

        def noting(parts: Any) -> bool:
            if decode(parts, WireLimits()).header.count == 0:
                keep_alives.append(clock.now - START_S)
            return send(parts)

        publisher._try_send = noting
        publisher.publish([Shot(frames(2)), paused(1, 2, pause_s)])
    between = [message.header for message in reader.receive_until_end()][2:-2]
    assert {(header.count, header.seq, header.end) for header in between} == {(0, 2, False)}
    times = keep_alives[:-1]
    assert len(times) == len(between)
    assert times[0] == pytest.approx(0.02), "when the next frame would have been exposed"
    assert np.diff([*times, 0.02 + pause_s]).max() < KEEP_ALIVE_S + 0.03


def test_a_pause_comes_once_however_a_shot_is_cut(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=100.0, frames_per_message=1) as publisher:
        meet(publisher, reader)
        publisher.publish([paused(5, 0, 2.0)])
    assert clock.now - START_S == pytest.approx(2.04)
    first, *rest = [message.header for message in data(reader.receive_until_end())]
    assert first.t_ns - START_NS == 2_000_000_000
    assert [header.t_ns - first.t_ns for header in rest] == [10_000_000 * number for number in range(1, 5)]


def test_a_late_camera_makes_up_for_it_in_its_pause(clock: Clock) -> None:
    def stalling() -> Iterator[Shot]:
        yield Shot(frames(1))
        yield Shot(frames(1, 1))
        clock.now += 3.0
        yield paused(1, 2, 5.0)

    with camera(clock, rate_hz=100.0, endpoint="inproc://nobody") as publisher:
        sent = publisher.publish(stalling(), wait_s=0.0)
    assert clock.now - START_S == pytest.approx(5.02)
    assert sent.late_s == pytest.approx(3.0 - 0.01)


def test_a_camera_can_be_stopped_in_its_pause(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        sent = publisher.publish([Shot(frames(2)), paused(1, 2, 1e6)], stop=lambda: clock.now > START_S + 2.0)
    got = [message.header for message in reader.receive_until_end()]
    assert (sent.frames, got[-1].seq) == (2, 2)
    assert clock.now == pytest.approx(START_S + 2.0, abs=0.03)


@given(
    st.floats(0.5, 5000.0),
    st.lists(st.tuples(st.integers(1, 5), st.floats(0.0, 100.0)), min_size=1, max_size=8),
)
def test_exposures_are_one_period_apart_but_for_the_pauses(rate_hz: float, shots: list[tuple[int, float]]) -> None:
    clock = Clock()
    with camera(clock, rate_hz, endpoint="inproc://nobody", frames_per_message=2) as publisher:
        publisher.publish([paused(count, 0, pause_s) for count, pause_s in shots], wait_s=0.0)
        exposed = np.array([publisher.exposed_ns(seq) for seq in range(publisher.seq)])
    pauses_s = np.zeros(len(exposed))
    pauses_s[np.cumsum([0, *(count for count, _ in shots[:-1])])] = [pause_s for _, pause_s in shots]
    expected = START_NS + np.cumsum(pauses_s) * 1e9 + np.arange(len(exposed)) * 1e9 / rate_hz
    np.testing.assert_allclose((exposed - START_NS).astype(float), expected - START_NS, atol=2000.0)


def test_who_sends_is_told_after_each_message_how_far_the_count_has_come(clock: Clock) -> None:
    told: list[int] = []
    with camera(clock, endpoint="inproc://nobody", frames_per_message=2) as publisher:
        publisher.publish([Shot(frames(5)), Shot(frames(2, first=5))], wait_s=0.0, sent=told.append)
    assert told == [2, 4, 5, 7]
