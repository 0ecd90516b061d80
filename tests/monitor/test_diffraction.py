"""The simulated diffraction camera: discs where the crystal puts them, electrons as Poisson counts them, truth told."""

import itertools
import math
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.reel import Piece
from monitor.camera.schedule import GAP_FRAMES, Truth
from monitor.camera.stem.diffraction import (
    CARBON_SHARE,
    DURATIONS_FRAMES,
    GRAIN_SHARE,
    HOT_COUNTS,
    HOT_PIXELS,
    KINDS,
    MOUNT_RAD,
    PAUSE_FRAMES,
    Diffraction,
    normal_frames,
)
from monitor.camera.stem.discs import Optics, carbon_rings_mrad, diffuse, wavelength_pm
from monitor.camera.stem.materials import GOLD
from monitor.camera.stem.specimen import diffuse_share

SIDE = 96
Frames = np.ndarray[Any, np.dtype[np.uint8]]


def film(camera: Diffraction, frames: int) -> tuple[Frames, list[Truth], Frames]:
    """The first *frames* frames, the truth about them, and whether the beam was on."""
    shots = list(camera.shots(frames))
    pixels = np.concatenate([shot.pixels for shot, _ in shots])
    active = np.concatenate([np.full(len(shot.pixels), shot.active) for shot, _ in shots])
    return pixels, truths_of(camera, shots, frames), active


def truths_of(camera: Diffraction, pieces: list[Piece], frames: int) -> list[Truth]:
    """What was told with *pieces*, its first *frames* frames, and what was going on at their end."""
    truths = [truth for _, truths in pieces for truth in truths]
    if camera.unfinished is not None:
        truths.append(msgspec.structs.replace(camera.unfinished, last_seq=frames - 1))
    return truths


def anomalous(truths: list[Truth], frames: int) -> Any:
    flags = np.zeros(frames, bool)
    for truth in truths:
        flags[truth.first_seq : truth.last_seq + 1] = True
    return flags


def within(optics: Optics, middle_px: Any, radius_px: float) -> Any:
    """Which pixels (pixels,) lie less than *radius_px* from *middle_px* (column, row)."""
    rows, columns = np.mgrid[: optics.height, : optics.width]
    return (np.hypot(columns - middle_px[0], rows - middle_px[1]) < radius_px).reshape(-1)


# Frames


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    first, again, other = (film(Diffraction(32, 40, seed, 0.01), 1000) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert first[1]
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (96, 96), (96, 48), (128, 192), (576, 576)])
def test_frames_of_every_size_hold_the_electrons_asked_for_round_a_bright_middle(height: int, width: int) -> None:
    pixels, _, _ = film(Diffraction(height, width, seed=1), 64)
    assert pixels.shape == (64, height, width)
    assert pixels.dtype == np.uint8
    assert pixels.sum() / 64 == pytest.approx(500.0, rel=0.1)
    rows, columns = np.mgrid[:height, :width]
    near = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) < 0.08 * min(height, width)
    assert pixels[:, near].sum() > 0.25 * pixels.sum()


def test_most_pixels_of_a_frame_hold_no_electron() -> None:
    pixels, _, _ = film(Diffraction(seed=1), 256)
    assert (pixels == 0).mean() > 0.9
    assert pixels.max() < 30


@cache
def normal() -> Frames:
    """Normal frames of one run, some scan lines long."""
    return film(Diffraction(SIDE, SIDE, seed=4), 4000)[0]


def test_every_pixel_is_as_noisy_as_poisson_says_and_so_is_the_sum() -> None:
    pixels = normal().reshape(4000, -1).astype(np.float32)
    mean, variance = pixels.mean(axis=0), pixels.var(axis=0)
    for least, most in ((0.003, 0.1), (0.1, 0.5), (0.5, 10.0)):
        some = (mean > least) & (mean < most)
        assert some.sum() > 30
        assert (variance[some] / mean[some]).mean() == pytest.approx(1.0, abs=0.03)
    total = pixels.sum(axis=1)
    assert total.var() / total.mean() == pytest.approx(1.0, abs=4 * math.sqrt(2 / 4000))


def test_the_background_holds_its_share_and_fills_what_lies_between_the_discs() -> None:
    shares = []
    for seed in range(8):
        camera = Diffraction(SIDE, SIDE, seed)
        bright = camera.discs.expected(camera.thickness_nm, np.zeros(2))
        between = (bright < 1e-3 * bright.max()) & (camera.optics.angles_mrad() < 25.0)
        mean = film(camera, 256)[0].reshape(256, -1).mean(axis=0)
        shares.append(mean[between].sum() / diffuse(camera.optics)[between].sum() / mean.sum())
    assert np.mean(shares) == pytest.approx(diffuse_share(12.0), rel=0.1)


def test_the_discs_of_a_film_lie_where_the_run_s_own_geometry_puts_them() -> None:
    camera = Diffraction(128, 128, seed=5, electrons=5000.0, thickness_nm=5.0)
    mean = film(camera, 256)[0].mean(axis=0)
    scene = camera.scene
    mrad_per_px = 60.0 / 128 * scene.camera_length
    centre = 63.5 + np.array(scene.centre_mrad) / mrad_per_px
    rows, columns = np.mgrid[:128, :128]
    mean -= (mean.sum() * diffuse_share(5.0) * diffuse(camera.optics)).reshape(128, 128)
    for spacing_nm, angle_deg in ((math.inf, 0.0), (0.31356, 54.74), (0.31356, -125.26), (0.19202, 90.0)):
        angle = math.radians(angle_deg) + MOUNT_RAD + scene.rotation_rad
        away_px = wavelength_pm(200.0) / spacing_nm / mrad_per_px
        middle = centre + away_px * np.array([math.cos(angle), math.sin(angle)])
        disc = mean.reshape(-1) * within(camera.optics, middle, 8.5)
        mass = np.array([disc @ columns.reshape(-1), disc @ rows.reshape(-1)]) / disc.sum()
        np.testing.assert_allclose(mass, middle, atol=0.3)


def test_runs_differ_by_more_than_their_noise_and_less_than_a_disc() -> None:
    cameras = [Diffraction(SIDE, SIDE, seed) for seed in range(12)]
    middles = np.array([camera.discs.middles_px[0] for camera in cameras])
    assert 0.1 < middles.std(axis=0).max() < 1.0
    totals = np.array([film(camera, 100)[0].sum() / 100 for camera in cameras])
    assert 1.5 * math.sqrt(5.0) < totals.std() < 50.0


@pytest.mark.parametrize(("bits", "most"), [(8, 255), (16, 65535)])
def test_a_pixel_that_gets_too_many_electrons_saturates_and_never_wraps(bits: int, most: int) -> None:
    pixels, _, _ = film(Diffraction(16, 16, seed=1, electrons=20_000.0, bits=bits), 64)
    assert pixels.dtype == np.dtype(f"uint{bits}")
    brightest = pixels[:, 7:9, 7:9].max(axis=(1, 2))
    assert (brightest == 255).all() if bits == 8 else (brightest > 1000).all()
    assert pixels.max() <= most


def test_more_electrons_than_eight_bits_hold_easily_are_counted_as_well() -> None:
    few, many = (film(Diffraction(64, 64, 1, electrons=electrons), 256)[0] for electrons in (500.0, 10_000.0))
    clear = many.max(axis=0) < 200
    ratio = many[:, clear].sum() / few[:, clear].sum()
    assert ratio == pytest.approx(20.0, rel=0.03)


# The scan


def test_the_probe_rasters_line_by_line_and_pauses_in_the_dark_between_scans() -> None:
    shots = [shot for shot, _ in Diffraction(16, 16, 4, scan=20).shots(2 * (400 + PAUSE_FRAMES))]
    places = np.concatenate([shot.xy for shot in shots if shot.active and shot.xy is not None])
    one = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(places, np.tile(one, (2, 1)))
    layers = np.concatenate([np.full(len(shot.pixels), shot.layer) for shot in shots])
    np.testing.assert_array_equal(layers, np.repeat([0, 1], 400 + PAUSE_FRAMES))
    assert [len(shot.pixels) for shot in shots if not shot.active] == [PAUSE_FRAMES] * 2
    for shot in shots:
        assert shot.context == "Si [110]"
        assert shot.xy is not None
        assert len(shot.xy) == len(shot.pixels)
        assert shot.pixels.any() == shot.active


@pytest.mark.parametrize("every", [1, 7])
def test_normal_frames_are_the_camera_s_own_without_the_pauses(every: int) -> None:
    """Each line of a scan of 256 is a shot; the pause after a scan is far beyond what a test can wait for."""
    count = 600 // every
    pixels, _, active = film(Diffraction(16, 24, 5), 600)
    np.testing.assert_array_equal(normal_frames(count, 5, 16, 24, every), pixels[active][::every][:count])


# What is refused


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"height": 15}, "a side of 15 pixels: 16 to 1024"),
        ({"width": 1025}, "a side of 1025 pixels: 16 to 1024"),
        ({"anomaly_rate": -0.1}, "0 to 1"),
        ({"anomaly_rate": math.nan}, "0 to 1"),
        ({"kinds": ("earthquake",)}, "no such anomaly: earthquake"),
        ({"kinds": ()}, "no kinds of anomaly"),
        ({"crystal": "NaCl"}, "no such crystal: NaCl; there are Si"),
        ({"electrons": 0.0}, "0.0 electrons a frame: 1 to 50000"),
        ({"electrons": math.nan}, "nan electrons a frame"),
        ({"beam_kv": 5.0}, "5.0 kV of beam voltage: 20 to 1000"),
        ({"convergence_mrad": 20.0}, "20.0 mrad of convergence at this span: 0.6 to 7.5"),
        ({"span_mrad": 1000.0}, "mrad along the shorter side: 10 to 400"),
        ({"edge_mrad": -1.0}, "mrad of a disc's edge"),
        ({"thickness_nm": 0.0}, "nm of thickness: 1 to 100"),
        ({"scan": 3}, "3 scan positions a line: 16 to 4096"),
        ({"bits": 12}, "12 bits a pixel: 8 and 16"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        Diffraction(**wrong)
    assert "\n" not in str(refused.value)


# Anomalies


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.0, 1.0),
    st.integers(1, 1000),
    st.sampled_from([None, *((kind,) for kind in KINDS)]),
)
def test_the_truth_is_in_order_apart_in_its_place_and_never_in_the_dark(
    seed: int, rate: float, frames: int, kinds: tuple[str, ...] | None
) -> None:
    camera = Diffraction(16, 16, seed, rate, kinds, scan=16)
    shots = list(camera.shots(frames))
    active = np.concatenate([np.full(len(shot.pixels), shot.active) for shot, _ in shots])
    layers = np.concatenate([np.full(len(shot.pixels), shot.layer) for shot, _ in shots])
    places = np.concatenate([shot.xy for shot, _ in shots if shot.xy is not None])
    truths = truths_of(camera, shots, frames)
    assert len(active) == frames
    before = -1
    for truth in truths:
        assert before < truth.first_seq <= truth.last_seq < frames
        assert truth.last_seq - truth.first_seq < DURATIONS_FRAMES[truth.kind][1]
        assert truth.kind in (kinds or KINDS)
        assert truth.layer == layers[truth.first_seq]
        assert truth.xy == tuple(places[truth.first_seq])
        assert truth.context == "Si [110]"
        before = truth.last_seq + GAP_FRAMES
    assert active[anomalous(truths, frames)].all()


def test_an_anomaly_that_goes_on_is_told_with_its_place() -> None:
    camera = Diffraction(16, 16, 0, 1.0, ("tilt",), scan=40)
    for _ in itertools.takewhile(lambda _: camera.unfinished is None, camera.shots()):
        pass
    assert camera.unfinished is not None
    first = camera.unfinished.first_seq
    assert camera.unfinished.xy == (first % 40, first // 40)


def test_anomalies_of_every_kind_come_as_often_as_asked() -> None:
    _, truths, active = film(Diffraction(16, 16, 1, 0.002), 60_000)
    flags = anomalous(truths, len(active))
    chances = active.sum() - flags.sum() - GAP_FRAMES * len(truths)
    assert len(truths) == pytest.approx(0.002 * chances, rel=0.35)
    assert {truth.kind for truth in truths} == set(KINDS)
    assert film(Diffraction(16, 16, 1, 0.0), 2000)[1] == []


@cache
def event(kind: str) -> tuple[Diffraction, Truth, Frames, Frames]:
    """The longest event of *kind* in a film: its camera, its truth, its frames, and normal ones around it."""
    camera = Diffraction(SIDE, SIDE, 9, 0.02, (kind,))
    pixels, truths, active = film(camera, 3000)
    longest = max(truths, key=lambda truth: truth.last_seq - truth.first_seq)
    flags = anomalous(truths, len(pixels))
    near = np.abs(np.arange(3000) - longest.first_seq) < 500
    return camera, longest, pixels[longest.first_seq : longest.last_seq + 1], pixels[active & ~flags & near]


def added(kind: str, share: float) -> tuple[Diffraction, Any]:
    """What an event of *kind* adds to a frame (pixels,), less the normal pattern, of which it leaves 1 - *share*."""
    camera, truth, odd, ordinary = event(kind)
    mean, usual = (frames.reshape(len(frames), -1).mean(axis=0) for frames in (odd, ordinary))
    return camera, mean - (1.0 - share * truth.strength) * usual


@pytest.mark.parametrize("kind", ["tilt", "second_phase", "amorphous"])
def test_what_is_in_the_beam_changes_where_electrons_land_and_not_how_many(kind: str) -> None:
    _, _, odd, ordinary = event(kind)
    assert odd.sum() / len(odd) == pytest.approx(ordinary.sum() / len(ordinary), rel=0.02)
    changes = np.abs(odd.mean(axis=0) - ordinary.mean(axis=0)).sum()
    halves = np.abs(ordinary[::2].mean(axis=0) - ordinary[1::2].mean(axis=0)).sum()
    assert changes > 1.5 * halves


def test_a_tilt_moves_the_middle_of_all_electrons_to_one_side() -> None:
    """Against where the foil's own bend has it."""
    camera, _, odd, ordinary = event("tilt")
    columns, rows = (np.arange(SIDE) - middle for middle in camera.optics.centre_px)
    tilted, usual = (
        np.array([mean.sum(axis=0) @ columns, mean.sum(axis=1) @ rows]) / mean.sum()
        for mean in (odd.mean(axis=0), ordinary.mean(axis=0))
    )
    assert np.hypot(*(tilted - usual)) > 1.5


def test_amorphous_carbon_adds_rings_at_their_radii() -> None:
    camera, extra = added("amorphous", CARBON_SHARE)
    angles = camera.optics.angles_mrad()
    inner, outer = carbon_rings_mrad(camera.optics.wavelength_nm)
    assert inner == pytest.approx(2.508 / 0.2131, rel=1e-3)
    profile = np.array([extra[(angles >= mrad) & (angles < mrad + 1)].mean() for mrad in range(30)])
    assert abs(profile[6:16].argmax() + 6.5 - inner) < 1.0
    assert abs(profile[17:26].argmax() + 17.5 - outer) < 1.5
    assert profile[3] < 0.3 * profile.max()


def test_amorphous_carbon_weakens_the_discs() -> None:
    camera, truth, odd, ordinary = event("amorphous")
    middle = within(camera.optics, camera.optics.centre_px, 4.0)
    left = odd.reshape(len(odd), -1)[:, middle].mean() / ordinary.reshape(len(ordinary), -1)[:, middle].mean()
    assert left == pytest.approx(1.0 - CARBON_SHARE * truth.strength, abs=0.05)


def test_a_second_phase_adds_the_discs_of_its_own_lattice() -> None:
    camera, extra = added("second_phase", GRAIN_SHARE)
    optics = camera.optics
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angles = optics.angles_mrad()
    turns = np.arctan2(rows - optics.centre_px[1], columns - optics.centre_px[0]).reshape(-1)
    for spacing_nm, turn in ((GOLD.cell_nm[0] / 2, 0.0), (GOLD.cell_nm[0] / math.sqrt(8), 45.0)):
        ring = np.abs(angles - 1e3 * optics.wavelength_nm / spacing_nm) < 2.0
        fourfold = (extra[ring] * np.exp(4j * turns[ring])).sum() / extra[ring].sum()
        assert abs(fourfold) > 0.6  # four spots at right angles
        if turn == 0.0:
            first = np.angle(fourfold) / 4
        else:  # and the next four between them
            assert abs(math.degrees(np.angle(fourfold) / 4 - first)) % 90 == pytest.approx(45.0, abs=4.0)


def test_hot_pixels_count_high_in_the_same_place_throughout_and_nowhere_else() -> None:
    _, truth, odd, ordinary = event("hot_pixels")
    hot = (odd > 25).all(axis=0)
    assert hot.sum() == HOT_PIXELS
    assert odd[:, hot].mean() == pytest.approx(HOT_COUNTS * truth.strength, rel=0.1)
    assert ordinary.max() < 25
    assert odd[:, ~hot].mean() == pytest.approx(ordinary[:, ~hot].mean(), rel=0.02)


def test_two_events_of_a_kind_look_different() -> None:
    pixels, truths, _ = film(Diffraction(32, 32, 3, 0.02, ("hot_pixels",)), 3000)
    assert len(truths) > 3
    places = {tuple(np.flatnonzero((pixels[t.first_seq : t.last_seq + 1] > 20).all(axis=0))) for t in truths}
    assert len(places) == len(truths)
