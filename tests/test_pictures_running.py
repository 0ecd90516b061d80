"""Pictures of alarms in a daemon as it runs: there at once, there again once the ring is overwritten, or not at all."""

import os
import select
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemon import PATIENCE_S, Camera, Daemon
from frames import normal, with_spot

from monitor.bundle import Bundle
from monitor.viewer.picture import Picture

EVENT_S = 2.0  # within which a picture is to be there


def picture(daemon: Daemon, alarm_id: str) -> Picture:
    with urllib.request.urlopen(f"{daemon.url}/api/v1/alarms/{alarm_id}/picture", timeout=PATIENCE_S) as answer:
        return msgspec.json.decode(answer.read(), type=Picture)


def refused(daemon: Daemon, alarm_id: str) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        picture(daemon, alarm_id)
    with caught.value as answer:
        assert answer.code == 404
        return str(msgspec.json.decode(answer.read())["error"])


def children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def raised(daemon: Daemon, camera: Camera, source: str, count: int) -> str:
    """The id of the latest alarm of *source*, of which there are *count* then."""
    daemon.wait_until(lambda: len([one for one in daemon.raised() if one.source == source]) >= count, f"{source} alarm")
    return [one for one in daemon.raised() if one.source == source][-1].id


def test_an_alarm_has_the_picture_of_its_peak(tmp_path: Path, small_bundle: Bundle) -> None:
    sections = {"events": {"clear_frames": 20}, "input": {"rate_hz": 100, "buffer_s": 1}, "alarms": {"flood": None}}
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon:
        daemon.wait_until_listening()
        with Camera(daemon.endpoint) as camera:
            camera.send(np.concatenate((normal(40, 100), with_spot(normal(8, 500), 20, 9))), job="part", layer=4)
            found = raised(daemon, camera, "local", 1)
            shown = picture(daemon, found)
            began_s = time.monotonic()
            assert picture(daemon, found) == shown
            assert time.monotonic() - began_s < EVENT_S, "it is remembered"
            assert (shown.source, shown.job, shown.layer) == ("local", "part", 4)
            assert 40 <= shown.seq < 48
            assert shown.ratio > 1
            assert shown.where is not None
            assert max(abs(shown.where[0] - 20), abs(shown.where[1] - 9)) <= 4
            camera.send(normal(900, 101))  # the ring holds no frame of the event any more
            daemon.wait_until_judged(camera.seq)
            daemon.wait_until(lambda: daemon.metrics()["framewatch_taxonomy_samples", "events"] >= 1, "a frame kept")
            side = daemon.child("side")
            [viewer] = [pid for pid in children(side) if "monitor.viewer.process" in command(pid)]
            ended = os.pidfd_open(viewer)
            os.kill(side, signal.SIGKILL)  # and nobody remembers a picture
            daemon.wait_until(lambda: daemon.children("side") not in ([], [side]), "another side process")
            assert select.select([ended], [], [], PATIENCE_S)[0], "what draws ends with who asked for it"
            os.close(ended)
            daemon.wait_until(daemon.answers, "page")
            again = picture(daemon, found)
            assert (again.seq, again.source, again.where) == (shown.seq, shown.source, shown.where)
            assert again.scores == pytest.approx({name: pytest.approx(one) for name, one in shown.scores.items()})
            assert refused(daemon, "no-such") == "there is no such alarm"
        assert daemon.stop() == 0


def test_a_frozen_camera_is_shown_by_its_frame_out_of_the_ring_and_later_out_of_the_recording(
    tmp_path: Path, small_bundle: Bundle
) -> None:
    sections = {
        "events": {"clear_frames": 20},
        "input": {"rate_hz": 100, "buffer_s": 1},
        "recorder": {"before_frames": 5, "after_frames": 5},
    }
    with Daemon(tmp_path, small_bundle.path, **sections) as daemon:
        daemon.wait_until_listening()
        daemon.wait_until(lambda: daemon.metrics()["framewatch_recorder_silent_seconds",] < PATIENCE_S, "recorder")
        with Camera(daemon.endpoint) as camera:
            camera.send(np.concatenate((normal(40, 100), np.repeat(normal(1, 500), 12, axis=0))), job="part", layer=4)
            found = raised(daemon, camera, "frozen", 1)
            shown = picture(daemon, found)
            assert (shown.seq, shown.job, shown.layer) == (42, "part", 4), "the second repetition is at fault"
            assert (shown.ratio, shown.source, shown.scores, shown.drawn, shown.where) == (None, None, {}, None, None)
            camera.send(normal(900, 101))  # the ring holds no frame of the event any more
            daemon.wait_until(lambda: daemon.last_of_each()[found].recording is not None, "recording")
            side = daemon.child("side")
            os.kill(side, signal.SIGKILL)  # and nobody remembers a picture
            daemon.wait_until(lambda: daemon.children("side") not in ([], [side]), "another side process")
            daemon.wait_until(daemon.answers, "page")
            (recording,) = (tmp_path / "journal.db.recordings").glob("*.h5")
            away = recording.rename(tmp_path / "away.h5")
            why = f"frame 42, the first of this fault, is in the ring no more, and {recording.name} is gone"
            assert refused(daemon, found) == why
            away.rename(recording)
            again = picture(daemon, found)
            assert again.seen == shown.seen
            assert (again.seq, again.ratio, again.scores, again.job, again.layer) == (42, None, {}, "part", 4)
        assert daemon.stop() == 0
