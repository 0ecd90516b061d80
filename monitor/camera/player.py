"""Plays recordings of events as the camera sent them: their own numbers, at their own times, with all their facts."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from monitor.camera.publisher import Publisher, Sent, SocketKind, frames_per_message_at
from monitor.camera.recordings import Recording
from monitor.keys import Credentials
from monitor.recorder.recording import Recorded
from monitor.wire import native

ALIKE: Final = ("stream", "job", "context", "layer", "active")
"""What frames of one message have in common."""


class Piece(NamedTuple):
    """Frames *lo* to *hi* of a recording that one message can tell of."""

    lo: int
    hi: int
    dt_ns: int


def pieces(recorded: Recorded, most: int) -> Iterator[Piece]:
    """*recorded* in messages of at most so many frames: numbers rise by one, times by the same step."""
    columns = recorded.columns
    count = len(recorded.frames)
    placed = np.isfinite(columns["xy"]).all(axis=1)
    steps = np.diff(columns["t_ns"])
    together = (np.diff(columns["seq"]) == 1) & (steps >= 0) & (placed[1:] == placed[:-1])
    for name in ALIKE:
        together &= columns[name][1:] == columns[name][:-1]
    lo = 0
    while lo < count:
        hi = lo + 1
        while hi < count and hi - lo < most and together[hi - 1] and steps[hi - 1] == steps[lo]:
            hi += 1
        yield Piece(lo, hi, int(steps[lo]) if hi - lo > 1 else 0)
        lo = hi


class Player(Publisher):
    """A camera that repeats what another one has sent. Use it as a context manager."""

    def play(
        self,
        recorded: Recorded,
        rate_hz: float | None = None,
        *,
        wait_s: float = 10.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> Sent:
        """Sends *recorded* under a stream of its own, at the times at which it was exposed, or at *rate_hz*.

        Frames that are not in the recording are missing for whoever listens, too.
        """
        met = self.wait_for_reader(wait_s, stop)
        columns = recorded.columns
        times_ns = columns["t_ns"] if rate_hz is None else np.round(columns["seq"] * 1e9 / rate_hz).astype(np.int64)
        begun, wall_ns = self._clock(), self._wall_ns()
        frames, messages, late_s, stream = 0, 0, 0.0, b""
        found = list(pieces(recorded, self.frames_per_message))
        for piece, after in zip(found, [*found[1:], None], strict=True):
            due = begun + int(times_ns[piece.hi - 1] - times_ns[0]) / 1e9
            if not self._wait_until(due, stop):
                break
            if columns["stream"][piece.lo] != stream:
                self._end()
                self.stream, stream = secrets.token_hex(8), columns["stream"][piece.lo]
            late_s = max(late_s, self._clock() - due)
            ends = after is None or columns["job"][after.lo] != columns["job"][piece.lo]
            exposed_ns = wall_ns + int(times_ns[piece.lo] - times_ns[0])
            if rate_hz is not None:
                piece = piece._replace(dt_ns=round(1e9 / rate_hz))
            if not self._send(self._message(recorded, piece, exposed_ns, end=ends), stop):
                break
            self.seq = int(columns["seq"][piece.hi - 1]) + 1
            frames, messages = frames + piece.hi - piece.lo, messages + 1
        self._end()
        return Sent(frames, messages, late_s, met)

    def exposed_ns(self, seq: int) -> int:
        """What a keep-alive says."""
        return self._wall_ns()

    def _end(self) -> None:
        """The stream is over: another may begin at once."""
        if self.seq:
            self._try_send(self._keep_alive(end=True))
        self.seq = 0

    def _message(self, recorded: Recorded, piece: Piece, exposed_ns: int, *, end: bool) -> list[native.Part]:
        columns, some = recorded.columns, slice(piece.lo, piece.hi)
        active = bool(columns["active"][piece.lo])
        places = None
        if np.isfinite(columns["xy"][piece.lo]).all():
            places = np.zeros(piece.hi - piece.lo, native.PLACE)
            places["x"], places["y"] = columns["xy"][some].T
            places["active"] = active
        job, context = (bytes(columns[name][piece.lo]).decode(errors="replace") for name in ("job", "context"))
        layer = int(columns["layer"][piece.lo])
        return native.encode(
            self.camera,
            self.stream,
            int(columns["seq"][piece.lo]),
            exposed_ns,
            recorded.frames[some],
            dt_ns=piece.dt_ns if piece.hi - piece.lo > 1 else 0,
            active=active,
            context=context,
            job=job,
            settings=str(recorded.attributes["settings"]),
            layer=None if layer < 0 else layer,
            end=end,
            places=places,
        )


def play(
    recordings: Sequence[Recording],
    endpoint: str,
    rate_hz: float | None,
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
    """Plays *recordings*, which are all of events, one after the other. Raises as Publisher does."""
    known = [one.recorded for one in recordings if one.recorded is not None]
    nominal_hz = rate_hz or float(known[0].attributes["rate_hz"])
    together = frames_per_message or frames_per_message_at(nominal_hz)
    total = Sent(0, 0, 0.0, met=True)
    with Player(
        endpoint,
        nominal_hz,
        camera=camera,
        socket=socket,
        connect=connect,
        frames_per_message=together,
        credentials=credentials,
    ) as player:
        while not stop():
            for recorded in known:
                sent = player.play(recorded, rate_hz, wait_s=wait_s, stop=stop)
                total = Sent(
                    total.frames + sent.frames,
                    total.messages + sent.messages,
                    max(total.late_s, sent.late_s),
                    total.met and sent.met,
                )
            if not loop:
                break
    return total
