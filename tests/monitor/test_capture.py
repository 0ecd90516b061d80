"""Frames of a live camera into groups to calibrate with, over a real socket."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from daemon_example import free_port
from frames import normal
from key_examples import Ring, peer

from monitor.camera.capture import Captured, capture
from monitor.camera.publisher import EndpointError
from monitor.camera.recordings import RecordingError
from monitor.keys import Credentials
from monitor.wire import native

T_NS = 1_795_000_000 * 10**9
Parts = list[Any]


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def camera(endpoint: str) -> Iterator[Callable[[Parts], None]]:
    """Sends a message to whoever will bind the endpoint."""
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(endpoint)
    yield lambda parts: socket.send_multipart(parts)
    context.destroy(linger=0)


def message(
    frames: np.ndarray | None, seq: int = 0, camera: str = "melt", stream: str = "s", t_ns: int = T_NS, **more: Any
) -> Parts:
    return list(native.encode(camera, stream, seq, t_ns, frames, **more))


def captured(endpoint: str, frames: int, silence_s: float = 0.2, **more: Any) -> Captured:
    return capture(endpoint, "melt", frames, **{"kind": "pull", "bind": True, "silence_s": silence_s, **more})


def test_frames_come_as_they_were_sent(endpoint: str, camera: Callable[[Parts], None]) -> None:
    sent = normal(30, 1)
    camera(message(sent[:20]))
    camera(message(sent[20], seq=20))
    camera(message(sent[21:], seq=21))
    seen: list[int] = []
    found = captured(endpoint, 30, silence_s=20.0, progress=seen.append)
    [recording] = found.recordings
    np.testing.assert_array_equal(recording.frames, sent)
    assert (found.settings, recording.context, found.rejected) == (None, "", 0)
    assert seen == [20, 21, 30]


def test_with_keys_it_hears_a_camera_that_has_one_and_only_that(endpoint: str, tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    context: zmq.Context[Any] = zmq.Context()
    known, stranger = (peer(context, zmq.PUSH, own, ring.own.public) for own in (ring.admit("camera"), None))
    for socket, frame in ((stranger, normal(1, 2)), (known, normal(1, 1))):
        socket.connect(endpoint)
        for seq in range(20):
            socket.send_multipart(message(frame[0], seq=seq))
    found = captured(endpoint, 20, silence_s=20.0, credentials=Credentials(ring.own, clients=ring.clients))
    context.destroy(linger=0)
    np.testing.assert_array_equal(found.recordings[0].frames, np.repeat(normal(1, 1), 20, axis=0))


def test_enough_is_enough(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for seq in range(0, 100, 20):
        camera(message(normal(20, seq), seq))
    found = captured(endpoint, 50, silence_s=20.0)
    assert sum(len(one.frames) for one in found.recordings) == 60, "the message that reaches the count is kept whole"


def test_each_stream_job_and_layer_is_a_group(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for stream, job, layer in [("a", "", None), ("b", "part", 1), ("b", "part", 2), ("b", "part", 1)]:
        camera(message(normal(20, 1), stream=stream, job=job, layer=layer))
    found = captured(endpoint, 80, silence_s=20.0)
    assert [(one.name, len(one.frames), one.layer) for one in found.recordings] == [
        ("stream a", 20, ""),
        ("stream b, job part, layer 1", 40, "stream b, job part, layer 1"),
        ("stream b, job part, layer 2", 20, "stream b, job part, layer 2"),
    ]


def test_a_layer_of_a_few_frames_joins_the_one_before(endpoint: str, camera: Callable[[Parts], None]) -> None:
    camera(message(normal(20, 1), layer=1))
    camera(message(normal(3, 1), layer=2))
    assert [len(one.frames) for one in captured(endpoint, 23, silence_s=20.0).recordings] == [23]


def test_a_few_frames_join_only_frames_of_their_own_context(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for layer, context, count in [
        (1, "hatch", 20),
        (1, "skin", 3),
        (1, "contour", 20),
        (2, "hatch", 5),
        (2, "skin", 4),
    ]:
        camera(message(normal(count, layer), layer=layer, context=context))
    found = captured(endpoint, 52, silence_s=20.0).recordings
    assert [(one.context, len(one.frames)) for one in found] == [("hatch", 25), ("skin", 7), ("contour", 20)]
    assert {one.layer for one in found} == {"stream s, layer 1"}, "in any context"


def test_only_active_frames_are_kept(endpoint: str, camera: Callable[[Parts], None]) -> None:
    places = np.zeros(6, native.PLACE)
    places["active"] = [1, 0, 1, 0, 0, 1]
    six = normal(6, 2)
    camera(message(normal(20, 1), active=False))
    camera(message(None))
    camera(message(six, places=places))
    found = captured(endpoint, 3, silence_s=20.0)
    np.testing.assert_array_equal(found.recordings[0].frames, six[[0, 2, 5]])


def test_what_calibration_depends_on_is_remembered(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for context in ("hatch", "contour", "hatch"):
        camera(message(normal(20, 1), context=context, settings="40 us"))
    found = captured(endpoint, 60, silence_s=20.0)
    assert found.settings == "40 us"
    assert [(one.name, one.context, len(one.frames)) for one in found.recordings] == [
        ("stream s, hatch", "hatch", 40),
        ("stream s, contour", "contour", 20),
    ]


def test_silence_ends_it_with_what_came(endpoint: str, camera: Callable[[Parts], None]) -> None:
    camera(message(normal(20, 1)))
    assert sum(len(one.frames) for one in captured(endpoint, 1000).recordings) == 20


# How often frames come


def timed(starts_ms: list[int], count: int = 5) -> list[tuple[int, int]]:
    """Sequence numbers and clocks in ns of messages of *count* frames that begin so many milliseconds after T_NS."""
    return [(index * count, T_NS + start * 10**6) for index, start in enumerate(starts_ms)]


def test_the_frame_rate_is_that_of_the_senders_clock(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for seq, t_ns in timed([0, 10, 20, 30]):
        camera(message(normal(5, 1), seq, t_ns=t_ns))
    assert captured(endpoint, 20, silence_s=20.0).rate_hz == pytest.approx(500.0)


def test_pauses_between_layers_do_not_slow_the_frame_rate(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for seq, t_ns in timed([0, 10, 20, 60_020, 60_030, 120_000, 120_010, 120_020]):
        camera(message(normal(5, 1), seq, t_ns=t_ns))
    assert captured(endpoint, 40, silence_s=20.0).rate_hz == pytest.approx(500.0)


def test_messages_of_unequal_length_tell_one_frame_rate(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for seq, count in [(0, 4), (4, 1), (5, 20), (25, 2)]:
        camera(message(normal(count, 1), seq, t_ns=T_NS + seq * 2_000_000))
    assert captured(endpoint, 27, silence_s=20.0).rate_hz == pytest.approx(500.0)


def test_idle_frames_tell_the_frame_rate_too(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for seq, t_ns in timed([0, 10, 20]):
        camera(message(normal(5, 1), seq, t_ns=t_ns, active=seq == 10))
    assert captured(endpoint, 5, silence_s=20.0).rate_hz == pytest.approx(500.0)


@pytest.mark.parametrize(
    "messages",
    [
        [("s", 0, 0)],
        [("s", 0, 0), ("s", 500, 10)],  # frames between them were lost
        [("s", 0, 0), ("another", 5, 10)],
        [("s", 0, 0), ("s", 5, 0)],  # a clock that stands still
        [("s", 0, 10), ("s", 5, 0)],
    ],
    ids=["one message", "a gap", "two streams", "no clock", "a clock set back"],
)
def test_without_two_messages_in_a_row_no_frame_rate_is_told(
    endpoint: str, camera: Callable[[Parts], None], messages: list[tuple[str, int, int]]
) -> None:
    for stream, seq, start_ms in messages:
        camera(message(normal(5, 1), seq, stream=stream, t_ns=T_NS + start_ms * 10**6))
    assert captured(endpoint, 5 * len(messages), silence_s=20.0).rate_hz is None


def test_messages_of_others_and_noise_are_left_out_and_counted(endpoint: str, camera: Callable[[Parts], None]) -> None:
    camera([b"noise"])
    camera(message(normal(20, 1), camera="other"))
    camera(message(normal(20, 2)))
    found = captured(endpoint, 20, silence_s=20.0)
    assert (found.rejected, len(found.recordings[0].frames)) == (2, 20)


def test_nothing_at_all_says_what_to_check(endpoint: str) -> None:
    with pytest.raises(RecordingError, match=f"{endpoint}: no active frame came; check the endpoint"):
        captured(endpoint, 10)


def test_only_rejected_messages_say_why(endpoint: str, camera: Callable[[Parts], None]) -> None:
    camera([b"noise"])
    camera(message(normal(20, 1), camera="other"))
    with pytest.raises(RecordingError, match=r"2 messages were rejected, the last one: .*name is other, not melt"):
        captured(endpoint, 10)


def test_noise_without_end_does_not_keep_it_waiting(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for _ in range(50):
        camera([b"noise"])
    ticks = iter(range(1000))
    with pytest.raises(RecordingError, match="messages were rejected"):
        captured(endpoint, 10, silence_s=20.0, clock=lambda: float(next(ticks)))
    assert next(ticks) < 30


def test_an_idle_camera_is_waited_for(endpoint: str, camera: Callable[[Parts], None]) -> None:
    for _ in range(30):
        camera(message(None))
    camera(message(normal(20, 1)))
    ticks = iter(range(1000))
    found = captured(endpoint, 20, silence_s=20.0, clock=lambda: float(next(ticks)))
    assert len(found.recordings[0].frames) == 20


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"settings": "80 us", "frames": normal(2, 1)}, "from 32x32 uint8 (40 us) to 32x32 uint8 (80 us)"),
        ({"settings": "40 us", "frames": normal(2, 1, 16, 24)}, "to 16x24 uint8 (40 us)"),
        ({"settings": "40 us", "frames": normal(2, 1).astype(np.uint16)}, "to 32x32 uint16 (40 us)"),
    ],
)
def test_a_camera_that_changes_is_refused(
    endpoint: str, camera: Callable[[Parts], None], more: dict[str, Any], told: str
) -> None:
    camera(message(normal(20, 1), settings="40 us"))
    camera(message(seq=20, **more))
    with pytest.raises(RecordingError, match="keep its settings fixed during a calibration") as caught:
        captured(endpoint, 1000, silence_s=20.0)
    assert told in str(caught.value)


@pytest.mark.parametrize("bind", [True, False])
def test_a_malformed_endpoint_is_named(bind: bool) -> None:
    verb = "bind" if bind else "connect"
    with pytest.raises(EndpointError, match=f"cannot {verb} to nonsense: .*; give another --endpoint"):
        captured("nonsense", 1, bind=bind)


def test_a_taken_endpoint_is_named(endpoint: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    holder = context.socket(zmq.PULL)
    holder.bind(endpoint)
    try:
        with pytest.raises(EndpointError, match="Address already in use"):
            captured(endpoint, 1)
    finally:
        context.destroy(linger=0)


def test_a_publishing_camera_is_subscribed_to_by_its_name(endpoint: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.connect(endpoint)
    sent: list[bytes] = []

    def told_to_go_on(_: int = 0) -> float:
        """Every look at the clock is a chance for the camera: it sends once it is subscribed to."""
        if publisher.poll(0):
            sent.append(publisher.recv())
            publisher.send_multipart(message(normal(5, 1)))
        return time.monotonic()

    try:
        found = captured(endpoint, 5, silence_s=20.0, kind="sub", clock=told_to_go_on)
    finally:
        context.destroy(linger=0)
    assert sent == [b"\x01melt"]
    assert len(found.recordings[0].frames) == 5
