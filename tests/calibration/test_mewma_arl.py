"""Run lengths and limits of the memory chart against published tables, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, ncx2, norm

from calibration.mewma import Mewma, start, step
from calibration.mewma_arl import length_density, mewma_arl, mewma_limit

# lambda = 0.1, ARL0 = 200: p -> h. Table of the R package MSQC (Santos-Fernandez 2013). Its 10.814 for p = 3 is wrong:
# 10.7836 by Nystroem quadrature and by a simulation of 400,000 runs.
MSQC = {2: 8.6336, 3: 10.7836, 4: 12.7231, 5: 14.5363, 6: 16.2634, 7: 17.9269, 8: 19.541, 9: 21.1152, 10: 22.6565}

# p = 3, ARL0 = 1000: lambda -> h. Knoth 2017.
KNOTH = {0.25: 15.82, 0.2: 15.62, 0.15: 15.31, 0.1: 14.76, 0.05: 13.60}

# p = 200, lambda = 0.1: ARL0 -> h. By an independent Nystroem quadrature; no table goes as far.
P200 = {200: 248.398, 1000: 263.715, 10_000: 280.956}

# lambda = 0.1: (p, h) -> shift -> ARL. Manual of the R package spc (Knoth).
SPC = {
    (4, 12.73): {0.5: 35.05, 1.0: 12.17, 1.5: 7.22, 2.0: 5.19, 3.0: 3.42},
    (20, 37.01): {0.5: 61.62, 1.0: 20.17, 1.5: 11.40, 2.0: 8.03, 3.0: 5.18},
}


@pytest.mark.parametrize(("p", "h"), MSQC.items())
def test_limits_are_those_of_the_table_at_every_dimension(p: int, h: float) -> None:
    assert mewma_limit(p, 0.1, 200) == pytest.approx(h, rel=1e-4)


@pytest.mark.parametrize(("lam", "h"), KNOTH.items())
def test_limits_are_those_of_the_table_at_every_weight(lam: float, h: float) -> None:
    assert mewma_limit(3, lam, 1000) == pytest.approx(h, rel=5e-4)


def test_the_limit_is_rigdons() -> None:
    assert mewma_limit(4, 0.25, 500) == pytest.approx(16.38, rel=5e-4)  # Rigdon 1995


@pytest.mark.parametrize(("arl0", "h"), P200.items())
def test_two_hundred_dimensions_do_not_overflow(arl0: float, h: float) -> None:
    assert mewma_limit(200, 0.1, arl0) == pytest.approx(h, rel=1e-5)


@pytest.mark.parametrize(("h", "arl"), [(6.98, 99.9), (8.63, 199.7), (10.77, 500.9)])
def test_in_control_run_lengths_are_those_of_rigdons_limits(h: float, arl: float) -> None:
    """p = 2, lambda = 0.1: Rigdon 1995 gives h for 100, 200 and 500, to three digits."""
    assert float(mewma_arl(2, 0.1, h)) == pytest.approx(arl, abs=0.1)


@pytest.mark.parametrize("case", SPC)
def test_shifts_are_seen_as_soon_as_the_table_says(case: tuple[int, float]) -> None:
    p, h = case
    table = SPC[case]
    assert mewma_arl(p, 0.1, h, list(table)) == pytest.approx(list(table.values()), rel=0.03)


def test_one_dimension_is_the_two_sided_ewma_chart() -> None:
    """Limits of +-2 sd, Crowder 1987, table 1; +-3 sd, SAS/QC manual 1999: both as quoted by the R package spc."""
    shifts = [0.0, 0.25, 0.5, 1.0, 2.0, 4.0]
    assert mewma_arl(1, 0.5, 4.0, shifts) == pytest.approx([26.45, 20.12, 11.89, 4.91, 1.94, 1.05], abs=0.006)
    assert mewma_arl(1, 0.05, 4.0, shifts) == pytest.approx([127.53, 43.94, 18.97, 8.38, 4.04, 2.15], abs=0.006)
    assert float(mewma_arl(1, 0.25, 9.0, 1.0)) == pytest.approx(11.154267016, rel=1e-6)


def test_a_shift_is_seen_as_soon_as_rigdon_says() -> None:
    assert float(mewma_arl(5, 0.1, 14.56, 1.0)) == pytest.approx(12.9, abs=0.06)  # Rigdon 1995b, table 1


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_without_memory_it_is_the_chi_square_chart(shift: float) -> None:
    exact = 1 / ncx2.sf(16.0, 5, shift**2) if shift else 1 / ncx2.sf(16.0, 5, 1e-12)
    assert float(mewma_arl(5, 1.0, 16.0, shift)) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(("p", "lam", "h"), [(1, 0.1, 7.9), (2, 0.3, 10.0), (4, 0.05, 12.0), (40, 0.2, 66.0)])
def test_the_equation_in_two_parts_goes_over_into_the_one_in_control(p: int, lam: float, h: float) -> None:
    in_control, nearly, shifted = mewma_arl(p, lam, h, [0.0, 1e-6, 0.3])
    assert nearly == pytest.approx(in_control, rel=1e-4)
    assert shifted < in_control


def test_simulated_runs_are_as_long() -> None:
    """The chart itself, p = 6: 3000 runs, in control and shifted along a slanting direction."""
    p, lam, runs, random = 6, 0.2, 3000, np.random.default_rng(0)
    h = mewma_limit(p, lam, 30)
    for shift in (0.0, 1.0):
        mean = shift * np.array([0.6, -0.8, 0, 0, 0, 0])
        lengths = np.zeros(runs)
        for run in range(runs):
            _, statistics = step(Mewma((lam,)), start(Mewma((lam,)), p), random.normal(size=(400, p)) + mean)
            lengths[run] = np.argmax(statistics[:, 0] > h) + 1
        assert float(mewma_arl(p, lam, h, shift)) == pytest.approx(lengths.mean(), abs=4 * lengths.std() / runs**0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.floats(0.05, 1.0), st.floats(5.0, 1e5))
def test_the_run_length_at_the_limit_is_the_one_wanted(p: int, lam: float, arl0: float) -> None:
    h = mewma_limit(p, lam, arl0)
    assert float(mewma_arl(p, lam, h)) == pytest.approx(arl0, rel=1e-4)
    assert mewma_limit(p, lam, 2 * arl0) > h


def test_very_long_runs_have_a_limit_too() -> None:
    assert float(mewma_arl(200, 0.1, mewma_limit(200, 0.1, 1e9))) == pytest.approx(1e9, rel=1e-3)


def test_small_weights_need_nearly_the_same_limit_for_as_many_memories() -> None:
    limits = [mewma_limit(32, lam, 10 / lam) for lam in (0.05, 0.01, 0.002)]
    assert limits == pytest.approx([limits[-1]] * 3, rel=0.05)
    assert limits == sorted(limits)


@pytest.mark.parametrize(
    ("arl0", "shift", "factor"), [(200, 0.5, 2.4), (1000, 0.5, 4.0), (200, 1.0, 5.5), (1000, 1.0, 16.4)]
)
def test_a_small_lasting_shift_is_seen_so_much_sooner_than_by_t2(arl0: int, shift: float, factor: float) -> None:
    """At p = 32 and weight 0.1, both charts alike in control; T2 of a frame is noncentral chi-square."""
    alone = 1 / ncx2.sf(chi2.isf(1 / arl0, 32), 32, shift**2)
    remembered = float(mewma_arl(32, 0.1, mewma_limit(32, 0.1, arl0), shift))
    assert alone / remembered == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize("p", [1, 2, 3, 8, 200, 1000])
def test_the_density_of_a_length_is_that_of_a_noncentral_chi_square_root(p: int) -> None:
    length = np.linspace(0.3, 1.5, 7) * np.sqrt(p)
    for centre in (1e-3, 0.5, 10.0):
        exact = 2 * length * ncx2.pdf(length**2, p, centre**2)
        np.testing.assert_allclose(length_density(length, np.array(centre), p), exact, rtol=1e-9, atol=1e-290)


def test_the_density_of_a_length_in_one_dimension_is_the_folded_normal() -> None:
    length = np.array([1e-6, 0.1, 1.0, 4.0])
    for centre in (0.0, 0.7, 30.0):
        folded = norm.pdf(length - centre) + norm.pdf(length + centre)
        np.testing.assert_allclose(length_density(length, np.array(centre), 1), folded, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mewma_limit(4, 0.1, 1.9), "between 2 and 1e"),
        (lambda: mewma_limit(4, 0.1, 1e10), "between 2 and 1e"),
        (lambda: mewma_limit(0, 0.1, 200), "p of at least 1"),
        (lambda: mewma_limit(4, 0.0, 200), r"weight in \(0, 1\]"),
        (lambda: mewma_limit(4, 1.1, 200), r"weight in \(0, 1\]"),
        (lambda: mewma_limit(32, 1e-6, 1e6), "too small to integrate over"),
        (lambda: mewma_arl(32, 1e-3, 60.0, 1.0), "too small to integrate over"),
        (lambda: mewma_arl(4, 0.1, 0.0), "above 0"),
        (lambda: mewma_arl(4, 0.1, float("nan")), "above 0"),
        (lambda: mewma_arl(4, 0.1, 12.0, -1.0), "not below 0"),
        (lambda: mewma_arl(2, 0.1, 80.0), "lost in rounding"),
        (lambda: mewma_arl(2, 0.1, 80.0, 0.01), "lost in rounding"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
