import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from frames import normal
from recorder_example import T_NS, Plant, fill, plant

from monitor.bundle import Bundle
from monitor.config import Config
from monitor.recorder import board
from monitor.recorder.archive import FOLDER, GROUP_NS, TRY_NS, WAITING_MOST, Archive
from monitor.recorder.config import Recorder
from monitor.recorder.process import about_of

SETTINGS = Recorder(archive=True)
FLIPS = 40


class Kept:
    """An archive beside a plant, whose files are written at once."""

    def __init__(self, works: Plant, bundle: Bundle, folder: Path, **settings: Any) -> None:
        self.works, self.folder = works, folder / FOLDER
        given = msgspec.structs.replace(SETTINGS, **settings)
        self.t_ns = T_NS
        about = about_of(Config(camera="cam"), bundle)
        self.archive = Archive(works.ring, given, folder, about, works.counts, self.wall_clock, works.clock)

    def wall_clock(self) -> int:
        self.t_ns += 10**9
        return self.t_ns

    def take_in(self, *, last: bool = False) -> None:
        """All frames up to now, in one group."""
        self.works.clock.now_ns += GROUP_NS
        self.archive.turn(self.works.ring.written, self.works.clock(), last=last)
        self.works.clock.now_ns += GROUP_NS
        self.archive.turn(self.works.ring.written, self.works.clock(), last=last)
        while not self.archive.groups.empty():
            group = self.archive.groups.get()
            assert group is not None
            self.archive.files.add(group)

    def finish(self) -> list[Path]:
        self.archive.files.finish()
        return self.files()

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))


@pytest.fixture
def kept(small_bundle: Bundle, tmp_path: Path) -> Any:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works:
        yield Kept(works, small_bundle, tmp_path / "kept")


def left_behind(kept: Kept) -> Path:
    """The stream of a process that ended in the middle of a job: three groups of 40 frames."""
    for seed in (1, 2, 3):
        kept.works.send(normal(40, seed), context="")
        kept.take_in()
    (stream,) = kept.folder.glob(".*.arrows.part")
    kept.archive.files.drop()
    return stream


def test_all_frames_are_archived_with_their_scores_by_job(kept: Kept, small_bundle: Bundle) -> None:
    works = kept.works
    works.send(normal(100, 1), context="", job="one", layer=3, xy=None)
    works.send(normal(20, 2), context="", job="one", active=False)
    kept.take_in()
    works.send(normal(50, 3), context="", job="two/../x")
    kept.take_in()
    one, two = kept.finish()
    assert [one.name.split("_")[1], two.name.split("_")[1]] == ["one.parquet", "two-..-x.parquet"]
    table = parquet.read_table(one)
    assert table["seq"].to_pylist() == list(range(120))
    assert table["layer"].to_pylist() == [3] * 100 + [None] * 20
    records = works.ring.records(0, 120)
    np.testing.assert_array_equal(table["t2"].to_pylist()[:100], records["t2"][:100])
    assert table["t2"].null_count == table["joint"].null_count == 20
    limit = small_bundle.limits[0].value
    np.testing.assert_allclose(table["t2_ratio"].to_pylist()[:100], records["t2"][:100] / limit, rtol=1e-5)
    latents = np.array(table["latents"].to_pylist()[:100])
    np.testing.assert_allclose(np.square(latents).sum(axis=1), records["t2"][:100], rtol=1e-4)
    assert table.schema.metadata[b"bundle"].decode() == small_bundle.sha256
    assert parquet.read_table(two)["seq"].to_pylist() == list(range(120, 170))
    assert board.counts(works.counts).archived == 170
    assert board.counts(works.counts).archive_files == 2


def test_a_kill_loses_the_last_group_at_most(kept: Kept, small_bundle: Bundle, tmp_path: Path) -> None:
    works, stream = kept.works, left_behind(kept)
    whole = stream.read_bytes()
    for cut, rows in ((len(whole) - 100, 80), (len(whole) // 2, 40), (700, 0)):
        stream.write_bytes(whole[:cut])
        found = Kept(works, small_bundle, tmp_path / "kept")
        found.archive.files.recover()
        files = found.files()
        assert [parquet.read_table(one).num_rows for one in files] == ([rows] if rows else [])
        assert not list(found.folder.glob(".*"))
        for one in files:
            one.unlink()


def test_a_job_goes_on_in_another_file_after_so_many_frames_or_seconds(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works:
        kept = Kept(works, small_bundle, tmp_path / "kept", archive_rows=1000, archive_s=100.0)
        for seed in range(4):
            works.send(normal(400, seed), context="")
            kept.take_in()
        assert [parquet.read_table(one).num_rows for one in kept.files()] == [1200]
        works.clock.now_ns += 100 * 10**9
        kept.archive.files.look()
        assert [parquet.read_table(one).num_rows for one in kept.files()] == [1200, 400]


def test_the_oldest_files_give_way(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works:
        kept = Kept(works, small_bundle, tmp_path / "kept", archive_mib=0.05)
        for number in range(5):
            works.send(normal(100, number), context="", job=f"job{number}")
            kept.take_in()
        names = [one.name for one in kept.finish()]
        assert names[-1].endswith("job4.parquet")
        assert 1 <= len(names) < 5
        assert sum(one.stat().st_size for one in kept.files()) <= 0.05 * 2**20


def test_what_the_disk_does_not_take_in_time_is_counted(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works:
        kept = Kept(works, small_bundle, tmp_path / "kept")
        for seed in range(WAITING_MOST + 4):
            works.send(normal(10, seed), context="")
            works.clock.now_ns += GROUP_NS
            kept.archive.turn(works.ring.written, works.clock())
            works.clock.now_ns += GROUP_NS
            kept.archive.turn(works.ring.written, works.clock())
        assert board.counts(works.counts).archive_missing == 40


def test_what_was_not_judged_is_null(kept: Kept) -> None:
    kept.works.send(normal(10, 1), context="")
    kept.works.send(normal(5, 2), context="", active=False)
    kept.take_in()
    (path,) = kept.finish()
    table = parquet.read_table(path)
    for name in ("t2", "t2_ratio", "joint", "where_row", "where_column", "latents"):
        assert table[name].is_null().to_pylist() == [False] * 10 + [True] * 5, name


def test_after_a_kill_it_goes_on_behind_what_is_written_and_counts_what_is_gone(
    kept: Kept, small_bundle: Bundle
) -> None:
    works = kept.works
    works.send(normal(100, 1), context="")
    kept.take_in()
    works.send(normal(50, 2), context="")
    works.clock.now_ns += GROUP_NS
    kept.archive.turn(works.ring.written, works.clock())  # copied, and killed before it is written
    kept.archive.files.drop()
    works.send(normal(30, 3), context="")
    second = Kept(works, small_bundle, kept.folder.parent)
    second.t_ns += 10**12
    second.archive.files.recover()
    second.take_in()
    second.finish()
    assert rows_of(second) == list(range(180)), "the ring still had them"
    second.archive.files.drop()
    for seed, count in ((4, 40), (5, works.ring.slots)):
        works.send(normal(count, seed), context="")
    third = Kept(works, small_bundle, kept.folder.parent)
    third.t_ns += 2 * 10**12
    third.take_in()
    third.finish()
    counts = board.counts(works.counts)
    assert counts.archive_missing == 40
    assert counts.archived + counts.archive_missing == works.ring.written
    assert rows_of(third) == [*range(180), *range(220, 220 + works.ring.slots)]


def rows_of(kept: Kept) -> list[int]:
    return [seq for path in kept.files() for seq in parquet.read_table(path)["seq"].to_pylist()]


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8])
def test_after_a_full_disk_it_goes_on_in_another_file_and_what_was_refused_is_counted(
    small_bundle: Bundle, small_disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, pages: int
) -> None:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works, caplog.at_level(logging.WARNING):
        kept = Kept(works, small_bundle, small_disk)
        sent: list[int] = []

        def send(groups: int) -> None:
            for _ in range(groups):
                sent.extend(range(works.seq, works.seq + 40))
                works.send(normal(40, len(sent)), context="")
                kept.take_in()

        send(3)
        fill(small_disk / "ballast", free=4096 * pages)
        send(8)
        missing = board.counts(works.counts).archive_missing
        assert missing > 0
        assert missing % 40 == 0, "a group is there, or it is not"
        (small_disk / "ballast").unlink()
        send(3)
        works.clock.now_ns += TRY_NS
        kept.archive.files.look()
        kept.finish()
        counts, rows = board.counts(works.counts), rows_of(kept)
        assert counts.archive_missing == missing, "there is room again"
        assert len(rows) == counts.archived == len(sent) - missing
        assert rows[:120] == sent[:120]
        assert rows[-120:] == sent[-120:]
        assert len(kept.files()) == 2
        assert list(kept.folder.glob(".*")) == []
        assert caplog.text.count("the archive cannot be written: ") == 1
        assert "damaged" not in caplog.text


def test_a_file_that_the_disk_refuses_to_finish_is_finished_once_there_is_room(
    small_bundle: Bundle, small_disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    with plant(small_bundle, tmp_path / "kept") as works:
        kept = Kept(works, small_bundle, small_disk)
        works.send(normal(40, 1), context="", job="one")
        kept.take_in()
        fill(small_disk / "ballast", free=0)
        assert kept.finish() == []
        (small_disk / "ballast").unlink()
        kept.archive.files.look()
        assert kept.files() == [], "a stream may be long: it is not tried at every look"
        works.clock.now_ns += TRY_NS
        kept.archive.files.look()
        assert rows_of(kept) == list(range(40))
        assert list(kept.folder.glob(".*")) == []


def damaged(whole: bytes) -> dict[str, bytes]:
    """Streams of three pieces of which something is not as it was written."""
    chance, half = random.Random(3), len(whole) // 2
    found = {
        "begins with zeros": bytes(200) + whole[200:],
        "zeros in the middle": whole[:half] + bytes(4096) + whole[half + 4096 :],
        "no Arrow at all": b"not a stream " * 50,
        "another behind it": whole + b"more",
    }
    for number in range(FLIPS):
        flipped = bytearray(whole)
        for _ in range(8):
            flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        found[f"flipped {number}"] = bytes(flipped)
    for number in range(FLIPS):  # where lengths and types stand
        flipped = bytearray(whole)
        flipped[chance.randrange(2000)] ^= 1 << chance.randrange(8)
        found[f"flipped at the beginning {number}"] = bytes(flipped)
    return found


def test_a_damaged_stream_is_set_aside_and_never_stops_the_archive(
    kept: Kept, small_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    works, stream = kept.works, left_behind(kept)
    whole = stream.read_bytes()
    aside = 0
    for what, content in damaged(whole).items():
        stream.write_bytes(content)
        caplog.clear()
        found = Kept(works, small_bundle, kept.folder.parent)
        found.archive.files.recover()
        set_aside = list(kept.folder.glob("*.damaged"))
        assert not list(kept.folder.glob(".*")), what
        assert [one.read_bytes() for one in set_aside] in ([], [content])
        assert caplog.text.count("is damaged") == len(set_aside), what
        assert set(map(len, map(parquet.read_table, found.files()))) <= {40, 80, 120}
        aside += len(set_aside)
        for one in (*set_aside, *found.files()):
            one.unlink()
    assert aside > 8, "what only changes a number reads as before; lengths, types and texts do not"


def test_what_is_before_a_damage_is_kept_and_what_is_set_aside_counts_as_bytes_of_the_archive(
    kept: Kept, small_bundle: Bundle
) -> None:
    kept.works.send(normal(40, 1), context="")
    kept.take_in()
    (stream,) = kept.folder.glob(".*.arrows.part")
    one_piece = stream.read_bytes()
    kept.works.send(normal(40, 2), context="")
    kept.take_in()
    kept.archive.files.drop()
    whole = stream.read_bytes()
    stream.write_bytes(one_piece + bytes(200) + whole[len(one_piece) + 200 :])
    Kept(kept.works, small_bundle, kept.folder.parent).archive.files.recover()
    assert rows_of(kept) == list(range(40))
    sizes = sum(one.stat().st_size for one in kept.folder.iterdir())
    assert len(list(kept.folder.iterdir())) == 2
    assert board.counts(kept.works.counts).archive_bytes == sizes


def test_its_thread_is_guarded(kept: Kept) -> None:
    raised, fatal = [], ValueError("a bug")

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except ValueError as error:
            raised.append(error)

    def fail() -> None:
        raise fatal

    kept.archive.files.recover = fail  # type: ignore[method-assign]
    kept.archive.start(guarded)
    kept.archive.close(10.0)
    assert raised == [fatal]


def test_its_files_are_plain_parquet(kept: Kept) -> None:
    kept.works.send(normal(30, 1), context="", job="part 7")
    kept.take_in(last=True)
    (path,) = kept.finish()
    assert pa.types.is_fixed_size_list(parquet.read_schema(path).field("latents").type)
