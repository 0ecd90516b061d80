"""Maps of layers: each layer's own, on one lattice a job, and no more of them than fit."""

import sys
from typing import Any

import numpy as np
import pytest

from monitor.history.layer_map import LAYERS, NO_LAYER, Frames, LayerMap, Shown, Worst


def frames(ratio: Any, xy: Any = None, seq: int = 0) -> Frames:
    """Frames with joint scores *ratio*, those above 1 over a limit."""
    scores = np.atleast_1d(np.asarray(ratio, np.float32))
    places = np.full((len(scores), 2), np.nan) if xy is None else np.broadcast_to(xy, (len(scores), 2))
    return Frames(np.arange(seq, seq + len(scores)), scores, scores > 1, np.asarray(places, np.float32).T)


def shown(layers: LayerMap, *which: Any) -> Shown:
    found = layers.show(*which)
    assert found is not None
    return found


def at(found: Shown, x: float, y: float) -> tuple[float, int]:
    """The largest score at a place, and its number of frames."""
    assert found.window is not None
    assert found.cells is not None
    (cell,) = found.window.cells(np.array([[x], [y]]))
    return float(found.cells.ratio[cell]), int(found.cells.judged[cell])


def test_a_layer_shows_where_its_scores_were_high() -> None:
    layers = LayerMap()
    layers.add("part", 3, frames([0.5, 0.25], [(1.0, 2.0), (1.5, 2.0)]), 10)
    layers.add("part", 3, frames(2.0, (1.0, 2.0), seq=7), 20)
    found = shown(layers)
    assert (found.jobs, found.job, found.layers, found.number, found.since_ns) == (["part"], "part", [3], 3, 10)
    assert at(found, 1.0, 2.0) == (2.0, 2)
    assert at(found, 1.5, 2.0) == (0.25, 1)
    assert found.summary == found.job_summary
    assert (found.summary.judged, found.summary.exceeding) == (3, 1)
    assert found.summary.worst == Worst(7, 2.0, (1.0, 2.0))
    assert (found.earlier, found.same_place) == ([], None)


def test_a_layer_that_is_seen_again_goes_on() -> None:
    layers = LayerMap()
    for number, ratio in ((1, 0.5), (2, 3.0), (1, 0.75)):
        layers.add("part", number, frames(ratio, (1.0, 1.0)), 10)
    found = shown(layers)
    assert (found.layers, found.number, at(found, 1.0, 1.0)) == ([1, 2], 1, (0.75, 2))
    assert found.earlier == [], "the one that began later is none"
    assert [one.number for one in shown(layers, "part", 2).earlier] == [1]


def test_the_layers_beneath_show_the_same_place_on_the_same_lattice() -> None:
    layers = LayerMap()
    for number in range(1, 14):
        layers.add("part", number, frames([number, 0.5], [(1.0, 1.0), (number * 10.0, 1.0)]), 10)
    found = shown(layers)
    assert found.window is not None
    assert found.same_place is not None
    (cell,) = found.window.cells(np.array([[1.0], [1.0]]))
    assert found.same_place.ratio[cell] == 12.0
    (forgotten,) = found.window.cells(np.array([[20.0], [1.0]]))  # layer 2 is eleven layers below
    assert found.same_place.judged[forgotten] == 0
    assert [one.number for one in found.earlier] == list(range(12, 0, -1))
    assert found.earlier[0].summary.worst == Worst(0, 12.0, (1.0, 1.0))


def test_frames_without_a_position_count_and_have_no_place() -> None:
    layers = LayerMap()
    layers.add("part", 1, frames([0.5, 4.0]), 10)
    found = shown(layers)
    assert (found.window, found.cells, found.summary.judged) == (None, None, 2)
    assert found.summary.worst == Worst(1, 4.0, None)
    layers.add("part", 1, frames([0.5, 0.5], [(1.0, 1.0), (np.inf, 1.0)]), 10)
    found = shown(layers)
    assert (at(found, 1.0, 1.0), found.summary.judged) == ((0.5, 1), 4)


def test_frames_that_name_no_layer_have_a_map_which_is_in_no_list() -> None:
    layers = LayerMap()
    layers.add("scan", NO_LAYER, frames(0.5, (3.0, 4.0)), 10)
    found = shown(layers)
    assert (found.layers, found.number, at(found, 3.0, 4.0)) == ([], NO_LAYER, (0.5, 1))


@pytest.mark.parametrize("which", [("other", None), ("part", 9), (None, 9)])
def test_what_is_not_there_is_not_shown(which: tuple[Any, ...]) -> None:
    layers = LayerMap()
    assert layers.show() is None
    layers.add("part", 1, frames(0.5), 10)
    assert layers.show(*which) is None


def test_the_job_seen_last_is_the_last_in_the_list() -> None:
    layers = LayerMap()
    for job in ("a", "b", "a"):
        layers.add(job, 1, frames(0.5), 10)
    assert shown(layers).jobs == ["b", "a"]
    assert shown(layers, "b").job == "b"


def test_the_layers_not_seen_for_the_longest_go_and_a_job_keeps_its_sums() -> None:
    layers = LayerMap(layers=3)
    layers.add("first", 1, frames(0.5, (1.0, 1.0)), 10)
    for number in (1, 2, 3, 1, 4):
        layers.add("second", number, frames(2.0, (1.0, 1.0)), 10)
    found = shown(layers)
    assert (found.jobs, found.layers) == (["second"], [1, 3, 4])
    assert (found.job_summary.judged, found.summary.judged) == (5, 1)


def test_memory_is_as_much_as_is_documented() -> None:
    layers = LayerMap()
    for number in range(LAYERS + 50):
        layers.add("part", number, frames(0.5, (1.0, 1.0)), 10)
    (job,) = layers._jobs.values()
    assert len(job.layers) == LAYERS
    cells = [layer.cells for layer in job.layers.values() if layer.cells is not None]
    assert sum(sys.getsizeof(array) for one in cells for array in one) < 26.5e6
