"""Crystals along a zone axis, as a high-angle annular dark field detector sees them: columns of atoms in a plane.

Lengths are picometres; places are (x, y) with x along the fast scan and y down the slow one. Pure.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

ATOMIC_NUMBER: Final = {"C": 6, "O": 8, "Si": 14, "Ti": 22, "Ge": 32, "Sr": 38, "Nb": 41, "La": 57}

Z_POWER: Final = 1.7
"""Scattering to high angles goes with Z squared (Rutherford; Pennycook and Jesson 1991), less what the electrons of the
atom screen: about Z^1.7 for single atoms (Krivanek et al. 2010)."""

ADDED: Final = -1
"""The site of a column that the perfect crystal does not have."""


class Site(NamedTuple):
    """A column of the unit cell: the atoms of one repeat along the beam."""

    name: str
    species: tuple[str, ...]
    xy: tuple[float, float]  # in cells
    debye_waller_a2: float  # B in square angstroms, as the literature gives it; B = 8 pi^2 <u^2>
    guests: tuple[tuple[str, ...], ...] = ()  # what may replace its atoms; nothing: too faint to bother

    @property
    def strength(self) -> float:
        """What one repeat scatters to high angles."""
        return scattering(self.species)

    @property
    def vibration_pm(self) -> float:
        """Root mean square thermal displacement along one axis."""
        return 100.0 * math.sqrt(self.debye_waller_a2 / (8.0 * math.pi**2))


@dataclass(frozen=True)
class Crystal:
    """A crystal seen along an axis. Its cell is the rectangle that repeats in the picture."""

    name: str
    cell_pm: tuple[float, float]
    sites: tuple[Site, ...]
    holes: tuple[tuple[float, float], ...]  # in cells: the widest gaps between its columns
    spacing_pm: float  # between the nearest two columns
    repeats: int  # along the beam: how thick the specimen is
    poisson_ratio: float
    background: float  # what the whole picture has on top, in peaks of the brightest column
    headroom: float  # how many such peaks fit between black and white
    added: tuple[str, ...]  # one repeat of a column that lies where none should

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


def scattering(species: tuple[str, ...]) -> float:
    """What atoms of *species* scatter to high angles: the sum of Z^1.7."""
    return float(sum(ATOMIC_NUMBER[one] ** Z_POWER for one in species))


STRONTIUM_TITANATE: Final = Crystal(
    # Lattice constant and thermal factors at room temperature: Abramov et al. 1995. Guests: the usual donors, and
    # the other cation (antisite).
    name="SrTiO3",
    cell_pm=(390.5, 390.5),
    sites=(
        Site("Sr", ("Sr",), (0.0, 0.0), 0.62, (("La",), ("Ti",))),
        Site("Ti-O", ("Ti", "O"), (0.5, 0.5), 0.44, (("Nb", "O"), ("Sr",))),
        Site("O", ("O",), (0.5, 0.0), 0.73),
        Site("O", ("O",), (0.0, 0.5), 0.73),
    ),
    holes=((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),
    spacing_pm=390.5 / 2,
    repeats=25,  # 10 nm
    poisson_ratio=0.24,
    background=0.18,
    headroom=1.3,
    added=("Sr",),
)

GRAPHENE: Final = Crystal(
    # 142 pm from atom to atom (Castro Neto et al. 2009). The thermal factor is of the size of graphite's in the plane.
    name="graphene",
    cell_pm=(246.0, 246.0 * math.sqrt(3.0)),
    sites=tuple(Site("C", ("C",), xy, 0.35, (("Si",),)) for xy in ((0.0, 0.0), (0.5, 1 / 6), (0.5, 0.5), (0.0, 2 / 3))),
    holes=((0.0, 1 / 3), (0.5, 5 / 6)),
    spacing_pm=246.0 / math.sqrt(3.0),
    repeats=1,
    poisson_ratio=0.17,
    background=0.1,
    headroom=5.0,  # a single silicon atom is four times as bright as carbon
    added=("C",),
)

SILICON: Final = Crystal(
    # Pairs of columns 136 pm apart, "dumbbells". 543.1 pm; B as Aldred and Hart 1973 measured it.
    name="Si",
    cell_pm=(543.1 / math.sqrt(2.0), 543.1),
    sites=tuple(Site("Si", ("Si",), xy, 0.46, (("Ge",),)) for xy in ((0.0, 0.0), (0.0, 0.25), (0.5, 0.5), (0.5, 0.75))),
    holes=((0.5, 0.125), (0.0, 0.625)),
    spacing_pm=543.1 / 4,
    repeats=25,
    poisson_ratio=0.22,
    background=0.15,
    headroom=1.8,
    added=("Si",),
)

CRYSTALS: Final = {crystal.name: crystal for crystal in (STRONTIUM_TITANATE, GRAPHENE, SILICON)}
"""By name: SrTiO3 along [001], graphene from above, silicon along [110]."""


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

    def _axes(self) -> npt.NDArray[Any]:
        """The directions of the cell's two sides, one per column."""
        cosine, sine = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        return np.array([[cosine, -sine], [sine, cosine]])


def columns_of(crystal: Crystal, xy_pm: Floats, site: Ints) -> Columns:
    """Perfect columns at *xy_pm* (n, 2), of the sites whose indices *site* (n,) gives."""
    strengths = np.array([one.strength for one in crystal.sites])
    vibrations = np.array([one.vibration_pm for one in crystal.sites])
    atoms = np.full(len(site), float(crystal.repeats))
    return Columns(xy_pm, strengths[site] * atoms, atoms, vibrations[site], site)
