"""The snapshot socket: a ROUTER that answers REQ and DEALER sockets, in a thread of its own.

One request after the other: what waits meanwhile is bounded by the socket, and a peer that does not read its answers
loses them. Nobody else waits for it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import msgspec
import zmq

from monitor.doorkeeper import Doorkeeper
from monitor.snapshots.page import Refusal, Snapshot
from monitor.snapshots.request import PARTS_KEPT, Request, RequestError, decode, unwrap

ANSWER_S: Final = 10.0
"""So long a request waits for the desk, which a slow disk may hold up."""

POLL_S: Final = 0.1
REST_MOST_S: Final = 0.2

WAITING: Final = 10
"""Requests of one peer that wait, and a peer may have as many more under way."""

UNREAD: Final = 4
"""Answers that wait for a peer which does not read, up to a megabyte each; further ones are thrown away."""

PART_BYTES_MAX: Final = 65_536
"""Somewhat too long is refused, and counted; beyond this libzmq drops the peer before it fills our memory."""


class Clerk:
    """Bound to *endpoint*, answers for *camera* what *ask* gives: a future Snapshot, or RequestError in its place.

    *count* is told what became of each request: `answered`, or the reason why it was refused. With a *keeper* the
    socket asks for keys. Raises zmq.ZMQError where it cannot be bound.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        camera: str,
        ask: Callable[[Request], "Future[Snapshot]"],
        count: Callable[[str], None],
        keeper: Doorkeeper | None,
    ) -> None:
        self._camera = camera
        self._ask = ask
        self._count = count
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.RCVHWM, WAITING)
        self._socket.setsockopt(zmq.SNDHWM, UNREAD)
        self._socket.setsockopt(zmq.MAXMSGSIZE, PART_BYTES_MAX)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 0)  # to whom nothing can be sent, nothing is
        self._socket.setsockopt(zmq.RCVTIMEO, round(POLL_S * 1000))
        self._door = keeper.guard(self._socket, "snapshot") if keeper is not None else None
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def run(self, stop: threading.Event) -> None:
        """Answer until *stop* is set, then close: the body of the thread."""
        try:
            while not stop.is_set():
                worked_s = self._turn(stop)
                # However many ask, and however often: at least half of the time is left to the others.
                stop.wait(min(worked_s, REST_MOST_S))
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket; what was not sent yet is thrown away."""
        if self._door is not None and not self._socket.closed:
            self._socket.disable_monitor()
        self._socket.close(0)

    def _turn(self, stop: threading.Event) -> float:
        """Answer one request, if one comes in a while; the seconds that it took."""
        try:
            frame = self._socket.recv(copy=False)
        except zmq.Again:
            return 0.0
        begun = time.monotonic()
        peer, may_ask = frame.bytes, self._door is None or self._door.admits(frame)
        envelope, parts = unwrap(self._rest(frame))
        if may_ask:
            said = self._answer(parts, stop)
            # libzmq looks but once in a millisecond how much a peer has read: a quick one would lose answers.
            self._socket.get(zmq.EVENTS)
            self._socket.send_multipart([peer, *envelope, said], zmq.NOBLOCK)
        return time.monotonic() - begun

    def _rest(self, frame: zmq.Frame) -> list[bytes]:
        """The first parts behind *frame*; all of them are taken in."""
        parts: list[bytes] = []
        while frame.more:
            frame = self._socket.recv(copy=False)
            if len(parts) < PARTS_KEPT:
                parts.append(frame.bytes)
        return parts

    def _answer(self, parts: Sequence[bytes], stop: threading.Event) -> bytes:
        try:
            said = msgspec.json.encode(self._made(decode(parts, self._camera), stop))
        except RequestError as error:
            self._count(error.reason)
            return msgspec.json.encode(Refusal(str(error)))
        self._count("answered")
        return said

    def _made(self, request: Request, stop: threading.Event) -> Snapshot:
        """The snapshot that is asked for. Raises RequestError, also where the desk does not get to it."""
        waiting, deadline = self._ask(request), time.monotonic() + ANSWER_S
        while not stop.is_set() and time.monotonic() < deadline:
            with suppress(TimeoutError):
                return waiting.result(POLL_S)
        waiting.cancel()
        raise RequestError("unavailable", "the daemon stops" if stop.is_set() else "the journal does not answer")
