"""Real, small calibrations of images as tiles: what is learned from, what limits rest on, what they cannot promise."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from scan_examples import HEIGHT, TILED, WIDTH, scans, sessions, with_spot

from calibration.charts import CalibrationError, window_for
from models.scores import CHARTS
from monitor import service
from monitor.bundle import Bundle, read
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Config, Input
from monitor.score import load_scorer, score_table
from monitor.tiled import TILES_MOST, image_warnings, tiles_of, tiling_of, without_pools
from monitor.yamlfile import ConfigError


def changed(**fields: object) -> Calibration:
    return msgspec.structs.replace(TILED, **fields)


def test_the_bundle_says_how_images_are_cut_and_cuts_them_so_again(tiled_bundle: Bundle) -> None:
    held = tiled_bundle.manifest
    assert (held.height, held.width) == (HEIGHT, WIDTH)
    assert (held.training["tile_px"], held.training["tile_overlap_px"], held.training["tiles"]) == (32, 8, 12)
    tiling = load_scorer(read(tiled_bundle.path)).tiling
    assert tiling is not None
    assert (tiling.side, tiling.overlap, tiling.count) == (32, 8, 12)


def test_limits_are_set_on_whole_images_however_many_tiles_they_have(tiled_bundle: Bundle) -> None:
    assert {limit.frames for limit in tiled_bundle.limits} == {28}
    for limit in tiled_bundle.limits:
        assert limit.center < limit.value


def test_new_normal_images_are_rarely_flagged_and_a_spot_is_always_found_where_it_is(tiled_bundle: Bundle) -> None:
    fresh = scans(60, 77)
    places = np.random.default_rng(0).integers(0, [HEIGHT - 4, WIDTH - 4], (60, 2))
    spoiled = np.concatenate(
        [with_spot(image[None], *place) for image, place in zip(fresh, places.tolist(), strict=True)]
    )
    sound, marred = (score_table(tiled_bundle, [Recording("x", one)]) for one in (fresh, spoiled))
    assert np.mean(sound["flag"].to_numpy()) < 0.2
    assert np.mean(marred["flag"].to_numpy()) > 0.95
    found = np.stack([marred["local_row"].to_numpy(), marred["local_column"].to_numpy()], axis=1)
    assert np.mean(np.abs(found - (places + 1.5)).max(axis=1) <= 3) > 0.95


def test_held_out_images_never_touch_the_scale_that_charts_are_compared_on(
    tiled_bundle: Bundle, tmp_path: Path
) -> None:
    recordings = sessions()
    bright = recordings[-1]._replace(frames=recordings[-1].frames // 2 + 90)
    other = calibrate([*recordings[:-1], bright], TILED, tmp_path / "other")
    for chart in CHARTS:
        assert other.manifest.limits[chart].tail == tiled_bundle.manifest.limits[chart].tail
    assert other.manifest.limits != tiled_bundle.manifest.limits


def test_the_same_images_give_the_same_bundle(tiled_bundle: Bundle, tmp_path: Path) -> None:
    again = calibrate(sessions(), TILED, tmp_path / "again")
    assert again.manifest.limits == tiled_bundle.manifest.limits
    assert {name: one.tobytes() for name, one in again.tensors.items()} == {
        name: one.tobytes() for name, one in tiled_bundle.tensors.items()
    }


@pytest.mark.parametrize(
    ("recordings", "settings", "says"),
    [
        (
            [Recording("large", np.zeros((60, 20, 600), np.uint8))],
            Calibration(),
            "frames of 20x600 pixels: a network takes at most 576 a side; set calibration.tile_px",
        ),
        (
            sessions(),
            changed(tile_px=72),
            "calibration.tile_px: images of 70 x 90 pixels are smaller than a tile of 72",
        ),
        (sessions(1), changed(held_out=0.67), "there is one frame only (scan 0): it cannot both train"),
        (
            [sessions()[0]._replace(context="a"), *(one._replace(context="b") for one in sessions()[1:])],
            changed(held_out=0.67),
            "there is one frame of context a only (scan 0)",
        ),
        (sessions(2), changed(held_out=0.67), "1 held-out frames are too few for a limit"),
        (sessions(), changed(held_out=0.3), "12 held-out frames are too few for a limit: give at least 20, or raise"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    tmp_path: Path, recordings: list[Recording], settings: Calibration, says: str
) -> None:
    with pytest.raises(CalibrationError) as caught:
        calibrate(recordings, settings, tmp_path / "bundle")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_small_frames_need_no_tiles() -> None:
    assert tiling_of(Calibration(), 576, 16) is None


def test_the_overlap_is_never_less_than_the_window_of_the_local_chart() -> None:
    for side in range(16, 577):
        tiling = tiling_of(Calibration(tile_px=side), 4096, 4096)
        assert tiling is not None
        assert tiling.overlap >= window_for(side, side)[0]


def test_a_tile_cannot_be_aligned_like_a_melt_pool() -> None:
    with pytest.raises(ValueError, match="a tile holds none"):
        Calibration(tile_px=32, orientation="align")


def test_a_tile_is_not_taken_for_a_melt_pool() -> None:
    settings = without_pools(Calibration(tile_px=32))
    assert (settings.binning, settings.orientation) == (1, "none")
    asked = without_pools(Calibration(tile_px=32, binning=2, orientation="augment"))
    assert (asked.binning, asked.orientation) == (2, "augment")


def test_the_tiles_to_learn_from_are_bounded_and_shared_by_images() -> None:
    tiling = tiling_of(changed(tile_px=16), 512, 512)
    assert tiling is not None
    zeros = np.zeros((1, 512, 512), np.uint8)
    few, many = (tiles_of([Recording("a", zeros), Recording("b", zeros.repeat(n, 0))], tiling, 0) for n in (1, 9))
    assert [len(one.frames) for one in few] == [TILES_MOST // 2] * 2
    assert [len(one.frames) for one in many] == [TILES_MOST // 10, TILES_MOST // 10 * 9]


def test_a_daemon_that_would_reject_every_image_does_not_start(tiled_bundle: Bundle) -> None:
    config = Config(bundle=str(tiled_bundle.path), input=Input(max_frame_px=64))
    with pytest.raises(ConfigError, match=r"input\.max_frame_px: is 64 but the bundle judges frames of 70x90 pixels"):
        service.run(config, "framewatch.yaml")


@pytest.mark.parametrize(("images", "rate", "told"), [(20, 0.01, "1/21"), (19, 0.05, None), (98, 0.01, "1/99")])
def test_a_rate_below_what_the_images_can_show_is_called_a_guess(images: int, rate: float, told: str | None) -> None:
    warnings = image_warnings(images, rate)
    assert bool(warnings) == (told is not None)
    assert told is None or told in warnings[0]
