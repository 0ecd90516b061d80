"""Kinds of anomaly in a daemon as it runs: found by themselves, named by a person, known again after a restart."""

import json
from pathlib import Path

import numpy as np
import pytest
from daemon import Camera, Daemon
from frames import brighter, normal, with_spot

from monitor import cli
from monitor.bundle import Bundle
from monitor.web import token

EVENTS = 24
CLEAR_FRAMES = 20


def show_events(camera: Camera, first: int) -> None:
    """Spots and flashes in turn, with enough normal frames between them to be events of their own."""
    for number in range(first, first + EVENTS):
        bad = normal(8, 500 + number)
        bad = with_spot(bad) if number % 2 else brighter(bad)
        camera.send(np.concatenate((normal(2 * CLEAR_FRAMES, 100 + number), bad)), job=f"job {number}")
    camera.send(normal(2 * CLEAR_FRAMES, 99))


def listed(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, int]]:
    capsys.readouterr()
    assert cli.main(["taxonomy", "list", "--json", "--config", str(daemon.config)]) == 0
    found = json.loads(capsys.readouterr().out)
    return {kind["name"]: kind for kind in found["kinds"]}


def test_kinds_are_found_named_and_known_again_after_a_restart(
    tmp_path: Path, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    token.write(tmp_path / "http.token")
    sections = {
        "events": {"clear_frames": CLEAR_FRAMES},
        "taxonomy": {"least_events": EVENTS - 4, "every_events": None},
        "alarms": {"flood": None},
        "http": {"token_file": "http.token"},
    }
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon:
        daemon.wait_until_listening()
        with Camera(daemon.endpoint) as camera:
            show_events(camera, 0)
            daemon.wait_until(
                lambda: len([one for one in daemon.raised() if one.source == "new_kind"]) >= 2, "two new kinds"
            )
        new = [one for one in daemon.raised() if one.source == "new_kind"]
        kinds = [one.kind for one in new]
        assert [kind.id for kind in kinds if kind is not None] == [1, 2]
        assert {one.priority for one in new} == {"low"}
        alarms = {one.id: one for one in daemon.raised()}
        example = alarms[new[0].why.split()[-1]]
        assert (example.job, example.peak is not None) == (new[0].job, True)
        assert cli.main(["taxonomy", "name", "1", "first kind", "--by", "ann", "--config", str(daemon.config)]) == 0
        killed = daemon.child("side")
        daemon.kill("side")
        daemon.wait_until(lambda: daemon.children("side") not in ([], [killed]), "another side process")
        daemon.wait_until(daemon.answers, "page")
        assert listed(daemon, capsys)["first kind"]["id"] == 1
        assert daemon.stop() == 0
        before = listed(daemon, capsys)["first kind"]["events"]
        daemon.start()
        daemon.wait_until_listening()
        with Camera(daemon.endpoint, "stream-2") as camera:
            show_events(camera, EVENTS)
            daemon.wait_until_judged(camera.seq)
        assert cli.main(["taxonomy", "run", "--by", "ann", "--config", str(daemon.config)]) == 0
        after = listed(daemon, capsys)["first kind"]
        assert (after["id"], after["events"] > before) == (1, True)
        assert daemon.metrics()["framewatch_taxonomy_kinds",] >= 2
