import os
from pathlib import Path

import h5py
import pytest

from monitor.recorder.recording import FORMAT
from monitor.recorder.shelf import File, Pin, Shelf, ShelfError, name_of

T_NS = 1_795_000_000 * 10**9


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def put(shelf: Shelf, event: int, nbytes: int = 1000) -> str:
    name = name_of(T_NS + event * 10**9, "hot-1", event)
    shelf.put(name, lambda path: path.write_bytes(bytes(nbytes)))
    return name


def names(shelf: Shelf) -> list[str]:
    return [one.name for one in shelf.files()]


def test_names_sort_by_the_time_when_events_began() -> None:
    assert name_of(T_NS + 5_678_000_000, "8BCB5344-1", 7) == "20261118T110645.678Z_8bcb5344_7.h5"
    assert name_of(T_NS, "hot-1", 7, part=1).endswith("_7-2.h5")
    later = [name_of(T_NS + step, "x", 0) for step in (0, 10**6, 10**9, 10**14)]
    assert later == sorted(later)


def test_the_oldest_that_nobody_has_pinned_go_first(shelf: Shelf) -> None:
    one, two, three = (put(shelf, event) for event in (1, 2, 3))
    shelf.pin(one, Pin("ann"))
    assert shelf.make_room(1000, 3000) == [two]
    assert names(shelf) == [one, three]
    shelf.unpin(one)
    assert shelf.make_room(1000, 2000) == [one]


def test_what_the_budget_does_not_hold_removes_nothing(shelf: Shelf) -> None:
    one = put(shelf, 1)
    with pytest.raises(ShelfError, match="more than the budget"):
        shelf.make_room(5000, 4000)
    shelf.pin(one, Pin("ann"))
    with pytest.raises(ShelfError, match="are pinned"):
        shelf.make_room(3500, 4000)
    assert names(shelf) == [one]


def test_a_full_disk_makes_the_oldest_that_nobody_has_pinned_give_way_whatever_the_budget(shelf: Shelf) -> None:
    one, two, three, four = (put(shelf, event) for event in (1, 2, 3, 4))
    shelf.pin(one, Pin("ann"))
    assert shelf.give_way(1001) == [two, three]
    assert shelf.give_way(10**6) == [four]
    assert shelf.give_way(1) == []
    assert names(shelf) == [one]


def test_what_is_removed_while_all_are_listed_is_left_out(tmp_path: Path) -> None:
    class Raced(Shelf):
        """Of what it has found the budget takes the first."""

        def files(self) -> list[File]:
            found = super().files()
            (self.folder / found[0].name).unlink(missing_ok=True)
            return found

    shelf = Raced(tmp_path)
    kept = [put(shelf, event) for event in (1, 2, 3)][1:]
    assert sorted(one.name for one in shelf.shown()) == kept


def test_a_pin_says_who_set_it_and_survives_another_process(shelf: Shelf, tmp_path: Path) -> None:
    name = put(shelf, 1)
    shelf.pin(name, Pin("ann", "for the report", 5))
    found = Shelf(tmp_path).show(name)
    assert found.pinned == Pin("ann", "for the report", 5)
    assert Shelf(tmp_path).files()[0].pinned
    assert shelf.unpin(name).pinned is None


def test_what_was_half_written_and_pins_of_what_is_gone_are_removed_and_nothing_else(
    shelf: Shelf, tmp_path: Path
) -> None:
    name = put(shelf, 1)
    shelf.pin(name, Pin("ann"))
    gone = put(shelf, 2)
    shelf.pin(gone, Pin("ann"))
    (tmp_path / gone).unlink()
    (tmp_path / f".{name}.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert shelf.clean() == 2
    assert sorted(os.listdir(tmp_path)) == sorted([name, name + ".pin", "notes.txt"])


def test_of_a_write_that_fails_or_is_not_admitted_nothing_is_left(shelf: Shelf, tmp_path: Path) -> None:
    name = name_of(T_NS, "hot-1", 1)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        shelf.put(name, fail)

    def refuse(nbytes: int) -> None:
        raise ShelfError(f"{nbytes}")

    with pytest.raises(ShelfError, match=r"^7$"):
        shelf.put(name, lambda path: path.write_bytes(b"7 bytes"), refuse)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["../journal.db", "..", "", "/etc/passwd", "a.h5", ".x.h5.part", "20261118T112645.678Z_x_1.h5.pin"]
)
def test_no_other_file_is_ever_meant(shelf: Shelf, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(ShelfError, match="there is no recording"):
        shelf.path(name)
    with pytest.raises(ShelfError):
        shelf.pin(name, Pin("ann"))


def test_a_link_is_no_recording(shelf: Shelf, tmp_path: Path) -> None:
    name = name_of(T_NS, "hot-1", 1)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / name).symlink_to(tmp_path / "secret")
    assert names(shelf) == []
    with pytest.raises(ShelfError):
        shelf.path(name)


def test_a_damaged_file_is_listed_with_what_is_known_of_it(shelf: Shelf) -> None:
    name = put(shelf, 1)
    (found,) = shelf.shown()
    assert (found.name, found.nbytes, found.t_ns) == (name, 1000, None)


def test_what_a_recording_says_of_itself_is_shown(shelf: Shelf) -> None:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.attrs.update({"format": FORMAT, "written_t_ns": 5, "event": 7, "layer": -1, "source": "t2"})

    name = name_of(T_NS, "hot-1", 7)
    shelf.put(name, write)
    found = shelf.show(name)
    assert (found.t_ns, found.event, found.layer, found.source) == (5, 7, None, "t2")


def test_there_is_nothing_where_there_is_no_folder(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "none").shown() == []
