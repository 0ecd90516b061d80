"""Recordings that cannot be used: each ends in one line that names the file and says what to do."""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from recording_examples import Frames, folder_of_images, hdf5_file, noise, refusal

from monitor.camera.recordings import read


def empty_folder(place: Path) -> Path:
    (place / "run").mkdir()
    return place / "run"


def folder_of_text(place: Path) -> Path:
    (empty_folder(place) / "notes.txt").write_text("no image")
    return place / "run"


def folder_of_arrays(place: Path) -> Path:
    np.save(empty_folder(place) / "a.npy", noise())
    return place / "run"


def folders_and_images(place: Path) -> Path:
    folder_of_images(place / "run" / "inner", noise(1))
    return folder_of_images(place / "run", noise(1))


def mixed_sizes(place: Path) -> Path:
    folder_of_images(place / "run", noise(2))
    Image.fromarray(noise(1, height=40)[0]).save(place / "run" / "frame_9.png")
    return place / "run"


def mixed_depths(place: Path) -> Path:
    folder_of_images(place / "run", noise(2))
    Image.fromarray(noise(1, dtype="uint16")[0]).save(place / "run" / "frame_9.png")
    return place / "run"


def colour_image(place: Path) -> Path:
    Image.fromarray(np.moveaxis(noise(3), 0, -1)).save(place / "colour.png")
    return place / "colour.png"


def transparent_image(place: Path) -> Path:
    Image.fromarray(np.moveaxis(np.stack([*[noise(1)[0]] * 3, noise(1, seed=2)[0]]), 0, -1)).save(place / "a.png")
    return place / "a.png"


def not_an_image(place: Path) -> Path:
    (place / "frame.png").write_text("this is text")
    return place / "frame.png"


def tiff_of_mixed_sizes(place: Path) -> Path:
    with tifffile.TiffWriter(place / "a.tif") as writer:
        writer.write(noise(1)[0])
        writer.write(noise(1, height=40)[0])
    return place / "a.tif"


def animation(place: Path) -> Path:
    first, second = (Image.fromarray(frame) for frame in noise(2))
    first.save(place / "a.png", save_all=True, append_images=[second])
    return place / "a.png"


def pickle_in_npy(place: Path) -> Path:
    np.save(place / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return place / "a.npy"


def bare_pickle(place: Path) -> Path:
    (place / "a.npy").write_bytes(pickle.dumps(noise()))
    return place / "a.npy"


def pickle_in_npz(place: Path) -> Path:
    np.savez(place / "a.npz", frames=np.array([{"a": 1}], dtype=object))
    return place / "a.npz"


def labels_in_npz(place: Path) -> Path:
    np.savez(place / "a.npz", frames=noise(), labels=np.zeros(4, np.uint8))
    return place / "a.npz"


def sizes_in_npz(place: Path) -> Path:
    np.savez(place / "a.npz", first=noise(), second=noise(height=40))
    return place / "a.npz"


def empty_npz(place: Path) -> Path:
    np.savez(place / "a.npz")
    return place / "a.npz"


def hdf5_without_stack(place: Path) -> Path:
    return hdf5_file(place / "a.h5", positions=np.zeros((4, 2)))


def hdf5_group(place: Path) -> Path:
    return Path(f"{hdf5_file(place / 'a.h5', data=noise())}:/entry")


def array(data: Frames) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        np.save(place / "a.npy", data)
        return place / "a.npy"

    return build


def empty_file(suffix: str) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        (place / f"a{suffix}").touch()
        return place / f"a{suffix}"

    return build


def spoiled(value: float, dtype: str) -> Frames:
    frames = noise(5, dtype="float32").astype(dtype)
    frames[3, 7, 7] = value
    return frames


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda place: place / "nowhere", r"nowhere: does not exist; check the path"),
        (lambda place: f"{place}/nowhere.h5:/entry/data", r"nowhere\.h5: does not exist"),
        (empty_folder, r"run: is an empty folder; give"),
        (folder_of_text, r"run: holds no BMP, PNG, JPEG or TIFF images; give"),
        (folder_of_arrays, r"run: holds no .* images; name each file itself"),
        (folders_and_images, r"run: holds both images and folders; name"),
        (mixed_sizes, r"frame_9\.png: frames are 40x24 uint8, those of .*frame_0\.png are 20x24 uint8"),
        (mixed_depths, r"frame_9\.png: frames are 20x24 uint16, those of .*frame_0\.png are 20x24 uint8"),
        (colour_image, r"colour\.png: is a colour image; convert it to grey"),
        (transparent_image, r"a\.png: has transparent pixels; save"),
        (not_an_image, r"frame\.png: cannot be read \(cannot identify image file.*check or replace"),
        (tiff_of_mixed_sizes, r"a\.tif: cannot be read \(its pages differ in size: 20x24, 40x24\)"),
        (animation, r"a\.png: is an animation; save"),
        (pickle_in_npy, r"a\.npy: holds pickled Python objects, which are never loaded; save"),
        (bare_pickle, r"a\.npy: holds pickled Python objects"),
        (pickle_in_npz, r"a\.npz \(array 'frames'\): holds pickled Python objects"),
        (labels_in_npz, r"a\.npz \(array 'labels'\): has 1 dimensions \(4,\); give frames as"),
        (sizes_in_npz, r"\(array 'second'\): frames are 40x24 uint8, those of .*'first'\) are 20x24"),
        (empty_npz, r"a\.npz: holds no arrays; save"),
        (hdf5_without_stack, r"a\.h5: has no three-dimensional dataset; name one as .*it has /entry/positions"),
        (hdf5_group, r"a\.h5: has no dataset '/entry'; it has /entry/data"),
        (array(noise(0)), r"a\.npy: holds no pixels"),
        (array(np.zeros((2, 0, 20))), r"a\.npy: holds no pixels"),
        (array(np.zeros((2, 2, 20, 20))), r"a\.npy: has 4 dimensions \(2, 2, 20, 20\); give frames as \(n, h, w\)"),
        (array(noise(2, height=15)), r"frames of 15x24 pixels; each side must be 16 to 4096: crop or bin"),
        (array(noise(1, width=4097)), r"frames of 20x4097 pixels; each side must be 16 to 4096"),
        (array(np.full((2, 20, 20), 65536)), r"int64 values go beyond 0 to 65535; scale"),
        (array(np.full((2, 20, 20), -1, np.int16)), r"int16 values go beyond 0 to 65535; scale"),
        (array(np.ones((2, 20, 20), np.complex64)), r"holds complex64 values; save uint8"),
        (array(spoiled(np.nan, "float32")), r"frame 3 \(counted from 0\) holds NaN or infinite pixels; leave"),
        (array(spoiled(-np.inf, "float64")), r"frame 3 \(counted from 0\) holds NaN or infinite pixels"),
        (array(spoiled(1e300, "float64")), r"frame 3 \(counted from 0\) holds NaN or infinite pixels"),
        (empty_file(".npy"), r"a\.npy: cannot be read"),
        (empty_file(".npz"), r"a\.npz: cannot be read"),
        (empty_file(".h5"), r"a\.h5: cannot be read"),
        (empty_file(".png"), r"a\.png: cannot be read"),
        (empty_file(".tif"), r"a\.tif: cannot be read"),
        (empty_file(".avi"), r"a\.avi: '\.avi' is not a kind of recording that can be read; give a folder"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_names_it(
    tmp_path: Path, build: Callable[[Path], Path | str], says: str
) -> None:
    line = refusal(build(tmp_path))
    assert Path(line.split(": ")[0].split(" (array")[0]).is_relative_to(tmp_path)
    assert re.search(says, line), line


def stored(suffix: str, frames: Frames) -> bytes:
    """*frames* as the bytes of one file."""
    buffer = io.BytesIO()
    match suffix:
        case ".npy":
            np.save(buffer, frames)
        case ".npz":
            np.savez(buffer, frames)
        case ".h5":
            with h5py.File(buffer, "w") as file:
                file["data"] = frames
        case ".tif":
            first, *rest = (Image.fromarray(frame) for frame in frames)
            first.save(buffer, "TIFF", save_all=True, append_images=rest)
        case _:
            Image.fromarray(frames[0]).save(buffer, suffix[1:].replace("jpg", "jpeg"))
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg", ".tif", ".npy", ".npz", ".h5"])
def test_a_file_cut_short_is_refused_and_never_read_in_part(tmp_path: Path, suffix: str, share: float) -> None:
    whole = stored(suffix, noise(6))
    path = tmp_path / f"run{suffix}"
    path.write_bytes(whole)
    read(str(path))
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cannot be read" in refusal(path)


def test_a_truncated_image_is_named_not_only_its_folder(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "run", noise(3), ".bmp")
    half = (folder / "frame_1.bmp").read_bytes()
    (folder / "frame_1.bmp").write_bytes(half[: len(half) // 2])
    assert "frame_1.bmp: cannot be read" in refusal(folder)
