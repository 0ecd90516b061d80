"""Recordings and bundles that cannot be used: named in one line, before anything is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cli_example import FRESH, Desk
from frames import normal

from monitor.bundle import FORMAT, MANIFEST, MANIFEST_SUM, WEIGHTS, Bundle


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def copied(small_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(small_bundle.path, tmp_path / "copied"))


# Recordings


def truncated_image(desk: Desk) -> Path:
    folder = desk.images("cut", FRESH[:30])
    image = folder / "frame_7.png"
    image.write_bytes(image.read_bytes()[:200])
    return folder


def mixed_sizes(desk: Desk) -> Path:
    return desk.images("mixed", [*FRESH[:5], normal(1, 1, 32, 48)[0]])


def empty_folder(desk: Desk) -> Path:
    (desk.folder / "empty").mkdir()
    return desk.folder / "empty"


def not_finite(desk: Desk) -> Path:
    frames = FRESH.astype(np.float32)
    frames[11, 3, 4] = np.nan
    return desk.recording("nan", frames)


def infinite(desk: Desk) -> Path:
    frames = FRESH.astype(np.float32)
    frames[5, 0, 0] = np.inf
    return desk.recording("inf", frames)


def truncated_array(desk: Desk) -> Path:
    path = desk.recording("cut")
    path.write_bytes(path.read_bytes()[:-100])
    return path


def pickled(desk: Desk) -> Path:
    path = desk.folder / "objects.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    return path


def too_small(desk: Desk) -> Path:
    return desk.recording("small", FRESH[:, :8, :8])


def no_recording(desk: Desk) -> Path:
    return desk.file("notes.txt", "hello")


def missing(desk: Desk) -> Path:
    return desk.folder / "none"


BAD_FRAMES: dict[Callable[[Desk], Path], str] = {
    truncated_image: "frame_7.png: cannot be read",
    mixed_sizes: "frame_5.png: frames are 32x48 uint8, those of",
    empty_folder: "empty: is an empty folder; give a folder of images",
    not_finite: "nan.npy: frame 11 (counted from 0) holds NaN or infinite pixels",
    infinite: "inf.npy: frame 5 (counted from 0) holds NaN or infinite pixels",
    truncated_array: "cut.npy: cannot be read",
    pickled: "objects.npy: holds pickled Python objects, which are never loaded",
    too_small: "small.npy: frames of 8x8 pixels; each side must be 16 to 4096",
    no_recording: "notes.txt: '.txt' is not a kind of recording that can be read",
    missing: "none: does not exist; check the path",
}


@pytest.mark.parametrize("make", BAD_FRAMES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("command", ["calibrate", "score", "evaluate", "replay"])
def test_frames_that_cannot_be_used_are_named(
    desk: Desk, small_bundle: Bundle, make: Callable[[Desk], Path], command: str
) -> None:
    bad, good = make(desk), desk.recording("good")
    said = desk.refuse(
        command,
        *{
            "calibrate": (bad, "--out", desk.folder / "bundle"),
            "score": (bad, "--bundle", small_bundle.path, "--out", desk.folder / "scores.csv"),
            "evaluate": ("--normal", good, "--anomalous", bad, "--bundle", small_bundle.path),
            "replay": (bad, "--endpoint", "tcp://127.0.0.1:0", "--rate", 100),
        }[command],
    )
    assert BAD_FRAMES[make] in said


def test_groups_of_different_sizes_are_refused(desk: Desk) -> None:
    one, other = desk.recording("one"), desk.recording("other", normal(5, 1, 32, 48))
    said = desk.refuse("calibrate", one, other, "--out", "bundle")
    assert "other.npy: frames are 32x48 uint8, those of" in said


def test_a_group_given_twice_is_refused(desk: Desk) -> None:
    one = desk.recording("one")
    assert "is the same recording as" in desk.refuse("calibrate", one, one, "--out", "bundle")


# Contexts


def a_file(desk: Desk) -> list[Path | str]:
    return [desk.recording("run01").name, desk.recording("run02").name]


def a_file_in_a_folder(desk: Desk) -> list[Path | str]:
    return [desk.recording("run01"), desk.recording("run02")]


def a_folder_of_images(desk: Desk) -> list[Path | str]:
    return [desk.images("run01", FRESH[:2]).name, desk.images("run02", FRESH[:2])]


def no_path_at_all(desk: Desk) -> list[Path | str]:
    return ["runs/run01.npi", desk.recording("run02")]


@pytest.mark.parametrize("make", [a_file, a_file_in_a_folder, a_folder_of_images, no_path_at_all])
def test_a_recording_in_the_place_of_a_context_is_not_left_out_in_silence(
    desk: Desk, make: Callable[[Desk], list[Path | str]]
) -> None:
    given = make(desk)
    said = desk.refuse("calibrate", "--in", *given, "--out", "bundle")
    assert f"'{given[0]}' is a path: name the context first" in said


def test_a_folder_may_be_named_after_the_context_of_what_it_holds(desk: Desk, small_bundle: Bundle) -> None:
    folder = desk.images("hatch", FRESH[:2])
    for inside in (folder, folder / "frame_0.png"):
        ended = desk.run("score", "--in", "hatch", inside, "--bundle", small_bundle.path, "--out", "scores.csv")
        assert ended.status == 0, ended


# Bundles


def flipped(path: Path) -> None:
    data = bytearray((path / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (path / WEIGHTS).write_bytes(data)


def cut_manifest(path: Path) -> None:
    text = (path / MANIFEST).read_bytes()
    (path / MANIFEST).write_bytes(text[: len(text) // 2])


def edited_manifest(path: Path) -> None:
    text = (path / MANIFEST).read_text()
    (path / MANIFEST).write_text(text.replace('"height": 32', '"height": 33'))


def newer(path: Path) -> None:
    document = msgspec.json.decode((path / MANIFEST).read_bytes())
    (path / MANIFEST).write_bytes(msgspec.json.encode({**document, "format": 99}))


def without_sum(path: Path) -> None:
    (path / MANIFEST_SUM).unlink()


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


BAD_BUNDLES: dict[Callable[[Path], None], str] = {
    flipped: "weights.safetensors was changed or damaged since calibration; restore it or calibrate anew",
    cut_manifest: "manifest.json is damaged",
    edited_manifest: "manifest.json was changed or damaged since calibration",
    newer: f"has format 99, this program reads up to {FORMAT}; upgrade framewatch or calibrate anew",
    without_sum: "manifest.sha256 cannot be read",
    emptied: "is no bundle (no manifest.json); make one with 'framewatch calibrate'",
    shutil.rmtree: "is no bundle (no manifest.json); make one with 'framewatch calibrate'",
}


@pytest.mark.parametrize("harm", BAD_BUNDLES, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("command", ["score", "evaluate", "run"])
def test_a_bundle_that_must_not_be_used_is_named(
    desk: Desk, copied: Path, harm: Callable[[Path], None], command: str
) -> None:
    harm(copied)
    frames, other = desk.recording("frames"), desk.recording("other")
    config = desk.file("framewatch.yaml", f"bundle: {copied}\njournal: {desk.folder}/journal.db\n")
    said = desk.refuse(
        command,
        *{
            "score": (frames, "--bundle", copied, "--out", "scores.csv"),
            "evaluate": ("--normal", frames, "--anomalous", other, "--bundle", copied),
            "run": ("--config", config),
        }[command],
    )
    assert f"framewatch: {copied}: {BAD_BUNDLES[harm]}" in said


@pytest.mark.parametrize("command", ["score", "evaluate"])
@pytest.mark.parametrize("frames", [normal(5, 1, 32, 48), FRESH.astype(np.uint16)], ids=["size", "type"])
def test_a_bundle_for_other_frames_is_refused(
    desk: Desk, small_bundle: Bundle, frames: np.ndarray, command: str
) -> None:
    other = desk.recording("other", frames)
    inputs = {"score": (other, "--out", "scores.parquet"), "evaluate": ("--normal", other, "--anomalous", other)}
    said = desk.refuse(command, *inputs[command], "--bundle", small_bundle.path)
    assert "other.npy: frames are" in said
    assert "is for 32x32 uint8; calibrate a bundle for these frames" in said
