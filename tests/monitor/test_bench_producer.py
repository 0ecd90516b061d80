"""What the camera process sends, as the daemon's decoder reads it."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from frames import normal

from monitor.bench.children import Camera
from monitor.bench.producer import Bank, Heads, Opening, Order, Producer
from monitor.types import Message
from monitor.wire.native import WireLimits, decode

FRAMES = normal(10, 1)
PATIENCE_MS = 20_000


@pytest.fixture
def listener() -> Iterator["zmq.Socket[Any]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    context.destroy(linger=0)


def opening_to(listener: "zmq.Socket[Any]", **more: Any) -> Opening:
    endpoint = listener.getsockopt_string(zmq.LAST_ENDPOINT)
    return Opening("", endpoint, "cam", 10_000.0, socket="push", **more)


def messages(listener: "zmq.Socket[Any]", frames: int) -> list[Message]:
    """Until so many frames have come, without keep-alives."""
    found: list[Message] = []
    while sum(one.header.count for one in found) < frames:
        message = decode([part.buffer for part in listener.recv_multipart(copy=False)], WireLimits())
        if message.header.count:
            found.append(message)
    return found


@pytest.mark.parametrize(("each", "frames", "sent"), [(1, 30, 30), (4, 30, 32), (None, 30, 40)])
def test_frames_of_the_bank_come_in_order_in_whole_messages(
    listener: "zmq.Socket[Any]", each: int | None, frames: int, sent: int
) -> None:
    producer = Producer(opening_to(listener, frames_per_message=each, context="hatch", settings="A"), FRAMES)
    told = producer.send(Order(10_000.0, frames))
    came = messages(listener, sent)
    producer.close()
    assert (told.frames, told.messages) == (sent, len(came))
    assert [one.header.seq for one in came] == list(
        itertools.accumulate((one.header.count for one in came[:-1]), initial=0)
    )
    assert {(one.header.context, one.header.settings, one.header.camera) for one in came} == {("hatch", "A", "cam")}
    pixels = np.concatenate([np.frombuffer(one.pixels, np.uint8).reshape(-1, 32, 32) for one in came])
    np.testing.assert_array_equal(pixels[:8], FRAMES[:8])


def test_times_are_those_of_sending_by_the_machines_clock(listener: "zmq.Socket[Any]") -> None:
    producer = Producer(opening_to(listener, frames_per_message=2), FRAMES)
    told = producer.send(Order(1000.0, 10))
    times = [one.header.t_ns for one in messages(listener, 10)]
    producer.close()
    assert times == sorted(times)
    assert (times[-1] - times[0]) / 1e9 <= told.seconds
    assert told.seconds >= 0.01, "the last frame is not sent before it is due"


def test_black_frames_come_as_often_as_asked_and_are_told(listener: "zmq.Socket[Any]") -> None:
    producer = Producer(opening_to(listener, frames_per_message=2), FRAMES)
    told = producer.send(Order(10_000.0, 20, dark_every=6))
    came = messages(listener, 20)
    producer.close()
    black = {
        one.header.seq + index: one.header.t_ns
        for one in came
        for index, frame in enumerate(np.frombuffer(one.pixels, np.uint8).reshape(-1, 32 * 32))
        if not frame.any()
    }
    assert list(black.items()) == told.dark
    assert list(black) == [5, 11, 17]


def test_a_bank_is_repeated_until_a_message_fits() -> None:
    bank = Bank(FRAMES[:3], 8)
    assert len(bank.frames) == 9
    bank.take(7)
    np.testing.assert_array_equal(np.frombuffer(bank.take(3), np.uint8).reshape(3, 32, 32), FRAMES[:3])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_headers_made_of_bytes_are_those_of_the_protocol(dtype: str) -> None:
    frames = FRAMES.astype(dtype)
    heads = Heads(Opening("", "", "cam", 1.0, context='5 % "häutung"'), "s", frames)
    header = decode([b"cam", heads.head(4, 9, 77), frames[:4].tobytes()], WireLimits()).header
    assert (header.seq, header.t_ns, header.count, header.dtype) == (9, 77, 4, dtype)
    assert header.context == '5 % "häutung"'


def test_a_camera_process_answers_each_order_and_ends_with_its_owner(
    listener: "zmq.Socket[Any]", tmp_path: Path
) -> None:
    bank = tmp_path / "bank.npy"
    np.save(bank, FRAMES)
    endpoint = listener.getsockopt_string(zmq.LAST_ENDPOINT)
    with Camera(Opening(str(bank), endpoint, "cam", 1000.0, socket="push", frames_per_message=5)) as camera:
        looks: list[int] = []
        assert camera.send(Order(1000.0, 20), lambda: looks.append(1)).frames == 20
        assert camera.send(Order(1000.0, 5)).frames == 5
        assert looks
        came = messages(listener, 25)  # before it is ended, with whatever its socket still holds
    assert [one.header.seq for one in came] == [0, 5, 10, 15, 20]
