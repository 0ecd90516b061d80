"""A camera on a socket: the schedule it keeps, and what a reader gets. Real sockets, a clock that nobody waits for."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from monitor.camera.publisher import (
    KEEP_ALIVE_S,
    EndpointError,
    Publisher,
    Shot,
    frames_per_message_at,
    replay,
    shots_of,
)
from monitor.camera.recordings import Recording
from monitor.types import Message
from monitor.wire.native import WireError, WireLimits, decode

START_NS = 1_700_000_000_000_000_000
Frames = np.ndarray[Any, np.dtype[Any]]


class Clock:
    """Time that passes only in `sleep`, and what it was when."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def wall_ns(self) -> int:
        return START_NS


class Reader:
    """A subscriber, or a PULL socket, on loopback."""

    def __init__(self, kind: int = zmq.SUB) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.setsockopt(zmq.RCVTIMEO, 5000)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        if kind == zmq.SUB:
            self.socket.subscribe(b"")

    def connect(self, endpoint: str) -> None:
        self.socket.connect(endpoint)

    def receive_until_end(self) -> list[Message]:
        """Everything up to the keep-alive that follows the end."""
        found: list[Message] = []
        while not found or not (found[-1].header.end and found[-1].header.count == 0):
            found.append(decode(self.socket.recv_multipart(), WireLimits()))
        return found

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def camera(clock: Clock, rate_hz: float = 100.0, endpoint: str = "tcp://127.0.0.1:0", **options: Any) -> Publisher:
    return Publisher(endpoint, rate_hz, clock=clock, sleep=clock.sleep, wall_ns=clock.wall_ns, **options)


def meet(publisher: Publisher, reader: Reader) -> None:
    """Connects *reader* and waits, in real time but no longer than needed, until its subscription has arrived."""
    reader.connect(publisher.endpoint)
    assert publisher._socket.poll(5000, zmq.POLLIN)


def frames(count: int, first: int = 0) -> Frames:
    """Frames that say their own number."""
    return np.broadcast_to(np.arange(first, first + count, dtype=np.uint8)[:, None, None], (count, 4, 5)).copy()


def pixels(message: Message) -> Frames:
    header = message.header
    return np.frombuffer(message.pixels, header.dtype).reshape(header.count, header.height, header.width)


def data(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.header.count]


def test_every_frame_arrives_once_and_in_order_with_its_exposure_time(reader: Reader, clock: Clock) -> None:
    with camera(clock, camera="laser-1") as publisher:
        meet(publisher, reader)
        sent = publisher.publish([Shot(frames(3)), Shot(frames(4, first=3))])
    got = reader.receive_until_end()
    headers = [message.header for message in data(got)]
    assert (sent.frames, sent.messages, sent.met) == (7, 7, True)
    assert [header.seq for header in headers] == list(range(7))
    assert [header.t_ns - START_NS for header in headers] == [10_000_000 * number for number in range(7)]
    assert {header.stream for header in headers} == {publisher.stream}
    assert {header.camera for header in headers} == {"laser-1"}
    np.testing.assert_array_equal(np.concatenate([pixels(message) for message in data(got)]), frames(7))


def test_the_last_message_says_end_and_a_keep_alive_tells_how_far_the_count_went(reader: Reader, clock: Clock) -> None:
    with camera(clock) as publisher:
        meet(publisher, reader)
        publisher.publish([Shot(frames(5))])
    *before, last, tail = [message.header for message in reader.receive_until_end()]
    assert not any(header.end for header in before)
    assert (last.end, last.count, last.seq) == (True, 1, 4)
    assert (tail.count, tail.seq) == (0, 5)


def test_many_frames_share_a_message_and_none_spans_two_shots(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=10_000.0, frames_per_message=4) as publisher:
        meet(publisher, reader)
        sent = publisher.publish([Shot(frames(10), layer=1), Shot(frames(3, first=10), layer=2)])
    headers = [message.header for message in data(reader.receive_until_end())]
    assert [(header.seq, header.count, header.layer) for header in headers] == [
        (0, 4, 1),
        (4, 4, 1),
        (8, 2, 1),
        (10, 3, 2),
    ]
    assert {header.dt_ns for header in headers} == {100_000}
    assert [header.t_ns - START_NS for header in headers] == [0, 400_000, 800_000, 1_000_000]
    assert sent.messages == 4


def test_what_a_shot_says_travels_with_its_frames(reader: Reader, clock: Clock) -> None:
    xy = np.array([[1.0, 2.0], [1.5, 2.5], [2.0, 3.0]])
    shot = Shot(frames(3), context="hatch", job="wheel", layer=7, xy=xy, active=False, settings="gain 2")
    with camera(clock, frames_per_message=2) as publisher:
        meet(publisher, reader)
        publisher.publish([shot])
    pair, single = data(reader.receive_until_end())
    for header in (pair.header, single.header):
        assert (header.context, header.job, header.layer, header.active, header.settings) == (
            "hatch", "wheel", 7, False, "gain 2",
        )  # fmt: skip
    assert pair.places is not None
    np.testing.assert_array_equal(pair.places["x"], [1.0, 1.5])
    np.testing.assert_array_equal(pair.places["y"], [2.0, 2.5])
    np.testing.assert_array_equal(pair.places["active"], [0, 0])
    assert single.places is None
    assert single.header.xy == (2.0, 3.0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">u2"])
def test_pixels_of_every_type_arrive_unchanged(reader: Reader, clock: Clock, dtype: str) -> None:
    sent = (np.arange(40).reshape(2, 4, 5) * 3).astype(dtype)
    with camera(clock, frames_per_message=2) as publisher:
        meet(publisher, reader)
        publisher.publish([Shot(sent[:, :, ::-1])])  # neither contiguous nor, once, little-endian
    np.testing.assert_array_equal(pixels(reader.receive_until_end()[0]), sent[:, :, ::-1])


def test_each_job_ends_with_a_message_that_says_so(reader: Reader, clock: Clock) -> None:
    with camera(clock) as publisher:
        meet(publisher, reader)
        publisher.publish([Shot(frames(2), job="a"), Shot(frames(1), job="a"), Shot(frames(2), job="b")])
    ends = [message.header.seq for message in data(reader.receive_until_end()) if message.header.end]
    assert ends == [2, 4]


def test_a_restarted_camera_has_a_new_stream(clock: Clock) -> None:
    with camera(clock) as first, camera(clock) as second:
        assert first.stream != second.stream


# The schedule


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
    assert clock.now - 1000.0 == pytest.approx((count - 1) / rate_hz, rel=1e-9, abs=1e-9)


def test_a_message_leaves_when_its_last_frame_has_been_exposed(clock: Clock) -> None:
    with camera(clock, rate_hz=100.0, endpoint="inproc://nobody", frames_per_message=10) as publisher:
        publisher.publish([Shot(frames(10))], wait_s=0.0)
    assert clock.now == pytest.approx(1000.09)


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
    assert clock.now - 1000.0 == pytest.approx(5.5 + 0.08, abs=1e-6)


@pytest.mark.parametrize("pause_s", [0.001, 0.1, KEEP_ALIVE_S, 1.0, 20.0])
def test_a_pause_is_told_at_once_and_again_as_long_as_it_lasts(reader: Reader, clock: Clock, pause_s: float) -> None:
    keep_alives: list[float] = []
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        send = publisher._try_send

        def noting(parts: Any) -> bool:
            if decode(parts, WireLimits()).header.count == 0:
                keep_alives.append(clock.now - 1000.0)
            return send(parts)

        publisher._try_send = noting  # type: ignore[method-assign]
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
    assert clock.now - 1000.0 == pytest.approx(2.04)
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
    assert clock.now - 1000.0 == pytest.approx(5.02)
    assert sent.late_s == pytest.approx(3.0 - 0.01)


def test_a_camera_can_be_stopped_in_its_pause(reader: Reader, clock: Clock) -> None:
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        sent = publisher.publish([Shot(frames(2)), paused(1, 2, 1e6)], stop=lambda: clock.now > 1002.0)
    got = [message.header for message in reader.receive_until_end()]
    assert (sent.frames, got[-1].seq) == (2, 2)
    assert clock.now == pytest.approx(1002.0, abs=0.03)


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


# Readers


def test_nothing_is_sent_before_somebody_listens(clock: Clock) -> None:
    """The clock's naps are where time passes, so the reader joins in one of them."""
    late = Reader()
    publisher = camera(clock)

    def join_at_the_third_nap(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.naps) == 3:
            meet(publisher, late)

    publisher._sleep = join_at_the_third_nap
    with publisher:
        sent = publisher.publish([Shot(frames(4))], wait_s=60.0)
    seqs = [message.header.seq for message in data(late.receive_until_end())]
    late.close()
    assert sent.met
    assert seqs == [0, 1, 2, 3]


def test_where_nobody_comes_the_camera_begins_all_the_same_and_says_so(clock: Clock) -> None:
    with camera(clock) as publisher:
        sent = publisher.publish([Shot(frames(2))], wait_s=3.0)
    assert not sent.met
    assert sent.frames == 2
    assert clock.now - 1000.0 == pytest.approx(3.0 + 0.01, abs=0.03)


def test_a_push_camera_waits_for_a_slow_reader_and_loses_nothing(clock: Clock) -> None:
    pull = Reader(zmq.PULL)
    with camera(clock, socket="push") as publisher:
        pull.connect(publisher.endpoint)
        assert publisher._socket.poll(5000, zmq.POLLOUT)
        sent = publisher.publish([Shot(frames(100))])
    assert sent.frames == 100
    assert len(data(pull.receive_until_end())) == 100
    pull.close()


def test_a_push_camera_without_a_reader_can_be_stopped(clock: Clock) -> None:
    with camera(clock, socket="push") as publisher:
        sent = publisher.publish([Shot(frames(2))], wait_s=0.1, stop=lambda: clock.now > 1005.0)
    assert (sent.frames, sent.met) == (0, False)


def test_a_camera_may_connect_to_a_reader_that_binds(reader: Reader, clock: Clock) -> None:
    reader.socket.bind("tcp://127.0.0.1:*")
    endpoint = reader.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    with camera(clock, endpoint=endpoint, connect=True) as publisher:
        # A socket that binds answers a newcomer when its owner next looks at it, as every reader does all the time.
        assert any(publisher._socket.poll(10) or reader.socket.poll(10) for _ in range(300))
        publisher.publish([Shot(frames(3))])
    assert len(data(reader.receive_until_end())) == 3


# Stopping and refusing


def test_a_stop_ends_the_stream_with_a_message_that_says_so(reader: Reader, clock: Clock) -> None:
    endless = (Shot(frames(1, first=number % 200)) for number in itertools.count())
    with camera(clock, rate_hz=100.0) as publisher:
        meet(publisher, reader)
        sent = publisher.publish(endless, stop=lambda: clock.now >= 1000.305)
    got = [message.header for message in reader.receive_until_end()]
    assert sent.frames == 31
    assert (got[-1].end, got[-1].count, got[-1].seq) == (True, 0, 31)


def test_no_frames_at_all_is_no_end_of_anything(clock: Clock) -> None:
    with camera(clock) as publisher:
        assert publisher.publish([], wait_s=0.0)[:2] == (0, 0)


def test_a_second_run_goes_on_counting_on_a_schedule_of_its_own(reader: Reader, clock: Clock) -> None:
    with camera(clock) as publisher:
        meet(publisher, reader)
        publisher.publish([Shot(frames(2))])
        clock.now += 100.0
        publisher._socket.poll(0)
        first_ns = publisher.exposed_ns(1)
        sent = publisher.publish([Shot(frames(2))], wait_s=0.0)
    assert sent.late_s < 0.01
    assert publisher.seq == 4
    assert publisher.exposed_ns(1) == first_ns, "what was sent stays where it was"


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_makes_no_schedule_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Publisher("inproc://x", rate_hz)


@pytest.mark.parametrize(
    ("build", "error", "says"),
    [
        (lambda: Publisher("inproc://x", 1.0, frames_per_message=0), ValueError, "at least 1"),
        (lambda: Publisher("inproc://x", 1.0, camera="a b"), WireError, "camera"),
        (lambda: Publisher("nonsense", 1.0), EndpointError, "nonsense: cannot bind it"),
        (lambda: Publisher("tcp://:::", 1.0, connect=True), EndpointError, "cannot connect to it"),
    ],
)
def test_values_that_make_no_camera_are_refused(
    build: Callable[[], Publisher], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        build()


def test_a_port_that_is_taken_is_refused_in_one_line(clock: Clock) -> None:
    with camera(clock) as publisher, pytest.raises(EndpointError) as caught:
        camera(clock, endpoint=publisher.endpoint)
    assert "cannot bind" in str(caught.value)
    assert "\n" not in str(caught.value)


# Replay


def test_each_recording_is_a_job_of_its_own_named_after_it() -> None:
    shots = list(shots_of([Recording("runs/a", frames(5)), Recording("runs/b\nc", frames(2))], frames=3))
    assert [(shot.job, len(shot.pixels)) for shot in shots] == [("a", 3), ("a", 2), ("b?c", 2)]


def test_a_long_name_is_cut_to_what_the_protocol_allows() -> None:
    (shot,) = shots_of([Recording("ü" * 200, frames(1))])
    assert shot.job == "ü" * 64


def test_a_loop_begins_again_at_the_first_recording() -> None:
    looped = shots_of([Recording("a", frames(1)), Recording("b", frames(1))], loop=True)
    assert [shot.job for shot in itertools.islice(looped, 5)] == ["a", "b", "a", "b", "a"]
    assert list(shots_of([], loop=True)) == []


def test_replay_publishes_recordings_to_whoever_listens(reader: Reader, tmp_path: Any) -> None:
    endpoint = f"ipc://{tmp_path}/camera"
    reader.connect(endpoint)
    sent = replay([Recording("run", frames(40))], endpoint, 1000.0, camera="cam", frames_per_message=8)
    got = data(reader.receive_until_end())
    assert (sent.frames, sent.messages, sent.met) == (40, 5, True)
    np.testing.assert_array_equal(np.concatenate([pixels(message) for message in got]), frames(40))
    assert [message.header.job for message in got] == ["run"] * 5
