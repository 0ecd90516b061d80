"""What the benchmark of the taxonomy counts and writes, on events that need no camera."""

from pathlib import Path

import numpy as np
import pytest
from frames import brighter, normal, with_spot

from monitor.bundle import Bundle
from tests.benchmarks import grouping_beside
from tests.benchmarks.document import replaced
from tests.benchmarks.grouping_beside import ALONE, BESIDE, Measured
from tests.benchmarks.taxonomy import grouping, stem
from tests.benchmarks.taxonomy.__main__ import PLACES, texts
from tests.benchmarks.taxonomy.events import FALSE, Found
from tests.benchmarks.taxonomy.figures import Cost, Figures, Way
from tests.benchmarks.taxonomy.grouping import Grouped, Parts
from tests.benchmarks.taxonomy.measures import (
    DEFAULT,
    WAYS,
    held_against_truth,
    lasting,
    naming,
    scene,
    through_reservoir,
)
from tests.benchmarks.taxonomy.started import Whole
from tests.models.taxonomy_examples import groups

DOCUMENT = Path(__file__).parents[1] / "docs" / "taxonomy.md"
NAMES = ("plume", "splash", "stripes")


def found(sizes: tuple[int, ...] = (60, 60, 60), seed: int = 0) -> Found:
    """Events of three kinds that lie far apart."""
    points, kinds = groups(sizes, seed=seed, apart=10.0)
    return Found(points.astype(np.float32), np.array(NAMES)[kinds], dict.fromkeys(NAMES, 60))


def test_a_kind_is_found_where_a_cluster_has_most_of_it_and_is_mostly_it() -> None:
    kinds = np.array(["a"] * 6 + ["b"] * 8 + ["c"] * 3 + [FALSE] * 2)
    labels = np.array([0] * 6 + [1] * 5 + [2] * 3 + [1] * 3 + [2, -1])
    counted = held_against_truth(labels, kinds, seed=1)
    assert (counted.events, counted.kinds, counted.found, counted.told, counted.spurious) == (17, 2, 2, 3, 1)
    assert counted.few == 1
    assert 0 < counted.ari < 1


def test_what_is_in_no_cluster_is_in_no_group_with_others() -> None:
    kinds = np.array(["a"] * 5 + ["b"] * 5)
    apart = held_against_truth(np.array([0] * 5 + [-1] * 5), kinds, seed=1)
    together = held_against_truth(np.array([0] * 5 + [1] * 5), kinds, seed=1)
    assert apart.ari < together.ari == 1.0
    assert apart.found == 1


def test_rare_kinds_of_a_scene_have_five_to_eight_events() -> None:
    taken = scene(found(), NAMES[:2], NAMES[1:2], np.random.default_rng(0))
    assert set(taken.kinds) == {"plume", "splash"}
    assert 5 <= (taken.kinds == "splash").sum() <= 8
    assert (taken.kinds == "plume").sum() == 60


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_finds_kinds_that_lie_far_apart(way: str) -> None:
    events = found()
    assert held_against_truth(WAYS[way](events.points), events.kinds, 0).ari > 0.9


def test_what_goes_through_the_reservoir_is_named_all_the_same() -> None:
    events = found((250, 150, 12))
    assert held_against_truth(through_reservoir(events.points), events.kinds, 0).found == 3


def test_identities_of_kinds_far_apart_last_and_one_comes_back() -> None:
    last = lasting(found((100, 100, 100)), seed=0, runs=10, room=90, vanished="splash", away=range(4, 7))
    assert last.found == last.kept == last.looked_for > 20
    assert last.back
    assert last.ids == 3


def test_events_of_kinds_far_apart_are_named_and_strangers_are_not() -> None:
    named = naming(found(), NAMES, seed=0)
    assert named.right > 0.85
    assert named.wrong == pytest.approx(0.0)
    assert min(named.strangers.values()) > 0.9


def test_the_document_has_a_place_for_every_table() -> None:
    events = found()
    result = held_against_truth(WAYS[DEFAULT](events.points), events.kinds, 7)
    figures = Figures(
        session_frames=1000,
        shown={"plume": [3]},
        sessions=[Way(scene="sessions", way=DEFAULT, results=[result])],
        scenes=[Way(scene="six kinds", way=DEFAULT, results=[result, result])],
        lasting=[lasting(found((20, 20, 20)), 0, 4, 60, "plume", range(2, 3))],
        naming=[naming(events, NAMES, 7)],
        cost=[Cost(what="tree, ward", seconds=1.25, mib=400.0, of_which_before=150.0)],
        naming_us=20.0,
        embedding_ms=0.25,
    )
    written = texts(figures)
    assert tuple(written) == PLACES
    document = DOCUMENT.read_text()
    for place, text in written.items():
        document = replaced(document, place, text)
    assert "| 7 | 180 |" in document
    assert "| tree, ward | 1.2 s | 400 MiB | 150 MiB |" in document


def test_the_document_has_a_place_for_the_whole_process_and_for_the_microscope() -> None:
    events = found()
    result = held_against_truth(WAYS[DEFAULT](events.points), events.kinds, 7)
    way = Way(scene="STEM images", way=DEFAULT, results=[result])
    told = stem.text_of(
        stem.Figures(frames=1000, shown={"vacancy": [9]}, events={"none": [2], "vacancy": [8]}, ways=[way])
    )
    whole = grouping.text_of([Grouped(5000, 9, Whole(8.0, 6.04, 416.4), Parts(2.3, 1.96, 295))])
    document = replaced(replaced(DOCUMENT.read_text(), stem.PLACE, told), grouping.PLACE, whole)
    assert "| vacancy | 9 / 8 |" in document
    assert "| none | - / 2 |" in document
    assert "| 5,000 | 2.3 s | 295 | 2.0 s | 8.0 s | 6.0 s | 416 MiB | 9 |" in document


def test_as_many_groups_as_there_are_kinds_are_cut_where_that_is_asked_for() -> None:
    points, kinds = groups((30,) * 6, seed=0, apart=10.0)
    events = Found(points.astype(np.float32), np.array(stem.KINDS)[kinds], {})
    assert held_against_truth(stem.grouped(stem.AS_MANY, events), events.kinds, 0).ari > 0.95


def test_a_whole_grouping_is_measured_in_a_process_of_its_own(tmp_path: Path, small_bundle: Bundle) -> None:
    frames = np.concatenate([with_spot(normal(12, 5)), brighter(normal(12, 6))])
    one = grouping.grouped(tmp_path / "melt.kinds.db", small_bundle, frames)
    assert (one.events, one.kinds) == (24, 2)
    assert one.whole.cpu_s > 0
    assert 50 < one.whole.mib < 600


def test_runs_in_turn_are_told_with_their_medians_and_within_what_they_lay() -> None:
    runs = [
        Measured(sort, 100, 0, p50, 2 * p50, 3 * p50, 0.5, float(sort == BESIDE))
        for sort, p50 in ((ALONE, 1.0), (BESIDE, 1.5), (ALONE, 2.0), (BESIDE, 3.5), (ALONE, 1.2), (BESIDE, 1.8))
    ]
    text = grouping_beside.text_of(runs)
    assert text.count("| beside a grouping |") == 3
    assert "p99: 2.40 ms (2.00 to 4.00) alone, 3.60 ms (3.00 to 7.00) beside a grouping: 1.50 times as long" in text
