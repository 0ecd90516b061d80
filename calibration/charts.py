"""The chart formulas, as the reference for the fast path, and the fitting of what they need.

Notation: z latent (n, p); e = x - x_hat residual (n, h, w), divided by `residual_scale` before s2, offset and local.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TRIM = 0.05  # share of frames that may be left out of mean, covariance and residual scale: the anomalies we must bear
STRETCHES = 10  # equal parts of the recording, in which what is in control recurs
COMMON = 2.0  # times the usual number of extreme frames in one of them: more is a spell
FRAMES_PER_LATENT = 50  # fewer calibration frames a dimension, and T2 of new frames exceeds that of the fitted ones
WINDOW_SHARE = 0.07  # of the smaller side: what `local` smooths over
PRIOR_FRAMES = 10  # weight of the frame's overall residual against a pixel's own
QUIETEST = 0.1  # of the overall residual: below that, a pixel's spread is the camera's rounding, not the process
WINSOR_SDS = 3.0
MAD_TO_SD = 1.4826  # of a Gaussian


class CalibrationError(ValueError):
    """Frames or scores that no limit can be fitted to; one line, which says what to do."""


def t2(z: Floats, whitening: Floats, mean: Floats) -> Floats:
    """Hotelling's T2 per row of *z* (n, p) -> (n,). Hotelling 1947; W'W = S^-1."""
    distance: Floats = np.square((z - mean) @ whitening.T).sum(axis=1)
    return distance


def s2(e: Floats) -> Floats:
    """Variance of the residual over the pixels of each frame, (n, h, w) -> (n,)."""
    variance: Floats = np.square(e).mean(axis=(1, 2)) - np.square(e.mean(axis=(1, 2)))
    return variance


def offset(e: Floats, mean: float, sd: float) -> Floats:
    """Mean residual of each frame, two-sided, in its in-control standard deviations, (n, h, w) -> (n,)."""
    distance: Floats = np.abs(e.mean(axis=(1, 2)) - mean) / sd
    return distance


def local(e: Floats, window: int, stride: int) -> tuple[Floats, npt.NDArray[np.int16]]:
    """Largest mean of e^2 over windows (n, h, w) -> (n,), and the centre (n, 2) [row, column] of the first such window.

    Windows of *window* x *window* pixels lie *stride* apart from the upper left corner on, until the frame is covered;
    the last ones are cut by its edge and take the mean of the pixels they hold.
    """
    _, height, width = e.shape
    tops, lefts = _window_starts(height, window, stride), _window_starts(width, window, stride)
    squares = np.square(e)
    smooth = np.stack(
        [squares[:, top : top + window, left : left + window].mean(axis=(1, 2)) for top in tops for left in lefts],
        axis=1,
    )
    peak = smooth.argmax(axis=1)
    top, left = tops[peak // len(lefts)], lefts[peak % len(lefts)]
    row = (top + np.minimum(top + window, height)) // 2
    column = (left + np.minimum(left + window, width)) // 2
    return smooth.max(axis=1), np.stack((row, column), axis=1).astype(np.int16)


def window_for(height: int, width: int) -> tuple[int, int]:
    """(window, stride) of `local`: about 7 % of the smaller side, half overlapping.

    Every spot of up to half a window's side thus lies wholly in some window, at a fraction of the cost of stride 1.
    """
    half = max(1, round(WINDOW_SHARE / 2 * min(height, width)))
    return 2 * half, half


class LatentFit(NamedTuple):
    """Mean (p,) and whitening (p, p) of in-control latents, and what a person should know of them."""

    mean: Float64s
    whitening: Float64s
    notes: tuple[str, ...]


def fit_latent(z: Floats) -> LatentFit:
    """Mean and whitening of latents *z* (m, p), in the order of their recording: Ledoit and Wolf 2004, reweighted once.

    The first fit winsorises each coordinate at three robust standard deviations, so that a cluster of anomalies cannot
    hide behind the covariance it inflates. Of the 5 % of frames with the largest T2 under it, the second leaves out
    those that the recording does not show all along: see `_strange`. Only mean and covariance are fitted so: limits see
    every frame. Raises CalibrationError for m < p + 2, latents that are not finite, or latents that do not vary at all;
    a single constant coordinate is borne by the shrinkage.
    """
    z = np.asarray(z, np.float64)
    m, p = z.shape
    if m < p + 2:
        raise CalibrationError(f"{m} frames cannot fit a latent of {p}: give at least {p + 2} frames")
    if not np.isfinite(z).all():
        raise CalibrationError("latents are not finite: train again with a smaller learning rate")
    middle = np.median(z, axis=0)
    reach = WINSOR_SDS * MAD_TO_SD * np.median(np.abs(z - middle), axis=0)
    first = np.clip(z, middle - reach, middle + reach) if reach.any() else z
    distance = t2(z, _whitening(_shrunk(first)), first.mean(axis=0))
    kept = z[~_strange(distance)]
    notes = (
        (f"{m} frames for a latent of {p} are few: {FRAMES_PER_LATENT * p} give T2 its full power",)
        if m < FRAMES_PER_LATENT * p
        else ()
    )
    return LatentFit(kept.mean(axis=0), _whitening(_shrunk(kept)), notes)


class ResidualMoments:
    """Per-pixel mean square of residuals, gathered in chunks of frames."""

    def __init__(self, height: int, width: int) -> None:
        self.frames = 0
        self._squares: Float64s = np.zeros((height, width))

    def add(self, e: Floats) -> None:
        """Takes in residuals *e* (n, h, w)."""
        self.frames += len(e)
        self._squares += np.square(e, dtype=np.float64).sum(axis=0)

    def scale(self) -> Float64s:
        """Residual scale (h, w), above 0 everywhere.

        The root mean square about 0, not about the pixel's own mean: what the network never draws quite right is no
        signal either. Each pixel's estimate is drawn to the overall one with the weight of PRIOR_FRAMES frames (the
        posterior mean under a scaled inverse chi-squared prior), and never falls below a tenth of it. Raises
        CalibrationError before any frame came.
        """
        if self.frames == 0:
            raise CalibrationError("no residuals to scale by: give calibration frames")
        overall = float(self._squares.mean()) / self.frames
        if overall == 0:
            return np.ones_like(self._squares)  # a perfect network: any scale serves
        shrunk = (self._squares + PRIOR_FRAMES * overall) / (self.frames + PRIOR_FRAMES)
        return np.sqrt(np.maximum(shrunk, QUIETEST**2 * overall))


def fit_offset(means: Floats) -> tuple[float, float]:
    """(mean, sd) of the mean scaled residuals *means* (m,) of m frames: median and MAD, sd never 0.

    CalibrationError without frames.
    """
    if len(means) == 0:
        raise CalibrationError("no residuals to fit an offset to: give calibration frames")
    means = np.asarray(means, np.float64)
    middle = float(np.median(means))
    for sd in (MAD_TO_SD * float(np.median(np.abs(means - middle))), float(means.std())):
        if sd > 1e-9 * max(1.0, abs(middle)):
            return middle, sd
    return middle, 1.0  # no spread at all: in units of the residual scale


class ChartFit(NamedTuple):
    """All that the charts of a frame need, and what a person should know of it."""

    latent_mean: Float64s  # (p,)
    whitening: Float64s  # (p, p), W'W = S^-1
    residual_scale: Float64s  # (h, w)
    offset_mean: float
    offset_sd: float
    window: int  # px
    stride: int  # px
    notes: tuple[str, ...]


Read = Callable[[], Iterable[tuple[Floats, Floats]]]
"""A fresh pass over the same calibration frames: chunks of (z (n, p), e (n, h, w)), e not yet scaled."""


def fit(read: Read) -> ChartFit:
    """Fits the charts in three passes, so that residuals never lie in memory together.

    Latents and each frame's mean square first; then the residual scale, without the 5 % of frames that are the worst
    by mean square; then the offset, in units of that scale. Raises CalibrationError like its parts.
    """
    latents, energies = [], []
    for z, e in read():
        latents.append(z)
        energies.append(np.square(e, dtype=np.float64).mean(axis=(1, 2)))
    if not latents:
        raise CalibrationError("no calibration frames: give some")
    latent = fit_latent(np.concatenate(latents))
    keep = _all_but_the_worst(np.concatenate(energies))
    scale = _residual_scale(read, keep)
    means = np.concatenate([(e / scale).mean(axis=(1, 2)) for _, e in read()])
    return ChartFit(latent.mean, latent.whitening, scale, *fit_offset(means), *window_for(*scale.shape), latent.notes)


def _strange(distance: Floats) -> Flags:
    """Which of the most extreme frames by *distance* (m,) come in spells: where twice as many are as elsewhere.

    What recurs all along (a melt pool's start at every vector) is in control however rare: left out, T2 would find it
    strange for ever, and its limit, which sees every frame, would lie beyond everything else. What fills one stretch of
    the recording and hardly comes in others is an anomaly that nobody marked.
    """
    m = len(distance)
    extreme = np.argsort(distance, kind="stable")[m - int(TRIM * m) :]
    stretch = extreme * STRETCHES // max(m, 1)
    counts = np.bincount(stretch, minlength=STRETCHES)
    spells = counts > np.ceil(COMMON * np.median(counts))
    strange = np.zeros(m, bool)
    strange[extreme[spells[stretch]]] = True
    return strange


def _residual_scale(read: Read, keep: Flags) -> Float64s:
    moments: ResidualMoments | None = None
    first = 0
    for _, e in read():
        moments = moments or ResidualMoments(*e.shape[1:])
        moments.add(e[keep[first : first + len(e)]])
        first += len(e)
    if moments is None:
        raise CalibrationError("calibration frames gave out between two passes: read them again")
    return moments.scale()


def _all_but_the_worst(energies: Float64s) -> Flags:
    keep = np.ones(len(energies), bool)
    keep[np.argsort(energies, kind="stable")[len(energies) - int(TRIM * len(energies)) :]] = False
    return keep


def _shrunk(z: Floats) -> Float64s:
    """Ledoit-Wolf covariance (p, p) of *z*, and a whisper of the mean variance more where it would be singular."""
    from sklearn.covariance import ledoit_wolf  # half a second, which a daemon that fits nothing need not wait

    covariance: Float64s = ledoit_wolf(z)[0]
    variance = float(np.trace(covariance)) / len(covariance)
    if variance <= 1e-24 * max(1.0, float(np.square(z).mean())):
        raise CalibrationError("all calibration frames look alike to the network: give frames that differ")
    return covariance + 1e-6 * variance * np.eye(len(covariance))


def _whitening(covariance: Float64s) -> Float64s:
    """W = L^-1 with S = L L', so that W'W = S^-1."""
    return np.linalg.inv(np.linalg.cholesky(covariance))


def _window_starts(side: int, window: int, stride: int) -> npt.NDArray[np.int64]:
    return np.arange(-(-max(side - window, 0) // stride) + 1) * stride
