"""Who only reads a journal changes nothing, whoever writes it or wrote it last."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import old_journal
import pytest
from alarm_example import changes_of, written
from daemon_example import record, some_config, some_orders
from side_example import Side, wait_for

from monitor.journal.reader import Reader
from monitor.journal.reading import Wanted
from monitor.journal.store import Journal, JournalError

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder of its own, so that all that is in it is the journal's."""
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "journal.db"


@pytest.fixture
def stopped(path: Path) -> Path:
    """The journal of a daemon that has stopped, with one alarm that is over and one that is open."""
    journal = Journal(path, "melt")
    journal.commit(written(changes_of(record("ended"), record("began", event=2, source="frozen")), 7))
    journal.close()
    return path


def lying(path: Path) -> dict[str, tuple[bytes, int]]:
    """All files in the folder of the journal, to the last byte and nanosecond.

    Not while this process has it open: closing any of its files lets go of SQLite's locks.
    """
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in path.parent.iterdir()}


def read_all(path: Path) -> list[str]:
    """The sources of all alarms, newest first, after everything else was asked as well."""
    reader = Reader(path, "melt")
    with reader.snapshot():
        found = reader.alarms(10)
        assert reader.count(Wanted()) == len(found)
        assert len(reader.lived(0, 2**62)) == len(found)
        assert reader.alarms(10, "unacknowledged") == found
        assert [alarm.state for alarm in reader.alarms(10, "cleared")] == ["cleared"]
        assert reader.modes()[0] == {}
        told = reader.changes_after(0, 100)
        assert [one for one in told if one.alarm.id == found[0].id] == reader.changes(found[0].id)
        assert [one.what for one in told] == ["raised", "cleared", "raised"]
        assert reader.unacknowledged() == {("t2", "medium"): 1, ("frozen", "high"): 1}
    reader.close()
    return [alarm.source for alarm in found]


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As a user to whom nothing belongs, where this one may become another."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


class TestNothingIsChanged:
    def test_of_a_daemon_that_has_stopped(self, stopped: Path) -> None:
        before = lying(stopped)
        assert read_all(stopped) == ["frozen", "t2"]
        assert lying(stopped) == before
        assert list(before) == ["journal.db"], "neither a lock nor files beside it"

    def test_of_an_older_format_which_is_read_as_it_lies(self, path: Path) -> None:
        old_journal.make(path)
        before = lying(path)
        assert read_all(path) == ["frozen", "t2"]
        [over] = [one for one in Reader(path, "melt").lived(0, 2**62) if one.source == "t2"]
        assert (over.priority, over.acked_t_ns, over.cleared_t_ns) == ("medium", None, 101)
        assert lying(path) == before

    def test_of_a_daemon_that_was_killed(self, tmp_path: Path) -> None:
        config = some_config(tmp_path / "kept")
        (tmp_path / "kept").mkdir()
        with some_orders(config) as (given, memory):
            side = Side(given, memory)
            side.start()
            for one in (record("ended"), record("began", event=2, source="frozen")):
                side.tell(one)
            wait_for(lambda: int(memory.vitals["heard"][0]) == 2)
            side.kill()
            side.close()
        before = lying(Path(config.journal))
        assert len(before["journal.db-wal"][0]) > 0, "what was not moved into the file is there"
        assert read_all(Path(config.journal)) == ["frozen", "t2"]
        assert lying(Path(config.journal)) == before

    def test_of_a_folder_in_which_nothing_can_be_written_and_a_file_that_can_only_be_read(self) -> None:
        with tempfile.TemporaryDirectory() as folder:  # not below a folder that is closed to others
            path = Path(folder) / "journal.db"
            journal = Journal(path, "melt")
            journal.commit(written(changes_of(record("ended"), record("began", event=2, source="frozen")), 7))
            journal.close()
            path.chmod(0o444)
            path.parent.chmod(0o555)
            before = lying(path)
            try:
                with without_rights():
                    assert read_all(path) == ["frozen", "t2"]
                assert lying(path) == before
            finally:
                path.parent.chmod(0o755)


class TestBesideADaemon:
    def test_what_is_committed_is_seen_at_once_and_what_is_not_is_not(self, stopped: Path) -> None:
        journal, reader = Journal(stopped, "melt"), Reader(stopped, "melt")
        journal.commit(written(changes_of(record("began", event=3, source="dark")), 8))
        assert [alarm.source for alarm in reader.alarms(1)] == ["dark"]
        journal._db.execute("BEGIN IMMEDIATE")  # a commit that the disk holds up
        journal._db.execute("DELETE FROM alarms")
        assert reader.count(Wanted()) == 3
        journal._db.execute("ROLLBACK")
        reader.close()
        journal.close()

    def test_a_snapshot_is_of_one_moment_and_holds_up_nobody(self, stopped: Path) -> None:
        journal, reader = Journal(stopped, "melt"), Reader(stopped, "melt")
        with reader.snapshot():
            before = reader.alarms(10)
            journal.commit(written(changes_of(record("began", event=3, source="dark")), 8))
            assert reader.alarms(10) == before
        assert len(reader.alarms(10)) == len(before) + 1
        reader.close()
        journal.close()

    def test_a_daemon_that_runs_is_read_beside_and_ends_in_order(self, tmp_path: Path) -> None:
        config = some_config(tmp_path / "kept")
        (tmp_path / "kept").mkdir()
        with some_orders(config) as (given, memory):
            side = Side(given, memory)
            side.start()
            reader = Reader(Path(config.journal), config.camera)
            for event in (1, 2):
                side.tell(record("ended", event=event))
            wait_for(lambda: reader.count(Wanted("cleared")) == 2)
            files = {one.name for one in (tmp_path / "kept").glob("journal.db*")}
            assert files == {f"journal.db{end}" for end in ("", "-wal", "-shm", ".lock")}
            reader.close()
            assert side.stop() == (0, "", "")
            side.close()
        assert {one.name for one in (tmp_path / "kept").glob("journal.db*")} == {"journal.db", "journal.db.lock"}

    def test_a_journal_in_whose_place_another_is_put_is_read_on_as_it_is_written_on(self, stopped: Path) -> None:
        other = stopped.with_name("other.db")
        shutil.copyfile(stopped, other)
        journal, reader = Journal(stopped, "melt"), Reader(stopped, "melt")
        stopped.rename(stopped.with_name("moved.db"))
        other.rename(stopped)
        journal.commit(written(changes_of(record("began", event=3, source="dark")), 8))
        assert reader.alarms(10) == journal.alarms(10)
        assert len(reader.alarms(10)) == 3
        reader.close()
        journal.close()

    def test_a_daemon_that_starts_and_changes_the_file_meanwhile_is_told(self, stopped: Path) -> None:
        reader = Reader(stopped, "melt")
        assert reader.count(Wanted()) == 2
        journal = Journal(stopped, "melt")
        journal.commit(written(changes_of(record("began", event=3, source="dark")), 8))
        assert reader.count(Wanted()) == 2, "as it was: the file itself is not changed yet"
        journal.close()
        with pytest.raises(JournalError, match="a daemon that has just started; try again"):
            reader.count(Wanted())
        reader.close()


class TestRefusals:
    """Each in one line, naming the file, and leaving it alone."""

    def refusal(self, path: Path, camera: str = "melt") -> str:
        before = lying(path)
        with pytest.raises(JournalError) as caught:
            Reader(path, camera).alarms(1)
        assert lying(path) == before
        message = str(caught.value)
        assert message.startswith(f"journal: {path} ")
        assert "\n" not in message
        return message

    def test_a_newer_format(self, stopped: Path) -> None:
        db = sqlite3.connect(stopped)
        db.execute("PRAGMA user_version = 3")
        db.close()
        assert "has format 3, newer than 2; update framewatch" in self.refusal(stopped)

    def test_another_camera(self, stopped: Path) -> None:
        assert "holds the alarms of camera 'melt', not 'stem'" in self.refusal(stopped, "stem")

    def test_another_programs_database(self, path: Path) -> None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE songs (name TEXT)")
        other.close()
        assert "another program's database" in self.refusal(path)

    def test_an_empty_file(self, path: Path) -> None:
        path.touch()
        assert "is empty" in self.refusal(path)

    def test_no_database_at_all(self, path: Path) -> None:
        path.write_bytes(b"not a database at all" * 500)
        assert "file is not a database" in self.refusal(path)

    def test_a_copy_without_all_that_a_killed_daemon_left(self, stopped: Path, tmp_path: Path) -> None:
        journal = Journal(stopped, "melt")
        journal.commit(written(changes_of(record("began", event=3, source="dark")), 8))
        copy = tmp_path / "copied" / "journal.db"
        copy.parent.mkdir()
        for end in ("", "-wal"):
            shutil.copyfile(f"{stopped}{end}", f"{copy}{end}")
        journal.close()
        assert "journal.db-shm is missing; start the daemon once" in self.refusal(copy)

    def test_a_file_that_is_damaged_while_it_is_open(self, stopped: Path) -> None:
        journal, reader = Journal(stopped, "melt"), Reader(stopped, "melt")
        with stopped.open("r+b") as file:
            file.write(b"\xff" * stopped.stat().st_size)
        with pytest.raises(JournalError, match=f"^journal: {stopped} cannot be read: [^\n]*$"):
            reader.alarms(1)
        reader.close()
        journal.close()
