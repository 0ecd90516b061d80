"""The whole system once, small: calibration, daemon, camera, alarms, summary."""

import re
from pathlib import Path

import pytest

from monitor.alarms import Alarm
from monitor.bundle import read
from monitor.camera.simulate import read_truth
from monitor.config import Calibration
from monitor.demo import CAMERA, Scene, show
from monitor.journal import Journal

SCENE = Scene(
    seconds=2.0,
    side_px=32,
    rate_hz=500.0,
    groups=20,
    group_frames=40,
    calibration=Calibration(latent=6, max_steps=200, false_alarm_rate=0.002),
    anomaly_rate=1 / 100,
)


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


def test_a_demonstration_accounts_for_every_frame_and_finds_anomalies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SCENE._replace(folder=tmp_path / "it's a demo: no. #1")  # a name that YAML would stumble over
    assert show(scene) == 0, capsys.readouterr().out
    told = capsys.readouterr().out

    announced = number(r"frames announced (\d+)", told)
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
    assert {alarm.bundle for alarm in about_process} <= {read(scene.folder / "bundle").sha256, ""}
