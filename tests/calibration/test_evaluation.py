"""Rates, areas and their intervals against hand-made numbers and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics

from calibration.evaluation import Counts, Estimate, auroc, count, performance, proportion

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
