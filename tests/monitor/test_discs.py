"""Discs where the crystal and the beam put them, as bright as foil, tilt and heat allow; every electron kept."""

import math
from typing import Any

import numpy as np
import pytest

from monitor.camera.stem.discs import Discs, Optics, carbon, carbon_rings_mrad, diffuse, mass_ratio, wavelength_pm
from monitor.camera.stem.materials import SILICON
from monitor.camera.stem.reflections import SILICON_110, ZONES


def still(beam_kv: float = 200.0, side: int = 128) -> Optics:
    """A camera of *side* pixels a side with the beam in its middle."""
    wavelength_nm = 1e-3 * wavelength_pm(beam_kv)
    return Optics(side, side, wavelength_nm, mass_ratio(beam_kv), 60.0 / side, ((side - 1) / 2,) * 2, 3.0, 0.0)


def within(optics: Optics, middle_px: Any, radius_px: float) -> Any:
    """Which pixels (pixels,) lie less than *radius_px* from *middle_px* (column, row)."""
    rows, columns = np.mgrid[: optics.height, : optics.width]
    return (np.hypot(columns - middle_px[0], rows - middle_px[1]) < radius_px).reshape(-1)


def intensities(discs: Discs, optics: Optics, pattern: Any) -> dict[tuple[int, ...], float]:
    """What lands in each disc, by its indices."""
    radius_px = optics.convergence_mrad / optics.mrad_per_px + 2.0
    sums = (float(pattern[within(optics, middle, radius_px)].sum()) for middle in discs.middles_px)
    return dict(zip((tuple(row.tolist()) for row in discs.hkl), sums, strict=True))


@pytest.mark.parametrize(("beam_kv", "published_pm"), [(60.0, 4.87), (100.0, 3.70), (200.0, 2.51), (300.0, 1.97)])
def test_electrons_have_their_published_wavelength(beam_kv: float, published_pm: float) -> None:
    assert round(wavelength_pm(beam_kv), 2) == published_pm


@pytest.mark.parametrize(("beam_kv", "published"), [(100.0, 1.1957), (200.0, 1.3914), (300.0, 1.5871)])
def test_fast_electrons_are_as_heavy_as_published(beam_kv: float, published: float) -> None:
    assert mass_ratio(beam_kv) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("beam_kv", [100.0, 200.0, 300.0])
@pytest.mark.parametrize(
    ("name", "hkl", "spacing_nm", "angle_deg"),  # from the pattern's right, down
    [
        ("Si [110]", (0, 0, 0), math.inf, 0.0),
        ("Si [110]", (0, 0, 4), 0.5431 / 4, 0.0),
        ("Si [110]", (1, -1, 1), 0.5431 / math.sqrt(3), 54.74),
        ("Si [110]", (-2, 2, 0), 0.5431 / math.sqrt(8), -90.0),
        ("SrTiO3 [001]", (1, 0, 0), 0.3905, 0.0),
        ("SrTiO3 [001]", (0, -2, 0), 0.3905 / 2, -90.0),
        ("SrTiO3 [001]", (1, 1, 0), 0.3905 / math.sqrt(2), 45.0),
    ],
)
def test_a_disc_lies_where_bragg_puts_it(
    beam_kv: float, name: str, hkl: tuple[int, ...], spacing_nm: float, angle_deg: float
) -> None:
    optics = still(beam_kv, side=192)._replace(convergence_mrad=2.0)
    discs = Discs(ZONES[name], 0.1, optics)
    angle = math.radians(angle_deg) + 0.1
    away_px = 1e3 * optics.wavelength_nm / spacing_nm / optics.mrad_per_px
    middle = np.array(optics.centre_px) + away_px * np.array([math.cos(angle), math.sin(angle)])
    (row,) = np.flatnonzero((discs.hkl == hkl).all(axis=1))
    np.testing.assert_allclose(discs.middles_px[row], middle, atol=0.05)
    # A foil so thin that a disc is evenly filled: its centre of mass is its middle.
    pattern = discs.expected(0.5, np.zeros(2)) * within(
        optics, middle, optics.convergence_mrad / optics.mrad_per_px + 2
    )
    rows, columns = np.mgrid[: optics.height, : optics.width]
    mass = [(pattern.reshape(rows.shape) * axis).sum() / pattern.sum() for axis in (columns, rows)]
    np.testing.assert_allclose(mass, middle, atol=0.05)


def test_discs_are_as_wide_as_the_beam_is_convergent_and_flat_in_a_thin_foil() -> None:
    optics = still(side=192)
    pattern = Discs(SILICON_110, 0.3, optics).expected(0.5, np.zeros(2))
    radius_px = optics.convergence_mrad / optics.mrad_per_px
    inside = pattern[within(optics, optics.centre_px, radius_px - 2)]
    assert inside.std() < 0.01 * inside.mean()
    area = pattern[within(optics, optics.centre_px, radius_px + 2)].sum() / inside.mean()
    assert math.sqrt(area / math.pi) == pytest.approx(radius_px, rel=0.01)


def test_a_soft_edge_fades_and_keeps_the_disc_s_size() -> None:
    sharp, soft = (still(side=192)._replace(edge_mrad=edge) for edge in (0.0, 2.0))
    patterns = [Discs(SILICON_110, 0.0, optics).expected(0.5, np.zeros(2)) for optics in (sharp, soft)]
    rim = within(sharp, sharp.centre_px, 11.0) & ~within(sharp, sharp.centre_px, 8.4)
    halfway = [np.abs(pattern[rim] / pattern.max() - 0.5) < 0.3 for pattern in patterns]
    assert halfway[1].mean() > 2 * halfway[0].mean()


@pytest.mark.parametrize("name", list(ZONES))
def test_without_tilt_friedel_pairs_are_equally_bright(name: str) -> None:
    optics = still()
    discs = Discs(ZONES[name], 0.2, optics)
    bright = intensities(discs, optics, discs.expected(12.0, np.zeros(2)))
    near = [hkl for hkl in bright if 0 < np.square(hkl).sum() <= 8]
    assert len(near) >= 6
    for hkl in near:
        opposite = tuple(-number for number in hkl)
        assert bright[hkl] == pytest.approx(bright[opposite], rel=1e-3)


def test_intensity_moves_to_where_the_zone_axis_points_and_nowhere_else() -> None:
    optics = still()
    discs = Discs(SILICON_110, 0.0, optics)  # 004 to the right, -220 up
    bright = intensities(discs, optics, discs.expected(12.0, np.array([9e-3, 0.0])))
    assert bright[0, 0, 4] > 3 * bright[0, 0, -4]
    assert bright[1, -1, 1] > 1.1 * bright[1, -1, -1]
    assert bright[2, -2, 0] == pytest.approx(bright[-2, 2, 0], rel=1e-3)


@pytest.mark.parametrize("hkl", [(0, 0, 4), (2, -2, 0), (1, -1, -1)])
def test_a_crystal_tilted_by_the_bragg_angle_reflects_most_on_its_axis_s_own_side(hkl: tuple[int, ...]) -> None:
    """Laue's circle goes round the axis and through the direct beam: it meets g where the axis lies half-way to it.

    By the exact excitation error of the tilted crystal, from the sphere's own geometry.
    """
    optics = still()._replace(convergence_mrad=0.5)
    discs = Discs(SILICON_110, 0.4, optics)
    (row,) = np.flatnonzero((discs.hkl == hkl).all(axis=1))
    lands_rad = 1e-3 * optics.mrad_per_px * (discs.middles_px[row] - np.array(optics.centre_px))  # lambda g
    shares = {
        share: intensities(discs, optics, discs.expected(60.0, share * lands_rad))[hkl]
        for share in (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)
    }
    assert max(shares, key=lambda share: shares[share]) == 0.5
    wave = 1.0 / optics.wavelength_nm
    for share in shares:
        tilt = share * lands_rad
        beam, axis = np.array([0.0, 0.0, wave]), np.array([*tilt, 1.0])
        g = np.array([*(wave * lands_rad), 0.0])
        g -= axis * (g @ axis) / (axis @ axis)  # at right angles to the axis
        error = (wave**2 - np.square(beam + g).sum()) / (2.0 * np.linalg.norm(beam + g))
        flat = wave * lands_rad
        assert error == pytest.approx(-0.5 * optics.wavelength_nm * flat @ flat + flat @ tilt, rel=0.01, abs=1e-5)


def test_thickness_makes_reflections_bright_and_then_narrow() -> None:
    optics = still()
    discs = Discs(SILICON_110, 0.0, optics)
    direct, inner, outer = (0, 0, 0), (1, -1, 1), (4, -4, 0)
    thin, middling, thick = (intensities(discs, optics, discs.expected(nm, np.zeros(2))) for nm in (2, 8, 24))
    assert thin[direct] > middling[direct] > thick[direct]
    # Twice as thick, four times as bright, as long as the excitation error does not matter.
    assert middling[inner] / middling[direct] == pytest.approx(16 * thin[inner] / thin[direct], rel=0.15)
    # Far from the Bragg condition sinc^2 has long closed: 144 times the square of the thickness, and no tenth of it.
    assert thick[outer] / thick[direct] < 144 / 10 * thin[outer] / thin[direct]


def test_every_direction_of_the_beam_keeps_its_electrons() -> None:
    optics = still(side=192)._replace(convergence_mrad=2.0)
    discs = Discs(SILICON_110, 0.0, optics)
    grid = discs.expected(80.0, np.array([-9e-3, 0.0])).reshape(192, 192)
    near = np.rint(discs.middles_px).astype(int)
    whole = near[((near > 6) & (near < 192 - 7)).all(axis=1)]
    patches = np.array([grid[row - 3 : row + 4, column - 3 : column + 4] for column, row in whole])
    uneven = [patch.std() / patch.mean() for patch in (patches[0], patches.sum(axis=0))]
    assert uneven[0] > 0.1  # dark where a reflection takes much
    assert uneven[1] < 0.03


def test_strong_heat_dims_the_outer_discs_most() -> None:
    optics = still()
    cold, hot = (SILICON_110._replace(material=SILICON._replace(debye_waller_a2={"Si": b})) for b in (0.5, 2.0))
    patterns = [(discs, discs.expected(5.0, np.zeros(2))) for discs in (Discs(c, 0.0, optics) for c in (cold, hot))]
    before, after = (intensities(discs, optics, pattern) for discs, pattern in patterns)
    assert after[0, 0, 4] / before[0, 0, 4] < 0.9 * after[1, -1, 1] / before[1, -1, 1] < 0.9


# What is not the crystal


def test_background_and_carbon_share_out_one_electron_and_know_no_direction() -> None:
    optics = still(side=96)
    for pattern in (diffuse(optics), carbon(optics)):
        assert pattern.sum() == pytest.approx(1.0, rel=1e-5)
        square = pattern.reshape(96, 96)
        np.testing.assert_allclose(square, square.T, rtol=1e-4)
    assert (np.diff(diffuse(optics)[np.argsort(optics.angles_mrad(), kind="stable")]) <= 0).all()


def test_carbon_has_its_rings_near_those_of_graphite() -> None:
    inner, outer = carbon_rings_mrad(2.508e-3)
    assert 1e3 * 2.508e-3 / inner == pytest.approx(0.2131, rel=1e-3)
    assert outer / inner == pytest.approx(math.sqrt(3.0))
