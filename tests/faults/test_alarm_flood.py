"""Ten thousand alarms in a minute: each is in the journal and leaves, and the judging does not notice.

`python -m pytest -s tests/faults/test_alarm_flood.py` prints the delays, with and without alarms in turn.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from daemon import Camera, Daemon, Stream, p99_ms
from frames import normal

from monitor.bundle import Bundle
from monitor.journal.store import Journal

RATE_HZ = 1000
EVERY = 6  # frames from one dark one to the next: 167 alarms a second
SECONDS = 15.0  # of each stretch; two of the four have alarms
PATIENCE_S = 120.0


def cycle(*, dark: bool) -> np.ndarray:
    """The frames of a message, the first of which may be dark."""
    frames = normal(EVERY, 1)
    if dark:
        frames[0] = 0
    return frames


def test_ten_thousand_alarms_in_a_minute_are_journalled_and_leave(small_bundle: Bundle, tmp_path: Path) -> None:
    events = {"k": 1, "n": 1, "clear_frames": 1}
    raised, found = 0, {False: list[float](), True: list[float]()}
    sections = {"events": events, "log": {"level": "error"}}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        for dark in (False, True, False, True):
            before = daemon.ages()
            end_s = time.monotonic() + SECONDS
            with Stream(camera, cycle(dark=dark), RATE_HZ, EVERY) as stream:
                while time.monotonic() < end_s:
                    daemon.listen(0.05)
            raised += stream.rounds if dark else 0
            daemon.wait_until_judged(camera.seq)
            found[dark].append(p99_ms(before, daemon.ages()))
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
