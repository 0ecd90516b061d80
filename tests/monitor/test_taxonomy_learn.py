"""`framewatch taxonomy learn`, and what a daemon and the doctor say of the file that it wrote."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from embedding_example import learned
from frames import normal, with_spot
from taxonomy_example import kept, store_of, written

from monitor import cli, doctor, service
from monitor.bundle import Bundle, read
from monitor.config import read as read_config
from monitor.taxonomy import embedding as files
from monitor.taxonomy.store import Store, beside
from monitor.yamlfile import ConfigError


@pytest.fixture
def config(tmp_path: Path, small_bundle: Bundle) -> Path:
    path = tmp_path / "framewatch.yaml"
    document = {"camera": "melt", "bundle": str(small_bundle.path), "journal": "journal.db", "input": {"rate_hz": 20}}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        frames = with_spot(normal(17, 5))
        made.write(written([*(kept(number + 1, frame) for number, frame in enumerate(frames)), kept(18)]))
        yield made


def learn(config: Path, out: Path, *more: str) -> dict[str, Any]:
    """By a process of its own, which is nicer than this one."""
    command = [sys.executable, "-m", "monitor.cli", "taxonomy", "learn", "--config", str(config), "--out", str(out)]
    done = subprocess.run([*command, *more, "--json"], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(config: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    out = config.with_name("e.safetensors")
    status = cli.main(["taxonomy", "learn", "--config", str(config), "--out", str(out), *more])
    said = capsys.readouterr().err
    assert not out.exists()
    assert len(said.splitlines()) == 1, said
    return status, said


def test_an_invariant_embedding_is_learned_from_the_frames_beside_the_journal_the_same_by_the_same_seed(
    config: Path, store: Store, tmp_path: Path, small_bundle: Bundle
) -> None:
    given = ("--embedding", "invariant", "--steps", "3", "--contents", "2")
    one = learn(config, tmp_path / "new" / "one.safetensors", *given)
    other = learn(config, tmp_path / "other.safetensors", *given)
    assert (one["frames"], one["left_out"], one["numbers"], one["embedding"]) == (17, 1, 2, "invariant")
    said, sha256 = files.about(tmp_path / "new" / "one.safetensors")
    assert (one["sha256"], said.frames, said.bundle) == (sha256, 17, small_bundle.sha256)
    assert said.tensors == files.about(Path(other["file"]))[0].tensors
    assert files.read(tmp_path / "other.safetensors").embedding.plain == {"crop_px": 32}


def test_too_few_frames_are_told_with_their_number(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(config, capsys, "--embedding", "invariant") == (
        1,
        f"framewatch: {tmp_path / 'journal.kinds.db'}: is not there: no daemon has kept frames of events; name "
        "recorded ones with --from\n",
    )
    np.save(tmp_path / "few.npy", normal(15, 1))
    status, said = refused(config, capsys, "--embedding", "invariant", "--from", str(tmp_path / "few.npy"))
    assert (status, "few.npy: 15 frames" in said, "takes 16 or more" in said) == (1, True, True)


def test_a_damaged_file_is_told_in_one_line(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(beside(config.with_name("journal.db")), isolation_level=None)) as db:
        db.execute("DROP TABLE samples")
    status, said = refused(config, capsys, "--embedding", "texture")
    assert (status, "no such table: samples" in said) == (1, True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--embedding", "backbone"], "--network NAME and --weights FILE"),
        (["--embedding", "texture", "--network", "resnet18"], "are for a backbone"),
        (["--embedding", "texture", "--steps", "7"], "leave them out with texture"),
    ],
)
def test_arguments_that_make_no_sense_together_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    status, said = refused(config, capsys, *more)
    assert (status, says in said) == (2, True)


def test_frames_that_the_bundle_does_not_judge_are_refused_by_name(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "large.npy", np.zeros((20, 64, 64), np.uint8) + np.arange(64, dtype=np.uint8))
    status, said = refused(config, capsys, "--embedding", "texture", "--from", str(tmp_path / "large.npy"))
    assert (status, "large.npy: frames are 64x64" in said) == (2, True)


def naming(config: Path, path: Path) -> Path:
    document = yaml.safe_load(config.read_text()) | {"taxonomy": {"embedding": path.name}}
    config.write_text(yaml.safe_dump(document))
    return config


def test_a_daemon_does_not_start_with_a_file_that_is_of_no_use_and_the_doctor_says_why(
    config: Path, tmp_path: Path, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "turned.safetensors"
    given = read_config(naming(config, path))

    def found() -> tuple[str, str]:
        [one] = [one for one in doctor.examine(given) if one.check == "embedding"]
        return one.grade, one.found

    assert cli.main(["run", "--config", str(config)]) == 2
    assert capsys.readouterr().err == f"framewatch: taxonomy.embedding: {path}: No such file or directory\n"
    assert found() == ("fault", f"{path}: No such file or directory")
    whole = learned(path, small_bundle).read_bytes()
    orders = service.prepare(given, "framewatch.yaml", read(small_bundle.path))
    assert orders.embedding == files.about(path)[1]
    assert found() == ("ok", f"{path}: invariant, 3 numbers a frame, learned from 48 frames")
    path.write_bytes(whole[:-1] + b"?")
    with pytest.raises(ConfigError, match=r"^taxonomy\.embedding: .*turned\.safetensors: is damaged"):
        service.prepare(given, "framewatch.yaml", read(small_bundle.path))
    path.write_bytes(whole)
    held = files.read(path)
    files.write(path, msgspec.structs.replace(held.about, dtype="uint16"), held.embedding)
    with pytest.raises(ConfigError, match="learn another"):
        service.prepare(given, "framewatch.yaml", read(small_bundle.path))
    assert found()[0] == "fault"
