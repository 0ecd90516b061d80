"""Events are read piece by piece, from what is kept or recorded, and nothing is written."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from daemon_example import some_config
from frames import normal
from taxonomy_example import kept, kind_row, put, store_of, written
from test_taxonomy_group import add
from test_taxonomy_group import events as some_events

from models.taxonomy.tree import POINTS_MAX
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.taxonomy import events
from monitor.taxonomy.events import AT_ONCE, EVENTS_MAX, CompareError, Event, Pieces, recorded
from monitor.taxonomy.store import Store, Writing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        yield made


def all_of(given: Pieces) -> tuple[list[Event], np.ndarray]:
    pieces = list(given.pieces)
    assert all(0 < len(some) == len(frames) <= AT_ONCE for some, frames in pieces)
    return [one for some, _ in pieces for one in some], np.concatenate([frames for _, frames in pieces])


def test_as_many_events_as_a_tree_takes_are_looked_at() -> None:
    assert EVENTS_MAX == POINTS_MAX


def test_kept_events_come_with_their_frames_and_the_names_of_their_kinds(
    tmp_path: Path, store: Store, small_bundle: Bundle
) -> None:
    add(store, *some_events(1, 40, "spot"), kept(41, np.zeros((8, 8), np.uint8)))
    put(store, kind_row(1, (1, 2), name="spatter"), kind_row(2, (3,)))
    given = events.kept(some_config(tmp_path), small_bundle)
    found, frames = all_of(given)
    assert given.left_out == 1
    assert [one.id for one in found] == list(range(1, 41))
    assert [one.kind for one in found[:4]] == ["spatter", "spatter", "", ""]
    assert frames.shape == (40, 32, 32)
    np.testing.assert_array_equal(frames[7], store.pixels(8))


def test_an_event_that_is_dropped_meanwhile_is_not_there(tmp_path: Path, store: Store, small_bundle: Bundle) -> None:
    add(store, *some_events(1, 9, "spot"))
    given = events.kept(some_config(tmp_path), small_bundle)
    store.write(Writing([], [], [], [4], store.counts()))
    assert [one.id for one in all_of(given)[0]] == [1, 2, 3, 5, 6, 7, 8, 9]


def test_normal_frames_are_no_events(tmp_path: Path, store: Store, small_bundle: Bundle) -> None:
    store.write(written([kept(1, normal(1, 3)[0], normal=True, event=None, epoch="")]))
    assert list(events.kept(some_config(tmp_path), small_bundle).pieces) == []


def test_before_the_first_start_there_are_no_events(tmp_path: Path, small_bundle: Bundle) -> None:
    with pytest.raises(CompareError, match="there are no events yet"):
        events.kept(some_config(tmp_path), small_bundle)


def test_each_recorded_frame_is_an_event() -> None:
    recordings = [Recording("one", normal(40, 0)), Recording("two", normal(3, 1))]
    found, frames = all_of(recorded(recordings))
    assert [one.id for one in found] == list(range(1, 44))
    assert [(one.stream, one.seq) for one in found[38:42]] == [("one", 38), ("one", 39), ("two", 0), ("two", 1)]
    np.testing.assert_array_equal(frames[41], recordings[1].frames[1])


def test_of_too_many_recorded_frames_some_are_taken_spread_evenly() -> None:
    frames = np.broadcast_to(np.arange(7000, dtype=np.uint16)[:, None, None], (7000, 2, 2))
    given = recorded([Recording("one", frames[:2000]), Recording("two", frames[2000:])])
    found, pixels = all_of(given)
    taken = pixels[:, 0, 0]
    assert (len(found), given.left_out) == (EVENTS_MAX, 2000)
    assert (taken[0], taken[-1]) == (0, 6999)
    assert set(np.diff(taken).tolist()) <= {1, 2}
    assert {one.stream for one in found} == {"one", "two"}
