"""A bundle is written whole or not at all, reads back as it was, and is refused by name when a single byte changed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import bundle as bundles
from monitor.bundle import MANIFEST, MANIFEST_SUM, REPORT, WEIGHTS, Bundle, BundleError, read, write
from monitor.manifest import CameraCheck, FittedLimit, FittedTail, Group, Manifest

LIMITS = {
    "t2": FittedLimit(
        20.5, 19.0, 22.25, 4.0, 0.0025, "kde", 400, 123.5, False, FittedTail((1.0, 4.0, 9.0), 0.1, 0.1, 3.0)
    ),
    "s2": FittedLimit(
        1 / 3, 0.25, 0.5, 0.125, 0.0025, "kde", 400, 400.0, False, FittedTail((0.0, 0.1, 0.2), 0.1, -0.1, 0.05)
    ),
}
OWN = {"t2": msgspec.structs.replace(LIMITS["t2"], value=21.0), "s2": msgspec.structs.replace(LIMITS["s2"], value=0.3)}


def some_manifest(**changes: Any) -> Manifest:
    manifest = Manifest(
        format=bundles.FORMAT,
        program="0.1.0",
        created_ns=1_795_000_000 * 10**9,
        height=32,
        width=48,
        dtype="uint16",
        settings="exposure 40 us",
        engine="torch 2.13.0 cpu",
        precision="float32",
        training={"latent": 4, "loss": 0.1, "note": "é"},
        groups=(Group("run 1", 100, "train", "0" * 64), Group("run 2", 50, "limits", "f" * 64)),
        false_alarm_rate=0.01,
        budget=None,
        memory=None,
        rates=None,
        drift=None,
        limits=LIMITS,
        context_limits={"contour": {}, "hatch": OWN},
        camera=CameraCheck(3.5, 65535.0, 0.02, 0.25, 3),
        warnings=("only one group",),
    )
    return msgspec.structs.replace(manifest, **changes)


TENSORS = {"network.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "charts.window": np.array(3)}


@pytest.fixture
def written(tmp_path: Path) -> Bundle:
    return write(tmp_path / "bundle", some_manifest(), TENSORS, "<html>report</html>")


def beside(path: Path) -> list[str]:
    """Everything in the folder of *path*."""
    return sorted(entry.name for entry in path.parent.iterdir())


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert len(said.splitlines()) == 1
    return said


def rewrite_manifest(path: Path, **changes: Any) -> None:
    """As another program would have written it: with a sum that fits."""
    document = msgspec.json.decode((path / MANIFEST).read_bytes())
    text = msgspec.json.encode({**document, **changes})
    (path / MANIFEST).write_bytes(text)
    (path / MANIFEST_SUM).write_text(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n")


def test_a_bundle_reads_back_as_it_was_written(written: Bundle) -> None:
    found = read(written.path)
    held = msgspec.structs.replace(found.manifest, files={})
    assert held == some_manifest()
    assert set(found.manifest.files) == {WEIGHTS, REPORT}
    assert found.sha256 == written.sha256 == hashlib.sha256((written.path / MANIFEST).read_bytes()).hexdigest()
    assert set(found.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype


def test_it_speaks_the_language_of_its_readers(written: Bundle) -> None:
    for limit, fitted in zip(written.limits, LIMITS.values(), strict=True):
        assert limit[:-1] == msgspec.structs.astuple(fitted)[:-1]
        assert limit.tail.body.tolist() == list(fitted.tail.body)
        assert limit.tail[1:] == msgspec.structs.astuple(fitted.tail)[1:]
        assert FittedLimit.of(limit) == fitted
    assert written.camera_limits.frozen_repeats == 3
    admission = written.admission
    assert (admission.height, admission.width, admission.dtype) == (32, 48, "uint16")
    assert (admission.settings, admission.contexts) == ("exposure 40 us", frozenset({"contour", "hatch"}))


def test_a_bundle_without_context_or_settings_admits_any(tmp_path: Path) -> None:
    manifest = some_manifest(context_limits=None, settings=None)
    admission = write(tmp_path / "bundle", manifest, TENSORS, None).admission
    assert (admission.settings, admission.contexts) == (None, None)


def test_one_extrapolated_limit_makes_the_bundle_extrapolated() -> None:
    assert not some_manifest().extrapolated
    rough = msgspec.structs.replace(LIMITS["s2"], extrapolated=True)
    assert some_manifest(limits={**LIMITS, "s2": rough}).extrapolated
    assert some_manifest(context_limits={"hatch": {**OWN, "s2": rough}}).extrapolated


def test_a_context_has_its_own_limits_or_the_pooled_ones(written: Bundle) -> None:
    found = written.context_limits
    assert [limit.value for limit in found.of("hatch")] == [21.0, 0.3]
    assert [limit.value for limit in found.of("contour")] == [20.5, 1 / 3]
    assert [limit.value for limit in found.of("")] == [20.5, 1 / 3]
    assert written.manifest.contexts == ("contour", "hatch")
    assert set(written.manifest.own_limits) == {"hatch"}


def test_nothing_but_the_bundle_is_left_on_disk(written: Bundle) -> None:
    assert beside(written.path) == ["bundle"]
    assert sorted(entry.name for entry in written.path.iterdir()) == sorted([MANIFEST, MANIFEST_SUM, REPORT, WEIGHTS])


def test_others_than_its_maker_may_read_it(written: Bundle) -> None:
    assert written.path.stat().st_mode & 0o777 == 0o755


def test_the_sum_is_one_that_sha256sum_checks(written: Bundle) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here")
    checked = subprocess.run(["sha256sum", "--check", "--status", MANIFEST_SUM], cwd=written.path, check=False)
    assert checked.returncode == 0


def test_a_manifest_that_could_not_be_read_again_replaces_nothing(written: Bundle) -> None:
    limits = LIMITS | {"t2": msgspec.structs.replace(LIMITS["t2"], value=float("inf"))}
    with pytest.raises(BundleError, match="was not written, its manifest would not be readable"):
        write(written.path, some_manifest(limits=limits), written.tensors, None)
    assert read(written.path).sha256 == written.sha256
    assert beside(written.path) == [written.path.name]


def test_a_bundle_is_replaced_by_the_next(written: Bundle) -> None:
    (written.path / "note.txt").write_text("of a person")
    again = write(written.path, some_manifest(warnings=()), TENSORS, None)
    assert again.manifest.warnings == ()
    assert again.sha256 != written.sha256
    assert not (written.path / "note.txt").exists()
    assert beside(written.path) == ["bundle"]


def test_an_empty_folder_is_taken_and_missing_ones_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty", some_manifest(), TENSORS, None).manifest == read(tmp_path / "empty").manifest
    assert write(tmp_path / "a" / "b" / "c", some_manifest(), TENSORS, None).path.is_dir()


@pytest.mark.parametrize("kind", ["file", "folder", "below a file", "here", "above"])
def test_what_is_no_bundle_is_left_alone(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "frame.bmp").write_text("mine")
    out = {"below a file": tmp_path / "file" / "bundle", "here": Path(), "above": Path("..")}.get(kind, tmp_path / kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match="choose another --out") as caught:
        write(out, some_manifest(), TENSORS, None)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("there_already", [False, True])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, there_already: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle"
    before = write(path, some_manifest(), TENSORS, None) if there_already else None

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write(path, some_manifest(warnings=()), TENSORS, None)
    assert beside(path) == (["bundle"] if there_already else [])
    if before:
        assert read(path).sha256 == before.sha256


def test_a_swap_that_fails_halfway_puts_the_old_bundle_back(written: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def reluctant(source: Path, target: Path) -> Path:
        if source.name.startswith(".bundle.") and target.name == "bundle" and source.parent == target.parent:
            raise OSError(5, "Input/output error")
        return rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", reluctant)
        with pytest.raises(OSError, match="Input/output error"):
            write(written.path, some_manifest(warnings=()), TENSORS, None)
    assert read(written.path).sha256 == written.sha256
    assert beside(written.path) == ["bundle"]


@pytest.mark.parametrize("name", [MANIFEST, MANIFEST_SUM, REPORT, WEIGHTS])
@pytest.mark.parametrize("harm", ["missing", "empty", "truncated", "longer", "folder"])
def test_a_damaged_file_is_named(written: Bundle, name: str, harm: str) -> None:
    file = written.path / name
    data = file.read_bytes()
    match harm:
        case "missing" | "folder":
            file.unlink()
            if harm == "folder":
                file.mkdir()
        case "empty":
            file.write_bytes(b"")
        case "truncated":
            file.write_bytes(data[: len(data) // 2])
        case "longer":
            file.write_bytes(data + b" ")
    blamed = MANIFEST if name == MANIFEST_SUM and harm in ("empty", "truncated", "longer") else name
    said = refusal(written.path)
    assert blamed in said or (name == MANIFEST and harm == "folder" and "cannot be read" in said)


@given(name=st.sampled_from([MANIFEST, MANIFEST_SUM, REPORT, WEIGHTS]), share=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_in_any_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, share: float, bit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    if not path.exists():
        write(path, some_manifest(), TENSORS, "<html>report</html>")
    data = (path / name).read_bytes()
    index = min(int(share * len(data)), len(data) - 1)
    changed = bytearray(data)
    changed[index] ^= 1 << bit
    try:
        (path / name).write_bytes(changed)
        refusal(path)
    finally:
        (path / name).write_bytes(data)
    read(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "has format 2, of an earlier framewatch; calibrate anew"),
        (
            {"format": 99},
            f"has format 99, this program reads up to {bundles.FORMAT}; upgrade framewatch or calibrate anew",
        ),
        ({"format": 99, "limits": "of another kind"}, "has format 99"),
        ({"height": "tall"}, "manifest.json is damaged"),
        ({"dtype": "int64"}, "manifest.json is damaged"),
        ({"limits": None}, "manifest.json is damaged"),
        ({"files": {}}, "names no weights.safetensors"),
        ({"files": {"../secret": "0" * 64}}, "names a file outside the bundle"),
        ({"files": {WEIGHTS: "short"}}, "manifest.json is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(written: Bundle, changes: dict[str, Any], says: str) -> None:
    rewrite_manifest(written.path, **changes)
    assert says in refusal(written.path)


def test_keys_of_a_later_minor_version_are_ignored(written: Bundle) -> None:
    rewrite_manifest(written.path, colour="blue")
    assert read(written.path).manifest.limits == LIMITS


@pytest.mark.parametrize("text", [b"[]", b"{}", b"null", b"{" * 5000, b'{"a":' * 100_000, b"\xff\xfe", b"\x00"])
def test_what_is_no_manifest_at_all_is_refused(written: Bundle, text: bytes) -> None:
    (written.path / MANIFEST).write_bytes(text)
    assert "manifest.json is damaged" in refusal(written.path)


def test_a_path_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        assert "is no bundle (no manifest.json); make one with 'framewatch calibrate'" in refusal(path)
