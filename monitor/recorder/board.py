"""What the recorder tells the others, in shared memory: what it has counted, and which recordings are finished.

It outlives the recorder's process, so that a killed one goes on where it was.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from monitor import recordlog
from monitor.recordlog import START, Position
from monitor.shared import Arrays, Fields

__all__ = ["REASONS", "START", "Counts", "Notice", "Position", "counts", "fields", "news", "tell"]

REASONS: Final = ("memory", "budget", "disk", "overwritten", "lost", "killed", "stopping")
"""Why an event has no recording: no room in memory, none in the budget (or it is pinned), the disk refused, none of its
frames was left in the ring, its records were lost, the recorder was killed at it twice, the daemon was stopping."""

NAME_BYTES: Final = 128
NOTICES: Final = 1024
FATES: Final = 4096
"""More than there are of all events that the event log holds records of."""

_NOTICE: Final = np.dtype(
    [("epoch", "S32"), ("event", "<i8"), ("began_t_ns", "<i8"), ("name", f"S{NAME_BYTES}"), ("heard", "<i8")]
)
_FATE: Final = np.dtype([("epoch", "S32"), ("event", "<i8"), ("part", "<i8"), ("reason", "<i8")])


class Notice(NamedTuple):
    """An event's recording is finished: the file's name in the folder."""

    epoch: str
    event: int
    began_t_ns: int  # Unix, when the event was first told of
    name: str
    heard: int = 0  # records of the event log before it are those that it speaks of


class Counts(NamedTuple):
    """What the recorder has done, and what there is; counted since the supervisor started."""

    recordings: int  # files in the folder, and the next two of them
    nbytes: int
    pinned: int
    pinned_bytes: int
    disk_free: int  # bytes on the file system of the folder, and of which in all; 0 before they were asked for
    disk: int
    beat_ns: int  # when the recorder last said that it goes on, monotonic; 0: there is none
    restarts: int  # how often its process ended and was started again; the supervisor counts
    written: int
    failed: Mapping[str, int]  # events without a recording, by each of REASONS
    missing: int  # frames of windows that were overwritten, or found no room in memory
    archived: int  # frames that went into the archive
    archive_missing: int  # ... and that did not: the disk refused or was too slow, or there was no recorder
    archive_files: int
    archive_bytes: int


def fields() -> Fields:
    """The arrays of the board."""
    log = {f"notice_{name}": spec for name, spec in recordlog.fields(_NOTICE, NOTICES).items()}
    fates = {f"fate_{name}": spec for name, spec in recordlog.fields(_FATE, FATES).items()}
    numbers = [name for name in Counts._fields if name != "failed"]
    return {
        "pid": ("i8", (1,)),
        "cursor": ("i8", (1,)),  # records of the event log whose events are all recorded, or given up
        "heard": ("i8", (1,)),  # records that any process has taken in
        "follows": ("i8", (1,)),  # 1: the last process has taken some in, or looked for them
        "writing": (f"S{NAME_BYTES}", (1,)),  # the name of the recording that is being written; empty: none is
        "writing_heard": ("i8", (1,)),  # ... which speaks of records before this one
        "archive_cursor": ("i8", (1,)),  # the ring's position up to which rows are in the archive, or given up
        "failed": ("i8", (len(REASONS),)),
        **dict.fromkeys(numbers, ("i8", (1,))),
        **log,
        **fates,
    }


def counts(board: Arrays) -> Counts:
    """What stands on the board."""
    failed = dict(zip(REASONS, board["failed"].tolist(), strict=True))
    numbers = {name: int(board[name][0]) for name in Counts._fields if name != "failed"}
    return Counts(failed=failed, **numbers)


def tell(board: Arrays, notice: Notice) -> None:
    """Add *notice*; the oldest gives way."""
    recordlog.append(_log(board), notice)


def news(board: Arrays, position: Position) -> tuple[list[Notice], Position]:
    """Notices from *position* on, START at first, and the next position."""
    found, position = recordlog.read(_log(board), position)
    return [Notice(*one) for one in found], position


def _log(board: Arrays) -> Arrays:
    return {name: board[f"notice_{name}"] for name in ("count", "epoch", "records")}
