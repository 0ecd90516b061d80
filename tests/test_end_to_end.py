"""Frames over ZeroMQ into a running daemon, out as alarms and metrics, held against the same frames judged offline."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from daemon import CAMERA, Camera, Daemon
from frames import normal, with_spot

from calibration.events import EventRule, start, step
from monitor import bundle as bundles
from monitor import cli
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording, read
from monitor.config import Events
from monitor.score import score_table

RULE = EventRule(k=2, n=3, clear_frames=20)
EVENTS = {name: getattr(RULE, name) for name in Events.__struct_fields__}


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("FRAMEWATCH_DATA")
    if not folder:
        pytest.skip("FRAMEWATCH_DATA is not set: no recorded frames")
    return Path(folder)


def offline_events(bundle: Bundle, frames: np.ndarray) -> list[tuple[int, int, int]]:
    """(first frame, last frame, frames over) of every event in *frames*, without a daemon."""
    table = score_table(bundle, [Recording("stream", frames)])
    rows = np.zeros(len(frames), [("joint", "f8"), ("seq", "i8")])
    rows["joint"], rows["seq"] = table["joint"].to_numpy(), np.arange(len(frames))
    _, changes = step(RULE, start(RULE), rows)
    events = {change.event.number: change.event for change in changes}
    return [(int(event.first["seq"]), int(event.last["seq"]), event.frames_over) for event in events.values()]


def push(daemon: Daemon, frames: np.ndarray, folder: Path) -> None:
    """A camera that pushes messages of all sizes to a daemon that binds a PULL socket."""
    with Camera(daemon.endpoint) as camera:
        for index, piece in enumerate(np.array_split(frames, 7)):
            camera.send(piece, per_message=(1, 3, 16, 64)[index % 4])


def replay(daemon: Daemon, frames: np.ndarray, folder: Path) -> None:
    """`framewatch replay` publishes to a daemon that connects a SUB socket."""
    np.save(folder / "stream.npy", frames)
    arguments = [
        "replay",
        str(folder / "stream.npy"),
        "--endpoint",
        daemon.endpoint,
        "--rate",
        "1500",
        "--camera",
        CAMERA,
    ]
    subprocess.run([sys.executable, "-m", "monitor.cli", *arguments], check=True, capture_output=True)


def watch(bundle: Bundle, frames: np.ndarray, folder: Path, send: Callable[[Daemon, np.ndarray, Path], None]) -> None:
    """Send *frames* to a daemon and hold ledger, alarms and metrics against what is known of them."""
    expected = offline_events(bundle, frames)
    given = {} if send is push else {"socket": "sub", "bind": False}
    with Daemon(folder, bundle.path, events=EVENTS, input=given) as daemon:
        daemon.wait_until_listening()
        send(daemon, frames, folder)
        status = daemon.wait_until_judged(len(frames))
        daemon.wait_until(lambda: len(daemon.raised()) >= len(expected), f"{len(expected)} alarms")
        found = daemon.metrics()
        assert daemon.stop() == 0
    ledger = status.ledger
    assert (ledger.announced, ledger.received, ledger.lost_upstream) == (len(frames), len(frames), 0)
    assert ledger.judged == found["framewatch_frames_judged_total",] == len(frames)
    assert sum(ledger.dropped.values()) == sum(ledger.rejected.values()) == 0
    raised = sorted(daemon.raised(), key=lambda alarm: alarm.first_seq)
    assert [alarm.first_seq for alarm in raised] == [first for first, _, _ in expected]
    about_service = {"blind", "degraded"}  # a process that a busy machine lets wait is missed for a moment
    counted = sum(
        value
        for key, value in found.items()
        if key[0] == "framewatch_alarms_total" and not about_service.intersection(key)
    )
    assert counted == len(raised)
    last = daemon.last_of_each()
    told = [(one.first_seq, one.last_seq, one.frames_over) for one in (last[alarm.id] for alarm in raised)]
    # The last event may still have been open when the daemon was told to stop.
    assert told[:-1] == expected[:-1]
    assert daemon.heartbeats[-1].state == "stopping"


def calibrated(folder: Path, groups: list[np.ndarray], settings: dict[str, float]) -> Bundle:
    """`framewatch calibrate` on *groups*."""
    paths = []
    for index, frames in enumerate(groups):
        paths.append(str(folder / f"group_{index}.npy"))
        np.save(paths[-1], frames)
    config = folder / "calibration.yaml"
    config.write_text(yaml.safe_dump({"calibration": settings}))
    assert cli.main(["calibrate", *paths, "--out", str(folder / "bundle"), "--config", str(config)]) == 0
    return bundles.read(folder / "bundle")


def test_generated_frames_raise_the_alarms_that_judging_them_offline_gives(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    quiet = [normal(150, seed) for seed in range(100, 104)]
    stream = np.concatenate(
        [*itertools.chain(*((part, with_spot(normal(8, 200 + i))) for i, part in enumerate(quiet)))]
    )
    assert len(offline_events(small_bundle, stream)) >= 4
    watch(small_bundle, stream, tmp_path, push)


def test_metrics_agree_with_the_alarm_stream(small_bundle: Bundle, tmp_path: Path) -> None:
    stream = np.concatenate([normal(100, 1), with_spot(normal(8, 2)), normal(100, 3)])
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(stream)
        status = daemon.wait_until_judged(len(stream))
        daemon.wait_until(lambda: any(alarm.state == "cleared" for alarm in daemon.alarms), "end of the event")
        found = daemon.metrics()
        table = score_table(small_bundle, [Recording("stream", stream)])
        for chart in ("t2", "s2", "offset", "local"):
            assert found["framewatch_chart_exceedances_total", chart] == sum(table[f"{chart}_flag"].to_pylist())
        alarms = {key[1:]: value for key, value in found.items() if key[0] == "framewatch_alarms_total" and value}
        raised = daemon.raised(service=True)
        assert sum(alarms.values()) == len(raised)
        assert {source for source, _priority in ((key[1], key[0]) for key in alarms)} == {one.source for one in raised}
        assert found["framewatch_frames_judged_total",] == status.ledger.judged == len(stream)
        assert found["framewatch_frames_in_flight",] == 0


def test_stem_defects_raise_the_alarms_that_judging_them_offline_gives(data: Path, tmp_path: Path) -> None:
    folder = data / "stem-sto"
    test = read(str(folder / "test.npy")).frames
    groups = [read(str(folder / "train.npy")).frames, test[500:]]
    bundle = calibrated(tmp_path, groups, {"epochs": 25, "false_alarm_rate": 0.01})
    defects = sorted(folder.glob("defect_*.npy"))
    assert len(defects) == 6
    parts = []
    for index, path in enumerate(defects):
        parts += [test[index * 80 : (index + 1) * 80], read(str(path)).frames[index * 80 : index * 80 + 10]]
    stream = np.concatenate(parts)
    shown = [(90 * (index + 1) - 10, 90 * (index + 1) - 1) for index in range(6)]
    events = offline_events(bundle, stream)
    found = [any(first <= end and last >= begin for first, last, _ in events) for begin, end in shown]
    assert sum(found) >= 5, f"of six runs of ten frames with a defect: {found}"
    watch(bundle, stream, tmp_path, replay)


def test_an_unseen_run_of_melt_pools_is_judged_as_offline(data: Path, tmp_path: Path) -> None:
    normal_run, defective = (read(str(data / "meltpool-nist" / name)).frames for name in ("normal", "defective"))
    settings = {"latent": 8, "held_out": 0.5, "false_alarm_rate": 0.01}
    bundle = calibrated(tmp_path, [normal_run[:42]], settings)
    assert any("one group" in warning for warning in bundle.manifest.warnings)
    stream = np.concatenate([normal_run[42:], defective])
    events = offline_events(bundle, stream)
    assert any(last >= 45 for _, last, _ in events), "no event in the defective frames"
    watch(bundle, stream, tmp_path, replay)
