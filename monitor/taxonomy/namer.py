"""What names events where kinds are told apart by a learned embedding: that takes longer than the judging may wait.

A process of its own, `python -m monitor.taxonomy.namer`, as long as the side process runs: the task and then frames
come on its standard input, a kind for each leaves on its standard output. It reads the kinds from their file, and
ends with its input.
"""

import os
import sqlite3
import sys
from pathlib import Path
from typing import IO, Final

import msgspec
import numpy as np

from monitor.bundle import BundleError
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.namer_feed import Shown, message, received
from monitor.taxonomy.naming import kind_at, namer_of
from monitor.taxonomy.points import Means, means_of
from monitor.taxonomy.publish import publish
from monitor.taxonomy.store import WAIT_S, Store, StoreError
from monitor.taxonomy.table import Table
from monitor.types import Kind, Pixels

NICE: Final = 10  # the grouping has 19: who waits for a name waits for this one


class LaterNamer:
    """Names frames by the living kinds of a file, as they are at the time."""

    def __init__(self, means: Means, store: Store) -> None:
        self._means = means
        self._store = store
        self._version = -1
        self._held = self._read()
        self._namer = namer_of(self._held)

    def __call__(self, frame: Pixels) -> Kind | None:
        """The kind of *frame* (h, w); None where it is of none that is known, or nothing can be said."""
        self._renew()
        if not self._held.ids:
            return None
        try:
            point = self._means.points(frame[None])
        except ValueError:  # an embedding may refuse a picture
            return None
        return kind_at(point, self._held, self._namer)

    def _renew(self) -> None:
        try:
            if self._store.version() != self._version:
                self._held = self._read()
                self._namer = namer_of(self._held)
        except sqlite3.Error:  # somebody writes, or the disk fails: the kinds of a moment ago serve
            self._version = -1

    def _read(self) -> Table:
        found: list[Table] = []
        self._version = self._store.version()
        publish(self._store.kinds(), self._means.space, lambda *kinds: found.append(Table(*kinds)))
        return found[0]


def main() -> int:
    """Name what comes; exit status 0 at the end of the input, or 1 with one line that says why nothing can be named."""
    given = received(sys.stdin.buffer)
    if given is None:
        return 0
    task = msgspec.msgpack.decode(given, type=Task)
    os.nice(NICE)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # where a library prints something, it must be no answer
    try:
        means = means_of(task)
        namer = LaterNamer(means, Store(Path(task.store), task.camera, wait_s=WAIT_S, read_only=True))
        held = means.bundle.manifest
        means.points(np.zeros((1, held.height, held.width), held.dtype))  # it refuses frames now, or never
    except (StoreError, BundleError, sqlite3.Error, MemoryError, ValueError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        return 1
    _say(answers, None)  # that it is ready
    while (data := received(sys.stdin.buffer)) is not None:
        shown = msgspec.msgpack.decode(data, type=Shown)
        _say(answers, namer(np.frombuffer(shown.pixels, shown.dtype).reshape(shown.height, shown.width)))
    return 0


def _say(answers: IO[bytes], kind: Kind | None) -> None:
    answers.write(message(msgspec.msgpack.encode(kind)))
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
