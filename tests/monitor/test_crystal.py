"""Crystals: the distances, densities and brightnesses that handbooks give, at any rotation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from monitor.camera.stem.crystal import (
    CRYSTALS,
    GRAPHENE_001,
    STRONTIUM_TITANATE_001,
    Axes,
    Columns,
    Lattice,
)
from monitor.camera.stem.materials import ATOMIC_NUMBER, GOLD, STRONTIUM_TITANATE

FIELD_PM = np.array([6000.0, 5000.0])

crystals = st.sampled_from(list(CRYSTALS.values()))
rotations = st.floats(-math.pi, math.pi)
origins = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))


def field(lattice: Lattice) -> Columns:
    return lattice.within(np.zeros(2), FIELD_PM)


def of_site(columns: Columns, *indices: int) -> np.ndarray:
    return columns.xy_pm[np.isin(columns.site, indices)]


# Where columns are


@pytest.mark.parametrize(
    ("name", "one", "other", "spacing_pm"),
    [
        ("SrTiO3", (0,), (0,), 390.5),
        ("SrTiO3", (1,), (1,), 390.5),
        ("SrTiO3", (0,), (1,), 390.5 / math.sqrt(2)),
        ("SrTiO3", (1,), (2, 3), 390.5 / 2),
        ("graphene", (0, 1, 2, 3), (0, 1, 2, 3), 142.0),
        ("Si", (0, 1, 2, 3), (0, 1, 2, 3), 135.8),  # the dumbbell
        ("Si", (0,), (0,), 384.0),
    ],
)
def test_nearest_columns_are_as_far_apart_as_in_life(
    name: str, one: tuple[int, ...], other: tuple[int, ...], spacing_pm: float
) -> None:
    columns = field(Lattice(CRYSTALS[name], 0.3))
    distances, _ = cKDTree(of_site(columns, *other)).query(of_site(columns, *one), k=2)
    nearest = np.where(distances[:, 0] > 1e-3, distances[:, 0], distances[:, 1])
    assert np.median(nearest) == pytest.approx(spacing_pm, rel=2e-3)


def test_every_carbon_atom_has_three_neighbours() -> None:
    columns = field(Lattice(GRAPHENE_001, 1.0))
    tree = cKDTree(columns.xy_pm)
    inside = ((columns.xy_pm > 300) & (columns.xy_pm < FIELD_PM - 300)).all(axis=1)
    bonds = [len(near) - 1 for near in tree.query_ball_point(columns.xy_pm[inside], 150.0)]
    assert set(bonds) == {3}


@pytest.mark.parametrize(("name", "repeat_nm", "atoms_per_nm3"), [("SrTiO3", 0.3905, 84.0), ("Si", 0.38403, 49.9)])
def test_as_many_atoms_fill_a_volume_as_in_life(name: str, repeat_nm: float, atoms_per_nm3: float) -> None:
    crystal = CRYSTALS[name]
    atoms = sum(len(site.species) for site in crystal.sites)
    assert atoms / (math.prod(crystal.cell_pm) * 1e-6 * repeat_nm) == pytest.approx(atoms_per_nm3, rel=5e-3)


@settings(max_examples=50, deadline=None)
@given(crystals, rotations, origins)
def test_a_field_is_filled_once_whatever_its_place_and_rotation(
    crystal: object, rotation: float, origin: tuple[float, float]
) -> None:
    lattice = Lattice(crystal, rotation, origin)
    columns = field(lattice)
    expected = len(lattice.crystal.sites) * FIELD_PM.prod() / math.prod(lattice.crystal.cell_pm)
    rim = 2 * FIELD_PM.sum() / lattice.crystal.spacing_pm
    assert abs(len(columns.weight) - expected) < rim
    nearest, _ = cKDTree(columns.xy_pm).query(columns.xy_pm, k=2)
    assert nearest[:, 1].min() == pytest.approx(lattice.crystal.spacing_pm, rel=1e-3)
    larger = lattice.within(-FIELD_PM, 2 * FIELD_PM)
    within = ((larger.xy_pm >= 0) & (larger.xy_pm <= FIELD_PM)).all(axis=1)
    assert within.sum() == len(columns.weight)


@settings(max_examples=50, deadline=None)
@given(crystals, rotations, origins, st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)))
def test_cells_and_picometres_are_two_names_of_one_place(
    crystal: object, rotation: float, origin: tuple[float, float], place: tuple[float, float]
) -> None:
    lattice = Lattice(crystal, rotation, origin)
    np.testing.assert_allclose(lattice.to_pm(lattice.to_cells(np.array(place))), place, atol=1e-6)


@pytest.mark.parametrize("name", CRYSTALS)
def test_the_nearest_hole_is_near_and_no_column_lies_in_it(name: str) -> None:
    lattice = Lattice(CRYSTALS[name], 0.7, (12.0, 34.0))
    tree = cKDTree(lattice.within(-FIELD_PM, FIELD_PM).xy_pm)
    rng = np.random.default_rng(1)
    for place in rng.uniform(-1000.0, 1000.0, (50, 2)):
        hole = lattice.nearest_hole(place)
        assert np.hypot(*(hole - place)) < max(lattice.crystal.cell_pm)
        assert tree.query(hole)[0] > 0.69 * lattice.crystal.spacing_pm


# How bright they are


def test_brightness_goes_with_the_power_1_7_of_the_atomic_number() -> None:
    columns = field(Lattice(STRONTIUM_TITANATE_001))
    strontium, titanium, oxygen = (columns.weight[columns.site == site][0] for site in (0, 1, 2))
    assert strontium / titanium == pytest.approx(38**1.7 / (22**1.7 + 8**1.7))
    assert strontium / oxygen == pytest.approx((38 / 8) ** 1.7)
    assert strontium == STRONTIUM_TITANATE_001.brightest


def test_thermal_vibration_follows_from_the_debye_waller_factor() -> None:
    """Sr and O vibrate as their own B says; a column of Ti and O in between, nearer to Ti, which is most of it."""
    strontium, mixed, oxygen, _ = (site.vibration_pm for site in STRONTIUM_TITANATE_001.sites)
    of = {name: 100 * math.sqrt(b / (8 * math.pi**2)) for name, b in STRONTIUM_TITANATE.debye_waller_a2.items()}
    assert (strontium, oxygen) == pytest.approx((of["Sr"], of["O"]))
    assert of["Ti"] < mixed < of["Ti"] + 0.3 * (of["O"] - of["Ti"])
    assert 8.0 < strontium < 10.0


# What a material looks like along an axis


def test_atoms_above_each_other_make_one_column_and_those_of_the_next_repeat_are_not_counted_again() -> None:
    species = [[site.species for site in crystal.sites] for crystal in CRYSTALS.values()]
    assert species == [[("Sr",), ("Ti", "O"), ("O",), ("O",)], [("C",)] * 4, [("Si",)] * 4]


def test_another_axis_of_a_cubic_crystal_shows_another_rectangle() -> None:
    """Gold along [110]: one column in the corner and one in the middle of a / sqrt(2) by a."""
    axes = Axes((0.5, -0.5, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.0))
    assert axes.cell_pm(GOLD) == pytest.approx((407.9 / math.sqrt(2.0), 407.9))
    assert [(site.species, site.xy) for site in axes.sites(GOLD, {})] == [(("Au",), (0.0, 0.0)), (("Au",), (0.5, 0.5))]


@pytest.mark.parametrize("name", CRYSTALS)
def test_every_bright_column_has_guests_and_every_guest_an_atomic_number(name: str) -> None:
    crystal = CRYSTALS[name]
    guests = {one for site in crystal.sites for guest in site.guests for one in guest}
    assert guests | set(crystal.added) <= set(ATOMIC_NUMBER)
    for site in crystal.sites:
        assert bool(site.guests) == (site.species != ("O",))
