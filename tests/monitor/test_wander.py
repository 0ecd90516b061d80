"""Wander: as far and for as long as asked, without a seam between calls."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.wander import Wander


def many(memory: float, step: float = 1.0, seed: int = 0) -> Wander:
    """Four thousand quantities of standard deviation 2 that know nothing of each other."""
    return Wander(np.random.default_rng(seed), (((2.0, memory),),) * 4000, step)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.floats(1.0, 500.0), st.floats(0.5, 2.0))
def test_a_wander_is_steady_from_its_first_step_and_forgets_at_its_pace(seed: int, memory: float, step: float) -> None:
    wander = many(memory, step, seed)
    walk = np.concatenate([wander.next(1), wander.next(3)], axis=1)  # a seam
    np.testing.assert_allclose(walk.std(axis=0), 2.0, rtol=0.06)
    for lag in (1, 3):
        correlation = np.corrcoef(walk[:, 0], walk[:, lag])[0, 1]
        assert correlation == pytest.approx(math.exp(-lag * step / memory), abs=0.08)


def test_without_memory_each_step_is_new() -> None:
    walk = many(0.0).next(2)
    assert np.corrcoef(walk.T)[0, 1] == pytest.approx(0.0, abs=0.08)
    assert walk.std() == pytest.approx(2.0, rel=0.05)


def test_parts_add_up_and_quantities_stay_apart() -> None:
    wander = Wander(np.random.default_rng(3), (((3.0, 0.0), (4.0, 0.0)), ((1.0, 0.0),)))
    one, other = wander.next(20_000)
    assert one.std() == pytest.approx(5.0, rel=0.03)
    assert other.std() == pytest.approx(1.0, rel=0.03)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.04
