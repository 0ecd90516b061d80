"""Rates, areas and their intervals against hand-made numbers and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics

from calibration.evaluation import (
    Counts,
    Estimate,
    area_of,
    auroc,
    auroc_by_blocks,
    block_interval,
    block_weights,
    count,
    performance,
    proportion,
    share_by_blocks,
)

SCORES = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=40)


def test_counts_by_hand() -> None:
    anomalous = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    flagged = np.array([1, 1, 0, 1, 0, 0, 0], bool)
    assert count(anomalous, flagged) == Counts(2, 1, 1, 3)


def test_performance_by_hand() -> None:
    found = performance(Counts(anomalous_flagged=8, anomalous_passed=2, normal_flagged=4, normal_passed=86))
    assert found.sensitivity.value == pytest.approx(0.8)
    assert found.precision.value == pytest.approx(8 / 12)
    assert found.accuracy.value == pytest.approx(0.94)
    assert found.false_alarm_rate.value == pytest.approx(4 / 90)
    assert found.f1 == pytest.approx(2 * 0.8 * (2 / 3) / (0.8 + 2 / 3))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_performance_agrees_with_scikit_learn_where_it_is_defined(frames: list[tuple[bool, bool]]) -> None:
    truth, flags = (np.array(column, bool) for column in zip(*frames, strict=True))
    found = performance(count(truth, flags))
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(truth, flags))
    if truth.any():
        assert found.sensitivity.value == pytest.approx(metrics.recall_score(truth, flags))
    if flags.any():
        assert found.precision.value == pytest.approx(metrics.precision_score(truth, flags, zero_division=0))
    if (truth | flags).any():
        assert found.f1 == pytest.approx(metrics.f1_score(truth, flags, zero_division=0))


def test_what_was_not_shown_is_not_estimated() -> None:
    found = performance(Counts(0, 0, 0, 10))
    assert found.sensitivity == found.precision == Estimate(None, 0.0, 1.0)
    assert found.f1 is None
    assert found.false_alarm_rate.value == 0.0


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),
        (10, 10, 0.025 ** (1 / 10), 1.0),
        (1, 1, 0.025, 1.0),
        (15, 148, 0.0578, 0.1617),  # Newcombe 1998, Statistics in Medicine 17, 857: method 5
        (81, 263, 0.2527, 0.3676),  # the same
    ],
)
def test_exact_intervals_of_proportions(successes: int, trials: int, low: float, high: float) -> None:
    found = proportion(successes, trials)
    assert found.value == successes / trials
    assert found[1:] == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        proportion(successes, trials)


@given(SCORES, SCORES)
def test_the_area_agrees_with_scikit_learn_ties_included(normal: list[float], anomalous: list[float]) -> None:
    truth = np.repeat([0, 1], [len(normal), len(anomalous)])
    found = auroc(np.array(normal), np.array(anomalous))
    assert found.value == pytest.approx(metrics.roc_auc_score(truth, normal + anomalous))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


@given(SCORES, SCORES)
def test_exchanging_the_classes_mirrors_area_and_interval(normal: list[float], anomalous: list[float]) -> None:
    one, other = auroc(np.array(normal), np.array(anomalous)), auroc(np.array(anomalous), np.array(normal))
    assert one.value is not None
    assert (one.value, one.low, one.high) == pytest.approx(
        (1 - (other.value or 0.0), 1 - other.high, 1 - other.low), abs=1e-9
    )


def test_the_ends_of_the_interval_are_as_far_off_as_their_standard_error_says() -> None:
    m, n = 40, 25
    random = np.random.default_rng(0)
    found = auroc(random.normal(size=m), random.normal(1, 1, n))
    assert found.value is not None
    for end in (found.low, found.high):
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        others = (m + n) / 2 - 1
        variance = (end * (1 - end) + others * (q1 - end**2) + others * (q2 - end**2)) / (m * n)
        assert abs(end - found.value) == pytest.approx(norm.isf(0.025) * np.sqrt(variance), rel=1e-6)


def test_perfect_separation_of_few_frames_is_not_certain() -> None:
    few, many = (auroc(np.zeros(count), np.ones(count)) for count in (5, 500))
    assert few.value == many.value == many.high == 1.0
    assert few.low < 0.8
    assert many.low > 0.99


def test_intervals_of_areas_cover_what_they_say() -> None:
    random = np.random.default_rng(0)
    true = norm.cdf(1.2 / np.sqrt(2))
    found = [auroc(random.normal(size=40), random.normal(1.2, 1, 30)) for _ in range(300)]
    assert np.mean([low <= true <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.035)


def test_infinite_scores_are_ranked_and_missing_ones_refused() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([np.inf, np.inf])).value == 1.0
    assert auroc(np.array([0.0]), np.array([])) == Estimate(None, 0.0, 1.0)
    with pytest.raises(ValueError, match="cannot be ranked"):
        auroc(np.array([0.0, np.nan]), np.array([1.0]))


def test_frames_of_a_block_come_and_stay_away_together_and_no_sample_lacks_a_class() -> None:
    blocks = np.array(["a", "a", "b", "c", "c", "d", "e", "e"])
    anomalous = np.array([0, 0, 0, 1, 1, 1, 0, 1], bool)
    samples = list(block_weights(blocks, anomalous, 200))
    for weights in samples:
        assert weights[0] == weights[1]
        assert weights[3] == weights[4]
        assert weights[6] == weights[7] == 1  # the one block that holds both is always there
        assert weights[[0, 2]].sum() == weights[[3, 5]].sum() == 2
    assert np.mean(samples, axis=0) == pytest.approx(np.ones(8), abs=0.2)


@given(st.data())
def test_with_every_frame_counting_once_the_area_is_the_plain_one(data: st.DataObject) -> None:
    normal, anomalous = data.draw(SCORES), data.draw(SCORES)
    wrong = np.repeat([False, True], [len(normal), len(anomalous)])
    found = auroc_by_blocks(np.array(normal + anomalous), wrong, np.arange(len(wrong)), resamples=20)
    assert found.value == pytest.approx(auroc(np.array(normal), np.array(anomalous)).value)
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_a_weight_of_two_is_the_frame_twice() -> None:
    scores, wrong = np.array([0.0, 1.0, 2.0, 1.0, 3.0]), np.array([0, 0, 0, 1, 1], bool)
    weights = np.array([2.0, 0.0, 1.0, 3.0, 1.0])
    repeated = np.repeat(scores, weights.astype(int)), np.repeat(wrong, weights.astype(int))
    assert area_of(scores, wrong)(weights) == pytest.approx(metrics.roc_auc_score(repeated[1], repeated[0]))
    assert np.isnan(area_of(scores, wrong)(np.array([1.0, 1.0, 1.0, 0.0, 0.0])))


def block_study(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, truth and blocks of 40 blocks of ten frames a class, of which most of the spread is the block's own."""
    blocks = np.repeat(np.arange(80), 10)
    wrong = blocks >= 40
    scores = wrong * 1.5 + random.normal(size=80)[blocks] + 0.3 * random.normal(size=800)
    return scores, wrong, blocks


def test_intervals_over_blocks_cover_and_those_over_frames_do_not() -> None:
    random = np.random.default_rng(0)
    true = norm.cdf(1.5 / np.sqrt(2 * (1 + 0.3**2)))
    studies = [block_study(random) for _ in range(120)]
    blockwise = [auroc_by_blocks(*study, resamples=150) for study in studies]
    framewise = [auroc(scores[~wrong], scores[wrong]) for scores, wrong, _ in studies]
    assert np.mean([low <= true <= high for _, low, high in blockwise]) == pytest.approx(0.94, abs=0.06)
    assert np.mean([low <= true <= high for _, low, high in framewise]) < 0.7


def test_shares_over_blocks_cover_too() -> None:
    random = np.random.default_rng(1)
    blocks = np.repeat(np.arange(50), 8)
    true = norm.sf(1.0 / np.sqrt(1.09))
    studies = [random.normal(size=50)[blocks] + 0.3 * random.normal(size=400) > 1.0 for _ in range(120)]
    found = [share_by_blocks(flagged, blocks, resamples=150) for flagged in studies]
    assert np.mean([low <= true <= high for _, low, high in found]) == pytest.approx(0.94, abs=0.06)


def test_where_nothing_varies_a_block_counts_as_one_frame() -> None:
    wrong, blocks = np.repeat([False, True], [40, 30]), np.repeat(np.arange(7), 10)
    assert auroc_by_blocks(wrong * 1.0, wrong, blocks) == auroc(np.zeros(4), np.ones(3))
    assert auroc_by_blocks(wrong * -1.0, wrong, blocks) == auroc(np.ones(4), np.zeros(3))
    assert share_by_blocks(np.zeros(70, bool), blocks) == proportion(0, 7)
    assert share_by_blocks(np.ones(70, bool), blocks) == proportion(7, 7)
    assert share_by_blocks(np.zeros(0, bool), np.zeros(0)) == proportion(0, 0)


def test_one_block_says_nothing_of_others() -> None:
    scores, wrong = np.array([0.0, 2.0, 1.0, 3.0]), np.array([0, 0, 1, 1], bool)
    assert auroc_by_blocks(scores, wrong, np.array([0, 1, 2, 2])) == Estimate(0.75, 0.0, 1.0)
    assert share_by_blocks(np.array([True, False]), np.array([5, 5])) == Estimate(0.5, 0.0, 1.0)
    assert block_interval(np.sum, np.array([0, 0]), np.zeros(2, bool)) == Estimate(2.0, -np.inf, np.inf)


def test_weighing_makes_a_rare_kind_count_as_much_as_a_common_one() -> None:
    kinds = np.repeat([0, 1, 2], [50, 90, 10])  # 0 is normal
    scores = np.concatenate([np.linspace(0, 1, 50), np.full(90, 2.0), np.full(10, -1.0)])

    def even(weights: np.ndarray) -> np.ndarray:
        return weights / np.bincount(kinds, weights)[kinds]

    assert auroc_by_blocks(scores, kinds > 0, np.arange(150)).value == pytest.approx(0.9)
    assert auroc_by_blocks(scores, kinds > 0, np.arange(150), even).value == pytest.approx(0.5)


def test_the_same_samples_serve_two_detectors() -> None:
    blocks, wrong = np.arange(30) // 3, np.arange(30) % 2 > 0
    one, other = (list(block_weights(blocks, wrong, 5)) for _ in range(2))
    assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="no frames"):
        block_interval(lambda weights: 0.0, np.zeros(0), np.zeros(0, bool))
