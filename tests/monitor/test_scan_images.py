"""The simulated microscope's images: physics that can be measured in them, and the truth about what is wrong."""

import itertools
import math
import warnings
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

from monitor.camera.publisher import Shot
from monitor.camera.schedule import GAP_FRAMES, Truth
from monitor.camera.stem.crystal import CRYSTALS, Lattice
from monitor.camera.stem.defects import DURATIONS_FRAMES, KINDS
from monitor.camera.stem.images import (
    FRAMES_PER_AREA,
    OFFSET,
    PAUSE_FRAMES,
    PROBE_PM,
    SHOT_FRAMES,
    SOURCE_PM,
    STAGE_NM,
    ScanImages,
    detect,
    normal_frames,
)
from monitor.camera.stem.projection import Scan, project

PERIOD_FRAMES = FRAMES_PER_AREA + PAUSE_FRAMES
Array = np.ndarray[Any, np.dtype[Any]]


def film(camera: ScanImages, frames: int) -> tuple[Array, list[Truth], list[Shot]]:
    """The first *frames* frames, the truth about them, and one shot per frame that says the rest."""
    pixels, truths, facts = [], [], []
    for shot, ended in camera.shots(frames):
        pixels.append(shot.pixels)
        truths += ended
        assert shot.xy is not None
        facts += [shot._replace(pixels=one[None], xy=xy[None]) for one, xy in zip(shot.pixels, shot.xy, strict=True)]
    if camera.unfinished is not None:
        truths.append(msgspec.structs.replace(camera.unfinished, last_seq=frames - 1))
    return np.concatenate(pixels), truths, facts


def anomalous(truths: list[Truth], frames: int) -> Array:
    flags = np.zeros(frames, bool)
    for truth in truths:
        flags[truth.first_seq : truth.last_seq + 1] = True
    return flags


def in_pixels(camera: ScanImages, shot: Shot, xy_pm: Array) -> Array:
    """Rows and columns (2, n) at which places on the specimen appear, from what the frame says of itself."""
    assert shot.xy is not None
    middle = (np.array([camera.width, camera.height]) - 1) / 2
    pixel_pm = camera.pixel_pm * camera.scene.magnification
    return ((xy_pm - 1000.0 * shot.xy[0].astype(float)) / pixel_pm + middle).T[::-1]


def heights(camera: ScanImages, shot: Shot, site: int | None) -> Array:
    """Grey levels (3x3 means) where columns of *site* should be, or (None) in the gaps, away from the rim."""
    lattice = Lattice(CRYSTALS[camera.crystal], camera.scene.rotation_rad)
    assert shot.xy is not None
    half = 500.0 * np.array([camera.width, camera.height]) * camera.pixel_pm / 1000.0
    middle = 1000.0 * shot.xy[0].astype(float)
    columns = lattice.within(middle - half, middle + half)
    xy = columns.xy_pm[columns.site == (site or 0)]
    if site is None:
        xy = lattice.to_pm((lattice.to_cells(xy)[:, None] + np.array(lattice.crystal.holes)).reshape(-1, 2))
    at = in_pixels(camera, shot, xy)
    inside = ((at > 2) & (at < np.array([[camera.height - 3], [camera.width - 3]]))).all(axis=0)
    around = np.array(list(itertools.product((-1, 0, 1), repeat=2))).T
    samples = at[:, inside, None] + around[:, None, :]
    return np.asarray(map_coordinates(shot.pixels[0].astype(float), samples, order=1).mean(axis=1))


def fourier(camera: ScanImages, frame: Array, order: int = 1) -> complex:
    """The Fourier component of *frame* that *order* waves a cell along x make, its phase from the frame's middle."""
    rotation = camera.scene.rotation_rad
    wave = order * 2 * math.pi / CRYSTALS[camera.crystal].cell_pm[0] * camera.pixel_pm * camera.scene.magnification
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in frame.shape)
    phase = wave * (columns * math.cos(rotation) + rows[:, None] * math.sin(rotation))
    window = np.hanning(frame.shape[0])[:, None] * np.hanning(frame.shape[1])
    return complex((window * (frame - frame.mean()) * np.exp(-1j * phase)).sum())


# What may be asked for


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 15}, "a side of 15 pixels: 16 to 2048 are possible"),
        ({"width": 2049}, "16 to 2048"),
        ({"crystal": "cheese"}, "no such crystal: cheese; there are SrTiO3, graphene, Si"),
        ({"pixel_pm": 1.0}, "pixels of 1.0 pm: 2 to 100"),
        ({"pixel_pm": math.nan}, "2 to 100"),
        ({"dose": 0.0}, "0.0 electrons a pixel: 1 to 100000"),
        ({"dose": math.inf}, "1 to 100000"),
        ({"bits": 12}, "12 bits a pixel: 8 or 16"),
        ({"anomaly_rate": 1.5}, "0 to 1"),
        ({"kinds": ("meteor",)}, "no such anomaly: meteor"),
        ({"kinds": ()}, "no kinds of anomaly: name some of vacancy"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ScanImages(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("height", "width", "crystal", "bits"),
    [(16, 16, "SrTiO3", 8), (64, 64, "graphene", 8), (48, 100, "Si", 16), (300, 130, "SrTiO3", 8), (2048, 16, "Si", 8)],
)
def test_frames_have_the_size_and_depth_that_was_asked_for(height: int, width: int, crystal: str, bits: int) -> None:
    shot, _ = next(ScanImages(height, width, 1, crystal=crystal, bits=bits).shots(3))
    assert shot.pixels.shape[1:] == (height, width)
    assert shot.pixels.dtype == np.dtype(f"uint{bits}")
    assert shot.context == crystal
    assert 0.2 < np.quantile(shot.pixels, 0.99) / (2**bits - 1) < 1.0


@pytest.mark.parametrize(("side", "longest"), [(64, 32), (256, 2), (512, 1)])
def test_a_shot_is_of_modest_length(side: int, longest: int) -> None:
    assert len(next(ScanImages(side, side).shots())[0].pixels) == longest


# Repeatable, and alive


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    first, again, other = (film(ScanImages(32, 40, seed, 0.02), 300) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1] != []
    assert (first[0] != other[0]).any()


def test_runs_differ_in_how_the_microscope_was_set() -> None:
    scenes = [ScanImages(16, 16, seed).scene for seed in range(40)]
    for name, least, most in [
        ("rotation_rad", 0.02, 0.06),
        ("magnification", 0.001, 0.01),
        ("focus", 0.015, 0.06),
        ("dose", 0.02, 0.1),
        ("unrest", 0.05, 0.2),
        ("noise", 0.05, 0.2),
        ("contrast", 0.015, 0.06),
    ]:
        assert least < np.std([getattr(scene, name) for scene in scenes]) < most


@pytest.mark.parametrize("every", [1, 3])
def test_normal_frames_are_the_camera_s_own_without_the_pauses(every: int) -> None:
    count = (FRAMES_PER_AREA + SHOT_FRAMES) // every
    pixels, _, shots = film(ScanImages(16, 24, 5), PERIOD_FRAMES + SHOT_FRAMES)
    active = np.array([shot.active for shot in shots])
    np.testing.assert_array_equal(normal_frames(count, 5, 16, 24, every), pixels[active][::every][:count])


def test_consecutive_images_are_alike_and_yet_never_the_same() -> None:
    frames = film(ScanImages(64, 64, 3), 200)[0].reshape(200, -1)
    alike = np.corrcoef(frames)
    assert np.diag(alike, 1).mean() > np.diag(alike, 60).mean() + 0.2
    assert (frames[1:] != frames[:-1]).any(axis=1).all()


# The detector


def test_repeated_exposures_have_the_variance_of_counted_electrons() -> None:
    expected = np.repeat(np.linspace(0.5, 200.0, 400, dtype=np.float32)[None], 4000, axis=0)[:, None]
    counts = detect(expected, 1 / 65535, 0.0, 16, np.random.default_rng(1)).astype(float) - round(OFFSET * 65535)
    mean, variance = counts.mean(axis=0)[0], counts.var(axis=0)[0]
    np.testing.assert_allclose(mean, expected[0, 0], atol=0.9)
    assert np.median(variance / mean) == pytest.approx(1.0, abs=0.01)
    assert (variance / mean).std() < 0.05


def test_bright_pixels_saturate_and_dark_ones_stop_at_zero() -> None:
    signal = np.array([[[0.0, 1e6]] * 500], np.float32)
    pixels = detect(signal, 1 / 60, 0.02, 8, np.random.default_rng(1))
    assert (pixels[..., 1] == 255).all()
    assert pixels[..., 0].min() == 0


def test_a_higher_dose_is_less_noisy_and_no_brighter() -> None:
    few, many = (film(ScanImages(64, 64, 2, dose=dose, bits=16), 8)[0].astype(float) for dose in (10.0, 4000.0))
    assert few.mean() == pytest.approx(many.mean(), rel=0.02)
    assert np.diff(few, axis=1).std() > 1.5 * np.diff(many, axis=1).std()


# What can be measured in the images


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_the_period_of_the_picture_is_the_lattice_constant(crystal: str) -> None:
    camera = ScanImages(256, 256, 4, crystal=crystal, dose=500.0, bits=16)
    frame = film(camera, 1)[0][0].astype(float)
    rows, columns = (np.arange(256) - 127.5 for _ in range(2))
    window = np.hanning(256)[:, None] * np.hanning(256)
    expected_px = CRYSTALS[crystal].cell_pm[0] / 20.0 / 2  # the second order: some first orders vanish
    turn = camera.scene.rotation_rad

    def negative_power(k: Array) -> float:
        wave = np.exp(-1j * k[1] * rows) @ (window * (frame - frame.mean())) @ np.exp(-1j * k[0] * columns)
        return -float(abs(wave)) / frame.sum()

    start = 2 * math.pi / expected_px * np.array([math.cos(turn), math.sin(turn)])
    found = minimize(negative_power, start * 1.004, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    period_px = 2 * math.pi / np.hypot(*found.x)
    assert period_px * camera.scene.magnification == pytest.approx(expected_px, rel=1e-3)
    assert math.atan2(found.x[1], found.x[0]) == pytest.approx(turn, abs=5e-3)  # drift shears it a little


def test_columns_are_as_bright_as_their_atomic_numbers_say() -> None:
    """A fit of one brightness per kind of column, and a constant, to images of many electrons."""
    camera = ScanImages(128, 128, 5, dose=3000.0, bits=16)
    lattice = Lattice(CRYSTALS["SrTiO3"], camera.scene.rotation_rad)
    ratios = []
    for shot in film(camera, 6)[2]:
        assert shot.xy is not None
        middle = 1000.0 * shot.xy.astype(float)
        columns = lattice.within(middle[0] - 2000.0, middle[0] + 2000.0)
        widths = np.hypot(math.hypot(PROBE_PM * camera.scene.focus, SOURCE_PM), columns.vibration_pm)
        pictures = [np.ones(shot.pixels.size)]
        for kind in ((0,), (1,), (2, 3)):
            mine = np.isin(columns.site, kind)
            scan = Scan(middle, np.zeros((1, 2)), np.zeros((1, 128)))
            peaks = 1.0 / widths[mine] ** 2  # of equal brightness in all
            picture = project(
                columns.xy_pm[mine][None],
                peaks[None],
                widths[mine][None],
                scan,
                (128, 128),
                20 * camera.scene.magnification,
            )
            pictures.append(picture.ravel())
        fitted = np.linalg.lstsq(np.stack(pictures, axis=1), shot.pixels.ravel().astype(float), rcond=None)[0]
        ratios.append((fitted[1] / fitted[2], fitted[1] / fitted[3]))
    to_titanium, to_oxygen = np.mean(ratios, axis=0)
    assert to_titanium == pytest.approx(38**1.7 / (22**1.7 + 8**1.7), rel=0.03)
    assert to_oxygen == pytest.approx((38 / 8) ** 1.7, rel=0.2)


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_the_picture_moves_by_what_the_frames_say_of_their_place(crystal: str) -> None:
    camera = ScanImages(64, 64, 6, crystal=crystal, dose=300.0)
    pixels, _, shots = film(camera, FRAMES_PER_AREA)
    order = 1 if crystal == "SrTiO3" else 2  # in centred cells the first vanishes
    found = np.unwrap([np.angle(fourier(camera, frame, order)) for frame in pixels])
    turn = camera.scene.rotation_rad
    along = np.array(
        [1000.0 * (s.xy[0] @ np.array([math.cos(turn), math.sin(turn)])) for s in shots if s.xy is not None]
    )
    per_radian = CRYSTALS[crystal].cell_pm[0] / (2 * math.pi * order)
    assert np.ptp(along) > 30.0
    assert np.std(per_radian * found - along) < 5.0  # lines that jitter slowly


def test_drift_is_slow_and_goes_its_own_way_in_each_run() -> None:
    ends = []
    for seed in range(6):
        shots = film(ScanImages(16, 16, seed), FRAMES_PER_AREA)[2]
        xy = np.array([shot.xy[0] for shot in shots if shot.xy is not None], float)
        assert np.hypot(*np.diff(xy, axis=0).T).max() < 0.025  # nanometres, so little more than a pixel
        ends.append(xy[-1] - xy[0])
    assert np.std(ends) > 0.1


def test_carbon_atoms_stand_out_from_the_middle_of_their_rings() -> None:
    camera = ScanImages(128, 128, 1, crystal="graphene", pixel_pm=10.0)
    shot = film(camera, 1)[2][0]
    assert CRYSTALS["graphene"].repeats == 1
    assert heights(camera, shot, 0).mean() > 1.4 * heights(camera, shot, None).mean()


# Areas and pauses


def test_between_areas_the_beam_is_blanked_and_the_stage_moves() -> None:
    pixels, _, shots = film(ScanImages(32, 32, 4), 2 * PERIOD_FRAMES)
    active = np.array([shot.active for shot in shots])
    np.testing.assert_array_equal(active, np.tile([True] * FRAMES_PER_AREA + [False] * PAUSE_FRAMES, 2))
    dark = pixels[~active].astype(float)
    assert dark.mean() == pytest.approx(255 * OFFSET, abs=0.2)
    assert 0.3 < dark.std() < 3.0
    assert (pixels[active].max(axis=(1, 2)) > 120).all()
    assert [shot.layer for shot in shots] == [0] * PERIOD_FRAMES + [1] * PERIOD_FRAMES
    before, after = shots[FRAMES_PER_AREA - 1].xy, shots[PERIOD_FRAMES].xy
    assert before is not None
    assert after is not None
    assert STAGE_NM[0] - 1 < np.hypot(*(after - before)[0]) < STAGE_NM[1] + 1


# Anomalies


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.0, 1.0),
    st.integers(1, 2 * PERIOD_FRAMES),
    st.sampled_from([None, *((k,) for k in KINDS)]),
    st.sampled_from(list(CRYSTALS)),
)
def test_the_truth_is_in_order_apart_within_the_film_and_never_in_the_dark(
    seed: int, rate: float, frames: int, kinds: tuple[str, ...] | None, crystal: str
) -> None:
    pixels, truths, shots = film(ScanImages(16, 16, seed, rate, kinds, crystal), frames)
    assert len(pixels) == frames
    before = -1
    for truth in truths:
        assert before < truth.first_seq <= truth.last_seq < frames
        assert truth.last_seq - truth.first_seq < DURATIONS_FRAMES[truth.kind][1]
        assert truth.kind in (kinds or KINDS)
        assert truth.context == crystal
        first = shots[truth.first_seq]
        assert truth.layer == first.layer
        assert first.xy is not None
        assert truth.xy == pytest.approx(first.xy[0], abs=1e-4)
        before = truth.last_seq + GAP_FRAMES
    assert np.array([shot.active for shot in shots])[anomalous(truths, frames)].all()


def test_an_anomaly_that_a_stop_cuts_short_is_told_all_the_same() -> None:
    camera = ScanImages(16, 16, 0, 1.0, ("vacancy",))
    assert camera.unfinished is None
    shot = next(one for one, _ in camera.shots() if camera.unfinished is not None)
    truth = camera.unfinished
    assert truth is not None
    assert (truth.kind, truth.layer, truth.context) == ("vacancy", shot.layer, "SrTiO3")
    assert truth.xy is not None


def outliers(kind: str, seed: int) -> tuple[list[float], list[float]]:
    """How far the oddest column or gap is from its like, in grey levels with sign: normal frames, frames of *kind*."""
    camera = ScanImages(96, 96, seed, 1.0, (kind,), dose=400.0)
    _, truths, shots = film(camera, 130)
    flags = anomalous(truths, 130)
    normal, odd = [], []
    for shot, flag in list(zip(shots, flags, strict=True))[::3]:
        differences = [each - np.median(each) for each in (heights(camera, shot, site) for site in (0, 1, None))]
        together = np.concatenate(differences)
        (odd if flag else normal).append(float(together[np.abs(together).argmax()]))
    return normal, odd


@pytest.mark.parametrize(("kind", "signs"), [("vacancy", {-1}), ("interstitial", {1}), ("substitution", {-1, 1})])
def test_a_point_defect_makes_one_place_of_the_picture_brighter_or_darker(kind: str, signs: set[int]) -> None:
    found = set()
    for seed in range(4):
        normal, odd = outliers(kind, seed)
        assert np.median(np.abs(odd)) > 1.5 * np.median(np.abs(normal))
        found.add(int(np.sign(np.median(odd))))
    assert found <= signs


@pytest.mark.parametrize(("kind", "share"), [("grain_boundary", 0.8), ("dislocation", 0.9)])
def test_a_broken_lattice_weakens_the_order_of_the_picture(kind: str, share: float) -> None:
    for seed in range(3):
        camera = ScanImages(96, 96, seed, 1.0, (kind,))
        pixels, truths, _ = film(camera, 200)
        flags = anomalous(truths, 200)
        order = np.array([abs(fourier(camera, frame)) for frame in pixels])
        assert order[flags].mean() < share * order[~flags].mean()


def test_contamination_grows_over_the_frames_and_covers_the_whole_field() -> None:
    pixels, truths, _ = film(ScanImages(64, 64, 3, 1.0, ("contamination",)), 200)
    event = truths[0]
    first, last, before = (pixels[i].astype(float) for i in (event.first_seq, event.last_seq, event.first_seq - 1))
    assert before.mean() < first.mean() + 5 < last.mean()
    assert first.mean() < before.mean() + 0.3 * (last.mean() - before.mean())
    quarters = (last - before).reshape(2, 32, 2, 32).mean(axis=(1, 3))
    assert quarters.min() > 5


def test_no_frame_makes_numpy_complain() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for crystal in CRYSTALS:
            film(ScanImages(32, 32, 1, 1.0, crystal=crystal, dose=1.0, pixel_pm=100.0), 100)
            film(ScanImages(32, 32, 1, 1.0, crystal=crystal, pixel_pm=2.0), 100)
