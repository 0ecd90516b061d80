"""Limits by order statistic: what they let through is known exactly, whatever law the scores follow.

Of m exchangeable held-out scores without ties the k-th smallest is exceeded by a new score with probability
(m+1-k)/(m+1), and the false-alarm rate *given these very scores* is Beta(m+1-k, k) (Wilks 1941; Vovk 2012). Ties only
lower it, since a frame must score strictly above the limit to be flagged. Neighbouring frames of a stream are not
exchangeable: there the scores are those of blocks, or whatever else is.

Too few scores for a rate are refused, not given an infinite limit: a chart that can never speak would be taken for one
that watches.
"""

from math import floor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import betainccinv, betaincinv

from calibration.charts import CalibrationError

Floats = npt.NDArray[np.floating[Any]]

CONFIDENCE = 0.90
ROUNDING = 1e-9  # (m+1) * rate may fall short of a whole number by this much and still reach it


class ConformalLimit(NamedTuple):
    """The *order*-th smallest of *frames* scores; the rate given these scores lies in [rate_low, rate_high]."""

    value: float
    order: int  # k, from 1
    frames: int  # m
    rate_low: float
    rate_high: float


def conformal_limit(scores: Floats, rate: float, confidence: float = CONFIDENCE) -> ConformalLimit:
    """The limit on held-out in-control *scores* (m,), in their unit, that a new score exceeds with at most *rate*.

    On average over calibrations; the interval, of *confidence*, is of this calibration's own rate. Raises
    CalibrationError for too few scores (see `frames_needed`) or scores that are not finite, ValueError for a rate or
    confidence outside (0, 1).
    """
    x = _checked(scores)
    return _limit_at(x, conformal_order(len(x), rate), confidence)


def conservative_limit(scores: Floats, rate: float, confidence: float = CONFIDENCE) -> ConformalLimit:
    """The smallest score whose exceedance rate, given *scores* (m,), is at most *rate* with *confidence*.

    A one-sided tolerance limit (Wilks 1941). Raises as `conformal_limit` does.
    """
    x = _checked(scores)
    return _limit_at(x, conservative_order(len(x), rate, confidence), confidence)


def conformal_order(m: int, rate: float) -> int:
    """k = ceil((m+1)(1-rate)), 1 to m (Vovk, Gammerman and Shafer 2005). CalibrationError where it were m + 1."""
    _check_share("rate", rate)
    beyond = floor((m + 1) * rate + ROUNDING)
    if beyond < 1:
        raise CalibrationError(f"{m} held-out scores are too few for a rate of {rate:g}: give {frames_needed(rate)}")
    return m + 1 - beyond


def conservative_order(m: int, rate: float, confidence: float = CONFIDENCE) -> int:
    """The smallest k for which Beta(m+1-k, k) lies below *rate* with *confidence*. CalibrationError where none does."""
    _check_share("rate", rate)
    _check_share("confidence", confidence)
    order = (
        int(scipy.stats.binom.ppf(confidence, m, 1 - rate)) + 1
    )  # Beta(m+1-k, k) <= rate just when Binomial(m, 1-rate) < k
    if order > m:
        wanted = frames_needed(rate, confidence)
        raise CalibrationError(f"{m} held-out scores are too few to be sure of a rate of {rate:g}: give {wanted}")
    return order


def frames_needed(rate: float, confidence: float | None = None) -> int:
    """The fewest scores that `conformal_order` takes for *rate*, or, with a *confidence*, `conservative_order`."""
    _check_share("rate", rate)
    if confidence is None:
        return max(1, int(np.ceil(1 / rate - 1 - ROUNDING / rate)))
    _check_share("confidence", confidence)
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-rate)))


def false_alarm_interval(m: int, order: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The central interval of *confidence* of the false-alarm rate of the *order*-th smallest of m scores.

    Of the law Beta(m+1-order, order), which is exact for scores of any continuous law. Raises ValueError for an order
    outside 1 .. m or a confidence outside (0, 1).
    """
    _check_share("confidence", confidence)
    if not 1 <= order <= m:
        raise ValueError(f"of {m} scores there is no order {order}")
    tail = (1 - confidence) / 2
    above = m + 1 - order
    return float(betaincinv(above, order, tail)), float(betainccinv(above, order, tail))


def _limit_at(x: Floats, order: int, confidence: float) -> ConformalLimit:
    value = float(np.partition(x, order - 1)[order - 1])
    return ConformalLimit(value, order, len(x), *false_alarm_interval(len(x), order, confidence))


def _checked(scores: Floats) -> Floats:
    x = np.asarray(scores, np.float64)
    if x.ndim != 1:
        raise ValueError(f"scores must be of shape (m,), not {x.shape}")
    if not np.isfinite(x).all():
        raise CalibrationError("held-out scores are not finite: remove the frames that gave them")
    return x


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value}")
