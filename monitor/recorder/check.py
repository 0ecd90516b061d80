"""What would keep events from being recorded, for `framewatch doctor`."""

import os
import shutil
from pathlib import Path

from monitor.config import Config
from monitor.finding import Finding
from monitor.recorder.shelf import Shelf

NAME = "recordings"


def examine(config: Config) -> Finding:
    """Folder, free disk, budget, and whether the ring holds the frames that are wanted."""
    given, rate_hz = config.recorder, config.input.rate_hz
    if not given.on:
        return Finding(NAME, "ok", "none are kept (recorder.mib is 0)")
    folder = given.place(config.journal)
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding(
            NAME, "fault", f"{folder} cannot be written", "let the daemon's user write it, or set recorder.folder"
        )
    found = f"{folder}, {_held(folder)} of {given.mib:g} MiB"
    asked_s = (given.frames_before(rate_hz) + given.frames_after(rate_hz)) / rate_hz
    if given.frames_before(rate_hz) > config.input.buffer_s * rate_hz * 0.75:
        return Finding(
            NAME,
            "warning",
            f"{found}; {given.frames_before(rate_hz)} frames before an event are asked for, and the ring holds "
            f"{config.input.buffer_s * rate_hz:g}",
            "raise input.buffer_s, or lower recorder.before_s",
        )
    wanted = (given.mib + (given.archive_mib if given.archive else 0)) * 2**20
    missing = wanted - _used(folder) - shutil.disk_usage(place).free
    if missing > 0:
        return Finding(
            NAME,
            "warning",
            f"{found}; the disk has {missing / 2**20:.0f} MiB less than its budgets",
            "make room, or lower recorder.mib",
        )
    return Finding(NAME, "ok", f"{found}; {asked_s:g} s around each event")


def _used(folder: Path) -> int:
    return sum(one.nbytes for one in Shelf(folder).files())


def _held(folder: Path) -> str:
    files = Shelf(folder).files()
    pinned = sum(one.pinned for one in files)
    return f"{len(files)} files ({pinned} pinned), {_used(folder) / 2**20:.0f}"
