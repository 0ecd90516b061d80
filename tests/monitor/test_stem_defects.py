"""Defects of crystals: each does to the columns what its name says, where it is, and nothing elsewhere."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from monitor.camera.schedule import Event
from monitor.camera.stem.crystal import ADDED, CRYSTALS, Columns, Lattice
from monitor.camera.stem.defects import (
    DISLOCATION_OFF,
    KINDS,
    MIDDLE,
    TILT_RAD,
    TOO_CLOSE,
    Defect,
    defect_of,
    edge_displacement,
    haze,
    with_defect,
)

SIDE_PM = 8000.0
MIDDLE_PM = np.array([SIDE_PM / 2, SIDE_PM / 2])
NAMES = tuple(CRYSTALS)


def lattice(name: str = "SrTiO3", rotation: float = 0.2) -> Lattice:
    return Lattice(CRYSTALS[name], rotation, (5.0, 7.0))


def perfect(of: Lattice) -> Columns:
    return of.within(np.zeros(2), np.full(2, SIDE_PM))


def defect(kind: str, strength: float = 1.0, choice: float = 0.2) -> Defect:
    return Defect(kind, MIDDLE_PM, strength, 0.5, choice)


# Point defects


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("kind", "choice", "sign"), [("vacancy", 0.0, -1), ("substitution", 0.0, 1)])
def test_one_bright_column_in_the_middle_changes_its_weight_and_no_other(
    name: str, kind: str, choice: float, sign: int
) -> None:
    of = lattice(name)
    before = perfect(of)
    after = with_defect(before, defect(kind, choice=choice), of)
    changed = np.flatnonzero(after.weight != before.weight)
    assert len(changed) == 1
    assert np.sign(after.weight[changed[0]] - before.weight[changed[0]]) == sign
    bright = np.array([bool(of.crystal.sites[site].guests) for site in before.site])
    distance = np.hypot(*(before.xy_pm - MIDDLE_PM).T)
    assert distance[changed[0]] == distance[bright].min()


def test_an_antisite_on_strontium_is_darker_and_on_titanium_brighter() -> None:
    of = lattice()
    before = perfect(of)
    for site, sign in ((0, -1), (1, 1)):
        place = before.xy_pm[before.site == site][100] + 10.0
        after = with_defect(before, Defect("substitution", place, 1.0, 0.0, 0.9), of)
        assert np.sign(after.weight.sum() - before.weight.sum()) == sign


@pytest.mark.parametrize("kind", ["vacancy", "interstitial", "substitution"])
def test_a_stronger_point_defect_of_a_thick_crystal_changes_more_atoms(kind: str) -> None:
    of = lattice()
    before = perfect(of)
    changes = [
        abs(with_defect(before, defect(kind, s), of).weight.sum() - before.weight.sum()) for s in (0.6, 1.0, 1.4)
    ]
    assert 0 < changes[0] < changes[1] < changes[2]
    assert changes[2] <= of.crystal.brightest


def test_in_graphene_a_vacancy_is_a_whole_atom_and_silicon_replaces_a_whole_one() -> None:
    of = lattice("graphene")
    before = perfect(of)
    for strength in (0.6, 1.4):
        assert with_defect(before, defect("vacancy", strength), of).weight.min() == 0.0
        replaced = with_defect(before, defect("substitution", strength), of).weight.max()
        assert replaced / before.weight.max() == pytest.approx((14 / 6) ** 1.7)


@pytest.mark.parametrize("name", NAMES)
def test_an_interstitial_is_one_column_more_in_a_gap_and_its_neighbours_give_way(name: str) -> None:
    of = lattice(name)
    before = perfect(of)
    after = with_defect(before, defect("interstitial"), of)
    assert len(after.weight) == len(before.weight) + 1
    new = after.where(after.site == ADDED)
    np.testing.assert_allclose(new.xy_pm[0], of.nearest_hole(MIDDLE_PM))
    old = np.hypot(*(before.xy_pm - new.xy_pm).T)
    now = np.hypot(*(after.xy_pm[:-1] - new.xy_pm).T)
    assert (now > old).all()
    assert (now - old).max() > 2.0
    assert (now - old)[old > 1500].max() < 2.0


# The dislocation


@pytest.mark.parametrize("ratio", [0.17, 0.24, 0.33])
def test_the_displacement_round_a_dislocation_is_in_equilibrium(ratio: float) -> None:
    """Navier's equation, (1 - 2 nu) lap u + grad div u = 0, by finite differences away from core and cut."""
    step, grid = 2.0, np.arange(-3, 4)
    for centre in ((900.0, 500.0), (-700.0, 800.0), (-300.0, -900.0)):
        y, x = np.meshgrid(centre[1] + step * grid, centre[0] + step * grid, indexing="ij")
        u = edge_displacement(np.stack([x.ravel(), y.ravel()], axis=1), 390.5, ratio).reshape(7, 7, 2)

        def d(field: np.ndarray, axis: int) -> np.ndarray:
            return np.asarray(np.gradient(field, step, axis=axis))

        ux, uy = u[..., 0], u[..., 1]
        divergence = d(ux, 1) + d(uy, 0)
        for part, axis in ((ux, 1), (uy, 0)):
            laplacian = d(d(part, 0), 0) + d(d(part, 1), 1)
            rest = (1 - 2 * ratio) * laplacian + d(divergence, axis)
            assert abs(rest[3, 3]) < 1e-3 * abs(d(d(ux, 1), 0)[3, 3])


@settings(max_examples=30, deadline=None)
@given(st.floats(200.0, 3000.0), st.floats(100.0, 500.0), st.floats(0.1, 0.4))
def test_the_sides_of_the_cut_differ_by_the_burgers_vector(x: float, burgers: float, ratio: float) -> None:
    above, below = edge_displacement(np.array([[-x, 1e-6], [-x, -1e-6]]), burgers, ratio)
    np.testing.assert_allclose(above - below, [burgers, 0.0], atol=1e-3)
    ahead, behind = edge_displacement(np.array([[x, 1e-6], [x, -1e-6]]), burgers, ratio)
    np.testing.assert_allclose(ahead, behind, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rotation", [0.0, 0.4])
@pytest.mark.parametrize(("choice", "sign"), [(0.2, 1.0), (0.8, -1.0)])
@pytest.mark.parametrize(("around", "closes"), [(True, False), (False, True)])
def test_a_burgers_circuit_fails_to_close_by_one_burgers_vector_only_round_the_core(
    name: str, rotation: float, choice: float, sign: float, around: bool, closes: bool
) -> None:
    of = lattice(name, rotation)
    before = perfect(of)
    after = with_defect(before, defect("dislocation", choice=choice), of)
    mine = before.site == 0
    cells = np.round(of.to_cells(before.xy_pm[mine])).astype(int)
    found = {(int(i), int(j)): of.to_cells(xy) for (i, j), xy in zip(cells, after.xy_pm[mine], strict=True)}
    middle = np.round(of.to_cells(MIDDLE_PM)).astype(int) + (np.zeros(2, int) if around else np.array([0, 4]))
    half = 4 if around else 2
    sides = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    at = (int(middle[0]) - half, int(middle[1]) - half)
    total = np.zeros(2)
    for right, down in sides:
        for _ in range(2 * half):
            to = (at[0] + right, at[1] + down)
            total += np.round(found[to] - found[at])  # the step that it would be in the perfect crystal
            at = to
    np.testing.assert_allclose(total, [0.0, 0.0] if closes else [-sign, 0.0])


def test_a_dislocation_leaves_the_crystal_whole_across_its_cut() -> None:
    of = lattice()
    after = with_defect(perfect(of), defect("dislocation"), of)
    off_core = np.hypot(*(after.xy_pm - MIDDLE_PM).T) > 1000.0
    inside = ((after.xy_pm > 800) & (after.xy_pm < SIDE_PM - 800)).all(axis=1)
    nearest, _ = cKDTree(after.xy_pm).query(after.xy_pm[off_core & inside], k=5)
    assert nearest[:, 1].min() > 0.85 * of.crystal.spacing_pm
    assert nearest[:, 1].max() < 1.15 * of.crystal.spacing_pm


# The grain boundary


@pytest.mark.parametrize("name", NAMES)
def test_a_grain_boundary_turns_one_side_and_leaves_the_other(name: str) -> None:
    of = lattice(name)
    before = perfect(of)
    after = with_defect(before, defect("grain_boundary", 1.2), of)
    normal = np.array([math.cos(0.5), math.sin(0.5)])
    beyond = (after.xy_pm - MIDDLE_PM) @ normal >= 0
    here = before.where((before.xy_pm - MIDDLE_PM) @ normal < 0)
    np.testing.assert_array_equal(after.xy_pm[~beyond], here.xy_pm)
    turned = Lattice(of.crystal, of.rotation_rad + 1.2 * TILT_RAD, (float(MIDDLE_PM[0]), float(MIDDLE_PM[1])))
    sites = np.array([site.xy for site in of.crystal.sites])
    off = turned.to_cells(after.xy_pm[beyond]) - sites[after.site[beyond]]
    np.testing.assert_allclose(off, np.round(off), atol=1e-6)
    assert beyond.sum() == pytest.approx((~beyond).sum(), rel=0.12)
    nearest, _ = cKDTree(after.xy_pm).query(after.xy_pm, k=2)
    assert nearest[:, 1].min() >= TOO_CLOSE * of.crystal.spacing_pm


# Contamination, and all of them


def test_contamination_grows_is_thickest_at_its_place_and_leaves_the_columns_alone() -> None:
    of = lattice()
    before = perfect(of)
    dirt = defect("contamination")
    assert with_defect(before, dirt, of) is before
    axis = np.linspace(0.0, SIDE_PM, 61)
    layers = haze(dirt, np.linspace(0.1, 1.0, 5), axis, axis[:41], np.array([SIDE_PM, SIDE_PM]))
    assert layers.shape == (5, 41, 61)
    assert (np.diff(layers, axis=0) > 0).all()
    assert np.unravel_index(layers[-1].argmax(), (41, 61)) == (30, 30)
    assert layers.min() > 0
    assert np.abs(np.diff(layers[-1], axis=1)).max() < 0.05 * layers[-1].max()  # smooth


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(NAMES),
    st.floats(0.6, 1.4),
    st.floats(-3.0, 3.0),
    st.integers(0, 2**63 - 1),
)
def test_every_defect_leaves_a_sound_list_of_columns(
    kind: str, name: str, strength: float, rotation: float, seed: int
) -> None:
    of = lattice(name, rotation)
    before = perfect(of)
    event = Event(kind, 10, 20, settles_seq=21, strength=strength, seed=seed)
    one, again = (defect_of(event, MIDDLE_PM, np.full(2, 2000.0)) for _ in range(2))
    after, same = with_defect(before, one, of), with_defect(before, again, of)
    np.testing.assert_array_equal(after.xy_pm, same.xy_pm)
    assert {len(values) for values in after} == {len(after.weight)}
    assert np.isfinite(after.xy_pm).all()
    assert (after.weight >= 0).all()
    assert (after.atoms >= 1).all()
    assert np.abs(one.place_pm - MIDDLE_PM).max() <= 2000.0 * max(MIDDLE, DISLOCATION_OFF) + 1e-9


def test_the_strongest_dislocations_lie_in_the_middle() -> None:
    off = [
        np.hypot(
            *(
                defect_of(Event("dislocation", 0, 9, 10, strength, 3), MIDDLE_PM, np.full(2, 1000.0)).place_pm
                - MIDDLE_PM
            )
        )
        for strength in (0.6, 1.0, 1.4)
    ]
    assert off == pytest.approx([1000 * DISLOCATION_OFF, 500 * DISLOCATION_OFF, 0.0])
