"""The tree of points, with a stated answer for every odd set of them."""

import tracemalloc

import numpy as np
import pytest

from models.taxonomy.tree import (
    LINKAGES,
    POINTS_MAX,
    Linkage,
    Tree,
    bytes_needed,
    grow,
    labels_of,
    merges_up_to,
    nodes_below,
)
from tests.models.taxonomy_examples import groups

every_linkage = pytest.mark.parametrize("linkage", LINKAGES)


def cut_in(tree: Tree, count: int) -> list[set[int]]:
    """The leaves of *tree* in so many groups."""
    return [set(tree.members(node).tolist()) for node in nodes_below(tree, tree.leaves - count)]


@every_linkage
def test_groups_far_apart_are_found(linkage: Linkage) -> None:
    points, kinds = groups((20, 30, 5))
    tree = grow(points, linkage)
    expected = sorted(sorted(np.flatnonzero(kinds == kind).tolist()) for kind in range(3))
    assert sorted(sorted(found) for found in cut_in(tree, 3)) == expected


@every_linkage
def test_heights_rise_and_every_leaf_is_below_one_node(linkage: Linkage) -> None:
    points, _ = groups((8, 9))
    tree = grow(points, linkage)
    assert (np.diff(tree.merges[:, 2]) >= 0).all()
    for merges in range(len(tree.merges) + 1):
        nodes = nodes_below(tree, merges)
        assert len(nodes) == tree.leaves - merges
        assert sorted(leaf for node in nodes for leaf in tree.members(node)) == list(range(17))
        assert (np.bincount(labels_of(tree, nodes)) == [tree.size(node) for node in nodes]).all()


@every_linkage
def test_points_that_are_not_finite_are_left_out_and_told(linkage: Linkage) -> None:
    points, _ = groups((6, 6))
    points[3, 1], points[7, 0] = np.nan, -np.inf
    tree = grow(points, linkage)
    assert tree.left_out.tolist() == [3, 7]
    assert tree.rows.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    np.testing.assert_array_equal(tree.merges, grow(np.delete(points, (3, 7), axis=0), linkage).merges)


@every_linkage
@pytest.mark.parametrize("count", [0, 1])
def test_no_point_and_one_point_make_a_tree_without_merges(linkage: Linkage, count: int) -> None:
    tree = grow(np.zeros((count, 3)), linkage)
    assert (tree.leaves, len(tree.merges), tree.height) == (count, 0, 0.0)
    assert len(nodes_below(tree, 0)) == count


@every_linkage
def test_points_that_are_all_alike_merge_at_height_0(linkage: Linkage) -> None:
    tree = grow(np.full((9, 4), 2.5), linkage)
    assert tree.height == 0.0
    assert cut_in(tree, 1) == [set(range(9))]


@every_linkage
def test_duplicates_merge_before_anything_else(linkage: Linkage) -> None:
    points, _ = groups((5, 5))
    tree = grow(np.concatenate((points, points)), linkage)
    assert {frozenset(found) for found in cut_in(tree, 10)} == {frozenset((row, row + 10)) for row in range(10)}
    assert merges_up_to(tree, 0.0) == 10


def bridged() -> tuple[np.ndarray, set[int]]:
    """Two dense groups with single points strung between them, and which points are of the first group."""
    rng = np.random.default_rng(1)
    left, right = rng.normal((0, 0), 0.4, (40, 2)), rng.normal((12, 0), 0.4, (40, 2))
    bridge = np.column_stack((np.linspace(1.0, 11.0, 41), np.zeros(41)))
    return np.concatenate((left, right, bridge)), set(range(40))


def test_single_linkage_chains_through_points_between_two_groups() -> None:
    points, first = bridged()
    parts = cut_in(grow(points, "single"), 2)
    assert not any(first <= part and not part & set(range(40, 80)) for part in parts)


@pytest.mark.parametrize("linkage", ["average", "complete", "ward"])
def test_other_linkages_keep_two_groups_apart_whatever_lies_between_them(linkage: Linkage) -> None:
    points, first = bridged()
    parts = cut_in(grow(points, linkage), 2)
    assert any(first <= part and not part & set(range(40, 80)) for part in parts)


def test_more_points_than_the_bound_are_refused_before_memory_is_taken() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"{POINTS_MAX + 1} points: at most {POINTS_MAX}"):
            grow(np.zeros((POINTS_MAX + 1, 2)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_bound_keeps_memory_below_what_a_clustering_may_take() -> None:
    assert bytes_needed(POINTS_MAX) < 200 << 20
    assert bytes_needed(0) == bytes_needed(1) == 0


def test_points_are_left_as_they_are() -> None:
    points, _ = groups((5, 5))
    before = points.copy()
    grow(points)
    np.testing.assert_array_equal(points, before)


def test_a_leaf_that_is_below_no_node_has_no_label() -> None:
    points, _ = groups((4, 4))
    tree = grow(points)
    nodes = nodes_below(tree, tree.leaves - 2)[:1]
    assert sorted(set(labels_of(tree, nodes).tolist())) == [-1, 0]
