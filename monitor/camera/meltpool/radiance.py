"""How bright a hot surface looks to a camera behind a band filter: Planck's law, optics, electrons."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# CODATA 2018, exact.
PLANCK_J_S: Final = 6.62607015e-34
LIGHT_M_PER_S: Final = 299792458.0
BOLTZMANN_J_PER_K: Final = 1.380649e-23

NODES: Final = 24
"""Of the Gauss-Legendre rule over the band: exact to rounding for any filter of this kind."""

EMISSIVITY: Final = 0.3
"""Of liquid metals in the near infrared, nominal: 0.25 to 0.4 by alloy and wavelength. It scales the picture as the
exposure time does."""

STEPS_PER_K: Final = 2


class Optics(NamedTuple):
    """A camera that looks through the laser's own lens, behind a band filter."""

    low_nm: float = 830.0
    high_nm: float = 870.0
    transmission: float = 0.4  # of filter, mirrors and lenses together
    aperture: float = 0.0137  # numerical aperture towards the part
    exposure_s: float = 20e-6
    quantum_efficiency: float = 0.4
    pixel_mm: float = 0.008  # on the part


def photon_radiance(kelvin: npt.ArrayLike, low_nm: float, high_nm: float) -> Doubles:
    """Photons per second, square metre and steradian of a black body, between two wavelengths. Planck 1901."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    metres = 1e-9 * (low_nm + (high_nm - low_nm) * (nodes + 1) / 2)
    temperature = np.asarray(kelvin, float)[..., None]
    quanta = PLANCK_J_S * LIGHT_M_PER_S / (metres * BOLTZMANN_J_PER_K * temperature)
    spectral = 2 * LIGHT_M_PER_S / metres**4 / np.expm1(np.minimum(quanta, 700.0))  # beyond, it is nought anyway
    radiance: Doubles = spectral @ (weights * 1e-9 * (high_nm - low_nm) / 2)
    return radiance


def electrons_of(kelvin: npt.ArrayLike, optics: Optics) -> Doubles:
    """Electrons a pixel collects in one exposure from a surface of *kelvin*, sharply imaged."""
    etendue = (1e-3 * optics.pixel_mm) ** 2 * np.pi * optics.aperture**2
    share = EMISSIVITY * optics.transmission * optics.quantum_efficiency
    return photon_radiance(kelvin, optics.low_nm, optics.high_nm) * etendue * share * optics.exposure_s


DARK: Final = 1e-6
"""Electrons: less is nothing."""


class Glow:
    """`electrons_of` as a table over temperature: a lookup a pixel instead of an integral."""

    def __init__(self, optics: Optics, hottest_k: float) -> None:
        steps = np.arange(int(hottest_k * STEPS_PER_K) + 1)
        electrons = electrons_of(np.maximum(steps, 1) / STEPS_PER_K, optics)
        self._table = np.where(electrons < DARK, 0.0, electrons).astype(np.float32)

    def __call__(self, kelvin: Floats) -> Floats:
        """Electrons for each of *kelvin*; what is hotter than the table's end is as bright as that."""
        indices = (kelvin * np.float32(STEPS_PER_K)).astype(np.int32)
        return self._table.take(indices, mode="clip")
