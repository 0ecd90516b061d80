"""The daemon as processes: how it starts and stops, and what it makes of cameras of every kind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from daemon import PATIENCE_S, Camera, Daemon
from frames import normal

from monitor.bundle import Bundle
from monitor.types import Dropped

EVENTS = {"k": 2, "n": 3, "clear_frames": 30}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_judges_what_was_received_and_says_goodbye(
    small_bundle: Bundle, tmp_path: Path, number: signal.Signals
) -> None:
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(500, 1))
        daemon.wait_until_judged(500)
        assert daemon.process is not None
        daemon.process.send_signal(number)
        assert daemon.process.wait(PATIENCE_S) == 0
        daemon.listen()
        assert daemon.heartbeats[-1].state == "stopping"
        assert not daemon.permits[-1].permit


def test_without_a_bundle_frames_are_counted_and_not_judged(tmp_path: Path) -> None:
    with Daemon(tmp_path, None) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_for_state("uncalibrated", "blind")
        camera.send(normal(50, 1))
        daemon.wait_for_state("uncalibrated")
        ledger = daemon.wait_until_judged(50).ledger
        assert (ledger.judged, ledger.unjudged["uncalibrated"]) == (0, 50)
        assert daemon.get("/readyz")[0] == 503
        assert daemon.get("/healthz")[0] == 200
        daemon.wait_until(
            lambda: any(alarm.source == "uncalibrated" for alarm in daemon.raised(service=True)), "alarm that says so"
        )


def test_a_camera_that_misbehaves_is_counted_and_loses_nothing_of_a_good_one(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    good = normal(60, 1)
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(good[:20], per_message=1)
        camera.send_parts([b"\xff\x00", b"not json", b""])
        camera.send_parts([b"cam"])
        camera.send_parts([b"cam", b'{"v":1}', b"\0" * 100])
        daemon.wait_until_judged(20)
        with Camera(daemon.endpoint, stream="intruder") as second:
            second.send(good[:4], per_message=4)
            daemon.wait_until(lambda: daemon.status().ledger.rejected["second_stream"] == 1, "refusal of the intruder")
        camera.send(good[20:40])
        camera.seq = 30  # steps back
        camera.send(good[30:40], per_message=10)
        camera.send(good[40:])
        camera.seq += 5  # five frames are lost on the way
        camera.send(good[:1])
        camera.send(np.zeros((3, 48, 48), np.uint8))
        camera.send(np.zeros((2, 32, 32), np.uint16))
        ledger = daemon.wait_until_judged(60 + 5 + 1 + 3 + 2).ledger
        assert ledger.lost_upstream == 5
        assert ledger.unjudged["out_of_order"] == 10
        assert ledger.unjudged["uncalibrated"] == 5
        assert ledger.judged == 61
        assert sum(ledger.rejected.values()) == 4
        assert ledger.rejected["second_stream"] == 1
        assert ledger.in_flight == 0


def test_a_camera_that_falls_silent_makes_the_daemon_blind_and_idle_does_not(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    given = {"silence_s": 0.5}
    with Daemon(tmp_path, small_bundle.path, events=EVENTS, input=given) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_for_state("blind")
        camera.send(normal(20, 1))
        daemon.wait_for_state("ok")

        def idle() -> bool:
            camera.keep_alive()
            return daemon.heartbeats[-1].state == "idle"

        daemon.wait_until(idle, "idle")
        daemon.wait_for_state("blind")
        daemon.wait_until(
            lambda: [alarm.source for alarm in daemon.raised(service=True)].count("blind") == 2, "second alarm"
        )


def test_a_camera_fault_is_an_alarm_of_its_own(small_bundle: Bundle, tmp_path: Path) -> None:
    stuck = np.repeat(normal(1, 7), 20, axis=0)
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(np.concatenate([normal(40, 1), stuck]))
        daemon.wait_until(lambda: any(one.source == "frozen" for one in daemon.raised()), "alarm of the frozen camera")
        daemon.wait_for_state("blind")
        camera.send(normal(60, 2))
        daemon.wait_until(
            lambda: any(one.source == "frozen" and one.state == "cleared" for one in daemon.alarms), "its end"
        )
        ledger = daemon.wait_until_judged(120).ledger
        assert ledger.unjudged["camera_fault"] == 18  # all but the first frame and its first repeat


def test_frames_beyond_what_can_be_judged_are_dropped_counted_and_told(small_bundle: Bundle, tmp_path: Path) -> None:
    crowd = normal(256, 1)
    tiny = {"rate_hz": 1, "buffer_s": 1}
    with (
        Daemon(tmp_path, small_bundle.path, input=tiny, engine={"batch": 4}) as daemon,
        Camera(daemon.endpoint) as camera,
    ):
        daemon.wait_until_listening()
        for _ in range(8):
            camera.send(crowd, per_message=256)
        daemon.wait_for_state("degraded")
        ledger = daemon.wait_until_judged(8 * 256).ledger
        assert ledger.dropped[Dropped.OVERRUN] > 0
        assert ledger.judged + ledger.dropped[Dropped.OVERRUN] == 8 * 256


@pytest.mark.parametrize("key", ["http.port", "outputs.alarms", "outputs.permit", "outputs.snapshot", "input.endpoint"])
def test_an_address_in_use_is_told_in_one_line_and_ends_with_status_2(
    small_bundle: Bundle, tmp_path: Path, key: str
) -> None:
    daemon = Daemon(tmp_path, small_bundle.path)
    section, name = key.split(".")
    wanted = daemon.document[section][name]
    port = wanted if isinstance(wanted, int) else int(wanted.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        done = run_daemon(daemon.config)
    daemon.__exit__()
    complaints = [line for line in done.stderr.decode().splitlines() if line.startswith("framewatch: ")]
    assert done.returncode == 2
    assert len(complaints) == 1
    assert key in complaints[0]


def test_a_bundle_that_was_damaged_is_refused_before_anything_starts(small_bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "bundle"
    damaged.mkdir()
    for file in small_bundle.path.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    weights = bytearray((damaged / "weights.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (damaged / "weights.safetensors").write_bytes(weights)
    daemon = Daemon(tmp_path, damaged)
    done = run_daemon(daemon.config)
    daemon.__exit__()
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "weights.safetensors" in done.stderr.decode()


def run_daemon(config: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "monitor.cli", "run", "--config", str(config)],
        capture_output=True,
        timeout=PATIENCE_S,
        env={**os.environ},
    )


def test_the_log_can_be_json_lines(small_bundle: Bundle, tmp_path: Path) -> None:
    with Daemon(tmp_path, small_bundle.path, log={"format": "json"}) as daemon:
        daemon.wait_for_state("ok", "blind")
        assert daemon.stop() == 0
        lines = [yaml.safe_load(line) for line in daemon.log.read_text().splitlines()]
        assert {line["process"] for line in lines} >= {"framewatch", "hot"}
        assert all({"time", "level", "message"} <= line.keys() for line in lines)
