"""Blocks on disk: each once, whichever process restarts, in order, the latest; and files that are not to be used."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from promise_example import SCALE, block

from monitor import blockstore
from monitor.blockstore import VERSION, BlockStore, BlockStoreError, beside, read_blocks

OTHER = "cd" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "framewatch.blocks.db"


def test_it_lies_beside_the_journal() -> None:
    assert beside(Path("/data/laser-1.db")) == Path("/data/laser-1.blocks.db")
    assert beside(Path("/data/laser-1")) == Path("/data/laser-1.blocks.db")


def test_blocks_come_back_in_the_order_of_their_writing(path: Path) -> None:
    given = [block(4), block(5), block(0, "hot-2"), block(1, "hot-2", extreme=float("inf"))]
    with closing(BlockStore(path)) as store:
        assert store.add(given[:3]) == given[:3]
        assert store.add([]) == []
        assert store.add(given[3:]) == given[3:]
        assert store.blocks(SCALE) == given
    assert read_blocks(path, SCALE) == given


def test_a_block_is_stored_once(path: Path) -> None:
    with closing(BlockStore(path)) as store:
        store.add([block(0), block(1)])
        assert store.add([block(1), block(2)]) == [block(2)]
    with closing(BlockStore(path)) as again:
        assert again.add([block(0), block(1), block(2)]) == []
        assert again.blocks(SCALE) == [block(0), block(1), block(2)]


def test_blocks_of_another_scale_are_told_apart(path: Path) -> None:
    other = block(1, scale=OTHER)
    with closing(BlockStore(path)) as store:
        store.add([block(0), other, block(2)])
        assert store.blocks(SCALE) == [block(0), block(2)]
        assert store.blocks(OTHER) == [other]
    assert read_blocks(path, OTHER) == [other]


def test_the_latest_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockstore, "MOST", 4)
    with closing(BlockStore(path)) as store:
        store.add([block(number) for number in range(7)])
        store.add([block(number) for number in range(5, 9)])
        assert store.blocks(SCALE) == [block(number) for number in range(5, 9)]


def test_all_that_is_added_together_is_written_or_nothing(path: Path) -> None:
    with closing(BlockStore(path)) as store:
        store.add([block(0)])
        with pytest.raises(sqlite3.Error):
            store.add([block(1), block(2, extreme=float("nan"))])
        assert store.blocks(SCALE) == [block(0)]
        assert store.add([block(1)]) == [block(1)]


@pytest.mark.parametrize("folder", ["plain", "lot #7, 100 % ?mode=rw"])
def test_blocks_can_be_read_while_the_daemon_writes(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "a.blocks.db"
    path.parent.mkdir()
    with closing(BlockStore(path)) as store:
        store.add([block(0)])
        assert read_blocks(path, SCALE) == [block(0)]
        assert store.add([block(1)]) == [block(1)]


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(BlockStoreError, match=f"{path}: is not there; a daemon writes it"):
        read_blocks(path, SCALE)
    assert not path.exists()


def newer(path: Path) -> None:
    with closing(BlockStore(path)):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")


def damaged(path: Path) -> None:
    path.write_bytes(b"no database, " * 100)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (newer, "newer than 2; update framewatch"),
        (foreign, "is another program's database; move it away"),
        (damaged, "move it away or mend the disk"),
        (Path.mkdir, "cannot be"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line_and_left_alone(
    path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BlockStoreError) as refused:
        BlockStore(path)
    told = str(refused.value)
    assert told.startswith(f"{path}: ")
    assert says in told
    assert "\n" not in told
    assert before == (path.read_bytes() if path.is_file() else None)


@pytest.mark.parametrize("make", [foreign, damaged])
def test_what_cannot_be_read_is_refused_in_one_line(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(BlockStoreError, match=f"{path}: cannot be read"):
        read_blocks(path, SCALE)


def test_who_only_reads_leaves_no_files_that_the_daemon_could_not_write(path: Path) -> None:
    BlockStore(path).close()
    assert read_blocks(path, SCALE) == []
    assert list(path.parent.iterdir()) == [path]
    with closing(BlockStore(path)) as store:
        store.add([block(0)])
        beside = set(path.parent.iterdir())
        assert read_blocks(path, SCALE) == [block(0)], "what lies in the daemon's other file as well"
        assert set(path.parent.iterdir()) == beside


def of_format_1(path: Path) -> None:
    """As a daemon that knew of no stops left it."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            CREATE TABLE blocks (
                epoch TEXT NOT NULL, number INTEGER NOT NULL, scale TEXT NOT NULL, stream TEXT NOT NULL,
                job TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, t_ns INTEGER NOT NULL,
                frames INTEGER NOT NULL, judged_s REAL NOT NULL, extreme REAL NOT NULL, PRIMARY KEY (epoch, number)
            );
            PRAGMA user_version = 1;
            """
        )
        db.execute(f"INSERT INTO blocks VALUES ({', '.join('?' * 11)})", block(0)[:11])
        db.commit()


def test_a_file_of_before_there_were_stops_is_read_as_it_is_and_goes_on(path: Path) -> None:
    of_format_1(path)
    before = path.read_bytes()
    assert read_blocks(path, SCALE) == [block(0)]
    assert path.read_bytes() == before, "who only reads changes nothing"
    stopping = block(1, stop=3.0, rule="5 of 8")
    with closing(BlockStore(path)) as store:
        assert store.add([stopping]) == [stopping]
        assert store.blocks(SCALE) == [block(0), stopping]
