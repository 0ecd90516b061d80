"""How the journal lies on disk: its tables, and how an older file becomes one of today."""

import sqlite3
from typing import Final

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.alarms.life import Entry

VERSION: Final = 2
"""Of the tables; kept in the file's `user_version`."""

_ALARMS: Final = """
CREATE TABLE alarms (
    id TEXT PRIMARY KEY, rev INTEGER NOT NULL, state TEXT NOT NULL, acked INTEGER NOT NULL,
    source TEXT NOT NULL, priority TEXT NOT NULL, raised_t_ns INTEGER NOT NULL, acked_t_ns INTEGER,
    cleared_t_ns INTEGER, body TEXT NOT NULL, entry TEXT NOT NULL
);
CREATE INDEX alarms_by_state ON alarms (state, acked);
CREATE INDEX alarms_by_time ON alarms (raised_t_ns);
"""
# Rows of `alarms` count up in the order in which alarms were raised, whatever a clock said then: lists follow them.

_UNSEEN: Final = """
CREATE INDEX IF NOT EXISTS alarms_unseen ON alarms (id) WHERE state = 'cleared' AND acked = 0
"""
# Snapshots page through these by id: sorting what nobody ever acknowledged would take seconds.

_ENDED: Final = """
CREATE INDEX IF NOT EXISTS alarms_ended ON alarms (cleared_t_ns, raised_t_ns) WHERE state = 'cleared' AND rev > 0
"""
# The page asks again and again which alarms touch the last minutes: nearly all had ended before.

_CHANGES: Final = """
CREATE TABLE changes (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, rev INTEGER NOT NULL, t_ns INTEGER NOT NULL,
    source TEXT NOT NULL, priority TEXT NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
    body TEXT NOT NULL, UNIQUE (id, rev)
);
"""

_REST: Final = """
CREATE TABLE totals (
    source TEXT NOT NULL, priority TEXT NOT NULL, raised INTEGER NOT NULL, PRIMARY KEY (source, priority)
);
CREATE TABLE modes (
    source TEXT NOT NULL, name TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, since_t_ns INTEGER NOT NULL,
    until_ns INTEGER, until_t_ns INTEGER, PRIMARY KEY (source, name)
);
CREATE TABLE acts (
    row INTEGER PRIMARY KEY AUTOINCREMENT, t_ns INTEGER NOT NULL, what TEXT NOT NULL, source TEXT NOT NULL,
    by TEXT NOT NULL, reason TEXT NOT NULL, until_t_ns INTEGER
);
CREATE TABLE cursors (sink TEXT PRIMARY KEY, row INTEGER NOT NULL);
"""

_READER: Final = """
CREATE TABLE reader (
    camera TEXT NOT NULL, boot TEXT NOT NULL, position INTEGER NOT NULL, published INTEGER NOT NULL,
    machine TEXT NOT NULL DEFAULT ''
);
"""

BELIEVED: Final = """
CREATE TABLE IF NOT EXISTS believed (
    one INTEGER PRIMARY KEY CHECK (one = 1), t_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL, machine TEXT NOT NULL
)
"""
# No new format: who does not know of it loses nothing by it.

_STAMP: Final = f"PRAGMA user_version = {VERSION};"

_FROM_1: Final = f"""
ALTER TABLE alarms RENAME TO old_alarms;
ALTER TABLE changes RENAME TO old_changes;
DROP INDEX alarms_by_state;
DROP INDEX changes_raised;
{_ALARMS}{_CHANGES}{_REST}
ALTER TABLE reader ADD COLUMN machine TEXT NOT NULL DEFAULT '';
INSERT INTO changes SELECT row, id, rev, t_ns, source, priority,
    CASE WHEN rev = 1 THEN 'raised' WHEN json_extract(body, '$.state') = 'cleared' THEN 'cleared' ELSE 'changed' END,
    '', '', body FROM old_changes;
INSERT INTO totals SELECT source, priority, count(*) FROM changes WHERE rev = 1 GROUP BY source, priority;
"""

_VIEWS_OF_1: Final = """
CREATE TEMP VIEW alarms AS SELECT rowid AS rowid, id, rev, state, 0 AS acked, source,
    json_extract(body, '$.priority') AS priority, raised_t_ns, NULL AS acked_t_ns,
    (SELECT t_ns FROM main.changes WHERE changes.id = old.id AND json_extract(changes.body, '$.state') = 'cleared'
        ORDER BY changes.rev LIMIT 1) AS cleared_t_ns, body FROM main.alarms AS old;
CREATE TEMP VIEW changes AS SELECT row, id, rev, t_ns, source, priority,
    CASE WHEN rev = 1 THEN 'raised' WHEN json_extract(body, '$.state') = 'cleared' THEN 'cleared' ELSE 'changed' END
        AS what, '' AS by, '' AS reason, body FROM main.changes;
CREATE TEMP TABLE modes (source, name, by, reason, since_t_ns, until_ns, until_t_ns);
CREATE TEMP VIEW reader AS SELECT camera, boot, position, published, '' AS machine FROM main.reader;
"""


def as_today(version: int) -> list[str]:
    """Statements that let a connection see a file of an older *version* as one of today, and write nothing into it."""
    assert 1 <= version <= VERSION
    return [one for one in _VIEWS_OF_1.split(";") if one.strip()] if version == 1 else []


def create(db: sqlite3.Connection) -> None:
    """The tables of an empty file."""
    db.executescript(f"BEGIN IMMEDIATE;{_ALARMS}{_CHANGES}{_REST}{_READER}{_STAMP}COMMIT;")


def complete(db: sqlite3.Connection) -> None:
    """What may be missing in a file of this version that an older program made, and what that program gets on with."""
    db.execute(_UNSEEN)
    db.execute(_ENDED)


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Make a file of an older *version* one of today: whole, or not at all."""
    assert version == 1
    try:
        _run(db, f"BEGIN IMMEDIATE;{_FROM_1}")
        rows = db.execute(
            "SELECT old.id, epoch, event, carried, body, "
            "(SELECT t_ns FROM changes WHERE id = old.id AND what = 'cleared') FROM old_alarms old ORDER BY old.rowid"
        ).fetchall()
        for alarm_id, epoch, event, carried, body, cleared_t_ns in rows:
            alarm = msgspec.json.decode(body, type=Alarm)
            entry = Entry(epoch, event, carried, alarm, alarm, None, alarm.state == "cleared")
            db.execute(
                "INSERT INTO alarms VALUES (?, ?, ?, 0, ?, ?, ?, NULL, ?, ?, ?)",
                (
                    *(alarm_id, alarm.rev, alarm.state, alarm.source, alarm.priority, alarm.raised_t_ns),
                    *(cleared_t_ns, body, msgspec.json.encode(entry).decode()),
                ),
            )
        _run(db, f"DROP TABLE old_alarms; DROP TABLE old_changes; {_STAMP} COMMIT;")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _run(db: sqlite3.Connection, script: str) -> None:
    """Statement by statement: `executescript` would commit what came before."""
    for statement in filter(str.strip, script.split(";")):
        db.execute(statement)
