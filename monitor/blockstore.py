"""Block extremes of all judged time, on disk: what limits can be set anew from without recorded frames.

One SQLite file beside the journal. Losing its last seconds to a power cut costs a block, not a promise.
"""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from monitor import readonly

VERSION: Final = 2
"""1 knew of no stops."""

BUSY_S: Final = 0.2
MOST: Final = 200_000
"""Blocks kept, the latest: of ten seconds each, 23 days of judged time."""

_TABLE: Final = f"""
CREATE TABLE blocks (
    epoch TEXT NOT NULL, number INTEGER NOT NULL, scale TEXT NOT NULL, stream TEXT NOT NULL, job TEXT NOT NULL,
    first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, t_ns INTEGER NOT NULL, frames INTEGER NOT NULL,
    judged_s REAL NOT NULL, extreme REAL NOT NULL, stop REAL, rule TEXT NOT NULL DEFAULT '', PRIMARY KEY (epoch, number)
);
PRAGMA user_version = {VERSION};
"""

_FROM_1: Final = f"""
ALTER TABLE blocks ADD COLUMN stop REAL;
ALTER TABLE blocks ADD COLUMN rule TEXT NOT NULL DEFAULT '';
PRAGMA user_version = {VERSION};
"""


class BlockStoreError(ValueError):
    """The file cannot be used: one line that names it."""


class Block(NamedTuple):
    """One finished block of judged frames."""

    epoch: str  # of the hot process
    number: int  # counts up within the epoch
    scale: str  # of the joint scores, as `Manifest.scale` names it
    stream: str
    job: str
    first_seq: int  # it holds no frames before
    last_seq: int  # nor after
    t_ns: int  # Unix nanoseconds, when it was finished
    frames: int  # judged; fewer than in the others where its stream ended
    judged_s: float
    extreme: float  # highest event statistic, on the joint scale in decades
    stop: float | None = None  # that of the rule for stops; None: there was none
    rule: str = ""  # for stops: k of n


def beside(journal: Path) -> Path:
    """The file of the daemon whose journal is at *journal*."""
    return journal.with_name(f"{journal.stem}.blocks.db")


class BlockStore:
    """The file at *path*, made where it is missing. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        """Raises BlockStoreError where the file is damaged, newer, another program's or not writable."""
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise BlockStoreError(f"{path}: cannot be opened: {error}") from None
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._db.close()
            raise BlockStoreError(f"{path}: cannot be used: {error}; move it away or mend the disk") from None
        except BlockStoreError:
            self._db.close()
            raise

    def _prepare(self, path: Path) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise BlockStoreError(f"{path}: has format {version}, newer than {VERSION}; update framewatch")
        if version == 0:
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise BlockStoreError(f"{path}: is another program's database; move it away")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(f"BEGIN IMMEDIATE;{_TABLE}COMMIT;")
        if version == 1:
            self._db.executescript(f"BEGIN IMMEDIATE;{_FROM_1}COMMIT;")
        self._db.executescript("BEGIN IMMEDIATE; COMMIT;")  # shows at start whether the file can be written

    def blocks(self, scale: str) -> list[Block]:
        """Those on one joint scale, in the order of their writing."""
        with self._lock:
            return _blocks(self._db, scale)

    def add(self, blocks: Sequence[Block]) -> list[Block]:
        """Write *blocks*, and return those that were not known. Raises sqlite3.Error where the disk refuses."""
        if not blocks:
            return []
        insert = f"INSERT INTO blocks VALUES ({', '.join('?' * len(Block._fields))}) ON CONFLICT DO NOTHING"
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                new = [block for block in blocks if self._db.execute(insert, block).rowcount]
                self._db.execute("DELETE FROM blocks WHERE rowid <= (SELECT max(rowid) FROM blocks) - ?", (MOST,))
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        return new

    def close(self) -> None:
        with self._lock:
            self._db.close()


def read_blocks(path: Path, scale: str) -> list[Block]:
    """The blocks at *path* on one joint scale, in the order of writing; nothing is made. Raises BlockStoreError."""
    if not path.is_file():
        raise BlockStoreError(f"{path}: is not there; a daemon writes it beside its journal while it judges")
    try:
        before_ns, how = path.stat().st_mtime_ns, readonly.how_to_open(path)
        with closing(sqlite3.connect(readonly.uri(path, how), uri=True)) as db:
            found = _blocks(db, scale)
        changed = how == readonly.NOBODY_WRITES and path.stat().st_mtime_ns != before_ns
    except (sqlite3.Error, OSError) as error:
        raise BlockStoreError(f"{path}: cannot be read: {error}") from None
    if changed:
        raise BlockStoreError(f"{path}: was changed by a daemon that has just started; try again")
    return found


def _blocks(db: sqlite3.Connection, scale: str) -> list[Block]:
    first = int(db.execute("PRAGMA user_version").fetchone()[0]) == 1  # of a daemon before this one, read only
    names = ", ".join(Block._fields[:-2] if first else Block._fields)
    return [Block(*row) for row in db.execute(f"SELECT {names} FROM blocks WHERE scale = ? ORDER BY rowid", (scale,))]
