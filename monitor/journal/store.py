"""The journal: every change of an alarm on disk before it leaves, and how far the event log has been read.

Both are written in one transaction, so that whichever process is killed, each event record is applied exactly once.
SQLite, in WAL mode with full synchronisation: what was committed survives a loss of power.
"""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from monitor.alarms import life
from monitor.alarms.alarm import Alarm
from monitor.alarms.life import Revision
from monitor.alarms.modes import Modes
from monitor.journal import schema
from monitor.journal.age import Believed, machine_boot
from monitor.journal.reading import Records
from monitor.journal.standing import AS_FAR_AS
from monitor.sinks.feed import Entry

BUSY_S: Final = 0.2
"""So long a writer waits for another process that holds the file."""

_ALARM: Final = """
INSERT INTO alarms VALUES
    (:id, :rev, :state, :acked, :source, :priority, :raised, :acked_t_ns, :cleared_t_ns, :body, :entry)
ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, state = excluded.state, acked = excluded.acked,
    source = excluded.source, priority = excluded.priority, raised_t_ns = excluded.raised_t_ns,
    acked_t_ns = coalesce(alarms.acked_t_ns, excluded.acked_t_ns),
    cleared_t_ns = coalesce(alarms.cleared_t_ns, excluded.cleared_t_ns), body = excluded.body, entry = excluded.entry
WHERE excluded.rev >= alarms.rev
"""

# What waited for its on-delay gets a new place when it is told: places count up in the order of raising.
_NOT_YET_TOLD: Final = "DELETE FROM alarms WHERE id = ? AND rev = 0"

# A commit may fail after its bytes reached the disk, and is then tried again: hence no error where a change is known.
_CHANGE: Final = """
INSERT INTO changes (id, rev, t_ns, source, priority, what, by, reason, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, rev) DO NOTHING
"""

_TOTAL: Final = """
INSERT INTO totals VALUES (?, ?, 1) ON CONFLICT (source, priority) DO UPDATE SET raised = raised + 1
"""

_ACT: Final = "INSERT INTO acts (t_ns, what, source, by, reason, until_t_ns) VALUES (?, ?, ?, ?, ?, ?)"

_READER: Final = "INSERT INTO reader SELECT ?, '', 0, 0, '' WHERE NOT EXISTS (SELECT 1 FROM reader)"

_entry_decoder = msgspec.json.Decoder(life.Entry)


class JournalError(ValueError):
    """The journal cannot be used: one line for the operator."""


class Change(NamedTuple):
    """A revision, and when it was made (Unix nanoseconds)."""

    revision: Revision
    t_ns: int


class Act(NamedTuple):
    """What someone did to a source."""

    t_ns: int  # Unix
    what: str
    source: str
    by: str
    reason: str
    until_t_ns: int | None = None


class Written(NamedTuple):
    """What is committed together: changes, acts with the modes that hold after them, and how far others have read."""

    changes: Sequence[Change]
    boot: str
    position: int  # in the event log of *boot*
    published: int  # the row of the last change that has left
    acts: Sequence[Act] = ()
    modes: Modes | None = None  # None: as they were


class Gone(NamedTuple):
    """An alarm that was removed."""

    source: str
    priority: str
    acked: bool


class Departure(NamedTuple):
    """A change that is to leave; *row* is its place in the journal, 0 where the disk refused it."""

    row: int
    alarm: Alarm


class Journal(Records):
    """The SQLite file at *path* with the alarms of *camera*. May be used by several threads.

    A daemon *holds* its journal: as long as it lives no other process writes to it.
    """

    def __init__(self, path: Path, camera: str, *, hold: bool = False) -> None:
        """Raises JournalError, in one line, where the file is damaged, newer, another camera's, held, read-only."""
        self._held: int | None = _hold(path) if hold else None
        try:
            super().__init__(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False))
        except sqlite3.Error as error:
            self._release()
            raise JournalError(f"journal: {path} cannot be opened: {error}") from None
        try:
            self._prepare(path, camera)
            self.open_entries()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise JournalError(f"journal: {path} cannot be used: {reason}; move it away or mend the disk") from None
        except JournalError:
            self.close()
            raise

    def _prepare(self, path: Path, camera: str) -> None:
        version = self._number("PRAGMA user_version")
        if version > schema.VERSION:
            raise JournalError(
                f"journal: {path} has format {version}, newer than {schema.VERSION}; "
                "update framewatch or choose another file"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if version == 0:
            if self._number("SELECT count(*) FROM sqlite_master"):
                raise JournalError(f"journal: {path} is another program's database; choose another file")
            schema.create(self._db)
        problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise JournalError(f"journal: {path} is damaged ({problem.splitlines()[0]}); move it away")
        if 0 < version < schema.VERSION:
            schema.migrate(self._db, version)
        schema.complete(self._db)
        with self._transaction():  # shows at start whether the file can be written
            self._db.execute(_READER, (camera,))
            self._db.execute(schema.BELIEVED)
        owner = self._db.execute("SELECT camera FROM reader").fetchone()[0]
        if owner != camera:
            raise JournalError(
                f"journal: {path} holds the alarms of camera '{owner}', not '{camera}'; choose another file"
            )

    def commit(self, written: Written) -> list[int]:
        """Write it all, or nothing. Returns the rows of the changes, 0 of those that are told to nobody.

        Raises sqlite3.DatabaseError where the disk refuses.
        """
        with self._lock, self._transaction():
            rows = [self._write(change) for change in written.changes]
            self._db.executemany(_ACT, written.acts)
            if written.modes is not None:
                self._db.execute("DELETE FROM modes")
                modes = [(source, *mode) for (source, _), mode in written.modes.items()]
                self._db.executemany("INSERT INTO modes VALUES (?, ?, ?, ?, ?, ?, ?)", modes)
                self._db.execute("UPDATE reader SET machine = ?", (machine_boot(),))  # whose clock their ends are of
            read = written.boot, written.position, written.published
            self._db.execute("UPDATE reader SET boot = ?, position = ?, published = ?", read)
        return rows

    def _write(self, change: Change) -> int:
        (entry, what, by, reason, _), t_ns = change
        alarm = change.revision.alarm
        if what in ("given_up", "raised"):
            self._db.execute(_NOT_YET_TOLD, (alarm.id,))
        if what == "given_up":
            return 0
        body, rev = msgspec.json.encode(alarm).decode(), 0 if entry.told is None else alarm.rev
        self._db.execute(
            _ALARM,
            {
                "id": alarm.id, "rev": rev, "state": alarm.state, "acked": alarm.acked,
                "source": alarm.source, "priority": alarm.priority, "raised": alarm.raised_t_ns,
                "acked_t_ns": t_ns if alarm.acked else None, "cleared_t_ns": t_ns if alarm.state == "cleared" else None,
                "body": body, "entry": msgspec.json.encode(entry).decode(),
            },
        )  # fmt: skip
        if what == "kept":
            return 0
        told = self._db.execute(
            _CHANGE, (alarm.id, alarm.rev, t_ns, alarm.source, alarm.priority, what, by, reason, body)
        )
        if told.rowcount and alarm.rev == 1:
            self._db.execute(_TOTAL, (alarm.source, alarm.priority))
        return self._number("SELECT row FROM changes WHERE id = ? AND rev = ?", (alarm.id, alarm.rev))

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
        return [
            Departure(one.row, one.alarm) for one in self._told("row > (SELECT published FROM reader) ORDER BY row")
        ]

    def open_entries(self) -> list[life.Entry]:
        """The alarms that are not cleared, and those whose on-delay runs, oldest first."""
        with self._lock:
            found = self._db.execute("SELECT entry FROM alarms WHERE state = 'active' ORDER BY rowid").fetchall()
        return [_entry_decoder.decode(entry) for (entry,) in found]

    def entry(self, alarm_id: str) -> life.Entry | None:
        """One alarm, cleared or not; None where there is none of that id."""
        with self._lock:
            found = self._db.execute("SELECT entry FROM alarms WHERE id = ? AND rev > 0", (alarm_id,)).fetchone()
        return None if found is None else _entry_decoder.decode(found[0])

    def newest_id(self) -> str:
        """The id that sorts last of all alarms; empty where there is none."""
        with self._lock:
            return str(self._db.execute("SELECT coalesce(max(id), '') FROM alarms").fetchone()[0])

    def read(self) -> tuple[str, int, int]:
        """Which event log was read last, up to where, and the row up to which changes have left."""
        with self._lock:
            boot, position, published = self._db.execute("SELECT boot, position, published FROM reader").fetchone()
        return boot, position, published

    def raised(self) -> dict[tuple[str, str], int]:
        """How many alarms were ever raised, by source and priority at that moment."""
        with self._lock:
            found = self._db.execute("SELECT source, priority, raised FROM totals").fetchall()
        return {(source, priority): count for source, priority, count in found}

    def after(self, row: int, most: int) -> list[Entry]:
        """At most so many revisions of any alarm behind *row*, in the order of their writing: as sinks read them."""
        return [Entry(one.row, one.t_ns, one.alarm) for one in self.changes_after(row, most)]

    def cursor(self, sink: str) -> int:
        """The row up to which *sink* has delivered; one that was never heard of begins with what comes next."""
        with self._lock, self._transaction():
            self._db.execute("INSERT OR IGNORE INTO cursors SELECT ?, coalesce(max(row), 0) FROM changes", (sink,))
            return self._number("SELECT row FROM cursors WHERE sink = ?", (sink,))

    def standing(self, sink: str, most: int) -> list[Alarm]:
        """The alarms that are open as far as *sink* has come, the latest *most*, oldest change first."""
        return [one.alarm for one in reversed(self._told(AS_FAR_AS, sink, most))]

    def mark(self, sink: str, row: int) -> None:
        """*sink* has delivered everything up to *row*."""
        with self._lock, self._transaction():
            self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (sink, row))

    def newest(self) -> int:
        """The row of the latest change; 0 where there is none."""
        with self._lock:
            return self._number("SELECT coalesce(max(row), 0) FROM changes")

    def used_bytes(self) -> int:
        """What the journal holds, less what was freed and will be written again."""
        with self._lock:
            pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
            return pages * self._number("PRAGMA page_size")

    def forget(
        self,
        before_t_ns: int,
        now_t_ns: int,
        most: int,
        sinks: Sequence[str] = (),
        awaited: Collection[tuple[str, str]] = (),
    ) -> list[Gone]:
        """Remove at most so many alarms that were cleared before a moment (Unix), oldest first, and return them.

        None of which a change has not left yet, on the alarm socket or by one of *sinks*. And none that was raised
        after one that was raised between that moment and *now_t_ns*: whatever a clock said of it, it is no older. And
        none whose source and priority are *awaited*, as long as nobody has acknowledged it.
        """
        marks, kinds = ", ".join("?" * len(sinks)), ", ".join(["(?, ?)"] * len(awaited))
        unawaited = f"(acked = 1 OR (source, priority) NOT IN (VALUES {kinds}))" if awaited else "TRUE"
        query = (
            "SELECT id, source, priority, acked FROM alarms WHERE state = 'cleared' AND cleared_t_ns < ? AND rowid < "
            "coalesce((SELECT rowid FROM alarms NOT INDEXED WHERE raised_t_ns BETWEEN ? AND ? ORDER BY rowid LIMIT 1), "
            f"rowid + 1) AND {unawaited} AND NOT EXISTS (SELECT 1 FROM changes WHERE changes.id = alarms.id AND row > "
            "(SELECT min(row) FROM (SELECT published AS row FROM reader "
            f"UNION ALL SELECT row FROM cursors WHERE sink IN ({marks})))) ORDER BY rowid LIMIT ?"
        )
        values = [before_t_ns, before_t_ns, now_t_ns, *(text for kind in awaited for text in kind), *sinks, most]
        with self._lock, self._transaction():
            found = self._db.execute(query, values).fetchall()
            ids = [(alarm_id,) for alarm_id, *_ in found]
            self._db.executemany("DELETE FROM changes WHERE id = ?", ids)
            self._db.executemany("DELETE FROM alarms WHERE id = ?", ids)
        return [Gone(source, priority, bool(acked)) for _, source, priority, acked in found]

    def forget_acts(self, before_t_ns: int, now_t_ns: int, most: int) -> int:
        """Remove at most so many acts of before a moment (Unix), oldest first; none that followed a younger one.

        Returns how many went.
        """
        query = (
            "DELETE FROM acts WHERE row IN (SELECT row FROM acts WHERE t_ns < ? AND row < coalesce("
            "(SELECT min(row) FROM acts WHERE t_ns BETWEEN ? AND ?), row + 1) ORDER BY row LIMIT ?)"
        )
        with self._lock, self._transaction():
            return self._db.execute(query, (before_t_ns, before_t_ns, now_t_ns, most)).rowcount

    def believed(self) -> Believed | None:
        """What `believe` was told last."""
        with self._lock:
            found = self._db.execute("SELECT t_ns, mono_ns, machine FROM believed").fetchone()
        return found and Believed(*found)

    def believe(self, believed: Believed) -> None:
        """Write down the time of day by which the age of alarms is counted."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO believed VALUES (1, ?, ?, ?)", believed)

    def close(self) -> None:
        """Close the file, and let others write to it."""
        with self._lock, suppress(sqlite3.Error):
            self._db.close()
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _number(self, query: str, values: Sequence[object] = ()) -> int:
        return int(self._db.execute(query, values).fetchone()[0])

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


def _hold(path: Path) -> int:
    """An open file beside the journal that is locked as long as it stays open. Raises JournalError."""
    lock = path.with_name(path.name + ".lock")
    try:
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalError(f"journal: {path} cannot be opened: {error.strerror} ({lock})") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise JournalError(f"journal: {path} is held by a daemon that runs; choose another file") from None
    return held
