"""Which recorded groups train the network, which say when to stop, and which set the limits."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from monitor.camera.recordings import Recording
from monitor.types import Pixels

STOPPING_SHARE = 0.1
"""Of the groups to learn from, so many, the last ones, only say when to stop. Of fewer than ten that would be none, and
so much of the last group's end does it."""

STOPPING_FRAMES_MIN = 32
"""Fewer frames say nothing about when to stop."""

GROUPS_ENOUGH = 9
"""The largest of G group limits is broken by a new group with probability 1 / (G + 1): nine make that 10 %."""


class Split(NamedTuple):
    """Which frames train the network and fit the charts, and which set the limits."""

    train: tuple[Recording, ...]
    limits: tuple[Recording, ...]
    warnings: tuple[str, ...]


def split(recordings: Sequence[Recording], held_out: float) -> Split:
    """Keep the last *held_out* share of each context's groups from training; of a single group, its last frames.

    Where every run shows every context, and the groups stand in the order of the runs, whole runs are held out.
    """
    contexts = _by_context(recordings)
    parts = [
        _split(of_one, held_out, f" of {_told(context)}" if len(contexts) > 1 else "")
        for context, of_one in contexts.items()
    ]
    return Split(*(tuple(chain.from_iterable(each)) for each in zip(*parts, strict=True)))


def _split(recordings: Sequence[Recording], held_out: float, of: str) -> Split:
    """The same for the groups *of* one context."""
    if len(recordings) == 1:
        [only] = recordings
        cut = int(len(only.frames) * (1 - held_out))
        warning = (
            f"there is one group{of} only ({only.name}): its limits say nothing of how another run, layer or session "
            "will look. Give each as a path of its own"
        )
        train_part, limit_part = (only._replace(frames=part) for part in (only.frames[:cut], only.frames[cut:]))
        return Split((train_part,), (limit_part,), (warning,))
    kept = min(max(1, round(len(recordings) * held_out)), len(recordings) - 1)
    held = tuple(recordings[-kept:])
    warnings: tuple[str, ...] = ()
    if kept < GROUPS_ENOUGH:
        warnings = (
            f"the limits{of} rest on {kept} held-out group{'s' if kept > 1 else ''}, pooled: a new one that differs "
            "from them as they differ from each other is over the limits more often than the rate says; give at least "
            "nine",
        )
    return Split(tuple(recordings[:-kept]), held, warnings)


def stopping_frames(recordings: Sequence[Recording]) -> tuple[Pixels, Pixels]:
    """Frames to learn from, and frames that say when to stop: a tenth of each context, of its groups where it has ten.

    No frames of the second kind where there would be too few to say anything.
    """
    learned, stopping = [], []
    for of_one in _by_context(recordings).values():
        frames = [recording.frames for recording in of_one]
        kept = int(STOPPING_SHARE * len(frames))
        if kept:
            learned += frames[:-kept]
            stopping += frames[-kept:]
        else:
            cut = len(frames[-1]) - int(STOPPING_SHARE * len(frames[-1]))
            learned += [*frames[:-1], frames[-1][:cut]]
            stopping.append(frames[-1][cut:])
    if sum(map(len, stopping)) < STOPPING_FRAMES_MIN:
        return np.concatenate([recording.frames for recording in recordings]), recordings[0].frames[:0]
    return np.concatenate(learned), np.concatenate(stopping)


def place(recordings: Sequence[Recording], index: int) -> str:
    """Which frame of which recording is number *index* of all."""
    for recording in recordings:
        if index < len(recording.frames):
            return f"frame {index} of {recording.name}"
        index -= len(recording.frames)
    raise IndexError(index)


def _by_context(recordings: Sequence[Recording]) -> dict[str, list[Recording]]:
    found: dict[str, list[Recording]] = {}
    for recording in recordings:
        found.setdefault(recording.context, []).append(recording)
    return found


def _told(context: str) -> str:
    return f"context {context}" if context else "frames without context"
