"""Recorded frames: what can be read comes back unchanged."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from recording_examples import Frames, folder_of_images, hdf5_file, noise, refusal

from monitor.camera import recordings
from monitor.camera.recordings import RecordingError, constant_frames, groups, read

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


# What callers ask of a recording


def test_a_file_whose_name_is_no_text_is_read_under_one_that_is(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path / "run") + b"\xff.npy")
    np.save(path, noise(3))
    assert read(path).name == f"{tmp_path}/run?.npy"


@pytest.mark.parametrize("chunk_bytes", [1, 2000, 1 << 26])
def test_constant_frames_are_found_in_every_chunk(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(recordings, "CHUNK_BYTES", chunk_bytes)
    frames = noise(9)
    frames[[0, 4, 8]] = np.array([0, 255, 9], np.uint8)[:, None, None]
    assert constant_frames(frames) == [0, 4, 8]
    assert constant_frames(noise(9)) == []


# Real frames


def test_real_melt_pool_frames_are_one_group_each_for_normal_and_defective() -> None:
    data = os.environ.get("FRAMEWATCH_DATA")
    if not data:
        pytest.skip("FRAMEWATCH_DATA is not set: no real frames to read")
    found = groups([f"{data}/meltpool-nist"])
    assert [(Path(one.name).name, one.frames.shape) for one in found] == [
        ("defective", (86, 120, 120)),
        ("normal", (87, 120, 120)),
    ]
    assert all(constant_frames(one.frames) == [] for one in found)


def test_groups_bring_the_context_they_were_given_in(tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b", "c", "d"):
        np.save(tmp_path / f"{name}.npy", noise(2))
        paths.append(str(tmp_path / f"{name}.npy"))
    found = groups(paths[:1], [("hatch", paths[1:3]), ("contour", paths[3:])])
    assert [(one.name, one.context) for one in found] == list(
        zip(paths, ("", "hatch", "hatch", "contour"), strict=True)
    )
    with pytest.raises(RecordingError, match="is the same recording as"):
        groups(paths[:1], [("hatch", paths[:1])])


def test_every_folder_in_a_folder_is_of_its_context(tmp_path: Path) -> None:
    for layer in ("layer_1", "layer_2"):
        folder_of_images(tmp_path / "contours" / layer, noise(2), ".png")
    found = groups([], [("contour", [str(tmp_path / "contours")])])
    assert [(Path(one.name).name, one.context) for one in found] == [("layer_1", "contour"), ("layer_2", "contour")]
