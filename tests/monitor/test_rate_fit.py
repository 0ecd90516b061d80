"""The chart of rates from held-out frames: windows within runs, a part of the budget, and what a person is told."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from calibration.action import Demand
from calibration.exceedance_rate import UnitRule, judge
from monitor.manifest import FittedRates
from monitor.rate_fit import LONGEST_S, PART, SHORTEST, UNITS_WANTED, rates_of

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

WARNING = 2.0  # decades: one frame in a hundred


def demand(**changes: Any) -> Demand:
    return Demand(**{"per_hour": 10.0, "rate_hz": 1000.0, "k": 2, "n": 3, "warning_rate": 0.01} | changes)


def rare(count: int, seed: int = 0) -> Float64s:
    return np.random.default_rng(seed).exponential(1 / np.log(10), count)


def fitted(joint: Float64s, runs: Indices | None = None, **changes: Any) -> FittedRates:
    runs = np.zeros(len(joint), np.int64) if runs is None else runs
    found, notes = rates_of(joint, runs, runs, WARNING, demand(**changes))
    assert found is not None, notes
    return found


@pytest.mark.parametrize(
    ("frames", "rate_hz", "window"),
    [
        (3000, 1000.0, SHORTEST),  # a doubled rate could not be told from chance
        (60_000, 1000.0, 60_000 // UNITS_WANTED),
        (60_000, 100.0, round(LONGEST_S * 100)),  # no operator waits longer
        (60_000, 1.0, SHORTEST),
    ],
)
def test_a_window_is_as_long_as_thirty_of_them_allow(frames: int, rate_hz: float, window: int) -> None:
    found = fitted(rare(frames), rate_hz=rate_hz)
    assert found.rule == UnitRule(window, window // 2)
    assert len(found.exceedances) == frames // window
    assert set(found.frames) == {window}


def test_what_exceeds_the_warning_limit_is_counted() -> None:
    joint = rare(6000)
    found = fitted(joint)
    assert list(found.exceedances) == (joint > WARNING).reshape(30, 200).sum(axis=1).tolist()


def test_no_window_reaches_from_one_run_into_another() -> None:
    runs = np.repeat([0, 1, 2], [1990, 2150, 2000])
    joint = rare(len(runs))
    found = fitted(joint, runs)
    expected = []
    for run in range(3):
        over = joint[runs == run] > WARNING
        expected.append(over[: len(over) // found.window * found.window].reshape(-1, found.window).sum(axis=1))
    assert list(found.exceedances) == np.concatenate(expected).tolist()


def test_its_false_alarms_are_a_part_of_the_budget() -> None:
    found = fitted(rare(60_000), per_hour=100.0)
    assert found.per_hour == pytest.approx(PART * 100.0)
    assert found.share == pytest.approx(PART * 100.0 * 2.0 / 3600)
    few = fitted(rare(6000), per_hour=1e6)
    assert few.share == 0.1, "at most one unit in ten"
    assert few.per_hour == pytest.approx(0.1 * 3600 / 0.2)


def test_the_limit_that_the_manifest_holds_is_the_one_that_was_set() -> None:
    found = fitted(rare(60_000), per_hour=1000.0)
    assert not judge(found.limit, found.most, found.window).over
    assert judge(found.limit, found.most + 1, found.window).over
    assert (found.limit.extrapolated_by, found.limit.why) == (found.extrapolated_by, found.why)


def test_frames_of_new_runs_exceed_it_as_seldom_as_said() -> None:
    found = fitted(rare(120_000), per_hour=2000.0)
    in_control, raised = (
        (joint > WARNING).reshape(-1, found.window).sum(axis=1) > found.most
        for joint in (rare(2_000_000, 1), rare(200_000, 2) + 0.3)
    )
    assert in_control.mean() <= 2 * found.share
    assert raised.mean() > 0.5


@pytest.mark.parametrize("frames", [0, 150, 7 * SHORTEST + 199])
def test_too_few_frames_have_no_chart_of_rates_and_it_is_told(frames: int) -> None:
    joint, runs = rare(frames), np.zeros(frames, np.int64)
    found, notes = rates_of(joint, runs, runs, WARNING, demand())
    assert found is None
    [note] = notes
    assert note.startswith("there is no chart of rates: ")


def test_units_that_the_law_does_not_hold_are_told() -> None:
    joint = rare(12_000)
    runs = np.zeros(len(joint), np.int64)
    assert rates_of(joint, runs, runs, WARNING, demand())[1] == []
    joint[4000:4400] += 1.5
    _, [note] = rates_of(joint, runs, runs, WARNING, demand())
    assert note == "the chart of rates does not hold 1 of its units: look at them"


def test_a_careful_budget_takes_the_upper_bound_here_too() -> None:
    joint = rare(24_000)
    plain, careful = fitted(joint), fitted(joint, conservative=True)
    assert careful.limit.limit == plain.limit.conservative > plain.limit.limit
    assert careful.most >= plain.most
