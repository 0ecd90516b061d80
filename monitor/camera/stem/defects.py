"""What can be wrong with a crystal: columns in, columns out. Lengths are picometres. Pure.

A defect lies at a fixed place on the specimen for as long as its event lasts, so that it drifts with everything else.
Whole atoms are missing, added or replaced: *strength* says how many of a column, and in a sheet one atom thick always
one. An edge dislocation has a whole Burgers vector or none; the stronger, the nearer to the middle.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from monitor.camera.schedule import Event
from monitor.camera.stem.crystal import ADDED, Columns, Crystal, Floats, Lattice, scattering

DURATIONS_FRAMES: Final = {
    "vacancy": (15, 60),
    "interstitial": (10, 40),
    "substitution": (15, 60),
    "dislocation": (20, 80),
    "grain_boundary": (20, 80),
    "contamination": (30, 90),
}
"""Kind -> its shortest and longest duration."""

KINDS: Final = tuple(DURATIONS_FRAMES)

MIDDLE: Final = 0.12  # how far from the middle of the field a defect may lie, as a share of the field's sides
MISSING: Final = 0.7  # share of a column's atoms, at strength 1
REPLACED: Final = 0.5
CROWDED: Final = 0.6  # atoms of an interstitial column, in columns of the crystal
RELAXATION_PM: Final = 12.0  # how far the nearest neighbours of a point defect give way, at strength 1
DISLOCATION_OFF: Final = 0.3  # of the field: how far out the faintest dislocation lies
WEAKEST: Final = 0.6  # of the strengths that a schedule draws
TILT_RAD: Final = math.radians(18.0)  # from grain to grain, at strength 1
TOO_CLOSE: Final = 0.7  # of the crystal's spacing: two columns at a boundary, of which one gives way
HAZE: Final = 0.45  # of hydrocarbons at its thickest, in peaks of the brightest column, at strength 1
HAZE_RADIUS: Final = 0.4  # standard deviation, as a share of the field's shorter side


class Defect(NamedTuple):
    """One defect of the specimen."""

    kind: str
    place_pm: Floats  # (2,) on the specimen, before it finds its column or gap
    strength: float
    turn_rad: float  # of what has a direction
    choice: float  # 0 to 1, among what may be chosen


def defect_of(event: Event, middle_pm: Floats, field_pm: Floats) -> Defect:
    """The defect that *event* is, near the middle (2,) of a field of the sides *field_pm* (2,)."""
    draws = event.draws()
    turn, choice = float(draws.uniform(0.0, 2 * math.pi)), float(draws.random())
    off = draws.uniform(-MIDDLE, MIDDLE, 2)
    if event.kind == "dislocation":
        out = DISLOCATION_OFF * max(1.0 - (event.strength - WEAKEST) / (2 * (1.0 - WEAKEST)), 0.0)
        off = out * np.array([math.cos(turn), math.sin(turn)])
    return Defect(event.kind, middle_pm + off * field_pm, event.strength, turn, choice)


def with_defect(columns: Columns, defect: Defect, lattice: Lattice) -> Columns:
    """*columns* of *lattice* as *defect* leaves them; contamination lies on them and leaves them as they are."""
    match defect.kind:
        case "vacancy":
            return _vacancy(columns, defect, lattice.crystal)
        case "interstitial":
            return _interstitial(columns, defect, lattice)
        case "substitution":
            return _substitution(columns, defect, lattice.crystal)
        case "dislocation":
            return _dislocation(columns, defect, lattice)
        case "grain_boundary":
            return _grain_boundary(columns, defect, lattice)
    return columns


def haze(defect: Defect, grown: Floats, across_pm: Floats, down_pm: Floats, field_pm: Floats) -> Floats:
    """What a contamination adds, *grown* (n,) from 0 to 1: (n, h, w) in peaks of the brightest column.

    *across_pm* (w,) and *down_pm* (h,) are the places of the field's columns and rows. The beam draws hydrocarbons to
    where it scans: most in the middle, something everywhere.
    """
    radius_pm = HAZE_RADIUS * float(field_pm.min())
    right = np.exp(-0.5 * np.square((across_pm - defect.place_pm[0]) / radius_pm))
    down = np.exp(-0.5 * np.square((down_pm - defect.place_pm[1]) / radius_pm))
    grown = HAZE * defect.strength * grown
    layer: Floats = grown[:, None, None] * (0.3 + 0.7 * down[:, None] * right)
    return layer


def edge_displacement(xy_pm: Floats, burgers_pm: float, poisson_ratio: float) -> Floats:
    """Displacement (n, 2) at *xy_pm* (n, 2) from an edge dislocation with its Burgers vector along x.

    Isotropic elasticity: Hirth and Lothe 1982, chapter 3. The cut is the negative x axis, the glide plane itself: the
    two sides differ by a whole Burgers vector along it, which a lattice does not notice.
    """
    x, y = xy_pm.T
    squared = np.maximum(x**2 + y**2, (0.1 * burgers_pm) ** 2)  # the core itself is beyond elasticity
    stiff = 1.0 - poisson_ratio
    along = np.arctan2(y, x) + x * y / (2 * stiff * squared)
    up = (1 - 2 * poisson_ratio) / (4 * stiff) * np.log(squared / burgers_pm**2) + (x**2 - y**2) / (4 * stiff * squared)
    moved: Floats = burgers_pm / (2 * math.pi) * np.stack([along, -up], axis=1)
    return moved


def _vacancy(columns: Columns, defect: Defect, crystal: Crystal) -> Columns:
    """Atoms missing from the nearest column; its neighbours move outwards."""
    here = _nearest(columns, defect.place_pm, _bright(columns, crystal))
    left = crystal.repeats - _whole(MISSING * defect.strength, crystal.repeats)
    weight, atoms = columns.weight.copy(), columns.atoms.copy()
    weight[here] *= left / crystal.repeats
    atoms[here] = max(left, 1)
    moved = _pushed(columns, columns.xy_pm[here], defect.strength, crystal)
    return columns._replace(xy_pm=moved, weight=weight, atoms=atoms)


def _interstitial(columns: Columns, defect: Defect, lattice: Lattice) -> Columns:
    """A column too many in the nearest gap; its neighbours give way."""
    crystal = lattice.crystal
    place = lattice.nearest_hole(defect.place_pm)
    atoms = float(_whole(CROWDED * defect.strength, crystal.repeats))
    new = Columns(
        xy_pm=place[None],
        weight=np.array([atoms * scattering(crystal.added)]),
        atoms=np.array([atoms]),
        vibration_pm=np.array([crystal.sites[0].vibration_pm]),
        site=np.array([ADDED]),
    )
    return columns._replace(xy_pm=_pushed(columns, place, defect.strength, crystal)).and_also(new)


def _substitution(columns: Columns, defect: Defect, crystal: Crystal) -> Columns:
    """Atoms of the nearest column replaced by another species."""
    here = _nearest(columns, defect.place_pm, _bright(columns, crystal))
    site = crystal.sites[columns.site[here]]
    guest = site.guests[min(int(defect.choice * len(site.guests)), len(site.guests) - 1)]
    replaced = _whole(REPLACED * defect.strength, crystal.repeats)
    weight = columns.weight.copy()
    weight[here] += replaced * (scattering(guest) - site.strength)
    return columns._replace(weight=weight)


def _dislocation(columns: Columns, defect: Defect, lattice: Lattice) -> Columns:
    """An extra half-plane that ends in the nearest gap; the Burgers vector is the cell's side along x, or its opposite.

    The gap lies half-way between two rows of columns, so the glide plane meets none.
    """
    crystal = lattice.crystal
    core = lattice.nearest_hole(defect.place_pm)
    sign = 1.0 if defect.choice < 0.5 else -1.0
    turned = Lattice(crystal, lattice.rotation_rad)
    own = turned.to_cells(columns.xy_pm - core) * crystal.cell_pm
    own += edge_displacement(own, sign * crystal.cell_pm[0], crystal.poisson_ratio)
    return columns._replace(xy_pm=core + turned.to_pm(own / crystal.cell_pm))


def _grain_boundary(columns: Columns, defect: Defect, lattice: Lattice) -> Columns:
    """Beyond a straight line through the place, the crystal of another grain, turned against this one."""
    crystal = lattice.crystal
    place = defect.place_pm
    turned = lattice.rotation_rad + TILT_RAD * defect.strength
    other = Lattice(crystal, turned, (float(place[0]), float(place[1])))
    normal = np.array([math.cos(defect.turn_rad), math.sin(defect.turn_rad)])
    here = columns.where((columns.xy_pm - place) @ normal < 0)
    there = other.within(columns.xy_pm.min(axis=0), columns.xy_pm.max(axis=0))
    there = there.where((there.xy_pm - place) @ normal >= 0)
    if len(here.xy_pm) and len(there.xy_pm):
        gaps, _ = cKDTree(here.xy_pm).query(there.xy_pm)
        there = there.where(gaps > TOO_CLOSE * crystal.spacing_pm)
    return here.and_also(there)


def _bright(columns: Columns, crystal: Crystal) -> npt.NDArray[np.bool_]:
    """Which columns would be missed: those whose site has guests."""
    return np.array([bool(site.guests) for site in crystal.sites])[columns.site]


def _nearest(columns: Columns, place_pm: Floats, among: npt.NDArray[np.bool_]) -> int:
    distance = np.where(among, np.hypot(*(columns.xy_pm - place_pm).T), np.inf)
    return int(np.argmin(distance))


def _whole(share: float, repeats: int) -> int:
    """*share* of a column in whole atoms: one at least, all at most."""
    return min(max(round(share * repeats), 1), repeats)


def _pushed(columns: Columns, place_pm: Floats, strength: float, crystal: Crystal) -> Floats:
    """The places (n, 2) of *columns*, pushed away from *place_pm*: less with distance, as round a misfitting rod."""
    away = columns.xy_pm - place_pm
    distance = np.hypot(*away.T)[:, None]
    push = RELAXATION_PM * strength * crystal.spacing_pm / np.maximum(distance, crystal.spacing_pm) ** 2
    moved: Floats = columns.xy_pm + away * np.where(distance > 0, push, 0.0)
    return moved
