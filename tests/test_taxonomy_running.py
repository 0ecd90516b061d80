"""Kinds of anomaly in a daemon as it runs: found by themselves, named by a person, known again after a restart."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from daemon import CAMERA, Camera, Daemon
from embedding_example import learned, spots_and_flashes
from frames import brighter, normal, with_spot
from taxonomy_example import written

from monitor import cli
from monitor.bundle import Bundle
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.group import group
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.store import Store
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


def test_by_a_learned_embedding_events_are_named_a_moment_after_their_alarm(
    tmp_path: Path, small_bundle: Bundle
) -> None:
    embedding = learned(tmp_path / "turned.safetensors", small_bundle)
    path = tmp_path / "journal.kinds.db"
    with closing(Store(path, CAMERA)) as store:
        store.write(written(spots_and_flashes()))
        assert group(Task(str(path), CAMERA, str(small_bundle.path), Taxonomy(embedding=str(embedding)), 0)).kinds == 2
        spot = store.samples("normal = 0")[0].kind
    sections = {"events": {"clear_frames": CLEAR_FRAMES}, "taxonomy": {"embedding": "turned.safetensors"}}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon:
        daemon.wait_until_listening()
        with Camera(daemon.endpoint) as camera:
            bad = with_spot(np.concatenate([normal(1, 2000 + number) for number in range(8)]))
            camera.send(np.concatenate((normal(2 * CLEAR_FRAMES, 100), bad, normal(60, 101))))
            daemon.wait_until(lambda: any(one.kind and one.source != "new_kind" for one in daemon.alarms), "name")
        told = [one for one in daemon.alarms if one.source != "new_kind" and one.bundle == small_bundle.sha256]
        of_one = [one for one in told if one.id == told[0].id]
        assert [one.rev for one in of_one] == list(range(1, len(of_one) + 1))
        assert of_one[0].kind is None
        assert of_one[-1].kind is not None
        assert of_one[-1].kind.id == spot
        assert daemon.stop() == 0
