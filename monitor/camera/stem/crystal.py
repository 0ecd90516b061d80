"""Crystals along a zone axis, as a high-angle annular dark field detector sees them: columns of atoms in a plane.

Lengths are picometres; places are (x, y) with x along the fast scan and y down the slow one. Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.stem.materials import ATOMIC_NUMBER, GRAPHENE, SILICON, STRONTIUM_TITANATE, Material

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Species = tuple[str, ...]
Vector = tuple[float, float, float]

Z_POWER: Final = 1.7
"""Scattering to high angles goes with Z squared (Rutherford; Pennycook and Jesson 1991), less what the electrons of the
atom screen: about Z^1.7 for single atoms (Krivanek et al. 2010). A column is taken as the sum of its atoms, which holds
for thin foils: in thick ones channelling wears the beam down on heavy columns first, and the contrast of columns is
less than here."""

ADDED: Final = -1
"""The site of a column that the perfect crystal does not have."""


class Site(NamedTuple):
    """A column of the unit cell: the atoms of one repeat along the beam."""

    species: Species
    xy: tuple[float, float]  # in cells
    vibration_pm: float  # root mean square thermal displacement along one axis
    guests: tuple[Species, ...] = ()  # what may replace its atoms; nothing: too faint to bother

    @property
    def strength(self) -> float:
        """What one repeat scatters to high angles."""
        return scattering(self.species)


@dataclass(frozen=True)
class Crystal:
    """A crystal seen along an axis. Its cell is the rectangle that repeats in the picture."""

    cell_pm: tuple[float, float]
    sites: tuple[Site, ...]
    holes: tuple[tuple[float, float], ...]  # in cells: the widest gaps between its columns
    spacing_pm: float  # between the nearest two columns
    repeats: int  # along the beam: how thick the specimen is
    poisson_ratio: float
    background: float  # what the whole picture has on top, in peaks of the brightest column
    headroom: float  # how many such peaks fit between black and white
    added: Species  # one repeat of a column that lies where none should

    @property
    def brightest(self) -> float:
        """What the brightest column scatters."""
        return self.repeats * max(site.strength for site in self.sites)


class Columns(NamedTuple):
    """Columns of atoms, *n* of them. The first index of every array counts columns."""

    xy_pm: Floats  # (n, 2)
    weight: Floats  # (n,): the sum of Z^1.7 over its atoms
    atoms: Floats  # (n,): how many repeats it holds
    vibration_pm: Floats  # (n,)
    site: Ints  # (n,): index of its site in the crystal, or ADDED

    def where(self, mask: npt.NDArray[np.bool_]) -> "Columns":
        """Those that *mask* (n,) holds."""
        return Columns._make(values[mask] for values in self)

    def and_also(self, other: "Columns") -> "Columns":
        """These, then *other*."""
        return Columns._make(np.concatenate(pair) for pair in zip(self, other, strict=True))


def scattering(species: Species) -> float:
    """What atoms of *species* scatter to high angles: the sum of Z^1.7."""
    return float(sum(ATOMIC_NUMBER[one] ** Z_POWER for one in species))


class Axes(NamedTuple):
    """Three lattice vectors at right angles, in cell edges of a material: right, down, and along the beam."""

    right: Vector
    down: Vector
    beam: Vector

    def cell_pm(self, material: Material) -> tuple[float, float]:
        """The sides of the rectangle that repeats in the picture."""
        right, down = (1e3 * math.hypot(*np.multiply(one, material.cell_nm)) for one in (self.right, self.down))
        return right, down

    def sites(self, material: Material, guests: Mapping[Species, tuple[Species, ...]]) -> tuple[Site, ...]:
        """The columns of *material* in that rectangle; *guests* says what may replace the atoms of which."""
        columns: dict[tuple[float, float], dict[float, str]] = {}
        for species, place in material.atoms:
            x, y, z = (float(part) for part in np.round(np.linalg.solve(np.transpose(self), place), 9) % 1.0)
            columns.setdefault((x, y), {})[z] = species  # atoms that are the same by symmetry meet here
        made = ((tuple(column.values()), xy) for xy, column in columns.items())
        return tuple(Site(one, xy, _vibration_pm(material, one), guests.get(one, ())) for one, xy in made)


def _vibration_pm(material: Material, species: Species) -> float:
    """Of a column of *species*: the mean of their B, each as it shows."""
    b_a2 = sum(scattering((one,)) * material.debye_waller_a2[one] for one in species) / scattering(species)
    return 100.0 * math.sqrt(b_a2 / (8.0 * math.pi**2))


_ALONG_C: Final = Axes((1, 0, 0), (0, 1, 0), (0, 0, 1))
_ALONG_110: Final = Axes((0.5, -0.5, 0), (0, 0, 1), (0.5, 0.5, 0))

# Thickness, background and headroom are what such images commonly have; Poisson ratios are rounded.
STRONTIUM_TITANATE_001: Final = Crystal(
    cell_pm=_ALONG_C.cell_pm(STRONTIUM_TITANATE),
    # The usual donors, and the other cation (antisite).
    sites=_ALONG_C.sites(STRONTIUM_TITANATE, {("Sr",): (("La",), ("Ti",)), ("Ti", "O"): (("Nb", "O"), ("Sr",))}),
    holes=((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),
    spacing_pm=1e3 * STRONTIUM_TITANATE.cell_nm[0] / 2,
    repeats=25,  # 10 nm
    poisson_ratio=0.24,
    background=0.18,
    headroom=1.3,
    added=("Sr",),
)
GRAPHENE_001: Final = Crystal(
    cell_pm=_ALONG_C.cell_pm(GRAPHENE),
    sites=_ALONG_C.sites(GRAPHENE, {("C",): (("Si",),)}),
    holes=((0.0, 1 / 3), (0.5, 5 / 6)),
    spacing_pm=1e3 * GRAPHENE.cell_nm[0] / math.sqrt(3.0),
    repeats=1,
    poisson_ratio=0.17,
    background=0.1,
    headroom=5.0,  # a single silicon atom is four times as bright as carbon
    added=("C",),
)
SILICON_110: Final = Crystal(
    cell_pm=_ALONG_110.cell_pm(SILICON),
    sites=_ALONG_110.sites(SILICON, {("Si",): (("Ge",),)}),  # pairs of columns: "dumbbells"
    holes=((0.5, 0.125), (0.0, 0.625)),
    spacing_pm=1e3 * SILICON.cell_nm[2] / 4,
    repeats=25,
    poisson_ratio=0.22,
    background=0.15,
    headroom=1.8,
    added=("Si",),
)

CRYSTALS: Final = {"SrTiO3": STRONTIUM_TITANATE_001, "graphene": GRAPHENE_001, "Si": SILICON_110}
"""What the imaging camera may look at, by name: SrTiO3 along [001], graphene from above, silicon along [110]."""


@dataclass(frozen=True)
class Lattice:
    """*crystal* turned by *rotation_rad* from x towards y, with a corner of a cell at *origin_pm*."""

    crystal: Crystal
    rotation_rad: float = 0.0
    origin_pm: tuple[float, float] = (0.0, 0.0)

    def within(self, low_pm: Floats, high_pm: Floats) -> Columns:
        """All columns in the rectangle from *low_pm* to *high_pm*, each (2,)."""
        corners = np.array([[x, y] for x in (low_pm[0], high_pm[0]) for y in (low_pm[1], high_pm[1])])
        cells = self.to_cells(corners)
        first, last = np.floor(cells.min(axis=0)) - 1, np.ceil(cells.max(axis=0)) + 1
        across, down = (np.arange(first[axis], last[axis] + 1) for axis in (0, 1))
        places = np.stack(np.meshgrid(across, down, indexing="ij"), axis=-1).reshape(-1, 1, 2)
        sites = self.crystal.sites
        xy = self.to_pm((places + np.array([site.xy for site in sites])).reshape(-1, 2))
        columns = columns_of(self.crystal, xy, np.tile(np.arange(len(sites)), len(places)))
        inside = np.all((xy >= low_pm) & (xy <= high_pm), axis=1)
        return columns.where(inside)

    def nearest_hole(self, place_pm: Floats) -> Floats:
        """The widest gap nearest to *place_pm* (2,)."""
        holes = np.array(self.crystal.holes)
        candidates = self.to_pm(holes + np.round(self.to_cells(place_pm) - holes))
        nearest: Floats = candidates[np.argmin(np.hypot(*(candidates - place_pm).T))]
        return nearest

    def to_cells(self, xy_pm: Floats) -> Floats:
        """Places (..., 2) counted in cells from the origin."""
        cells: Floats = (xy_pm - np.array(self.origin_pm)) @ self._axes() / self.crystal.cell_pm
        return cells

    def to_pm(self, cells: Floats) -> Floats:
        """The inverse of `to_cells`."""
        xy: Floats = (cells * self.crystal.cell_pm) @ self._axes().T + self.origin_pm
        return xy

    def _axes(self) -> Floats:
        """The directions of the cell's two sides, one per column."""
        cosine, sine = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        return np.array([[cosine, -sine], [sine, cosine]])


def columns_of(crystal: Crystal, xy_pm: Floats, site: Ints) -> Columns:
    """Perfect columns at *xy_pm* (n, 2), of the sites whose indices *site* (n,) gives."""
    strengths = np.array([one.strength for one in crystal.sites])
    vibrations = np.array([one.vibration_pm for one in crystal.sites])
    atoms = np.full(len(site), float(crystal.repeats))
    return Columns(xy_pm, strengths[site] * atoms, atoms, vibrations[site], site)
