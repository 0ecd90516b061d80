"""A real Alertmanager, by the example: alerts reach who is to act, and what follows from something graver nobody."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from alertmanager import Alertmanager
from daemon_example import free_port
from programs import program
from prometheus import Prometheus
from receivers import Receiver

OF = {"job": "framewatch", "instance": "melt:8090", "camera": "melt"}

SENT = {
    ("operator", "FramewatchAlarmOpen"): {"severity": "critical", "priority": "critical"},
    ("on-call", "FramewatchBlind"): {"severity": "critical"},
    ("shift", "FramewatchStale"): {"severity": "warning"},
    ("engineers", "FramewatchCalibrationOld"): {"severity": "info"},
    ("dead-mans-switch", "FramewatchWatchdog"): {"severity": "none"},
}
"""(receiver, alert) -> its labels, besides those of the daemon."""

Messages = list[dict[str, Any]]


class Post(NamedTuple):
    """Alertmanager, and the one who answers at every address that it has."""

    alertmanager: Alertmanager
    house: Receiver


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")
    with Receiver(free_port()) as house, Alertmanager(tmp_path, house.port) as alertmanager:
        yield Post(alertmanager, house)


def alert(name: str, labels: Mapping[str, str], over: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = {"labels": {"alertname": name, **OF, **labels}}
    return {**said, "endsAt": datetime.now(UTC).isoformat()} if over else said


def told(got: Messages, status: str) -> set[tuple[str, str]]:
    """(receiver, alert) of everything that was said to be *status*."""
    return {
        (message["receiver"], one["labels"]["alertname"])
        for message in got
        for one in message["alerts"]
        if one["status"] == status
    }


def test_each_receiver_is_told_when_an_alert_begins_and_when_it_is_over(post: Post) -> None:
    post.alertmanager.tell(alert(name, labels) for (_, name), labels in SENT.items())
    post.house.wait_until(lambda got: told(got, "firing") == set(SENT))
    post.alertmanager.tell(alert(name, labels, over=True) for (_, name), labels in SENT.items())
    ended = {(receiver, name) for receiver, name in SENT if receiver != "dead-mans-switch"}
    post.house.wait_until(lambda got: told(got, "resolved") == ended)


def test_what_prometheus_finds_reaches_the_receiver_with_the_place_to_read_on(post: Post, tmp_path: Path) -> None:
    with Prometheus(tmp_path, f"127.0.0.1:{free_port()}", post.alertmanager.address):
        post.house.wait_until(lambda got: ("dead-mans-switch", "FramewatchWatchdog") in told(got, "firing"))
    annotations = post.house.got[0]["alerts"][0]["annotations"]
    assert annotations["runbook_url"] == "https://example.org/framewatch/runbook.md#framewatchwatchdog"


def sinks_told(got: Messages, name: str) -> set[str]:
    return {one["labels"]["sink"] for message in got for one in message["alerts"] if one["labels"]["alertname"] == name}


def test_a_sink_whose_circuit_is_open_is_told_of_once(post: Post) -> None:
    circuit = {"severity": "warning", "sink": "office"}
    follow = [
        alert(name, {"severity": "warning", "sink": sink})
        for name in ("FramewatchSinkFailing", "FramewatchSinkPending")
        for sink in ("office", "hall")
    ]
    post.alertmanager.tell([alert("FramewatchSinkCircuitOpen", circuit)])
    post.house.wait_until(lambda got: sinks_told(got, "FramewatchSinkCircuitOpen") == {"office"})
    post.alertmanager.tell(follow)
    post.house.wait_until(lambda got: sinks_told(got, "FramewatchSinkPending") == {"hall"})
    post.house.wait_until(lambda got: sinks_told(got, "FramewatchSinkFailing") == {"hall"})
    post.alertmanager.tell([alert("FramewatchSinkCircuitOpen", circuit, over=True)])
    post.house.wait_until(lambda got: sinks_told(got, "FramewatchSinkFailing") == {"hall", "office"})
