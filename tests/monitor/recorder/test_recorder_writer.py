import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from frames import normal, with_spot
from recorder_example import Plant, failed, fill, plant

from monitor.bundle import Bundle
from monitor.recorder import board, recording
from monitor.recorder.shelf import Pin, Shelf
from monitor.score import load_scorer


def show_an_event(works: Plant, seed: int, before: int = 30) -> None:
    works.send(normal(before, seed), context="", job=f"job {seed}", layer=seed, xy=None)
    works.send(with_spot(normal(4, seed + 100)), context="", job=f"job {seed}", layer=seed)
    works.send(normal(40, seed + 200), context="", job=f"job {seed}", layer=seed)


@pytest.fixture
def works(small_bundle: Bundle, tmp_path: Path) -> Iterator[Plant]:
    with plant(small_bundle, tmp_path / "kept") as made:
        yield made


def test_a_recording_says_of_what_it_is(works: Plant, small_bundle: Bundle) -> None:
    show_an_event(works, 1)
    (name,) = works.record()
    path = works.shelf.path(name)
    held, tables = recording.read(path), recording.tables(path)
    said = held.attributes
    assert (said["bundle"], said["camera"], said["stream"]) == (small_bundle.sha256, "cam", "one")
    assert (said["job"], said["layer"], said["events"], said["gaps"]) == ("job 1", 1, 1, 0)
    (event,) = tables["events"]
    assert (event["epoch"], event["event"], event["source"]) == ("hot-1", 0, said["source"])
    assert (event["first_seq"], event["last_seq"], event["ended"]) == (30, 33, 1)
    assert event["ratio"] == pytest.approx(event["score"] / event["limit"])
    assert tables["gaps"] == []


def test_it_shows_what_the_network_makes_of_the_peak(works: Plant, small_bundle: Bundle) -> None:
    import h5py

    show_an_event(works, 1)
    (name,) = works.record()
    with h5py.File(works.shelf.path(name)) as file:
        index, residual, drawn = file["peak"].attrs["index"], file["peak/residual"][()], file["peak/drawn"][()]
        frame = file["frames"][index : index + 1]
    seen = load_scorer(small_bundle).deviations(frame)
    np.testing.assert_allclose(residual, seen.residual[0], rtol=1e-5)
    scale = load_scorer(small_bundle).parts
    as_seen = drawn + residual * scale.charts.residual_scale * scale.preparation.scale
    np.testing.assert_allclose(as_seen, frame[0], atol=0.01)


def test_limits_are_those_of_the_bundle(works: Plant, small_bundle: Bundle) -> None:
    import h5py

    show_an_event(works, 1)
    (name,) = works.record()
    with h5py.File(works.shelf.path(name)) as file:
        for chart, limit in zip(small_bundle.manifest.charts, small_bundle.limits, strict=True):
            assert set(file[f"limits/{chart}"][()].tolist()) == {limit.value}


def test_every_event_of_it_is_told(works: Plant) -> None:
    show_an_event(works, 1)
    (name,) = works.record()
    notices, _ = board.news(works.counts, board.START)
    assert [(one.epoch, one.event, one.name) for one in notices] == [("hot-1", 0, name)]
    counts = board.counts(works.counts)
    assert (counts.written, counts.recordings, counts.pinned) == (1, 1, 0)
    assert counts.nbytes == works.shelf.files()[0].nbytes


def test_the_oldest_gives_way_and_pinned_ones_stay(small_bundle: Bundle, tmp_path: Path) -> None:
    with plant(small_bundle, tmp_path / "kept", mib=0.5) as works:
        show_an_event(works, 1)
        (first,) = works.record()
        works.shelf.pin(first, Pin("ann"))
        for seed in range(2, 8):
            show_an_event(works, seed)
            works.record()
        names = [one.name for one in works.shelf.files()]
        assert names[0] == first
        assert 1 < len(names) < 7
        assert sum(one.nbytes for one in works.shelf.files()) <= 0.5 * 2**20
        assert failed(works.counts) == {}


class Watching(Shelf):
    """Notes what there is when a new recording is whole under its hidden name, and when it has its own."""

    def put(
        self, name: str, write: Callable[[Path], object], admit: Callable[[int], object] = lambda nbytes: None
    ) -> None:
        def admit_whole(nbytes: int) -> None:
            (scratch,) = self.folder.glob(".*.part")
            assert recording.read(scratch).attributes["gaps"] == 0
            self.before = [one.name for one in self.files()]
            admit(nbytes)

        super().put(name, write, admit_whole)
        self.after = self.files()


def test_the_old_ones_are_there_until_the_new_one_is_whole_and_the_budget_always_holds(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    budget = 2**18
    with plant(small_bundle, tmp_path / "kept") as works:
        shelf = Watching(works.shelf.folder)
        works.writer = works.write_on(shelf, budget)
        left: list[str] = []
        removed = 0
        for seed in range(1, 8):
            show_an_event(works, seed)
            works.record()
            assert shelf.before == left, "a kill while it was written would have cost none of them"
            left = [one.name for one in shelf.after]
            assert sum(one.nbytes for one in shelf.after) <= budget
            removed += len(shelf.before) + 1 - len(left)
        assert removed > 2


def test_one_that_is_larger_than_the_budget_is_refused_with_a_line(
    small_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with plant(small_bundle, tmp_path / "kept", mib=0.01) as works, caplog.at_level(logging.ERROR):
        for seed in (1, 2, 3):
            show_an_event(works, seed)
            assert works.record() == []
    assert failed(works.counts) == {"budget": 3}
    assert "recorder.mib" in caplog.text


def test_a_full_disk_is_told_once_and_counted_and_nothing_half_written_stays(
    small_bundle: Bundle, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with plant(small_bundle, small_disk) as works, caplog.at_level(logging.ERROR):
        ballast = small_disk / "ballast"
        fill(ballast, free=0)
        for seed in (1, 2, 3):
            show_an_event(works, seed)
            assert works.record() == []
        assert failed(works.counts) == {"disk": 3}
        assert caplog.text.count("cannot be written") == 1
        assert [one.name for one in small_disk.iterdir()] == ["ballast"]
        ballast.unlink()
        show_an_event(works, 4)
        assert len(works.record()) == 1


def test_a_disk_that_fills_while_a_recording_is_written_costs_that_recording_alone(
    small_bundle: Bundle, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """HDF5 ends the process where it cannot write what it holds back, so that the disk is to fill at many places."""
    with plant(small_bundle, small_disk) as works, caplog.at_level(logging.ERROR):
        for seed, pages in enumerate(range(2, 14, 2), 1):
            fill(small_disk / "ballast", free=4096 * pages)
            show_an_event(works, seed)
            assert works.record() == []
            assert [one.name for one in small_disk.iterdir()] == ["ballast"]
        assert failed(works.counts) == {"disk": 6}
        assert caplog.text.count("cannot be written: No space left on device") == 1


def test_on_a_full_disk_the_oldest_gives_way_to_the_newest(
    small_bundle: Bundle, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with plant(small_bundle, small_disk) as works, caplog.at_level(logging.WARNING):
        show_an_event(works, 1)
        (pinned,) = works.record()
        works.shelf.pin(pinned, Pin("ann"))
        names = []
        for seed in range(2, 12):
            show_an_event(works, seed)
            names += [name for name in works.record() if name not in names]
        assert names[0] == pinned
        assert len(names) == 11, "each was written"
        left = [one.name for one in works.shelf.files()]
        assert left[0] == pinned
        assert left[1:] == names[-len(left) + 1 :], "the newest are there"
        assert 2 < len(left) < 11
        assert failed(works.counts) == {}
        assert "the disk is full" in caplog.text


class FullDisk(Shelf):
    """So many times there is no room."""

    times = 0

    def put(
        self, name: str, write: Callable[[Path], object], admit: Callable[[int], object] = lambda nbytes: None
    ) -> None:
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        super().put(name, write, admit)


@pytest.mark.parametrize(("times", "written"), [(1, 1), (2, 0)])
def test_on_a_full_disk_it_is_tried_once_more(works: Plant, times: int, written: int) -> None:
    show_an_event(works, 1)
    (old,) = works.record()
    shelf = FullDisk(works.shelf.folder)
    shelf.times = times
    works.writer = works.write_on(shelf)
    show_an_event(works, 2)
    names = works.record()
    assert old not in names
    assert len(names) == written
    assert failed(works.counts) == ({} if written else {"disk": 1})
