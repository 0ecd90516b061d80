"""New events get the name of a kind that they are of, and none where they are of no kind that is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.taxonomy.naming import COVERAGE, RADIUS_MIN, Extent, Namer, extent
from tests.models.taxonomy_examples import centres

DIMENSIONS = 16


def named_share(count: int, coverage: float, trials: int = 300) -> float:
    """How many new events of a kind are within the radius that *count* members set, on average over many kinds."""
    rng = np.random.default_rng(count)
    within = []
    for _ in range(trials):
        members, fresh = rng.standard_normal((count, DIMENSIONS)), rng.standard_normal((50, DIMENSIONS))
        within.append(Namer([extent(members, coverage)])(fresh).known.mean())
    return float(np.mean(within))


@pytest.mark.parametrize("count", [4, 5, 8, 20, 40, 200])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_new_events_of_a_kind_are_named_as_often_as_is_promised(count: int, coverage: float) -> None:
    steps = 1 / (count + 1)  # a quantile of so few can promise nothing between
    assert coverage - 0.02 <= named_share(count, coverage) <= coverage + steps + 0.02


def test_a_kind_of_few_members_reaches_farther_for_what_is_not_known_of_it() -> None:
    rng = np.random.default_rng(0)
    radii = {
        count: np.mean([extent(rng.standard_normal((count, DIMENSIONS))).radius for _ in range(200)])
        for count in (4, 8, 100)
    }
    assert radii[4] > radii[8] > radii[100]


def test_what_is_far_from_every_kind_is_unknown_and_what_is_near_is_named() -> None:
    rng = np.random.default_rng(0)
    middles = centres(5, DIMENSIONS, 20.0)
    namer = Namer([extent(middle + rng.standard_normal((30, DIMENSIONS))) for middle in middles])
    named = namer(np.concatenate((middles, np.zeros((1, DIMENSIONS)), 3 * middles)))
    assert named.kind[:5].tolist() == [0, 1, 2, 3, 4]
    assert named.known.tolist() == [True] * 5 + [False] * 6
    assert named.kind[6:].tolist() == [0, 1, 2, 3, 4]  # the nearest is told all the same
    assert (named.distance[6:] > 30).all()


def test_a_wide_kind_does_not_lose_its_events_to_a_narrow_one_nearby() -> None:
    namer = Namer([Extent(np.array([0.0, 0.0]), 10.0), Extent(np.array([6.0, 0.0]), 0.5)])
    named = namer(np.array([[4.5, 0.0], [6.2, 0.0]]))
    assert named.kind.tolist() == [0, 1]
    assert named.distance.tolist() == pytest.approx([4.5, 0.2])


def test_members_that_are_all_alike_know_themselves_alone() -> None:
    namer = Namer([extent(np.full((5, 3), 2.0)), extent(np.full((1, 3), 7.0))])
    named = namer(np.array([[2.0] * 3, [7.0] * 3, [2.001] * 3]))
    assert named.known.tolist() == [True, True, False]
    assert extent(np.full((1, 3), 7.0)).radius == RADIUS_MIN


def test_without_kinds_everything_is_unknown() -> None:
    named = Namer([])(np.zeros((2, 3)))
    assert named.kind.tolist() == [-1, -1]
    assert not named.known.any()
    assert np.isnan(named.distance).all()


def test_an_event_that_is_not_finite_is_unknown_and_leaves_its_neighbours_alone() -> None:
    named = Namer([Extent(np.zeros(2), 1.0)])(np.array([[0.1, 0.0], [np.nan, 0.0], [0.0, np.inf]]))
    assert named.kind.tolist() == [0, -1, -1]
    assert named.known.tolist() == [True, False, False]


@given(st.integers(1, 30), st.integers(0, 5))
def test_distances_are_those_to_the_kind_that_is_named(count: int, kinds: int) -> None:
    rng = np.random.default_rng(count)
    extents = [Extent(rng.standard_normal(4), 1.0) for _ in range(kinds)]
    points = rng.standard_normal((count, 4))
    named = Namer(extents)(points)
    for point, kind, distance in zip(points, named.kind, named.distance, strict=True):
        if kinds:
            assert distance == pytest.approx(min(np.linalg.norm(point - one.centre) for one in extents))
            assert distance == pytest.approx(np.linalg.norm(point - extents[kind].centre))
        else:
            assert math.isnan(distance)


def test_the_radius_is_the_quantile_of_distances_from_the_others() -> None:
    members = np.random.default_rng(0).standard_normal((59, 3))
    distances = sorted(
        float(np.linalg.norm(members[row] - np.delete(members, row, axis=0).mean(axis=0))) for row in range(59)
    )
    assert extent(members, COVERAGE).radius == pytest.approx(distances[math.ceil(60 * COVERAGE) - 1])


@pytest.mark.parametrize("coverage", [0.0, 1.0, math.nan])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="a coverage of"):
        extent(np.zeros((3, 2)), coverage)


def test_a_kind_without_members_is_refused() -> None:
    with pytest.raises(ValueError, match="without members"):
        extent(np.empty((0, 2)))
