"""Ways to group side by side: each finds what is clear, answers odd sets of points, and is held against labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from models.taxonomy.cut import DEFAULT, FEW, LEFT_OUT, NO_KINDS, CutSettings
from models.taxonomy.tree import LINKAGES
from models.taxonomy.ways import NAMES, Name, Numbers, Way, against, group, numbered_like
from tests.models.taxonomy_examples import blob, centres, groups

every_way = pytest.mark.parametrize("name", NAMES)


@every_way
def test_groups_far_apart_are_found_with_their_number(name: Name) -> None:
    points, kinds = groups((30, 20, 25), apart=12.0)
    way = group(points, name, DEFAULT)
    assert (way.name, way.groups, way.discrete, way.few) == (name, 3, True, 0)
    assert adjusted_rand_score(kinds, way.labels) == 1.0
    assert np.bincount(way.labels).tolist() == [30, 25, 20], "numbered by their size"
    assert way.silhouette > 0.5
    assert way.chosen == 3
    assert dict(way.silhouettes)[3] == max(dict(way.silhouettes).values())


def test_each_way_says_what_chose_the_number() -> None:
    points, _ = groups((30, 20, 25), apart=12.0)
    found = {name: group(points, name, DEFAULT) for name in NAMES}
    assert {name: way.by for name, way in found.items()} == {
        **dict.fromkeys(LINKAGES, "rule"), "k-means": "silhouette", "k-medoids": "silhouette",
        "gaussian mixture": "BIC",
    }  # fmt: skip
    assert "elbow of the cost is at 3" in found["k-means"].why
    assert "least BIC" in found["gaussian mixture"].why
    assert [way.curve is None for way in found.values()] == [True] * 4 + [False] * 3


@every_way
def test_a_cloud_of_many_dimensions_has_no_kinds_by_any_way(name: Name) -> None:
    way = group(blob(150, 12), name, DEFAULT)
    assert not way.discrete
    assert way.why.startswith("no discrete kinds")


def test_partitions_of_a_cloud_are_told_nevertheless() -> None:
    way = group(blob(150, 12), "k-means", DEFAULT)
    assert way.groups >= 2
    assert f"less than {NO_KINDS}" in way.why


@every_way
def test_all_ways_find_as_many_groups_as_they_are_told(name: Name) -> None:
    points, _ = groups((30, 20, 25, 15), apart=8.0)
    for count in (2, 4):
        way = group(points, name, DEFAULT, Numbers(told=count))
        assert (way.groups, way.by, way.chosen) == (count, "told", count)


def test_a_tree_that_cannot_be_cut_into_so_many_groups_is_undivided_and_says_so() -> None:
    points, _ = groups((6, 6), apart=9.0)
    way = group(points, "ward", DEFAULT, Numbers(told=9))
    assert (way.groups, way.discrete) == (1, False)
    assert "no cut into 9 groups of 4 points each" in way.why


@every_way
def test_no_more_groups_are_tried_than_were_asked_for(name: Name) -> None:
    points, _ = groups((30, 20, 25, 15), apart=8.0)
    way = group(points, name, DEFAULT, Numbers(most=3))
    if way.curve is not None:
        assert way.curve.counts == (1, 2, 3)


@every_way
def test_one_point_is_one_group_without_kinds(name: Name) -> None:
    way = group(np.array([[1.0, 2.0]]), name, DEFAULT)
    assert (way.labels.tolist(), way.discrete, way.silhouette) == ([0], False, -1.0)


@every_way
@pytest.mark.parametrize("points", [np.empty((0, 3)), np.full((4, 3), np.nan)], ids=["no points", "none finite"])
def test_no_points_are_refused(name: Name, points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no point is finite"):
        group(points, name, DEFAULT)


@every_way
def test_points_that_are_all_alike_have_no_kinds(name: Name) -> None:
    way = group(np.ones((40, 3)), name, DEFAULT)
    assert not way.discrete
    assert way.groups >= 1


@every_way
def test_two_sets_of_duplicates_are_two_kinds(name: Name) -> None:
    way = group(np.repeat(centres(2), (20, 9), axis=0), name, DEFAULT)
    assert way.discrete
    assert np.bincount(way.labels).tolist() == [20, 9]


@every_way
def test_points_that_are_not_finite_are_left_out_and_change_nothing(name: Name) -> None:
    points, _ = groups((20, 20), apart=9.0)
    broken = np.insert(points, (3, 30), np.nan, axis=0)
    way = group(broken, name, DEFAULT)
    assert np.flatnonzero(way.labels == LEFT_OUT).tolist() == [3, 31]
    np.testing.assert_array_equal(way.labels[way.labels != LEFT_OUT], group(points, name, DEFAULT).labels)


def test_more_groups_than_points_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="3 points cannot be in 5 groups"):
        group(np.eye(3), "k-means", DEFAULT, Numbers(told=5))


@every_way
def test_the_points_may_be_taken_as_they_are(name: Name) -> None:
    points, kinds = groups((30, 20, 25), apart=12.0)
    assert adjusted_rand_score(kinds, group(points, name, CutSettings(variance=1.0)).labels) > 0.9


# Against labels

LABELS = st.lists(st.tuples(st.integers(-2, 4), st.sampled_from(["", "a", "b", "c"])), min_size=1, max_size=40)


def test_only_labelled_points_count_and_what_is_kept_apart_is_alone() -> None:
    held = against(np.array([0, 0, 1, 1, FEW, FEW, LEFT_OUT]), ["a", "a", "b", "", "b", "b", "a"])
    assert held is not None
    assert held.labelled == 5
    assert held.agreement.ari == adjusted_rand_score(["a", "a", "b", "b", "b"], [0, 0, 1, 2, 3])


@pytest.mark.parametrize("truth", [["", "", ""], ["a", "a", ""], ["a", "", "a"]])
def test_labels_that_are_all_the_same_tell_nothing(truth: list[str]) -> None:
    assert against(np.array([0, 1, 1]), truth) is None


@given(LABELS, st.permutations(range(5)))
def test_agreement_depends_on_who_is_with_whom_and_not_on_numbers(
    pairs: list[tuple[int, str]], order: list[int]
) -> None:
    labels, truth = np.array([one for one, _ in pairs]), [one for _, one in pairs]
    renamed = np.where(labels >= 0, np.array(order)[np.maximum(labels, 0)], labels)
    one, other = against(labels, truth), against(renamed, truth)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.labelled == other.labelled
        assert one.agreement == pytest.approx(other.agreement)


# Numbers that ways share


@given(LABELS, st.lists(st.integers(-2, 4), min_size=40, max_size=40))
def test_groups_under_other_numbers_stay_the_same_groups(pairs: list[tuple[int, str]], others: list[int]) -> None:
    labels, reference = np.array([one for one, _ in pairs]), np.array(others[: len(pairs)])
    found = numbered_like(labels, reference)
    np.testing.assert_array_equal(found[labels < 0], labels[labels < 0])
    assert len(set(zip(labels.tolist(), found.tolist(), strict=True))) == len(set(labels.tolist()))
    assert len(set(found.tolist())) == len(set(labels.tolist()))
    np.testing.assert_array_equal(numbered_like(reference, reference), reference)


def test_groups_get_the_number_of_those_that_they_share_most_with() -> None:
    reference = np.array([0, 0, 0, 1, 1, 2, 2])
    assert numbered_like(np.array([1, 1, 1, 0, 0, 2, FEW]), reference).tolist() == [0, 0, 0, 1, 1, 2, FEW]
    assert numbered_like(np.array([0, 0, 3, 1, 1, 2, 2]), reference).tolist() == [0, 0, 3, 1, 1, 2, 2]


def test_a_way_counts_its_groups() -> None:
    way = Way("ward", np.array([0, 1, FEW, LEFT_OUT]), True, 0.5, "rule", "", (), 2)
    assert (way.groups, way.few) == (2, 1)
