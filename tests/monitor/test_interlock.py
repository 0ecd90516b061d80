"""The permit of a running daemon that falls with an alarm and waits for a person."""

import json
from pathlib import Path

import numpy as np
from budget import EVENTS, RATE_HZ, with_stops
from daemon import Camera, Daemon
from frames import normal, with_spot

from calibration.scale import JointScale
from monitor import cli
from monitor.bundle import Bundle
from monitor.score import load_scorer


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


def brightness_between(bundle: Bundle, limit: float) -> tuple[int, int]:
    """Levels of a spot that raise alarms under the *limit* for stops, and that stop."""
    scorer, scale = load_scorer(bundle), JointScale(bundle.limits)
    charts = len(bundle.manifest.charts)
    found = {}
    for level in range(2, 250):
        scores = np.zeros((4, charts))
        scores[:, :4] = scorer(with_spot(normal(4, 7), strength=level)).values
        found[level] = float(scale(scores)[0].min()), float(scale(scores)[0].max())
    alarming = next(level for level, (least, most) in found.items() if least > 1.1 and most < 0.95 * limit)
    return alarming, next(level for level, (least, _) in found.items() if least > 1.1 * limit)


def test_with_a_budget_of_stops_an_alarm_of_a_chart_stops_nothing_and_a_stop_does(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    bundle = with_stops(small_bundle, tmp_path, 2.0)
    alarming, stops = brightness_between(bundle, 2.0)
    sections = {
        "permit": {"quiet_s": 0.0, "mode": "interlock", "back": {"stop": "acknowledged"}},
        "input": {"rate_hz": RATE_HZ},
        "events": {"k": EVENTS.k, "n": EVENTS.n},
    }
    with Daemon(tmp_path, bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(40, 1))
        daemon.wait_until(lambda: bool(daemon.permits) and daemon.permits[-1].permit, "the permit")
        before = len(daemon.permits)
        camera.send(with_spot(normal(4, 7), strength=alarming))
        daemon.wait_until(lambda: any(alarm.state == "active" for alarm in daemon.alarms), "the alarm")
        for seed in range(3, 10):
            camera.send(normal(40, seed))
        daemon.wait_until(lambda: any(alarm.state == "cleared" for alarm in daemon.alarms), "its end")
        assert {alarm.source for alarm in daemon.alarms} <= set(bundle.manifest.charts)
        assert all(permit.permit for permit in daemon.permits[before:])
        camera.send(with_spot(normal(4, 7), strength=stops))
        daemon.wait_until(lambda: not daemon.permits[-1].permit, "the stop")
        assert daemon.permits[-1].why == "scores over the stop limit"
        daemon.wait_until(lambda: any(alarm.source == "stop" for alarm in daemon.alarms), "the alarm of the stop")
        [stop] = [alarm for alarm in daemon.alarms if alarm.source == "stop" and alarm.rev == 1]
        assert stop.priority == "critical"
        assert stop.why.startswith("3 of 4 judged frames over the stop limit")
        for seed in range(13, 20):
            camera.send(normal(40, seed))
        daemon.wait_until(lambda: daemon.permits[-1].why.startswith("waiting for someone"), "the stop to be over")
        assert daemon.metrics()[("framewatch_false_stop_budget_per_hour",)] == 60.0
        assert daemon.stop() == 0
