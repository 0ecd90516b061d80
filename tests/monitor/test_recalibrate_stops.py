"""Limits for stops: from a clean stretch, and from blocks that were kept with their rule."""

import msgspec
import numpy as np
import pytest
from budget import CONFIG, RATE_HZ, stretches
from test_recalibrate import APPROVAL, asking, budget_of, budgeted, kept

from calibration.charts import CalibrationError
from monitor import bundle as bundles
from monitor.budget import FittedStops
from monitor.bundle import Bundle
from monitor.limits import STOPS_EXTRAPOLATED
from monitor.manifest import Manifest
from monitor.recalibrate import from_blocks, from_stretches

__all__ = ["budgeted"]


STOPPING = msgspec.structs.replace(CONFIG.calibration, false_stops_per_hour=6.0, stop_k=3, stop_n=4)


@pytest.fixture(scope="module")
def stopping(budgeted: Bundle) -> Bundle:
    """*budgeted* with a budget of false stops, as a clean stretch sets it."""
    asked = msgspec.structs.replace(CONFIG, calibration=STOPPING)
    manifest, _ = from_stretches(budgeted, stretches(2, 800, seed=80), asked, RATE_HZ, APPROVAL)
    return budgeted._replace(manifest=manifest)


def stops_of(manifest: Manifest) -> FittedStops:
    stops = budget_of(manifest).stops
    assert stops is not None
    return stops


def test_a_stop_limit_comes_from_the_same_frames_and_says_how_far_it_is_extrapolated(stopping: Bundle) -> None:
    held, budget = stops_of(stopping.manifest), budget_of(stopping.manifest)
    assert (held.asked_per_hour, held.k, held.n) == (6.0, 3, 4)
    assert held.extrapolated_by > budget.extrapolated_by > 1
    assert any(one.endswith(STOPS_EXTRAPOLATED) for one in stopping.manifest.warnings)
    assert stopping.manifest.format == bundles.FORMAT
    rule = budget.stop_rule
    assert rule is not None
    assert (rule.k, rule.n, rule.limit) == (3, 4, held.action / budget.action)


def test_blocks_that_were_kept_with_the_rule_for_stops_set_its_limit_anew(stopping: Bundle) -> None:
    blocks = [one._replace(stop=one.extreme - 0.4, rule="3 of 4") for one in kept(stopping, 3000)]
    new = from_blocks(stopping, blocks, STOPPING, APPROVAL)[0]
    assert new.scale == stopping.manifest.scale
    held = stops_of(new)
    assert held.extrapolated_by == 1.0
    assert not any(one.endswith(STOPS_EXTRAPOLATED) for one in new.warnings)
    share = np.mean([one.stop > held.action for one in blocks if one.stop is not None])
    assert share * 3000 <= 6.0 * held.hours + 1
    without = from_blocks(stopping, blocks, asking(), APPROVAL)[0]
    assert budget_of(without).stops is None, "who asks for no stops has none"


def test_blocks_that_know_of_no_stops_set_no_stop_limit(stopping: Bundle) -> None:
    other = [one._replace(stop=1.0, rule="5 of 8") for one in kept(stopping, 300)]
    for blocks in (kept(stopping, 300), other):
        with pytest.raises(CalibrationError, match="know of stops by 3 of 4 frames: recalibrate from a clean stretch"):
            from_blocks(stopping, blocks, STOPPING, APPROVAL)


def test_what_the_configuration_asks_of_stops_and_the_bundle_does_not_keep_is_told(
    budgeted: Bundle, stopping: Bundle
) -> None:
    held, none = budget_of(stopping.manifest), budget_of(budgeted.manifest)
    assert held.other_than(STOPPING) == ""
    assert none.other_than(STOPPING) == "calibration.false_stops_per_hour is 6, the bundle has no stop limit"
    cases = {
        "false_stops_per_hour is null": {"false_stops_per_hour": None},
        "false_stops_per_hour is 2, ": {"false_stops_per_hour": 2.0},
        "stop_k and stop_n are 2 of 4, the bundle's stop limit is for 3 of 4": {"stop_k": 2},
    }
    for told, changes in cases.items():
        assert told in held.other_than(msgspec.structs.replace(STOPPING, **changes))
