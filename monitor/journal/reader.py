"""The journal read by who does not write it: nothing is made, written, migrated or held up."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from monitor import readonly
from monitor.journal import schema
from monitor.journal.reading import Records
from monitor.journal.store import JournalError

BUSY_S: Final = 2.0
"""So long a reader waits for a daemon that is putting the file in order after a crash."""


class _Seen(NamedTuple):
    """A file as it was found."""

    inode: int
    size: int
    changed_ns: int


class Reader(Records):
    """The journal at *path* of *camera*, as it was last committed. May be used by several threads.

    A daemon may be writing it; an older format is read as it lies. Where it cannot be read, each query raises
    JournalError, in one line.
    """

    def __init__(self, path: Path, camera: str) -> None:
        """Raises JournalError where the file is damaged, newer, another camera's or program's, or cannot be opened."""
        self._path = path
        self._alone: _Seen | None = None  # the file that nobody writes, as it was when it was opened
        try:
            super().__init__(self._connected())
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal: {path} cannot be opened: {error}") from None
        try:
            self._prepare(camera)
        except JournalError:
            self.close()
            raise

    def close(self) -> None:
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment, whatever is written meanwhile. Other threads wait until it ends."""
        with self._lock:
            self._rows("BEGIN")
            try:
                yield
            finally:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    def damage(self) -> str:
        """What is wrong inside the file, in one line; empty: nothing. Looks at all of it."""
        found = str(self._rows("PRAGMA quick_check(1)")[0][0])
        return "" if found == "ok" else found.splitlines()[0]

    def _connected(self) -> sqlite3.Connection:
        how = readonly.how_to_open(self._path)
        self._alone = self._look() if how == readonly.NOBODY_WRITES else None
        uri = readonly.uri(self._path, how)
        return sqlite3.connect(uri, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)

    def _prepare(self, camera: str) -> None:
        path, version = self._path, int(self._rows("PRAGMA user_version")[0][0])
        if version > schema.VERSION:
            raise JournalError(f"journal: {path} has format {version}, newer than {schema.VERSION}; update framewatch")
        if version == 0:
            other = self._rows("SELECT count(*) FROM sqlite_master")[0][0]
            problem = (
                "is another program's database; choose another file" if other else "is empty: no daemon has run yet"
            )
            raise JournalError(f"journal: {path} {problem}")
        self._rows("PRAGMA temp_store = MEMORY")  # a full disk is no reason not to read
        for statement in schema.as_today(version):
            self._rows(statement)
        for (owner,) in self._rows("SELECT camera FROM reader"):
            if owner != camera:
                raise JournalError(f"journal: {path} holds the alarms of camera '{owner}', not '{camera}'")

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            found = super()._rows(query, values)
        except sqlite3.Error as error:
            self._require_unchanged()
            raise JournalError(f"journal: {self._path} cannot be read: {error}") from None
        self._require_unchanged()
        return found

    def _require_unchanged(self) -> None:
        """A daemon that started meanwhile may have written where this was reading: SQLite was told not to look."""
        if self._alone is not None and self._look() != self._alone:
            raise JournalError(f"journal: {self._path} was changed by a daemon that has just started; try again")

    def _look(self) -> _Seen | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return _Seen(found.st_ino, found.st_size, found.st_mtime_ns)
