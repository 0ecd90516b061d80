"""What is compared: framewatch and plain baselines, all fitted, scaled and limited in the same way.

A method is fitted to training groups and calibration groups of normal frames, and then gives scores: higher is more
anomalous. `together` is its one score, if it has several: the joint score of `calibration.scale`, as the judge has it.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from calibration.charts import LatentFit, fit_latent, t2
from calibration.limits import fit_limits
from calibration.scale import JointScale
from models.scores import CHARTS
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.score import load_scorer

Frames = npt.NDArray[Any]  # (n, h, w)
Floats = npt.NDArray[np.floating[Any]]
Groups = Sequence[Frames]
Scores = dict[str, npt.NDArray[np.float64]]  # name -> (n,)
Score = Callable[[Frames], Scores]

TOGETHER: Final = "together"
POOLED_SIDE: Final = 16  # cells a side, about: what the nearest neighbour sees
POOL_FEATURES: Final = ("area", "length", "width", "mean", "peak")
CHUNK: Final = 512


class Method(NamedTuple):
    """A name for the tables, and how it is fitted: (training groups, calibration groups) -> scores of new frames."""

    name: str
    fit: Callable[[Groups, Groups], Score]
    own_limits: bool = False  # whether TOGETHER has a limit of its own, at 1


def framewatch(settings: Calibration, rate: float, name: str = "framewatch") -> Method:
    """The program itself: `calibrate` into a bundle, then the scorer of that bundle and its own limits.

    *rate* is the false alarm rate a frame that the bundle's limits are set for; the rest comes from *settings*.
    """

    def fit(train: Groups, calibration: Groups) -> Score:
        recordings = [Recording(f"{role} {index}", frames) for role, frames, index in _named(train, calibration)]
        # The last share of the groups sets the limits: this one holds out exactly the calibration groups.
        held_out = len(calibration) / len(recordings)
        exact = msgspec.structs.replace(settings, held_out=held_out, false_alarm_rate=rate)
        with tempfile.TemporaryDirectory() as folder:
            bundle = calibrate(recordings, exact, Path(folder) / "bundle")
            scorer, joint = load_scorer(bundle), JointScale(bundle.limits)

        def score(frames: Frames) -> Scores:
            found = scorer(frames)
            values = found.values
            charts = {chart: values[:, index].astype(np.float64) for index, chart in enumerate(CHARTS)}
            return charts | {TOGETHER: joint(values)[0]}

        return score

    return Method(name, fit, own_limits=True)


def pca(components: int, rate: float) -> Method:
    """Principal components, as many as the network has latents: T2 within them, Q (squared residual) beside them."""

    def fit(train: Groups, calibration: Groups) -> Score:
        flat = _flat(np.concatenate(train))
        model = PCA(min(components, len(flat) - 2), svd_solver="randomized", random_state=0).fit(flat)

        def charts(frames: Frames) -> Scores:
            flat = _flat(frames)
            z = model.transform(flat)
            residual = flat - model.inverse_transform(z)
            distance = np.square(z / np.sqrt(model.explained_variance_)).sum(axis=1)
            return {"T2": distance.astype(np.float64), "Q": np.square(residual).sum(axis=1, dtype=np.float64)}

        return _together(charts, calibration, rate)

    return Method("PCA", fit)


def mean_intensity() -> Method:
    """Mean grey of the frame, as far from the training frames' on either side, in their standard deviations."""

    def fit(train: Groups, calibration: Groups) -> Score:
        means = _means(np.concatenate(train))
        middle, sd = float(means.mean()), float(means.std()) or 1.0
        return lambda frames: {TOGETHER: np.abs(_means(frames) - middle) / sd}

    return Method("mean intensity", fit)


def pool_features() -> Method:
    """Area, length, width, mean and peak of what is over Otsu's threshold, in one T2 chart."""

    def fit(train: Groups, calibration: Groups) -> Score:
        frames = np.concatenate(train)
        threshold = otsu(frames)
        features = features_of(frames, threshold)
        middle, sd = features.mean(axis=0), features.std(axis=0)
        sd[sd == 0] = 1.0
        fitted: LatentFit = fit_latent((features - middle) / sd)

        def score(frames: Frames) -> Scores:
            z = (features_of(frames, threshold) - middle) / sd
            return {TOGETHER: t2(z, fitted.whitening, fitted.mean).astype(np.float64)}

        return score

    return Method("pool features", fit)


def nearest_neighbour() -> Method:
    """Distance to the nearest training frame, both averaged down to about 16 x 16 cells."""

    def fit(train: Groups, calibration: Groups) -> Score:
        known = NearestNeighbors(n_neighbors=1).fit(cells(np.concatenate(train)))
        return lambda frames: {TOGETHER: known.kneighbors(cells(frames))[0][:, 0].astype(np.float64)}

    return Method("nearest neighbour", fit)


def conformal_limit(scores: Floats, rate: float) -> float:
    """The k-th smallest of calibration *scores* (m,), k = ceil((m + 1)(1 - rate)). Vovk, Gammerman and Shafer 2005.

    A new exchangeable frame lies above it with at most the chance *rate*; infinite where m is too small for that.
    """
    k = int(np.ceil((len(scores) + 1) * (1 - rate) - 1e-9))
    return float(np.sort(scores)[k - 1]) if k <= len(scores) else float("inf")


def otsu(frames: Frames) -> float:
    """The grey level that parts the pixels of *frames* best in two. Otsu 1979."""
    counts, edges = np.histogram(frames, 256)
    level = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * level)
    apart = (below > 0) & (above > 0)
    gap = np.zeros(len(level))
    gap[apart] = sums[apart] / below[apart] - (sums[-1] - sums[apart]) / above[apart]
    return float(edges[1:][np.argmax(below * above.astype(np.float64) * np.square(gap))])


def features_of(frames: Frames, threshold: float) -> Floats:
    """POOL_FEATURES of each frame (n, 5), in pixels and grey; a frame without a pixel over *threshold* has zeros.

    Length and width are four standard deviations of the pixels' places along and across their main axis.
    """
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    found = np.zeros((len(frames), len(POOL_FEATURES)))
    for index, frame in enumerate(frames):
        over = frame > threshold
        area = int(over.sum())
        if area:
            places = np.stack([rows[over], columns[over]]).astype(np.float64)
            spread = np.linalg.eigvalsh(np.cov(places)) if area > 1 else np.zeros(2)
            width, length = 4 * np.sqrt(np.maximum(spread, 0.0))
            found[index] = area, length, width, frame[over].mean(), frame.max()
    return found


def cells(frames: Frames) -> npt.NDArray[np.float32]:
    """Frames averaged over squares so that about POOLED_SIDE cells a side remain, (n, cells); a rest is cut off."""
    n, height, width = frames.shape
    step = max(min(height, width) // POOLED_SIDE, 1)
    rows, columns = height // step, width // step
    cut = frames[:, : rows * step, : columns * step].reshape(n, rows, step, columns, step)
    averaged: npt.NDArray[np.float32] = cut.mean(axis=(2, 4), dtype=np.float32).reshape(n, rows * columns)
    return averaged


def _together(charts: Score, calibration: Groups, rate: float) -> Score:
    """*charts* and their joint score, on limits of the calibration groups, as the bundle's are made."""
    held = charts(np.concatenate(calibration))
    joint = JointScale(fit_limits(np.stack(list(held.values()), axis=1), rate, resamples=1))

    def score(frames: Frames) -> Scores:
        found = charts(frames)
        return found | {TOGETHER: joint(np.stack(list(found.values()), axis=1))[0]}

    return score


def _named(train: Groups, calibration: Groups) -> list[tuple[str, Frames, int]]:
    return [
        (role, frames, i)
        for role, groups in (("train", train), ("limits", calibration))
        for i, frames in enumerate(groups)
    ]


def _flat(frames: Frames) -> npt.NDArray[np.float32]:
    return frames.reshape(len(frames), -1).astype(np.float32)


def _means(frames: Frames) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = frames.mean(axis=(1, 2), dtype=np.float64)
    return means
