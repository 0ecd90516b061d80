"""What a calibration found reaches the report: groups with their roles, limits, and telling examples."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from frames import normal, runs, with_spot

from calibration.scale import JointScale
from models.scorer import Scorer
from models.scores import CHARTS
from models.sweep import LatentSweep
from models.trained import Checkpoint
from monitor.bundle import REPORT, Bundle
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Network
from monitor.manifest import FittedLimit, Manifest
from monitor.report import render
from monitor.report.data import JOINT, ReportData
from monitor.report.settings import camera_levels, in_words
from monitor.reporting import describe
from monitor.score import load_scorer

HELD = runs()[8:]
HISTORY = (Checkpoint(10, 0.5, 0.6), Checkpoint(20, 0.25, math.nan))
SWEEP = LatentSweep((2, 4), (math.nan, 0.2), (0.4, 0.3), 4, given=True, measured_on="chose the weights")


TURNED = Calibration(latent=4, max_steps=60, binning=2, orientation="align", false_alarm_rate=0.05, held_out=0.5)


def pools() -> list[Recording]:
    """Four runs of 40 frames of an oblong pool, each frame of a direction of its own."""
    down, across = np.mgrid[:64, :64] - 31.5
    recordings = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        angle = random.uniform(0, 2 * np.pi, (40, 1, 1))
        along = across * np.cos(angle) + down * np.sin(angle)
        aside = down * np.cos(angle) - across * np.sin(angle)
        pool = 160 * np.exp(-np.square(along / 9) / 2 - np.square(aside / 4) / 2)
        pixels = 20 + pool + random.normal(0, 3, pool.shape)
        recordings.append(Recording(f"run {seed}", pixels.clip(0, 255).astype(np.uint8)))
    return recordings


def changed_limits(bundle: Bundle, **fields: object) -> dict[str, FittedLimit]:
    return {name: msgspec.structs.replace(limit, **fields) for name, limit in bundle.manifest.limits.items()}


def described(manifest: Manifest, held: list[Recording], scorer: Scorer) -> ReportData:
    scores = scorer(np.concatenate([one.frames for one in held]))
    groups = np.repeat(np.arange(len(held)), [len(one.frames) for one in held])
    return describe(manifest, held, scorer, scores, scores.values.astype(np.float64), groups, HISTORY, SWEEP)


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
    assert data.camera_settings == "not stated"
    assert (data.turned, data.binning) == (False, 1)


def test_every_setting_of_the_training_and_every_camera_level_is_told(data: ReportData, small_bundle: Bundle) -> None:
    manifest = small_bundle.manifest
    told = data.settings.keys()
    assert in_words(manifest.training).keys() <= told
    assert camera_levels(msgspec.structs.asdict(manifest.camera)).keys() <= told
    assert {name for section in (Calibration, Network) for name in section.__struct_fields__} - {
        *manifest.training,
        *("network", "false_alarm_rate", "tile_px", "tile_overlap"),  # the last two where frames are cut into tiles
        "precision",  # told as the decoder's
        *("false_alarms_per_hour", "conservative", "memories_s", "mewma_limit", "limit"),  # told with the limits
        *("false_stops_per_hour", "stop_k", "stop_n"),  # told with the permit
    } == set()


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
    assert joint.center == np.median(joint.scores)


def test_an_interval_is_told_where_the_limits_are_supported_and_none_where_they_are_extrapolated(
    small_bundle: Bundle, data: ReportData, scorer: Scorer
) -> None:
    assert all(chart.extrapolated and not chart.has_interval for chart in data.charts)
    assert math.isnan(data.footings[0].low)
    assert {row[2] for row in data.limits.rows} == {"cannot be known"}
    manifest = msgspec.structs.replace(small_bundle.manifest, limits=changed_limits(small_bundle, extrapolated=False))
    supported = described(manifest, HELD, scorer)
    assert all(chart.has_interval and not chart.extrapolated for chart in supported.charts)
    [footing] = supported.footings
    assert (footing.where, footing.frames) == ("", 400)
    assert 1.0 < footing.effective_frames <= 400
    assert footing.low < 1.0 < footing.high
    assert (supported.charts[0].limit_low, supported.charts[0].limit_high) == (footing.low, footing.high)
    for chart, limit in zip(supported.charts[1:], small_bundle.limits, strict=True):
        assert (chart.limit_low, chart.limit_high) == (limit.low, limit.high)


def test_every_chart_comes_with_its_limit_and_the_starts_of_its_groups(data: ReportData, small_bundle: Bundle) -> None:
    assert [chart.name for chart in data.charts] == [JOINT, *CHARTS]
    for chart, limit in zip(data.charts[1:], small_bundle.limits, strict=True):
        assert chart.limit == limit.value
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
        np.testing.assert_array_equal(example.came, group.frames[int(number)])
        np.testing.assert_allclose(example.seen, example.came, atol=1e-3)
        assert np.abs(example.drawn - example.seen).mean() < 20
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
    assert worst.peak == worst.place
    assert abs(worst.peak.row - 5) <= worst.peak.side
    assert abs(worst.peak.column - 26) <= worst.peak.side


def test_a_context_with_limits_of_its_own_is_measured_against_them(small_bundle: Bundle, scorer: Scorer) -> None:
    manifest = small_bundle.manifest
    tight = {
        name: msgspec.structs.replace(limit, value=limit.center, effective_frames=21.0, frames=100)
        for name, limit in manifest.limits.items()
    }
    held = [one._replace(context="contour" if number == 3 else "hatch") for number, one in enumerate(HELD)]
    data = described(msgspec.structs.replace(manifest, context_limits={"hatch": {}, "contour": tight}), held, scorer)
    assert data.groups[-1].over["s2"] > 0.3
    assert data.groups[-2].over["s2"] < 0.1
    s2 = data.charts[1 + CHARTS.index("s2")]
    assert s2.several_limits
    assert (s2.held[:300] == s2.limit).all()
    assert (s2.held[300:] == s2.center).all()
    assert [row[0] for row in data.limits.rows][len(CHARTS) :] == [f"{chart}, contour" for chart in CHARTS]
    page = render(data)
    assert "are over the limit of their context" in page
    own, pooled = data.footings
    assert (own.where, own.frames, own.effective_frames) == ("context contour", 100, 21.0)
    assert pooled.where == "the limits of all contexts together, which hold for hatch"
    assert pooled.frames == 400
    assert not data.charts[0].has_interval, "each context has one of its own"


def test_what_came_and_what_was_seen_of_it_differ_where_frames_are_turned_and_binned(tmp_path: Path) -> None:
    recordings = pools()
    bundle = calibrate(recordings, TURNED, tmp_path / "bundle")
    held = [one for one in recordings if one.name in ("run 2", "run 3")]
    spoiled = [held[0], held[1]._replace(frames=with_spot(held[1].frames, row=10, column=50, strength=200))]
    data = described(bundle.manifest, spoiled, load_scorer(bundle))
    assert (data.turned, data.binning) == (True, 2)
    worst = data.examples[-1]
    assert (worst.came.shape, worst.seen.shape) == ((64, 64), (32, 32))
    assert worst.came.dtype == np.uint8
    assert worst.place.side == 2 * worst.peak.side
    assert abs(worst.place.row - 10) <= worst.place.side
    assert abs(worst.place.column - 50) <= worst.place.side


def test_a_latent_that_is_looked_for_is_found_told_and_used(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Calibration(latent="auto", max_steps=30, false_alarm_rate=0.05)
    recordings = [Recording(f"run {seed}", normal(40, seed, 16, 16)) for seed in range(4)]
    bundle = calibrate(recordings, settings, tmp_path / "bundle", progress=lambda *step: told.append(step[3]))
    sizes = (2, 4, 8, 16, 32)
    trials = [f"trying latent {size} ({number} of 5 sizes)" for number, size in enumerate(sizes, start=1)]
    assert list(dict.fromkeys(told)) == [*trials, "training"]
    chosen = bundle.manifest.training["latent"]
    assert chosen in sizes
    assert load_scorer(bundle).latent == chosen
    page = (bundle.path / REPORT).read_text()
    assert "5 sizes were tried, each in a short training" in page
    assert f"chosen: {chosen}" in page


def test_latents_lie_about_where_training_frames_had_theirs(data: ReportData) -> None:
    assert data.latents.points.shape == (400, 2)
    assert np.linalg.norm(np.median(data.latents.points, axis=0) - data.latents.origin) < 2.0
    assert 0 < sum(data.latents.shares) <= 1


def test_warnings_history_and_sweep_are_handed_on(data: ReportData, small_bundle: Bundle) -> None:
    assert data.warnings == small_bundle.manifest.warnings
    assert data.history == HISTORY
    assert data.sweep == SWEEP
