"""Limits from held-out scores: by the budget and with a memory where frames support them, else per frame and told."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from calibration.budget import for_tails
from calibration.events import EventRule
from calibration.limits import Limit, fit_context_limits
from calibration.memory import CENTER_FRAMES, RARITY_TAIL, centers_of
from calibration.tails import rarity
from models.scores import CHARTS, Scores
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Events
from monitor.limits import (
    INDEPENDENT,
    MEMORY,
    Held,
    Limiting,
    by_chart,
    contexts_of,
    held_of,
    limiting,
    per_frame,
    set_limits,
)
from monitor.manifest import FittedLimit

P = 3  # latents
RATE_HZ = 100.0
EVENTS = Events(k=2, n=3)  # for which 20 of the shortest blocks are 600 frames
OFTEN = 3600.0  # false alarms an hour: one in a hundred frames
SETTINGS = Calibration(false_alarm_rate=0.01, false_alarms_per_hour=OFTEN / 4, memories_s=(0.05, 1.0))


def held_out(stretches: int, frames: int, contexts: tuple[str, ...] = ("",), seed: int = 0) -> Held:
    """Stretches of so many *frames*, each a run of its own, in *contexts* by turns."""
    random = np.random.default_rng(seed)
    latents = random.standard_normal((stretches * frames, P))
    others = random.exponential(size=(stretches * frames, len(CHARTS) - 1))
    groups = np.repeat(np.arange(stretches), frames)
    shown = np.array(contexts)[groups % len(contexts)]
    values = np.column_stack((np.square(latents).sum(axis=1), others)).astype(np.float32)
    return Held(values, latents.astype(np.float32), groups, groups, shown)


def set_on(held: Held, centers: dict[bytes, npt.NDArray[np.float64]] | None = None, **changes: Any) -> Limiting:
    settings = Calibration(**{name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__} | changes)
    return limiting(held, centers or {}, settings, EVENTS, RATE_HZ)


ENOUGH = held_out(4, 2000)


@pytest.fixture(scope="module")
def found() -> Limiting:
    return set_on(ENOUGH)


def same(limits: tuple[Limit, ...], others: tuple[Limit, ...]) -> bool:
    return all(FittedLimit.of(one) == FittedLimit.of(other) for one, other in zip(limits, others, strict=True))


def is_per_frame(found: Limiting, held: Held) -> bool:
    """Whether limits are those that a share of single frames exceeds."""
    expected = fit_context_limits(held.values, held.contexts, 0.01, groups=held.groups, latents=held.latents)
    none = found.budget is None and found.memory is None and found.charts == CHARTS
    return none and same(found.limits.pooled, expected.pooled) and np.array_equal(found.values, held.values)


# Per frame


def test_without_a_budget_limits_are_per_frame_and_nothing_is_told() -> None:
    found = set_on(ENOUGH, false_alarms_per_hour=None)
    assert is_per_frame(found, ENOUGH)
    assert found.warnings == ()


@pytest.mark.parametrize(("frames", "enough"), [(30, False), (748, False), (750, True)])
def test_too_few_frames_for_a_budget_have_limits_per_frame_and_the_numbers_are_told(frames: int, enough: bool) -> None:
    held = held_out(1, frames)
    found = set_on(held)
    assert (found.budget is not None) == enough
    if not enough:
        assert is_per_frame(found, held)
        [warning] = found.warnings
        assert warning.startswith(f"{frames} held-out frames cannot keep a budget of 900 false alarms an hour")
        assert "600 of the others are the least; what they can set is limits per frame" in warning


def test_what_is_too_few_depends_on_the_event_rule() -> None:
    held = held_out(1, 750)
    assert limiting(held, {}, SETTINGS, Events(k=1, n=1), RATE_HZ).budget is not None
    longer = limiting(held, {}, SETTINGS, Events(k=3, n=5), RATE_HZ)
    assert longer.budget is None
    assert "1000 of the others" in longer.warnings[0]


# By the budget


def test_the_budget_says_what_was_asked_for_and_what_the_limits_rest_on(found: Limiting) -> None:
    budget = found.budget
    assert budget is not None
    assert (budget.asked_per_hour, budget.per_hour, budget.rate_hz) == (900.0, 900.0, RATE_HZ)
    assert (budget.k, budget.n, budget.warning_rate, budget.conservative) == (2, 3, 0.01, False)
    assert budget.rule == EventRule(2, 3, budget.block_frames)
    assert budget.hours == pytest.approx(0.8 * 8000 / RATE_HZ / 3600, rel=0.05)
    assert budget.low < budget.action < budget.high
    assert budget.shift is not None
    assert budget.shift.groups == 4
    assert len(budget.extremes) == budget.blocks


def test_every_limit_is_as_rare_as_the_action_limit_and_the_frames_keep_to_the_budget(found: Limiting) -> None:
    budget = found.budget
    assert budget is not None
    for limit in found.limits.pooled:
        assert float(rarity(limit.value, limit.tail)) == pytest.approx(budget.action)
    over = (found.values > [limit.value for limit in found.limits.pooled]).any(axis=1)
    fresh = over[~for_tails(ENOUGH.groups, ENOUGH.runs)]
    events = np.flatnonzero(fresh[1:] & fresh[:-1])
    assert len(events) <= 1.5 * budget.per_hour * budget.hours


def test_a_conservative_budget_is_kept_by_higher_limits(found: Limiting) -> None:
    careful = set_on(ENOUGH, conservative=True)
    assert careful.budget is not None
    assert found.budget is not None
    assert careful.budget.conservative
    for one, other in zip(careful.limits.pooled, found.limits.pooled, strict=True):
        assert one.value > other.value


def test_frames_too_few_for_the_budget_extrapolate_and_are_told() -> None:
    found = set_on(ENOUGH, false_alarms_per_hour=1.0)
    assert found.budget is not None
    assert found.budget.extrapolated_by > 10
    told = next(one for one in found.warnings if "the limits are extrapolated" in one)
    assert f"are {found.budget.extrapolated_by:.3g} times too short for 1 false alarms an hour" in told
    assert all(limit.extrapolated for limit in found.limits.pooled)


def test_a_budget_of_more_than_every_tenth_block_promises_fewer_and_is_told() -> None:
    found = set_on(ENOUGH, false_alarms_per_hour=50 * OFTEN)
    assert found.budget is not None
    assert found.budget.per_hour < found.budget.asked_per_hour == 50 * OFTEN
    assert found.budget.why in found.warnings
    assert "it promises" in found.budget.why


@pytest.mark.parametrize("stretches", [1, 4])
def test_of_one_run_it_is_told_that_no_limit_allows_for_another(stretches: int) -> None:
    held = held_out(stretches, 8000 // stretches)
    found = set_on(held._replace(runs=np.zeros_like(held.runs)))
    assert found.budget is not None
    assert found.budget.shift is None
    assert any("cannot be known from one" in one for one in found.warnings)
    assert not any("cannot be known" in one for one in set_on(ENOUGH).warnings)


# Memory


def test_the_memory_chart_stands_last_and_its_score_is_a_rarity(found: Limiting) -> None:
    assert found.charts == (*CHARTS, MEMORY)
    assert found.memory is not None
    assert found.budget is not None
    assert (found.memory.seconds, found.memory.rate_hz) == ((0.05,), RATE_HZ)
    assert found.values.shape == (8000, len(CHARTS) + 1)
    np.testing.assert_array_equal(found.values[:, :-1], ENOUGH.values)
    last = found.limits.pooled[-1]
    assert last.tail is RARITY_TAIL
    assert last.value == pytest.approx(found.budget.action)
    kept = ~for_tails(ENOUGH.groups, ENOUGH.runs)
    assert (found.values[kept, -1] > 1.0).mean() == pytest.approx(0.1, abs=0.05)


def test_a_memory_that_the_frames_cannot_support_is_left_out_and_told(found: Limiting) -> None:
    [note] = [one for one in found.warnings if MEMORY in one]
    assert note.startswith("the chart mewma has no memory of 1 s: 8000 held-out frames at 100 a second in 4 stretches")
    assert not any(MEMORY in one for one in set_on(ENOUGH, memories_s=(0.05,)).warnings)


@pytest.mark.parametrize("memories", [(), (0.01, 50.0)])
def test_without_a_memory_that_fits_there_is_no_such_chart(memories: tuple[float, ...]) -> None:
    found = set_on(ENOUGH, memories_s=memories)
    assert found.memory is None
    assert found.charts == CHARTS
    assert found.values.shape == (8000, len(CHARTS))
    assert len([one for one in found.warnings if "no memory of 0.01 s, 50 s" in one]) == bool(memories)


def test_frames_that_t2_finds_strange_are_those_over_its_warning_limit(found: Limiting) -> None:
    assert found.memory is not None
    assert (ENOUGH.values[:, 0] > found.memory.strange).mean() == pytest.approx(0.01, abs=0.005)


# Contexts


def test_contexts_have_limits_and_memories_of_their_own() -> None:
    held = held_out(4, 4000, ("hatch", "contour"))
    shift = np.where(held.contexts == "contour", 2.0, 0.0)
    held.latents[:, 0] += shift
    held.values[:, 1] *= 1 + 4 * (held.contexts == "contour")
    learned = held.latents[: CENTER_FRAMES * P], held.latents[4000 : 4000 + CENTER_FRAMES * P]
    names = np.repeat([b"hatch", b"contour"], CENTER_FRAMES * P)
    found = set_on(held, centers_of(np.concatenate(learned), names))
    assert set(found.limits.own) == {"hatch", "contour"}
    of_hatch, of_contour = (found.limits.of(name) for name in ("hatch", "contour"))
    assert of_contour[1].value > 3 * of_hatch[1].value
    assert of_hatch[-1].tail is of_contour[-1].tail is RARITY_TAIL
    assert of_hatch[-1].value == of_contour[-1].value
    assert found.memory is not None
    assert found.memory.centers["contour"][0] == pytest.approx(2.0, abs=0.3)
    contour = found.values[held.contexts == "contour", -1]
    assert (contour > 2.0).mean() < 0.05, "about its own mean it is in control"


# From recordings


class Readout:
    """A scorer that finds a frame's mean pixel in every chart."""

    def __call__(self, frames: np.ndarray) -> Scores:
        means = frames.mean(axis=(1, 2)).astype(np.float32)
        where = np.zeros((len(frames), 2), np.int16)
        return Scores(np.stack([means] * P, axis=1), means, means + 1, means + 2, means + 3, where)


RECORDINGS = [
    Recording(f"{context}/run{run}.npy", np.full((3 + run, 2, 2), 10 * run + len(context), np.uint8), context)
    for run in range(2)
    for context in ("hatch", "contour")
]


def test_frames_are_held_with_their_stretch_their_run_and_their_context() -> None:
    held, scores = held_of(RECORDINGS, Readout())  # type: ignore[arg-type]
    lengths = [3, 3, 4, 4]
    assert held.groups.tolist() == np.repeat([0, 1, 2, 3], lengths).tolist()
    assert held.runs.tolist() == np.repeat([0, 0, 2, 2], lengths).tolist(), "one run in two contexts is one"
    assert held.contexts.tolist() == np.repeat(["hatch", "contour"] * 2, lengths).tolist()
    assert held.contexts.tolist() == contexts_of(RECORDINGS).tolist()
    assert held.values[:, 0].tolist() == np.repeat([5.0, 7.0, 15.0, 17.0], lengths).tolist()
    np.testing.assert_array_equal(held.values, scores.values)
    np.testing.assert_array_equal(held.latents, scores.latent)


def test_a_layer_is_as_long_as_half_of_those_stated_in_all_their_contexts() -> None:
    layers = [one._replace(layer=f"layer {len(one.frames)}") for one in RECORDINGS]
    alone = [*layers, RECORDINGS[0]]
    assert [held_of(these, Readout())[0].layer_frames for these in (RECORDINGS, layers, alone)] == [1, 7, 7]  # type: ignore[arg-type]


def test_blocks_are_at_least_a_layer_where_that_leaves_enough() -> None:
    short, long = (set_on(ENOUGH._replace(layer_frames=frames)) for frames in (250, 4000))
    assert short.budget is not None
    assert long.budget is not None
    assert set_on(ENOUGH).budget.block_frames < 250 <= short.budget.block_frames  # type: ignore[union-attr]
    assert not any("shorter than a layer" in told for told in short.warnings)
    assert long.budget.block_frames == 6400 // 20
    assert any("blocks of 320 frames are shorter than a layer of 4000" in told for told in long.warnings)


def noisy(count: int) -> list[Recording]:
    pixels = np.random.default_rng(0).integers(0, 255, (count, 2, 2), dtype=np.uint8)
    return [Recording("one", pixels[: count // 2]), Recording("two", pixels[count // 2 :])]


def test_without_a_frame_rate_limits_are_per_frame_whatever_the_budget() -> None:
    for rate_hz, by_budget in ((None, False), (RATE_HZ, True)):
        found, _, _ = set_limits(noisy(2000), Readout(), {}, SETTINGS, EVENTS, rate_hz)  # type: ignore[arg-type]
        assert (found.budget is not None) == by_budget


def test_with_tails_of_other_frames_limits_are_per_frame_on_them() -> None:
    tails = [RARITY_TAIL] * len(CHARTS)
    found, held, _ = set_limits(noisy(400), Readout(), {}, SETTINGS, EVENTS, RATE_HZ, tails)  # type: ignore[arg-type]
    assert found.budget is None
    assert all(limit.tail is RARITY_TAIL for limit in found.limits.pooled)
    assert same(found.limits.pooled, per_frame(held, SETTINGS, tails).limits.pooled)


def test_limits_are_named_by_their_charts() -> None:
    limits = per_frame(ENOUGH, SETTINGS).limits.pooled
    assert by_chart(CHARTS, limits) == {chart: FittedLimit.of(one) for chart, one in zip(CHARTS, limits, strict=True)}
    assert by_chart(CHARTS, ()) == {}


def test_the_chart_that_remembers_may_have_the_textbooks_limit_and_the_others_keep_the_budget(found: Limiting) -> None:
    other = set_on(ENOUGH, mewma_limit="independent")
    assert [limit.value for limit in other.limits.pooled[:-1]] == [limit.value for limit in found.limits.pooled[:-1]]
    assert other.limits.pooled[-1].method == INDEPENDENT
    assert other.limits.pooled[-1].value != found.limits.pooled[-1].value
