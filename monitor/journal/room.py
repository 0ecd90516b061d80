"""What /metrics says of the journal: whether the disk takes it, how large it is, and how much room is left."""

import os
from pathlib import Path
from typing import NamedTuple


class JournalStatus(NamedTuple):
    """Of one moment. Bytes are None where the file system does not tell."""

    refused: bool  # alarms leave with `journaled` false
    unwritten: int  # changes of alarms that wait for the disk
    size: int | None  # of the file and its write-ahead log
    free: int | None  # that a program without special rights may still write where it lies
    disk: int | None  # of the whole file system


def look(path: Path, refused: bool, unwritten: int) -> JournalStatus:
    """The journal at *path*, of which the daemon knows whether it is *refused* and what is *unwritten*."""
    try:
        size = path.stat().st_size + sum(one.stat().st_size for one in path.parent.glob(f"{path.name}-wal"))
        disk = os.statvfs(path)
    except OSError:
        return JournalStatus(refused, unwritten, None, None, None)
    return JournalStatus(refused, unwritten, size, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
