"""The process that draws: `python -m monitor.viewer.process`, told what to draw on the socket that is its input.

It reads the ring itself, read-only, and waits for questions otherwise. It ends when the side process does, or lets go
of the socket.
"""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from monitor import orders
from monitor.bundle import BundleError
from monitor.bundle import read as read_bundle
from monitor.orders import Orders
from monitor.ring import Ring
from monitor.viewer.picking import Picked, Picker, among, find
from monitor.viewer.picture import Painter, Picture
from monitor.viewer.recorded import one_of
from monitor.viewer.speech import (
    LENGTHS,
    Among,
    Begin,
    Find,
    Kept,
    Newest,
    Question,
    Recorded,
    UnreadableError,
    unpacked,
)

NICE: Final = 10
"""After all that judges and tells, before the grouping of kinds: somebody looks."""

CONTENT_MOST: Final = 2**30  # a frame, or orders


class Artist:
    """Answers questions about the frames of one daemon."""

    def __init__(self, ring: Ring, painter: Painter) -> None:
        self._ring, self._painter = ring, painter
        self._picker = Picker(ring)

    def answer(self, question: Question, content: bytes) -> bytes:
        """A Picture as JSON; empty where there is nothing to draw. Raises UnreadableError."""
        picture: Picture | None = None
        if isinstance(question, Newest):
            picture = self._of(self._picker.pick(anew=question.anew))
        elif isinstance(question, Find):
            picture = self._of(find(self._ring, question.stream, question.seq), question.fault)
        elif isinstance(question, Among):
            picture = self._of(among(self._ring, question.wanted), question.wanted.fault)
        elif isinstance(question, Recorded):
            recorded = one_of(Path(question.path), question.wanted, question.t_ns)
            picture = None if recorded is None else self._painter.of_recorded(recorded)
        elif isinstance(question, Kept):
            pixels = np.frombuffer(content, self._ring.dtype).reshape(self._ring.height, self._ring.width)
            picture = self._painter.of_kept(question, pixels)
        return b"" if picture is None else msgspec.json.encode(picture)

    def _of(self, picked: Picked | None, fault: int = 0) -> Picture | None:
        if picked is None:
            return None
        return self._painter.of_ring(picked.frame, time.time_ns() - time.monotonic_ns(), fault)


def artist_of(given: Orders) -> Artist:
    """What answers for the daemon with these orders. Raises BundleError."""
    bundle = read_bundle(Path(given.config.bundle or ""))
    if given.bundle is None or bundle.sha256 != given.bundle.sha256:
        raise BundleError(f"{given.config.bundle}: was replaced while the daemon ran; restart the daemon to use it")
    try:
        painter = Painter(bundle)
    except ValueError as error:
        raise BundleError(f"{bundle.path}: {error}; calibrate anew") from None
    if not painter.scorer.is_compiled:
        from models.torch_pass import in_one_thread

        in_one_thread()
    return Artist(Ring(orders.open_memory(given, read_only=True).ring), painter)


def serve(line: socket.socket) -> None:
    """Answer what comes over *line* until its other end is let go of. The first is told who it works for."""
    artist: Artist | None = None
    with line.makefile("rb") as heard:
        while len(lengths := heard.read(LENGTHS.size)) == LENGTHS.size:
            head, content = LENGTHS.unpack(lengths)
            if content > CONTENT_MOST:
                raise ValueError(f"a question of {content} bytes")
            question, given = unpacked(heard.read(head)), heard.read(content)
            if len(given) < content:
                return
            answer = wrong = b""
            if isinstance(question, Begin):
                artist = artist_of(msgspec.json.decode(given, type=Orders))
            elif artist is not None:
                try:
                    answer = artist.answer(question, given)
                except UnreadableError as error:
                    wrong = str(error).encode()
            line.sendall(LENGTHS.pack(len(answer), len(wrong)) + answer + wrong)


def main() -> int:
    """Exit status 0 when it is needed no more, 1 with one line where the bundle cannot be used."""
    os.nice(NICE)
    try:
        with socket.socket(fileno=os.dup(0)) as line:
            serve(line)
    except (BrokenPipeError, ConnectionResetError):
        return 0  # whoever asked is gone
    except (BundleError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
