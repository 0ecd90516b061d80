"""What lies under the probe of a simulated microscope: crystals, and how thickness and tilt vary over the scan."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = tuple[int, int, int]
Atom = tuple[int, tuple[float, float, float]]
"""Atomic number, and the place in the unit cell as fractions of its edges."""

BOHR_NM: Final = 0.0529177  # CODATA 2018
HIGHEST_INDEX: Final = 14  # of a reflection: those beyond are too far from the Bragg condition to be seen
FORBIDDEN: Final = 1e-6  # of the strongest reflection: what the unit cell's symmetry puts out

WAVES: Final = 12
SHORTEST_WAVE: Final = 300.0  # scan positions
LONGEST_WAVE: Final = 1200.0
THICKNESS_SPREAD: Final = 0.10  # relative standard deviation over the specimen
BEND_MRAD: Final = 1.5  # standard deviation of the tilt, each axis


class Reflections(NamedTuple):
    """What one zone of a crystal reflects, by length: row 0 is the direct beam."""

    hkl: npt.NDArray[np.int64]  # (n, 3)
    per_nm: Floats  # (n, 2): reciprocal-lattice vector along the pattern's right and down axes
    potential: Floats  # (n,): |F| over the cell's volume, in 1/nm2


class Crystal(NamedTuple):
    """A cubic crystal looked at along *zone*, with the direction *right* along the pattern's rows."""

    name: str
    edge_nm: float
    zone: Index
    right: Index
    atoms: tuple[Atom, ...]
    debye_waller_nm2: float  # B of exp(-B g2 / 4), as an amplitude; one for all atoms, at room temperature

    def reflections(self, highest_per_nm: float) -> Reflections:
        """The zero-order Laue zone up to *highest_per_nm*, without what the structure forbids."""
        span = np.arange(-HIGHEST_INDEX, HIGHEST_INDEX + 1)
        hkl = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
        hkl = hkl[hkl @ np.array(self.zone) == 0]
        per_nm = np.linalg.norm(hkl, axis=1) / self.edge_nm
        order = np.argsort(per_nm, kind="stable")
        hkl = hkl[order][per_nm[order] <= highest_per_nm]
        potential = np.abs(self.structure_factors(hkl)) / self.edge_nm**3
        seen = potential > FORBIDDEN * potential.max()
        return Reflections(hkl[seen], self._in_zone(hkl[seen]), potential[seen])

    def structure_factors(self, hkl: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
        """F of the reflections *hkl* (n, 3) for slow electrons, with the Debye-Waller factor; in nm."""
        squared = np.square(np.linalg.norm(hkl, axis=1) / self.edge_nm)
        total = np.zeros(len(hkl), np.complex128)
        for number, place in self.atoms:
            total += scattering_nm(number, squared) * np.exp(2j * math.pi * (hkl @ np.array(place)))
        total *= np.exp(-self.debye_waller_nm2 * squared / 4.0)
        return total

    def _in_zone(self, hkl: npt.NDArray[np.int64]) -> Floats:
        """The vectors of *hkl* (n, 3) in the plane of the pattern (n, 2), in 1/nm."""
        right = np.array(self.right) / np.linalg.norm(self.right)
        zone = np.array(self.zone) / np.linalg.norm(self.zone)
        plane: Floats = hkl @ np.stack([right, np.cross(zone, right)], axis=1) / self.edge_nm
        return plane


def scattering_nm(number: int, squared_per_nm2: Floats) -> Floats:
    """Electron scattering amplitude of an atom at g^2, in nm, for slow electrons.

    Lenz 1954: a Coulomb potential screened over R = a_H Z^(-1/3); f = 2 Z R^2 / a_H / (1 + (2 pi g R)^2).
    """
    screen_nm = BOHR_NM * number ** (-1.0 / 3.0)
    forward_nm = 2.0 * number * screen_nm**2 / BOHR_NM
    amplitude: Floats = forward_nm / (1.0 + (2.0 * math.pi * screen_nm) ** 2 * squared_per_nm2)
    return amplitude


_FACES: Final = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))

# B is about 0.005 nm2 for all three at room temperature: round values.
SILICON: Final = Crystal(
    "Si [110]",
    0.5431,  # CODATA 2018: 0.5431020511 nm
    (1, 1, 0),
    (0, 0, 1),
    tuple((14, (x + shift, y + shift, z + shift)) for shift in (0.0, 0.25) for x, y, z in _FACES),
    0.005,
)
STRONTIUM_TITANATE: Final = Crystal(
    "SrTiO3 [001]",
    0.3905,  # ICDD PDF 35-0734
    (0, 0, 1),
    (1, 0, 0),
    ((38, (0.0, 0.0, 0.0)), (22, (0.5, 0.5, 0.5)), *((8, place) for place in _FACES[1:])),
    0.006,
)
GOLD: Final = Crystal(
    "Au [001]",
    0.4079,  # Swanson and Tatge 1953, NBS Circular 539
    (0, 0, 1),
    (1, 0, 0),
    tuple((79, place) for place in _FACES),
    0.006,
)

CRYSTALS: Final = {crystal.name: crystal for crystal in (SILICON, STRONTIUM_TITANATE)}

CARBON_HALOES: Final = ((0.2131, 1.0), (0.1231, 0.3))
"""Amorphous carbon: spacing in nm and height of each halo. They lie near (100) and (110) of graphite, a = 0.2461 nm."""

HALO_WIDTH: Final = 0.08  # standard deviation over radius
DIFFUSE_NM: Final = 60.0  # thickness in which all but 1 / e of the electrons go into the background: a round value


class Local(NamedTuple):
    """The specimen at some scan positions."""

    thickness_nm: Floats  # (n,)
    tilt_rad: Floats  # (n, 2): of the zone axis away from the beam, along the pattern's right and down axes


class Specimen:
    """A thin foil whose thickness varies and which is slightly bent: smooth random fields without an edge.

    Each field is a sum of plane waves; the tilt is the slope of one bent surface.
    """

    def __init__(self, thickness_nm: float, rng: np.random.Generator) -> None:
        self._thickness_nm = thickness_nm
        self._directions, self._waves, self._phases = _plane_waves(rng)

    def at(self, xy: Floats) -> Local:
        """The specimen at scan positions *xy* (n, 2)."""
        phases = xy @ self._waves.T + self._phases  # (n, 2 WAVES): of thickness, of bending
        swings = math.sqrt(2.0 / WAVES) * np.sin(phases)
        uneven, bent = swings[:, :WAVES].sum(axis=1), swings[:, WAVES:] @ self._directions[WAVES:]
        thickness_nm = self._thickness_nm * np.exp(THICKNESS_SPREAD * uneven)
        return Local(thickness_nm, 1e-3 * BEND_MRAD * math.sqrt(2.0) * bent)


def diffuse_share(thickness_nm: float) -> float:
    """The part of the electrons that scatter into the smooth background, thermally or inelastically."""
    return -math.expm1(-thickness_nm / DIFFUSE_NM)


def _plane_waves(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Directions (2 WAVES, 2), wave vectors (2 WAVES, 2) in radians a position, and phases (2 WAVES,)."""
    turns = rng.uniform(0.0, 2.0 * math.pi, 2 * WAVES)
    lengths = np.exp(rng.uniform(math.log(SHORTEST_WAVE), math.log(LONGEST_WAVE), 2 * WAVES))
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return directions, 2.0 * math.pi * directions / lengths[:, None], rng.uniform(0.0, 2.0 * math.pi, 2 * WAVES)
