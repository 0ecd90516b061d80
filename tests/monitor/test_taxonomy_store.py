"""The file of kinds: what is written comes back, whoever writes beside it and whoever is killed; and other files."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from taxonomy_example import T_NS, kept, kind_row, put, written

from monitor.taxonomy import schema, store
from monitor.taxonomy.records import ChangeRow, Counts, Naming, Run
from monitor.taxonomy.store import Store, StoreError, beside

RUN = Run(1, T_NS, 0.5, "ab" * 32, 20, 1, 25, 30, 2, True, 0.7, "2 kinds", {"rule": "gap"}, [{"kinds": 2}])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "framewatch.kinds.db"


@pytest.fixture
def kinds(path: Path) -> Iterator[Store]:
    with closing(Store(path, "melt")) as made:
        yield made


def as_version_1(path: Path) -> None:
    """The file at *path* as the program before embeddings would have written it."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "ALTER TABLE runs DROP COLUMN embedding; ALTER TABLE kinds RENAME COLUMN space TO bundle;"
            "PRAGMA user_version = 1;"
        )


def test_a_file_of_version_1_is_read_as_it_is_and_renewed_by_who_writes(path: Path) -> None:
    with closing(Store(path, "melt")) as made:
        made.write(written([kept(1), kept(2)]))
        put(made, kind_row(1, (1, 2), name="splash"))
        with made.transaction():
            made.put_run(RUN, [])
    as_version_1(path)
    before = path.read_bytes()
    with closing(Store(path, "melt", read_only=True)) as read:
        assert read.runs() == [RUN]
        assert [(kind.name, kind.space) for kind in read.kinds()] == [("splash", "ab" * 32)]
    assert path.read_bytes() == before
    new = RUN._replace(number=2, embedding="cd" * 32)
    with closing(Store(path, "melt")) as renewed:
        with renewed.transaction():
            renewed.put_run(new, [])
        assert renewed.runs(2) == [new, RUN]
    assert RUN.space == RUN.bundle != new.space
    with closing(Store(path, "melt", check=True)) as again:
        assert [(kind.name, kind.space) for kind in again.kinds()] == [("splash", "ab" * 32)]


def test_it_lies_beside_the_journal() -> None:
    assert beside(Path("/data/laser-1.db")) == Path("/data/laser-1.kinds.db")


def test_samples_come_back_with_their_pixels_after_a_restart(path: Path) -> None:
    frame = np.arange(6, dtype=np.uint16).reshape(2, 3)
    given = [kept(1, frame, alarm="a"), kept(2, normal=True, epoch="", event=None, x=None, y=None, layer=None)]
    with closing(Store(path, "melt")) as first:
        first.write(written(given))
    with closing(Store(path, "melt", check=True)) as again:
        assert again.samples() == [one.sample for one in given]
        found = again.pixels(1)
        assert found is not None
        assert found.dtype == np.uint16
        assert found.tolist() == frame.tolist()
        assert again.pixels(3) is None
        assert again.counts() == Counts(3, 1, 0)
        assert [one.id for one in again.held(normal=False)] == [1]


def test_a_more_extreme_frame_takes_the_place_of_the_one_before_and_keeps_its_alarm(kinds: Store) -> None:
    kinds.write(written([kept(1, alarm="a", frames_over=9)]))
    kinds.write(written([], 2, anew=[kept(1, np.full((4, 4), 99, np.uint8), ratio=5.0, seq=80, frames_over=4)]))
    [sample] = kinds.samples()
    assert (sample.alarm, sample.ratio, sample.seq, sample.frames_over) == ("a", 5.0, 80, 9)
    found = kinds.pixels(1)
    assert found is not None
    assert found.max() == 99
    kinds.write(written([], 2, grown=[(("hot-1", 1), 50), (("hot-1", 7), 3)]))
    assert [one.frames_over for one in kinds.samples()] == [50]


def test_an_event_whose_sample_is_dropped_still_counts_for_its_kind(kinds: Store) -> None:
    kinds.write(written([kept(1), kept(2)]))
    put(kinds, kind_row(4, (1, 2)))
    kinds.write(written([], 3, dropped=[1]))
    assert kinds.events_held() == {4: 1}
    found = kinds.kind(4)
    assert found is not None
    assert (found.gone, found.members) == (1, frozenset((1, 2)))


def test_a_kind_comes_back_as_it_was(kinds: Store) -> None:
    given = kind_row(3, (5, 6), name="splash", notes=("wet", "hot"), priority="high", parent=1, told=True)
    put(kinds, given, kind_row(4, state="merged", merged_into=3))
    first, second = kinds.kinds()
    assert first.centre.tolist() == [1.0, 2.0]
    assert first._replace(centre=given.centre) == given
    assert (second.state, second.merged_into, second.members) == ("merged", 3, frozenset())
    assert kinds.next_kind() == 5
    kinds.mark_told([4])
    assert all(kind.told for kind in kinds.kinds())


def test_what_is_said_of_a_kind_is_written_with_who_said_it(kinds: Store) -> None:
    put(kinds, kind_row(1))
    assert kinds.act(1, Naming("ann", "splash", "left of the pool", "high"), 5) is not None
    assert kinds.act(1, Naming("bob", note="again", priority="none"), 6) is not None
    found = kinds.kind(1)
    assert found is not None
    assert (found.name, found.notes, found.priority) == ("splash", ("left of the pool", "again"), None)
    assert [(act.by, act.name, act.note, act.priority) for act in kinds.acts(1)] == [
        ("ann", "splash", "left of the pool", "high"),
        ("bob", None, "again", ""),
    ]
    assert kinds.act(2, Naming("ann", "x"), 7) is None


def test_the_latest_runs_are_kept_with_what_became_of_kinds(kinds: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RUNS_MOST", 3)
    for number in range(1, 6):
        with kinds.transaction():
            told = [ChangeRow(number, "split", 1, (2, 3)), ChangeRow(number, "survived", 2, ())]
            kinds.put_run(RUN._replace(number=number), told)
    assert kinds.runs(10) == [RUN._replace(number=number) for number in (5, 4, 3)]
    assert [change.run for change in kinds.changes(1)] == [3, 4, 5]
    assert kinds.changes(2) == [], "that it goes on is no news"


def test_a_transaction_sees_what_others_wrote_before_it_began_and_nothing_of_it_stays_if_it_fails(path: Path) -> None:
    with closing(Store(path, "melt")) as one, closing(Store(path, "melt")) as other:
        put(one, kind_row(1))
        before = other.version()
        one.act(1, Naming("ann", "splash"), 5)
        assert other.version() != before

        def fail() -> None:
            with other.transaction():
                found = other.kind(1)
                assert found is not None
                assert found.name == "splash"
                other.put_kinds([found._replace(name="lost")], 2)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert [kind.name for kind in one.kinds()] == ["splash"]


def test_two_that_write_at_once_wait_for_each_other(path: Path) -> None:
    with closing(Store(path, "melt", wait_s=10.0)) as one, closing(Store(path, "melt", wait_s=10.0)) as other:
        put(one, *(kind_row(number) for number in range(1, 21)))

        def name(which: Store, numbers: range) -> None:
            for number in numbers:
                which.act(number, Naming("ann", f"kind {number}"), number)

        threads = [threading.Thread(target=name, args=(one, range(1, 11)))]
        threads += [threading.Thread(target=name, args=(other, range(11, 21)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [kind.name for kind in one.kinds()] == [f"kind {number}" for number in range(1, 21)]


def test_whoever_opens_the_file_waits_for_who_writes_it_and_tells_nobody_to_move_it_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(path, "melt", wait_s=0.01)) as one:
        writes, opened = threading.Event(), threading.Event()

        def write() -> None:
            with one.transaction():
                writes.set()
                assert not opened.wait(0.1), "the other waits"

        writer = threading.Thread(target=write)
        writer.start()
        assert writes.wait(10)
        with closing(Store(path, "melt", wait_s=0.01)) as other:
            opened.set()
            writer.join()
            monkeypatch.setattr(store, "OPEN_WAIT_S", 0.01)
            with other.transaction():
                assert "another process has been writing it for long; try again" in refused(path)
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    one.mark_told([1])


def test_whoever_is_killed_while_writing_leaves_whole_transactions(path: Path) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from taxonomy_example import kept, written\n"
        "from monitor.taxonomy.store import Store\n"
        "store = Store(Path(sys.argv[1]), 'melt')\n"
        "for number in range(1, 100000, 2):\n"
        "    store.write(written([kept(number), kept(number + 1)]))\n"
        "    print(number, flush=True)\n"
    )
    here = Path(__file__).parent
    writer = subprocess.Popen([sys.executable, "-c", script, path, here, here.parents[1]], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    writer.kill()
    writer.communicate()
    left = {one: one.read_bytes() for one in path.parent.iterdir()}
    with closing(Store(path, "melt", check=True, read_only=True)) as seen:
        assert len(seen.samples()) >= 40, "what it had committed"
    assert {one: one.read_bytes() for one in path.parent.iterdir()} == left
    with closing(Store(path, "melt", check=True)) as again:
        found = again.samples()
        assert len(found) >= 40
        assert len(found) % 2 == 0
        assert again.counts().next_id == len(found) + 1


def test_who_only_reads_makes_and_changes_nothing(path: Path) -> None:
    with closing(Store(path, "melt")) as one:
        put(one, kind_row(1))
        with closing(Store(path, "melt", read_only=True)) as beside_a_writer:
            assert len(beside_a_writer.kinds()) == 1
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]
    with closing(Store(path, "melt", read_only=True)) as alone:
        assert len(alone.kinds()) == 1
        with pytest.raises(sqlite3.Error):
            alone.act(1, Naming("ann", "x"), 5)
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]


def refused(path: Path, camera: str = "melt", *, read_only: bool = False) -> str:
    with pytest.raises(StoreError) as caught:
        Store(path, camera, check=True, read_only=read_only)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_ours_to_use_is_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    assert "is not there" in refused(path, read_only=True)
    Store(path, "melt").close()
    assert "holds the kinds of camera 'melt', not 'other'" in refused(path, "other")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    assert "update framewatch" in refused(path)
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as db:
        db.executescript("CREATE TABLE blocks (a); PRAGMA user_version = 1;")
    assert "another program's database" in refused(foreign)
    (tmp_path / "folder").mkdir()
    assert "cannot be" in refused(tmp_path / "folder")


def test_a_damaged_file_is_refused_in_one_line(path: Path) -> None:
    with closing(Store(path, "melt")) as one:
        one.write(written([kept(number, np.full((64, 64), number, np.uint8)) for number in range(1, 40)]))
    data = bytearray(path.read_bytes())
    data[8192 : 8192 + 4096 * 8] = bytes(4096 * 8)
    path.write_bytes(data)
    refused(path)
    path.write_bytes(b"no database at all" * 100)
    refused(path)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE kinds SET notes = '{' WHERE id = 2", "kind 2 is damaged"),
        ("UPDATE kinds SET centre = x'0102' WHERE id = 1", "kind 1 is damaged"),
        ("UPDATE runs SET candidates = 'nope'", "run 1 is damaged"),
        ("DELETE FROM state", "is damaged"),
        ("DROP TABLE runs", "no such table: runs"),
    ],
)
def test_damage_that_sqlite_does_not_see_is_refused_in_one_line(path: Path, damage: str, what: str) -> None:
    with closing(Store(path, "melt")) as one:
        put(one, kind_row(1), kind_row(2))
        with one.transaction():
            one.put_run(RUN, [])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(damage)
    assert what in refused(path)


def test_a_sample_that_is_damaged_is_named(path: Path) -> None:
    with closing(Store(path, "melt")) as one:
        one.write(written([kept(7)]))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE samples SET pixels = x'0102'")
        with pytest.raises(sqlite3.DatabaseError, match="sample 7 is damaged"):
            one.pixels(7)


def test_an_alarm_has_the_frame_of_its_peak_or_its_most_extreme_one_that_was_kept(path: Path) -> None:
    with closing(Store(path, "melt")) as store:
        store.write(
            written(
                [
                    kept(1, seq=10, alarm="a-1", ratio=9.0),
                    kept(2, seq=11, alarm="a-1", ratio=2.0),
                    kept(3, seq=20, alarm="a-2", ratio=3.0),
                    kept(4, seq=30, normal=True, epoch="", event=None),
                ]
            )
        )

        def found(alarm: str, stream: str, seq: int) -> int | None:
            one = store.of_alarm(alarm, stream, seq)
            assert one is None or int(one.pixels[0, 0]) == one.sample.id
            return None if one is None else one.sample.seq

        assert found("a-1", "s", 11) == 11
        assert found("a-1", "s", 12) == 10, "the peak itself was not kept"
        assert found("a-9", "s", 20) == 20, "another alarm, as one for a stop, with the same peak"
        assert found("a-9", "another", 20) is None
        assert found("a-9", "s", 30) is None, "that is a normal frame"
