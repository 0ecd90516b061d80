"""Radiance against Planck's law by quadrature, Wien and Stefan-Boltzmann; the lookup against the formula."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from monitor.camera.meltpool.radiance import (
    BOLTZMANN_J_PER_K,
    LIGHT_M_PER_S,
    PLANCK_J_S,
    Glow,
    Optics,
    electrons_of,
    photon_radiance,
)

STEFAN_BOLTZMANN = 5.670374419e-8  # W/(m2 K4), CODATA 2018


def planck(nm: float, kelvin: float) -> float:
    """Photons per second, square metre, steradian and nanometre."""
    metres = nm * 1e-9
    quanta = PLANCK_J_S * LIGHT_M_PER_S / (metres * BOLTZMANN_J_PER_K * kelvin)
    return 2e-9 * LIGHT_M_PER_S / metres**4 / math.expm1(quanta)


@pytest.mark.parametrize("kelvin", [800.0, 1623.0, 2500.0, 3186.0])
@pytest.mark.parametrize(("low_nm", "high_nm"), [(830.0, 870.0), (700.0, 950.0), (1400.0, 1800.0)])
def test_the_band_integrates_to_plancks_value(kelvin: float, low_nm: float, high_nm: float) -> None:
    whole, _ = quad(planck, low_nm, high_nm, args=(kelvin,), epsabs=0, epsrel=1e-10)
    assert photon_radiance(kelvin, low_nm, high_nm) == pytest.approx(whole, rel=1e-9)


def test_all_bands_together_are_stefan_and_boltzmann() -> None:
    """Photon radiance of narrow bands times the photons' energy is sigma T^4 / pi."""
    kelvin, edges_nm = 2000.0, np.geomspace(150.0, 400_000.0, 4000)
    photons = np.array([photon_radiance(kelvin, low, high) for low, high in itertools.pairwise(edges_nm)])
    middle_m = 1e-9 * np.sqrt(edges_nm[:-1] * edges_nm[1:])
    power = (photons * PLANCK_J_S * LIGHT_M_PER_S / middle_m).sum()
    assert power == pytest.approx(STEFAN_BOLTZMANN * kelvin**4 / math.pi, rel=1e-3)


def test_brightness_grows_as_wien_says() -> None:
    ratio = photon_radiance(2000.0, 849.5, 850.5) / photon_radiance(1600.0, 849.5, 850.5)
    second_nm_k = 1e9 * PLANCK_J_S * LIGHT_M_PER_S / BOLTZMANN_J_PER_K
    assert ratio == pytest.approx(math.exp(second_nm_k / 850.0 * (1 / 1600.0 - 1 / 2000.0)), rel=1e-3)


def test_electrons_follow_aperture_exposure_and_pixel_size() -> None:
    one = Optics()
    base = electrons_of(2000.0, one)
    assert electrons_of(2000.0, one._replace(exposure_s=2 * one.exposure_s)) == pytest.approx(2 * base)
    assert electrons_of(2000.0, one._replace(aperture=2 * one.aperture)) == pytest.approx(4 * base)
    assert electrons_of(2000.0, one._replace(pixel_mm=2 * one.pixel_mm)) == pytest.approx(4 * base)


def test_the_table_is_the_formula() -> None:
    optics = Optics()
    glow = Glow(optics, 3186.0)
    kelvin = np.linspace(1200.0, 3180.0, 500, dtype=np.float32)
    np.testing.assert_allclose(glow(kelvin), electrons_of(kelvin, optics), rtol=6e-3)


def test_nothing_is_brighter_than_boiling_metal_and_cold_metal_is_dark() -> None:
    glow = Glow(Optics(), 3186.0)
    hot, boiling, cold = glow(np.array([9000.0, 3186.0, 353.0], np.float32))
    assert hot == boiling > 0
    assert cold < 1e-12 * boiling
