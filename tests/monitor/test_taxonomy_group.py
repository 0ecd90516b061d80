"""Grouping as it runs, on real frames through a real network: kinds last, and so does what people say of them."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from embedding_example import learned
from frames import brighter, normal, with_spot
from taxonomy_example import kept, store_of, written

from models.taxonomy import cut, tree
from monitor.bundle import Bundle
from monitor.taxonomy import config, group, shown, telling
from monitor.taxonomy import embedding as files
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.embedding import EmbeddingError
from monitor.taxonomy.found import FARTHEST, NEAREST
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.publish import publish
from monitor.taxonomy.records import Kept, Naming
from monitor.taxonomy.store import Store, Writing, page_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        yield made


@pytest.fixture
def task(tmp_path: Path, small_bundle: Bundle, store: Store) -> Task:
    return Task(str(tmp_path / "journal.kinds.db"), "melt", str(small_bundle.path), Taxonomy(), 0)


def events(first: int, count: int, kind: str) -> list[Kept]:
    """Events of one kind, each in a run of its own."""
    frames = np.concatenate([normal(0, 0), *(normal(1, 1000 + number) for number in range(first, first + count))])
    shown = with_spot(frames) if kind == "spot" else brighter(frames)
    return [kept(first + index, frame) for index, frame in enumerate(shown)]


def add(store: Store, *more: Kept) -> None:
    counts = store.counts()
    new = written(list(more))
    store.write(new._replace(counts=new.counts._replace(events=counts.events + len(more))))


def kind_of_each(store: Store) -> dict[int, int | None]:
    return {one.id: one.kind for one in store.samples("normal = 0")}


def test_the_choices_of_the_configuration_are_those_that_there_are() -> None:
    assert get_args(config.Linkage) == tree.LINKAGES
    assert get_args(config.Rule) == cut.RULES
    assert Taxonomy().least == cut.LEAST


def test_two_kinds_are_found_and_go_on_with_their_names_as_events_come_and_go(task: Task, store: Store) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    run = group.group(task)
    assert (run.kinds, run.discrete, run.points, run.events, run.upto) == (2, True, 22, 22, 22)
    spots, brights = (kind_of_each(store)[number] for number in (1, 13))
    assert spots is not None
    assert kind_of_each(store) == dict.fromkeys(range(1, 13), spots) | dict.fromkeys(range(13, 23), brights)
    store.act(spots, Naming("ann", "spatter", priority="high"), 5)
    add(store, *events(23, 8, "spot"))
    store.write(Writing([], [], [], list(range(1, 10)), store.counts()))
    assert group.group(task).number == 2
    kind = store.kind(spots)
    assert kind is not None
    assert (kind.name, kind.priority, kind.gone, len(kind.members)) == ("spatter", "high", 9, 11)
    assert {kind_of_each(store)[number] for number in range(23, 31)} == {spots}
    in_full = shown.in_full(store, spots)
    assert in_full is not None
    assert (in_full.kind.events, in_full.kind.held) == (20, 11)
    assert [change.what for change in in_full.changes] == ["born"]


def test_each_grouping_leaves_a_page_that_tells_of_its_kinds_and_what_became_of_them(task: Task, store: Store) -> None:
    page = page_of(Path(task.store))
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    assert "2 kinds among 22 events" in page.read_text()
    spots = kind_of_each(store)[1]
    assert spots is not None
    store.act(spots, Naming("ann", "spatter"), 5)
    group.group(task)
    told = page.read_text()
    assert "spatter" in told
    assert told.count("data:image/png;base64") >= 2 * (NEAREST + FARTHEST), "frames of events stand in it"
    left = sorted(path.name for path in page.parent.iterdir() if path.suffix in (".html", ".json", ".new"))
    assert left == [page.name, page.with_suffix(".json").name]


def test_a_page_that_cannot_be_written_is_told_in_one_line_and_the_kinds_are_there(task: Task, store: Store) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    page_of(Path(task.store)).mkdir()
    given = msgspec.json.encode(task)
    done = subprocess.run([sys.executable, "-m", "monitor.taxonomy.group"], input=given, capture_output=True)
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("they are grouped, but their page cannot be written: ")
    assert len(store.kinds()) == 2


def test_the_page_of_an_earlier_grouping_never_takes_the_place_of_a_later_one(
    task: Task, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    drawn, page = telling._taxonomy, page_of(Path(task.store))

    def another_meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(telling, "_taxonomy", drawn)
        add(store, *events(23, 5, "bright"))
        group.group(task)
        return drawn(*given)

    monkeypatch.setattr(telling, "_taxonomy", another_meanwhile)
    assert group.group(task).number == 1
    assert "2 kinds among 27 events" in page.read_text()


def test_a_page_for_which_there_is_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/page\.html'"):
        telling.write(tmp_path / "page.html", b"page")
    assert list(tmp_path.iterdir()) == []


def test_large_frames_are_shown_small_and_dropped_ones_dark(small_bundle: Bundle, store: Store) -> None:
    large = kept(1, np.arange(300 * 200, dtype=np.uint16).reshape(300, 200)).sample
    assert telling._small(None, large).shape == (100, 67)
    assert not telling._small(None, large).any()


def test_a_name_that_is_given_while_it_computes_is_kept(
    task: Task, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    find = group.find_kinds

    def name_and_find(*given: object) -> cut.Cut:
        store.act(1, Naming("ann", "spatter"), 5)
        return find(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(group, "find_kinds", name_and_find)
    group.group(task)
    assert [kind.name for kind in store.kinds()] == ["spatter", ""]


def test_kinds_survive_another_bundle_by_their_samples(task: Task, store: Store, small_bundle: Bundle) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    store.act(1, Naming("ann", "spatter"), 5)
    with store.transaction():  # as an older network with fewer latents would have left them
        rows = [kind._replace(space="cd" * 32, centre=np.zeros(3)) for kind in store.kinds()]
        rows.append(rows[0]._replace(id=9, state="dormant", members=frozenset((999,)), name="gone"))
        store.put_kinds(rows, 10)
    group.group(task)
    found = {kind.id: kind for kind in store.kinds()}
    assert (found[1].name, found[1].state, found[1].space) == ("spatter", "alive", small_bundle.sha256)
    assert (found[9].name, found[9].state, found[9].space, len(found[9].centre)) == ("gone", "dormant", "cd" * 32, 3)
    assert len(found) == 3


def test_kinds_outlive_another_embedding_by_their_samples_and_the_page_names_it(
    task: Task, store: Store, small_bundle: Bundle, tmp_path: Path
) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    store.act(1, Naming("ann", "spatter"), 5)
    before = {kind.id: kind.members for kind in store.kinds()}
    path = learned(tmp_path / "turned.safetensors", small_bundle)
    by_it = msgspec.structs.replace(task, settings=Taxonomy(embedding=str(path)))
    run = group.group(by_it)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (run.kinds, run.bundle, run.embedding) == (2, small_bundle.sha256, sha256)
    assert run.space not in (small_bundle.sha256, sha256)
    found = {kind.id: kind for kind in store.kinds()}
    assert {number: kind.members for number, kind in found.items()} == before
    assert (found[1].name, found[1].state, found[1].space, len(found[1].centre)) == ("spatter", "alive", run.space, 3)
    assert f"embedding {sha256[:12]}" in page_of(Path(task.store)).read_text()
    assert group.group(task).space == small_bundle.sha256, "and back"
    assert {kind.id: kind.members for kind in store.kinds()} == before


def test_an_embedding_that_was_replaced_or_is_for_other_frames_groups_nothing_and_says_so(
    task: Task, store: Store, small_bundle: Bundle, tmp_path: Path
) -> None:
    add(store, *events(1, 12, "spot"))
    path = learned(tmp_path / "turned.safetensors", small_bundle)
    settings = Taxonomy(embedding=str(path))
    with pytest.raises(EmbeddingError, match="was replaced while the daemon ran"):
        group.group(msgspec.structs.replace(task, settings=settings, embedding="ab" * 32))
    held = files.read(path)
    files.write(path, msgspec.structs.replace(held.about, height=64), held.embedding)
    with pytest.raises(EmbeddingError, match="is for frames of 64 x 32 uint8"):
        group.group(msgspec.structs.replace(task, settings=settings))
    assert store.runs() == []


def test_points_without_discrete_kinds_are_one_kind_but_never_in_the_place_of_several(task: Task, store: Store) -> None:
    add(store, *events(1, 30, "spot"))
    run = group.group(task)
    assert (run.discrete, run.kinds) == (False, 1)
    add(store, *events(31, 30, "bright"))
    assert group.group(task).kinds == 2
    store.write(Writing([], [], [], list(range(4, 31)), store.counts()))
    run = group.group(task)
    assert (run.discrete, run.kinds) == (False, 2), "neither has gone into the other"


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_events_are_no_kind(task: Task, store: Store, count: int) -> None:
    add(store, *events(1, count, "spot"))
    run = group.group(task)
    assert (run.points, run.kinds) == (count, 0)
    assert len(shown.overview(store).few) == count


def test_frames_that_no_longer_fit_the_bundle_are_left_out_and_counted(task: Task, store: Store) -> None:
    add(store, *events(1, 12, "spot"), kept(13), kept(14, np.zeros((32, 32), np.uint16)))
    run = group.group(task)
    assert (run.points, run.left_out) == (12, 2)


def test_a_kind_whose_frames_are_gone_was_last_seen_when_its_events_were(task: Task, store: Store) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    seen = [kind.last_t_ns for kind in store.kinds()]
    store.write(Writing([], [], [], list(range(1, 13)), store.counts()))
    group.group(task)
    assert [kind.last_t_ns for kind in store.kinds()] == seen


def test_the_pictures_know_every_leaf_and_normal_frame(task: Task, store: Store) -> None:
    usual = [kept(40 + index, frame, normal=True, epoch="", event=None) for index, frame in enumerate(normal(3, 77))]
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"), *usual)
    run = group.group(task)
    found = msgspec.json.decode(page_of(Path(task.store)).with_suffix(".json").read_bytes())
    root = found["tree"]["root"]
    assert (found["t_ns"], root["events"], found["map"]["ids"]) == (run.t_ns, 22, list(range(1, 23)))
    assert found["map"]["kinds"] == list(kind_of_each(store).values())
    assert (len(found["map"]["places"]), len(found["map"]["normal"])) == (22, 3)
    assert found["tree"]["cut_at"] < root["height"]
    assert {one["id"] for one in found["kinds"][0]["nearest"]} <= set(range(1, 13))
    assert {candidate["kinds"] for candidate in run.candidates} >= {2}


def test_living_kinds_of_the_bundle_become_a_table(task: Task, store: Store, small_bundle: Bundle) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    group.group(task)
    store.act(2, Naming("ann", "flash", priority="low"), 5)
    told = []
    publish(store.kinds(), small_bundle.sha256, lambda *columns: told.append(columns))
    publish(store.kinds(), "ef" * 32, lambda *columns: told.append(columns))
    publish(store.kinds(), small_bundle.sha256, lambda *columns: told.append(columns), centres=False)
    (sha256, ids, names, priorities, centres, radii), other, nowhere = told
    assert (nowhere[1:4], nowhere[4].shape) == ((ids, names, priorities), (2, 0))
    assert (sha256, ids, names, priorities) == (small_bundle.sha256, (1, 2), ("", "flash"), (None, "low"))
    assert (centres.dtype, len(centres), radii.shape) == (np.float32, 2, (2,))
    assert other[1] == (), "centres of another network mean nothing"


def test_the_process_groups_quietly_in_one_thread_and_imports_no_torch(task: Task, store: Store) -> None:
    add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    script = (
        "import os, sys; from monitor.taxonomy import group; status = group.main(); "
        "print(status, os.nice(0), 'torch' in sys.modules)"
    )
    given = msgspec.json.encode(msgspec.structs.replace(task, parent_pid=os.getpid()))
    done = subprocess.run([sys.executable, "-c", script], input=given, capture_output=True, check=True)
    assert (done.stdout.decode().split(), done.stderr) == (["0", str(os.nice(0) + group.NICE), "False"], b"")
    assert len(store.kinds()) == 2
