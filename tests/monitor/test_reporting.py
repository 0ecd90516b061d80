"""What a calibration found reaches the report: groups with their roles, limits, and telling examples."""

import numpy as np
import pytest
from frames import runs

from calibration.limits import JointScale
from models.scorer import CHARTS
from monitor.bundle import Bundle
from monitor.report import ReportData
from monitor.reporting import describe
from monitor.score import load_scorer

HELD = runs()[8:]


@pytest.fixture(scope="module")
def data(small_bundle: Bundle) -> ReportData:
    scorer = load_scorer(small_bundle)
    scores = scorer(np.concatenate([one.frames for one in HELD]))
    return describe(small_bundle.manifest, HELD, scorer, scores, np.repeat(np.arange(4), 100), [0.5, 0.25])


def test_it_says_what_was_calibrated_on_what(data: ReportData) -> None:
    assert data.settings["frame"] == "32 x 32 px, uint8"
    assert (data.settings["training frames"], data.settings["held-out frames"]) == ("800", "400")
    assert data.settings["contexts"] == "any"
    assert data.camera == "settings not stated"


def test_only_held_out_groups_have_shares_over_the_limits(data: ReportData) -> None:
    assert [group.role for group in data.groups] == ["train"] * 8 + ["held-out"] * 4
    for group in data.groups:
        assert set(group.over) == (set(CHARTS) if group.role == "held-out" else set())
        assert all(share < 0.1 for share in group.over.values())


def test_every_chart_comes_with_its_limit_and_the_borders_of_its_groups(data: ReportData, small_bundle: Bundle) -> None:
    assert [chart.name for chart in data.charts] == list(CHARTS)
    for chart, limit in zip(data.charts, small_bundle.limits, strict=True):
        assert (chart.limit, chart.limit_low, chart.limit_high) == (limit.value, limit.low, limit.high)
        assert len(chart.scores) == 400
        assert list(chart.boundaries) == [(0, "run 8"), (100, "run 9"), (200, "run 10"), (300, "run 11")]


def test_the_examples_are_the_best_a_typical_and_the_worst_frame(data: ReportData, small_bundle: Bundle) -> None:
    assert [example.label for example in data.examples] == ["best", "typical", "worst"]
    extremes = []
    for example in data.examples:
        number, _, name = example.where.removeprefix("frame ").partition(" of ")
        [group] = [one for one in HELD if one.name == name]
        np.testing.assert_allclose(example.original, group.frames[int(number)], atol=1e-3)
        assert np.abs(example.reconstruction - example.original).mean() < 20
        scores = np.array([[example.scores[chart] for chart in CHARTS]])
        extremes.append(float(JointScale(small_bundle.limits)(scores)[0][0]))
    assert extremes == sorted(extremes)


def test_warnings_and_losses_are_handed_on(data: ReportData, small_bundle: Bundle) -> None:
    assert data.warnings == small_bundle.manifest.warnings
    assert list(data.losses) == [0.5, 0.25]
