"""A camera whose clock nobody waits for, and a reader on a real socket, for the tests of the publisher."""

from typing import Any

import numpy as np
import zmq

from monitor.camera.publisher import Publisher
from monitor.types import Message
from monitor.wire.native import WireLimits, decode

START_NS = 1_700_000_000_000_000_000
START_S = 1000.0
Frames = np.ndarray[Any, np.dtype[Any]]


class Clock:
    """Time that passes only in `sleep`, and what it was when."""

    def __init__(self) -> None:
        self.now = START_S
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
