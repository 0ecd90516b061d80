"""The disk is full: frames are judged, alarms go out and say that they are not journalled; the journal catches up."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Camera, Daemon
from frames import normal

from monitor.bundle import Bundle
from monitor.journal.store import Journal

SIZE = 2 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def dark(count: int) -> object:
    frames = normal(count, 1)
    frames[:] = 0
    return frames


def test_with_a_full_disk_alarms_go_out_marked_and_are_written_when_there_is_room(
    small_bundle: Bundle, small_disk: Path, tmp_path: Path
) -> None:
    journal = small_disk / "journal.db"
    with Daemon(tmp_path, small_bundle.path, journal=str(journal)) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(40, 1))
        daemon.wait_for_state("ok")
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # until it is full
            while True:
                file.write(bytes(4096))
        camera.send(dark(3))
        daemon.wait_until(lambda: any(not one.journaled for one in daemon.alarms), "an alarm that is not journalled")
        daemon.wait_until(lambda: "journal cannot be written" in daemon.heartbeats[-1].why, "the reason")
        judged = daemon.status().ledger.judged
        camera.send(normal(40, 2))
        daemon.wait_until(lambda: daemon.status().ledger.judged > judged, "frames that are judged all the same")
        assert "journal cannot be written" in daemon.status().side_why
        ballast.unlink()
        camera.send(normal(40, 3))
        daemon.wait_until(lambda: daemon.status().side_why == "", "room")
        assert daemon.stop() == 0
        kept = Journal(journal, "cam")
        unwritten = {(one.id, one.rev) for one in daemon.alarms if not one.journaled}
        written = {(one.alarm.id, one.alarm.rev) for one in kept.changes_after(0, 10_000)}
        assert unwritten
        assert unwritten <= written, "the journal has caught up"
        kept.close()
