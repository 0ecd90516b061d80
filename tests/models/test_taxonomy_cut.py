"""Where a tree is cut: kinds that are there are found, however rare, and none where there are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from models.taxonomy.cut import FEW, LEFT_OUT, RULES, CutSettings, Rule, find_kinds
from models.taxonomy.silhouettes import mean_silhouette, silhouettes
from models.taxonomy.splits import apart
from models.taxonomy.stability import adjusted_rand
from models.taxonomy.tree import LINKAGES, Linkage
from tests.models.taxonomy_examples import blob, bridged, centres, groups


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return adjusted_rand_score(expected, found) == 1.0


@pytest.mark.parametrize("sizes", [(40, 40, 40), (50,) * 6, (30,) * 9, (90, 80, 70, 60, 7, 5)])
def test_kinds_are_found_whatever_their_number_and_sizes(sizes: tuple[int, ...]) -> None:
    points, kinds = groups(sizes)
    cut = find_kinds(points)
    assert cut.discrete
    assert cut.labels.max() + 1 == len(sizes)
    assert adjusted_rand_score(kinds, cut.labels) > 0.97
    assert "largest stable silhouette" in cut.why


@pytest.mark.parametrize("linkage", LINKAGES)
def test_every_linkage_finds_kinds_far_apart(linkage: Linkage) -> None:
    points, kinds = groups((30, 30, 30), apart=12.0)
    assert same(find_kinds(points, CutSettings(linkage=linkage)).labels, kinds)


def test_the_gap_rule_finds_kinds_far_apart() -> None:
    points, kinds = groups((30, 30, 30), apart=12.0)
    cut = find_kinds(points, CutSettings(rule="gap"))
    assert same(cut.labels, kinds)
    assert max(cut.candidates, key=lambda one: one.gap * (one.kinds < 6)).kinds == 3


def test_a_fixed_share_of_the_height_cuts_there_and_does_nothing_else() -> None:
    points, kinds = groups((30, 30, 30), apart=12.0)
    cut = find_kinds(points, CutSettings(linkage="single", rule="share", share=0.7))
    assert same(cut.labels, kinds)
    assert cut.candidates == ()
    whole = find_kinds(points, CutSettings(linkage="single", rule="share", share=1.0))
    assert not whole.discrete
    assert (whole.labels == 0).all()


@pytest.mark.parametrize("count", [30, 100, 300])
@pytest.mark.parametrize("dimensions", [1, 2, 5, 16])
def test_a_single_cloud_has_no_discrete_kinds(count: int, dimensions: int) -> None:
    cut = find_kinds(blob(count, dimensions, seed=count + dimensions))
    assert not cut.discrete
    assert (cut.labels == 0).all()
    assert cut.why.startswith("no ")


@pytest.mark.parametrize(("rule", "linkage"), [("silhouette", "average"), ("gap", "ward"), ("gap", "average")])
def test_a_single_cloud_has_none_by_any_rule(rule: Rule, linkage: Linkage) -> None:
    assert rule in RULES
    assert not find_kinds(blob(150, 6), CutSettings(linkage=linkage, rule=rule)).discrete


def test_the_reason_names_the_figure_that_speaks_against_kinds() -> None:
    assert "silhouette of any cut" in find_kinds(blob(200, 16)).why
    flat = find_kinds(np.random.default_rng(1).uniform(size=(200, 1)))
    assert "less than 0.75" in flat.why or "clouds without any" in flat.why


@pytest.mark.parametrize("count", [0, 1, 5, 7])
def test_too_few_points_for_two_kinds_are_undivided(count: int) -> None:
    points, _ = groups((3, 4), apart=50.0)
    cut = find_kinds(points[:count])
    assert not cut.discrete
    assert cut.labels.tolist() == [0] * count
    assert cut.chosen == 0


def test_points_that_are_all_alike_are_undivided() -> None:
    cut = find_kinds(np.ones((50, 4)))
    assert not cut.discrete
    assert (cut.labels == 0).all()


def test_two_sets_of_duplicates_are_two_kinds() -> None:
    points = np.repeat(centres(2), (20, 9), axis=0)
    cut = find_kinds(points)
    assert cut.discrete
    assert np.bincount(cut.labels).tolist() == [20, 9]


def test_points_that_are_not_finite_are_left_out() -> None:
    points, kinds = groups((20, 20))
    points[[3, 17], [0, 2]] = np.nan, np.inf
    cut = find_kinds(points)
    assert np.flatnonzero(cut.labels == LEFT_OUT).tolist() == [3, 17]
    assert same(np.delete(cut.labels, (3, 17)), np.delete(kinds, (3, 17)))
    assert cut.tree.left_out.tolist() == [3, 17]


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("links", [6, 20])
def test_points_that_bridge_two_kinds_leave_them_two(linkage: Linkage, links: int) -> None:
    points, kinds = bridged(links)
    cut = find_kinds(points, CutSettings(linkage=linkage))
    ends = [cut.labels[:80][kinds[:80] == end] for end in (0, 1)]
    mostly = [int(np.bincount(end[end >= 0]).argmax()) for end in ends]
    assert cut.discrete
    assert mostly[0] != mostly[1]
    assert min((end == kind).mean() for end, kind in zip(ends, mostly, strict=True)) > 0.9
    assert (cut.labels[80], cut.labels[-1]) == tuple(mostly), "what is near an end goes to it"


def test_points_of_which_none_is_finite_have_no_kinds() -> None:
    cut = find_kinds(np.full((5, 3), np.nan))
    assert not cut.discrete
    assert cut.labels.tolist() == [LEFT_OUT] * 5


def test_single_outliers_are_kept_apart_and_choose_no_cut() -> None:
    points, kinds = groups((40, 40, 40))
    far = np.array([[60.0] * 8, [-60.0] * 8, [60.0, -60.0] * 4])
    for linkage in ("ward", "average"):
        cut = find_kinds(np.concatenate((points, far)), CutSettings(linkage=linkage, variance=1.0))
        assert (cut.labels[-3:] == FEW).all(), linkage
        assert same(cut.labels[:-3], kinds), linkage


def test_a_point_far_out_of_its_kind_is_kept_apart() -> None:
    points, kinds = groups((40, 40))
    stray = points[kinds == 0][0] + 9.0 * np.eye(8)[5]
    cut = find_kinds(np.concatenate((points, stray[None])))
    assert cut.labels[-1] == FEW
    assert (cut.labels[:-1] >= 0).all()


def test_two_rare_kinds_that_ward_merges_early_are_told_apart() -> None:
    points, kinds = groups((120, 120, 120, 6, 6), apart=5.0)
    cut = find_kinds(points)
    assert cut.chosen < 5
    for rare in (3, 4):
        assert len(set(cut.labels[kinds == rare])) == 1
        assert (kinds[cut.labels == cut.labels[kinds == rare][0]] == rare).all()


def test_a_few_points_that_stand_alone_in_a_large_kind_are_a_kind() -> None:
    """At half the usual distance from the middle of a wide kind, where silhouettes against all of it say nothing."""
    rng = np.random.default_rng(0)
    points, kinds = groups((150, 100, 100), apart=8.0)
    points[kinds == 0] = points[kinds == 0] + 2.0 * rng.standard_normal((150, 8))
    few = points[kinds == 0].mean(axis=0) + 5.0 * np.eye(8)[6] + 0.2 * rng.standard_normal((6, 8))
    cut = find_kinds(np.concatenate((points, few)))
    assert len(set(cut.labels[-6:])) == 1
    assert (cut.labels == cut.labels[-1]).sum() == 6


def test_of_few_coordinates_kinds_are_not_split_again_where_that_is_not_wanted() -> None:
    rng = np.random.default_rng(5)
    line = np.concatenate((rng.uniform(0, 1, 40), rng.uniform(9, 10, 40)))[:, None] * (1.0, 0.0)
    points = line + rng.normal(0, 0.01, (80, 2))
    assert len(set(find_kinds(points).labels.tolist())) > 2
    plain = find_kinds(points, CutSettings(again=False))
    assert same(plain.labels, np.repeat((0, 1), 40))


def test_kinds_are_numbered_by_their_size() -> None:
    points, _ = groups((10, 40, 20))
    assert np.bincount(find_kinds(points).labels).tolist() == [40, 20, 10]


def test_the_same_points_give_the_same_kinds() -> None:
    points, _ = groups((25, 15, 9))
    one, other = find_kinds(points), find_kinds(points.copy())
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.candidates == other.candidates


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_the_order_of_points_means_nothing_where_kinds_are_clear(seed: int) -> None:
    points, _ = groups((25, 15, 9))
    order = np.random.default_rng(seed).permutation(len(points))
    labels = find_kinds(points).labels
    np.testing.assert_array_equal(find_kinds(points[order]).labels, labels[order])


def test_candidates_say_what_they_would_be() -> None:
    points, _ = groups((30, 30, 30))
    candidates = find_kinds(points).candidates
    assert [one.kinds for one in candidates] == sorted({one.kinds for one in candidates})
    assert all(0 <= one.reproducibility <= 1 and one.gap >= 1 for one in candidates)
    assert candidates[1].reproducibility > 0.99
    assert candidates[1].silhouette == max(one.silhouette for one in candidates)


def test_many_points_are_cut_by_samples_of_them() -> None:
    points, kinds = groups((900, 700, 500, 12))
    cut = find_kinds(points)
    assert cut.labels.max() + 1 == 4
    assert adjusted_rand_score(kinds, cut.labels) > 0.99


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (CutSettings(least=1), "a kind of 1 points"),
        (CutSettings(share=0.0), "shares lie above 0"),
        (CutSettings(variance=1.5), "shares lie above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: CutSettings, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        find_kinds(np.zeros((3, 2)), wrong)


# Agreement and silhouettes


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4)), min_size=2, max_size=40))
def test_the_agreement_of_groupings_is_that_of_the_book(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(labels) for labels in zip(*pairs, strict=True))
    assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other))


def test_silhouettes_are_those_of_the_book() -> None:
    points, kinds = groups((12, 9, 5), apart=2.0)
    found = silhouettes(cdist(points, points), kinds)
    np.testing.assert_allclose(found, silhouette_samples(points, kinds))


def test_points_in_no_kind_count_for_nobody() -> None:
    points, kinds = groups((12, 9), apart=2.0)
    marked = np.where(np.arange(21) % 5 == 0, -1, kinds)
    found = silhouettes(cdist(points, points), marked)
    assert np.isnan(found[marked < 0]).all()
    np.testing.assert_allclose(found[marked >= 0], silhouette_samples(points[marked >= 0], marked[marked >= 0]))


def test_a_point_alone_and_equal_points_have_a_silhouette_of_0() -> None:
    points = np.array([[0.0], [0.0], [0.0], [0.0], [9.0]])
    assert silhouettes(cdist(points, points), np.array([0, 0, 1, 1, 2])).tolist() == [0.0] * 5


def test_one_kind_has_the_worst_silhouette() -> None:
    assert mean_silhouette(np.zeros((3, 3)), np.zeros(3, np.int64)) == -1.0
    assert mean_silhouette(np.zeros((0, 0)), np.zeros(0, np.int64)) == -1.0


def test_nothing_is_far_out_of_a_small_kind() -> None:
    for count, found in ((6, []), (20, [20])):
        near = np.random.default_rng(0).normal(size=(count, 2))
        points = np.concatenate((near, [[100.0, 0.0]]))
        assert apart(points, np.zeros(count + 1, np.int64)).tolist() == found
