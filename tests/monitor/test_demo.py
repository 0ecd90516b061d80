"""The whole system once, small: calibration, daemon, camera, alarms, summary."""

import contextlib
import io
import os
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import zmq
from rich.console import Console
from test_truth import alarm

from monitor import demo, screen
from monitor.alarms.alarm import Alarm
from monitor.bundle import read
from monitor.camera.simulate import read_truth
from monitor.camera.truth import Comparison, KindTally
from monitor.config import Calibration
from monitor.demo import Scene, forget, leaving_in_order, show, stem_scene
from monitor.demo_hearing import CAMERA, TOLD_AFTER_S, listen, subscribed, wait_until_listening
from monitor.journal.store import Journal
from monitor.status import LOST_WHY
from monitor.types import State
from monitor.voice import Heartbeat

SMALL = {
    "side_px": 32,
    "rate_hz": 500.0,
    "groups": 20,
    "group_frames": 40,
    "stretches": 12,
    "stretch_frames": 600,
    "calibration": Calibration(latent=6, max_steps=200, false_alarms_per_hour=600.0),  # two seconds of frames show it
}
SCENES = {
    "melt pool": Scene(seconds=2.0, anomaly_rate=1 / 100)._replace(**SMALL),
    "stem": stem_scene(seconds=2.0)._replace(anomaly_rate=1 / 30, **SMALL),
}


def number(pattern: str, told: str) -> int:
    match = re.search(pattern, told)
    assert match, f"no {pattern!r} in:\n{told}"
    return int(match[1])


def alarms_of(folder: Path) -> list[Alarm]:
    journal = Journal(folder / "journal.db", CAMERA)
    try:
        return journal.alarms(1000)
    finally:
        journal.close()


@pytest.mark.parametrize("name", SCENES)
def test_a_demonstration_accounts_for_every_frame_and_finds_anomalies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    scene = SCENES[name]._replace(folder=tmp_path / "it's a demo: no. #1")  # a name that YAML would stumble over
    assert show(scene) == 0, capsys.readouterr().out
    told = capsys.readouterr().out

    announced = number(r"announced (\d+)", told)
    received = number(r"received (\d+)", told)
    assert announced == received == 1000
    accounted = re.search(r"judged \d+, unjudged .*, dropped .*, in flight 0\n", told)
    assert accounted, told
    assert sum(int(count) for count in re.findall(r"\d+", accounted[0])) == received

    truths = read_truth(scene.folder / "truth.jsonl")
    assert number(r"anomalies shown (\d+)", told) == len(truths) > 0
    assert 0 < number(r"found (\d+)", told) <= len(truths)

    alarms = alarms_of(scene.folder)
    about_process = [alarm for alarm in alarms if alarm.peak or alarm.source in ("frozen", "rows_missing")]
    assert 0 < told.count(" frame ") <= len(about_process)
    bundle = read(scene.folder / "bundle")
    assert {alarm.bundle for alarm in about_process} <= {bundle.sha256, ""}
    assert bundle.manifest.contexts == (("contour", "hatch") if name == "melt pool" else None)
    assert "uncalibrated" not in {alarm.source for alarm in alarms}, "the bundle knows the camera's contexts"
    if name == "melt pool":  # once more, beside what the first one left
        assert list((scene.folder / "journal.db.recordings").glob("*.h5")), "events were recorded"
        assert show(scene) == 0, capsys.readouterr().out
        assert "using the calibration of the last demonstration" in capsys.readouterr().out
        assert not {alarm.id for alarm in alarms} & {alarm.id for alarm in alarms_of(scene.folder)}


def test_another_demonstration_forgets_alarms_and_recordings_of_the_last_and_keeps_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "journal.db.recordings").mkdir()
    (tmp_path / "bundle").mkdir()
    for name in ("journal.db", "journal.db-wal", "journal.kinds.db", "journal.db.recordings/one.h5", "http.token"):
        (tmp_path / name).touch()
    forget(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"bundle", "http.token"}


def test_a_demonstration_whose_daemon_ends_does_not_wait_for_the_camera() -> None:
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB) as listener,
        subprocess.Popen(["sleep", "60"]) as camera,
        subprocess.Popen(["true"]) as daemon,
    ):
        assert not listen(listener, camera, daemon)
        camera.kill()


class Clock:
    """A second passes at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return float(self.looks)


def test_a_demonstration_says_why_it_waits_and_gives_up_where_the_daemon_never_comes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    patience_s = 2 * TOLD_AFTER_S
    with subscribed(f"ipc://{tmp_path}/nobody") as listener, subprocess.Popen(["sleep", "60"]) as daemon:
        assert wait_until_listening(listener, daemon, patience_s, Clock()) is None
        assert daemon.poll() is None, "it is the patience that ended"
        daemon.kill()
    assert capsys.readouterr().out.count("compiles") == 1


def test_a_demonstration_ends_with_one_line_where_the_daemon_never_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "calibrated", lambda _: SimpleNamespace(path=tmp_path / "bundle"))
    monkeypatch.setattr(demo, "_process", lambda *_: subprocess.Popen(["sleep", "1"]))
    monkeypatch.setattr(demo, "START_S", 0.1)
    assert show(SCENES["melt pool"]._replace(folder=tmp_path)) == 1
    told = capsys.readouterr().out.splitlines()
    assert "not ready after 0.1 s" in told[-1]
    assert "daemon.log" in told[-1]


def beats(*said: Heartbeat) -> bool:
    """Whether a demonstration that hears these heartbeats takes the daemon for listening."""
    with (
        zmq.Context() as context,
        context.socket(zmq.XPUB) as speaker,
        subprocess.Popen(["sleep", "60"]) as daemon,
    ):
        port = speaker.bind_to_random_port("tcp://127.0.0.1")
        with subscribed(f"tcp://127.0.0.1:{port}") as listener:
            assert speaker.poll(10_000)
            for one in said:
                speaker.send_multipart([b"heartbeat.demo", msgspec.json.encode(one)])
            heard = wait_until_listening(listener, daemon, 20.0, Clock())
        daemon.kill()
    return heard is not None


def test_a_daemon_that_loads_or_died_as_it_loaded_does_not_listen_yet() -> None:
    loading, died, ready = (
        Heartbeat(
            camera=CAMERA, t_ns=0, state=state, why=why, seq=0, coverage=0.0, frame_age_p99_ms=0.0, active_alarms=0
        )
        for state, why in ((State.STARTING, "loading"), (State.DEGRADED, LOST_WHY), (State.BLIND, "no frame"))
    )
    assert not beats(loading, died)
    assert beats(loading, died, ready)


def test_a_demonstration_that_is_told_to_end_ends_its_parts_first() -> None:
    ended: list[bool] = []

    def told() -> None:
        with leaving_in_order(), contextlib.ExitStack() as parts:
            parts.callback(ended.append, True)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as left:
        told()
    assert (left.value.code, ended) == (143, [True])


# The summary


SPLASH, BOUNDARY = KindTally("splash", 4, 3, (0.001, 0.0024, 0.03)), KindTally("grain_boundary", 2, 0, ())
FOUND = Comparison((BOUNDARY, SPLASH), (alarm(1, 2), alarm(5, 9), alarm(20, 21)), (alarm(90, 91),))


def told_of(comparison: Comparison, monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False) -> list[str]:
    """The lines that the summary has, without colours and what ends in blanks."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, no_color=True, width=80, highlight=False, soft_wrap=True)
    monkeypatch.setattr(screen, "out", console)
    screen.show_comparison(comparison)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in file.getvalue().splitlines()]


def test_the_summary_has_a_line_for_each_kind_and_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.split() for line in told_of(FOUND, monkeypatch)]
    assert " ".join(lines[0]) == "anomalies shown 6, found 3; false alarms 1"
    assert lines[1:5] == [
        ["anomaly", "shown", "found", "median", "delay", "longest"],
        ["grain_boundary", "2", "0", "-", "-"],
        ["splash", "4", "3", "2", "ms", "30", "ms"],
        ["all", "6", "3", "2", "ms", "30", "ms"],
    ]
    assert "sensitivity 50 % (95 % interval 12 % to 88 %):" in " ".join(lines[-2])
    assert "precision 75 % (95 % interval 19 % to 99 %):" in " ".join(lines[-1])


def test_the_summary_is_plain_text_in_a_log_and_ruled_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    log, terminal = told_of(FOUND, monkeypatch), told_of(FOUND, monkeypatch, terminal=True)
    assert all(line.isascii() and line for line in log)
    assert any("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 40 in line for line in terminal)
    assert [line.split() for line in terminal if line.isascii() and line] == [line.split() for line in log]
    assert all(len(line) <= 90 for line in (*log, *terminal))


def test_the_summary_of_a_camera_without_anomalies_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, sensitivity, precision = told_of(Comparison((), (), ()), monkeypatch)
    assert first.strip() == "anomalies shown 0, found 0; false alarms 0"
    assert "unknown" in sensitivity
    assert "unknown" in precision
