"""The commands held to the contract: exit status, one line on standard error, nothing half-written."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from daemon_example import free_port
from frames import normal, with_spot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import monitor
from monitor import cli, commands
from monitor.bundle import MANIFEST, MANIFEST_SUM, WEIGHTS, Bundle, read
from monitor.camera.simulate import read_truth

FRESH = normal(60, 70)
QUICK = "calibration: {latent: 2, max_steps: 10, false_alarm_rate: 0.01}\n"
PATIENCE_S = 60


class Ended(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Desk:
    """Runs commands in this process, in a folder of their own, and looks at what they leave there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *arguments: object) -> Ended:
        try:
            status = cli.main([str(one) for one in arguments])
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 1
        out, err = self._capsys.readouterr()
        return Ended(status, out, err)

    def refuse(self, *arguments: object) -> str:
        """What the command says on standard error, once it is clear that it said it as it should."""
        before = self.contents()
        ended = self.run(*arguments)
        assert_refused(ended, 2)
        assert self.contents() == before, "a refusal leaves everything as it was"
        return ended.err

    def contents(self) -> dict[str, bytes | None]:
        return {str(one): one.read_bytes() if one.is_file() else None for one in sorted(self.folder.rglob("*"))}

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def recording(self, name: str, frames: np.ndarray = FRESH) -> Path:
        path = self.folder / f"{name}.npy"
        np.save(path, frames)
        return path

    def images(self, name: str, frames: Sequence[np.ndarray]) -> Path:
        folder = self.folder / name
        folder.mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"frame_{index}.png")
        return folder


def assert_refused(ended: Ended, status: int) -> None:
    assert ended.status == status, ended
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("framewatch"), ended.err
    assert ended.err.endswith("\n")
    assert "Traceback" not in ended.err + ended.out


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def copied(small_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(small_bundle.path, tmp_path / "copied"))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


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
    too_small: "small.npy: frames of 8x8 pixels; each side must be 16 to 576",
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


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (FRESH[:2], "1 training frames cannot fit a latent of 2: 4 are needed"),
        (FRESH[:30], "11 held-out frames are too few for a limit: give at least 20"),
        (
            np.full((70, 32, 32), 7, np.uint8),
            "all calibration frames look alike to the network: give frames that differ",
        ),
    ],
)
def test_a_calibration_that_fails_says_why_and_leaves_nothing(desk: Desk, frames: np.ndarray, says: str) -> None:
    path, config = desk.recording("frames", frames), desk.file("quick.yaml", QUICK)
    before = desk.contents()
    ended = desk.run("calibrate", path, "--out", "bundle", "--config", config)
    assert_refused(ended, 1)
    assert says in ended.err
    assert desk.contents() == before


def test_a_calibration_never_overwrites_what_is_no_bundle(desk: Desk) -> None:
    path = desk.recording("frames")
    (desk.folder / "mine").mkdir()
    desk.file("mine/frame.bmp", "mine")
    for out in ("mine", "frames.npy", ".", "frames.npy/bundle"):
        assert "choose another --out" in desk.refuse("calibrate", path, "--out", out)


@pytest.mark.parametrize("arguments", [[], ["frames.npy", "--endpoint", "tcp://127.0.0.1:5555"]])
def test_a_calibration_takes_recorded_or_live_frames(desk: Desk, arguments: list[str]) -> None:
    desk.recording("frames")
    assert "give recorded frames (PATH...) or a camera (--endpoint)" in desk.refuse(
        "calibrate", *arguments, "--out", "b"
    )


def test_a_silent_camera_is_no_calibration(desk: Desk) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    before = desk.contents()
    ended = desk.run("calibrate", "--endpoint", endpoint, "--out", "bundle", "--silence", 0.2)
    assert_refused(ended, 2)
    assert f"{endpoint}: no active frame came" in ended.err
    assert desk.contents() == before


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
    (path / MANIFEST).write_bytes(msgspec.json.encode({**document, "format": 2}))


def without_sum(path: Path) -> None:
    (path / MANIFEST_SUM).unlink()


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


BAD_BUNDLES: dict[Callable[[Path], None], str] = {
    flipped: "weights.safetensors was changed or damaged since calibration; restore it or calibrate anew",
    cut_manifest: "manifest.json is damaged",
    edited_manifest: "manifest.json was changed or damaged since calibration",
    newer: "has format 2, this program reads up to 1; upgrade framewatch or calibrate anew",
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


BAD_CONFIGS = {
    "unknown key": ("input: {rate: 5}", "input.rate: unknown key; did you mean 'rate_hz'?"),
    "wrong type": ("input: {rate_hz: fast}", "input.rate_hz: Expected `float`, got `str`"),
    "duplicate key": ("camera: a\ncamera: b", "line 2: the key 'camera' is given twice; keep one"),
    "out of range": ("http: {port: 99999}", "http.port: Expected `int` <= 65535"),
    "malformed endpoint": ("outputs: {alarms: 'tcp://here'}", "outputs.alarms: must be an address such as tcp://"),
    "broken": ("input: [", "line 1: while parsing a flow"),
    "a list": ("- camera", "must hold keys and values, not a list"),
    "binary": ("camera: \x00", "special characters are not allowed"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
@pytest.mark.parametrize("command", ["calibrate", "run", "doctor"])
def test_a_wrong_configuration_is_told_with_file_and_key(desk: Desk, name: str, command: str) -> None:
    text, says = BAD_CONFIGS[name]
    config, frames = desk.file("framewatch.yaml", text), desk.recording("frames")
    more = (frames, "--out", "bundle") if command == "calibrate" else ()
    said = desk.refuse(command, *more, "--config", config)
    assert said.startswith(f"framewatch: {config}: ")
    assert says in said


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_missing_configuration_is_named(desk: Desk, command: str) -> None:
    said = desk.refuse(command, "--config", "none.yaml")
    assert said == "framewatch: none.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["watch"], "invalid choice: 'watch'"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
        (["demo", "--stem", "images"], "unrecognized arguments: images"),
        (["demo", "--seconds", "0"], "argument --seconds: 0 must be above 0"),
        (["demo", "--seconds", "nan"], "argument --seconds: nan must be above 0"),
        (["demo", "--seconds", "soon"], "argument --seconds: 'soon' is no number"),
        (["run"], "the following arguments are required: --config"),
        (["calibrate", "x"], "the following arguments are required: --out"),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:99999"], "argument --endpoint: "),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:1", "--frames", "0"], "0 must be at least 1"),
        (["calibrate", "--out", "b", "--endpoint", "nowhere"], "'nowhere' must be an address such as tcp://"),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:1", "--camera", "a b"], "'a b' must be a name"),
        (["score", "x", "--bundle", "b", "--out", "scores.xlsx"], "scores.xlsx: must end in .parquet or .csv"),
        (["score", "x", "--bundle", "b", "--out", "none/scores.csv"], "none/scores.csv: "),
        (["simulate", "stars", "--endpoint", "e", "--rate", "1"], "invalid choice: 'stars'"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", "-5"], "-5 must lie between"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", "1e300"], "1e300 must lie between"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0"], "are required: --rate"),
        (["simulate", "meltpool", "--endpoint", "nonsense", "--rate", "1"], "'nonsense' must be an address"),
        (["simulate", "meltpool", "--endpoint", "tcp://1.2.3.4:70000", "--rate", "1"], "must be an address"),
        (["replay", "x", "--endpoint", "tcp://*:0", "--rate", "1", "--camera", "é"], "must be a name of 1 to 64"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_line(desk: Desk, arguments: list[str], says: str) -> None:
    assert says in desk.refuse(*arguments)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--size", "0x64", "0 must be at least 1"),
        ("--size", "axb", "'a' is no whole number"),
        ("--size", "x64", "'' is no whole number"),
        ("--anomaly-rate", "2", "2 must lie between 0 and 1"),
        ("--anomaly-rate", "nan", "nan must lie between 0 and 1"),
        ("--seed", "-1", "-1 must be at least 0"),
        ("--frames", "1.5", "'1.5' is no whole number"),
        ("--frames-per-message", "0", "0 must be at least 1"),
        ("--wait", "inf", "inf must be above 0"),
        ("--camera", "x" * 65, "must be a name of 1 to 64"),
        ("--socket", "dealer", "invalid choice: 'dealer'"),
        ("--mode", "spectra", "invalid choice: 'spectra'"),
        ("--kinds", "", "'' must be names with commas between them"),
        ("--kinds", "splash,,dim", "'splash,,dim' must be names with commas between them"),
    ],
)
def test_a_simulated_camera_refuses_what_makes_no_sense(desk: Desk, option: str, value: str, says: str) -> None:
    said = desk.refuse("simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, f"{option}={value}")
    assert f"argument {option}: " in said
    assert says in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("meltpool", "--size", "8"), "meltpool: a side of 8 pixels: 16 to 576 are possible"),
        (("meltpool", "--size", "64x1000"), "meltpool: a side of 1000 pixels: 16 to 576 are possible"),
        (("meltpool", "--kinds", "splash,meteor"), "meltpool: no such anomaly: meteor; there are "),
        (("meltpool", "--mode", "images"), "--mode says what a stem camera shows; leave it out with meltpool"),
        (("stem", "--size", "64x4096"), "stem images: a side of 4096 pixels: 16 to 2048 are possible"),
        (("stem", "--kinds", "splash"), "stem images: no such anomaly: splash; there are vacancy"),
        (("stem", "--mode", "diffraction", "--kinds", "meteor"), "stem diffraction: no such anomaly: meteor; there "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_camera_that_cannot_be_simulated_is_told_before_anything_is_opened(
    desk: Desk, arguments: tuple[str, ...], says: str
) -> None:
    said = desk.refuse(
        "simulate", *arguments, "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, "--truth", "truth.jsonl"
    )
    assert said.startswith(f"framewatch: {says}")


@pytest.mark.parametrize("command", ["simulate", "replay", "calibrate"])
def test_a_port_in_use_is_named(desk: Desk, taken: int, command: str) -> None:
    endpoint = f"tcp://127.0.0.1:{taken}"
    frames = desk.recording("frames")
    arguments = {
        "simulate": ("meltpool", "--endpoint", endpoint, "--rate", 100, "--truth", "truth.jsonl"),
        "replay": (frames, "--endpoint", endpoint, "--rate", 100),
        "calibrate": ("--endpoint", endpoint, "--bind", "--out", "bundle"),
    }[command]
    before = desk.contents()
    ended = desk.run(command, *arguments)
    assert_refused(ended, 2)
    assert endpoint in ended.err
    assert "Address already in use" in ended.err
    assert desk.contents() == before


def test_frames_become_a_bundle_scores_and_an_evaluation(desk: Desk) -> None:
    for index in range(3):
        (desk.folder / "runs").mkdir(exist_ok=True)
        np.save(desk.folder / "runs" / f"run_{index}.npy", normal(40, index))
    runs = sorted((desk.folder / "runs").iterdir())
    config = desk.file("quick.yaml", QUICK)
    ended = desk.run(
        "calibrate", *runs, "--out", "bundle", "--config", config, "--context", "hatch", "--settings", "40 us"
    )
    assert (ended.status, ended.err) == (0, "")
    for told in (
        "bundle bundle  (32x32 uint8)",
        "t2",
        "local",
        "warning: the limits rest on 1 held-out group",
        "report: ",
    ):
        assert told in ended.out
    held = read(desk.folder / "bundle").manifest
    assert (held.settings, held.contexts, held.training["latent"]) == ("40 us", ("hatch",), 2)

    spots = desk.recording("spots", with_spot(FRESH, strength=200))
    ended = desk.run("score", spots, runs[0], "--bundle", "bundle", "--out", "scores.csv")
    assert (ended.status, ended.err) == (0, "")
    assert "scores.csv: 100 frames scored" in ended.out
    with (desk.folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert {row["group"] for row in rows} == {str(spots), str(runs[0])}

    asked = ("evaluate", "--normal", runs[0], "--anomalous", spots, "--bundle", "bundle")
    shown, as_json = desk.run(*asked), desk.run(*asked, "--json")
    assert (shown.status, shown.err) == (0, "")
    assert "AUROC combined" in shown.out
    found = json.loads(as_json.out)
    flags = sum(row["flag"] == "true" for row in rows if row["group"] == str(spots))
    assert found["counts"]["anomalous_flagged"] == flags
    assert found["counts"]["anomalous_flagged"] + found["counts"]["anomalous_passed"] == 60
    assert set(found["auroc"]) == {"t2", "s2", "offset", "local", "combined"}


def test_the_doctor_says_what_to_do_in_words_and_in_json(desk: Desk, taken: int) -> None:
    ports = f"outputs: {{alarms: 'tcp://127.0.0.1:{free_port()}', permit: 'tcp://127.0.0.1:{free_port()}'}}\n"
    good = desk.file("good.yaml", f"{ports}http: {{port: {free_port()}}}\n")
    bad = desk.file("bad.yaml", f"{ports}http: {{port: {taken}}}\n")
    well, ill = desk.run("doctor", "--config", good), desk.run("doctor", "--config", bad, "--json")
    assert (well.status, well.err, ill.status, ill.err) == (0, "", 1, "")
    assert "-> make one with 'framewatch calibrate' and name it under bundle" in well.out
    [fault] = [one for one in json.loads(ill.out) if one["grade"] == "fault"]
    assert (fault["check"], fault["found"]) == ("http.port", f"127.0.0.1:{taken}: Address already in use")


@pytest.mark.parametrize(
    ("camera", "kinds"),
    [
        (("meltpool",), "splash,keyhole"),
        (("stem",), "vacancy, grain_boundary"),
        (("stem", "--mode", "images"), "contamination"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_simulated_camera_writes_its_truth(desk: Desk, camera: tuple[str, ...], kinds: str) -> None:
    ended = desk.run(
        *("simulate", *camera, "--endpoint", "tcp://127.0.0.1:0", "--rate", 20_000, "--frames", 1500),
        *("--size", "16x24", "--anomaly-rate", 0.05, "--kinds", kinds, "--truth", "truth.jsonl", "--wait", 0.01),
    )
    assert ended.status == 0
    assert ended.err == "framewatch: nobody listened at the start; what a PUB socket sends to nobody is gone\n"
    assert "sent 1500 frames in " in ended.out
    truths = read_truth(desk.folder / "truth.jsonl")
    assert {truth.kind for truth in truths} == {kind.strip() for kind in kinds.split(",")}
    assert all(0 <= truth.first_seq <= truth.last_seq < 1500 for truth in truths)
    exposed_ns = [truth.first_t_ns or 0 for truth in truths]
    assert exposed_ns == sorted(exposed_ns)
    assert exposed_ns[0] > 0


def test_a_truth_file_that_cannot_be_made_is_named(desk: Desk) -> None:
    ended = desk.run(
        *("simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, "--truth", "none/truth.jsonl")
    )
    assert_refused(ended, 1)
    assert "none/truth.jsonl: No such file or directory" in ended.err


@pytest.mark.parametrize(
    "command", ["", "demo", "calibrate", "score", "evaluate", "run", "replay", "simulate", "doctor"]
)
def test_every_command_explains_itself(desk: Desk, command: str) -> None:
    ended = desk.run(*filter(None, (command, "--help")))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("usage: framewatch")


def test_it_tells_its_version(desk: Desk) -> None:
    assert desk.run("--version").out == f"framewatch {monitor.__version__}\n"


def test_an_interrupted_command_ends_as_shells_expect(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "doctor", interrupted)
    assert desk.run("doctor") == (130, "", "framewatch: interrupted\n")


def test_a_bug_is_not_dressed_up_as_a_mistake_of_the_user(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "doctor", broken)
    with pytest.raises(ZeroDivisionError):
        desk.run("doctor")


ARGUMENTS = st.lists(
    st.sampled_from(["calibrate", "score", "evaluate", "simulate", "meltpool", "replay", "doctor", "run", "--out"])
    | st.sampled_from(["--config", "--bundle", "--endpoint", "--rate", "--size", "none", "-1", "1e9", "--json", "--"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=ARGUMENTS)
def test_any_arguments_end_in_help_or_one_line(desk: Desk, arguments: list[str]) -> None:
    if "--endpoint" in arguments or "doctor" in arguments:  # would look at this machine
        arguments = [one for one in arguments if one not in ("--endpoint", "doctor")]
    ended = desk.run(*arguments)
    if ended.status == 0:
        assert ended.out.startswith("usage: framewatch")
    else:
        assert_refused(ended, 2)


def framewatch(folder: Path, *arguments: object) -> Ended:
    """A command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "monitor.cli", *map(str, arguments)],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(monitor.__file__).parents[1])},
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_as_a_process_of_its_own_it_says_one_line_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(framewatch(tmp_path, "calibrate", "empty", "--out", "bundle"), 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]


def test_a_calibration_in_a_process_of_its_own_keeps_its_progress_off_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.full((70, 32, 32), 7, np.uint8))
    (tmp_path / "quick.yaml").write_text(QUICK)
    ended = framewatch(tmp_path, "calibrate", "frames.npy", "--out", "bundle", "--config", "quick.yaml")
    assert_refused(ended, 1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["frames.npy", "quick.yaml"]


def test_a_daemon_whose_port_is_taken_names_the_key(tmp_path: Path, taken: int) -> None:
    (tmp_path / "framewatch.yaml").write_text(
        f"outputs: {{alarms: 'tcp://127.0.0.1:{taken}', permit: 'tcp://127.0.0.1:{free_port()}'}}\n"
        f"http: {{port: {free_port()}}}\n"
    )
    ended = framewatch(tmp_path, "run", "--config", "framewatch.yaml")
    assert ended.status == 2
    assert "Traceback" not in ended.err
    [line] = [line for line in ended.err.splitlines() if line.startswith("framewatch: ")]
    assert line.startswith("framewatch: framewatch.yaml: outputs.alarms: ")
    assert f"127.0.0.1:{taken}" in line
    assert "in use" in line
