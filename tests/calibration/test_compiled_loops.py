"""Loops are compiled with and without a folder to keep them in, and say what the formulas say."""

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import compiled as module
from calibration.compiled import compiled
from calibration.compiled.stream import gather, judged_seconds, shares_beyond


def doubled(x: float) -> float:
    return 2 * x


def test_without_a_folder_to_keep_it_in_a_loop_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(**how: Any) -> Any:
        asked.append(bool(how.get("cache")))
        if how.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return numba.njit(**how)

    monkeypatch.setattr(module, "njit", njit)
    assert compiled(doubled)(1.5) == 3.0
    assert asked == [True, False]


def test_a_loop_is_kept_for_the_next_start() -> None:
    loop: Any = compiled(doubled)
    assert loop(1.5) == 3.0
    assert loop.stats.cache_path


@given(
    st.lists(st.floats(-700.0, 1e6) | st.just(-np.inf), min_size=8, max_size=8),
    st.floats(-38.0, 38.0),
    st.floats(-38.0, 38.0),
)
def test_bets_are_gathered_as_the_sum_says(gathered: list[float], above: float, below: float) -> None:
    """R = (1 + R) e, with e = exp(s z - s^2 / 2), in logarithms."""
    shifts, found = np.array([0.25, 0.5, 1.0, 2.0]), np.array(gathered).reshape(2, 4)
    z = np.array([[above], [below]])
    expected = np.logaddexp(0.0, found) + shifts * z - np.square(shifts) / 2
    gather(found, shifts, above, below)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-12)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.data(), st.floats(0.0, 1.0))
def test_shares_beyond_bins_are_those_of_their_counts(counts: list[int], data: st.DataObject, order: float) -> None:
    known = np.array(counts)
    lowered, raised = (data.draw(st.integers(0, len(known) - 1)) for _ in range(2))
    above = (known[lowered + 1 :].sum() + order * (known[lowered] + 1)) / (known.sum() + 1)
    below = (known[:raised].sum() + (1 - order) * (known[raised] + 1)) / (known.sum() + 1)
    assert shares_beyond(known, lowered, raised, order) == (above, below)


def seconds_by_differences(seq: np.ndarray, t_ns: np.ndarray, period_s: float, pause: float) -> tuple[float, int]:
    """Of frames after the first: those since time moved on take what passes until it does, where that can be."""
    follows, passed_s = np.diff(seq) == 1, np.diff(t_ns) / 1e9
    moved = np.flatnonzero(~follows | (passed_s != 0.0))
    frames = np.diff(moved, prepend=-1)
    nominal_s = frames * period_s
    told = follows[moved] & (passed_s[moved] > 0.0) & (passed_s[moved] <= pause * nominal_s)
    return float(np.where(told, passed_s[moved], nominal_s).sum()), len(follows) - int(frames.sum())


@given(
    st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 2, 50]), st.sampled_from([0, 500_000, -1, 10**10])), max_size=30),
    st.integers(0, 30),
)
def test_judged_seconds_are_those_of_the_differences_however_frames_are_cut(
    steps: list[tuple[int, int]], cut: int
) -> None:
    seq, t_ns = np.cumsum([(0, 2**60), *steps], axis=0, dtype=np.int64).T.copy()
    expected, waiting = seconds_by_differences(seq, t_ns, 0.001, 10.0)
    cut = min(cut, len(steps))
    first, held = judged_seconds(seq[1 : cut + 1], t_ns[1 : cut + 1], seq[0], t_ns[0], 0, 0.001, 10.0)
    rest, held = judged_seconds(seq[cut + 1 :], t_ns[cut + 1 :], seq[cut], t_ns[cut], held, 0.001, 10.0)
    assert first + rest == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert held == waiting
