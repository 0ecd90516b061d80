"""A journal of an older format goes on as one of today, with all that it held."""

import sqlite3
from pathlib import Path

import old_journal
import pytest

from monitor.alarms.alarm import Alarm
from monitor.journal import schema
from monitor.journal.store import Journal, JournalError


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, list[Alarm]]:
    """A journal of format 1 with one alarm that is over and one that is open, and its revisions."""
    path = tmp_path / "journal.db"
    return path, old_journal.make(path)


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
