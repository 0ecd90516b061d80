"""The commands held to the contract: exit status, one line on standard error, nothing half-written."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_example import FRESH, QUICK, Desk, Ended, assert_refused
from daemon_example import free_port
from frames import normal, with_spot

import monitor
from monitor import commands
from monitor.bundle import read

PATIENCE_S = 60


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


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


def test_frames_of_several_contexts_become_limits_of_each(desk: Desk) -> None:
    hatch = [desk.recording(f"hatch_{index}", normal(120, index)) for index in range(4)]
    contour = [desk.recording(f"contour_{index}", normal(250, 10 + index) // 2) for index in range(2)]
    lax = desk.file("lax.yaml", re.sub("false_alarm_rate: [0-9.]+", "false_alarm_rate: 0.05", QUICK))
    given = ("--in", "hatch", *hatch, "--in", "contour", *contour, "--config", lax)
    ended = desk.run("calibrate", *given, "--out", "bundle")
    assert (ended.status, ended.err) == (0, "")
    assert "t2 in contour" in ended.out
    assert "the limits of all contexts together hold in hatch too" in ended.out
    assert "warning: context hatch has the limits of all contexts pooled" in ended.out
    held = read(desk.folder / "bundle").manifest
    assert (held.contexts, set(held.own_limits)) == (("contour", "hatch"), {"contour"})

    ended = desk.run("score", hatch[0], "--in", "contour", contour[0], "--bundle", "bundle", "--out", "scores.csv")
    assert (ended.status, ended.err) == (0, "")
    with (desk.folder / "scores.csv").open() as file:
        limits = {row["context"]: float(row["t2_limit"]) for row in csv.DictReader(file)}
    assert limits == pytest.approx({"": held.limits["t2"].value, "contour": held.own_limits["contour"]["t2"].value})

    asked = ("evaluate", "--normal", contour[0], "--anomalous", hatch[0], "--bundle", "bundle", "--json", "--context")
    found = json.loads(desk.run(*asked, "contour").out)["counts"]
    assert found["normal_flagged"] < 50  # of 250 that it learned from, at one in twenty
    assert "does not know the context skin, only contour, hatch" in desk.refuse(*asked, "skin")


def test_the_doctor_says_what_to_do_in_words_and_in_json(desk: Desk, taken: int) -> None:
    free = [f"{key}: 'tcp://127.0.0.1:{free_port()}'" for key in ("alarms", "permit", "snapshot")]
    ports = f"outputs: {{{', '.join(free)}}}\n"
    good = desk.file("good.yaml", f"{ports}http: {{port: {free_port()}}}\n")
    bad = desk.file("bad.yaml", f"{ports}http: {{port: {taken}}}\n")
    well, ill = desk.run("doctor", "--config", good), desk.run("doctor", "--config", bad, "--json")
    assert (well.status, well.err, ill.status, ill.err) == (0, "", 1, "")
    assert "-> make one with 'framewatch calibrate' and name it under bundle" in well.out
    [fault] = [one for one in json.loads(ill.out) if one["grade"] == "fault"]
    assert (fault["check"], fault["found"]) == ("http.port", f"127.0.0.1:{taken}: Address already in use")


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


# Calibration


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


def test_frames_that_a_person_marked_set_no_limit_and_the_bundle_says_so(desk: Desk) -> None:
    spotted = np.concatenate((normal(60, 2), with_spot(normal(8, 9))))
    paths = [*(desk.recording(f"run_{index}", normal(60, index)) for index in range(2)), desk.recording("odd", spotted)]
    given = ("calibrate", *paths, "--out", "bundle", "--config", desk.file("quick.yaml", QUICK))
    ended = desk.run(*given, "--exclude", f"{paths[2]}:60-67")
    assert (ended.status, ended.err) == (0, "")
    held = read(desk.folder / "bundle").manifest
    assert [(one.group, one.first, one.last) for one in held.excluded] == [(str(paths[2]), 60, 67)]
    assert set(held.limits_with_excluded) == set(held.limits)
    assert held.limits_with_excluded["local"] != held.limits["local"].value
    assert "the first frame is beyond the last" in desk.refuse(*given, "--exclude", "odd.npy:9-3")
    unknown = desk.run(*given, "--exclude", "run_7.npy")
    assert_refused(unknown, 1)
    assert "--exclude run_7.npy: no group of that name sets the limits" in unknown.err


def test_a_calibration_never_overwrites_what_is_no_bundle(desk: Desk) -> None:
    path = desk.recording("frames")
    (desk.folder / "mine").mkdir()
    desk.file("mine/frame.bmp", "mine")
    for out in ("mine", "frames.npy", ".", "frames.npy/bundle"):
        assert "choose another --out" in desk.refuse("calibrate", path, "--out", out)


@pytest.mark.parametrize("arguments", [[], ["frames.npy", "--endpoint", "tcp://127.0.0.1:5555"]])
def test_a_calibration_takes_recorded_or_live_frames(desk: Desk, arguments: list[str]) -> None:
    desk.recording("frames")
    assert "give recorded frames (PATH..., --in CONTEXT PATH...) or a camera (--endpoint)" in desk.refuse(
        "calibrate", *arguments, "--out", "b"
    )


def test_a_silent_camera_is_no_calibration(desk: Desk) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    before = desk.contents()
    ended = desk.run("calibrate", "--endpoint", endpoint, "--out", "bundle", "--silence", 0.2)
    assert_refused(ended, 2)
    assert f"{endpoint}: no active frame came" in ended.err
    assert desk.contents() == before


# How a command ends


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
