"""Crystals and the foil they are made into: what is allowed to reflect, how strongly, and how smoothly it varies."""

import math

import numpy as np
import pytest

from monitor.camera.stem.specimen import (
    BEND_MRAD,
    BOHR_NM,
    CRYSTALS,
    GOLD,
    SHORTEST_WAVE,
    SILICON,
    STRONTIUM_TITANATE,
    THICKNESS_SPREAD,
    Crystal,
    Specimen,
    scattering_nm,
)


def families(crystal: Crystal, highest_per_nm: float) -> list[tuple[int, ...]]:
    """The indices of a crystal's reflections without signs and order, each family once, by length."""
    hkl = crystal.reflections(highest_per_nm).hkl
    return list(dict.fromkeys(tuple(sorted(map(abs, row.tolist()))) for row in hkl))


@pytest.mark.parametrize(
    ("crystal", "allowed"),
    [
        (SILICON, [(0, 0, 0), (1, 1, 1), (0, 2, 2), (1, 1, 3), (0, 0, 4), (1, 3, 3)]),  # no 002, 222: diamond
        (GOLD, [(0, 0, 0), (0, 0, 2), (0, 2, 2), (0, 0, 4), (0, 2, 4)]),  # no mixed indices: face-centred
        (STRONTIUM_TITANATE, [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 0, 2), (0, 1, 2)]),  # all: primitive
    ],
)
def test_the_structure_decides_what_reflects(crystal: Crystal, allowed: list[tuple[int, ...]]) -> None:
    assert families(crystal, 14.0)[: len(allowed)] == allowed


@pytest.mark.parametrize("crystal", [*CRYSTALS.values(), GOLD], ids=lambda crystal: crystal.name)
def test_the_pattern_shows_reciprocal_vectors_at_their_true_length(crystal: Crystal) -> None:
    reflections = crystal.reflections(20.0)
    true = np.linalg.norm(reflections.hkl, axis=1) / crystal.edge_nm
    np.testing.assert_allclose(np.linalg.norm(reflections.per_nm, axis=1), true, atol=1e-9)
    assert (np.diff(true) >= -1e-9).all()
    assert not reflections.per_nm[0].any()
    assert not (reflections.hkl @ np.array(crystal.zone)).any()


def test_silicon_has_its_known_spacings_and_angles() -> None:
    reflections = SILICON.reflections(6.0)
    place = {tuple(row.tolist()): vector for row, vector in zip(reflections.hkl, reflections.per_nm, strict=True)}
    assert 1 / np.hypot(*place[1, -1, 1]) == pytest.approx(0.3136, abs=1e-4)
    assert 1 / np.hypot(*place[2, -2, 0]) == pytest.approx(0.1920, abs=1e-4)
    cosine = place[1, -1, 1] @ place[1, -1, -1] / (place[1, -1, 1] @ place[1, -1, 1])
    assert math.degrees(math.acos(cosine)) == pytest.approx(70.53, abs=0.01)


def test_friedel_pairs_are_equally_strong() -> None:
    hkl = SILICON.reflections(15.0).hkl
    pair = np.abs(SILICON.structure_factors(hkl)), np.abs(SILICON.structure_factors(-hkl))
    np.testing.assert_allclose(*pair)


def test_an_atom_scatters_far_out_like_its_bare_nucleus() -> None:
    far = np.array([1e6])  # 1/nm2
    rutherford = 2.0 * 14 / (BOHR_NM * 4.0 * math.pi**2 * far)
    np.testing.assert_allclose(scattering_nm(14, far), rutherford, rtol=1e-3)


def test_heat_weakens_a_reflection_by_the_debye_waller_factor() -> None:
    hot = SILICON._replace(debye_waller_nm2=SILICON.debye_waller_nm2 + 0.01)
    hkl = np.array([[0, 0, 0], [2, -2, 0], [0, 0, 8]])
    ratio = np.abs(hot.structure_factors(hkl) / SILICON.structure_factors(hkl))
    np.testing.assert_allclose(ratio, np.exp(-0.01 * np.square(hkl).sum(axis=1) / SILICON.edge_nm**2 / 4.0))


def test_extinction_distances_are_of_the_published_order() -> None:
    """Si at 100 kV: 60.2 nm for 111 and 75.7 nm for 220 (Hirsch et al. 1965); this atom's scatter somewhat less."""
    wavelength_nm, heavier = 3.701e-3, 1.1957
    factor = np.abs(SILICON.structure_factors(np.array([[1, -1, 1], [2, -2, 0]])))
    distance_nm = math.pi * SILICON.edge_nm**3 / (heavier * wavelength_nm * factor)
    longer = distance_nm / [60.2, 75.7]
    assert longer.min() > 1.0
    assert longer.max() < 1.6


def test_the_foil_varies_as_much_as_stated_and_slowly() -> None:
    spots = np.random.default_rng(0).uniform(0.0, 3e5, (20_000, 2))
    local = Specimen(12.0, np.random.default_rng(5)).at(spots)
    assert np.log(local.thickness_nm / 12.0).std() == pytest.approx(THICKNESS_SPREAD, rel=0.1)
    assert np.log(local.thickness_nm / 12.0).mean() == pytest.approx(0.0, abs=0.01)
    assert 1e6 * np.square(local.tilt_rad).sum(axis=1).mean() == pytest.approx(2 * BEND_MRAD**2, rel=0.1)
    beside = Specimen(12.0, np.random.default_rng(5)).at(spots + np.array([1.0, 0.0]))
    steepest = 2 * math.pi / SHORTEST_WAVE
    assert np.log(beside.thickness_nm / local.thickness_nm).std() < steepest * THICKNESS_SPREAD
    assert 1e3 * (beside.tilt_rad - local.tilt_rad).std() < steepest * BEND_MRAD


def test_the_tilt_is_the_slope_of_a_surface() -> None:
    foil = Specimen(12.0, np.random.default_rng(5))
    spots = np.random.default_rng(1).uniform(0.0, 1000.0, (50, 2))
    right, down = 0.5 * np.eye(2)
    along = (foil.at(spots + right).tilt_rad - foil.at(spots - right).tilt_rad)[:, 1]
    across = (foil.at(spots + down).tilt_rad - foil.at(spots - down).tilt_rad)[:, 0]
    np.testing.assert_allclose(along, across, atol=1e-3 * np.abs(along).max())


def test_two_foils_differ() -> None:
    spots = np.zeros((1, 2))
    one, other = (Specimen(12.0, np.random.default_rng(seed)).at(spots) for seed in (1, 2))
    assert one.thickness_nm != other.thickness_nm
