"""From the camera's socket to the ring: whatever a peer sends is either accounted for or refused by a reason."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import zmq

from monitor.backlog import Backlog
from monitor.ring import Codes
from monitor.sequence import step
from monitor.types import Admission, Header, Message, Unjudged
from monitor.wire.native import REASONS, Decoder, Part, WireError, WireLimits

POLL_MS = 100  # how late a stop may be noticed
WAITING_FRAMES, WAITING_MESSAGES = 1000, 64  # that may wait at the socket, at least
LAST_PORT = 65_535
RECEIVE_BUFFER_BYTES = 8 * 2**20  # bridges the moments in which the I/O thread does not run


class Rejection(NamedTuple):
    """A message that was refused: *detail* is a sentence for the log."""

    detail: str
    at_ns: int


class Ingest:
    """Takes a camera's messages one by one. What it knows of the camera may be read from any thread.

    - `last_heard_ns`: when a message was last accepted, None before the first
    - `idle`: the last accepted message was a keep-alive or held no active frame
    - `mismatch`: why the frames that come now are not judged ('no bundle', 'frame size ...'), None if they are
    - `layers_ended`: how many layers have ended, as far as the camera tells of them
    - `rejections`: the last message refused, by reason: a closed set, each put in once and then replaced
    """

    def __init__(
        self, camera: str, admission: Admission | None, limits: WireLimits, silence_ns: int, backlog: Backlog
    ) -> None:
        self._camera = camera
        self._admission = admission
        self._decode = Decoder(limits)
        self._silence_ns = silence_ns
        self._backlog = backlog
        self._sequence = backlog.ledger.sequence  # where a process before this one left off
        self._kind: tuple[object, ...] = ()  # what the two below were worked out for
        self._code = int(Unjudged.UNCALIBRATED)
        self.mismatch: str | None = None if admission else "no bundle"
        self._layer: tuple[str, int | None] = "", None
        self.layers_ended = 0
        self.last_heard_ns: int | None = None
        self.idle = False
        self.rejections: dict[str, Rejection | None] = dict.fromkeys(REASONS)

    def take(self, parts: Sequence[Part], now_ns: int) -> None:
        """Account for one multipart message that came in at *now_ns* (monotonic). No peer can make it raise."""
        try:
            message = self._decode(parts)
        except WireError as error:
            self._reject(error.reason, error.detail, now_ns)
            return
        header = message.header
        if header.camera != self._camera:
            self._reject("other_camera", f"sent by {header.camera}", now_ns)
            return
        self._sequence, verdict = step(self._sequence, header, now_ns, self._silence_ns)
        if not verdict.accepted:
            speaks = self._sequence.stream
            self._reject("second_stream", f"stream {header.stream!r} while {speaks!r} is alive", now_ns)
            return
        self.last_heard_ns = now_ns
        if header.end or (header.layer is not None and (header.job, header.layer) != self._layer):
            self._end_layer(header)
        codes = self._codes(message)
        enters = self._admission is not None
        self._backlog.offer(message, verdict, self._sequence, codes, now_ns, enters=enters)

    def _end_layer(self, header: Header) -> None:
        """The layer before has ended, and with a job's last message this one."""
        self.layers_ended += self._layer[1] is not None
        self._layer = header.job, None if header.end else header.layer

    def _reject(self, reason: str, detail: str, now_ns: int) -> None:
        self.rejections[reason] = Rejection(detail, now_ns)
        self._backlog.reject(reason)

    def _codes(self, message: Message) -> Codes:
        """Why the frames of *message* are not to be judged: inactive goes before all that admission says."""
        header, places = message.header, message.places
        if header.count == 0 or not header.active:
            self.idle = True
            if header.count:
                self._admit(header)
            return int(Unjudged.INACTIVE)
        self._admit(header)
        if places is None:
            self.idle = False
            return self._code
        inactive = places["active"] == 0
        self.idle = bool(inactive.all())
        return np.where(inactive, np.uint8(Unjudged.INACTIVE), np.uint8(self._code))

    def _admit(self, header: Header) -> None:
        kind = (header.height, header.width, header.dtype, header.settings, header.context, header.active)
        if kind != self._kind:  # once for every change, not for every message
            self._kind = kind
            self._code, self.mismatch = admit(header, self._admission)


def admit(header: Header, admission: Admission | None) -> tuple[int, str | None]:
    """The code of active frames like these, 0 where the bundle's limits speak for them, and why not.

    Between two contexts the process is off, and what is sent then need not name one.
    """
    if admission is None:
        return int(Unjudged.UNCALIBRATED), "no bundle"
    size, wanted = f"{header.height}x{header.width}", f"{admission.height}x{admission.width}"
    if size != wanted:
        return int(Unjudged.UNCALIBRATED), f"frame size {size}, bundle {wanted}"
    if header.dtype != admission.dtype:
        return int(Unjudged.UNCALIBRATED), f"pixels {header.dtype}, bundle {admission.dtype}"
    if admission.settings is not None and header.settings != admission.settings:
        return int(Unjudged.UNCALIBRATED), f"settings {header.settings!r}, bundle {admission.settings!r}"
    if header.active and admission.contexts is not None and header.context not in admission.contexts:
        return int(Unjudged.CONTEXT_UNKNOWN), f"context {header.context!r} is not in the bundle"
    return 0, None


def receive(
    socket: "zmq.Socket[bytes]",
    ingest: Ingest,
    stop: threading.Event,
    clock: Callable[[], int],
    admits: Callable[[zmq.Frame], bool] | None = None,
) -> None:
    """Hand every message of *socket* to *ingest* until *stop* is set: the body of the ingest thread.

    *clock* is the machine's monotonic clock in nanoseconds; *admits* says by its first part whether a message comes
    from someone who may speak. The socket is the caller's to close.
    """
    # A blocking receive with a timeout is one call a message where poll, receive and `Again` are three; and
    # recv_multipart asks the socket after each part whether more follow, which `frame.more` knows already.
    socket.setsockopt(zmq.RCVTIMEO, POLL_MS)
    while not stop.is_set():
        try:
            frame = socket.recv(copy=False)
        except zmq.Again:
            continue
        may_speak = admits is None or admits(frame)
        parts = [frame.buffer]
        while frame.more:
            frame = socket.recv(copy=False)
            parts.append(frame.buffer)
        if may_speak:
            ingest.take(parts, clock())


def waiting_messages(rate_hz: float, buffer_s: float, frames_per_message: int) -> int:
    """How many messages may wait at the socket: those of *buffer_s* seconds, and enough for a stall in any case.

    To be said before the socket is opened: libzmq may stall for good where the mark of a busy one is moved.
    """
    return max(WAITING_FRAMES // frames_per_message, WAITING_MESSAGES, int(rate_hz * buffer_s / frames_per_message))


def open_socket(
    context: "zmq.Context[Any]",
    endpoint: str,
    kind: Literal["sub", "pull"],
    bind: bool,
    camera: str,
    hwm: int,
    max_message_bytes: int,
    lock: "Callable[[zmq.Socket[bytes]], None]" = lambda socket: None,
) -> "zmq.Socket[bytes]":
    """The socket on which *camera*'s frames come in, holding up to *hwm* messages that wait.

    *lock* gives it its keys before it is opened.
    Raises OSError with one line that names the endpoint where it is taken, malformed or not to be reached.
    """
    verb = "bind to" if bind else "connect to"
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and port.isdecimal() and int(port) > LAST_PORT:
        # libzmq would silently take the port modulo 65536.
        raise OSError(f"cannot {verb} {endpoint}: ports end at {LAST_PORT}")
    socket: zmq.Socket[bytes] = context.socket(zmq.SUB if kind == "sub" else zmq.PULL)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IPV6, 0)
    socket.setsockopt(zmq.RCVHWM, hwm)
    socket.setsockopt(zmq.RCVBUF, RECEIVE_BUFFER_BYTES)
    # Somewhat too long is refused by the decoder, and counted; beyond this libzmq drops the peer before it fills
    # our memory.
    socket.setsockopt(zmq.MAXMSGSIZE, 4 * max_message_bytes)
    if kind == "sub":
        socket.setsockopt(zmq.SUBSCRIBE, camera.encode())
    lock(socket)
    try:
        if bind:
            socket.bind(endpoint)
        else:
            socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise OSError(f"cannot {verb} {endpoint}: {zmq.strerror(error.errno or 0)}") from None
    return socket
