"""Other ways to group, and what there is to choose their number by."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from models.taxonomy.partition import METHODS, Method, agreement, curve, partition
from models.taxonomy.silhouettes import SAMPLE, sample
from tests.models.taxonomy_examples import bridged, centres, groups

every_method = pytest.mark.parametrize("method", METHODS)


@every_method
def test_groups_far_apart_are_found(method: Method) -> None:
    points, kinds = groups((30, 20, 25, 10), apart=9.0)
    found = partition(points, 4, method)
    assert agreement(found.labels, kinds) == pytest.approx((1.0, 1.0))
    for label in range(4):
        near = np.linalg.norm(points[found.labels == label].mean(axis=0) - found.centres[label])
        assert near < 2.5


@every_method
def test_curves_say_how_many_groups_there_are(method: Method) -> None:
    points, _ = groups((30, 20, 25), apart=9.0)
    found = curve(points, range(1, 8), method)
    assert found.at_silhouette == 3
    assert found.silhouettes[0] == -1.0
    assert found.costs[0] > found.costs[2]
    if method == "gaussian mixture":
        assert found.at_bic == 3
    else:
        assert found.at_elbow == 3
        with pytest.raises(ValueError, match="so no BIC"):
            _ = found.at_bic


@every_method
def test_the_same_seed_gives_the_same_groups(method: Method) -> None:
    points, _ = groups((15, 15), apart=2.0)
    one, other = partition(points, 3, method, seed=4), partition(points, 3, method, seed=4)
    np.testing.assert_array_equal(one.labels, other.labels)


@every_method
def test_one_group_and_as_many_as_points_are_possible(method: Method) -> None:
    points, _ = groups((5, 4))
    assert (partition(points, 1, method).labels == 0).all()
    assert sorted(partition(points, 9, method).labels.tolist()) == list(range(9))


@every_method
def test_one_point_is_one_group(method: Method) -> None:
    found = curve(np.array([[3.0, 4.0]]), [1], method)
    assert found.partitions[0].labels.tolist() == [0]
    np.testing.assert_allclose(found.partitions[0].centres, [[3.0, 4.0]])
    assert (found.at_elbow, found.at_silhouette, found.silhouettes) == (1, 1, (-1.0,))


@every_method
def test_duplicates_are_in_one_group_and_there_may_be_fewer_groups_than_were_asked_for(method: Method) -> None:
    points = np.repeat(centres(3), (9, 7, 5), axis=0)
    kinds = np.repeat(np.arange(3), (9, 7, 5))
    found = curve(points, range(1, 7), method)
    assert agreement(found.partitions[2].labels, kinds).ari == 1.0
    for one in found.partitions[2:]:
        assert np.isfinite(one.centres).all()
        assert np.isfinite(one.cost)
    assert found.at_silhouette == 3


@every_method
def test_points_that_bridge_two_groups_go_to_the_nearer_one_and_leave_the_two_apart(method: Method) -> None:
    points, kinds = bridged(20)
    found = partition(points, 2, method)
    ends = [np.bincount(found.labels[:80][kinds[:80] == end], minlength=2) for end in (0, 1)]
    assert ends[0].argmax() != ends[1].argmax()
    assert min(end.max() / end.sum() for end in ends) > 0.9
    assert found.labels[80] == ends[0].argmax()
    assert found.labels[-1] == ends[1].argmax()


@every_method
def test_points_that_are_all_alike_have_no_group_that_is_better_than_another(method: Method) -> None:
    found = curve(np.ones((8, 3)), range(1, 5), method)
    assert max(found.silhouettes) <= 0.0
    assert all(np.isfinite(one.centres).all() for one in found.partitions)


@every_method
def test_points_that_are_all_alike_do_no_harm(method: Method) -> None:
    found = partition(np.ones((8, 3)), 3, method)
    assert found.labels.shape == (8,)
    assert np.isfinite(found.centres).all()


def test_medoids_are_points_and_cost_what_all_points_are_away_from_theirs() -> None:
    points, _ = groups((20, 20), apart=3.0)
    found = partition(points, 5, "k-medoids")
    distances = np.linalg.norm(points[:, None] - found.centres, axis=2)
    assert (distances.min(axis=0) == 0).all()
    assert found.cost == pytest.approx(distances.min(axis=1).sum())
    np.testing.assert_array_equal(found.labels, distances.argmin(axis=1))


def test_no_exchange_with_a_point_of_its_own_group_makes_a_medoid_better() -> None:
    points, _ = groups((20, 20), apart=3.0)
    found = partition(points, 3, "k-medoids")
    for label in range(3):
        members = points[found.labels == label]
        costs = np.linalg.norm(members[:, None] - members, axis=2).sum(axis=0)
        assert np.linalg.norm(members - found.centres[label], axis=1).sum() == pytest.approx(costs.min())


def test_labels_agree_with_the_truth_whatever_they_are_called() -> None:
    assert agreement([2, 2, 0, 0], ["a", "a", "b", "b"]) == pytest.approx((1.0, 1.0))
    assert agreement([0, 0, 0, 0], ["a", "a", "b", "b"]) == (0.0, 0.0)
    with pytest.raises(ValueError, match="inconsistent"):
        agreement([0], ["a", "b"])


@every_method
@pytest.mark.parametrize(
    ("points", "count", "told"),
    [
        (np.zeros((3, 2)), 4, "3 points in 4 groups"),
        (np.zeros((3, 2)), 0, "3 points in 0 groups"),
        (np.full((3, 2), np.nan), 1, "not finite"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), 1, "not finite"),
        (np.empty((0, 2)), 1, "no points"),
    ],
)
def test_what_cannot_be_grouped_is_refused(method: Method, points: np.ndarray, count: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        partition(points, count, method)
    with pytest.raises(ValueError, match=told):
        curve(points, [count], method)


@pytest.mark.parametrize("counts", [(), (3, 2), (2, 2)])
def test_numbers_that_do_not_rise_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        curve(np.zeros((5, 2)), counts, "k-means")


def test_silhouettes_of_many_points_are_those_of_a_sample_of_them() -> None:
    points, kinds = groups((900, 800), dimensions=3, apart=9.0)
    some = sample(len(points))
    assert len(some) == SAMPLE < len(points)
    found = curve(points, [2], "k-means").silhouettes[0]
    assert found == pytest.approx(silhouette_score(points[some], kinds[some]))
    assert found == pytest.approx(silhouette_score(points, kinds), abs=0.02)
