"""Frames of events for whoever looks at them offline: those that are kept beside the journal, or recorded ones.

The file is only read, beside a daemon that runs or without one. A few frames are in memory at a time.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.config import Config
from monitor.taxonomy.store import WAIT_S, Store, beside

AT_ONCE: Final = 32  # frames
EVENTS_MAX: Final = 5000  # as a tree takes: models.taxonomy.tree.POINTS_MAX

Frames = npt.NDArray[Any]


class CompareError(ValueError):
    """Events, labels or embeddings that cannot be compared: one line that says what to do."""


class Event(NamedTuple):
    """One frame, and what is known of it."""

    id: int  # of the sample that is kept; of recorded frames a number from 1 on
    stream: str  # of recorded frames: the recording's name
    seq: int  # of recorded frames: counted from 0 within their recording
    alarm: str | None = None
    t_ns: int | None = None  # Unix, when it was kept
    kind: str = ""  # what people called the kind that it is of


class Pieces(NamedTuple):
    """Events and their frames (k, h, w), piece by piece; how many there are, and how many are not looked at."""

    pieces: Iterator[tuple[list[Event], Frames]]
    left_out: int  # events that do not fit the bundle, or frames beyond EVENTS_MAX
    why_left: str


def kept(config: Config, bundle: Bundle) -> Pieces:
    """The events that the daemon of *config* keeps, the latest EVENTS_MAX.

    Raises CompareError where there is no file; StoreError where it cannot be used; sqlite3.Error as pieces are taken.
    """
    path = beside(Path(config.journal))
    if not path.exists():
        raise CompareError(f"{path}: there are no events yet; a daemon with a bundle keeps them, or give --from PATH")
    store = Store(path, config.camera, wait_s=WAIT_S, read_only=True)
    held = bundle.manifest
    try:
        samples = store.samples("normal = 0")[-EVENTS_MAX:]
        names = {kind.id: kind.name for kind in store.kinds()}
    except sqlite3.Error as error:
        store.close()
        raise CompareError(f"{path}: {error}") from None
    fitting = [one for one in samples if (one.height, one.width, one.dtype) == (held.height, held.width, held.dtype)]

    def pieces() -> Iterator[tuple[list[Event], Frames]]:
        try:
            for first in range(0, len(fitting), AT_ONCE):
                some = [(one, store.pixels(one.id)) for one in fitting[first : first + AT_ONCE]]
                there = [(one, pixels) for one, pixels in some if pixels is not None]  # dropped meanwhile: not there
                events = [
                    Event(one.id, one.stream, one.seq, one.alarm, one.t_ns, names.get(one.kind or 0, ""))
                    for one, _ in there
                ]
                if there:
                    yield events, np.stack([pixels for _, pixels in there])
        except sqlite3.Error as error:
            raise CompareError(f"{path}: {error}") from None
        finally:
            store.close()

    return Pieces(pieces(), len(samples) - len(fitting), "no longer fit the bundle")


def recorded(recordings: Sequence[Recording]) -> Pieces:
    """The frames of *recordings*, each an event; of more than EVENTS_MAX some, spread evenly."""
    counts = [len(one.frames) for one in recordings]
    total = sum(counts)
    chosen = np.linspace(0, total - 1, min(total, EVENTS_MAX)).round().astype(np.int64)

    def pieces() -> Iterator[tuple[list[Event], Frames]]:
        before = 0
        for recording, count in zip(recordings, counts, strict=True):
            own = chosen[(chosen >= before) & (chosen < before + count)]
            for first in range(0, len(own), AT_ONCE):
                rows = own[first : first + AT_ONCE]
                events = [Event(row + 1, recording.name, row - before) for row in rows.tolist()]
                yield events, recording.frames[rows - before]
            before += count

    return Pieces(pieces(), total - len(chosen), f"frames are beyond {EVENTS_MAX:,}: those taken are spread evenly")
