"""The closed limits of T2 against the published output of the R package qcc, and against simulation."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.charts import CalibrationError, t2
from calibration.hotelling import (
    chi2_limit_rate,
    phase1_limit,
    phase2_limit,
    subgroup_phase1_limit,
    subgroup_phase2_limit,
)

Float64s = npt.NDArray[np.float64]

# Temperatures of eight burners of a boiler: data set `boiler` of the R package qcc (Scrucca 2004), m = 25, p = 8.
BOILER = """
507 516 527 516 499 512 472 477
512 513 533 518 502 510 476 475
520 512 537 518 503 512 480 477
520 514 538 516 504 517 480 479
530 515 542 525 504 512 481 477
528 516 541 524 505 514 482 480
522 513 537 518 503 512 479 477
527 509 537 521 504 508 478 472
533 514 528 529 508 512 482 477
530 512 538 524 507 512 482 477
530 512 541 525 507 511 482 476
527 513 541 523 506 512 481 476
529 514 542 525 506 512 481 477
522 509 539 518 501 510 476 475
532 515 545 528 507 511 481 478
531 514 543 525 507 511 482 477
535 514 542 530 509 511 483 477
516 515 537 515 501 516 476 481
514 510 532 512 497 512 471 476
536 512 540 526 509 512 482 477
522 514 540 518 497 514 475 478
520 514 540 518 501 514 475 478
526 517 546 522 502 516 477 480
527 514 543 523 502 512 475 476
529 518 544 525 504 516 479 481
"""

limits = pytest.mark.parametrize("limit", [phase1_limit, phase2_limit])


def boiler() -> Float64s:
    return np.array(BOILER.split(), np.float64).reshape(25, 8)


def whitening_of(z: Float64s) -> Float64s:
    return np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False)))


def test_the_limits_of_the_boiler_are_those_of_qcc() -> None:
    """Documented output of qcc's `mqcc(boiler, type = "T2.single")`, at confidence 0.999 and at 0.9973^8."""
    assert phase1_limit(25, 8, 0.001) == pytest.approx(17.41705, abs=5e-6)
    assert phase2_limit(25, 8, 0.001) == pytest.approx(70.02943, abs=5e-6)
    assert phase1_limit(25, 8, 1 - 0.9973**8) == pytest.approx(14.26225, abs=5e-6)


def test_the_limits_of_subgroups_are_those_of_qcc() -> None:
    """Documented output of qcc for its data set `RyanMultivar`: 20 subgroups of 4, p = 2, confidence 0.9973^2."""
    rate = 1 - 0.9973**2
    assert subgroup_phase1_limit(20, 4, 2, rate) == pytest.approx(11.03976, abs=5e-6)
    assert subgroup_phase2_limit(20, 4, 2, rate) == pytest.approx(12.20184, abs=5e-6)


def test_the_boilers_own_t2_adds_up_to_what_the_sample_covariance_makes_it() -> None:
    """The sum of T2 over the frames that gave mean and S is p(m-1) = 192 whatever the data; det S = 8313.241 (qcc)."""
    z = boiler()
    assert np.linalg.det(np.cov(z, rowvar=False)) == pytest.approx(8313.241, abs=5e-4)
    distance = t2(z, whitening_of(z), z.mean(axis=0))
    assert distance.sum() == pytest.approx(192.0, abs=1e-9)
    assert distance.max() < (25 - 1) ** 2 / 25  # where the Beta law ends, and no phase I limit lies above it
    assert phase1_limit(25, 8, 1e-12) < (25 - 1) ** 2 / 25


@pytest.mark.parametrize(("m", "rate"), [(500, 0.97), (1000, 0.35), (2000, 0.06), (3138, 0.023), (10000, 0.0057)])
def test_the_chi_square_limit_lets_through_far_more_than_its_rate(m: int, rate: float) -> None:
    """p = 200, nominal 0.0027: exact by the F distribution."""
    assert chi2_limit_rate(m, 200, 0.0027) == pytest.approx(rate, rel=0.05)


def test_gaussian_frames_exceed_each_limit_at_its_rate() -> None:
    random = np.random.default_rng(0)
    m, p, rate, repeats = 30, 4, 0.05, 1500
    fitted, fresh = np.zeros(repeats), np.zeros(repeats)
    for repeat in range(repeats):
        z = random.normal(size=(2 * m, p))
        mean, whitening = z[:m].mean(axis=0), whitening_of(z[:m])
        fitted[repeat] = (t2(z[:m], whitening, mean) > phase1_limit(m, p, rate)).mean()
        fresh[repeat] = (t2(z[m:], whitening, mean) > phase2_limit(m, p, rate)).mean()
    assert fitted.mean() == pytest.approx(rate, abs=4 * fitted.std() / repeats**0.5)
    assert fresh.mean() == pytest.approx(rate, abs=4 * fresh.std() / repeats**0.5)


def test_with_many_frames_subgroups_of_any_size_come_to_the_chi_square_limit() -> None:
    assert subgroup_phase2_limit(100_000, 5, 3, 0.01) == pytest.approx(11.3449, rel=1e-3)  # chi-square table
    assert phase2_limit(1_000_000, 3, 0.01) == pytest.approx(11.3449, rel=1e-3)


@limits
@settings(deadline=None)
@given(st.integers(1, 250), st.integers(2, 5000), st.floats(1e-9, 0.5), st.floats(1.01, 1.9))
def test_limits_are_finite_and_rise_as_the_rate_falls(limit, p: int, more: int, rate: float, factor: float) -> None:
    lenient, strict = limit(p + more, p, rate * factor), limit(p + more, p, rate)
    assert np.isfinite([lenient, strict]).all()
    assert 0 < lenient <= strict


@limits
def test_too_few_frames_and_impossible_rates_are_refused(limit) -> None:
    with pytest.raises(CalibrationError, match="9 frames cannot fit a latent of 8: give at least 10 frames"):
        limit(9, 8, 0.01)
    assert np.isfinite(limit(10, 8, 0.01))
    for rate in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="rate must lie between 0 and 1"):
            limit(25, 8, rate)
    with pytest.raises(ValueError, match="at least one dimension"):
        limit(25, 0, 0.01)


def test_too_few_subgroups_are_refused() -> None:
    with pytest.raises(CalibrationError, match="2 subgroups of 3 frames cannot fit a latent of 5"):
        subgroup_phase1_limit(2, 3, 5, 0.01)
    with pytest.raises(CalibrationError, match="20 subgroups of 1 frames"):
        subgroup_phase2_limit(20, 1, 2, 0.01)
