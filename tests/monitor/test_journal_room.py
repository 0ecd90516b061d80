"""What is told of the journal's room: of a real file with a real write-ahead log."""

import shutil
from contextlib import closing
from pathlib import Path

from monitor.journal.room import JournalStatus, look
from monitor.journal.store import Journal


def test_the_write_ahead_log_counts_and_the_room_is_that_of_its_file_system(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal(path, "melt")):
        found = look(path, True, 3)
        assert found.size == sum((tmp_path / name).stat().st_size for name in ("journal.db", "journal.db-wal"))
    assert (found.refused, found.unwritten) == (True, 3)
    assert found.disk == shutil.disk_usage(tmp_path).total
    assert found.free is not None
    assert 0 < found.free <= found.disk


def test_a_journal_that_is_gone_tells_what_the_daemon_knows_and_no_bytes(tmp_path: Path) -> None:
    assert look(tmp_path / "nothing.db", False, 0) == JournalStatus(False, 0, None, None, None)
