"""What a calibration by a false-alarm budget found reaches the report."""

import math

import msgspec
import numpy as np
import pytest
from frames import normal, with_spot

from calibration.shifted import ALL, MEWMA, SHIFTS, T2
from models.scorer import Scorer
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Events
from monitor.limits import set_limits
from monitor.manifest import Excluded, FittedLimit, Group, Manifest
from monitor.report import render
from monitor.report.data import JOINT, WARNING, ReportData
from monitor.reporting import describe
from monitor.score import load_scorer
from tests.monitor.test_report import Page

RATE_HZ = 100.0
SETTINGS = Calibration(latent=4, false_alarms_per_hour=60.0, false_alarm_rate=0.01, memories_s=(0.1,))
STRETCHES = [Recording(f"stretch {number}", normal(700, 40 + number)) for number in range(3)]


def budgeted(bundle: Bundle, scorer: Scorer, stretches: list[Recording]) -> tuple[Manifest, ReportData]:
    """*bundle* with limits that keep to a budget on *stretches*, and its report."""
    found, held, scores = set_limits(stretches, scorer, {}, SETTINGS, Events(k=1, n=1), RATE_HZ)
    groups = tuple(Group(one.name, len(one.frames), "limits", "ab" * 32) for one in stretches)
    limits = {name: FittedLimit.of(limit) for name, limit in zip(found.charts, found.limits.pooled, strict=True)}
    manifest = msgspec.structs.replace(
        bundle.manifest,
        groups=(*(one for one in bundle.manifest.groups if one.role == "train"), *groups),
        budget=found.budget,
        memory=found.memory,
        limits=limits,
        false_alarm_rate=SETTINGS.false_alarm_rate,
    )
    return manifest, describe(manifest, stretches, scorer, scores, found.values, held.groups, (), None)


@pytest.fixture(scope="module")
def scorer(small_bundle: Bundle) -> Scorer:
    return load_scorer(small_bundle)


@pytest.fixture(scope="module")
def found(small_bundle: Bundle, scorer: Scorer) -> tuple[Manifest, ReportData]:
    return budgeted(small_bundle, scorer, STRETCHES)


def test_the_promise_is_that_of_the_manifest_with_what_the_frames_did(found: tuple[Manifest, ReportData]) -> None:
    manifest, data = found
    assert data.promise is not None
    assert data.promise.budget is manifest.budget
    seen = data.promise.rates
    assert seen.frames == 2100
    assert seen.hours == pytest.approx(2100 / RATE_HZ / 3600)
    joint = data.charts[0]
    assert seen.over_action == int((joint.scores > 1.0).sum())
    assert abs(seen.over_warning - int((joint.scores > joint.warning).sum())) <= 1  # of rounding
    assert data.promise.groups_level <= manifest.budget.action


def test_the_joint_limit_has_its_interval_though_it_is_extrapolated(found: tuple[Manifest, ReportData]) -> None:
    manifest, data = found
    budget = manifest.budget
    assert budget is not None
    joint = data.charts[0]
    assert joint.extrapolated == (budget.extrapolated_by > 1.0)
    assert all(chart.has_interval for chart in data.charts)
    assert joint.limit_low == pytest.approx(budget.low / budget.action)
    assert joint.limit_high == pytest.approx(budget.high / budget.action)
    assert joint.warning == pytest.approx(budget.warning / budget.action)
    assert not data.footings, "what is said of limits per frame would not be true"
    assert "cannot be known" not in str(data.limits.rows)
    assert {row[3] for row in data.limits.rows} == {"extrapolated" if joint.extrapolated else "supported"}
    assert "block extremes" in data.settings["limits set by"]


def test_groups_are_counted_against_both_limits(found: tuple[Manifest, ReportData]) -> None:
    for group in found[1].groups:
        if group.role == "held-out":
            assert list(group.over)[:2] == [WARNING, JOINT]
            assert group.over[WARNING] >= group.over[JOINT]


def test_delays_are_measured_for_every_set_of_charts(found: tuple[Manifest, ReportData]) -> None:
    manifest, data = found
    assert data.promise is not None
    delays = data.promise.delays
    assert manifest.memory is not None
    assert set(delays.measured) == {ALL, T2, MEWMA}
    assert all(len(medians) == len(SHIFTS) for medians in delays.measured.values())
    assert delays.measured[ALL][-1].frames <= delays.measured[T2][-1].frames
    assert set(delays.theory) == {T2, MEWMA}  # a memory of ten frames is short enough


def test_memory_is_told_up_to_twice_the_dead_time(found: tuple[Manifest, ReportData]) -> None:
    manifest, data = found
    assert manifest.budget is not None
    assert data.correlation.dead_time == manifest.budget.block_frames
    assert data.correlation.rate_hz == RATE_HZ
    assert 300 <= len(data.correlation.found.correlation) - 1 <= 350


def test_the_settings_tell_what_was_asked_for(found: tuple[Manifest, ReportData]) -> None:
    settings = found[1].settings
    assert settings["false alarms asked for"] == "60 a judged hour"
    assert settings["memories of the chart mewma"] == "0.1 s"
    assert "false-alarm rate asked for" not in settings


def test_the_page_of_a_retrained_limit_says_nothing_of_a_training(found: tuple[Manifest, ReportData]) -> None:
    text = Page(render(found[1])).text
    assert "At most one false alarm a minute, on average." in text
    assert "Size of the latent" not in text
    assert "nan" not in text


def test_frames_that_stand_out_are_told_with_their_place_chart_and_score(small_bundle: Bundle, scorer: Scorer) -> None:
    frames = STRETCHES[1].frames.copy()
    frames[300:304] = with_spot(frames[300:304], strength=200)
    _, data = budgeted(small_bundle, scorer, [STRETCHES[0], STRETCHES[1]._replace(frames=frames), STRETCHES[2]])
    first = data.segments[0]
    assert (first.group, first.first, first.last, first.odd) == ("stretch 1", 300, 303, 4)
    assert first.chart == "local"
    assert first.score == pytest.approx(data.charts[4].scores[1000:1004].max())
    assert first.share == pytest.approx(4 / 700)


def test_what_a_person_left_out_is_told_with_the_limits_that_it_would_have_set(
    small_bundle: Bundle, scorer: Scorer, found: tuple[Manifest, ReportData]
) -> None:
    manifest = msgspec.structs.replace(
        found[0],
        excluded=(Excluded("stretch 1", 300, 303),),
        limits_with_excluded={chart: 2 * limit.value for chart, limit in found[0].limits.items()},
    )
    limits, held, scores = set_limits(STRETCHES, scorer, {}, SETTINGS, Events(k=1, n=1), RATE_HZ)
    data = describe(manifest, STRETCHES, scorer, scores, limits.values, held.groups, (), None)
    assert "stretch 1, frames 300 to 303" in data.settings.values()
    assert data.limits.head[-1] == "limit, had nothing been excluded"
    for row in data.limits.rows:
        assert float(row[-1]) == pytest.approx(2 * float(row[1]), rel=1e-3)


def test_limits_per_frame_have_no_promise(small_bundle: Bundle, scorer: Scorer) -> None:
    scores = scorer(np.concatenate([one.frames for one in STRETCHES]))
    groups = np.repeat(np.arange(3), 700)
    held = tuple(Group(one.name, 700, "limits", "ab" * 32) for one in STRETCHES)
    manifest = msgspec.structs.replace(small_bundle.manifest, groups=held)
    data = describe(manifest, STRETCHES, scorer, scores, scores.values.astype(float), groups, (), None)
    assert data.promise is None
    assert math.isnan(data.charts[0].warning)
    assert math.isnan(data.correlation.rate_hz)
    assert WARNING not in data.groups[0].over
