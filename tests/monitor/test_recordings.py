"""Recorded frames: what can be read comes back unchanged, and what cannot ends in one clear line."""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monitor.camera import recordings
from monitor.camera.recordings import Recording, RecordingError, constant_frames, groups, read, require

Frames = np.ndarray[Any, np.dtype[Any]]


def noise(count: int = 4, height: int = 20, width: int = 24, dtype: str = "uint8", seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.normal(100.0, 10.0, (count, height, width)).astype(dtype)
    return rng.integers(1, np.iinfo(dtype).max, (count, height, width), dtype=dtype)


def folder_of_images(folder: Path, frames: Frames, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number}{suffix}")
    return folder


def refusal(path: Path | str) -> str:
    """The one line that reading *path* ends in."""
    with pytest.raises(RecordingError) as caught:
        groups([str(path)])
    line = str(caught.value)
    assert "\n" not in line
    return line


# What can be read


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".PNG"])
def test_a_folder_of_images_is_read_in_natural_order_whatever_the_case_of_its_suffix(
    tmp_path: Path, suffix: str
) -> None:
    frames = noise(12)  # frame_10 and frame_11 would come before frame_2 by letters
    folder = folder_of_images(tmp_path / "run", frames, suffix)
    (folder / "Thumbs.db").write_bytes(b"not an image")
    (folder / ".hidden.png").write_bytes(b"not an image either")
    found = read(str(folder))
    assert found.name == str(folder)
    assert found.frames.dtype == np.uint8
    np.testing.assert_array_equal(found.frames, frames)


def test_jpeg_images_are_read_as_nearly_as_jpeg_keeps_them(tmp_path: Path) -> None:
    flat = np.full((2, 16, 16), 77, np.uint8)
    np.testing.assert_allclose(read(str(folder_of_images(tmp_path / "run", flat, ".jpg"))).frames, flat, atol=1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_images_stay_sixteen_bit(tmp_path: Path, suffix: str) -> None:
    frames = noise(3, dtype="uint16")
    found = read(str(folder_of_images(tmp_path / "run", frames, suffix)))
    assert found.frames.dtype == np.uint16
    np.testing.assert_array_equal(found.frames, frames)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("how", ["stack", "pages", "deflate", "lzw"])
def test_every_page_of_a_tiff_is_read(tmp_path: Path, dtype: str, how: str) -> None:
    frames = noise(5, dtype=dtype)
    path = tmp_path / "run.TIF"
    if how == "lzw":
        first, *rest = (Image.fromarray(frame) for frame in frames)
        first.save(path, format="TIFF", save_all=True, append_images=rest, compression="tiff_lzw")
    elif how == "pages":
        with tifffile.TiffWriter(path) as writer:
            for frame in frames:
                writer.write(frame, contiguous=False)
    else:
        tifffile.imwrite(path, frames, photometric="minisblack", compression="zlib" if how == "deflate" else None)
    found = read(str(path))
    assert found.frames.dtype == dtype
    np.testing.assert_array_equal(found.frames, frames)


def test_an_npy_file_stays_on_disk_until_it_is_looked_at(tmp_path: Path) -> None:
    frames = noise(6, dtype="uint16")
    np.save(tmp_path / "run.npy", frames)
    found = read(str(tmp_path / "run.npy"))
    np.testing.assert_array_equal(found.frames, frames)
    assert isinstance(found.frames, np.memmap) or isinstance(found.frames.base, np.memmap)


def test_one_two_dimensional_array_is_one_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", noise(1)[0])
    assert read(str(tmp_path / "one.npy")).frames.shape == (1, 20, 24)


def test_the_arrays_of_an_npz_follow_each_other_in_the_order_of_their_keys(tmp_path: Path) -> None:
    first, second, third = noise(2, seed=1), noise(1, seed=2)[0], noise(3, seed=3)
    np.savez(tmp_path / "run.npz", first, second, third)
    np.testing.assert_array_equal(read(str(tmp_path / "run.npz")).frames, np.concatenate([first, second[None], third]))


def hdf5_file(path: Path, **datasets: Frames) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file.create_dataset(f"entry/{name}", data=data, **hdf5plugin.Bitshuffle())
    return path


def test_the_only_stack_of_an_hdf5_file_needs_no_path(tmp_path: Path) -> None:
    frames = noise(4, dtype="uint16")
    path = hdf5_file(tmp_path / "run.h5", data=frames, positions=np.zeros((4, 2)))
    np.testing.assert_array_equal(read(str(path)).frames, frames)


def test_a_dataset_is_named_after_a_colon(tmp_path: Path) -> None:
    bright, dark = noise(4, seed=1), noise(2, seed=2)
    path = hdf5_file(tmp_path / "run.HDF5", bright=bright, dark=dark)
    np.testing.assert_array_equal(read(f"{path}:/entry/dark").frames, dark)
    assert "/entry/bright, /entry/dark" in refusal(path)


def test_grey_stored_as_colour_is_read_as_grey(tmp_path: Path) -> None:
    frames = noise(2)
    for number, mode in enumerate(("RGB", "RGBA")):
        folder = tmp_path / mode
        folder.mkdir()
        Image.fromarray(frames[number]).convert(mode).save(folder / "a.png")
        np.testing.assert_array_equal(read(str(folder)).frames, frames[number : number + 1])
    tifffile.imwrite(tmp_path / "a.tif", np.repeat(frames[0][..., None], 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(read(str(tmp_path / "a.tif")).frames, frames[:1])


def test_a_grey_palette_is_read_by_its_colours_not_its_indices(tmp_path: Path) -> None:
    image = Image.fromarray(noise(1, seed=5)[0] % 2)
    image.putpalette([10, 10, 10, 200, 200, 200])
    image.save(tmp_path / "a.png")
    assert set(np.unique(read(str(tmp_path / "a.png")).frames)) == {10, 200}


@pytest.mark.parametrize(
    ("stored", "becomes"),
    [
        ("bool", "uint8"),
        ("int64", "uint16"),
        ("int16", "uint16"),
        (">u2", "uint16"),
        ("float64", "float32"),
        ("float16", "float32"),
        (">f4", "float32"),
    ],
)
def test_other_number_types_are_converted_without_loss(tmp_path: Path, stored: str, becomes: str) -> None:
    frames = (noise(3) % 2 if stored == "bool" else noise(3)).astype(stored)
    np.save(tmp_path / "run.npy", frames)
    found = read(str(tmp_path / "run.npy")).frames
    assert found.dtype == becomes
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, frames)


# Groups


def test_a_folder_of_folders_is_one_group_for_each_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        folder_of_images(tmp_path / "build" / f"layer{number}", noise(2, seed=number))
    np.save(tmp_path / "more.npy", noise(3))
    found = groups([str(tmp_path / "build"), str(tmp_path / "more.npy")])
    assert [Path(one.name).name for one in found] == ["layer1", "layer2", "layer10", "more.npy"]
    np.testing.assert_array_equal(found[1].frames, noise(2, seed=2))


@pytest.mark.parametrize(
    "other", [noise(2, height=30), noise(2, width=30), noise(2, dtype="uint16")], ids=["height", "width", "dtype"]
)
def test_groups_that_differ_in_size_or_type_are_refused_by_both_their_names(tmp_path: Path, other: Frames) -> None:
    np.save(tmp_path / "a.npy", noise(2))
    np.save(tmp_path / "b.npy", other)
    with pytest.raises(RecordingError, match=r"b\.npy: frames are .* those of .*a\.npy are 20x24 uint8"):
        groups([str(tmp_path / "a.npy"), str(tmp_path / "b.npy")])


def test_the_same_group_twice_is_refused_since_it_would_be_held_out_from_itself(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "run", noise(2))
    with pytest.raises(RecordingError, match="same recording"):
        groups([str(folder), str(folder / "..") + "/run"])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_natural_order_is_the_order_of_the_numbers(numbers: list[int]) -> None:
    names = sorted((f"frame_{number}.png" for number in numbers), key=recordings.natural_key)
    assert [int(name[6:-4]) for name in names] == sorted(numbers)


# What cannot be read


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
        (array(noise(2, height=15)), r"frames of 15x24 pixels; each side must be 16 to 576: crop or bin"),
        (array(noise(2, width=577)), r"frames of 20x577 pixels; each side must be 16 to 576"),
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


@pytest.mark.parametrize(
    ("count", "says"), [(1, "has 1 frame, needs at least 3"), (2, "has 2 frames, needs at least 3")]
)
def test_too_few_frames_are_refused_where_more_are_needed(count: int, says: str) -> None:
    with pytest.raises(RecordingError, match=f"run: {says}; record more"):
        require(Recording("run", noise(count)), 3)
    enough = Recording("run", noise(3))
    assert require(enough, 3) is enough


@pytest.mark.parametrize("chunk_bytes", [1, 2000, 1 << 26])
def test_constant_frames_are_found_in_every_chunk(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(recordings, "CHUNK_BYTES", chunk_bytes)
    frames = noise(9)
    frames[[0, 4, 8]] = np.array([0, 255, 9], np.uint8)[:, None, None]
    assert constant_frames(frames) == [0, 4, 8]
    assert constant_frames(noise(9)) == []
