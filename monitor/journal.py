"""The journal: every change of an alarm on disk before it leaves, and how far the event log has been read.

Both are written in one transaction, so that whichever process is killed, each event record is applied exactly once.
SQLite, in WAL mode with full synchronisation: what was committed survives a loss of power.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

from monitor.alarms import Alarm, AlarmState, Case

VERSION: Final = 1
"""Of the tables; kept in the file's `user_version`."""

BUSY_S: Final = 0.2
"""So long a writer waits for another process that holds the file."""

RETRY_NS: Final = 1_000_000_000
"""A disk that refused is asked again after so long."""

BACKLOG_MAX: Final = 10_000
"""Most changes kept for a disk that refuses; beyond, of each alarm only its first and its last stay."""

_TABLES: Final = f"""
CREATE TABLE alarms (
    id TEXT PRIMARY KEY, rev INTEGER NOT NULL, state TEXT NOT NULL, source TEXT NOT NULL,
    raised_t_ns INTEGER NOT NULL, epoch TEXT NOT NULL, event INTEGER NOT NULL, carried INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX alarms_by_state ON alarms (state, id);
CREATE TABLE changes (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, rev INTEGER NOT NULL, t_ns INTEGER NOT NULL,
    source TEXT NOT NULL, priority TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (id, rev)
);
CREATE INDEX changes_raised ON changes (source, priority) WHERE rev = 1;
CREATE TABLE reader (camera TEXT NOT NULL, boot TEXT NOT NULL, position INTEGER NOT NULL, published INTEGER NOT NULL);
PRAGMA user_version = {VERSION};
"""

_ALARM: Final = """
INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, state = excluded.state, source = excluded.source,
    epoch = excluded.epoch, event = excluded.event, carried = excluded.carried, body = excluded.body
WHERE excluded.rev > alarms.rev
"""

# A commit may fail after its bytes reached the disk, and is then tried again: hence no error where a change is known.
_CHANGE: Final = """
INSERT INTO changes (id, rev, t_ns, source, priority, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id, rev) DO NOTHING
"""

_decoder = msgspec.json.Decoder(Alarm)


class JournalError(ValueError):
    """The journal cannot be used: one line for the operator."""


class Change(NamedTuple):
    """A changed case, and when it changed (Unix nanoseconds)."""

    case: Case
    t_ns: int


class Departure(NamedTuple):
    """A change that is to leave; *row* is its place in the journal, 0 where the disk refused it."""

    row: int
    alarm: Alarm


class Journal:
    """The SQLite file at *path* with the alarms of *camera*. May be used by several threads."""

    def __init__(self, path: Path, camera: str) -> None:
        """Raises JournalError, in one line, where the file is damaged, newer, another camera's or not writable."""
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise JournalError(f"journal: {path} cannot be opened: {error}") from None
        try:
            self._prepare(path, camera)
            self.open_cases()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            self._db.close()
            reason = str(error) or type(error).__name__
            raise JournalError(f"journal: {path} cannot be used: {reason}; move it away or mend the disk") from None
        except JournalError:
            self._db.close()
            raise

    def _prepare(self, path: Path, camera: str) -> None:
        version = self._number("PRAGMA user_version")
        if version > VERSION:
            raise JournalError(
                f"journal: {path} has format {version}, newer than {VERSION}; update framewatch or choose another file"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if version == 0:
            if self._number("SELECT count(*) FROM sqlite_master"):
                raise JournalError(f"journal: {path} is another program's database; choose another file")
            self._db.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
        problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise JournalError(f"journal: {path} is damaged ({problem.splitlines()[0]}); move it away")
        with self._transaction():  # shows at start whether the file can be written
            self._db.execute("INSERT INTO reader SELECT ?, '', 0, 0 WHERE NOT EXISTS (SELECT 1 FROM reader)", (camera,))
        owner = self._db.execute("SELECT camera FROM reader").fetchone()[0]
        if owner != camera:
            raise JournalError(
                f"journal: {path} holds the alarms of camera '{owner}', not '{camera}'; choose another file"
            )

    def commit(self, changes: Iterable[Change], boot: str, position: int, published: int) -> list[int]:
        """Write *changes*, how far the event log was read, and up to which row changes have left: all or nothing.

        Returns the rows of the changes. Raises sqlite3.DatabaseError where the disk refuses.
        """
        rows = []
        with self._lock, self._transaction():
            for (epoch, event, carried, alarm), t_ns in changes:
                body = msgspec.json.encode(alarm).decode()
                self._db.execute(_CHANGE, (alarm.id, alarm.rev, t_ns, alarm.source, alarm.priority, body))
                found = self._db.execute("SELECT row FROM changes WHERE id = ? AND rev = ?", (alarm.id, alarm.rev))
                rows.append(int(found.fetchone()[0]))
                self._db.execute(
                    _ALARM,
                    (
                        *(alarm.id, alarm.rev, alarm.state, alarm.source, alarm.raised_t_ns),
                        *(epoch, event, carried, body),
                    ),
                )
            self._db.execute("UPDATE reader SET boot = ?, position = ?, published = ?", (boot, position, published))
        return rows

    def position(self, boot: str) -> int:
        """Up to where the event log of *boot* was read; 0 where another start wrote last."""
        with self._lock:
            known, position = self._db.execute("SELECT boot, position FROM reader").fetchone()
        return int(position) if known == boot else 0

    def published(self) -> int:
        """The row of the last change that is known to have left."""
        with self._lock:
            return self._number("SELECT published FROM reader")

    def unpublished(self) -> list[Departure]:
        """Changes that may not have left, in the order of their writing."""
        with self._lock:
            found = self._db.execute(
                "SELECT row, body FROM changes WHERE row > (SELECT published FROM reader) ORDER BY row"
            ).fetchall()
        return [Departure(row, _decoder.decode(body)) for row, body in found]

    def open_cases(self) -> list[Case]:
        """The alarms that are not cleared, oldest first."""
        with self._lock:
            found = self._db.execute(
                "SELECT epoch, event, carried, body FROM alarms WHERE state = 'active' ORDER BY id"
            ).fetchall()
        return [Case(epoch, event, carried, _decoder.decode(body)) for epoch, event, carried, body in found]

    def alarms(self, limit: int, state: AlarmState | None = None) -> list[Alarm]:
        """The latest *limit* alarms in their last revision, newest first."""
        where = "" if state is None else "WHERE state = :state"
        with self._lock:
            found = self._db.execute(
                f"SELECT body FROM alarms {where} ORDER BY id DESC LIMIT :limit", {"state": state, "limit": limit}
            ).fetchall()
        return [_decoder.decode(body) for (body,) in found]

    def alarms_since(self, sources: Sequence[str], t_ns: int) -> list[Alarm]:
        """The alarms of *sources* raised since *t_ns* (Unix), in their last revision, oldest first."""
        marks = ", ".join("?" * len(sources))
        with self._lock:
            found = self._db.execute(
                f"SELECT body FROM alarms WHERE source IN ({marks}) AND raised_t_ns >= ? ORDER BY id", (*sources, t_ns)
            ).fetchall()
        return [_decoder.decode(body) for (body,) in found]

    def changes(self, alarm_id: str) -> list[Alarm]:
        """Every revision of one alarm, first to last."""
        with self._lock:
            found = self._db.execute("SELECT body FROM changes WHERE id = ? ORDER BY rev", (alarm_id,)).fetchall()
        return [_decoder.decode(body) for (body,) in found]

    def raised(self) -> dict[tuple[str, str], int]:
        """How many alarms were ever raised, by source and priority at that moment."""
        with self._lock:
            found = self._db.execute(
                "SELECT source, priority, count(*) FROM changes WHERE rev = 1 GROUP BY source, priority"
            ).fetchall()
        return {(source, priority): count for source, priority, count in found}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _number(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # some failures have rolled back already
                self._db.execute("ROLLBACK")
            raise


class Writer(Protocol):
    """Where the outbox writes; a journal."""

    def commit(self, changes: Iterable[Change], boot: str, position: int, published: int) -> list[int]: ...
    def unpublished(self) -> list[Departure]: ...
    def published(self) -> int: ...


class Outbox:
    """What has to leave, in order. A disk that refuses holds nothing up: then changes leave with `journaled` false.

    What has left is marked with the next commit only, so that a process killed right after sending sends again.
    """

    def __init__(self, journal: Writer, boot: str, position: int) -> None:
        """*position*: up to where the event log of *boot* was read when the journal was last written."""
        self._journal = journal
        self._boot = boot
        self._queue = deque(journal.unpublished())
        self._sent_row = journal.published()
        self._committed = (position, self._sent_row)
        self._backlog: list[Change] = []  # refused by the disk; each was queued
        self._refused_ns: int | None = None
        self.why = ""

    def accept(self, changes: Sequence[Change], position: int, mono_ns: int) -> None:
        """Write *changes*, which come of the event log up to *position*, and queue them. Blocks on the disk."""
        rows = self._write(changes, position, mono_ns)
        if rows is None:
            self._queue.extend(
                Departure(0, msgspec.structs.replace(change.case.alarm, journaled=False)) for change in changes
            )
        else:
            self._queue.extend(Departure(row, change.case.alarm) for row, change in zip(rows, changes, strict=True))

    def take(self) -> list[Alarm]:
        """All that is to leave now; the caller sends it in this order."""
        taken = list(self._queue)
        self._queue.clear()
        self._sent_row = max([self._sent_row, *(departure.row for departure in taken)])
        return [departure.alarm for departure in taken]

    def _write(self, changes: Sequence[Change], position: int, mono_ns: int) -> list[int] | None:
        """The rows of *changes* in the journal; None where the disk refuses, or did a moment ago."""
        waiting = self._backlog
        if not changes and not waiting and self._committed == (position, self._sent_row):
            return []
        if self._refused_ns is not None and mono_ns - self._refused_ns < RETRY_NS:
            self._backlog = _shortened([*waiting, *changes])
            return None
        try:
            rows = self._journal.commit([*waiting, *changes], self._boot, position, self._sent_row)
        except sqlite3.DatabaseError as error:
            self._refused_ns = mono_ns
            self.why = f"the journal cannot be written: {error}"
            self._backlog = _shortened([*waiting, *changes])
            return None
        self._committed = (position, self._sent_row)
        self._refused_ns, self.why, self._backlog = None, "", []
        if waiting and not self._queue:  # they have left without a row, and now have one
            self._sent_row = max(self._sent_row, rows[len(waiting) - 1])
        return rows[len(waiting) :]


def _shortened(changes: list[Change]) -> list[Change]:
    if len(changes) <= BACKLOG_MAX:
        return changes
    last: Mapping[str, int] = {change.case.alarm.id: i for i, change in enumerate(changes)}
    return [change for i, change in enumerate(changes) if change.case.alarm.rev == 1 or last[change.case.alarm.id] == i]
