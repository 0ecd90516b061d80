"""A journal of an older format goes on as one of today, with all that it held."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from alarm_example import revisions_of
from daemon_example import record

from monitor.alarms.alarm import Alarm
from monitor.journal import schema
from monitor.journal.store import Journal, JournalError

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


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, list[Alarm]]:
    """A journal of format 1 with one alarm that is over and one that is open, and its revisions."""
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path)
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
    return path, [one.alarm for one in told]


def test_alarms_changes_counts_and_positions_are_kept(old: tuple[Path, list[Alarm]]) -> None:
    path, told = old
    journal = Journal(path, "melt")
    assert [one.alarm for one in journal.changes_after(0, 10)] == told
    assert [one.what for one in journal.changes_after(0, 10)] == ["raised", "cleared", "raised"]
    assert [(alarm.source, alarm.state) for alarm in journal.alarms(10)] == [("frozen", "active"), ("t2", "cleared")]
    assert journal.raised() == {("t2", "medium"): 1, ("frozen", "high"): 1}
    assert journal.position("boot-1") == 7
    assert [departure.alarm for departure in journal.unpublished()] == []
    [entry] = journal.open_entries()
    assert (entry.epoch, entry.event, entry.told, entry.ended) == ("hot-1", 2, told[2], False)
    [over] = [one for one in journal.lived(0, 2**62) if one.source == "t2"]
    assert over.cleared_t_ns == 101
    journal.close()
    Journal(path, "melt").close()


def test_a_migration_that_fails_leaves_the_old_file(
    old: tuple[Path, list[Alarm]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = old
    monkeypatch.setattr(schema, "_STAMP", "INSERT INTO nowhere VALUES (1);")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(path, "melt")
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM alarms").fetchone() == (2,)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'old_alarms'").fetchone() == (0,)
    db.close()
