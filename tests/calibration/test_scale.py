"""Charts of any unit lie on one scale, where a limit is 1, whatever the context."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.limits import ContextLimits
from calibration.scale import ContextScale, JointScale, times
from calibration.tails import rarity
from tests.calibration.limit_examples import exponential_limit


def test_the_joint_score_is_that_of_the_rarest_chart_whatever_its_unit() -> None:
    limits = [exponential_limit(0.01), exponential_limit(0.01, scale=1000.0)]
    at = -np.log(0.01)
    scores = np.array([[at / 2, 1.0], [at, 1000.0], [1.0, 1500 * at], [2 * at, 1500 * at]])
    values, source = JointScale(limits)(scores)
    assert values == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.02)
    assert source.tolist() == [0, 0, 1, 0]
    assert source.dtype == np.uint8


@given(st.floats(1e-6, 0.05), st.floats(1e-3, 1e3))
def test_at_its_limit_a_score_does_not_exceed_and_beyond_it_does(rate: float, scale: float) -> None:
    limit = exponential_limit(rate, scale)
    at, beyond = JointScale([limit])(np.array([[limit.value], [np.nextafter(limit.value, np.inf)]]))[0]
    assert at <= 1 < beyond


def test_a_score_that_is_no_number_is_an_exceedance() -> None:
    values, source = JointScale([exponential_limit(0.01)] * 2)(np.array([[np.nan, 0.0], [0.0, np.inf]]))
    assert values.tolist() == [np.inf, np.inf]
    assert source.tolist() == [0, 1]


def test_no_frames_have_no_joint_scores() -> None:
    values, source = JointScale([exponential_limit(0.01)] * 2)(np.empty((0, 2)))
    assert len(values) == len(source) == 0


LIMITS_OF = ContextLimits(
    pooled=(exponential_limit(0.01), exponential_limit(0.01)),
    own={"hatch": (exponential_limit(0.1),) * 2, "contour": (exponential_limit(0.001), exponential_limit(0.01, 7.0))},
)


@given(st.lists(st.sampled_from(["hatch", "contour", "skin", ""]), max_size=12), st.integers(0, 9))
def test_a_batch_of_any_contexts_is_judged_frame_by_frame_as_each_alone(names: list[str], seed: int) -> None:
    scores = np.random.default_rng(seed).exponential(3.0, (len(names), 2))
    joint, source, values = ContextScale(LIMITS_OF)(scores, np.array(names, "S128"))
    assert (joint.shape, source.shape, values.shape) == ((len(names),), (len(names),), scores.shape)
    assert source.dtype == np.uint8
    for index, name in enumerate(names):
        limits = LIMITS_OF.of(name)
        alone, chart = JointScale(limits)(scores[index : index + 1])
        assert (joint[index], source[index]) == (alone[0], chart[0])
        assert values[index].tolist() == [limit.value for limit in limits]


def test_contexts_are_told_apart_by_every_letter() -> None:
    own = {"schräg": LIMITS_OF.of("hatch")}
    _, _, values = ContextScale(ContextLimits(LIMITS_OF.pooled, own))(
        np.zeros((2, 2)), np.array([name.encode() for name in ("schräg", "schrag")], "S128")
    )
    assert values[:, 0].tolist() == [own["schräg"][0].value, LIMITS_OF.pooled[0].value]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from(["C", "F"]))
def test_the_joint_score_is_the_largest_quotient_of_rarities_and_never_disagrees_with_a_limit(
    seed: int, charts: int, order: Literal["C", "F"]
) -> None:
    random = np.random.default_rng(seed)
    limits = [exponential_limit(10.0 ** random.uniform(-6, -1), 10.0 ** random.uniform(-3, 3)) for _ in range(charts)]
    values = np.array([limit.value for limit in limits])
    scores = values * random.choice([0.0, 0.5, 1.0, 1.0 + 1e-16, 1.0 + 1e-15, 2.0, np.inf, np.nan], (30, charts))
    joint, source = JointScale(limits)(np.array(scores, order=order))
    over = ~(scores <= values)
    rare = np.column_stack([rarity(scores[:, i], limit.tail) for i, limit in enumerate(limits)])
    rare /= [float(rarity(limit.value, limit.tail)) for limit in limits]
    expected = np.where(over, np.maximum(rare, np.nextafter(1.0, 2.0)), np.minimum(rare, 1.0))
    np.testing.assert_array_equal(joint, expected.max(axis=1))
    np.testing.assert_array_equal(source, expected.argmax(axis=1))
    np.testing.assert_array_equal(joint > 1, over.any(axis=1))


@given(st.floats(0.5, 3.0))
def test_at_limits_so_many_times_as_rare_the_joint_score_is_that_many(ratio: float) -> None:
    moved = times(LIMITS_OF, ratio)
    for name in ("hatch", "contour", "skin"):
        for chart, limit in enumerate(moved.of(name)):
            scores = np.zeros((1, 2))
            scores[0, chart] = limit.value
            joint, source = JointScale(LIMITS_OF.of(name))(scores)
            assert (joint[0], source[0]) == (pytest.approx(ratio, rel=1e-6), chart)
