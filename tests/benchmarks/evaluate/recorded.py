"""Splits of recorded frames, from the folder that FRAMEWATCH_DATA names (docs/data.md)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import squareform

from monitor.camera.recordings import read
from monitor.config import Calibration
from tests.benchmarks.evaluate.splits import NORMAL, Frames, MissingDataError, Split, places, shown

STEM_DEFECTS: Final = ("SrVacancy", "TiVacancy", "antiSr", "antiTi", "SrFMag", "TiFMag")
STEM_TESTED: Final = 500  # the first half of test.npy: the crops that the defects were pasted into
STEM_GROUPS: Final = 4

RUN_GAP: Final = 20  # frames of a build: a longer gap ends a run
RUN_BLOCK: Final = 9  # consecutive frames of a run that count as one

COMMON: Final = "Si1C3"  # the class whose scenes hold nothing else
LONG_SCENE: Final = 20  # frames
SAME_SCENE: Final = 0.70  # largest correlation, at any shift
BINNED: Final = 4
FINE_PX, COARSE_PX = 1.0, 6.0  # after binning: between these lie the structures that scenes are known by


def folder(name: str) -> Path:
    """The folder of one data set. Raises MissingDataError."""
    data = os.environ.get("FRAMEWATCH_DATA")
    if not data:
        raise MissingDataError("FRAMEWATCH_DATA is not set: no recorded frames")
    found = Path(data) / name
    if not found.is_dir():
        raise MissingDataError(f"{found} is not there: no recorded frames")
    return found


def stem_sto(quick: bool) -> Iterator[Split]:
    """Crops of one micrograph; defects pasted into the first half of test.npy, limits from the second.

    Crops of different files overlap. Limits use no crop that hangs together with a tested one, training none that
    hangs together with either.
    """
    held = folder("stem-sto")
    train, test = np.load(held / "train.npy"), np.load(held / "test.npy")
    label = places(np.concatenate([train, test]))
    of_train, of_tested, of_rest = np.split(label, [len(train), len(train) + STEM_TESTED])
    tested, rest = test[:STEM_TESTED], test[STEM_TESTED:]
    free = ~np.isin(of_rest, of_tested)
    known = ~np.isin(of_train, np.concatenate([of_tested, of_rest[free]]))
    defects = {kind: np.load(held / f"defect_{kind}.npy") for kind in STEM_DEFECTS}
    step = 5 if quick else 1
    parts = [(NORMAL, tested[::step], of_tested[::step])]
    parts += [(kind, frames[::step], of_tested[: len(frames)][::step]) for kind, frames in defects.items()]
    count = len(parts[0][1])
    yield Split(
        "stem-sto",
        np.array_split(train[known], STEM_GROUPS),
        [rest[free]],
        shown(parts),
        Calibration(max_steps=60 if quick else 4000),
        0.01,
        np.concatenate([np.full(count, -1), *[np.arange(len(frames)) for kind, frames, _ in parts[1:]]]),
    )


def meltpool_nist(quick: bool) -> Iterator[Split]:
    """One of the two normal runs left out: limits and network know the other alone. Defective frames come by run."""
    held = folder("meltpool-nist")
    (one, other), defective = runs(held / "normal"), runs(held / "defective")
    for known, unseen in ((one, other), (other, one)):
        half = len(known[1]) // 2
        parts = [(NORMAL, unseen[1], [f"{unseen[0]}, part {i // RUN_BLOCK}" for i in range(len(unseen[1]))])]
        parts += [(f"run {name}", frames, [name] * len(frames)) for name, frames in defective]
        yield Split(
            f"run {known[0]} known, run {unseen[0]} unseen",
            [known[1][:half]],
            [known[1][half:]],
            shown([(kind, frames, np.array(blocks, object)) for kind, frames, blocks in parts]),
            Calibration(latent=8, epochs=20 if quick else 400),
            0.05,  # the least that 21 calibration frames can set a limit for
            even=False,  # a run of two frames would count as much as one of 56
        )


def runs(images: Path) -> list[tuple[str, Frames]]:
    """Frames of each run in a folder, named by the first and last number: numbers with a gap are runs apart."""
    numbers = np.array(sorted(int("".join(filter(str.isdigit, path.stem))) for path in images.iterdir()))
    frames = read(str(images)).frames  # in natural order of the names, as the numbers are
    pieces = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) > RUN_GAP) + 1)
    return [(f"{numbers[piece[0]]}-{numbers[piece[-1]]}", frames[piece]) for piece in pieces]


def graphene(quick: bool) -> Iterator[Split]:
    """Scenes that hold one common defect alone are normal: one long one trains, the other sets limits, and back.

    The short ones are the normal frames judged. Everything else is anomalous, by class.
    """
    held = folder("graphene-si")
    frames = np.load(held / "frames_u16.npz")["frames"]
    classes = np.array([label["class"] for label in json.loads((held / "labels.json").read_text())], object)
    scene = scenes(frames)
    usual = ~np.isin(scene, scene[classes != COMMON])  # in scenes without any other class
    counts = np.bincount(scene[usual], minlength=scene.max() + 1)
    one, other = np.flatnonzero(counts >= LONG_SCENE)
    short = usual & (counts[scene] < LONG_SCENE)
    parts = [(NORMAL, frames[short], scene[short])]
    parts += [(kind, frames[classes == kind], scene[classes == kind]) for kind in sorted({*classes} - {COMMON})]
    for known, limits in ((one, other), (other, one)):
        yield Split(
            f"scene of {counts[known]} frames known, scene of {counts[limits]} sets limits",
            [frames[scene == known]],
            [frames[scene == limits]],
            shown(parts),
            Calibration(latent=8, epochs=4 if quick else 200),
            0.05,
        )


def scenes(frames: Frames) -> npt.NDArray[np.int64]:
    """Which scene each of *frames* (n, h, w) shows (n,), from 0: those linked by correlations of 0.70 and more.

    The largest of the circular cross-correlation at any shift, since scenes drift, of frames binned by four and
    filtered to structures between a bond and a tenth of the field; single linkage over all pairs, so that a movie
    hangs together by its neighbouring frames.
    """
    n, height, width = frames.shape
    binned = frames.reshape(n, height // BINNED, BINNED, width // BINNED, BINNED).mean(axis=(2, 4), dtype=np.float64)
    band = gaussian_filter(binned, (0, FINE_PX, FINE_PX)) - gaussian_filter(binned, (0, COARSE_PX, COARSE_PX))
    band -= band.mean(axis=(1, 2), keepdims=True)
    band /= band.std(axis=(1, 2), keepdims=True)
    transform = np.fft.rfft2(band)
    pixels = band[0].size
    likeness = np.stack([np.fft.irfft2(one * transform.conj()).max(axis=(1, 2)) / pixels for one in transform])
    distance = squareform(1 - np.maximum(likeness, likeness.T), checks=False)
    labels: npt.NDArray[np.int64] = fcluster(linkage(distance, "single"), 1 - SAME_SCENE, "distance") - 1
    return labels.astype(np.int64)
