"""The flight recorder in a daemon as it runs: an event's frames in a file, whose path its alarm carries."""

import os
import signal
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as parquet
import pytest
from daemon import CAMERA, Camera, Daemon
from frames import normal, with_spot

from monitor import cli
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.camera.recordings import read
from monitor.recorder import recording
from monitor.score import score_table

EVENTS = {"k": 2, "n": 3, "clear_frames": 20}
RECORDER = {"before_frames": 30, "after_frames": 25}


def show_an_event(camera: Camera, seed: int) -> None:
    camera.send(
        np.concatenate([normal(80, seed), with_spot(normal(6, seed + 1)), normal(80, seed + 2)]), job=f"job {seed}"
    )


def recorded(daemon: Daemon) -> list[Alarm]:
    return [alarm for alarm in daemon.last_of_each().values() if alarm.recording is not None]


def wait_for_recorder(daemon: Daemon) -> None:
    daemon.wait_until_listening()
    daemon.wait_until(lambda: daemon.children("recorder") != [], "recorder")


def test_an_alarm_carries_the_path_of_its_frames_which_can_be_judged_and_played_again(
    tmp_path: Path, small_bundle: Bundle
) -> None:
    sections = {"events": EVENTS, "recorder": {**RECORDER, "archive": True}}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        wait_for_recorder(daemon)
        show_an_event(camera, 10)
        daemon.wait_until(lambda: len(recorded(daemon)) == 1, "recording")
        (alarm,) = recorded(daemon)
        path = Path(str(alarm.recording))
        assert daemon.get(f"/api/v1/recordings/{path.name}")[1] == path.read_bytes()
        found = daemon.metrics()
        assert found["framewatch_recordings",] == found["framewatch_recordings_written_total",] == 1
        assert found["framewatch_recorder_frames_missing_total",] == 0
        assert found["framewatch_recorder_silent_seconds",] < 30.0
        assert 0 < found["framewatch_recordings_disk_free_bytes",] <= found["framewatch_recordings_disk_bytes",]
        camera.send(normal(10, 3), job="job 11")
        daemon.wait_until_judged(camera.seq)
        assert daemon.stop() == 0
    found_again = read(str(path))
    held = found_again.recorded
    assert held is not None
    assert held.columns["seq"].tolist() == list(range(alarm.first_seq - 30, alarm.last_seq + 26))
    table = score_table(small_bundle, [found_again])
    for chart in (*small_bundle.manifest.charts, "joint"):
        np.testing.assert_allclose(table[chart].to_numpy(), held.scores[chart], rtol=2e-4, atol=1e-5)
    files = sorted((path.parent / "archive").glob("*.parquet"))
    assert [one.name.split("_")[1] for one in files] == ["job-10.parquet", "job-11.parquet"]
    assert sum(parquet.read_metadata(one).num_rows for one in files) == camera.seq
    replayed(tmp_path, small_bundle, path, alarm)


def replayed(folder: Path, bundle: Bundle, path: Path, alarm: Alarm) -> None:
    """Played to another daemon, the recording raises the same alarm."""
    (folder / "again").mkdir()
    given = {"socket": "sub", "bind": False}
    with Daemon(folder / "again", bundle.path, events=EVENTS, input=given, recorder={"mib": 0}) as daemon:
        daemon.wait_until_listening()
        assert daemon.children("recorder") == []
        assert cli.main(["replay", str(path), "--endpoint", daemon.endpoint, "--camera", CAMERA]) == 0
        daemon.wait_until(lambda: bool(daemon.raised()), "alarm")
        daemon.wait_until(lambda: daemon.raised()[0].id in daemon.last_of_each(), "alarm")
        daemon.wait_until(lambda: daemon.last_of_each()[daemon.raised()[0].id].state == "cleared", "end")
        again = daemon.last_of_each()[daemon.raised()[0].id]
        assert (again.first_seq, again.last_seq, again.source) == (alarm.first_seq, alarm.last_seq, alarm.source)
        assert again.peak is not None
        assert alarm.peak is not None
        assert (again.peak.seq, again.peak.ratio) == (alarm.peak.seq, pytest.approx(alarm.peak.ratio, rel=1e-4))


def test_a_killed_recorder_harms_nobody_and_goes_on(tmp_path: Path, small_bundle: Bundle) -> None:
    sections = {"events": EVENTS, "recorder": RECORDER}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        wait_for_recorder(daemon)
        (first,) = daemon.children("recorder")
        os.kill(first, signal.SIGKILL)
        show_an_event(camera, 10)  # while there is none
        daemon.wait_until(lambda: daemon.children("recorder") not in ([], [first]), "another recorder")
        daemon.wait_until(lambda: len(recorded(daemon)) == 1, "recording of what the ring still held")
        show_an_event(camera, 20)
        daemon.wait_until(lambda: len(recorded(daemon)) == 2, "recording")
        daemon.wait_until_judged(camera.seq)
        assert not any("hot process" in one.why or "side process" in one.why for one in daemon.heartbeats)
        ledger = daemon.status().ledger
        assert ledger.judged == camera.seq
        assert daemon.stop() == 0
    for alarm in recorded(daemon):
        assert recording.attributes_of(Path(str(alarm.recording)))["gaps"] == 0


def test_what_is_open_when_the_daemon_stops_is_recorded_as_far_as_it_went(tmp_path: Path, small_bundle: Bundle) -> None:
    sections = {"events": {**EVENTS, "clear_frames": 10_000}, "recorder": RECORDER}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        wait_for_recorder(daemon)
        camera.send(np.concatenate([normal(80, 1), with_spot(normal(6, 2)), normal(10, 3)]))
        daemon.wait_until(lambda: bool(daemon.raised()), "alarm")
        daemon.wait_until_judged(camera.seq)
        assert daemon.stop() == 0
        body = (tmp_path / "journal.db.recordings").glob("*.h5")
        (path,) = body
        assert recording.read(path).columns["seq"].tolist() == list(range(50, 96))
        daemon.start()
        daemon.wait_until(daemon.answers, "page")
        alarms = msgspec.json.decode(daemon.get("/api/v1/alarms")[1])["alarms"]
        assert [one["recording"] for one in alarms if one["source"] not in ("blind", "degraded")] == [str(path)]
