"""How held-out frames lie about their limit: density, differences between groups, latents; to be shown to a person."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.kde import bandwidth, tail_root
from calibration.tails import FRAMES_MIN

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

QUANTILES: Final = (0.05, 0.5, 0.95)

REACH: Final = 8.0  # bandwidths beyond which a kernel adds nothing that could be seen


class GroupSpread(NamedTuple):
    """The scores of g groups of held-out frames beside each other. NaN stands for what one group cannot tell."""

    quantiles: Float64s  # (g, 3): see QUANTILES
    if_new: Float64s  # (g,): share of a group's frames above the limit that the others alone would set
    between_sd: float  # of the groups' medians
    within_sd: float  # of frames about the mean of their group, pooled


class Plane(NamedTuple):
    """Latents seen along the two axes in which they vary most."""

    points: Float64s  # (n, 2)
    origin: Float64s  # (2,): where the latent of zeros lies
    shares: tuple[float, float]  # of the variance, along each axis; 0 where there is none


def kernel_density(scores: Floats, at: Floats) -> Float64s:
    """The density (k,) at each of *at* that `kde.kde_quantile` takes *scores* (m,) to come from."""
    x = np.sort(np.asarray(scores, np.float64))
    width = bandwidth(x)
    first, last = np.searchsorted(x, at - REACH * width), np.searchsorted(x, at + REACH * width)
    sums = [np.exp(-0.5 * np.square((u - x[i:j]) / width)).sum() for u, i, j in zip(at, first, last, strict=True)]
    density: Float64s = np.array(sums) / (len(x) * width * np.sqrt(2 * np.pi))
    return density


def group_spread(scores: Floats, groups: Indices, rate: float) -> GroupSpread:
    """How *scores* (m,) differ between *groups* (m,), numbered from 0, when their limit lets through *rate*.

    A limit is exceeded by about *rate* of the very frames that set it, whatever they are like; each group against the
    limit of all others shows what a group that was never seen may bring (leave one group out).
    """
    x = np.asarray(scores, np.float64)
    count = int(groups.max()) + 1
    parts = [x[groups == group] for group in range(count)]
    squares = sum(float(np.square(part - part.mean()).sum()) for part in parts)
    medians = [float(np.median(part)) for part in parts]
    return GroupSpread(
        quantiles=np.array([np.quantile(part, QUANTILES) for part in parts]),
        if_new=np.array([_share_if_new(parts[group], x[groups != group], rate) for group in range(count)]),
        between_sd=float(np.std(medians, ddof=1)) if count > 1 else np.nan,
        within_sd=float(np.sqrt(squares / max(len(x) - count, 1))),
    )


def principal_plane(latents: Floats) -> Plane:
    """The plane of *latents* (n, p) in which they vary most, seen so that each axis points to its heaviest entry."""
    q = np.asarray(latents, np.float64)
    middle = q.mean(axis=0)
    centred = q - middle
    variances, axes = np.linalg.eigh(centred.T @ centred)
    leading = axes[:, ::-1][:, :2]  # (p, 2), or (1, 1)
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    leading = np.pad(leading, ((0, 0), (0, 2 - leading.shape[1])))
    total = float(variances.sum())
    shares = np.pad(variances[::-1][:2], (0, 2))[:2] / total if total > 0 else np.zeros(2)
    return Plane(centred @ leading, -middle @ leading, (float(shares[0]), float(shares[1])))


def _share_if_new(group: Float64s, others: Float64s, rate: float) -> float:
    if len(others) < FRAMES_MIN:
        return np.nan
    return float((group > tail_root(others, bandwidth(others), rate)).mean())
