"""A journal of format 1, as the first versions of the daemon wrote it."""

import sqlite3
from pathlib import Path

import msgspec
from alarm_example import revisions_of
from daemon_example import record

from monitor.alarms.alarm import Alarm

VERSION_1 = """
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
INSERT INTO reader VALUES ('melt', 'boot-1', 7, 3);
PRAGMA user_version = 1;
"""


def make(path: Path) -> list[Alarm]:
    """One alarm that is over and one that is open: their three revisions."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(VERSION_1)
    told = revisions_of(record("began"), record("ended", last_seq=20), record("began", event=2, source="frozen"))
    for number, one in enumerate(told):
        alarm, body = one.alarm, msgspec.json.encode(one.alarm).decode()
        row = (alarm.id, alarm.rev, 100 + number, alarm.source, alarm.priority, body)
        db.execute("INSERT INTO changes (id, rev, t_ns, source, priority, body) VALUES (?, ?, ?, ?, ?, ?)", row)
        db.execute(
            "INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (alarm.id, alarm.rev, alarm.state, alarm.source, alarm.raised_t_ns, one.entry.epoch, one.entry.event, body),
        )
    db.commit()
    db.close()
    return [one.alarm for one in told]
