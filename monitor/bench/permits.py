"""When the permit fell, as a subscriber hears it: from a black frame's sending to `permit: false` at the subscriber."""

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
import zmq

from monitor.voice import Permit

POLL_MS = 100
NEVER_NS = 2**63


class Heard(NamedTuple):
    """One permit message."""

    at_ns: int  # monotonic, when the subscriber had it
    given: bool


def falls_after(dark: Sequence[tuple[int, int]], heard: Sequence[Heard]) -> list[int]:
    """Nanoseconds from each black frame, (seq, sent_ns) in order, to the first word after it that withholds the permit.

    Frames before which the permit was not given are left out, and those whose fall no word tells before the next frame.
    """
    delays: list[int] = []
    times = [one.at_ns for one in heard]
    for (_, sent_ns), (_, end_ns) in pairwise([*dark, (0, NEVER_NS)]):
        first, last = bisect_left(times, sent_ns), bisect_left(times, end_ns)
        if first == 0 or not heard[first - 1].given:
            continue
        fell = next((one.at_ns for one in heard[first:last] if not one.given), None)
        if fell is not None:
            delays.append(fell - sent_ns)
    return delays


class Listener:
    """A subscriber of the permit on a thread of its own. Use it as a context manager."""

    def __init__(self, endpoint: str, camera: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVTIMEO, POLL_MS)
        self._socket.subscribe(f"permit.{camera}".encode())
        self._socket.connect(endpoint)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="permit", daemon=True)
        self.heard: list[Heard] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def is_given(self) -> bool:
        """Whether the last word gives the permit."""
        return bool(self.heard) and self.heard[-1].given

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                parts = self._socket.recv_multipart()
            except zmq.Again:
                continue
            at_ns = time.monotonic_ns()
            self.heard.append(Heard(at_ns, msgspec.json.decode(parts[-1], type=Permit).permit))
