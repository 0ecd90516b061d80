"""Run lengths of memoryless charts against Kramer and Schmid's AR(1) tables, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import geom, norm

from calibration.runlength import curve, gauss_legendre, run_length_quantile, shewhart_arl

C = 3.09023  # two-sided, exceeded by 0.2 % of independent frames

# Kramer and Schmid 1997, modified Shewhart chart, phi = 0.4: shift -> ARL.
KRAMER_SCHMID = {
    0: 515.44,
    0.5: 215.48,
    1: 61.85,
    1.5: 21.63,
    2: 9.19,
    2.5: 4.58,
    3: 2.61,
    3.5: 1.71,
    4: 1.29,
}


@pytest.mark.parametrize(("shift", "arl"), KRAMER_SCHMID.items())
def test_autocorrelated_frames_run_as_long_as_kramer_and_schmid_say(shift: float, arl: float) -> None:
    assert shewhart_arl(C, shift, 0.4) == pytest.approx(arl, abs=0.02)


def test_a_weaker_autocorrelation_lengthens_the_run_less() -> None:
    assert shewhart_arl(C, 0.0, 0.2) == pytest.approx(502.56, abs=0.02)  # Kramer and Schmid 1997
    assert shewhart_arl(C) == pytest.approx(500.0, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0, -2.0, 5.0])
def test_independent_frames_run_one_over_their_exceedance_rate(shift: float) -> None:
    two, one = norm.sf(3 - shift) + norm.cdf(-3 - shift), norm.sf(3 - shift)
    assert shewhart_arl(3.0, shift) == pytest.approx(1 / two, rel=1e-12)
    assert shewhart_arl(3.0, shift, two_sided=False) == pytest.approx(1 / one, rel=1e-12)
    assert shewhart_arl(3.0, shift, 1e-9) == pytest.approx(1 / two, rel=1e-6)
    assert shewhart_arl(3.0, shift, 1e-9, two_sided=False) == pytest.approx(1 / one, rel=1e-6)


@pytest.mark.parametrize(("phi", "shift", "two_sided"), [(0.9, 0.5, True), (-0.6, 1.0, True), (0.8, 0.5, False)])
def test_the_integral_equation_agrees_with_simulated_runs(phi: float, shift: float, two_sided: bool) -> None:
    random, runs, frames, limit = np.random.default_rng(0), 4000, 800, 2.0
    noise = random.normal(size=(runs, frames)) * np.sqrt(1 - phi**2)
    noise[:, 0] = random.normal(size=runs)
    x = lfilter([1.0], [1.0, -phi], noise, axis=1) + shift
    over = (np.abs(x) if two_sided else x) > limit
    assert over.any(axis=1).all()
    lengths = over.argmax(axis=1) + 1
    error = lengths.std() / np.sqrt(runs)
    assert shewhart_arl(limit, shift, phi, two_sided=two_sided) == pytest.approx(lengths.mean(), abs=4 * error)


def test_the_nearer_to_one_the_autocorrelation_the_longer_the_run() -> None:
    runs = [shewhart_arl(3.0, 0.0, phi, two_sided=False) for phi in (0.0, 0.5, 0.9, 0.99)]
    assert (np.diff(runs) > 0).all()


def test_a_process_that_lies_wholly_beyond_its_limit_is_seen_at_once() -> None:
    assert shewhart_arl(3.0, 40.0, 0.5) == 1.0
    assert shewhart_arl(3.0, 40.0, 0.5, two_sided=False) == 1.0


def test_run_lengths_that_cannot_be_computed_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        shewhart_arl(0.0)
    with pytest.raises(ValueError, match="finite"):
        shewhart_arl(3.0, float("nan"))
    with pytest.raises(ValueError, match="phi must lie"):
        shewhart_arl(3.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="too near 1"):
        shewhart_arl(3.0, 0.0, 0.999999)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(1.001, 1e9))
def test_quantiles_are_those_of_the_geometric_law(share: float, arl: float) -> None:
    frames = float(run_length_quantile(share, arl))
    assert frames >= 1
    assert frames == int(frames)
    assert geom.cdf(frames, 1 / arl) >= share * (1 - 1e-9)
    if frames > 1:
        assert geom.cdf(frames - 1, 1 / arl) <= share * (1 + 1e-9)


def test_quantiles_take_arrays() -> None:
    assert run_length_quantile(0.5, [1.0, 2.0, 370.4]).tolist() == [1.0, 1.0, 257.0]
    assert run_length_quantile([[0.05], [0.95]], [100.0, 1000.0]).shape == (2, 2)


def test_quantiles_of_impossible_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        run_length_quantile(1.0, 100.0)
    with pytest.raises(ValueError, match="at least 1"):
        run_length_quantile(0.5, [100.0, 0.5])


def test_a_curve_gives_the_run_lengths_at_every_shift() -> None:
    found = curve(lambda shift: shewhart_arl(C, shift, 0.4), list(KRAMER_SCHMID))
    assert found.mean == pytest.approx(list(KRAMER_SCHMID.values()), abs=0.02)
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    assert found.shifts.tolist() == list(KRAMER_SCHMID)
    assert found.high[0] == pytest.approx(np.log(0.05) / np.log1p(-1 / 515.44), abs=1)


def test_the_quadrature_is_exact_for_polynomials() -> None:
    x, weights = gauss_legendre(5, -1.0, 2.0)
    assert weights @ x**9 == pytest.approx((2**10 - 1) / 10, rel=1e-12)
