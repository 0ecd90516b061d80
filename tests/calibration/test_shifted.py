"""How soon a shift is seen: measured run lengths agree with theory where theory holds, and censoring is no event."""

import math

import numpy as np
import pytest

from calibration.action import ContextTails
from calibration.memory import RARITY_TAIL, MemoryChart, fit_memory
from calibration.shifted import (
    ALL,
    MEWMA,
    T2,
    Judging,
    Median,
    Runs,
    Stream,
    independent_mewma,
    independent_t2,
    medians,
    run_lengths,
)
from calibration.tails import fit_tail, rarity

P, COUNT = 4, 12_000


def gaussian(stretches: int = 4, contexts: bool = False) -> Stream:
    random = np.random.default_rng(0)
    latents = random.normal(size=(COUNT, P))
    scores = np.column_stack((np.square(latents).sum(axis=1), np.square(random.normal(size=COUNT))))
    names = np.tile(["hatch", "contour"], COUNT // 2) if contexts else np.full(COUNT, "")
    return Stream(scores, latents, names, np.linspace(0, COUNT, stretches + 1).astype(np.int64))


def with_memory(stream: Stream, seconds: float = 0.02) -> tuple[Stream, MemoryChart]:
    """*stream* at 1,000 frames a second with a chart that remembers for *seconds*."""
    contexts = np.char.encode(stream.contexts, "utf-8")
    half = np.arange(COUNT) % 2 == 0
    t2 = stream.scores[:, 0]
    memory, scores = fit_memory([seconds], 1000.0, {}, 40.0, stream.latents, t2, contexts, stream.borders, half)
    return stream._replace(scores=np.column_stack((stream.scores, scores))), memory


def judging(stream: Stream, memory: MemoryChart | None = None, action: float = 3.0, k: int = 1, n: int = 1) -> Judging:
    tails = tuple(fit_tail(chart) for chart in stream.scores.T)
    if memory is not None:
        tails = (*tails[:-1], RARITY_TAIL)
    own = {name: tails for name in np.unique(stream.contexts).tolist() if name}
    return Judging(ContextTails(tails, own), 0, memory, action, k, n)


def test_t2_alone_is_as_quick_as_the_theory_of_independent_gaussian_frames_has_it() -> None:
    stream = gaussian()
    found = medians(run_lengths(stream, judging(stream), (2.0, 3.0), runs=300)[T2])
    expected = independent_t2(P, 1000.0, 1, 1, (2.0, 3.0))
    for one, frames in zip(found, expected, strict=True):
        assert one.frames == pytest.approx(frames, rel=0.5)  # the tail is fitted, the median of 300 runs
        assert one.low <= one.frames <= one.high


def test_a_memory_sees_a_small_shift_sooner_and_all_charts_no_later_than_the_quickest() -> None:
    stream, memory = with_memory(gaussian())
    found = run_lengths(stream, judging(stream, memory), (1.5,))
    assert set(found) == {ALL, T2, MEWMA}
    times = {name: medians(runs)[0].frames for name, runs in found.items()}
    assert times[MEWMA] < times[T2] / 3
    quickest = np.minimum(found[T2].frames, found[MEWMA].frames)
    assert (found[ALL].frames <= quickest).all()
    theory = independent_mewma(P, memory.chart.weights, 1000.0, (1.5,))
    assert theory is not None
    assert times[MEWMA] == pytest.approx(theory[0], rel=0.6)


def test_a_larger_shift_is_seen_sooner() -> None:
    stream, memory = with_memory(gaussian())
    times = [one.frames for one in medians(run_lengths(stream, judging(stream, memory), (1.0, 2.0, 4.0))[ALL])]
    assert times == sorted(times, reverse=True)
    assert times[-1] < times[0] / 2


def test_no_shift_raises_no_more_than_the_frames_do_by_themselves() -> None:
    stream = gaussian()
    quiet = judging(stream, action=float(rarity(stream.scores.max(), judging(stream).tails.pooled[0])) + 1.0)
    assert not run_lengths(stream, quiet, (0.0,))[ALL].seen.any()


def test_a_shift_that_lasts_but_a_moment_beyond_is_told_by_the_rule_no_sooner_than_it_can() -> None:
    stream = gaussian()
    found = run_lengths(stream, judging(stream, k=3, n=4), (30.0,))[ALL]
    assert found.seen.all()
    np.testing.assert_array_equal(found.frames, np.full_like(found.frames, 3))


def test_contexts_are_judged_by_their_own_tails() -> None:
    stream = gaussian(contexts=True)
    alike = judging(stream)
    loose = tuple(tail._replace(body=tail.body + 1e6) for tail in alike.tails.pooled)
    deaf = alike._replace(tails=ContextTails(loose, {"hatch": alike.tails.pooled}))
    both, one = (run_lengths(stream, kind, (3.0,))[ALL].frames.mean() for kind in (alike, deaf))
    assert one > 1.5 * both, "frames of the other context raise nothing"


def test_the_same_seed_gives_the_same_runs_and_they_end_with_their_stretch() -> None:
    stream = gaussian(stretches=40)
    first, again = (run_lengths(stream, judging(stream, action=9.0), (0.5,), runs=60)[ALL] for _ in range(2))
    np.testing.assert_array_equal(first.frames, again.frames)
    assert not first.seen.any()
    assert first.frames.min() >= COUNT / 40 / 2
    assert first.frames.max() <= COUNT / 40


def test_the_median_counts_what_was_not_seen() -> None:
    frames = np.arange(1, 101)[None]
    whole, cut, none = (
        medians(Runs(frames, seen[None]))[0] for seen in (np.ones(100, bool), frames[0] < 60, np.zeros(100, bool))
    )
    assert (whole.frames, whole.unseen, whole.watched) == (50.0, 0, 0.0)
    assert whole.low == pytest.approx(42, abs=2)
    assert whole.high == pytest.approx(59, abs=2)
    assert (cut.frames, cut.unseen, cut.watched) == (50.0, 41, 80.0)
    assert none == Median(math.inf, math.inf, math.inf, 100, 100, 50.5)


def test_runs_that_ended_early_count_until_they_did() -> None:
    frames = np.array([[1, 1, 1, 1, 5, 6, 7, 8]])
    seen = np.array([[False, False, False, False, True, True, True, True]])
    assert medians(Runs(frames, seen))[0].frames == 6.0, "those of which nothing is known are left out"


def test_the_theory_of_a_rule_is_that_of_its_chain() -> None:
    shifts = (0.0, 3.0)
    single, pair = independent_t2(P, 1000.0, 1, 1, shifts), independent_t2(P, 1000.0, 2, 3, shifts)
    assert single[0] == pytest.approx(1000 * math.log(2), rel=0.01)
    assert pair[0] == pytest.approx(1000 * math.log(2), rel=0.01)
    assert pair[1] < single[0]
    with pytest.raises(ValueError, match="at most 10 frames"):
        independent_t2(P, 1000.0, 3, 20, shifts)
    with pytest.raises(ValueError, match="cannot come every"):
        independent_t2(P, 2.0, 3, 4, shifts)


def test_memories_too_long_to_be_computed_have_no_theory() -> None:
    assert independent_mewma(P, (0.0001,), 1e5) is None
    assert independent_mewma(P, (0.2,), 1e12) is None
    long_and_short = independent_mewma(P, (0.0001, 0.2), 1e4, (1.0,))
    np.testing.assert_array_equal(long_and_short, independent_mewma(P, (0.2,), 1e4, (1.0,)))
