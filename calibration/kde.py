"""Limits from a smoothed density: what a share of held-out scores lies above."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import ndtr, ndtri

from calibration.charts import CalibrationError
from calibration.tails import FRAMES_MIN

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

RATE_MAX: Final = 0.25  # from here on a smoothed limit may fall to the median, and the joint scale would turn over
EXCEEDANCES_MIN: Final = 10  # expected beyond the limit among the calibration frames: below, the limit only guesses


def kde_quantile(scores: Floats, rate: float) -> float:
    """The u with mean(Phi((u - x_i) / h)) = 1 - rate over held-out in-control *scores* (m,), in any order.

    Gaussian kernel, bandwidth h by Silverman's rule with the smaller of standard deviation and quartile range
    (Silverman 1986, 3.31). It falls as *rate* grows and is always finite. Raises CalibrationError for fewer than 20
    scores or scores that are not finite, ValueError for a rate outside (0, 0.25).
    """
    if not 0 < rate < RATE_MAX:
        raise ValueError(f"rate must lie between 0 and {RATE_MAX}, not {rate}")
    x = np.asarray(scores, np.float64)
    if x.ndim != 1 or len(x) < FRAMES_MIN:
        raise CalibrationError(f"{x.size} held-out frames are too few: give at least {FRAMES_MIN}")
    if not np.isfinite(x).all():
        raise CalibrationError("held-out scores are not finite: remove the frames that gave them")
    return tail_root(x, bandwidth(x), rate)


def bandwidth(x: Float64s) -> float:
    """Silverman's bandwidth of *x*, at least a millionth of its size, so that constant scores have a limit too."""
    lower, upper = np.quantile(x, [0.25, 0.75])
    spreads = [spread for spread in (float(x.std(ddof=1)), float(upper - lower) / 1.34) if spread > 0]
    silverman = 0.9 * min(spreads, default=0.0) / float(len(x) ** 0.2)
    return max(silverman, 1e-6 * float(np.abs(x).max()), 1e-12)


def tail_root(x: Float64s, width: float, rate: float) -> float:
    """The u whose mean normal tail over *x* with standard deviation *width* is *rate*.

    Each tail alone is *rate* at x_i + width * z, so the root lies between the smallest and the largest of those.
    """
    reach = -width * float(ndtri(rate))
    lowest, highest = float(x.min()) + reach, float(x.max()) + reach

    def excess(u: float) -> float:
        return float(ndtr((x - u) / width).mean()) - rate

    if excess(lowest) <= 0:  # all scores alike, but for rounding
        return lowest
    if excess(highest) >= 0:
        return highest
    root: float = scipy.optimize.brentq(
        excess, lowest, highest, xtol=1e-12 * max(abs(lowest), abs(highest)), rtol=1e-14
    )
    return root
