"""Memories stand still where the stream does, each context's for itself; a strange frame enters only so far."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import mewma
from calibration.charts import CalibrationError
from calibration.memory import (
    CENTER_FRAMES,
    RARITY_TAIL,
    MemoryChart,
    centers_of,
    fit_memory,
    independent_limit,
    memories_for,
    step,
)
from calibration.tails import fit_tail, rarity, score_of

Float64s = npt.NDArray[np.float64]

P = 3  # latents
RATE_HZ = 100.0
SECONDS = (0.1, 1.0)  # ten frames and a hundred
STRANGE = 20.0  # T2 of one in-control frame in six thousand
SHIFT = {b"hatch": 0.0, b"contour": 2.0}  # of the first latent


class Frames(NamedTuple):
    q: Float64s
    t2: Float64s
    contexts: npt.NDArray[np.bytes_]

    def __getitem__(self, rows: slice) -> "Frames":  # type: ignore[override]  # frames, not columns
        return Frames(*(column[rows] for column in (self.q, self.t2, self.contexts)))


def frames(count: int, seed: int = 0, contexts: Sequence[bytes] = (b"hatch", b"contour"), run: int = 7) -> Frames:
    """In-control frames whose context changes every *run* of them."""
    names = np.array([contexts[i // run % len(contexts)] for i in range(count)])
    q = np.random.default_rng(seed).standard_normal((count, P))
    t2 = np.square(q).sum(axis=1)
    q[:, 0] += [SHIFT[name] for name in names.tolist()]
    return Frames(q, t2, names)


def fit(held: Frames, borders: Sequence[int], strange: float = STRANGE) -> tuple[MemoryChart, Float64s]:
    centers = {name: np.array([shift, 0.0, 0.0]) for name, shift in SHIFT.items()}
    late = np.arange(len(held.q)) >= len(held.q) * 4 // 5
    return fit_memory(SECONDS, RATE_HZ, centers, strange, *held, np.array(borders), late)


HELD = frames(20_000)
CHART, FITTED = fit(HELD, [0, 10_000, 20_000])


def scores_of(shown: Frames, chart: MemoryChart = CHART) -> Float64s:
    return step(chart, {}, *shown)[1]


def same(one: dict[bytes, mewma.MewmaState], other: dict[bytes, mewma.MewmaState]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name].memory, other[name].memory) and one[name].taken == other[name].taken for name in one
    )


# The stream


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 200), max_size=10).map(sorted),
    contexts=st.lists(st.sampled_from(list(SHIFT)), min_size=1, max_size=6),
    odd=st.lists(st.tuples(st.integers(0, 199), st.sampled_from([np.nan, np.inf, 40.0])), max_size=5),
)
def test_any_cut_of_the_stream_gives_the_same_scores_to_the_last_bit(
    cuts: list[int], contexts: list[bytes], odd: list[tuple[int, float]]
) -> None:
    shown = frames(200, 1, contexts)
    for index, value in odd:
        shown.q[index, 1] = value
        shown.t2[index] = value**2
    whole, scores = step(CHART, {}, *shown)
    state, pieces = {}, []
    for lo, hi in itertools.pairwise([0, *cuts, 200]):
        state, found = step(CHART, state, *shown[lo:hi])
        pieces.append(found)
    assert np.array_equal(np.concatenate(pieces), scores)
    assert same(dict(state), dict(whole))


def test_a_score_is_the_rarity_of_the_most_extreme_memory() -> None:
    shown = frames(400, 2, [b"hatch"])
    _, statistics = mewma.step(CHART.chart, mewma.start(CHART.chart, P), shown.q)
    each = [rarity(values, tail) for values, tail in zip(statistics.T, CHART.tails, strict=True)]
    assert np.array_equal(scores_of(shown), np.max(each, axis=0))


def test_the_chart_is_fitted_on_the_scores_that_it_gives_each_stretch_beginning_anew() -> None:
    halves = [scores_of(HELD[:10_000]), scores_of(HELD[10_000:])]
    assert np.array_equal(FITTED, np.concatenate(halves))
    assert not np.array_equal(FITTED[10_000:], scores_of(HELD)[10_000:])


def test_new_frames_are_as_rare_as_the_last_ones_that_fitted_the_tails() -> None:
    chart, _ = fit(frames(200_000), [0, 200_000])
    scores = scores_of(frames(200_000, 5), chart)
    for rare in (1.0, 2.0):
        share = 10.0**-rare
        assert share < (scores > rare).mean() < 2.5 * share, "of either memory"
    assert all(tail.share == pytest.approx(0.1) for tail in chart.tails)


def test_too_few_frames_for_the_tails_are_refused() -> None:
    with pytest.raises(CalibrationError, match="19 held-out frames are too few: give at least 20"):
        fit(frames(95), [0, 95])


# Contexts


def test_a_memory_stands_still_while_another_context_is_judged() -> None:
    """Contour frames between those of hatch change neither the scores of hatch nor its memory."""
    hatch, contour = frames(60, 3, [b"hatch"]), frames(60, 4, [b"contour"])
    mixed = Frames(*(np.concatenate(columns) for columns in zip(hatch[:30], contour, hatch[30:], strict=True)))
    state, scores = step(CHART, {}, *mixed)
    alone, direct = step(CHART, {}, *hatch)
    assert np.array_equal(scores[:30], direct[:30])
    assert np.array_equal(scores[90:], direct[30:])
    assert np.array_equal(scores[30:90], scores_of(contour))
    assert np.array_equal(state[b"hatch"].memory, alone[b"hatch"].memory)
    assert {name: held.taken for name, held in state.items()} == {b"hatch": 60, b"contour": 60}


def test_each_context_is_remembered_about_its_own_mean() -> None:
    """Frames of contour lie where contour does: in control, and far off were they held to the mean of hatch."""
    contour = frames(300, 6, [b"contour"])
    assert (scores_of(contour) > 3.0).mean() < 0.05
    assert (scores_of(contour._replace(contexts=np.full(300, b"hatch")))[20:] > 3.0).all()
    assert np.array_equal(
        scores_of(contour),
        scores_of(contour._replace(q=contour.q - [2.0, 0.0, 0.0], contexts=np.full(300, b"no center"))),
    )


def test_a_context_has_a_center_where_frames_enough_tell_its_mean() -> None:
    count = CENTER_FRAMES * P
    q = np.random.default_rng(0).normal(5.0, 1.0, (3 * count, P)).astype(np.float32)
    names = np.array([b"hatch"] * count + [b"skin"] * (count - 1) + [b"contour"] * (count + 1))
    centers = centers_of(q, names)
    assert set(centers) == {b"hatch", b"contour"}
    assert centers[b"hatch"] == pytest.approx(q[:count].mean(axis=0, dtype=np.float64))
    assert centers[b"hatch"].dtype == np.float64


@pytest.mark.parametrize("count", [0, 500])
def test_where_there_is_one_context_the_charts_own_mean_is_its_mean(count: int) -> None:
    assert centers_of(np.ones((count, P)), np.full(count, b"hatch")) == {}


# What is remembered


def test_a_lasting_small_shift_raises_the_score_and_a_single_outlier_does_not() -> None:
    """A shift of one standard deviation, which T2 of single frames hardly sees; and one frame far off."""
    calm, shifted, outlier = (frames(400, 7, [b"hatch"]) for _ in range(3))
    shifted.q[200:, 1] += 1.0
    outlier.q[200, 1] = 30.0
    outlier.t2[200] = 900.0
    assert (np.square(shifted.q).sum(axis=1) > STRANGE).mean() < 0.01
    before = scores_of(calm)
    assert scores_of(shifted)[300:].min() > before.max() + 2
    assert np.array_equal(scores_of(shifted)[:200], before[:200])
    assert scores_of(outlier).max() < before.max() + 0.5


def test_a_strange_frame_enters_no_longer_than_the_longest_that_is_not() -> None:
    shown, longer, longest = (frames(100, 8, [b"hatch"]) for _ in range(3))
    direction = np.ones(P) / np.sqrt(P)
    for frames_of, length in ((shown, np.sqrt(STRANGE)), (longer, 3 * np.sqrt(STRANGE)), (longest, 1e6)):
        frames_of.q[40] = length * direction
        frames_of.t2[40] = length**2
    assert np.allclose(scores_of(longer), scores_of(shown), rtol=1e-6)
    assert np.allclose(scores_of(longest), scores_of(shown), rtol=1e-6)


def test_a_shift_so_large_that_every_frame_is_strange_adds_up_all_the_same() -> None:
    shown = frames(400, 8, [b"hatch"])
    before = scores_of(shown)
    shown.q[200:] += 10 * np.sqrt(STRANGE)
    shown.t2[:] = np.square(shown.q).sum(axis=1)
    assert scores_of(shown)[260:].min() > before.max() + 5


def test_a_latent_that_is_not_finite_is_infinitely_rare_and_forgotten() -> None:
    shown, clean = frames(20, 9, [b"hatch"]), frames(20, 9, [b"hatch"])
    shown.q[7, 0] = shown.t2[7] = np.nan
    scores = scores_of(shown)
    assert scores[7] == np.inf
    assert np.array_equal(scores[:7], scores_of(clean)[:7])
    assert np.isfinite(np.delete(scores, 7)).all()


# Which memories there are


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ([125_000], (0.05, 1.0, 10.0)),
        ([124_999], (0.05, 1.0)),
        ([5_000] * 40 + [50] * 39, (0.05, 1.0, 10.0)),
        ([5_000] * 40 + [50] * 41, (0.05,)),  # most stretches are too short
        ([4_999] * 40, (0.05, 1.0)),
        ([20] * 100, ()),
        ([], ()),
    ],
)
def test_memories_are_those_that_the_stretches_support(lengths: list[int], kept: tuple[float, ...]) -> None:
    """125 of the longest in all, five in half of the stretches; and none of less than five frames."""
    borders = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    assert memories_for((0.04, 0.05, 1.0, 10.0), 100.0, borders) == kept


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20), st.floats(1.0, 1e5), st.integers(2, 5))
def test_more_of_the_same_stretches_support_no_fewer_memories(lengths: list[int], rate_hz: float, times: int) -> None:
    wanted = (0.001, 0.01, 0.1, 1.0, 10.0)
    once, again = (
        memories_for(wanted, rate_hz, np.concatenate(([0], np.cumsum(lengths * repeated)))) for repeated in (1, times)
    )
    assert set(once) <= set(again) <= set(wanted)


@given(st.floats(0.0, 300.0))
def test_the_tail_of_a_rarity_says_the_same_of_it(rare: float) -> None:
    assert float(rarity(rare, RARITY_TAIL)) == pytest.approx(rare, abs=1e-9)
    assert score_of(rare, RARITY_TAIL) == pytest.approx(rare, abs=1e-9)


def test_the_tails_of_the_chart_are_those_of_its_statistics() -> None:
    bare = frames(2_000, 11, [b"hatch"])
    fitted, _ = fit(bare, [0, 2_000])
    shrunk = bare.q * np.sqrt(STRANGE / np.maximum(bare.t2, STRANGE))[:, None]
    _, statistics = mewma.step(fitted.chart, mewma.start(fitted.chart, P), shrunk)
    assert np.array_equal(fitted.tails[1].body, fit_tail(statistics[1_600:, 1], lightest=0.0).body)


def test_the_limit_of_independent_frames_is_exceeded_as_seldom_as_it_says() -> None:
    """Each of two memories has its own limit, for twice as long a run; the higher holds for both."""
    chart, _ = fit(frames(60_000, 0, [b"hatch"]), [0, 60_000], strange=1e9)
    limit = independent_limit(chart, P, 500.0)
    runs = []
    for seed in range(150):
        over = np.flatnonzero(step(chart, {}, *frames(8000, 100 + seed, [b"hatch"]))[1] > limit)
        runs.append(over[0] + 1 if len(over) else 8000)
    assert 400 < np.mean(runs) < 1500
    assert independent_limit(chart, P, 5000.0) > limit
