"""A running daemon and its promise: judged time, blocks, what came true, and new limits from its blocks."""

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from budget import CONFIG, EVENTS, PER_HOUR, RATE_HZ, with_budget
from daemon import Camera, Daemon
from frames import normal

from monitor import bundle as bundles
from monitor import cli
from monitor.blockstore import read_blocks
from monitor.bundle import Bundle
from monitor.layers import RateSummary
from monitor.promise import kept_block_frames
from monitor.wire import native

BLOCKS = 12  # before whatever is killed, and after it
LAYER_FRAMES = 480
PERIOD_NS = round(1e9 / RATE_HZ)


@pytest.fixture
def budgeted(small_bundle: Bundle, tmp_path: Path) -> Bundle:
    return with_budget(small_bundle, tmp_path / "bundle")


def daemon_of(folder: Path, bundle: Bundle) -> Daemon:
    settings = CONFIG.calibration
    return Daemon(
        folder,
        bundle.path,
        events={"k": EVENTS.k, "n": EVENTS.n},
        input={"rate_hz": RATE_HZ, "buffer_s": 60},
        calibration={
            "false_alarms_per_hour": settings.false_alarms_per_hour,
            "false_alarm_rate": settings.false_alarm_rate,
            "memories_s": list(settings.memories_s),
        },
    )


def show(camera: Camera, frames: np.ndarray, per_message: int = 16) -> None:
    """Frames by a clock of the camera's own, on which a second of them takes no second."""
    for first in range(0, len(frames), per_message):
        piece = frames[first : first + per_message]
        t_ns = 10**18 + camera.seq * PERIOD_NS
        header = {"dt_ns": PERIOD_NS, "job": "part 7", "layer": camera.seq // LAYER_FRAMES}
        camera.send_parts(native.encode(camera.camera, camera.stream, camera.seq, t_ns, piece, **header))
        camera.seq += len(piece)


def wait_for_blocks(daemon: Daemon, count: int) -> None:
    def kept() -> bool:
        found = daemon.status().promise if daemon.answers() else None
        return found is not None and found.blocks >= count

    daemon.wait_until(kept, f"{count} blocks")


def wait_for_layers(daemon: Daemon, numbers: list[int]) -> RateSummary:
    """The layers of the job, once these are finished."""

    def found() -> RateSummary:
        return msgspec.json.decode(daemon.get("/api/v1/layers?job=part%207")[1], type=RateSummary)

    daemon.wait_until(
        lambda: daemon.answers() and [one.layer for one in found().layers] == numbers, f"layers {numbers}"
    )
    return found()


def wait_until_back(daemon: Daemon, killed_ns: int) -> None:
    """Until the camera's socket is open again, as far as it was said after *killed_ns*."""
    daemon.wait_until(
        lambda: any(one.t_ns > killed_ns and one.state in ("ok", "blind", "stale") for one in daemon.heartbeats[-1:]),
        "return",
    )


def test_judged_time_is_kept_through_restarts_and_sets_new_limits(budgeted: Bundle, tmp_path: Path) -> None:
    held = budgeted.manifest.budget
    assert held is not None
    frames = kept_block_frames(held)
    half = BLOCKS * frames
    with daemon_of(tmp_path, budgeted) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        show(camera, normal(half, 60))
        daemon.wait_until_judged(half)
        wait_for_blocks(daemon, BLOCKS)
        status = daemon.status()
        assert status.judged_s == pytest.approx(half / RATE_HZ)
        assert status.drift is not None
        promise = status.promise
        assert promise is not None
        assert (promise.per_hour, promise.why, promise.blocks) == (PER_HOUR, held.why, BLOCKS)
        assert promise.dead_time_s == held.block_frames / RATE_HZ
        assert promise.overall.hours == pytest.approx(half / RATE_HZ / 3600)
        assert [job.job for job in promise.jobs] == ["part 7"]

        found = daemon.metrics()
        assert found["framewatch_judged_seconds_total",] == pytest.approx(half / RATE_HZ)
        assert found["framewatch_false_alarm_budget_per_hour",] == PER_HOUR
        assert found["framewatch_calibration_extrapolated_by",] == pytest.approx(held.extrapolated_by)
        assert found["framewatch_kept_blocks",] == BLOCKS
        assert found["framewatch_promised_hours",] == pytest.approx(half / RATE_HZ / 3600)
        events = sum(found["framewatch_events", one] for one in ("true", "false", "unknown"))
        assert events == len(daemon.raised())
        assert found["framewatch_false_alarms_per_hour", "high", "false"] > 0
        assert {"framewatch_drift_evidence", "framewatch_drift_shift_decades"} <= {key[0] for key in found}

        assert half == 3 * LAYER_FRAMES
        [job] = wait_for_layers(daemon, [0, 1]).jobs
        assert (job.judged, job.charted, job.uncharted) == (2 * LAYER_FRAMES, 2, 0)
        assert 0 <= job.low <= job.rate <= job.high < 1
        counted = daemon.status().layers
        assert counted is not None
        assert (counted.job, counted.layered, counted.charted) == ("part 7", True, 2)
        assert counted.out_of_control == job.out_of_control
        assert msgspec.json.decode(daemon.get("/api/v1/layers?job=part%208")[1]) == {"jobs": [], "layers": []}

        for name in ("side", "hot"):
            killed_ns = time.time_ns()
            daemon.kill(name)
            wait_until_back(daemon, killed_ns)
            wait_for_layers(daemon, [0, 1])
        daemon.wait_until(daemon.answers, "page")
        show(camera, normal(half, 61))
        wait_for_blocks(daemon, 2 * BLOCKS)
        assert daemon.status().judged_s == pytest.approx(2 * half / RATE_HZ)
        # The layer that the dead process had not finished is lost with it, and the last one has not ended yet.
        layers = wait_for_layers(daemon, [0, 1, 3, 4]).layers
        assert {(one.judged, one.stream) for one in layers} == {(LAYER_FRAMES, camera.stream)}
        assert [one.first_seq for one in layers] == [number * LAYER_FRAMES for number in (0, 1, 3, 4)]
        assert daemon.stop() == 0

    blocks = read_blocks(tmp_path / "journal.blocks.db", budgeted.manifest.scale)
    assert len(blocks) == 2 * BLOCKS, "each is stored once"
    assert [block.number for block in blocks] == [*range(BLOCKS), *range(BLOCKS)]
    assert len({block.epoch for block in blocks}) == 2
    assert [(block.first_seq, block.last_seq) for block in blocks] == [
        (frames * index, frames * (index + 1) - 1) for index in range(2 * BLOCKS)
    ]
    recalibrated(tmp_path, budgeted, daemon.config)


def recalibrated(folder: Path, old: Bundle, config: Path) -> None:
    """New limits from those blocks, and a daemon that judges by them."""
    assert cli.main(["recalibrate", "--config", str(config), "--why", "it has judged enough", "--yes"]) == 0
    new = bundles.read(old.path)
    budget = new.manifest.budget
    assert budget is not None
    assert (budget.blocks, new.manifest.scale) == (2 * BLOCKS, old.manifest.scale)
    assert [earlier.why for earlier in new.manifest.history] == ["it has judged enough"]
    with daemon_of(folder, new) as daemon:
        daemon.wait_until_listening()
        wait_for_blocks(daemon, 2 * BLOCKS)
        status = daemon.status()
        assert status.bundle == new.sha256
        assert status.promise is not None
        assert status.promise.calibration_hours == pytest.approx(budget.hours)
        limits = {chart.name: chart.limit for chart in status.charts}
        assert limits == {chart: limit.value for chart, limit in new.manifest.limits.items()}
        assert daemon.stop() == 0
