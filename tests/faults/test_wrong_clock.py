"""The wall clock is set a day ahead, a day back and right again, under a daemon that runs and a camera that goes on."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon import Camera, Daemon, Stream
from frames import normal, with_spot

from monitor.bundle import Bundle
from monitor.web import token

PROGRAM = shutil.which("faketime")
DAY_NS = 86_400_000_000_000
RATE_HZ, PER_MESSAGE = 100, 10
SHELVED_S = 15.0
TTL_MS = 2000


SLEEP = """
# faketime 0.9.10 refuses clock_nanosleep(2) until a monotonic moment, which is how Python sleeps.
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


class WallClock:
    """What Python programs started in its `environment` take for the time of day; other clocks are the machine's."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.set("+0")
        (folder / "sitecustomize.py").write_text(SLEEP)
        preloaded = subprocess.run([str(PROGRAM), "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True)
        self.environment = {
            "LD_PRELOAD": preloaded.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a process looks at the file again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name in older releases
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it, who waits for Python's lock waits for too long
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(folder),
        }

    def set(self, offset: str) -> None:
        written = self._file.with_suffix(".new")
        written.write_text(offset + "\n")
        written.replace(self._file)


class Watched(Daemon):
    """Notes, by this process's monotonic clock, when each alarm and permit was heard."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.alarms_s: list[float] = []
        self.permits_s: list[float] = []

    def listen(self, timeout_s: float = 0.1) -> None:
        super().listen(timeout_s)
        for heard_s, heard in ((self.alarms_s, self.alarms), (self.permits_s, self.permits)):
            heard_s += [time.monotonic()] * (len(heard) - len(heard_s))

    def ask(self, path: str, **body: object) -> None:
        header = {"Authorization": f"Bearer {token.text_of(self.folder / 'http.token')}"}
        request = urllib.request.Request(f"{self.url}/api/v1/alarms/{path}", json.dumps(body).encode(), header)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def ids(self) -> list[str]:
        """Of all alarms, in the order in which they were raised."""
        found = json.loads(self.get("/api/v1/alarms?limit=1000")[1])["alarms"]
        return [alarm["id"] for alarm in reversed(found)]

    def raise_one(self, stream: Stream) -> str:
        """The id of an alarm of a camera that stands still for a moment, once that is over."""
        known = {one.id for one in self.alarms}
        stream.send(np.repeat(normal(1, 7), 20, axis=0))
        over = lambda: [one.id for one in self.alarms if one.source == "frozen" and one.state == "cleared"]  # noqa: E731
        self.wait_until(lambda: bool(set(over()) - known), "an alarm and its end")
        (new,) = set(over()) - known
        return new


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    if PROGRAM is None:
        pytest.skip("faketime is not here to set a clock; on Debian and Ubuntu: apt-get install faketime")
    return WallClock(tmp_path)


def step(daemon: Watched, wall: WallClock, days: int) -> None:
    """Set the clock so many days off the right one, and go on until both processes show it and have spoken by it."""
    wall.set(f"{days:+d}d")
    heard = len(daemon.permits)

    def shown(t_ns: int) -> bool:
        return abs(t_ns - time.time_ns() - days * DAY_NS) < DAY_NS / 2

    daemon.wait_until(lambda: len(daemon.permits) > heard + 10 and shown(daemon.permits[-1].t_ns), "permits")
    daemon.wait_until(lambda: shown(daemon.heartbeats[-1].t_ns) and shown(daemon.status().t_ns), "heartbeat and status")


def test_a_wall_clock_that_is_set_ahead_and_back_clears_reorders_and_forgets_nothing(
    small_bundle: Bundle, tmp_path: Path, wall: WallClock
) -> None:
    token.write(tmp_path / "http.token")
    sections = {
        "events": {"k": 2, "n": 3, "clear_frames": 30},
        "alarms": {"latch": ["dark"], "flood": None, "keep_days": 1},
        "permit": {"ttl_ms": TTL_MS},
        "http": {"token_file": str(tmp_path / "http.token")},
    }
    daemon = Watched(tmp_path, small_bundle.path, environment=wall.environment, **sections)
    with daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        begun = len(daemon.permits)
        with Stream(camera, with_spot(normal(60, 1)), RATE_HZ, PER_MESSAGE) as stream:
            chart, dark = open_two(daemon, stream)
            shelved_s = time.monotonic()
            daemon.ask("dark/shelve", by="ann", for_s=SHELVED_S)
            raised = [daemon.raise_one(stream)]
            for days in (1, -1, 0):
                step(daemon, wall, days)
                raised.append(daemon.raise_one(stream))
            daemon.wait_until(lambda: not daemon.last_of_each()[dark].shelved, "end of the shelving", 2 * SHELVED_S)
            unshelved_s = daemon.alarms_s[-1] - shelved_s
            assert SHELVED_S - 0.5 < unshelved_s < SHELVED_S + 5.0
            ids = daemon.ids()
            assert ids == sorted(ids)
            assert raised == sorted(raised)
            nothing_was_touched(daemon, chart, dark)
        daemon.wait_until_judged(camera.seq)
        nothing_was_lost(daemon, begun)
        assert daemon.stop() == 0
        wall.set("+400d")  # and another process begins with a clock that is wrong
        daemon.start()
        daemon.wait_until_listening()
        with Stream(camera, with_spot(normal(60, 1)), RATE_HZ, PER_MESSAGE) as stream:
            later = daemon.raise_one(stream)
        assert daemon.ids()[: len(ids)] == ids, "nothing is a day old"
        assert later > ids[-1]
        nothing_was_touched(daemon, chart, dark)
        assert daemon.stop() == 0


def open_two(daemon: Watched, stream: Stream) -> tuple[str, str]:
    """Two alarms that stay: one of a chart, whose event goes on, acknowledged; one of the camera, latched."""
    stream.send(np.zeros((6, 32, 32), np.uint8))
    daemon.wait_until(lambda: {one.source for one in daemon.raised()} >= {"dark", "local"}, "two alarms")
    by_source = {one.source: one.id for one in daemon.raised()}
    chart, dark = by_source["local"], by_source["dark"]
    daemon.ask(f"{chart}/acknowledge", by="ann")
    daemon.wait_until(lambda: daemon.last_of_each()[chart].acked, "an acknowledgement")
    daemon.wait_until(lambda: daemon.last_of_each()[dark].latched, "the end of the dark")
    return chart, dark


def nothing_was_touched(daemon: Watched, chart: str, dark: str) -> None:
    last = daemon.last_of_each()
    assert (last[chart].state, last[chart].acked) == ("active", True)
    assert (last[dark].state, last[dark].acked, last[dark].latched) == ("active", False, True)
    assert sorted(one.source for one in daemon.raised() if one.source != "frozen") == ["dark", "local"]
    for alarm_id in (chart, dark):
        revisions = [one.rev for one in daemon.alarms if one.id == alarm_id]
        assert sorted(set(revisions)) == list(range(1, max(revisions) + 1))


def nothing_was_lost(daemon: Watched, begun: int) -> None:
    """Of permits, from the one numbered *begun* on, and of frames; delays are those of a machine, not of a calendar."""
    numbers = [one.n for one in daemon.permits[begun:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert max(np.diff(daemon.permits_s[begun:])) * 1000 < TTL_MS
    ledger = daemon.status().ledger
    assert (ledger.lost_upstream, sum(ledger.dropped.values())) == (0, 0)
    found = daemon.metrics()
    count = found["framewatch_frame_delay_seconds_count",]
    assert count > 0
    assert found["framewatch_frame_delay_seconds_sum",] / count < 1.0
