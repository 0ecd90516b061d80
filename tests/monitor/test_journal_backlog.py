"""What a disk refuses: bounded for however long, cheap at each step, written in pieces, and what goes goes in order."""

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from alarm_example import changes_of
from daemon_example import record
from disk_example import Disk
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.life import Revision, What
from monitor.eventlog import EventRecord
from monitor.journal import backlog as backlogs
from monitor.journal.backlog import HARD, Backlog, Waiting, shortened
from monitor.journal.outbox import RETRY_NS, Outbox
from monitor.journal.reading import Wanted
from monitor.journal.store import Change, Departure, Journal, Written


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db", "melt")
    yield opened
    opened.close()


class Refusing:
    """A journal that refuses after so many pieces, and takes note of what it took."""

    def __init__(self, takes: int = 0) -> None:
        self.takes = takes
        self.taken: list[Written] = []
        self.asked: list[int] = []

    def commit(self, written: Written) -> list[int]:
        self.asked.append(len(written.changes))
        if len(self.taken) == self.takes:
            raise sqlite3.OperationalError("database or disk is full")
        first = 1 + sum(len(one.changes) for one in self.taken)
        self.taken.append(written)
        return list(range(first, first + len(written.changes)))

    def unpublished(self) -> list[Departure]:
        return []

    def published(self) -> int:
        return 0


def a_life(event: int, grown: int = 0, cleared: bool = True) -> list[Change]:
    grew = [record("grew", event=event, last_seq=20 + i, frames_over=4 + i) for i in range(grown)]
    ended: list[EventRecord] = [record("ended", event=event, last_seq=900)] if cleared else []
    return changes_of(record("began", event=event, t_ns=event), *grew, *ended)


def followed(change: Change, what: What, by: str = "", acked: bool = True) -> Change:
    """What comes after *change* of the same alarm."""
    entry = change.revision.entry
    assert entry.told is not None
    told = entry.told if what == "kept" else msgspec.structs.replace(entry.told, rev=entry.told.rev + 1, acked=acked)
    return Change(Revision(msgspec.structs.replace(entry, told=told), what, by), change.t_ns)


def waiting(*lives: list[Change]) -> list[Waiting]:
    return [Waiting(change, position) for position, life in enumerate(lives, 1) for change in life]


def left(held: list[Waiting]) -> list[tuple[int, str]]:
    return [(one.change.revision.alarm.rev, one.change.revision.what) for one in held]


class TestShortened:
    def test_what_stays_in_bounds_stays_whole(self) -> None:
        held = waiting(a_life(1, 3), a_life(2, 3))
        assert shortened(held, len(held)) == (held, 0)

    def test_what_cleared_alarms_went_through_goes_first_acknowledged_ones_before_others(self) -> None:
        active, cleared, seen = a_life(1, 3, cleared=False), a_life(2, 3), a_life(3, 3)
        seen.append(followed(seen[-1], "acknowledged", "ann"))
        held = waiting(active, cleared, seen)
        for bound, lengths in ((11, [4, 5, 2]), (10, [4, 4, 2]), (8, [4, 2, 2]), (7, [3, 2, 2]), (6, [2, 2, 2])):
            kept, lost = shortened(held, bound)
            assert [sum(one.position == position for one in kept) for position in (1, 2, 3)] == lengths
            assert lost == 0

    def test_who_acknowledged_is_kept_where_other_revisions_go(self) -> None:
        life = a_life(1, 3, cleared=False)
        life.append(followed(life[-1], "acknowledged", "ann"))
        life.append(followed(life[-1], "commented", "bob"))
        life.append(followed(life[-1], "cleared"))
        kept, _ = shortened(waiting(life), 2)
        assert [one.change.revision.by for one in kept] == ["", "ann", "bob", ""]
        assert left(kept)[0] == (1, "raised")
        assert left(kept)[-1] == (7, "cleared")

    def test_what_was_not_told_displaces_no_revision_that_was(self) -> None:
        life = a_life(1, 3, cleared=False)
        life += [followed(life[-1], "kept"), followed(life[-1], "kept")]
        kept, _ = shortened(waiting(life), 2)
        assert left(kept) == [(1, "raised"), (4, "changed"), (4, "kept")]

    def test_beyond_the_hard_bound_whole_alarms_go_that_are_cleared_seen_ones_first_and_the_oldest(self) -> None:
        seen = a_life(9)
        seen.append(followed(seen[-1], "acknowledged", "ann"))
        lives = [*(a_life(event, cleared=event != 2) for event in range(1, 7)), seen]
        kept, lost = shortened(waiting(*lives), 1)
        assert [one.position for one in kept] == [2, 5, 5, 6, 6]
        assert lost == 4
        kept, lost = shortened(waiting(*lives), 2)
        assert [one.position for one in kept] == [2, 3, 3, 4, 4, 5, 5, 6, 6]
        assert lost == 2

    def test_an_alarm_that_the_disk_holds_as_active_keeps_its_end(self) -> None:
        ends = [a_life(event)[1:] for event in range(1, 20)]
        assert shortened(waiting(*ends), 1) == (waiting(*ends), 0)

    @given(
        st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from(["", "acknowledged", "kept"]))),
        st.integers(1, 8),
    )
    def test_bounds_hold_and_nothing_active_is_lost(self, given_lives: list[tuple[int, bool, What]], most: int) -> None:
        lives = [a_life(event, *shape[:2]) for event, shape in enumerate(given_lives)]
        for life, (*_, what) in zip(lives, given_lives, strict=True):
            life += [followed(life[-1], what, "ann")] if what else []
        held = waiting(*lives)
        kept, lost = shortened(held, most)
        active = {place for place, (_, cleared, _) in enumerate(given_lives, 1) if not cleared}
        assert len(kept) <= max(HARD * most, 3 * len(active))
        assert active <= {one.position for one in kept}
        assert lost == len(lives) - len({one.position for one in kept})
        assert [one for one in held if one in kept] == kept, "in their order"


def test_pieces_are_cut_where_the_position_changes_and_the_last_is_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlogs, "PIECE", 4)
    held = Backlog(100)
    for position, grown in enumerate((0, 0, 0, 9, 0), 1):
        held.add(a_life(position, grown), position)
    pieces = list(held.pieces(7))
    assert [(len(changes), position) for changes, position in pieces] == [(4, 2), (2, 3), (11, 4), (2, 7)]
    assert [change for changes, _ in pieces for change in changes] == list(held)
    assert [(len(changes), position) for changes, position in Backlog(100).pieces(7)] == [(0, 7)]


def test_20_000_changes_of_distinct_alarms_stay_in_bounds_and_few_steps_look_at_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = list[int]()

    def counted(held: list[Waiting], most: int) -> tuple[list[Waiting], int]:
        looks.append(len(held))
        return shortened(held, most)

    monkeypatch.setattr(backlogs, "shortened", counted)
    outbox = Outbox(Refusing(), "boot-1", 0, backlog_max=1000)
    life = a_life(1)
    for event in range(10_000):
        entries = [msgspec.structs.replace(told, id=f"{event:06}") for told in (one.revision.alarm for one in life)]
        pairs = zip(life, entries, strict=True)
        alarm = [
            Change(one.revision._replace(entry=msgspec.structs.replace(one.revision.entry, seen=told, told=told)), 0)
            for one, told in pairs
        ]
        outbox.accept(alarm, event + 1, 0)
        outbox.take()
    assert max(looks) <= HARD * 1000 + 502
    assert len(looks) <= 20_000 // 500
    unwritten = outbox.unwritten()
    assert 2500 <= len(unwritten) <= 2751
    assert "009999" in unwritten, "the oldest go"
    assert f"{10_000 - len(unwritten)} cleared alarms were given up" in outbox.why
    assert outbox.entry("000000") is None
    assert outbox.entry("009999") is not None


def test_a_retry_asks_for_one_piece_and_what_was_taken_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlogs, "PIECE", 4)
    disk = Refusing()
    outbox = Outbox(disk, "boot-1", 0)
    for event in range(1, 9):
        outbox.accept(a_life(event), event, event)
    outbox.take()
    disk.takes = 2
    outbox.accept([], 9, RETRY_NS + 1)
    assert disk.asked == [2, 4, 4, 4]
    assert len(outbox.unwritten()) == 4
    assert not outbox.on_disk
    disk.takes = 9
    outbox.accept([], 9, 2 * RETRY_NS + 1)
    assert [one.position for one in disk.taken] == [2, 4, 6, 9]
    assert outbox.on_disk
    assert outbox.why == ""
    assert [one.published for one in disk.taken] == [0, 0, 8, 8], "they had left without a row"


def test_a_crash_between_two_pieces_loses_nothing_and_writes_nothing_twice(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "PIECE", 4)
    lives = [a_life(event, 1) for event in range(1, 9)]
    disk = Disk(journal)
    disk.full = True
    outbox = Outbox(disk, "boot-1", 0)
    for position, life in enumerate(lives, 1):
        outbox.accept(life, position, 0)
    disk.full, disk.takes = False, 3
    outbox.accept([], 8, RETRY_NS)
    assert journal.position("boot-1") == 3
    after = Outbox(journal, "boot-1", journal.position("boot-1"))
    for position, life in list(enumerate(lives, 1))[journal.position("boot-1") :]:
        after.accept(life, position, 0)
    told = journal.changes_after(0, 100)
    assert [one.alarm for one in told] == [change.revision.alarm for life in lives for change in life]
    assert journal.count(Wanted()) == 8
    assert all(one.row < other.row for one, other in pairwise(told))
