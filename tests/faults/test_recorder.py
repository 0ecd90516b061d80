"""The recorder under load and under kills: every frame of every window is there, and what was half written is not."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemon import Camera, Daemon
from daemon_example import some_config
from frames import normal, with_spot
from hand_example import Hand
from side_example import wait_for

from monitor import service
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.orders import Memory, Orders, open_memory
from monitor.recorder import board, recording
from monitor.recorder.board import Counts
from monitor.recorder.config import Recorder

KILLS = 40
LONGEST_S = (0.0, 0.005, 0.4)  # after the first byte, in turn: at once, about within the write, mostly after it
RATE_HZ = 10_000
SECONDS = 12
BURST = 1000  # frames that come at once
EVENT_EVERY, EVENT_FRAMES = 4000, 20
CLOSE = 600  # frames between the last ones, whose windows overlap
BEFORE, AFTER = 1500, 1000


class Process(Hand):
    """A recorder's process and those around it."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        super().__init__(memory)
        self.given = given
        self.folder = given.config.recorder.place(given.config.journal)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor.recorder.process"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self.given.memory_fd, self.given.wake_fd),
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self.given))
        process.stdin.close()
        self._process = process

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def runs(self) -> bool:
        """Whether it has taken its place, and removed what an earlier one left half written."""
        return self._process is not None and int(self.memory.recorder["pid"][0]) == self._process.pid

    @property
    def done(self) -> bool:
        """Whether of each event there is a recording, or it is given up."""
        return int(self.memory.recorder["cursor"][0]) == int(self.memory.log["count"][0])

    def files(self, pattern: str = "*.h5") -> list[Path]:
        return sorted(self.folder.glob(pattern))

    @property
    def counts(self) -> Counts:
        return board.counts(self.memory.recorder)


@pytest.fixture
def process(tmp_path: Path, small_bundle: Bundle) -> Iterator[Process]:
    recorder = Recorder(before_frames=1400, after_frames=1400)
    config: Config = msgspec.structs.replace(some_config(tmp_path), bundle=str(small_bundle.path), recorder=recorder)
    given = service.prepare(config, "framewatch.yaml", small_bundle)
    made = Process(given, open_memory(given))
    yield made
    with contextlib.suppress(AssertionError):
        made.kill()
    os.close(given.memory_fd)
    os.close(given.wake_fd)


def require_whole(path: Path) -> None:
    held = recording.read(path)
    seq = held.columns["seq"]
    assert np.array_equal(seq, np.arange(seq[0], seq[0] + 2803))
    assert np.array_equal(held.frames, np.broadcast_to(seq.astype(np.uint8)[:, None, None], held.frames.shape))
    assert held.attributes["gaps"] == 0


def test_killed_at_random_moments_it_leaves_files_that_open_or_none(process: Process) -> None:
    chance, never, half = random.Random(7), threading.Event(), 0
    for kill in range(KILLS):
        process.start()
        process.have_an_event(1500)
        wait_for(process.runs, 30)
        ends_s = time.monotonic() + 30  # without a pause between two looks: a write takes some ten milliseconds
        while not (process.files(".*.part") or process.done):
            assert time.monotonic() < ends_s
        never.wait(chance.uniform(0, LONGEST_S[kill % len(LONGEST_S)]))
        process.kill()
        half += bool(process.files(".*.part"))
        for path in process.files():
            require_whole(path)
    process.start()
    process.have_an_event(1500)
    wait_for(lambda: process.done and process.files()[-1].name.endswith(f"_{process.events}.h5"), 30)
    assert process.files(".*.part") == []
    assert half > KILLS / 8, "some were really killed while they wrote"
    told = {one.event for one in board.news(process.memory.recorder, board.START)[0]}
    kept = [row["event"] for path in process.files() for row in recording.tables(path)["events"]]
    assert sorted(told) == sorted(kept), "each recording is told of, and no event is in two"
    assert len(kept) + sum(process.counts.failed.values()) == process.events, "each is there, or counted once"
    assert len(process.files()) > KILLS / 10, "and others once they had"
    for path in process.files():
        require_whole(path)


def where_events_begin() -> list[int]:
    """Every so often, the last ones close together."""
    often = list(range(EVENT_EVERY, RATE_HZ * SECONDS - 2000, EVENT_EVERY))
    return [*often[:-1], often[-1] - 2 * CLOSE, often[-1] - CLOSE, often[-1]]


def frames_with_events() -> np.ndarray:
    """All that the camera shows."""
    frames = np.tile(normal(2000, 5), (RATE_HZ * SECONDS // 2000, 1, 1))
    for first in where_events_begin():
        frames[first : first + EVENT_FRAMES] = with_spot(frames[first : first + EVENT_FRAMES])
    return frames


def test_at_ten_thousand_frames_a_second_in_bursts_every_frame_of_every_window_is_there(
    tmp_path: Path, small_bundle: Bundle
) -> None:
    frames = frames_with_events()
    sections = {
        "events": {"k": 2, "n": 3, "clear_frames": 200},
        "input": {"rate_hz": RATE_HZ, "buffer_s": 4, "frames_per_message": 50},
        "recorder": {"before_s": BEFORE / RATE_HZ, "after_s": AFTER / RATE_HZ},
        "alarms": {"flood": None},
    }
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        never, begun = threading.Event(), time.monotonic()
        for first in range(0, len(frames), BURST):
            camera.send(frames[first : first + BURST], per_message=50)
            never.wait(max(0.0, begun + (first + BURST) / RATE_HZ - time.monotonic()))
        took_s = time.monotonic() - begun
        ledger = daemon.wait_until_judged(len(frames)).ledger
        shown = len(where_events_begin())

        def recorded() -> list[Alarm]:
            return [one for one in daemon.last_of_each().values() if one.recording is not None]

        daemon.wait_until(lambda: len(recorded()) >= shown, "recordings of all that was shown")
        found = daemon.metrics()
        assert daemon.stop() == 0
    assert took_s < SECONDS * 1.2, "the camera kept its rate"
    assert ledger.judged == len(frames), "and every frame was judged"
    assert found["framewatch_recorder_frames_missing_total",] == 0
    assert sum(value for key, value in found.items() if key[0] == "framewatch_recordings_failed_total") == 0
    kept, shared = 0, 0
    covered: set[int] = set()
    for path in sorted((tmp_path / "journal.db.recordings").glob("*.h5")):
        held, tables = recording.read(path), recording.tables(path)
        seq = held.columns["seq"]
        assert tables["gaps"] == []
        assert np.array_equal(seq, np.arange(seq[0], seq[-1] + 1))
        assert np.array_equal(held.frames, frames[seq])
        twice = covered & set(seq.tolist())
        assert all(one < tables["events"][0]["first_seq"] for one in twice), "only what is before an event is in two"
        covered |= set(seq.tolist())
        for event in tables["events"]:
            window = range(max(event["first_seq"] - BEFORE, 0), min(event["last_seq"] + AFTER + 1, len(frames)))
            assert set(window) <= covered, "of windows that overlap, the frames before lie in the recording before"
            kept += 1
        shared += len(tables["events"]) > 1
    assert kept >= shown
    assert shared >= 1, "events that are close share a recording"
