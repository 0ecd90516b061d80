"""A camera on ZeroMQ: sends frames on a fixed schedule, as the native protocol says.

Frame *i* is exposed at start + i / rate, whatever happened before: a late message is followed by a burst, not by a
shifted schedule. Only a pause of the camera shifts it: every frame after a pause comes so much later. A message leaves
when its last frame has been exposed.
"""

import bisect
import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import zmq

from monitor.camera.recordings import Recording
from monitor.doorkeeper import hire, lock
from monitor.keys import Credentials
from monitor.types import TEXT_BYTES
from monitor.wire import native

SocketKind = Literal["pub", "push"]

SINGLE_UP_TO_HZ: Final = 2000.0
"""Up to this rate every frame travels alone: the delay is least, and the messages are still few."""

MESSAGE_S: Final = 0.002
"""Above it, the frames of this time share a message."""

KEEP_ALIVE_S: Final = 0.25
QUEUE_S: Final = 2.0
"""A reader that stalls this long loses nothing: the high-water mark holds as many messages."""

MIN_QUEUE_MESSAGES: Final = 16  # no more: an image of 2048 px a side is four megabytes
LINGER_MS: Final = 5000
NAP_S: Final = 0.02
"""The longest sleep: how soon a stop is noticed."""

RETRY_S: Final = 0.001


class EndpointError(ValueError):
    """An endpoint that cannot be bound or connected to: one line that says which and why."""


class Shot(NamedTuple):
    """Consecutive frames that one set of facts holds for. *pixels* is (n, h, w)."""

    pixels: npt.NDArray[Any]
    context: str = ""
    job: str = ""
    layer: int | None = None
    xy: npt.NDArray[np.floating[Any]] | None = None  # (n, 2): millimetres, nanometres, or scan column and row
    active: bool = True
    settings: str = ""
    pause_s: float = 0.0  # before its first frame: so long the camera has nothing to show, and only says that it lives


class Sent(NamedTuple):
    """What one call of `publish` has sent."""

    frames: int
    messages: int  # with frames: keep-alives are not counted
    late_s: float  # how far behind its schedule the latest message left
    met: bool  # whether somebody listened when it began


class _Leg(NamedTuple):
    """A stretch of even schedule: from frame *seq* on, until the next leg begins."""

    seq: int
    due_s: float  # when that frame is exposed, by our clock
    exposed_ns: int  # the same, in Unix time


class Publisher:
    """A camera that sends to *endpoint* at *rate_hz*, under a stream of its own. Use it as a context manager.

    With *credentials* it is a CURVE client or server, whichever end connects. Raises EndpointError where the endpoint
    cannot be used, KeyFileError where its folder of clients cannot, ValueError where a value makes no sense. *clock*
    counts seconds and never jumps; *wall_ns* is Unix time, read once, when frames begin to flow.
    """

    def __init__(
        self,
        endpoint: str,
        rate_hz: float,
        *,
        camera: str = "camera",
        socket: SocketKind = "pub",
        connect: bool = False,
        frames_per_message: int | None = None,
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not (0 < rate_hz < math.inf):
            raise ValueError(f"a rate of {rate_hz} Hz: it must be above 0 and finite")
        if frames_per_message is not None and frames_per_message < 1:
            raise ValueError(f"{frames_per_message} frames per message: at least 1 is needed")
        self.rate_hz = rate_hz
        self.frames_per_message = frames_per_message or frames_per_message_at(rate_hz)
        self.camera = camera
        self.stream = secrets.token_hex(8)
        self.seq = 0  # of the next frame
        self._clock, self._sleep, self._wall_ns = clock, sleep, wall_ns
        self._legs = [_Leg(0, clock(), wall_ns())]
        self._spoke_at = clock()
        self._keep_alive()  # refuses a camera's name that no reader would accept
        self._context = zmq.Context()
        self._keeper = hire(self._context, credentials)
        self._socket = self._context.socket(zmq.XPUB if socket == "pub" else zmq.PUSH)
        self._open(endpoint, connect, credentials)

    @property
    def endpoint(self) -> str:
        """Where the socket really is: the port that the system chose, where port 0 or `*` was asked for."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def wait_for_reader(self, wait_s: float, stop: Callable[[], bool] = lambda: False) -> bool:
        """Whether somebody subscribed (PUB) or connected (PUSH) within *wait_s* seconds.

        What a PUB socket sends before that, nobody gets.
        """
        wanted = zmq.POLLIN if self._socket.type == zmq.XPUB else zmq.POLLOUT
        deadline = self._clock() + wait_s
        while not self._socket.poll(0, wanted):
            if stop() or self._clock() >= deadline:
                return False
            self._sleep(NAP_S)
        return True

    def publish(
        self,
        shots: Iterable[Shot],
        *,
        wait_s: float = 10.0,
        stop: Callable[[], bool] = lambda: False,
        sent: Callable[[int], None] = lambda next_seq: None,
    ) -> Sent:
        """Sends *shots* on schedule, after waiting at most *wait_s* for a reader, until they or *stop* end it.

        The last message of each job says `end`, and a keep-alive after the last message of all reveals its loss.
        *sent* is told after each message how far the count has come.
        """
        met = self.wait_for_reader(wait_s, stop)
        frames = messages = 0
        late_s = 0.0
        for shot, after in _with_next(self._cut(shots)):
            if not messages:  # a second call has a schedule of its own, not one that began long ago
                self._begin()
            if shot.pause_s > 0 and not self._pause(shot.pause_s, stop):
                break
            count = len(shot.pixels)
            due = self._due(self.seq + count - 1)
            if not self._wait_until(due, stop):
                break
            late_s = max(late_s, self._clock() - due)
            if not self._send(self._parts(shot, end=after is None or after.job != shot.job), stop):
                break
            self.seq += count
            frames += count
            messages += 1
            sent(self.seq)
        if frames:
            self._try_send(self._keep_alive(end=True))
        return Sent(frames, messages, late_s, met)

    def exposed_ns(self, seq: int) -> int:
        """When frame *seq* was exposed, in Unix nanoseconds; of one to come: if no pause comes before it."""
        leg = self._leg(seq)
        return leg.exposed_ns + round((seq - leg.seq) * 1e9 / self.rate_hz)

    def close(self) -> None:
        """Closes the socket once what is queued has left, or LINGER_MS have passed."""
        if self._keeper is not None:
            self._socket.disable_monitor()
        self._socket.close()
        if self._keeper is not None:
            self._keeper.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self, endpoint: str, connect: bool, credentials: Credentials | None) -> None:
        queue = max(math.ceil(QUEUE_S * self.rate_hz / self.frames_per_message), MIN_QUEUE_MESSAGES)
        self._socket.setsockopt(zmq.SNDHWM, queue)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        try:
            lock(self._socket, credentials, self._keeper, "camera")
            if connect:
                self._socket.connect(endpoint)
            else:
                self._socket.bind(_with_wildcard(endpoint))
        except zmq.ZMQError as error:
            self.close()
            verb = "connect to" if connect else "bind"
            raise EndpointError(f"{endpoint}: cannot {verb} it ({error.strerror}); give another --endpoint") from error

    def _cut(self, shots: Iterable[Shot]) -> Iterator[Shot]:
        """*shots* in pieces of one message each. A message never spans two shots."""
        for shot in shots:
            for first in range(0, len(shot.pixels), self.frames_per_message):
                piece = slice(first, first + self.frames_per_message)
                xy = None if shot.xy is None else shot.xy[piece]
                pause_s = shot.pause_s if first == 0 else 0.0
                yield shot._replace(pixels=shot.pixels[piece], xy=xy, pause_s=pause_s)

    def _begin(self) -> None:
        """Starts the schedule: the next frame is exposed now."""
        self._go_on_with(_Leg(self.seq, self._clock(), self._wall_ns()))
        self._spoke_at = self._clock()

    def _pause(self, pause_s: float, stop: Callable[[], bool]) -> bool:
        """Shifts the schedule from the next frame on by *pause_s*, and says at once that none comes now.

        Returns once the pause is over; False as soon as *stop* says so.
        """
        due = self._due(self.seq)
        if not self._wait_until(due, stop):
            return False
        self._go_on_with(_Leg(self.seq, due + pause_s, self.exposed_ns(self.seq) + round(pause_s * 1e9)))
        self._try_send(self._keep_alive())
        return self._wait_until(due + pause_s, stop)

    def _go_on_with(self, leg: _Leg) -> None:
        if self._legs[-1].seq == leg.seq:  # no frame was sent on the one before
            self._legs.pop()
        self._legs.append(leg)

    def _leg(self, seq: int) -> _Leg:
        """The stretch of the schedule that frame *seq* is on."""
        return self._legs[bisect.bisect_right(self._legs, seq, key=lambda leg: leg.seq) - 1]

    def _due(self, seq: int) -> float:
        """When frame *seq* is exposed, by our clock."""
        leg = self._leg(seq)
        return leg.due_s + (seq - leg.seq) / self.rate_hz

    def _wait_until(self, due: float, stop: Callable[[], bool]) -> bool:
        """Sleeps until *due*, with keep-alives meanwhile; False as soon as *stop* says so."""
        while (rest := due - self._clock()) > 0:
            if stop():
                return False
            if self._clock() - self._spoke_at >= KEEP_ALIVE_S:
                self._try_send(self._keep_alive())
            self._sleep(min(rest, NAP_S))
        return not stop()

    def _send(self, parts: list[native.Part], stop: Callable[[], bool]) -> bool:
        """Sends, waiting while a PUSH reader is too slow or absent; False if *stop* says so before it has left."""
        while not self._try_send(parts):
            if stop():
                return False
            self._sleep(RETRY_S)
        return True

    def _try_send(self, parts: list[native.Part]) -> bool:
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        self._spoke_at = self._clock()
        return True

    def _keep_alive(self, end: bool = False) -> list[native.Part]:
        return native.encode(self.camera, self.stream, self.seq, self.exposed_ns(self.seq), None, end=end)

    def _parts(self, shot: Shot, end: bool) -> list[native.Part]:
        alone = len(shot.pixels) == 1
        xy = None if shot.xy is None or not alone else (float(shot.xy[0, 0]), float(shot.xy[0, 1]))
        return native.encode(
            self.camera,
            self.stream,
            self.seq,
            self.exposed_ns(self.seq),
            shot.pixels[0] if alone else shot.pixels,
            dt_ns=0 if alone else round(1e9 / self.rate_hz),
            active=shot.active,
            context=shot.context,
            settings=shot.settings,
            job=shot.job,
            layer=shot.layer,
            xy=xy,
            end=end,
            places=None if shot.xy is None or alone else _places(shot.xy, shot.active),
        )


def frames_per_message_at(rate_hz: float) -> int:
    """How many frames share a message at *rate_hz*, where nobody has said it."""
    return 1 if rate_hz <= SINGLE_UP_TO_HZ else math.ceil(rate_hz * MESSAGE_S)


def shots_of(recordings: Iterable[Recording], *, loop: bool = False, frames: int = 256) -> Iterator[Shot]:
    """The *recordings* one after the other, each a job of its own; with *loop*, again and again.

    A shot holds at most *frames* frames, so that a memory-mapped recording is read as it is sent.
    """
    known = list(recordings)
    rounds: Iterable[int] = itertools.count() if loop and known else range(1)
    for _ in rounds:
        for recording in known:
            job = _as_text(Path(recording.name).name)
            for first in range(0, len(recording.frames), frames):
                yield Shot(recording.frames[first : first + frames], context=recording.context, job=job)


def replay(
    recordings: Iterable[Recording],
    endpoint: str,
    rate_hz: float,
    *,
    loop: bool = False,
    camera: str = "replay",
    socket: SocketKind = "pub",
    connect: bool = False,
    frames_per_message: int | None = None,
    credentials: Credentials | None = None,
    wait_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
) -> Sent:
    """Sends *recordings* as a camera would. Raises as Publisher does."""
    with Publisher(
        endpoint,
        rate_hz,
        camera=camera,
        socket=socket,
        connect=connect,
        frames_per_message=frames_per_message,
        credentials=credentials,
    ) as publisher:
        return publisher.publish(shots_of(recordings, loop=loop), wait_s=wait_s, stop=stop)


def _with_next(shots: Iterator[Shot]) -> Iterator[tuple[Shot, Shot | None]]:
    """Each of *shots* with the one after it: only then is it known which is the last of its job."""
    before = next(shots, None)
    while before is not None:
        after = next(shots, None)
        yield before, after
        before = after


def _places(xy: npt.NDArray[np.floating[Any]], active: bool) -> npt.NDArray[np.void]:
    places = np.zeros(len(xy), native.PLACE)
    places["x"], places["y"], places["active"] = xy[:, 0], xy[:, 1], active
    return places


def _as_text(name: str) -> str:
    """*name* as the protocol allows it: no control characters, and not too long in UTF-8."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore")


def _with_wildcard(endpoint: str) -> str:
    """`tcp://host:0` means the same to people as ZeroMQ's `tcp://host:*`."""
    return endpoint[:-1] + "*" if endpoint.startswith("tcp://") and endpoint.endswith(":0") else endpoint
