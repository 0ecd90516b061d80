"""A camera process that costs little: sends frames of a bank at a fixed rate and says how late it was itself.

`python -m monitor.bench.producer` reads one JSON object a line, first an `Opening`, then one `Order` after the other,
and answers each on standard output. It ends with its standard input. Between orders it sends keep-alives.

Each message leaves when its last frame is due, however late the one before it was. `t_ns` is the machine's monotonic
clock at the moment when the message is handed to the socket: sender and daemon share the machine, so that it compares
with the clock by which the daemon notes when frames came and were judged.
"""

import os
import secrets
import select
import sys
import time
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import zmq

from monitor.camera.publisher import KEEP_ALIVE_S, LINGER_MS, MIN_QUEUE_MESSAGES, QUEUE_S, frames_per_message_at
from monitor.wire import native

FLAT_OUT_HZ: Final = 1e9
"""Every message is late: they leave as fast as a PUSH socket takes them."""


SEND_MS: Final = 1000
"""How soon a camera that nobody reads notices that its owner is gone."""


class Opening(msgspec.Struct, frozen=True):
    """What to send, and where."""

    bank: str  # .npy of frames (n, h, w)
    endpoint: str
    camera: str
    most_hz: float  # the highest rate that will be asked for: sizes the queue
    context: str = ""
    settings: str = ""
    frames_per_message: int | None = None  # None: as other cameras do at that rate
    socket: Literal["pub", "push"] = "pub"  # PUB binds, PUSH connects


class Opened(msgspec.Struct, frozen=True):
    """The answer to an `Opening`."""

    endpoint: str


class Order(msgspec.Struct, frozen=True):
    """Frames to send; with *dark_every*, one in so many is black: one value all over, a fault of any camera."""

    rate_hz: float
    frames: int
    dark_every: int = 0


class Sent(msgspec.Struct, frozen=True):
    """The answer to an `Order`."""

    frames: int
    messages: int
    seconds: float  # from the first frame's exposure to the last message's leaving
    late_s: float  # behind its own schedule, at the most
    late_end_s: float  # ... with the last message
    cpu_s: float
    dark: list[tuple[int, int]]  # sequence number and time sent (monotonic ns) of each black frame


class Bank:
    """Frames in one piece of memory, given out in messages as their raw bytes."""

    def __init__(self, frames: npt.NDArray[Any], least: int) -> None:
        """*frames* (n, h, w), repeated until *least* fit."""
        copies = -(-least // len(frames))
        self.frames = np.ascontiguousarray(np.tile(frames, (copies, 1, 1)) if copies > 1 else frames)
        self._bytes = self.frames.reshape(-1).view(np.uint8).data
        self._frame_bytes = self.frames[0].nbytes
        self._next = 0

    def take(self, count: int) -> memoryview:
        """The bytes of the next *count* frames, from the beginning again where fewer are left."""
        if self._next + count > len(self.frames):
            self._next = 0
        first, self._next = self._next, self._next + count
        return self._bytes[first * self._frame_bytes : self._next * self._frame_bytes]

    def take_dark(self, count: int) -> memoryview:
        """The same, with the last frame black."""
        frames = np.frombuffer(self.take(count), self.frames.dtype).reshape(count, *self.frames.shape[1:]).copy()
        frames[-1] = 0
        return frames.reshape(-1).view(np.uint8).data


class Heads:
    """Headers as bytes: all but sequence number and time is encoded once for each number of frames a message."""

    def __init__(self, opening: Opening, stream: str, frames: npt.NDArray[Any]) -> None:
        self._fixed: dict[str, Any] = {"v": native.VERSION, "stream": stream, "dtype": frames.dtype.name}
        for name in ("context", "settings"):
            if value := getattr(opening, name):
                self._fixed[name] = value
        self._sides = frames.shape[1:]
        self._heads: dict[int, bytes] = {}

    def head(self, count: int, seq: int, t_ns: int) -> bytes:
        """The header of *count* frames from *seq* on, all sent at *t_ns*."""
        if count not in self._heads:
            self._heads[count] = msgspec.json.encode(self._fixed | {"shape": (count, *self._sides)})[:-1]
        return self._heads[count] + b',"seq":%d,"t_ns":%d}' % (seq, t_ns)


class Producer:
    """Sends on one stream until it is closed."""

    def __init__(self, opening: Opening, frames: npt.NDArray[Any]) -> None:
        self._opening = opening
        self._owner = os.getppid()
        self._most = opening.frames_per_message or frames_per_message_at(opening.most_hz)
        self._bank = Bank(frames, 2 * self._most)
        self._camera = opening.camera.encode()
        self._stream = secrets.token_hex(8)
        self._heads = Heads(opening, self._stream, frames)
        self._seq = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB if opening.socket == "pub" else zmq.PUSH)
        messages = int(QUEUE_S * opening.most_hz / self._most) if opening.socket == "pub" else 0
        self._socket.setsockopt(zmq.SNDHWM, max(messages, MIN_QUEUE_MESSAGES))
        self._socket.setsockopt(zmq.LINGER, LINGER_MS if opening.socket == "pub" else 0)
        self._socket.setsockopt(zmq.SNDTIMEO, SEND_MS)
        if opening.socket == "pub":
            self._socket.bind(opening.endpoint)
        else:
            self._socket.connect(opening.endpoint)

    @property
    def endpoint(self) -> str:
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def keep_alive(self) -> None:
        """Say that the camera lives and what comes next: frames that were lost at the end show."""
        self._socket.send_multipart(
            native.encode(self._opening.camera, self._stream, self._seq, time.monotonic_ns(), None)
        )

    def send(self, order: Order) -> Sent:
        """Send at least the frames of *order*, in whole messages."""
        each = self._opening.frames_per_message or frames_per_message_at(order.rate_hz)
        each = min(each, self._most)
        dark_messages = max(1, order.dark_every // each) if order.dark_every else 0
        messages = -(-order.frames // each)
        dark: list[tuple[int, int]] = []
        late_s = late = 0.0
        cpu_s, begun = time.process_time(), time.monotonic()
        for index in range(messages):
            is_dark = bool(dark_messages) and index % dark_messages == dark_messages - 1
            pixels = self._bank.take_dark(each) if is_dark else self._bank.take(each)
            due = begun + (index + 1) * each / order.rate_hz
            self._wait_until(due)
            sent_ns = time.monotonic_ns()
            head = self._heads.head(each, self._seq, sent_ns)
            self._hand_over(self._camera, head, pixels)
            self._seq += each
            late = sent_ns / 1e9 - due
            late_s = max(late_s, late)
            if is_dark:
                dark.append((self._seq - 1, sent_ns))
        if self._opening.socket == "pub":
            self.keep_alive()
        seconds = time.monotonic() - begun
        return Sent(messages * each, messages, seconds, late_s, late, time.process_time() - cpu_s, dark)

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def _hand_over(self, *parts: bytes | memoryview) -> None:
        """Send; a PUSH socket waits for its reader, but not longer than the one who wants to know lives."""
        while True:
            try:
                self._socket.send_multipart(parts)
            except zmq.Again:
                if os.getppid() != self._owner:
                    raise SystemExit(1) from None
            else:
                return

    def _wait_until(self, due: float) -> None:
        while (rest := due - time.monotonic()) > KEEP_ALIVE_S:
            time.sleep(KEEP_ALIVE_S)
            self.keep_alive()
        if rest > 0:
            time.sleep(rest)


def main() -> int:
    """Serve until standard input ends."""
    lines = _Lines()
    line = lines.wait(None)
    if not line:
        return 0
    opening = msgspec.json.decode(line, type=Opening)
    producer = Producer(opening, np.load(Path(opening.bank)))
    _answer(Opened(producer.endpoint))
    while True:
        line = lines.wait(KEEP_ALIVE_S)
        if line is None:
            if opening.socket == "pub":
                producer.keep_alive()
        elif line:
            _answer(producer.send(msgspec.json.decode(line, type=Order)))
        else:
            producer.close()
            return 0


class _Lines:
    """Lines of standard input, waited for with a timeout."""

    def __init__(self) -> None:
        self._read = b""

    def wait(self, timeout_s: float | None) -> bytes | None:
        """The next line; empty at the end of the input, None where none comes in time."""
        while b"\n" not in self._read:
            if not select.select([sys.stdin], [], [], timeout_s)[0]:
                return None
            piece = os.read(sys.stdin.fileno(), 65536)
            if not piece:
                return b""
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line


def _answer(value: msgspec.Struct) -> None:
    try:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever asked is gone
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
