import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from alarm_example import changes_of, written
from daemon_example import record
from disk_example import Disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.alarms.alarm import Alarm
from monitor.alarms.life import Entry, Revision
from monitor.journal.outbox import RETRY_NS, Outbox
from monitor.journal.reading import Told
from monitor.journal.store import Change, Departure, Journal, JournalError

LIFE = changes_of(record("began"), record("grew", last_seq=20, frames_over=8), record("ended", last_seq=21))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path, "melt")
    yield opened
    opened.close()


def alarms_of(changes: Iterable[Told]) -> list[Alarm]:
    return [told.alarm for told in changes]


def revisions(alarms: Iterable[Alarm]) -> list[tuple[int, str, bool]]:
    return [(alarm.rev, alarm.state, alarm.journaled) for alarm in alarms]


class TestJournal:
    def test_a_new_journal_is_empty(self, journal: Journal) -> None:
        assert journal.open_entries() == []
        assert journal.position("boot-1") == 0
        assert journal.unpublished() == []
        assert journal.raised() == {}

    def test_what_is_cleared_and_not_acknowledged_is_found_by_id_also_in_an_older_file(
        self, journal: Journal, path: Path
    ) -> None:
        for event in range(1, 7):
            more = [record("ended", event=event, last_seq=20)] if event < 6 else []
            changes = changes_of(record("began", event=event), *more)
            if event == 3:
                seen = changes[-1].revision.entry
                entry = msgspec.structs.replace(seen, told=msgspec.structs.replace(seen.told, rev=3, acked=True))
                changes.append(Change(Revision(entry, "acknowledged"), 9))
            journal.commit(written(changes, event))
        ids = [alarm.id for alarm in reversed(journal.alarms(10))]
        journal._db.execute("DROP INDEX alarms_unseen")
        journal.close()
        again = Journal(path, "melt")
        assert [alarm.id for alarm in again.cleared_unseen(None, 10)] == [ids[4], ids[3], ids[1], ids[0]]
        assert [alarm.id for alarm in again.cleared_unseen(ids[4], 2)] == [ids[3], ids[1]]
        again.close()

    def test_it_is_written_ahead_and_synchronised_in_full(self, journal: Journal, path: Path) -> None:
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)

    def test_an_open_case_comes_back_whole(self, journal: Journal, path: Path) -> None:
        adopted = changes_of(record("began", frames_over=5), record("began", epoch="hot-2", event=9, last_seq=40))
        journal.commit(written(adopted, 2, 0))
        journal.close()
        again = Journal(path, "melt")
        assert again.open_entries() == [adopted[-1].revision.entry]
        assert again.position("boot-1") == 2
        again.close()

    def test_the_position_of_another_boot_means_nothing(self, journal: Journal) -> None:
        journal.commit(written([], 17, 0))
        assert journal.position("boot-1") == 17
        assert journal.position("boot-2") == 0

    def test_a_cleared_alarm_is_not_open_but_kept(self, journal: Journal) -> None:
        journal.commit(written(LIFE, 3, 0))
        assert journal.open_entries() == []
        assert journal.alarms(10) == [LIFE[-1].revision.alarm]
        assert alarms_of(journal.changes(LIFE[0].revision.alarm.id)) == [change.revision.alarm for change in LIFE]

    def test_alarms_are_listed_newest_first_by_state_and_number(self, journal: Journal) -> None:
        told = [record("began", event=i, source=f"c{i}") for i in range(4)] + [record("ended", event=1, source="c1")]
        journal.commit(written(changes_of(*told), 5, 0))
        assert [alarm.source for alarm in journal.alarms(10)] == ["c3", "c2", "c1", "c0"]
        assert [alarm.source for alarm in journal.alarms(2)] == ["c3", "c2"]
        assert [alarm.source for alarm in journal.alarms(10, "active")] == ["c3", "c2", "c0"]
        assert [alarm.source for alarm in journal.alarms(10, "cleared")] == ["c1"]

    def test_alarms_of_some_sources_since_a_moment_are_told_in_their_last_revision(self, journal: Journal) -> None:
        told = [
            record("began", event=i, source=one, t_ns=100 + i) for i, one in enumerate(("t2", "frozen", "s2", "t2"))
        ]
        journal.commit(written([*changes_of(*told), *changes_of(told[0], record("ended", event=0, t_ns=900))], 5, 0))
        found = journal.alarms_since(("t2", "s2"), 0)
        assert [(alarm.raised_t_ns, alarm.source, alarm.state) for alarm in found] == [
            (100, "t2", "cleared"),
            (102, "s2", "active"),
            (103, "t2", "active"),
        ]
        assert [alarm.raised_t_ns for alarm in journal.alarms_since(("t2", "s2"), 102)] == [102, 103]
        assert journal.alarms_since(("offset",), 0) == journal.alarms_since((), 0) == []

    def test_alarms_are_counted_by_job_and_verdict(self, journal: Journal) -> None:
        jobs = ("b", "a", "b", "b")
        told = [record("began", event=i, job=job, t_ns=100 + i) for i, job in enumerate(jobs)]
        changes = changes_of(*told)
        entry = changes[2].revision.entry
        assert entry.told is not None
        judged = msgspec.structs.replace(entry, told=msgspec.structs.replace(entry.told, rev=2, verdict="false"))
        changes.append(Change(Revision(judged, "judged"), 900))
        journal.commit(written(changes, 5, 0))
        assert journal.verdicts(("t2",), 0) == [("b", None, 2), ("a", None, 1), ("b", "false", 1)]
        assert journal.verdicts(("t2",), 103) == [("b", None, 1)]
        assert journal.verdicts(("s2",), 0) == []

    def test_raised_counts_alarms_and_not_changes(self, journal: Journal) -> None:
        journal.commit(written([*LIFE, *changes_of(record("began", event=2, source="frozen"))], 4, 0))
        assert journal.raised() == {("t2", "medium"): 1, ("frozen", "high"): 1}

    def test_a_commit_that_is_repeated_changes_nothing(self, journal: Journal) -> None:
        first = journal.commit(written(LIFE, 3, 0))
        assert journal.commit(written(LIFE, 3, 0)) == first
        assert len(journal.unpublished()) == 3

    def test_an_older_revision_does_not_replace_a_newer_one(self, journal: Journal) -> None:
        journal.commit(written(LIFE, 3, 0))
        journal.commit(written(LIFE[:1], 3, 0))
        assert journal.alarms(1)[0].rev == 3

    def test_all_of_a_commit_is_written_or_nothing(self, journal: Journal) -> None:
        class Failing(list[Change]):
            def __iter__(self) -> Iterator[Change]:
                yield LIFE[0]
                raise sqlite3.OperationalError("database or disk is full")

        with pytest.raises(sqlite3.OperationalError):
            journal.commit(written(Failing(), 3, 0))
        assert journal.alarms(10) == []
        assert journal.position("boot-1") == 0
        journal.commit(written(LIFE, 3, 0))
        assert len(journal.changes(LIFE[0].revision.alarm.id)) == 3

    def test_what_was_marked_as_published_is_not_published_again(self, journal: Journal) -> None:
        rows = journal.commit(written(LIFE, 3, 0))
        assert [row for row, _ in journal.unpublished()] == rows
        journal.commit(written([], 3, rows[1]))
        assert journal.unpublished() == [Departure(rows[2], LIFE[2].revision.alarm)]

    def test_large_revisions_are_kept(self, journal: Journal) -> None:
        alarm = msgspec.structs.replace(LIFE[0].revision.alarm, rev=2**62, frames_over=2**62)
        huge = Entry("e", 2**62, 2**62, alarm, alarm)
        journal.commit(written([Change(Revision(huge, "raised"), 2**62)], 2**62))
        assert journal.open_entries() == [huge]


class TestRefusals:
    """Each in one line, naming the key and the file."""

    def refusal(self, path: Path, camera: str = "melt") -> str:
        with pytest.raises(JournalError) as caught:
            Journal(path, camera)
        message = str(caught.value)
        assert message.startswith(f"journal: {path} ")
        assert "\n" not in message
        return message

    def test_a_newer_format(self, journal: Journal, path: Path) -> None:
        journal._db.execute("PRAGMA user_version = 3")
        assert "has format 3, newer than 2" in self.refusal(path)

    def test_another_camera(self, journal: Journal, path: Path) -> None:
        assert "holds the alarms of camera 'melt', not 'stem'" in self.refusal(path, "stem")

    def test_another_programs_database(self, path: Path) -> None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE songs (name TEXT)")
        other.close()
        assert "another program's database" in self.refusal(path)

    def test_no_database_at_all(self, path: Path) -> None:
        path.write_bytes(b"not a database at all" * 500)
        assert "file is not a database" in self.refusal(path)

    def test_a_damaged_file(self, journal: Journal, path: Path) -> None:
        journal.commit(written(LIFE, 3, 0))
        journal.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        self.refusal(path)

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        assert "unable to open database file" in self.refusal(tmp_path / "no" / "journal.db")

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        self.refusal(tmp_path)

    def test_a_file_that_another_process_keeps_locked(self, journal: Journal, path: Path) -> None:
        journal._db.execute("BEGIN IMMEDIATE")
        assert "locked" in self.refusal(path)


@pytest.fixture
def disk(journal: Journal) -> Disk:
    return Disk(journal)


class TestOutbox:
    def test_changes_are_on_disk_before_they_leave(self, disk: Disk, journal: Journal) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        outbox.accept(LIFE, 3, 0)
        assert alarms_of(journal.changes(LIFE[0].revision.alarm.id)) == [change.revision.alarm for change in LIFE]
        assert journal.position("boot-1") == 3
        assert revisions(outbox.take()) == [(1, "active", True), (2, "active", True), (3, "cleared", True)]
        assert outbox.take() == []

    def test_what_was_not_sent_before_a_crash_is_sent_after_it(self, disk: Disk) -> None:
        Outbox(disk, "boot-1", 0).accept(LIFE[:2], 2, 0)
        after = Outbox(disk, "boot-1", 2)
        after.accept(LIFE[2:], 3, 0)
        assert revisions(after.take()) == [(1, "active", True), (2, "active", True), (3, "cleared", True)]

    def test_what_was_sent_right_before_a_crash_is_sent_again(self, disk: Disk) -> None:
        before = Outbox(disk, "boot-1", 0)
        before.accept(LIFE[:1], 1, 0)
        before.take()  # it may still be in the socket's queue
        assert revisions(Outbox(disk, "boot-1", 1).take()) == [(1, "active", True)]

    def test_what_was_sent_is_marked_with_the_next_step(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        outbox.accept(LIFE[:1], 1, 0)
        outbox.take()
        outbox.accept([], 1, 1)
        assert Outbox(disk, "boot-1", 1).take() == []

    def test_the_disk_is_left_alone_while_nothing_happens(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        outbox.accept(LIFE[:1], 1, 0)
        outbox.take()
        for now_ns in range(1, 100):
            outbox.accept([], 1, now_ns)
        assert disk.asked == 2

    def test_a_full_disk_does_not_hold_alarms_up(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        disk.full = True
        outbox.accept(LIFE, 3, 0)
        assert revisions(outbox.take()) == [(1, "active", False), (2, "active", False), (3, "cleared", False)]
        assert outbox.why == "the journal cannot be written: database or disk is full"

    def test_the_journal_catches_up_in_order_and_nothing_leaves_twice(self, disk: Disk, journal: Journal) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        disk.full = True
        outbox.accept(LIFE[:1], 1, 0)
        outbox.accept(LIFE[1:2], 2, 1)
        assert revisions(outbox.take()) == [(1, "active", False), (2, "active", False)]
        assert journal.position("boot-1") == 0

        disk.full = False
        outbox.accept(LIFE[2:], 3, RETRY_NS)
        assert revisions(outbox.take()) == [(3, "cleared", True)]
        assert outbox.why == ""
        assert journal.position("boot-1") == 3
        assert alarms_of(journal.changes(LIFE[0].revision.alarm.id)) == [change.revision.alarm for change in LIFE]
        outbox.accept([], 3, RETRY_NS + 1)
        assert Outbox(disk, "boot-1", 3).take() == []

    def test_a_journal_that_caught_up_without_news_has_nothing_to_send_again(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        disk.full = True
        outbox.accept(LIFE, 3, 0)
        outbox.take()
        disk.full = False
        outbox.accept([], 3, RETRY_NS)
        assert outbox.take() == []
        outbox.accept([], 3, RETRY_NS + 1)
        assert Outbox(disk, "boot-1", 3).take() == []

    def test_a_refusing_disk_is_asked_once_a_second(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        disk.full = True
        for tenth in range(30):
            outbox.accept(changes_of(record("began", event=tenth)), tenth + 1, tenth * RETRY_NS // 10)
        assert disk.asked == 3

    def test_a_backlog_without_end_keeps_the_first_and_last_change_of_each_alarm(
        self, disk: Disk, journal: Journal
    ) -> None:
        grown = [record("grew", last_seq=20 + i, frames_over=4 + i) for i in range(50)]
        outbox = Outbox(disk, "boot-1", 0, backlog_max=3)
        disk.full = True
        outbox.accept(changes_of(record("began"), *grown, record("began", event=2)), 52, 0)
        disk.full = False
        outbox.accept([], 52, RETRY_NS)
        first, other = sorted(journal.open_entries(), key=lambda entry: entry.event)
        assert [told.alarm.rev for told in journal.changes(first.seen.id)] == [1, 51]
        assert [told.alarm.rev for told in journal.changes(other.seen.id)] == [1]

    def test_what_the_disk_refuses_is_known_in_its_newest_revision(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0, backlog_max=3)
        outbox.accept(LIFE[:1], 1, 0)
        assert outbox.unwritten() == {}
        disk.full = True
        outbox.accept(LIFE[1:2], 2, 1)
        others = changes_of(record("began", event=2), record("grew", event=2, last_seq=20, frames_over=8))
        outbox.accept(others, 4, 2)
        assert revisions(outbox.unwritten().values()) == [(2, "active", False), (2, "active", False)]
        kept = others[1]._replace(revision=others[1].revision._replace(what="kept"))
        outbox.accept([kept], 4, 3)
        assert revisions(outbox.unwritten().values()) == [(2, "active", False), (2, "active", False)]
        disk.full = False
        outbox.accept([], 4, RETRY_NS + 1)
        assert outbox.unwritten() == {}

    def test_many_changes_leave_in_their_order_so_many_at_a_time(self, disk: Disk) -> None:
        outbox = Outbox(disk, "boot-1", 0)
        outbox.accept(LIFE, 3, 0)
        assert revisions(outbox.take(2)) == [(1, "active", True), (2, "active", True)]
        outbox.accept([], 3, 1)
        assert revisions(Outbox(disk, "boot-1", 3).take()) == [(3, "cleared", True)], "a crash loses none of the rest"
        assert revisions(outbox.take(2)) == [(3, "cleared", True)]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.sampled_from(["change", "take", "full", "free", "crash", "later"]), max_size=30))
    def test_whatever_happens_each_change_leaves_in_order(
        self, tmp_path_factory: pytest.TempPathFactory, acts: list[str]
    ) -> None:
        """A crash repeats the event log from the journal's position, as the side process does."""
        journal = Journal(tmp_path_factory.mktemp("outbox") / "journal.db", "melt")
        disk = Disk(journal)
        life = changes_of(record("began"), *(record("grew", last_seq=20 + i, frames_over=4 + i) for i in range(30)))
        outbox, position, told, now_ns, left = Outbox(disk, "boot-1", 0), 0, 0, 0, list[int]()
        for act in [*acts, "free", "later", "change", "take"]:
            match act:
                case "change":
                    told += 1
                    outbox.accept(life[position:told], told, now_ns)
                    position = told
                case "take":
                    left += [alarm.rev for alarm in outbox.take()]
                case "full" | "free":
                    disk.full = act == "full"
                case "later":
                    now_ns += RETRY_NS
                case "crash":
                    position = journal.position("boot-1")
                    outbox = Outbox(disk, "boot-1", position)
        journal.close()
        first_seen = list(dict.fromkeys(left))
        assert first_seen == list(range(1, told + 1)), "nothing is lost, and news come in order"
