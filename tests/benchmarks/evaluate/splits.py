"""What is shown to a method: normal groups to learn from, others to set limits on, and labelled frames to judge."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from monitor.config import Calibration

Frames = npt.NDArray[Any]  # (n, h, w)
Labels = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

NORMAL: Final = ""
PATCH_PX: Final = 6  # a side: patches of noisy pixels that are equal come from the same place

Say = Callable[[str], None]


class MissingDataError(Exception):
    """The recorded frames are not there: one line that says what is missing."""


class Shown(NamedTuple):
    """Labelled frames that no method has seen."""

    frames: Frames
    kinds: Labels  # (n,) NORMAL, or the kind of anomaly
    blocks: Labels  # (n,) what frames share that are not independent of each other: run, scene, overlapping crops

    @property
    def anomalous(self) -> Flags:
        """Which frames are (n,)."""
        wrong: Flags = self.kinds != NORMAL
        return wrong

    @property
    def named(self) -> list[str]:
        """The kinds of anomaly, in the order in which they come."""
        found = dict.fromkeys(self.kinds.tolist())
        return [kind for kind in found if kind != NORMAL]


class Split(NamedTuple):
    """One comparison: fitted to *train*, limited on *calibration*, judged on *shown*."""

    name: str
    train: Sequence[Frames]  # groups
    calibration: Sequence[Frames]  # groups
    shown: Shown
    settings: Calibration  # of framewatch; the baselines take the size of its latent
    rate: float  # of false alarms a frame that limits are set for
    partners: npt.NDArray[np.int64] | None = None  # (n,) the normal frame that each was made of; -1 for none
    even: bool = True  # whether all kinds count the same in what is said of all of them, or all frames do


def shown(parts: Sequence[tuple[str, Frames, Labels]]) -> Shown:
    """(kind, frames, blocks) of each part as one."""
    return Shown(
        np.concatenate([frames for _, frames, _ in parts]),
        np.repeat(np.array([kind for kind, _, _ in parts], object), [len(frames) for _, frames, _ in parts]),
        np.concatenate([blocks for _, _, blocks in parts]),
    )


def require_apart(split: Split) -> None:
    """Raises ValueError where a frame was used twice: in training and for limits, or in either and judged."""
    seen: dict[bytes, str] = {}
    for role, groups in (("training", split.train), ("limits", split.calibration), ("judged", [split.shown.frames])):
        for frame in np.concatenate(groups):
            digest = hashlib.sha256(frame.tobytes()).digest()
            before = seen.setdefault(digest, role)
            if before != role and np.ptp(frame) > 0:  # covered cameras look alike
                raise ValueError(f"{split.name}: a frame of {role} is one of {before}, too")


def places(crops: Frames) -> npt.NDArray[np.int64]:
    """One label (n,) for all *crops* (n, h, w) of one picture that hang together by overlapping each other.

    Two crops overlap where a patch of 6 x 6 pixels is equal in both to the last bit, by a hash of 64 bits: with noise
    on every pixel, that is no chance.
    """
    n = len(crops)
    rows, columns = crops.shape[1] - PATCH_PX + 1, crops.shape[2] - PATCH_PX + 1
    factors = np.random.default_rng(0).integers(1, 1 << 62, PATCH_PX**2, dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros((n, rows, columns), np.uint64)
    for index, factor in enumerate(factors):
        top, left = divmod(index, PATCH_PX)
        hashes += crops[:, top : top + rows, left : left + columns] * factor
    order = np.argsort(hashes, axis=None, kind="stable")
    ordered, owner = hashes.ravel()[order], np.repeat(np.arange(n), rows * columns)[order]
    equal = ordered[1:] == ordered[:-1]
    links = coo_matrix((np.ones(int(equal.sum())), (owner[1:][equal], owner[:-1][equal])), shape=(n, n))
    labels: npt.NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return labels
