"""What the doctor says of the file of kinds; it changes no byte of it, and leaves nothing beside it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemon_example import some_config
from taxonomy_example import kept, kind_row, put, store_of, written
from test_taxonomy_store import RUN

from monitor.bundle import Bundle
from monitor.config import Config
from monitor.doctor import examine
from monitor.finding import Finding
from monitor.taxonomy import check
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.schema import VERSION
from monitor.taxonomy.store import Store, beside


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


@pytest.fixture
def path(config: Config) -> Path:
    return beside(Path(config.journal))


def found(config: Config) -> Finding:
    one = check.examine(config, None)
    assert (one.check, one.grade == "ok") == ("kinds", one.remedy == ""), "what is wrong comes with a remedy"
    return one


def fill(store: Store) -> None:
    store.write(written([kept(number, np.full((64, 64), number, np.uint8)) for number in range(1, 40)]))
    put(store, kind_row(1, (1, 2)), kind_row(2, (3,), state="dormant"))
    with store.transaction():
        store.put_run(RUN, [])


def test_a_file_that_is_not_there_yet_or_empty_is_no_fault(config: Config, path: Path) -> None:
    assert found(config)[1:3] == ("ok", f"{path} will be made by a daemon with a bundle")
    assert list(path.parent.iterdir()) == []
    path.touch()
    assert found(config)[1:3] == ("ok", f"{path} is empty and will be filled")


def test_a_good_file_is_counted_whether_a_daemon_writes_it_or_not(config: Config, path: Path) -> None:
    def bytes_of() -> dict[Path, bytes]:
        """Without the marks of readers in the writer's memory, which a writer in this process lets others set."""
        return {one: b"" if one.suffix == ".db-shm" else one.read_bytes() for one in path.parent.iterdir()}

    store = store_of(path.parent)
    fill(store)
    for running in (True, False):
        before, changed_ns = bytes_of(), path.stat().st_mtime_ns
        told = f"{path}: 1 kind(s) alive of 2, 39 of 39 events held, grouped 1 time(s)"
        assert found(config)[1:3] == ("ok", told)
        assert (bytes_of(), path.stat().st_mtime_ns) == (before, changed_ns)
        if running:
            store.close()


def other_camera(path: Path) -> None:
    Store(path, "other").close()


def newer(path: Path) -> None:
    Store(path, "melt").close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE blocks (a)")


def harmed(path: Path) -> None:
    with closing(Store(path, "melt")) as store:
        fill(store)
    data = bytearray(path.read_bytes())
    data[8192 : 8192 + 4096 * 8] = bytes(4096 * 8)
    path.write_bytes(data)


def no_database(path: Path) -> None:
    path.write_bytes(b"something else" * 100)


def killed(path: Path) -> None:
    """What a daemon committed before it was killed, without the file by which it is read."""
    with closing(Store(path, "melt")) as store:
        fill(store)
        copies = [path.with_name(path.name + end) for end in ("", "-wal")]
        kept_bytes = [one.read_bytes() for one in copies]
    for one, data in zip(copies, kept_bytes, strict=True):
        one.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "says", "remedy"),
    [
        (other_camera, "holds the kinds of camera 'other', not 'melt'", check.NEW_ONE),
        (newer, f"has format {VERSION + 1}, newer than {VERSION}", "update framewatch"),
        (foreign, "is another program's database", check.NEW_ONE),
        (harmed, "is damaged", check.NEW_ONE),
        (no_database, "cannot be used", "move it away or mend the disk"),
        (killed, "-shm is missing", "start the daemon once, which makes it anew"),
        (Path.mkdir, "is no file", "move it away"),
    ],
)
def test_a_file_with_which_the_daemon_would_not_start_is_a_fault_and_left_as_it_is(
    config: Config, path: Path, make: Callable[[Path], object], says: str, remedy: str
) -> None:
    make(path)
    before = {one: one.read_bytes() for one in path.parent.iterdir() if one.is_file()}
    one = found(config)
    assert (one.grade, one.remedy) == ("fault", remedy)
    assert says in one.found
    assert {one: one.read_bytes() for one in path.parent.iterdir() if one.is_file()} == before


@pytest.mark.parametrize("locked", ["", "-wal"])
def test_a_file_that_cannot_be_written_is_a_fault(
    config: Config, path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    closed = path.with_name(path.name + locked)
    with closing(store_of(path.parent)) as store:
        fill(store)
        monkeypatch.setattr(check.os, "access", lambda one, _: one != closed)  # to root every file is open
        assert found(config)[1:3] == ("fault", f"{closed} cannot be written")


def test_more_pixels_than_the_disk_has_room_for_are_a_warning(
    config: Config, path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(path.parent)._replace(free=10 * 2**20)
    monkeypatch.setattr(check.shutil, "disk_usage", lambda _: usage)
    assert found(config).grade == "warning"
    assert found(config).found.endswith("it may grow by 128 MiB, and 10 MiB are free")
    # 2,200 frames of 1 KiB, as the bundle has them, do have room.
    known = msgspec.structs.replace(config, bundle=str(small_bundle.path))
    assert [one.grade for one in examine(known) if one.check == "kinds"] == ["ok"]
    few = msgspec.structs.replace(config, taxonomy=Taxonomy(mib=9.0))
    assert found(few).grade == "ok"
