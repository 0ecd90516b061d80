"""A camera on a socket: what a reader gets, and what is refused. Real sockets, a clock that nobody waits for."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from publisher_example import START_NS, START_S, Clock, Reader, camera, data, frames, meet, pixels

from monitor.camera.publisher import EndpointError, Publisher, Shot, replay, shots_of
from monitor.camera.recordings import Recording
from monitor.wire.native import WireError


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
    assert clock.now - START_S == pytest.approx(3.0 + 0.01, abs=0.03)


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
        sent = publisher.publish([Shot(frames(2))], wait_s=0.1, stop=lambda: clock.now > START_S + 5.0)
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
        sent = publisher.publish(endless, stop=lambda: clock.now >= START_S + 0.305)
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


def test_frames_are_sent_in_the_context_that_they_were_recorded_in() -> None:
    recordings = [Recording("a", frames(5), "hatch"), Recording("b", frames(1), "contour"), Recording("c", frames(1))]
    assert [shot.context for shot in shots_of(recordings, frames=3)] == ["hatch", "hatch", "contour", ""]
