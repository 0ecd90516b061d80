"""Electrons on a counting detector: exactly Poisson, where and when the expected patterns say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from monitor.camera.stem.counting import SPACING, land, patterns_for

Counts = np.ndarray[Any, np.dtype[np.uint16]]


def counted(expected: Any, wanted: Any, seed: int = 1) -> Counts:
    """Counts (n, pixels) of the frames *wanted* (n,), from as many of *expected* (k, pixels) as they need."""
    wanted = np.asarray(wanted)
    at = patterns_for(slice(0, len(wanted)))
    counts = np.zeros((len(wanted) + 1, np.shape(expected)[1]), np.uint16)
    land(counts, np.asarray(expected)[: len(at)], at, wanted, np.random.default_rng(seed))
    return counts[:-1]


def steady(electrons: Any, frames: int, seed: int = 1) -> Counts:
    """Counts of *frames* frames of one pattern that does not change."""
    patterns = len(patterns_for(slice(0, frames)))
    return counted(np.tile(electrons, (patterns, 1)), np.ones(frames, np.bool_), seed)


@pytest.mark.parametrize(
    ("frames", "at"),
    [
        (slice(0, 1), [0, 1]),
        (slice(0, SPACING), [0, 1]),
        (slice(0, SPACING + 1), [0, 1, 2]),
        (slice(SPACING - 1, SPACING), [0, 1]),
        (slice(SPACING, SPACING + 3), [1, 2]),
        (slice(10, 3 * SPACING - 10), [0, 1, 2, 3]),
    ],
)
def test_patterns_are_asked_for_on_both_sides_of_the_frames_and_no_further(frames: slice, at: list[int]) -> None:
    assert patterns_for(frames).tolist() == [SPACING * place for place in at]


def test_pixels_are_hit_as_often_as_the_pattern_says_however_weak_they_are() -> None:
    electrons = np.geomspace(0.003, 30.0, 500)
    frames = 160 * SPACING
    expected = frames * electrons
    total = steady(electrons, frames).sum(axis=0)
    distance = np.square(total - expected) / expected
    assert 1e-4 < chi2.sf(distance.sum(), len(electrons)) < 1 - 1e-4
    weak = electrons < 0.01
    assert total[weak].sum() == pytest.approx(expected[weak].sum(), rel=0.05)


def test_counts_of_a_pixel_are_distributed_as_poisson_said() -> None:
    counts = steady(np.full(400, 1.3), 256).ravel()
    seen = np.bincount(np.minimum(counts, 7), minlength=8)
    chances = np.append(poisson.pmf(np.arange(7), 1.3), poisson.sf(6, 1.3))
    distance = np.square(seen - chances * counts.size) / (chances * counts.size)
    assert 1e-4 < chi2.sf(distance.sum(), len(seen) - 1) < 1 - 1e-4


def test_frames_and_pixels_are_independent() -> None:
    counts = steady(np.full(64, 2.0), 4096).astype(float)
    spread = 2.0 / np.sqrt(64 * 4096)
    assert counts.sum(axis=1).var() == pytest.approx(128.0, rel=0.1)
    steps = (counts[1:] - 2.0) * (counts[:-1] - 2.0)
    neighbours = (counts[:, 1:] - 2.0) * (counts[:, :-1] - 2.0)
    assert abs(steps.mean()) < 5 * spread
    assert abs(neighbours.mean()) < 5 * spread


def test_between_two_patterns_lies_their_linear_mixture() -> None:
    counts = counted([[4000.0, 0.0], [0.0, 4000.0]], np.ones(SPACING, np.bool_)).astype(float)
    later = (np.arange(SPACING) + 0.5) / SPACING
    expected = 4000.0 * np.stack([1.0 - later, later], axis=1)
    assert (np.abs(counts - expected) < 5.0 * np.sqrt(expected) + 3.0).all()


@given(st.lists(st.booleans(), min_size=1, max_size=4 * SPACING), st.integers(0, 2**31))
def test_every_wanted_frame_gets_its_electrons_and_no_other_gets_any(wanted: list[bool], seed: int) -> None:
    counts = counted(np.full((6, 1), 1000.0), wanted, seed)[:, 0].astype(float)
    assert (np.abs(counts[np.array(wanted)] - 1000.0) < 7 * np.sqrt(1000.0)).all()
    assert not counts[~np.array(wanted)].any()


def test_electrons_are_added_to_what_is_there() -> None:
    counts = np.full((SPACING + 1, 3), 7, np.uint8)
    land(
        counts, np.zeros((2, 3)), patterns_for(slice(0, SPACING)), np.ones(SPACING, np.bool_), np.random.default_rng(0)
    )
    assert (counts == 7).all()
