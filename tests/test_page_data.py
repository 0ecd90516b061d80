"""What the operator page is told, from a daemon as it runs: scores, maps, and events as they happen."""

import http.client
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon import PATIENCE_S, Camera, Daemon
from frames import normal, with_spot

from monitor.bundle import Bundle
from monitor.wire.native import PLACE

CLEAR_FRAMES = 20
EVENTS = {"clear_frames": CLEAR_FRAMES}


class Looking:
    """A viewer of the live events."""

    def __init__(self, daemon: Daemon) -> None:
        host, port = daemon.url.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        self._connection.request("GET", "/api/v1/live")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200

    def next(self) -> tuple[str, Any]:
        """The next event, and its data."""
        while True:
            line = self._answer.readline().decode().strip()
            if line.startswith("event: "):
                data = self._answer.readline().decode()
                return line.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def close(self) -> None:
        self._connection.close()


def places(count: int) -> np.ndarray:
    """Positions along a line of 10 mm."""
    found = np.ones(count, PLACE)
    found["x"], found["y"] = np.linspace(0, 10, count), 5.0
    return found


def layer_of(camera: Camera, frames: np.ndarray, layer: int) -> None:
    camera.send(frames, per_message=len(frames), job="part", layer=layer, places=places(len(frames)))


def test_a_page_sees_scores_layers_and_events_of_a_running_daemon(tmp_path: Path, small_bundle: Bundle) -> None:
    bad = normal(60, 1)
    bad[50:58] = with_spot(bad[50:58])  # the event goes on: too few frames follow to end it
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        looking = Looking(daemon)
        first, status = looking.next()
        assert (first, status["camera"]) == ("status", "cam")
        layer_of(camera, normal(60, 2), 1)
        layer_of(camera, bad, 2)
        daemon.wait_until_judged(120)
        judged, highest, alarms, picture = 0, 0.0, 0, None
        while judged < 120 or not alarms or picture is None:
            what, told = looking.next()
            if what == "scores":
                judged += sum(told["judged"])
                highest = max(highest, *(high for high in told["charts"]["joint"]["high"] if high is not None), 0.0)
            elif what == "status":
                alarms = max(alarms, sum(one["source"] in ("t2", "s2", "offset", "local") for one in told["alarms"]))
            elif what == "frame":
                picture = told["seq"]
        looking.close()
        assert judged == 120
        assert highest > 1
        assert 110 <= picture < 118
        past = json.loads(daemon.get("/api/v1/history?span_s=600&bins=2000")[1])
        assert sum(past["judged"]) == 120
        joint = past["charts"]["joint"]
        assert max(high for high in joint["high"] if high is not None) == highest
        exceedances = {one.name: one.exceedances for one in daemon.status().charts}
        assert {name: sum(chart["over"]) for name, chart in past["charts"].items() if name != "joint"} == exceedances
        assert any(one["job"] == "part" for one in json.loads(daemon.get("/api/v1/alarms")[1])["alarms"])
        assert past["events"]
        layer = json.loads(daemon.get("/api/v1/map")[1])
        assert (layer["job"], layer["layers"], layer["layer"]) == ("part", [1, 2], 2)
        assert (layer["summary"]["judged"], layer["job_summary"]["judged"]) == (60, 120)
        assert sum(layer["judged"]) == 60
        most = max(ratio for ratio in layer["ratio"] if ratio is not None)
        assert layer["summary"]["worst"]["ratio"] == pytest.approx(most, rel=1e-6)
        assert 50 <= layer["summary"]["worst"]["seq"] - 60 < 58
        assert sum(layer["summary"]["events"].values()) >= 1
        assert layer["same_place"] is not None
        daemon.kill("hot")  # and another one goes on
        daemon.wait_for_state("degraded")
        daemon.wait_until_listening()
        layer_of(camera, normal(60, 3), 3)
        daemon.wait_until_judged(180)
        daemon.wait_until(
            lambda: sum(json.loads(daemon.get("/api/v1/history?span_s=600")[1])["judged"]) >= 121, "frames judged anew"
        )
        assert daemon.metrics()["framewatch_history_frames_missed_total",] == 0
        viewer = Looking(daemon)
        viewer.next()
        assert daemon.stop() == 0, "also with a viewer"
        viewer.close()
    assert "Traceback" not in daemon.log.read_text()
