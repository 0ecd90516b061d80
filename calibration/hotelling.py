"""Control limits of Hotelling's T2 in closed form: what Gaussian, independent observations would give.

They hold for mean and *sample* covariance (divided by m - 1) of Gaussian, independent frames, and nowhere else. With a
shrunk covariance, as `charts.fit_latent` has it, T2 is smaller and they let nearly nothing through; on autocorrelated
or heavy-tailed streams they let through too much. There they are what a fitted limit is compared with, not a limit.
All limits are upper ones, without unit (squared Mahalanobis distances); p is the latent's dimension, m the calibration
frames or subgroups, *rate* the share of in-control frames that exceed the limit.
"""

import scipy

from calibration.charts import CalibrationError


def phase1_limit(m: int, p: int, rate: float) -> float:
    """For the very m frames that gave mean and covariance: (m-1)^2/m Beta(1-rate; p/2, (m-p-1)/2).

    Tracy, Young and Mason 1992. Raises CalibrationError for m < p + 2, ValueError for a rate outside (0, 1).
    """
    _check(m, p, rate)
    return float((m - 1) ** 2 / m * scipy.stats.beta.isf(rate, p / 2, (m - p - 1) / 2))


def phase2_limit(m: int, p: int, rate: float) -> float:
    """For new frames, judged by mean and covariance of m earlier ones: p(m+1)(m-1)/(m(m-p)) F(1-rate; p, m-p).

    Tracy, Young and Mason 1992. Raises as `phase1_limit` does.
    """
    _check(m, p, rate)
    return float(_phase2_scale(m, p) * scipy.stats.f.isf(rate, p, m - p))


def chi2_limit_rate(m: int, p: int, rate: float) -> float:
    """The share of new in-control frames that really exceed the chi-square limit of nominal *rate*.

    That limit takes mean and covariance as known; with m frames to estimate them from, T2 of a new frame follows the
    law of `phase2_limit`. Raises as `phase1_limit` does.
    """
    _check(m, p, rate)
    return float(scipy.stats.f.sf(scipy.stats.chi2.isf(rate, p) / _phase2_scale(m, p), p, m - p))


def subgroup_phase1_limit(m: int, n: int, p: int, rate: float) -> float:
    """For T2 = n (mean_i - mean)' S^-1 (mean_i - mean) of the very m subgroups of n frames that gave mean and S.

    S is the mean of the subgroups' sample covariances. p(m-1)(n-1)/(mn-m-p+1) F(1-rate; p, mn-m-p+1), Ryan 2011.
    Raises CalibrationError for m(n-1) < p, or fewer than two subgroups or frames in each; ValueError for a rate outside
    (0, 1).
    """
    return _subgroup_limit(m - 1, m, n, p, rate)


def subgroup_phase2_limit(m: int, n: int, p: int, rate: float) -> float:
    """For new subgroups of n frames, judged by m earlier ones: m + 1 in place of m - 1 in `subgroup_phase1_limit`."""
    return _subgroup_limit(m + 1, m, n, p, rate)


def _subgroup_limit(factor: int, m: int, n: int, p: int, rate: float) -> float:
    _check_rate(rate)
    freedom = m * n - m - p + 1
    if m < 2 or n < 2 or p < 1 or freedom < 1:
        raise CalibrationError(f"{m} subgroups of {n} frames cannot fit a latent of {p}: give more frames")
    return float(p * factor * (n - 1) / freedom * scipy.stats.f.isf(rate, p, freedom))


def _phase2_scale(m: int, p: int) -> float:
    return p * (m + 1) * (m - 1) / (m * (m - p))


def _check(m: int, p: int, rate: float) -> None:
    _check_rate(rate)
    if p < 1:
        raise ValueError(f"a latent needs at least one dimension, not {p}")
    if m < p + 2:
        raise CalibrationError(f"{m} frames cannot fit a latent of {p}: give at least {p + 2} frames")


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"rate must lie between 0 and 1, not {rate}")
