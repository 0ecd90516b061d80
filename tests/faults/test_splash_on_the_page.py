"""What goes wrong before the camera is soon before the operator's eyes: the alarm, its frame, and where in it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from browser import DRAWING, WATCH, Tab, needs_chromium, opened
from daemon import CAMERA, Daemon, Lateness

from monitor.alarms.alarm import RATES
from monitor.camera.schedule import Truth
from monitor.demo import Scene, calibrated

pytestmark = needs_chromium

SIDE_PX, RATE_HZ = 64, 1000.0
SOON_MS = 2000.0
SPLASHES = 5
PATIENCE_S = 120.0
SCENE = Scene(seconds=1.0, side_px=SIDE_PX, rate_hz=RATE_HZ, groups=20, stretches=12, stretch_frames=600)


@contextmanager
def splashing(daemon: Daemon, truth: Path) -> Iterator[None]:
    """The simulated melt-pool camera in a process of its own, before which nothing goes wrong but splashes."""
    command = (
        *(sys.executable, "-m", "monitor.cli", "simulate", "meltpool", "--camera", CAMERA, "--size", str(SIDE_PX)),
        *("--endpoint", daemon.endpoint, "--socket", "push", "--connect", "--rate", str(RATE_HZ)),
        *("--kinds", "splash", "--anomaly-rate", str(1 / 2000), "--truth", str(truth)),
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as camera:
        try:
            yield
        finally:
            camera.terminate()


def found(tab: Tab, daemon: Daemon, truth: Path, since_ns: int) -> list[tuple[float, float]]:
    """Of splashes *since_ns*: how long after their exposure began they were listed, and their frames seen; in ms."""
    daemon.listen()
    tab.page.wait_for_timeout(200)
    arrived: dict[str, Any] = tab.page.evaluate("window.arrived")
    lines = [line for line in truth.read_bytes().splitlines(True) if line.endswith(b"\n")]
    splashes = [one for one in (msgspec.json.decode(line, type=Truth) for line in lines) if one.first_t_ns > since_ns]
    # A layer's rate begins with the layer, and is charted when that is over.
    first = {one.id: one for one in daemon.raised() if one.peak is not None and one.source not in RATES}
    delays = []
    for alarm_id, seen in arrived.items():
        for splash in splashes:
            alarm = first.get(alarm_id)
            began_in = alarm is not None and splash.first_seq <= alarm.first_seq <= splash.last_seq
            if began_in and seen["picture_ms"] is not None and seen["spot"]:
                delays.append((seen["row_ms"] - splash.first_t_ns / 1e6, seen["picture_ms"] - splash.first_t_ns / 1e6))
    return delays


def test_a_splash_is_an_alarm_on_the_page_with_its_frame_and_the_marked_spot_within_two_seconds(
    tmp_path: Path,
) -> None:
    bundle = calibrated(SCENE._replace(folder=tmp_path)).path
    truth = tmp_path / "truth.jsonl"
    truth.touch()
    given: dict[str, Any] = {"events": {"k": 2, "n": 3}, "alarms": {"flood": None}, "input": {"rate_hz": RATE_HZ}}
    with Daemon(tmp_path, bundle, **given) as daemon:
        daemon.wait_until_listening()
        with splashing(daemon, truth), opened(daemon.url) as tab:
            tab.expected = ["404"]  # of pictures that are asked for before they are there
            tab.until(DRAWING)
            tab.page.evaluate(WATCH)
            begun_ns = time.time_ns()  # what was there by then was listed before anybody watched
            with Lateness() as late:
                daemon.wait_until(lambda: len(found(tab, daemon, truth, begun_ns)) >= SPLASHES, "splashes", PATIENCE_S)
            listed, pictured = np.array(found(tab, daemon, truth, begun_ns)).T
        told = [f"{np.median(one):.0f} in the median, {one.max():.0f} at the most" for one in (listed, pictured)]
        sys.stdout.write(f"\n{len(listed)} splashes, ms: listed {told[0]}; frames {told[1]}; late {late.p99_ms:.1f}\n")
        assert pictured.max() <= max(SOON_MS, 10 * late.p99_ms)
        assert (listed <= pictured).all()
