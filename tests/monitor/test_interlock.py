"""The permit of a running daemon that falls with an alarm and waits for a person."""

import json
from pathlib import Path

from daemon import Camera, Daemon
from frames import normal

from monitor import cli
from monitor.bundle import Bundle


def test_a_fault_withholds_the_permit_until_someone_has_acknowledged_it(small_bundle: Bundle, tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert cli.main(["keys", "token", "--out", str(token)]) == 0
    sections = {
        "permit": {"quiet_s": 0.0, "mode": "interlock", "back": {"high": "acknowledged"}},
        "http": {"token_file": str(token)},
    }
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(40, 1))
        daemon.wait_until(lambda: bool(daemon.permits) and daemon.permits[-1].permit, "the permit")
        dark = normal(1, 2)
        dark[:] = 0
        camera.send(dark)
        daemon.wait_until(lambda: not daemon.permits[-1].permit, "the permit to fall")
        for seed in range(3, 12):
            camera.send(normal(40, seed))
        daemon.wait_until(lambda: daemon.permits[-1].why.startswith("waiting for someone"), "the fault to be over")
        assert daemon.permits[-1].mode == "interlock"
        alarms = json.loads(daemon.get("/api/v1/alarms?state=unacknowledged")[1])["alarms"]
        assert {alarm["priority"] for alarm in alarms} >= {"high"}
        for alarm in alarms:
            assert cli.main(["alarms", "ack", alarm["id"], "--config", str(daemon.config), "--by", "ann"]) == 0
        camera.send(normal(40, 20))
        daemon.wait_until(lambda: daemon.permits[-1].permit, "the permit to come back")
        assert daemon.stop() == 0
