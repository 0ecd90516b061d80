"""What a crystal reflects along a zone axis, and how strongly: kinematic structure factors for electrons."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.constants import physical_constants

from monitor.camera.stem.materials import ATOMIC_NUMBER, GOLD, SILICON, STRONTIUM_TITANATE, Material

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Index = tuple[int, int, int]

BOHR_NM: Final = 1e9 * physical_constants["Bohr radius"][0]
HIGHEST_INDEX: Final = 14  # of a reflection: those beyond are too far from the Bragg condition to be seen
FORBIDDEN: Final = 1e-6  # of the strongest reflection: what the unit cell's symmetry puts out


class Reflections(NamedTuple):
    """What one zone of a crystal reflects, by length: row 0 is the direct beam."""

    hkl: Indices  # (n, 3)
    per_nm: Floats  # (n, 2): reciprocal-lattice vector along the pattern's right and down axes
    potential: Floats  # (n,): |F| over the cell's volume, in 1/nm2


class Zone(NamedTuple):
    """A *material* looked at along *axis*, with the direction *right* along the pattern's rows; both in cell edges."""

    material: Material
    axis: Index
    right: Index

    def reflections(self, highest_per_nm: float) -> Reflections:
        """The zero-order Laue zone up to *highest_per_nm*, without what the structure forbids."""
        span = np.arange(-HIGHEST_INDEX, HIGHEST_INDEX + 1)
        hkl = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
        hkl = hkl[hkl @ np.array(self.axis) == 0]
        per_nm = _lengths(self.material, hkl)
        order = np.argsort(per_nm, kind="stable")
        hkl = hkl[order][per_nm[order] <= highest_per_nm]
        potential = np.abs(structure_factors(self.material, hkl)) / math.prod(self.material.cell_nm)
        seen = potential > FORBIDDEN * potential.max()
        return Reflections(hkl[seen], self._in_plane(hkl[seen]), potential[seen])

    def _in_plane(self, hkl: Indices) -> Floats:
        """The vectors of *hkl* (n, 3) in the plane of the pattern (n, 2), in 1/nm."""
        cell_nm = np.array(self.material.cell_nm)
        right, axis = (np.array(index) * cell_nm for index in (self.right, self.axis))
        right, axis = right / np.linalg.norm(right), axis / np.linalg.norm(axis)
        plane: Floats = hkl / cell_nm @ np.stack([right, np.cross(axis, right)], axis=1)
        return plane


def structure_factors(material: Material, hkl: Indices) -> npt.NDArray[np.complex128]:
    """F of the reflections *hkl* (n, 3) for slow electrons, each atom with its Debye-Waller factor; in nm."""
    squared = np.square(_lengths(material, hkl))
    total = np.zeros(len(hkl), np.complex128)
    for species, place in material.atoms:
        b_nm2 = 0.01 * material.debye_waller_a2[species]
        amplitude = scattering_nm(ATOMIC_NUMBER[species], squared) * np.exp(-b_nm2 * squared / 4.0)
        total += amplitude * np.exp(2j * math.pi * (hkl @ np.array(place)))
    return total


def scattering_nm(number: int, squared_per_nm2: Floats) -> Floats:
    """Electron scattering amplitude of an atom of atomic *number* at g^2 (n,), in nm (n,), for slow electrons.

    Lenz 1954: a Coulomb potential screened over R = a_H Z^(-1/3); f = 2 Z R^2 / a_H / (1 + (2 pi g R)^2).
    """
    screen_nm = BOHR_NM * number ** (-1.0 / 3.0)
    forward_nm = 2.0 * number * screen_nm**2 / BOHR_NM
    amplitude: Floats = forward_nm / (1.0 + (2.0 * math.pi * screen_nm) ** 2 * squared_per_nm2)
    return amplitude


def _lengths(material: Material, hkl: Indices) -> Floats:
    """Lengths (n,) of the reciprocal-lattice vectors *hkl* (n, 3), in 1/nm."""
    lengths: Floats = np.linalg.norm(hkl / np.array(material.cell_nm), axis=1)
    return lengths


SILICON_110: Final = Zone(SILICON, (1, 1, 0), (0, 0, 1))
STRONTIUM_TITANATE_001: Final = Zone(STRONTIUM_TITANATE, (0, 0, 1), (1, 0, 0))
GOLD_001: Final = Zone(GOLD, (0, 0, 1), (1, 0, 0))

ZONES: Final = {"Si [110]": SILICON_110, "SrTiO3 [001]": STRONTIUM_TITANATE_001}
"""What the diffraction camera may look at, by name."""
