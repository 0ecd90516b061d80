"""How long a chart runs before it speaks: average run lengths (ARL, in frames) and the quantiles about them.

In control a long run is wanted, out of control a short one. The frame that exceeds the limit counts, so no run is
shorter than one frame.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import roots_legendre

Float64s = npt.NDArray[np.float64]

CONFIDENCE = 0.90
NODES = 20  # of the quadrature, beside those that the width of the transition takes
NODES_MAX = 3000  # 70 MB, seconds
FAR = 10.0  # standard deviations from which on a Gaussian is never found


class Curve(NamedTuple):
    """Run lengths (k,), in frames, at each of *shifts* (k,): the mean, and where 90 % of runs end."""

    shifts: Float64s
    mean: Float64s
    low: Float64s
    high: Float64s


def shewhart_arl(limit: float, shift: float = 0.0, phi: float = 0.0, *, two_sided: bool = True) -> float:
    """Frames until |x| > *limit*, or x > *limit* where not *two_sided*, for Gaussian x of variance 1 and mean *shift*.

    Limit and shift in standard deviations of x. For independent frames (*phi* 0) one over the exceedance rate
    (Shewhart 1931). Otherwise x is stationary and AR(1): x_t - shift = phi (x_(t-1) - shift) + noise; the integral
    equation of the run length is solved by Gauss-Legendre quadrature (Nystroem), its start from the stationary law
    (Kramer and Schmid 1997). Raises ValueError for a limit that is not above 0 if two-sided, phi outside (-1, 1), or
    a phi so near 1 that the quadrature would take more than 3000 nodes (about 0.9999).
    """
    if not np.isfinite([limit, shift]).all() or (two_sided and limit <= 0):
        raise ValueError(f"limit and shift must be finite, and a two-sided limit above 0, not {limit} and {shift}")
    if not -1 < phi < 1:
        raise ValueError(f"phi must lie between -1 and 1, not {phi}")
    if phi == 0:
        return 1 / float(
            scipy.stats.norm.sf(limit - shift) + (scipy.stats.norm.cdf(-limit - shift) if two_sided else 0.0)
        )
    lowest, highest = (max(-limit, shift - FAR) if two_sided else shift - FAR), min(limit, shift + FAR)
    if lowest >= highest:
        return 1.0  # the process never lies within its limits
    spread = float(np.sqrt(1 - phi**2))  # of a frame, given the one before
    nodes = NODES + int(2 * (highest - lowest) / spread)
    if nodes > NODES_MAX:
        raise ValueError(f"phi {phi} is too near 1 to integrate over: thin the frames out, phi^n belongs to each n-th")
    x, weights = gauss_legendre(nodes, lowest, highest)
    transition = scipy.stats.norm.pdf((x - shift - phi * (x[:, None] - shift)) / spread) / spread * weights
    onward = np.linalg.solve(np.eye(nodes) - transition, np.ones(nodes))
    return 1 + float((scipy.stats.norm.pdf(x - shift) * weights) @ onward)


def run_length_quantile(share: npt.ArrayLike, arl: npt.ArrayLike) -> Float64s:
    """The frame by which *share* of runs have ended, where each frame ends one with probability 1/*arl*.

    The geometric law: exact for independent frames, near it for any chart whose memory is short against its ARL. The
    two broadcast; the result is whole numbers from 1. Raises ValueError for shares outside (0, 1), or an ARL below 1.
    """
    share, arl = np.asarray(share, np.float64), np.asarray(arl, np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError("shares of runs must lie between 0 and 1")
    if not (arl >= 1).all():
        raise ValueError("an average run length is at least 1")
    with np.errstate(divide="ignore"):  # an ARL of 1: each run ends at once
        frames = np.log1p(-share) / np.log1p(-1 / arl)
    rounded = np.round(frames)
    whole = np.where(np.isclose(frames, rounded, rtol=1e-12, atol=0), rounded, np.ceil(frames))
    first: Float64s = np.maximum(1.0, whole)
    return first


def curve(arl: Callable[[float], float], shifts: npt.ArrayLike) -> Curve:
    """The run lengths that *arl*, a function of the shift, gives at *shifts* (k,); the spread by the geometric law."""
    at = np.atleast_1d(np.asarray(shifts, np.float64))
    mean = np.array([arl(float(shift)) for shift in at])
    tail = (1 - CONFIDENCE) / 2
    return Curve(at, mean, run_length_quantile(tail, mean), run_length_quantile(1 - tail, mean))


def gauss_legendre(nodes: int, low: float, high: float) -> tuple[Float64s, Float64s]:
    """Points and weights (nodes,) of the Gauss-Legendre rule on [low, high]."""
    x, weights = roots_legendre(nodes)
    half = (high - low) / 2
    return low + half * (x + 1), half * weights
