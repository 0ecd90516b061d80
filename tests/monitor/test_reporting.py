"""What a calibration found reaches the report: groups with their roles, limits, and telling examples."""

import math

import msgspec
import numpy as np
import pytest
from frames import runs, with_spot

from calibration.limits import JointScale
from models.scorer import CHARTS, Scorer
from models.sweep import LatentSweep
from models.training import Checkpoint
from monitor.bundle import Bundle, Manifest
from monitor.camera.recordings import Recording
from monitor.report import render
from monitor.report.data import JOINT, ReportData
from monitor.reporting import describe
from monitor.score import load_scorer

HELD = runs()[8:]
HISTORY = (Checkpoint(10, 0.5, 0.6), Checkpoint(20, 0.25, math.nan))
SWEEP = LatentSweep((2, 4), (math.nan, 0.2), (0.4, 0.3), 4)


def described(manifest: Manifest, held: list[Recording], scorer: Scorer) -> ReportData:
    scores = scorer(np.concatenate([one.frames for one in held]))
    groups = np.repeat(np.arange(len(held)), [len(one.frames) for one in held])
    return describe(manifest, held, scorer, scores, groups, HISTORY, SWEEP)


@pytest.fixture(scope="module")
def scorer(small_bundle: Bundle) -> Scorer:
    return load_scorer(small_bundle)


@pytest.fixture(scope="module")
def data(small_bundle: Bundle, scorer: Scorer) -> ReportData:
    return described(small_bundle.manifest, HELD, scorer)


def test_it_says_what_was_calibrated_on_what(data: ReportData) -> None:
    assert data.settings["frame"] == "32 x 32 px, uint8"
    assert (data.settings["training frames"], data.settings["held-out frames"]) == ("800", "400")
    assert data.settings["contexts"] == "any"
    assert data.camera == "settings not stated"


def test_every_setting_of_the_training_and_every_camera_level_is_told(data: ReportData, small_bundle: Bundle) -> None:
    manifest = small_bundle.manifest
    assert set(manifest.training) <= set(data.settings)
    levels = {f"camera check, {name.replace('_', ' ')}" for name in msgspec.structs.asdict(manifest.camera)}
    assert levels <= set(data.settings)


def test_only_held_out_groups_are_measured_against_the_limits(data: ReportData, small_bundle: Bundle) -> None:
    assert [group.role for group in data.groups] == ["train"] * 8 + ["held-out"] * 4
    assert [group.sha256 for group in data.groups] == [group.sha256 for group in small_bundle.manifest.groups]
    for group in data.groups:
        held = group.role == "held-out"
        assert set(group.over) == ({JOINT, *CHARTS} if held else set())
        assert all(share < 0.1 for share in group.over.values())
        assert len(group.quantiles) == (3 if held else 0)
        assert list(group.quantiles) == sorted(group.quantiles)
        assert math.isfinite(group.if_new) is held


def test_a_frame_is_over_the_joint_limit_where_it_is_over_any(data: ReportData) -> None:
    joint, *others = data.charts
    any_over = np.any([chart.scores > chart.held for chart in others], axis=0)
    np.testing.assert_array_equal(joint.scores > 1.0, any_over)
    for group in data.groups[8:]:
        assert max(group.over[chart] for chart in CHARTS) <= group.over[JOINT]


def test_the_joint_score_comes_first_on_a_scale_where_its_limit_is_one(data: ReportData) -> None:
    joint = data.charts[0]
    assert (joint.name, joint.limit) == (JOINT, 1.0)
    assert joint.limit_low < 1.0 < joint.limit_high
    assert joint.center == np.median(joint.scores)


def test_every_chart_comes_with_its_limit_and_the_starts_of_its_groups(data: ReportData, small_bundle: Bundle) -> None:
    assert [chart.name for chart in data.charts] == [JOINT, *CHARTS]
    for chart, limit in zip(data.charts[1:], small_bundle.limits, strict=True):
        assert (chart.limit, chart.limit_low, chart.limit_high) == (limit.value, limit.low, limit.high)
        assert len(chart.scores) == 400
        assert not chart.several_limits
    assert list(data.starts) == [(0, "run 8"), (100, "run 9"), (200, "run 10"), (300, "run 11")]
    assert [row[0] for row in data.limits.rows] == list(CHARTS)


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
        assert example.scores[JOINT] == pytest.approx(extremes[-1])
    assert extremes == sorted(extremes)


def test_the_peak_of_the_worst_frame_is_where_the_spot_is(small_bundle: Bundle, scorer: Scorer) -> None:
    frames = HELD[1].frames.copy()
    frames[17:18] = with_spot(frames[17:18], row=5, column=26)
    held = [HELD[0], HELD[1]._replace(frames=frames), *HELD[2:]]
    worst = described(small_bundle.manifest, held, scorer).examples[-1]
    assert worst.where == "frame 17 of run 9"
    assert abs(worst.peak[0] - 5) <= worst.window
    assert abs(worst.peak[1] - 26) <= worst.window


def test_a_context_with_limits_of_its_own_is_measured_against_them(small_bundle: Bundle, scorer: Scorer) -> None:
    manifest = small_bundle.manifest
    tight = {name: msgspec.structs.replace(limit, value=limit.center) for name, limit in manifest.limits.items()}
    held = [one._replace(context="contour" if number == 3 else "hatch") for number, one in enumerate(HELD)]
    data = described(msgspec.structs.replace(manifest, context_limits={"hatch": {}, "contour": tight}), held, scorer)
    assert data.groups[-1].over["s2"] > 0.3
    assert data.groups[-2].over["s2"] < 0.1
    s2 = data.charts[1 + CHARTS.index("s2")]
    assert s2.several_limits
    assert (s2.held[:300] == s2.limit).all()
    assert (s2.held[300:] == s2.center).all()
    assert [row[0] for row in data.limits.rows][len(CHARTS) :] == [f"{chart}, contour" for chart in CHARTS]
    assert "are over the limit of their context" in render(data)


def test_latents_lie_about_where_training_frames_had_theirs(data: ReportData) -> None:
    assert data.latents.points.shape == (400, 2)
    assert np.linalg.norm(np.median(data.latents.points, axis=0) - data.latents.origin) < 2.0
    assert 0 < sum(data.latents.shares) <= 1


def test_warnings_history_and_sweep_are_handed_on(data: ReportData, small_bundle: Bundle) -> None:
    assert data.warnings == small_bundle.manifest.warnings
    assert data.history == HISTORY
    assert data.sweep == SWEEP
