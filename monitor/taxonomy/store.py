"""The file of kinds: one SQLite file beside the journal, that the side process, the grouping and the commands share.

The side process alone adds and drops samples; the grouping alone makes kinds of them; people name kinds. Each does so
in short transactions, and none relies on what it read before its own began. Losing the last second to a power cut costs
a sample.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from monitor import readonly
from monitor.taxonomy import schema
from monitor.taxonomy.records import (
    SAMPLE_COLUMNS,
    Act,
    ChangeRow,
    Counts,
    Kept,
    Key,
    KindRow,
    Naming,
    Run,
    Sample,
)
from monitor.types import Pixels

BUSY_S: Final = 0.2
WAIT_S: Final = 10.0
"""Whoever has time waits so long for the others."""

OPEN_WAIT_S: Final = 5.0
"""Whoever opens the file waits so long at least: a grouping whose daemon was killed is to keep no new one down."""

RUNS_MOST: Final = 1000
ID_MOST: Final = 2**63 - 1  # that the file can hold: SQLite refuses to look for more


class StoreError(ValueError):
    """The file cannot be used: one line that names it."""


class Held(NamedTuple):
    """What a reservoir needs to know of a sample."""

    id: int
    kind: int | None
    nbytes: int


class Writing(NamedTuple):
    """What the side process writes at once."""

    new: Sequence[Kept]
    anew: Sequence[Kept]  # samples that are there, with a more extreme frame
    grown: Sequence[tuple[Key, int]]  # frames over the limit of events that are there
    dropped: Sequence[int]
    counts: Counts
    passed: Sequence[Sample] = ()  # of events that were seen, and are not kept


def beside(journal: Path) -> Path:
    """The file of the daemon whose journal is at *journal*."""
    return journal.with_name(f"{journal.stem}.kinds.db")


def page_of(store: Path) -> Path:
    """Where the page of the last grouping lies, beside the file *store*."""
    return store.with_suffix(".html")


class Store:
    """The file at *path* with the kinds of *camera*, made where it is missing. May be used by several threads.

    Queries and changes raise sqlite3.Error where the disk refuses.
    """

    def __init__(
        self, path: Path, camera: str, *, wait_s: float = BUSY_S, check: bool = False, read_only: bool = False
    ) -> None:
        """Raises StoreError where the file is damaged, newer, another program's or camera's, or not writable.

        *check*: look through all of it for damage.
        """
        self._lock = threading.RLock()
        self._path = path
        try:
            where = _reading(path) if read_only else path.absolute().as_uri()
            wait = max(wait_s, OPEN_WAIT_S)
            self._db = sqlite3.connect(where, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened: {error}") from None
        try:
            self._prepare(camera, check, read_only)
            self._db.execute(f"PRAGMA busy_timeout = {round(1000 * wait_s)}")
        except sqlite3.Error as error:
            self.close()
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise StoreError(f"{path}: another process has been writing it for long; try again") from None
            raise StoreError(f"{path}: cannot be used: {error}; move it away or mend the disk") from None
        except StoreError:
            self.close()
            raise

    def _prepare(self, camera: str, check: bool, read_only: bool) -> None:
        version = self._number("PRAGMA user_version")
        others = self._number("SELECT count(*) FROM sqlite_master")
        if (version or others) and self._number("PRAGMA application_id") != schema.APPLICATION:
            raise StoreError(f"{self._path}: is another program's database; move it away")
        if version > schema.VERSION:
            raise StoreError(f"{self._path}: has format {version}, newer than {schema.VERSION}; update framewatch")
        if read_only and version == 0:
            raise StoreError(f"{self._path}: is empty: no daemon has run yet")
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._make(camera)
        if version == 1:
            self._renew(read_only)
        if check and (problem := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise StoreError(f"{self._path}: is damaged ({problem.splitlines()[0]}); move it away")
        if not read_only:
            with self.transaction():  # shows at start whether the file can be written
                pass
        owners = [owner for (owner,) in self._rows("SELECT camera FROM state")]
        if len(owners) != 1:
            raise StoreError(f"{self._path}: is damaged (it says of {len(owners)} cameras); move it away")
        if owners[0] != camera:
            raise StoreError(f"{self._path}: holds the kinds of camera '{owners[0]}', not '{camera}'; move it away")
        if check:  # whether they can be read
            self.kinds()
            self.runs(RUNS_MOST)

    def _make(self, camera: str) -> None:
        with self.transaction():  # of two that find no file, one makes it
            if self._number("PRAGMA user_version"):
                return
            for statement in schema.TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO state VALUES (?, 1, 0, 0, 1)", (camera,))

    def _renew(self, read_only: bool) -> None:
        """Make a file of version 1 one of today, or see it as one."""
        if read_only:
            self._db.execute(schema.AS_FROM_1)
            return
        with self.transaction():
            if self._number("PRAGMA user_version") == 1:  # of two that find it, one renews it
                for statement in schema.FROM_1.split(";"):
                    self._db.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done inside is done whole or not at all, on what holds when it begins."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some failures have rolled back already
                    self._db.execute("ROLLBACK")
                raise

    def version(self) -> int:
        """Another number whenever somebody else has written."""
        with self._lock:
            return self._number("PRAGMA data_version")

    # Samples

    def counts(self) -> Counts:
        return Counts(*self._rows("SELECT next_id, events, missed FROM state")[0])

    def held(self, *, normal: bool) -> list[Held]:
        """Samples in the order in which they came."""
        found = self._rows("SELECT id, kind, nbytes FROM samples WHERE normal = ? ORDER BY id", [normal])
        return [Held(*row) for row in found]

    def id_of(self, key: Key) -> int | None:
        """The sample of an event; None where there is none."""
        found = self._rows("SELECT id FROM samples WHERE epoch = ? AND event = ?", key)
        return int(found[0][0]) if found else None

    def write(self, writing: Writing) -> None:
        """Write it all, or nothing."""
        with self.transaction():
            rows = [(*one.sample, one.pixels.tobytes()) for one in writing.new]
            self._db.executemany(schema.INSERT_SAMPLE, rows)
            seen = [*(one.sample for one in writing.new), *writing.passed]
            self._db.executemany(_SEEN, [(one.t_ns, one.kind) for one in seen if one.kind is not None])
            self._db.executemany(_PASSED, [(one.kind,) for one in writing.passed if one.kind is not None])
            self._db.executemany(_ANEW, [_anew(one) for one in writing.anew])
            self._db.executemany(_GROWN, [(frames, *key) for key, frames in writing.grown])
            dropped = [(number,) for number in writing.dropped]
            self._db.executemany(_GONE, dropped)
            self._db.executemany("DELETE FROM samples WHERE id = ?", dropped)
            self._db.execute("UPDATE state SET next_id = ?, events = ?, missed = ?", writing.counts)

    def samples(self, where: str = "1", values: Sequence[object] = ()) -> list[Sample]:
        """Those that meet a condition in SQL, in the order in which they came."""
        return self._samples(f"{where} ORDER BY id", values)

    def first(self, where: str, values: Sequence[object], most: int) -> list[Sample]:
        """The first *most* by a condition and an order in SQL."""
        return self._samples(f"{where} LIMIT ?", [*values, most])

    def few(self, most: int) -> tuple[list[Sample], int]:
        """Events that a grouping has seen and found to be of no kind, the farthest from any first; and how many."""
        seen = "normal = 0 AND kind IS NULL AND id <= (SELECT coalesce(max(upto), 0) FROM runs)"
        count = self._number(f"SELECT count(*) FROM samples WHERE {seen}")
        return self.first(f"{seen} ORDER BY distance IS NOT NULL, distance DESC, id DESC", [], most), count

    def _samples(self, where: str, values: Sequence[object]) -> list[Sample]:
        found = self._rows(f"SELECT {SAMPLE_COLUMNS} FROM samples WHERE {where}", values)
        return [Sample(*row)._replace(normal=bool(row[4])) for row in found]

    def pixels(self, number: int) -> Pixels | None:
        """Of one sample (h, w); None where it is gone."""
        found = self._rows("SELECT pixels, dtype, height, width FROM samples WHERE id = ?", [number])
        if not found:
            return None
        data, dtype, height, width = found[0]
        with _sound(f"sample {number}"):
            return np.frombuffer(data, dtype).reshape(height, width)

    def of_alarm(self, alarm: str, stream: str, seq: int) -> Kept | None:
        """Frame *seq* of *stream*, or the most extreme one of an *alarm*; None where neither was kept."""
        is_it = "normal = 0 AND stream = ? AND seq = ?"
        where = f"{is_it} OR alarm = ? ORDER BY {is_it} DESC, ratio DESC"
        for sample in self.first(where, [stream, seq, alarm, stream, seq], 1):
            pixels = self.pixels(sample.id)
            return None if pixels is None else Kept(sample, pixels)
        return None

    # Kinds

    def kinds(self) -> list[KindRow]:
        """All that there ever were, by id."""
        return [_kind(row) for row in self._rows("SELECT * FROM kinds ORDER BY id")]

    def kind(self, number: int) -> KindRow | None:
        if number > ID_MOST:
            return None
        found = self._rows("SELECT * FROM kinds WHERE id = ?", [number])
        return _kind(found[0]) if found else None

    def next_kind(self) -> int:
        return self._number("SELECT next_kind FROM state")

    def events_held(self) -> dict[int | None, int]:
        """How many samples of events each kind has."""
        return dict(self._rows("SELECT kind, count(*) FROM samples WHERE normal = 0 GROUP BY kind"))

    def put_kinds(self, kinds: Iterable[KindRow], next_kind: int) -> None:
        """Within a transaction of the caller: these *kinds* in the place of those of their ids."""
        insert = f"INSERT OR REPLACE INTO kinds VALUES ({', '.join('?' * len(KindRow._fields))})"
        self._db.executemany(insert, [_as_row(kind) for kind in kinds])
        self._db.execute("UPDATE state SET next_kind = ?", (next_kind,))

    def assign(self, found: Iterable[tuple[int | None, int | None, float | None, int]]) -> None:
        """Within a transaction of the caller: kind, nearest kind and distance of samples by id."""
        self._db.executemany("UPDATE samples SET kind = ?, nearest = ?, distance = ? WHERE id = ?", found)

    def mark_told(self, kinds: Iterable[int]) -> None:
        with self.transaction():
            self._db.executemany("UPDATE kinds SET told = 1 WHERE id = ?", [(number,) for number in kinds])

    # Runs

    def put_run(self, run: Run, changes: Iterable[ChangeRow]) -> None:
        """Within a transaction of the caller."""
        lies = {name: msgspec.json.encode(getattr(run, name)).decode() for name in ("settings", "candidates")}
        row = run._asdict() | lies
        self._db.execute(
            f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )
        told = [(one.run, one.what, one.id, msgspec.json.encode(one.others).decode()) for one in changes]
        self._db.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", told)
        for table, column in (("runs", "number"), ("changes", "run")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} <= ?", (run.number - RUNS_MOST,))

    def runs(self, most: int = 1) -> list[Run]:
        """The latest *most*, the last first."""
        columns = ", ".join(Run._fields)
        return [_run(row) for row in self._rows(f"SELECT {columns} FROM runs ORDER BY number DESC LIMIT ?", [most])]

    def changes(self, kind: int) -> list[ChangeRow]:
        """What became of a kind, first to last, without the runs that it merely survived."""
        query = "SELECT run, what, id, others FROM changes WHERE id = ? AND what != 'survived' ORDER BY rowid"
        return [
            ChangeRow(run, what, number, tuple(msgspec.json.decode(others)))
            for run, what, number, others in self._rows(query, [kind])
        ]

    # People

    def act(self, number: int, asked: Naming, t_ns: int) -> KindRow | None:
        """Say of a kind what is *asked*; None where there is no such kind."""
        with self.transaction():
            kind = self.kind(number)
            if kind is None:
                return None
            priority = {"none": None, None: kind.priority}.get(asked.priority, asked.priority)
            notes = (*kind.notes, asked.note) if asked.note else kind.notes
            after = kind._replace(name=asked.name or kind.name, notes=notes, priority=priority)
            self.put_kinds([after], self.next_kind())
            said = "" if asked.priority == "none" else asked.priority
            act = Act(t_ns, number, asked.by, asked.name, asked.note or None, said)
            self._db.execute("INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?)", act)
        return after

    def acts(self, kind: int) -> list[Act]:
        return [Act(*row) for row in self._rows("SELECT * FROM acts WHERE kind = ? ORDER BY rowid", [kind])]

    def close(self) -> None:
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def _number(self, query: str) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


_SEEN: Final = "UPDATE kinds SET last_t_ns = max(last_t_ns, ?) WHERE id = ?"
_PASSED: Final = "UPDATE kinds SET gone = gone + 1 WHERE id = ?"
_GROWN: Final = "UPDATE samples SET frames_over = max(frames_over, ?) WHERE epoch = ? AND event = ?"
_GONE: Final = "UPDATE kinds SET gone = gone + 1 WHERE id = (SELECT kind FROM samples WHERE id = ? AND normal = 0)"
_ANEW: Final = """
UPDATE samples SET alarm = coalesce(?, alarm), kind = coalesce(?, kind), seq = ?, job = ?, layer = ?, context = ?,
    x = ?, y = ?, source = ?, ratio = ?, frames_over = max(frames_over, ?), pixels = ? WHERE epoch = ? AND event = ?
"""


@contextmanager
def _sound(what: str) -> Iterator[None]:
    """SQLite sees damage to its pages, and none to what they hold."""
    try:
        yield
    except (ValueError, TypeError) as error:  # msgspec's are ValueErrors
        raise sqlite3.DatabaseError(f"{what} is damaged ({error})") from None


def _anew(one: Kept) -> tuple[object, ...]:
    new = one.sample
    return (
        new.alarm, new.kind, new.seq, new.job, new.layer, new.context, new.x, new.y, new.source, new.ratio,
        new.frames_over, one.pixels.tobytes(), new.epoch, new.event,
    )  # fmt: skip


def _kind(row: Sequence[Any]) -> KindRow:
    kind = KindRow(*row)
    with _sound(f"kind {kind.id}"):
        return kind._replace(
            notes=msgspec.json.decode(row[3], type=tuple[str, ...]),
            centre=np.frombuffer(row[8], np.float64),
            members=frozenset(np.frombuffer(row[10], np.int64).tolist()),
            told=bool(row[15]),
        )


def _as_row(kind: KindRow) -> tuple[object, ...]:
    """As it lies in the file."""
    lies = {
        "notes": msgspec.json.encode(kind.notes).decode(),
        "centre": kind.centre.astype(np.float64).tobytes(),
        "members": np.array(sorted(kind.members), np.int64).tobytes(),
    }
    return tuple((kind._asdict() | lies).values())


def _run(row: Sequence[Any]) -> Run:
    run, lies = Run(*row), dict(zip(Run._fields, row, strict=True))
    with _sound(f"run {run.number}"):
        return run._replace(
            discrete=bool(run.discrete),
            settings=msgspec.json.decode(lies["settings"]),
            candidates=msgspec.json.decode(lies["candidates"]),
        )


def _reading(path: Path) -> str:
    """The address by which *path* is only read, and nothing is made beside it."""
    if not path.is_file():
        raise StoreError(f"{path}: is not there; a daemon with a bundle makes it")
    return readonly.uri(path, readonly.how_to_open(path))
