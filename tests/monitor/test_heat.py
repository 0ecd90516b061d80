"""Heat conduction against the published solutions: Eagar and Tsai's integral, Rosenthal's closed form, and scaling."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from monitor.camera.meltpool.alloys import ALLOYS, Alloy
from monitor.camera.meltpool.heat import Past, past, rise

ALLOY = ALLOYS["IN625"]
MM_PER_S = 800.0
LONG_S = 0.05  # more memory than the camera needs: these pools are compared with steady ones


def steady(
    watts: float,
    mm_per_s: float,
    rows_mm: np.ndarray,
    columns_mm: np.ndarray,
    spot_mm: float = 0.025,
    alloy: Alloy = ALLOY,
) -> np.ndarray:
    """Temperature rise around a source at the origin that has always moved along the columns."""
    remembered = past(alloy, spot_mm, mm_per_s, LONG_S)
    return rise(remembered, behind(remembered, mm_per_s), given_watts(remembered, watts), rows_mm, columns_mm)[0]


def behind(remembered: Past, mm_per_s: float) -> np.ndarray:
    return np.stack([-mm_per_s * remembered.lags_s, np.zeros_like(remembered.lags_s)], axis=-1)[None]


def given_watts(remembered: Past, watts: float) -> np.ndarray:
    return np.full((1, len(remembered.lags_s)), watts)


def eagar_tsai(watts: float, mm_per_s: float, ahead_mm: float, aside_mm: float, spot_mm: float) -> float:
    """The integral as it was published, over the lag, by adaptive quadrature; in u = sqrt(lag)."""
    alpha = ALLOY.diffusivity_mm2_per_s
    rho_c = 1e-9 * ALLOY.density * ALLOY.heat_capacity

    def kernel(u: float) -> float:
        variance = spot_mm**2 + 2 * alpha * u**2
        away = (ahead_mm + mm_per_s * u**2) ** 2 + aside_mm**2
        return 2 / variance * math.exp(-away / (2 * variance))

    whole, _ = quad(kernel, 0, 1.0, epsabs=0, epsrel=1e-8, limit=500)
    return watts / (math.pi * rho_c * math.sqrt(4 * math.pi * alpha)) * whole


@pytest.mark.parametrize("mm_per_s", [200.0, 800.0, 2000.0])
@pytest.mark.parametrize(
    ("ahead_mm", "aside_mm"), [(0.0, 0.0), (0.02, 0.0), (-0.1, 0.0), (-0.3, 0.05), (0.0, 0.04), (-0.15, -0.08)]
)
def test_the_sum_over_the_past_is_the_published_integral(mm_per_s: float, ahead_mm: float, aside_mm: float) -> None:
    found = steady(60.0, mm_per_s, np.array([aside_mm]), np.array([ahead_mm]))[0, 0]
    peak = eagar_tsai(60.0, mm_per_s, 0.0, 0.0, 0.025)
    assert found == pytest.approx(eagar_tsai(60.0, mm_per_s, ahead_mm, aside_mm, 0.025), rel=4e-3, abs=1e-3 * peak)


@pytest.mark.parametrize(("ahead_mm", "aside_mm"), [(-0.3, 0.0), (-0.5, 0.0), (-0.3, 0.06), (-0.4, -0.1)])
def test_a_narrow_source_on_a_long_line_is_rosenthals(ahead_mm: float, aside_mm: float) -> None:
    found = steady(60.0, MM_PER_S, np.array([aside_mm]), np.array([ahead_mm]), spot_mm=0.004)[0, 0]
    away = math.hypot(ahead_mm, aside_mm)
    per_mm = MM_PER_S / (2 * ALLOY.diffusivity_mm2_per_s)
    rosenthal = 60.0 / (2 * math.pi * ALLOY.conductivity * away * 1e-3) * math.exp(-per_mm * (away + ahead_mm))
    assert found == pytest.approx(rosenthal, rel=0.02)


def pool_size_mm(watts: float, mm_per_s: float) -> tuple[float, float]:
    """Length behind the source, and width, of what is hotter than the liquidus."""
    along, across = np.linspace(-1.5, 0.0, 1501), np.linspace(0.0, 0.4, 401)
    hot = steady(watts, mm_per_s, across, along, spot_mm=0.01) > ALLOY.liquidus_k - 353.0
    return 1e-3 * float(hot.any(axis=0).sum()), 2e-3 * float(hot.any(axis=1).sum())


def test_a_pool_is_as_long_as_rosenthal_says_in_proportion_to_power_and_whatever_the_speed() -> None:
    for watts in (40.0, 80.0):
        behind_mm = 1e3 * watts / (2 * math.pi * ALLOY.conductivity * (ALLOY.liquidus_k - 353.0))
        for mm_per_s in (800.0, 1600.0):
            length_mm, _ = pool_size_mm(watts, mm_per_s)
            assert length_mm == pytest.approx(behind_mm, rel=0.08)


def test_a_pool_is_as_wide_as_the_root_of_power_over_speed() -> None:
    """Rosenthal's width far behind the source: 2 sqrt(2 P / (pi e rho c v (T - T0)))."""
    for watts, mm_per_s in ((60.0, 800.0), (60.0, 1600.0), (30.0, 800.0)):
        rho_c = ALLOY.density * ALLOY.heat_capacity
        wide = 2e3 * math.sqrt(2 * watts / (math.pi * math.e * rho_c * mm_per_s * 1e-3 * (ALLOY.liquidus_k - 353.0)))
        assert pool_size_mm(watts, mm_per_s)[1] == pytest.approx(wide, rel=0.1)


def test_energy_is_kept() -> None:
    """A flash of one joule: what the surface holds decays as one over the root of time, as in a half-space."""
    remembered = past(ALLOY, 0.02, MM_PER_S, 0.01)
    rows = columns = np.linspace(-1.5, 1.5, 301)
    alpha = ALLOY.diffusivity_mm2_per_s
    rho_c = 1e-9 * ALLOY.density * ALLOY.heat_capacity
    for node in (3, 20):
        watts = np.zeros((1, len(remembered.lags_s)))
        lag = remembered.lags_s[node]
        step_s = 2 * math.sqrt(lag) * (math.sqrt(remembered.lags_s[1]) - math.sqrt(remembered.lags_s[0]))
        watts[0, node] = 1.0 / step_s  # one joule in all
        field = rise(remembered, np.zeros((1, len(remembered.lags_s), 2)), watts, rows, columns)
        over_surface = float(field.sum()) * 0.01**2
        assert over_surface == pytest.approx(1.0 / (rho_c * math.sqrt(math.pi * alpha * lag)), rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 2 * math.pi), st.floats(5.0, 120.0), st.floats(0.0, 3.0))
def test_heat_adds_up_and_turns_with_the_path(angle: float, watts: float, factor: float) -> None:
    remembered = past(ALLOY, 0.025, MM_PER_S)
    turned = np.stack([np.cos(angle), np.sin(angle)]) * (-MM_PER_S * remembered.lags_s)[:, None]
    power = given_watts(remembered, watts)
    at = np.array([0.05 * math.sin(angle), 0.0]), np.array([0.0, 0.05 * math.cos(angle)])
    one = rise(remembered, turned[None], power, *at)
    np.testing.assert_allclose(rise(remembered, turned[None], factor * power, *at), factor * one, rtol=1e-5, atol=1e-3)
    ahead = steady(watts, MM_PER_S, np.array([0.0]), np.array([0.05]))[0, 0]
    assert rise(remembered, turned[None], power, at[0][:1], at[1][1:])[0, 0, 0] == pytest.approx(
        ahead, rel=2e-3, abs=0.1
    )


def test_what_was_forgotten_is_little() -> None:
    """A neighbouring vector of one memory ago, 0.1 mm beside, one before that, and so on add some tens of kelvin."""
    short, long = past(ALLOY, 0.025, MM_PER_S), past(ALLOY, 0.025, MM_PER_S, 0.1)
    forgotten = long.lags_s > short.lags_s[-1]
    ran = np.where(forgotten, 65.0, 0.0)[None]
    back_and_forth = np.zeros((1, len(long.lags_s), 2))
    back_and_forth[0, :, 0] = 2.0 - np.abs((MM_PER_S * long.lags_s) % 8.0 - 4.0)  # vectors of 4 mm
    back_and_forth[0, :, 1] = -0.1 * (MM_PER_S * long.lags_s // 4.0)  # each 0.1 mm beside the last
    assert rise(long, back_and_forth, ran, np.zeros(1), np.zeros(1))[0, 0, 0] < 100.0


@pytest.mark.parametrize("name", ALLOYS)
def test_the_constants_of_an_alloy_are_in_order(name: str) -> None:
    alloy = ALLOYS[name]
    assert 300 < alloy.solidus_k < alloy.liquidus_k < alloy.boiling_k < 4000
    assert 2.0 < alloy.diffusivity_mm2_per_s < 15.0
