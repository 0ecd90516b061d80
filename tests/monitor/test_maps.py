"""Maps of images: a row a tile that agrees with the image's own, a picture with the tiles over the limit marked."""

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image
from scan_examples import HEIGHT, WIDTH, scans, with_spot

from models.scores import CHARTS
from models.tiles import Tiling
from monitor.bundle import Bundle, BundleError
from monitor.camera.recordings import Recording, RecordingError
from monitor.cli import main
from monitor.maps import CIVIDIS, OVER, draw, write_maps
from monitor.score import score_table

SPOT = 50, 20


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return [Recording("day/one.npy", scans(2, 5)), Recording("day two/one.npy", with_spot(scans(1, 6), *SPOT))]


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def test_each_image_has_a_picture_and_each_tile_a_row(
    tiled_bundle: Bundle, recordings: list[Recording], tmp_path: Path
) -> None:
    assert write_maps(tiled_bundle, recordings, tmp_path / "new" / "maps").num_rows == 3
    names = sorted(path.name for path in (tmp_path / "new" / "maps").iterdir())
    assert names == ["000_one_00000.png", "000_one_00001.png", "001_one_00000.png", "tiles.parquet"]
    table = pyarrow.parquet.read_table(tmp_path / "new" / "maps" / "tiles.parquet")
    assert table.num_rows == 3 * 12
    assert table["group"].to_pylist() == ["day/one.npy"] * 24 + ["day two/one.npy"] * 12
    assert table["tile_row"].to_pylist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2] * 3
    assert table["row"].to_pylist()[8] == HEIGHT - 32
    assert table["column"].to_pylist()[3] == WIDTH - 32


def test_an_image_is_flagged_where_one_of_its_tiles_is(
    tiled_bundle: Bundle, recordings: list[Recording], tmp_path: Path
) -> None:
    images = write_maps(tiled_bundle, recordings, tmp_path, ".csv")
    assert images.equals(score_table(tiled_bundle, recordings))
    tiles = pyarrow.csv.read_csv(tmp_path / "tiles.csv")
    for name in ("joint", *CHARTS):
        largest = tiles[name].to_numpy().reshape(3, 12).max(axis=1)
        assert largest == pytest.approx(images[name].to_numpy(), rel=1e-4)
    flags = tiles["flag"].to_numpy(zero_copy_only=False).reshape(3, 12)
    assert flags.any(axis=1).tolist() == images["flag"].to_pylist()
    worst = 24 + int(np.argmax(tiles["local"].to_numpy()[24:]))
    assert abs(tiles["local_row"].to_pylist()[worst] - SPOT[0] - 1.5) <= 3
    assert abs(tiles["local_column"].to_pylist()[worst] - SPOT[1] - 1.5) <= 3


@pytest.mark.parametrize("size", [(70, 90), (2100, 1500)])
def test_the_picture_shows_the_limit_and_outlines_what_is_over_it(size: tuple[int, int]) -> None:
    tiling = Tiling(*size, 32 if size[0] < 100 else 500, 8)
    joint = np.zeros(tiling.count)
    sound = np.asarray(draw(np.zeros(size, np.uint16), joint, tiling, "sound"))
    joint[tiling.count // 2] = 5.0
    marred = np.asarray(draw(np.zeros(size, np.uint16), joint, tiling, "marred"))
    assert sound.shape == marred.shape
    assert max(marred.shape) < 3000
    outlined, before = ((one == rgb(OVER)).all(axis=2).sum() for one in (marred, sound))
    assert outlined > before > 0, "the limit is marked beside the scale, whatever is over it"
    brightest = (marred == rgb(CIVIDIS[-1])).all(axis=2).sum() - (sound == rgb(CIVIDIS[-1])).all(axis=2).sum()
    assert brightest > 50


def test_what_is_no_number_is_drawn_as_over_the_limit() -> None:
    tiling = Tiling(70, 90, 32, 8)
    image = np.full((70, 90), np.nan, np.float32)
    picture = np.asarray(draw(image, np.full(tiling.count, np.nan), tiling, "nothing"))
    assert (picture == rgb(CIVIDIS[-1])).all(axis=2).sum() > 3000


def test_tiles_narrower_than_a_pixel_of_the_picture_are_still_marked() -> None:
    tiling = Tiling(16, 3092, 16, 11)
    joint = np.zeros(tiling.count)
    joint[-2] = 2.0
    sound, marred = (
        np.asarray(draw(np.zeros((16, 3092), np.uint8), one, tiling, "narrow")) for one in (0 * joint, joint)
    )
    assert (marred != sound).any(axis=2)[90:].sum() >= 8
    draw(np.zeros((16, 3092), np.uint8), np.full(tiling.count, 2.0), tiling, "narrow")


@pytest.mark.parametrize("size", [(32, 32), (70, 130), (2100, 1500)])
@pytest.mark.parametrize("title", ["x.npy, image 0", "a long name, " * 30, "a_name_without_spaces" * 20])
def test_no_text_is_cut_off(size: tuple[int, int], title: str) -> None:
    tiling = Tiling(*size, min(size[0], 500), 8)
    picture = np.asarray(draw(np.zeros(size, np.uint16), np.zeros(tiling.count), tiling, title))
    edge = np.concatenate([picture[:8].reshape(-1, 3), picture[:, -8:].reshape(-1, 3), picture[-8:].reshape(-1, 3)])
    assert (edge == 255).all()


def test_bundles_and_images_that_have_no_maps_are_refused(
    small_bundle: Bundle, tiled_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"has no maps; calibrate with calibration\.tile_px"):
        write_maps(small_bundle, [], tmp_path / "maps")
    with pytest.raises(RecordingError, match="frames are 80x80"):
        write_maps(tiled_bundle, [Recording("x", scans(1, 1, 80, 80))], tmp_path / "maps")
    assert not (tmp_path / "maps").exists()


def test_the_command_writes_table_and_maps(
    tiled_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "scan.npy", with_spot(scans(1, 6), *SPOT))
    out, folder = tmp_path / "scores.csv", tmp_path / "maps"
    asked = ["score", str(tmp_path / "scan.npy"), "--bundle", str(tiled_bundle.path), "--out", str(out)]
    assert main([*asked, "--map", str(folder)]) == 0
    assert "1 maps and a table of their tiles" in " ".join(capsys.readouterr().out.split())
    assert pyarrow.csv.read_csv(out).num_rows == 1
    assert pyarrow.csv.read_csv(folder / "tiles.csv").num_rows == 12
    with Image.open(folder / "000_scan_00000.png") as picture:
        assert picture.width > 2 * WIDTH
    assert main([*asked, "--map", str(out)]) == 2
