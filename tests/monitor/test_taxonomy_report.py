"""The pictures of the taxonomy: what is there is shown, in one file that fetches nothing, and as JSON."""

import base64
import io
import re

import msgspec
import numpy as np
import pytest
from PIL import Image
from taxonomy_examples import START_NS, some_taxonomy

from models.taxonomy.cut import DEFAULT, CutSettings, find_kinds
from models.taxonomy.identity import Change, Kinds, clusters_of, match
from models.taxonomy.tree import merges_up_to, nodes_below
from monitor.taxonomy.dendrogram import branches
from monitor.taxonomy.drawing import mark, time_ticks
from monitor.taxonomy.found import (
    FARTHEST,
    NEAREST,
    NO_KIND,
    Happened,
    Taxonomy,
    bins_of,
    cut_height,
    exemplars,
    kind_of,
    kinds_below,
    members_of,
    too_few,
)
from monitor.taxonomy.pictures import over_time
from monitor.taxonomy.report import render, to_json


@pytest.fixture(scope="module")
def given() -> Taxonomy:
    return some_taxonomy()


@pytest.fixture(scope="module")
def page(given: Taxonomy) -> str:
    return render(given)


def of_points(points: np.ndarray, settings: CutSettings = DEFAULT) -> Taxonomy:
    """What a first run finds among *points* (n, d), with grey frames for pictures."""
    count = len(points)
    cut, ids = find_kinds(points, settings), np.arange(count)
    kinds, _ = match(Kinds(), clusters_of(cut.labels, ids, points) if cut.discrete else [])
    frames = np.full((count, 12, 20), 7, np.uint8)
    return Taxonomy("melt", "ab" * 32, START_NS, kinds, cut, ids, points, START_NS + ids, frames)


def test_the_page_fetches_nothing_and_shows_names_without_doing_what_they_say(page: str) -> None:
    assert "http" not in re.sub(r'<meta http-equiv="[^>]*>', "", page)
    assert "<script" not in page
    assert "spatter &lt;above&gt;" in page
    assert "spatter <above>" not in page
    assert "from the gas nozzle, says Ann" in page
    assert "priority low" in page


def test_what_is_too_rare_for_a_kind_comes_first_and_all_parts_are_there(page: str) -> None:
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert heads == [
        "Too few to be a kind",
        "Kinds",
        "Kinds over time",
        "Map",
        "Tree",
        "Why this many kinds",
        "Births, splits, mergers, deaths",
    ]


def test_json_says_what_the_page_shows(given: Taxonomy) -> None:
    told = msgspec.json.decode(to_json(given))
    assert (told["v"], told["camera"], told["events"], told["discrete"]) == (1, "melt", len(given.ids), True)
    sizes = [kind["events"] for kind in told["kinds"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) + told["too_few"]["count"] == told["events"]
    [named] = [kind for kind in told["kinds"] if kind["named"]]
    assert (named["id"], named["name"], named["priority"]) == (1, "spatter <above>", "low")
    assert sum(sum(one["counts"]) for one in told["over_time"]["counts"]) == told["events"]
    assert len(told["map"]["places"]) == len(told["map"]["kinds"]) == told["events"]
    assert [one["kinds"] for one in told["cuts"] if one["chosen"]] == [given.cut.chosen]
    assert {"born", "survived"} <= {one["what"] for one in told["changes"]}
    assert told["tree"]["root"]["events"] == given.cut.tree.leaves


def test_pictures_in_json_are_png_of_the_events_frames(given: Taxonomy) -> None:
    event = msgspec.json.decode(to_json(given))["kinds"][0]["nearest"][0]
    head, _, body = event["picture"].partition(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))).astype(float)
    frame = given.pixels[given.ids.tolist().index(event["id"])].astype(float)
    assert np.corrcoef(shown.ravel(), frame.ravel())[0, 1] > 0.99


def test_exemplars_are_the_nearest_to_the_centre_and_the_farthest_and_none_is_both(given: Taxonomy) -> None:
    for kind in given.kinds.alive:
        some, rows = exemplars(given, kind), members_of(given, kind)
        distances = np.linalg.norm(given.points - kind.centre, axis=1)
        assert distances[some.nearest].tolist() == sorted(distances[rows].tolist())[: len(some.nearest)]
        assert len(some.farthest) == min(max(len(rows) - NEAREST, 0), FARTHEST)
        assert all(distances[one] == distances[rows].max() for one in some.farthest[:1])
        assert not set(some.nearest.tolist()) & set(some.farthest.tolist())


def test_strays_are_too_few_and_of_no_kind(given: Taxonomy) -> None:
    assert sorted(too_few(given).tolist()) == [0, 1, 2]
    assert kind_of(given)[:3].tolist() == [NO_KIND] * 3


def test_the_line_of_the_cut_parts_the_tree_into_the_kinds_that_were_chosen(given: Taxonomy) -> None:
    at, tree = cut_height(given.cut), given.cut.tree
    assert at is not None
    groups = [node for node in nodes_below(tree, merges_up_to(tree, at)) if tree.size(node) >= 4]
    assert len(groups) == given.cut.chosen


def test_a_cut_at_a_share_of_the_height_is_drawn_between_the_kinds(given: Taxonomy) -> None:
    cut = find_kinds(given.points, CutSettings(rule="share", share=0.5))
    at = cut_height(cut)
    assert at is not None
    assert at == pytest.approx(0.5 * cut.tree.height, rel=0.5)


@pytest.mark.parametrize("most", [1, 2, 7, 60, 1000])
def test_the_drawn_tree_holds_every_event_once_and_no_more_branches_than_fit(given: Taxonomy, most: int) -> None:
    tree = given.cut.tree
    root = branches(tree, kinds_below(given.cut, kind_of(given)), most)
    assert root is not None
    ends, waiting = [], [root]
    while waiting:
        one = waiting.pop()
        waiting += one.children
        ends += [] if one.children else [one]
    assert len(ends) == min(most, tree.leaves)
    assert sum(end.size for end in ends) == tree.leaves
    assert sorted(end.x for end in ends) == list(range(len(ends)))


BLOBS = np.random.default_rng(0).normal(0, 0.05, (40, 3)) + np.repeat(np.eye(3)[:2], 20, axis=0)
WITH_NAN = np.where(np.arange(40)[:, None] == 5, np.nan, BLOBS)


@pytest.mark.parametrize(
    ("points", "settings", "headline"),
    [
        (np.empty((0, 3)), CutSettings(), "No kinds among 0 events"),
        (np.zeros((1, 3)), CutSettings(), "No kinds among 1 event"),
        (np.zeros((2, 3)), CutSettings(), "No kinds among 2 events"),
        (np.zeros((30, 3)), CutSettings(), "No kinds among 30 events"),
        (np.random.default_rng(1).normal(0, 1, (60, 3)), CutSettings(), "No kinds among 60 events"),
        (np.full((4, 3), np.nan), CutSettings(), "No kinds among 4 events"),
        (BLOBS, CutSettings(), "2 kinds among 40 events"),
        (BLOBS, CutSettings(rule="share", linkage="average"), "2 kinds among 40 events"),
        (WITH_NAN, CutSettings(), "2 kinds among 40 events"),
    ],
    ids=["none", "one", "two", "all alike", "a cloud", "no numbers", "two kinds", "at a share", "one without numbers"],
)
def test_whatever_was_found_is_shown(points: np.ndarray, settings: CutSettings, headline: str) -> None:
    given = of_points(points, settings)
    page, told = render(given), msgspec.json.decode(to_json(given))
    assert headline in page
    assert ("left out" in page) == bool(np.isnan(points).any())
    assert told["discrete"] == (not headline.startswith("No"))


def test_kinds_that_are_gone_are_told_of() -> None:
    given = of_points(BLOBS)
    kinds, changes = match(given.kinds, [])
    page = render(given._replace(kinds=kinds))
    assert [one.what for one in changes] == ["died", "died"]
    assert "Kinds without events now" in page
    assert "dormant: it may return" in page


def test_a_kind_that_the_last_run_found_is_marked_as_born(given: Taxonomy) -> None:
    after = int(2 * given.seen_ns.max() - given.seen_ns.min())
    kind = given.kinds.alive[0].id
    drawn = over_time(given._replace(t_ns=after, changes=(Happened(after, Change("born", kind)),)))
    assert "<title>born " in drawn


def test_marks_differ_among_the_first_28_kinds() -> None:
    assert len({mark(0, 0, kind) for kind in range(1, 29)}) == 28


def test_every_event_is_in_a_stretch_of_time_the_last_one_too(given: Taxonomy) -> None:
    edges, places = bins_of(given, 10)
    assert (len(edges), places.min(), places.max()) == (11, 0, 9)
    alone = given._replace(seen_ns=given.seen_ns[:1], ids=given.ids[:1])
    assert bins_of(alone, 10)[1].tolist() == [0]


@pytest.mark.parametrize(
    ("span_s", "words"),
    [
        (10, ["00:00:00", "00:00:05"]),
        (3600, ["00:00", "00:15", "00:30", "00:45"]),
        (2 * 86_400, ["01-01 00:00", "01-01 06:00", "01-01 12:00", "01-01 18:00"]),
        (7 * 86_400, ["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"]),
    ],
)
def test_times_are_told_at_round_ones(span_s: int, words: list[str]) -> None:
    assert [told for _, told in time_ticks(0, span_s * 1e9)][: len(words)] == words
