"""How large a latent: what networks and principal components of several sizes leave of frames they never saw.

Principal components are the best linear autoencoder there is (Baldi and Hornik 1989), so they say what a network has
to beat to be worth its while, and cost seconds where a network of every size costs a training.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.extmath import randomized_svd

from models.preparation import Frames, Preparation
from models.preparer import Preparer
from models.trained import Trained
from models.training import TrainingSettings, latents_and_residuals, train

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Progress = Callable[[int, int, float, str], None]
"""Steps done, steps in all, loss, and which of the trainings in words."""

MeasuredOn = Literal["held out", "chose the weights", "last of training"]
"""Which frames were drawn: some that no network here knew, some that said when to stop, or the last training frames."""

FRAMES_MAX: Final = 2000
"""Most frames that components are fitted to: neighbours in a stream are near-copies and add little."""

BYTES_MAX: Final = 1 << 28
"""Memory that frames looked at together may take as float32: of large ones fewer are fitted to."""

SIZES: Final = (2, 4, 8, 16, 32, 64, 128, 200)
"""Sizes of the latent that are looked at; as many frames as twice the size, at least, must be there to learn from."""

STEPS_SHARE: Final = 0.25
"""Of a training's steps that each size gets in the sweep: it orders the sizes, and the chosen one is trained anew."""

STEPS_MIN: Final = 400
"""... and the least: networks that have hardly begun to learn are as bad at every size."""

CHUNK: Final = 256  # frames projected or drawn at a time
CHUNK_BYTES: Final = 1 << 24  # as float32, and fewer of large ones: a network's layers take several times as much
POWER_ITERATIONS: Final = 4  # of the randomised decomposition: noise leaves singular values that fall slowly

FALL_LEFT: Final = 0.05
"""Share of the fall of the error, in its logarithm, that the chosen size may leave to larger ones."""

FLAT: Final = 0.01
"""Relative difference of errors that is taken as none: nobody would pay for it with a larger network."""


class LatentSweep(NamedTuple):
    """Mean squared residual of each size of latent, in normalised units, on the frames *measured_on*; sizes rise."""

    sizes: tuple[int, ...]
    network: tuple[float, ...]  # NaN where no network of that size was trained
    pca: tuple[float, ...]
    chosen: int
    given: bool  # the chosen size was asked for, not looked for
    measured_on: MeasuredOn


def sweep_latent(frames: Frames, held: Frames, settings: TrainingSettings, progress: Progress) -> LatentSweep:
    """What networks and principal components of several sizes leave of *held* frames (n, h, w), of any pixel type.

    A network of every size learns from *frames* (m, h, w) for a quarter of the steps, and the `elbow` of their errors
    is the size chosen. Where no frames are held out, the last of the training frames stand in: what is left of them is
    too little, and most so for the large sizes. *progress* begins anew with each size. Raises ValueError as `train`
    does.
    """
    shown = held if len(held) else _last(frames)
    sizes = _sizes(frames)
    steps = max(int(STEPS_SHARE * settings.max_steps), STEPS_MIN)
    short = settings._replace(max_steps=min(steps, settings.max_steps))
    networks = []
    for number, size in enumerate(sizes, start=1):
        of_size = short._replace(architecture=settings.architecture._replace(latent=size))
        named = _named(progress, f"trying latent {size} ({number} of {len(sizes)} sizes)")
        networks.append(train(frames, of_size, named))
    errors = tuple(mean_square(trained, shown) for trained in networks)
    pca = _components(networks[0].preparation, frames, shown, sizes, settings.seed)
    measured_on: MeasuredOn = "held out" if len(held) else "last of training"
    return LatentSweep(sizes, errors, pca, elbow(sizes, errors), given=False, measured_on=measured_on)


def beside_components(trained: Trained, frames: Frames, held: Frames, seed: int) -> LatentSweep:
    """What *trained* leaves of *held* frames, and what principal components of several sizes leave of them.

    As `sweep_latent`, with a single network, whose size is the one given. Where it was stopped by frames, *held* are
    those: it draws them a little better than others.
    """
    shown = held if len(held) else _last(frames)
    latent = trained.network.latent
    sizes = tuple(sorted({*_sizes(frames), latent}))
    network = tuple(mean_square(trained, shown) if size == latent else math.nan for size in sizes)
    pca = _components(trained.preparation, frames, shown, sizes, seed)
    return LatentSweep(sizes, network, pca, latent, given=True, measured_on=_measured_on(trained, held))


def _named(progress: Progress, what: str) -> Callable[[int, int, float], None]:
    return lambda done, steps, loss: progress(done, steps, loss, what)


def _measured_on(trained: Trained, held: Frames) -> MeasuredOn:
    if len(held) == 0:
        return "last of training"
    stopped = any(math.isfinite(checkpoint.held) for checkpoint in trained.history)
    return "chose the weights" if stopped else "held out"


def _sizes(frames: Frames) -> tuple[int, ...]:
    return tuple(size for size in SIZES if 2 * size <= len(frames)) or SIZES[:1]


def _last(frames: Frames) -> Frames:
    return frames[-max(len(frames) // 10, 1) :]


def _components(
    preparation: Preparation, frames: Frames, held: Frames, sizes: Sequence[int], seed: int
) -> tuple[float, ...]:
    return pca_errors(_prepared(preparation, frames), _prepared(preparation, held), sizes, seed)


def _prepared(preparation: Preparation, frames: Frames) -> Floats:
    """`looked_at` *frames* as the network sees them (k, H, W)."""
    prepare, chosen = Preparer(preparation), looked_at(frames)
    found = np.empty((len(chosen), *prepare.size), np.float32)
    step = chunk_of(frames)
    for first in range(0, len(chosen), step):
        part = torch.from_numpy(np.array(frames[chosen[first : first + step]]))
        found[first : first + step] = prepare(part).x[:, 0].numpy()
    return found


def mean_square(trained: Trained, frames: Frames) -> float:
    """Mean squared residual of *trained* on the `looked_at` of *frames* (n, h, w), in normalised units."""
    shown = frames[looked_at(frames)]
    squares = [np.square(e).mean(axis=(1, 2)) for _, e in latents_and_residuals(trained, shown, chunk_of(frames))]
    return float(np.concatenate(squares).mean())


def looked_at(frames: Frames) -> Indices:
    """Indices of those of *frames* (m, ...) that are looked at: `evenly` spread, as many as number and memory allow."""
    return evenly(len(frames), min(FRAMES_MAX, max(BYTES_MAX // _float32_bytes(frames), 2)))


def chunk_of(frames: Frames) -> int:
    """How many of *frames* (m, ...) are projected or drawn at a time."""
    return min(CHUNK, max(CHUNK_BYTES // _float32_bytes(frames), 1))


def evenly(count: int, most: int) -> Indices:
    """Indices of at most *most* of *count* frames, spread over all of them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _float32_bytes(frames: Frames) -> int:
    """Bytes of one of *frames* as float32."""
    return max(4 * math.prod(frames.shape[1:]), 1)


def pca_errors(train: Floats, held: Floats, sizes: Sequence[int], seed: int = 0) -> tuple[float, ...]:
    """Mean squared residual of *held* (n, ...) under the leading principal components of *train* (m, ...), by size.

    Frames of any shape, both in the same units; of *train* the `looked_at` frames are used, so only those need be
    prepared. More components than the frames span leave what all of them leave. The decomposition is randomised
    (Halko, Martinsson and Tropp 2011): the same *seed* gives the same errors. Raises ValueError without frames, where
    pixels are not finite, and for a size below 1.
    """
    if len(train) == 0 or len(held) == 0:
        raise ValueError("principal components need frames to fit and frames held out: give some of both")
    if min(sizes, default=1) < 1:
        raise ValueError(f"a latent has at least one dimension, not {min(sizes)}")
    centred = train[looked_at(train)].astype(np.float32, copy=False).reshape(-1, math.prod(train.shape[1:]))  # a copy
    if not np.isfinite(centred).all():
        raise ValueError("training frames hold pixels that are not finite: remove those frames")
    mean = centred.mean(axis=0)
    centred -= mean
    axes = _principal_axes(centred, max(sizes, default=1), seed)  # (k, P)
    left = _left_by_size(held, mean, axes) / (len(held) * len(mean))  # (k + 1,)
    return tuple(float(left[min(size, len(axes))]) for size in sizes)


def elbow(sizes: Sequence[int], errors: Sequence[float]) -> int:
    """The smallest of *sizes* whose error is as good as the best: within 5 % of the logarithmic fall, or within 1 %.

    In the manner of the one-standard-error rule (Breiman, Friedman, Olshen and Stone 1984): the simplest model that
    cannot be told from the best. Frames of a stream are correlated, so the standard error is not known; instead the
    tolerance is a share of what size buys at all, and never less than what is taken as no difference, nor than the
    largest rise on the way to the best: a larger latent is worse by chance alone. So a flat curve gives its smallest
    size, one that still falls its largest, and a single point itself. The largest distance from the chord (Satopaa et
    al. 2011) finds a knee in every curve, and moves it with the range of sizes. Errors that are not finite are no
    candidates. Raises ValueError where there is none, or where lengths differ.
    """
    known = sorted((size, error) for size, error in zip(sizes, errors, strict=True) if math.isfinite(error))
    if not known:
        raise ValueError("no size of latent has a finite error: train a network of at least one size")
    logs = np.log(np.maximum([error for _, error in known], np.finfo(np.float64).tiny))
    best = float(logs.min())
    way = logs[: int(logs.argmin()) + 1]
    noise = float((way - np.minimum.accumulate(way)).max())
    tolerance = max(FALL_LEFT * (float(logs[0]) - best), math.log1p(FLAT), noise)
    return known[int(np.argmax(logs <= best + tolerance))][0]


def _principal_axes(centred: Floats, count: int, seed: int) -> Floats:
    """The first *count* principal axes (k, P) of *centred* (m, P), or as many as have any variance."""
    count = min(count, *centred.shape)
    _, strengths, axes = randomized_svd(centred, count, n_iter=POWER_ITERATIONS, random_state=seed)
    spanned = int((strengths > np.finfo(np.float32).eps * max(centred.shape) * strengths[:1]).sum())
    kept: Floats = axes[:spanned]
    return kept


def _left_by_size(held: Floats, mean: Floats, axes: Floats) -> Float64s:
    """Summed squares of *held* that 0, 1, ... k of *axes* (k, P) leave: (k + 1,)."""
    total, drawn = 0.0, np.zeros(len(axes))
    step = chunk_of(held)
    for first in range(0, len(held), step):
        centred = np.asarray(held[first : first + step], np.float32).reshape(-1, len(mean)) - mean
        total += float(np.square(centred, dtype=np.float64).sum())
        drawn += np.square(centred @ axes.T, dtype=np.float64).sum(axis=0)
    left: Float64s = np.maximum(total - np.concatenate(([0.0], np.cumsum(drawn))), 0.0)
    return left
