"""What crystals reflect: what their structure allows, where Bragg puts it, as strongly as atoms and heat let it."""

import math

import numpy as np
import pytest

from monitor.camera.stem.materials import SILICON, STRONTIUM_TITANATE
from monitor.camera.stem.reflections import (
    BOHR_NM,
    GOLD_001,
    SILICON_110,
    STRONTIUM_TITANATE_001,
    ZONES,
    Zone,
    scattering_nm,
    structure_factors,
)


def families(zone: Zone, highest_per_nm: float) -> list[tuple[int, ...]]:
    """The indices of a zone's reflections without signs and order, each family once, by length."""
    hkl = zone.reflections(highest_per_nm).hkl
    return list(dict.fromkeys(tuple(sorted(map(abs, row.tolist()))) for row in hkl))


@pytest.mark.parametrize(
    ("zone", "allowed"),
    [
        (SILICON_110, [(0, 0, 0), (1, 1, 1), (0, 2, 2), (1, 1, 3), (0, 0, 4), (1, 3, 3)]),  # no 002, 222: diamond
        (GOLD_001, [(0, 0, 0), (0, 0, 2), (0, 2, 2), (0, 0, 4), (0, 2, 4)]),  # no mixed indices: face-centred
        (STRONTIUM_TITANATE_001, [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 0, 2), (0, 1, 2)]),  # all: primitive
    ],
)
def test_the_structure_decides_what_reflects(zone: Zone, allowed: list[tuple[int, ...]]) -> None:
    assert families(zone, 14.0)[: len(allowed)] == allowed


@pytest.mark.parametrize("zone", [*ZONES.values(), GOLD_001])
def test_the_pattern_shows_reciprocal_vectors_at_their_true_length(zone: Zone) -> None:
    reflections = zone.reflections(20.0)
    true = np.linalg.norm(reflections.hkl, axis=1) / zone.material.cell_nm[0]
    np.testing.assert_allclose(np.linalg.norm(reflections.per_nm, axis=1), true, atol=1e-9)
    assert (np.diff(true) >= -1e-9).all()
    assert not reflections.per_nm[0].any()
    assert not (reflections.hkl @ np.array(zone.axis)).any()


def test_silicon_has_its_known_spacings_and_angles() -> None:
    reflections = SILICON_110.reflections(6.0)
    place = {tuple(row.tolist()): vector for row, vector in zip(reflections.hkl, reflections.per_nm, strict=True)}
    assert 1 / np.hypot(*place[1, -1, 1]) == pytest.approx(0.3136, abs=1e-4)
    assert 1 / np.hypot(*place[2, -2, 0]) == pytest.approx(0.1920, abs=1e-4)
    cosine = place[1, -1, 1] @ place[1, -1, -1] / (place[1, -1, 1] @ place[1, -1, 1])
    assert math.degrees(math.acos(cosine)) == pytest.approx(70.53, abs=0.01)


def test_friedel_pairs_are_equally_strong() -> None:
    hkl = SILICON_110.reflections(15.0).hkl
    pair = np.abs(structure_factors(SILICON, hkl)), np.abs(structure_factors(SILICON, -hkl))
    np.testing.assert_allclose(*pair)


def test_an_atom_scatters_far_out_like_its_bare_nucleus() -> None:
    far = np.array([1e6])  # 1/nm2
    rutherford = 2.0 * 14 / (BOHR_NM * 4.0 * math.pi**2 * far)
    np.testing.assert_allclose(scattering_nm(14, far), rutherford, rtol=1e-3)


def test_heat_weakens_a_reflection_by_the_debye_waller_factor() -> None:
    hot = SILICON._replace(debye_waller_a2={"Si": SILICON.debye_waller_a2["Si"] + 1.0})
    hkl = np.array([[0, 0, 0], [2, -2, 0], [0, 0, 8]])
    ratio = np.abs(structure_factors(hot, hkl) / structure_factors(SILICON, hkl))
    expected = np.exp(-0.01 * np.square(hkl).sum(axis=1) / SILICON.cell_nm[0] ** 2 / 4.0)
    np.testing.assert_allclose(ratio, expected)


def test_every_species_vibrates_by_itself() -> None:
    """The 110 of SrTiO3 is Sr and Ti less O: hot strontium makes it weaker, hot oxygen stronger."""

    def strength(**hot: float) -> float:
        material = STRONTIUM_TITANATE._replace(debye_waller_a2={**STRONTIUM_TITANATE.debye_waller_a2, **hot})
        return float(np.abs(structure_factors(material, np.array([[1, 1, 0]])))[0])

    assert strength(Sr=3.0) < strength() < strength(O=3.0)


def test_extinction_distances_are_of_the_published_order() -> None:
    """Si at 100 kV: 60.2 nm for 111 and 75.7 nm for 220 (Hirsch et al. 1965); this atom's scatter somewhat less."""
    wavelength_nm, heavier = 3.701e-3, 1.1957
    factor = np.abs(structure_factors(SILICON, np.array([[1, -1, 1], [2, -2, 0]])))
    distance_nm = math.pi * SILICON.cell_nm[0] ** 3 / (heavier * wavelength_nm * factor)
    longer = distance_nm / [60.2, 75.7]
    assert longer.min() > 1.0
    assert longer.max() < 1.6
