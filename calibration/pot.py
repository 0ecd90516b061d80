"""Peaks over threshold: a limit further out than the scores reach, extrapolated along a fitted tail.

Above a high threshold t the excesses of almost any law are nearly generalized Pareto (Balkema and de Haan 1974,
Pickands 1975), so the limit of a rate a is t + GPD^-1(a m / N_t), with N_t of the m scores above t. The distribution is
the one of `calibration.tails`: shape between -0.3 and 0.5, without an end. The threshold follows m alone, never the
scores, so a bootstrap of the quantile does not jump between thresholds.

A limit with m a < 10 rests on the fitted shape, not on scores seen: whoever shows it says that it is extrapolated.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.charts import CalibrationError
from calibration.tails import EXCESSES_WANTED, FRAMES_MIN, SHARE, Tail, fit_tail, score_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]


class Peaks(NamedTuple):
    """What `fit_peaks` knows of m scores: all of them, and the tail of the highest."""

    scores: Float64s  # (m,) sorted
    highest: float  # share of the scores that *tail* was fitted to, of which it takes its own share as excesses
    tail: Tail

    @property
    def threshold(self) -> float:
        """t, in the scores' unit."""
        return float(self.tail.body[-1])

    @property
    def share(self) -> float:
        """N_t / m: rates below it are taken from the Pareto tail."""
        return self.highest * self.tail.share


def pot_quantile(scores: Floats, rate: float) -> float:
    """What in-control scores exceed with probability *rate*, from *scores* (m,), in their unit and in any order.

    Of one sample of scores it falls as *rate* grows and is always finite. Above N_t/m it is the empirical quantile.
    Raises CalibrationError for fewer than 20 scores or scores that are not finite, ValueError for rates outside (0, 1).
    """
    return quantile(fit_peaks(scores), rate)


def fit_peaks(scores: Floats) -> Peaks:
    """The tail of the `excesses_for` highest of *scores* (m,), to be asked for many rates. Raises as `pot_quantile`."""
    x = np.sort(np.asarray(scores, np.float64))
    if x.ndim != 1 or len(x) < FRAMES_MIN:
        raise CalibrationError(f"{x.size} held-out scores are too few: give at least {FRAMES_MIN}")
    # `fit_tail` takes a fixed share of what it is given: that many scores, of which the share are the excesses.
    highest = min(len(x), round(excesses_for(len(x)) / SHARE))
    return Peaks(x, highest / len(x), fit_tail(x[len(x) - highest :]))


def quantile(peaks: Peaks, rate: float) -> float:
    """What scores like those of *peaks* exceed with probability *rate*; ValueError for a rate outside (0, 1)."""
    if not 0 < rate < 1:
        raise ValueError(f"rate must lie between 0 and 1, not {rate}")
    if rate >= peaks.share:
        return min(float(np.quantile(peaks.scores, 1 - rate)), peaks.threshold)
    return score_of(-float(np.log10(rate / peaks.highest)), peaks.tail)


def excesses_for(m: int) -> int:
    """N_t, how many of m scores are taken as excesses: m^(2/3) / log log m (Loretan and Phillips 1994), 20 or more.

    A fixed share of m would keep the threshold where it is however many scores there are, and with it the error of
    taking a Gaussian's or a chi-square's shoulder for its tail; so many excesses let both errors fall.
    """
    return max(EXCESSES_WANTED, int(m ** (2 / 3) / np.log(np.log(max(m, 16)))))
