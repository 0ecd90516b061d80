"""Ten thousand alarms in a minute: each is in the journal and leaves, and the judging does not notice.

`python -m pytest -s tests/faults/test_alarm_flood.py` prints the delays, with and without alarms in turn.
"""

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
from daemon import Camera, Daemon
from frames import normal

from monitor.bundle import Bundle
from monitor.journal.store import Journal

RATE_HZ = 1000
EVERY = 6  # frames from one dark one to the next: 167 alarms a second
SECONDS = 15.0  # of each stretch; two of the four have alarms
PATIENCE_S = 120.0


class Stream(threading.Thread):
    """Frames in messages of six at RATE_HZ for a while, the first of each dark or not."""

    def __init__(self, camera: Camera, *, dark: bool) -> None:
        super().__init__()
        self._camera, self._dark = camera, dark
        self.events = 0

    def run(self) -> None:
        frames, never = normal(60, 1), threading.Event()
        begun = due = time.monotonic()
        while due < begun + SECONDS:
            piece = frames[:EVERY].copy()
            if self._dark:
                piece[0] = 0
                self.events += 1
            self._camera.send(piece, per_message=EVERY)
            due += EVERY / RATE_HZ
            never.wait(max(0.0, due - time.monotonic()))


def ages(daemon: Daemon) -> np.ndarray:
    """Frames by how soon they were judged, in the buckets of /metrics, cumulative."""
    found = {
        float(labels[-1]): value
        for labels, value in daemon.metrics().items()
        if labels[0] == "framewatch_frame_age_seconds_bucket"
    }
    return np.array(sorted(found.items()))


def p99_ms(before: np.ndarray, after: np.ndarray) -> float:
    counts = after[:, 1] - before[:, 1]
    return float(after[np.searchsorted(counts, 0.99 * counts[-1]), 0]) * 1e3


def test_ten_thousand_alarms_in_a_minute_are_journalled_and_leave(small_bundle: Bundle, tmp_path: Path) -> None:
    events = {"k": 1, "n": 1, "clear_frames": 1}
    raised, found = 0, {False: list[float](), True: list[float]()}
    sections = {"events": events, "log": {"level": "error"}}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        for dark in (False, True, False, True):
            before = ages(daemon)
            stream = Stream(camera, dark=dark)
            stream.start()
            while stream.is_alive():
                daemon.listen(0.05)
            raised += stream.events
            daemon.wait_until_judged(camera.seq)
            found[dark].append(p99_ms(before, ages(daemon)))
        rate = raised / (2 * SECONDS) * 60
        assert rate > 9_500, "alarms a minute"
        daemon.wait_until(
            lambda: len({one.id for one in daemon.alarms if one.source == "dark"}) == raised, "all", PATIENCE_S
        )
        kept = json.loads(daemon.get("/api/v1/alarms?limit=1")[1])
        assert kept["alarms"]
        assert daemon.stop() == 0
    journal = Journal(tmp_path / "journal.db", "cam")
    assert journal.raised()[("dark", "high")] == raised
    journal.close()
    sys.stdout.write(f"\n{rate:.0f} alarms a minute; p99 in ms without {found[False]}, with {found[True]}\n")
