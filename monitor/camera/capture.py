"""Frames of a live camera, kept in memory for a calibration: one group for each stream, job, layer and context."""

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import zmq

from monitor.camera.publisher import EndpointError
from monitor.camera.recordings import Recording, RecordingError
from monitor.doorkeeper import hire, lock
from monitor.ingest import open_socket
from monitor.keys import Credentials
from monitor.types import Header, Message
from monitor.wire.native import WireError, WireLimits, decode

POLL_MS = 100
GROUP_FRAMES_MIN = 20  # a layer with fewer joins its context's one before: it could neither train nor set a limit


class Captured(NamedTuple):
    """What a camera sent: groups of active frames, and what it said that calibration depends on."""

    recordings: tuple[Recording, ...]
    settings: str | None
    rejected: int  # messages that broke the protocol or came from other cameras
    rate_hz: float | None  # frames a second by the sender's clock; None: too few messages to tell


def capture(
    endpoint: str,
    camera: str,
    frames: int,
    *,
    kind: Literal["sub", "pull"],
    bind: bool,
    silence_s: float,
    credentials: Credentials | None = None,
    progress: Callable[[int], None] = lambda count: None,
    clock: Callable[[], float] = time.monotonic,
) -> Captured:
    """Receive *frames* active frames of *camera*, or what comes until it is silent for *silence_s*.

    Raises EndpointError where the endpoint cannot be opened, KeyFileError where *credentials* name an unfit folder,
    RecordingError where nothing usable came.
    """
    limits = WireLimits()
    context: zmq.Context[Any] = zmq.Context()
    keeper = hire(context, credentials) if bind else None

    def give_keys(socket: "zmq.Socket[bytes]") -> None:
        lock(socket, credentials, keeper, "input")

    try:
        socket = open_socket(context, endpoint, kind, bind, camera, 100_000, 2**30, give_keys)
    except OSError as error:
        if keeper is not None:
            keeper.close()
        context.term()
        raise EndpointError(f"{error}; give another --endpoint") from None
    gathered = _Gathered(endpoint)
    heard_s = clock()
    try:
        while gathered.count < frames:
            if not socket.poll(POLL_MS):
                if clock() - heard_s > silence_s:
                    break
                continue
            if gathered.take(socket.recv_multipart(), camera, limits):
                heard_s = clock()
            elif clock() - heard_s > silence_s:  # noise is no camera
                break
            progress(min(gathered.count, frames))
    finally:
        if keeper is not None:
            keeper.close()
        socket.close()
        context.term()
    return gathered.result()


class _Place(NamedTuple):
    """What the frames of one group have in common."""

    stream: str
    job: str
    layer: int | None
    context: str

    def __str__(self) -> str:
        return f"{self.part}, {self.context}" if self.context else self.part

    @property
    def part(self) -> str:
        """In whatever context."""
        told = [f"stream {self.stream}"]
        told += [f"job {self.job}"] if self.job else []
        return ", ".join(told + ([] if self.layer is None else [f"layer {self.layer}"]))


class _Gathered:
    """Frames as they come, by group; the first message says what all must be like."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._groups: dict[_Place, list[npt.NDArray[Any]]] = {}
        self._kind: tuple[int, int, str, str] | None = None
        self._before: Header | None = None
        self._periods_ns: list[float] = []  # of a frame, between messages that follow each other
        self.count = 0
        self.rejected = 0
        self._why = ""  # the latest rejection

    def take(self, parts: list[bytes], camera: str, limits: WireLimits) -> bool:
        """Whether the message came from *camera* and could be read."""
        try:
            message = decode(parts, limits)
        except WireError as error:
            self.rejected += 1
            self._why = str(error)
            return False
        header = message.header
        if header.camera != camera:
            self.rejected += 1
            self._why = f"the camera's name is {header.camera}, not {camera}"
            return False
        self._time(header)
        frames = _active(message)
        if len(frames) == 0:
            return True
        kind = (header.height, header.width, header.dtype, header.settings)
        if self._kind is None:
            self._kind = kind
        if kind != self._kind:
            raise RecordingError(
                f"{self._endpoint}: the camera changed from {_told(self._kind)} to {_told(kind)} while it was "
                "recorded; keep its settings fixed during a calibration"
            )
        place = _Place(header.stream, header.job, header.layer, header.context)
        self._groups.setdefault(place, []).append(frames)
        self.count += len(frames)
        return True

    def _time(self, header: Header) -> None:
        before, self._before = self._before, header
        if before and before.count and before.stream == header.stream and before.seq + before.count == header.seq:
            self._periods_ns.append((header.t_ns - before.t_ns) / before.count)
        elif header.count > 1 and header.dt_ns > 0:
            self._periods_ns.append(float(header.dt_ns))

    def _rate_hz(self) -> float | None:
        """By the median period: pauses between vectors or layers are no frames."""
        period_ns = float(np.median(self._periods_ns)) if self._periods_ns else 0.0
        return 1e9 / period_ns if period_ns > 0 else None

    def result(self) -> Captured:
        if self._kind is None:
            rejected = f" ({self.rejected} messages were rejected, the last one: {self._why})" if self.rejected else ""
            raise RecordingError(
                f"{self._endpoint}: no active frame came{rejected}; check the endpoint, the camera's name and that it "
                "sends"
            )
        recordings: list[Recording] = []
        latest: dict[str, int] = {}  # context -> index of its group that was begun last
        for place, parts in self._groups.items():
            frames, before = np.concatenate(parts), latest.get(place.context)
            if before is not None and len(frames) < GROUP_FRAMES_MIN:
                held = recordings[before]
                recordings[before] = held._replace(frames=np.concatenate([held.frames, frames]))
            else:
                latest[place.context] = len(recordings)
                layer = "" if place.layer is None else place.part
                recordings.append(Recording(str(place), frames, place.context, layer))
        return Captured(tuple(recordings), self._kind[3] or None, self.rejected, self._rate_hz())


def _active(message: Message) -> npt.NDArray[Any]:
    header = message.header
    frames = np.frombuffer(message.pixels, header.dtype).reshape(header.count, header.height, header.width)
    if not header.active:
        return frames[:0]
    if message.places is None:
        return frames
    active: npt.NDArray[Any] = frames[message.places["active"] != 0]
    return active


def _told(kind: tuple[int, int, str, str]) -> str:
    height, width, dtype, settings = kind
    return f"{height}x{width} {dtype}" + (f" ({settings})" if settings else "")
