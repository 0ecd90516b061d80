"""What a person is told of limits and of the frames that set them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from frames import normal

from calibration.limits import ContextLimits, Limit
from calibration.tails import fit_tail
from models.scores import CHARTS
from monitor.camera.recordings import Recording
from monitor.cautions import SUSPECT_SHARE, about_frames, about_limits
from monitor.limits import Limiting
from monitor.split import Split

RATE = 0.01
TAIL = fit_tail(np.arange(100.0))


def limits(**given: Any) -> tuple[Limit, ...]:
    made = Limit(5.0, 4.0, 6.0, 1.0, RATE, "conformal", 400, 350.0, False, TAIL)
    return tuple(made._replace(**given) for _ in CHARTS)


def found(pooled: tuple[Limit, ...], budget: Any = None, **own: tuple[Limit, ...]) -> Limiting:
    return Limiting(CHARTS, np.zeros((0, 4)), ContextLimits(pooled, own), budget, None, None, None, ())


def shown(**counts: int) -> npt.NDArray[np.str_]:
    return np.repeat(list(counts), list(counts.values()))


NO_CONTEXT = np.repeat([""], 400)


def test_limits_that_are_supported_need_no_caution() -> None:
    assert about_limits(found(limits()), RATE, NO_CONTEXT) == []


def test_too_few_independent_frames_are_told_with_as_many_as_would_do() -> None:
    [told] = about_limits(found(limits(extrapolated=True)), RATE, NO_CONTEXT)
    assert told.startswith("400 held-out frames cannot support a rate of 0.01: the limits are extrapolated;")
    assert told.endswith("they say as much as 350 independent ones, of which 1000 would support them")


def test_each_context_is_told_of_by_name() -> None:
    poor = limits(extrapolated=True, frames=250, effective_frames=80.0)
    told = about_limits(found(limits(), hatch=limits(), contour=poor), RATE, shown(hatch=2000, contour=2000))
    assert len(told) == 1
    assert told[0].startswith("250 held-out frames of context contour cannot support a rate of 0.01")


def test_limits_of_a_budget_tell_of_themselves() -> None:
    assert about_limits(found(limits(extrapolated=True), budget=object()), RATE, NO_CONTEXT) == []


@pytest.mark.parametrize(("budget", "needed"), [(None, 1000), (object(), 5000)])
def test_a_context_without_its_own_limits_is_told_what_it_takes(budget: Any, needed: int) -> None:
    told = about_limits(found(limits(), budget, hatch=limits()), RATE, shown(hatch=2000, contour=150))
    assert told == [
        "context contour has the limits of all contexts pooled: its 150 held-out frames are too few for limits of its "
        f"own; give {needed} or more"
    ]


def test_a_context_that_is_the_only_one_has_its_own() -> None:
    assert about_limits(found(limits()), RATE, shown(hatch=150)) == []


# Frames

GROUPS = (Recording("run 8", normal(300, 8)), Recording("run 9", normal(300, 9)))


def scores(odd: range, seed: int = 0) -> npt.NDArray[np.float64]:
    values = np.random.default_rng(seed).normal(10.0, 1.0, (600, 4))
    values[odd, 2] += 200.0
    return values


def about(values: npt.NDArray[np.float64], contexts: npt.NDArray[np.str_] | None = None) -> list[str]:
    split = Split((Recording("run 0", normal(40, 0)),), GROUPS, ())
    return about_frames(split, values, np.repeat([""], 600) if contexts is None else contexts)


def test_frames_that_are_alike_need_no_look() -> None:
    assert about(scores(range(0))) == []


def test_frames_that_stand_out_are_counted_and_the_first_is_named() -> None:
    [told] = about(scores(range(310, 320)))
    assert told.startswith("10 of 600 held-out frames stand out from the others (the first is frame 10 of run 9)")
    assert "calibrate without them (--exclude)" in told


def test_as_few_as_any_stretch_has_are_not_told() -> None:
    assert about(scores(range(310, 310 + int(SUSPECT_SHARE * 600)))) == []


def test_a_context_that_is_unlike_the_others_does_not_stand_out() -> None:
    values = scores(range(0))
    values[300:] += 200.0
    assert about(values, np.repeat(["hatch", "contour"], 300)) == []


def test_constant_frames_are_told_whatever_they_are_used_for() -> None:
    covered = normal(40, 0)
    covered[7:9] = 3
    split = Split((Recording("run 0", covered),), (GROUPS[0], Recording("run 9", covered)), ())
    told = about_frames(split, scores(range(0)), np.repeat([""], 600))
    assert [one.split(":")[0] for one in told] == ["run 0", "run 9"]
    assert told[0].startswith("run 0: 2 frames are constant (the first is number 7): was the camera covered?")
