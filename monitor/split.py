"""Which recorded groups train the network, which say when to stop, and which set the limits."""

from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from calibration.charts import CalibrationError
from monitor.camera.recordings import HDF5, IMAGES, Recording
from monitor.exclusion import run_name
from monitor.types import Pixels

STOPPING_SHARE = 0.1
"""Of the groups to learn from, so many, the last ones, only say when to stop. Of fewer than ten that would be none, and
so much of the last group's end does it."""

STOPPING_FRAMES_MIN = 32
"""Fewer frames say nothing about when to stop."""

ENDINGS = IMAGES | HDF5 | {".npy", ".npz"}
"""Of files: they say nothing of the run."""

GROUPS_ENOUGH = 9
"""The largest of G group limits is broken by a new group with probability 1 / (G + 1): nine make that 10 %."""


class Split(NamedTuple):
    """Which frames train the network and fit the charts, and which set the limits."""

    train: tuple[Recording, ...]
    limits: tuple[Recording, ...]
    warnings: tuple[str, ...]


def split(recordings: Sequence[Recording], held_out: float) -> Split:
    """Keep the last *held_out* share of each context's groups from training; of a single group, its last frames.

    A run (`runs_of`) that is held out of one context is held out of all. Raises CalibrationError where the only group
    of a context is a single frame.
    """
    contexts, runs = _by_context(recordings), runs_of(recordings)
    several = [groups for groups in contexts.values() if len(groups) > 1]
    held = {runs[index] for groups in several for index in _last(groups, held_out)}
    train: list[Recording] = []
    limits: list[Recording] = []
    warnings = _run_warnings(recordings, runs, contexts, held)
    for context, groups in contexts.items():
        of = f" of {_told(context)}" if len(contexts) > 1 else ""
        if len(groups) == 1:
            parts = _cut(recordings[groups[0]], held_out, of)
        else:
            kept = _held(groups, runs, held) or _last(groups, held_out)
            learned = tuple(recordings[index] for index in groups if index not in kept)
            parts = Split(learned, tuple(recordings[index] for index in kept), _few(len(kept), of))
        train += parts.train
        limits += parts.limits
        warnings += parts.warnings
    return Split(tuple(train), tuple(limits), tuple(warnings))


def with_stretches(recordings: Sequence[Recording], stretches: Sequence[Recording]) -> Split:
    """All of *recordings* train, and *stretches* set the limits.

    Raises CalibrationError where they show a context that the others do not, or lack one of theirs.
    """
    learned, held = ({one.context for one in given} for given in (recordings, stretches))
    if learned != held:
        odd = sorted(learned ^ held)[0]
        raise CalibrationError(
            f"the stretches that set the limits and the other frames must show the same contexts: {_told(odd)} is in "
            "one of them only"
        )
    few = _few(len(set(runs_of(stretches))), "")
    return Split(tuple(recordings), tuple(stretches), few)


def runs_of(recordings: Sequence[Recording]) -> list[str]:
    """The run that each of *recordings* was part of: the same in several contexts.

    Live frames: their stream, job and layer. Files and folders: their own name without its ending, or that of the
    folder they lie in where they are named after their context: hatch/run7.npy and contour/run7.npy are of one run, and
    so are run7/hatch.npy and run7/contour.npy. In a context where such a name stands twice, every group is a run of its
    own.
    """
    found = [_run(recording) for recording in recordings]
    for groups in _by_context(recordings).values():
        whole = {run_name(recordings[index].name) for index in groups}  # of which some may be left in pieces
        if len({found[index] for index in groups}) < len(whole):
            for index in groups:
                found[index] = f"group {index}: {run_name(recordings[index].name)}"
    return found


def _run(recording: Recording) -> str:
    name, context = run_name(recording.name), recording.context
    if context and name.endswith(f", {context}"):  # as live frames are called
        return name.removesuffix(f", {context}")
    parts = [PurePath(part) for part in PurePath(name.replace(":/", "/")).parts]  # file.h5:/inside
    plain = [part.stem if part.suffix.lower() in ENDINGS else part.name for part in parts]
    return plain[-2] if len(plain) > 1 and plain[-1] == context else plain[-1]


def _last(groups: Sequence[int], held_out: float) -> Sequence[int]:
    """The last *held_out* share of two or more *groups*: at least one, and never all."""
    return groups[-min(max(1, round(len(groups) * held_out)), len(groups) - 1) :]


def _held(groups: Sequence[int], runs: Sequence[str], held: Set[str]) -> Sequence[int]:
    """Which of *groups* are of runs *held* out; none where they would be all."""
    kept = [index for index in groups if runs[index] in held]
    return kept if len(kept) < len(groups) else []


def _cut(only: Recording, held_out: float, of: str) -> Split:
    """The one group *of* a context cut in two, each part with a frame or more."""
    count = len(only.frames)
    if count < 2:
        raise CalibrationError(
            f"there is one frame{of} only ({only.name}): it cannot both train the network and set limits; give more "
            "frames, as groups of their own"
        )
    cut = min(max(int(count * (1 - held_out)), 1), count - 1)
    warning = (
        f"there is one group{of} only ({only.name}): its limits say nothing of how another run, layer or session "
        "will look. Give each as a path of its own"
    )
    train_part, limit_part = (only._replace(frames=part) for part in (only.frames[:cut], only.frames[cut:]))
    return Split((train_part,), (limit_part,), (warning,))


def _few(held: int, of: str) -> tuple[str, ...]:
    """What so few groups *held* out *of* a context cannot say."""
    if held >= GROUPS_ENOUGH:
        return ()
    return (
        f"the limits{of} rest on {held} held-out group{'s' if held > 1 else ''}: so few say little of how a new one "
        "may differ from them; give at least nine",
    )


def _run_warnings(
    recordings: Sequence[Recording], runs: Sequence[str], contexts: Mapping[str, Sequence[int]], held: Set[str]
) -> list[str]:
    """Where a run that is *held* out of one context trains the network with another, or may do so."""
    for groups in contexts.values():
        torn = [index for index in groups if runs[index] in held]
        if torn and not _held(groups, runs, held):
            return [
                f"{recordings[torn[0]].name} trains the network, though its run sets limits in another context, which "
                f"may be too tight: there are no other runs of {_told(recordings[torn[0]].context)}. Give more"
            ]
    unlike = len({len(groups) for groups in contexts.values()}) > 1
    if unlike and len(set(runs)) == len(runs):
        return [
            "the contexts have different numbers of groups, and no names say which are of one run: if some are, a run "
            "that trains the network may set limits too. Name what is of one run alike (hatch/run7.npy and "
            "contour/run7.npy)"
        ]
    return []


def stopping_frames(recordings: Sequence[Recording]) -> tuple[Pixels, Pixels]:
    """Frames to learn from, and frames that say when to stop: a tenth of each context, of its groups where it has ten.

    No frames of the second kind where there would be too few to say anything.
    """
    learned, stopping = [], []
    for groups in _by_context(recordings).values():
        frames = [recordings[index].frames for index in groups]
        kept = int(STOPPING_SHARE * len(frames))
        if kept:
            learned += frames[:-kept]
            stopping += frames[-kept:]
        else:
            cut = len(frames[-1]) - int(STOPPING_SHARE * len(frames[-1]))
            learned += [*frames[:-1], frames[-1][:cut]]
            stopping.append(frames[-1][cut:])
    if sum(map(len, stopping)) < STOPPING_FRAMES_MIN:
        return _joined([recording.frames for recording in recordings]), recordings[0].frames[:0]
    return _joined(learned), _joined(stopping)


def _joined(parts: Sequence[Pixels]) -> Pixels:
    """All *parts* as one array; a single one stays where it lies, on disk maybe."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def place(recordings: Sequence[Recording], index: int) -> str:
    """Which frame of which recording is number *index* of all."""
    for recording in recordings:
        if index < len(recording.frames):
            return f"frame {index} of {recording.name}"
        index -= len(recording.frames)
    raise IndexError(index)


def _by_context(recordings: Sequence[Recording]) -> dict[str, list[int]]:
    """Which of *recordings* are of each context."""
    found: dict[str, list[int]] = {}
    for index, recording in enumerate(recordings):
        found.setdefault(recording.context, []).append(index)
    return found


def _told(context: str) -> str:
    return f"context {context}" if context else "frames without context"
