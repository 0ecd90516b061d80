"""What the report's pictures share: thinning that loses no peak, and names that tell groups apart."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.report.drawing import (
    NAME_LETTERS,
    common_folder,
    log_ticks,
    short_names,
    shrink,
    thin_by_extremes,
    thin_evenly,
    upright,
)

series = arrays.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1e6, 1e6, width=32))


@given(series, st.integers(2, 50))
def test_thinning_keeps_the_extremes_and_the_order(values: Any, points: int) -> None:
    positions, kept = thin_by_extremes(values, points)
    assert len(kept) <= max(points, 2)
    assert (np.diff(positions) > 0).all()
    np.testing.assert_array_equal(kept, values[positions])
    assert (kept.min(), kept.max()) == (values.min(), values.max())


@given(st.integers(1, 5000), st.integers(0, 300))
def test_thinning_evenly_keeps_first_and_last_and_never_all_of_too_many(count: int, points: int) -> None:
    kept = thin_evenly(count, points)
    assert len(kept) == max(min(count, points), 1)
    assert kept[0] == 0
    assert kept[-1] == (count - 1 if len(kept) > 1 else 0)


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 200))
def test_shrinking_keeps_the_level_and_respects_the_longest_side(height: int, width: int, side: int) -> None:
    block = -(-max(height, width) // side)
    assume(min(height, width) >= block)  # no camera here has frames as narrow as that
    small = shrink(np.full((height, width), 7, np.uint8), side)
    assert max(small.shape) <= side
    assert (small == 7.0).all()


def test_shrinking_averages_blocks() -> None:
    frame = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(shrink(frame, 2), [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(shrink(frame, 4), frame)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["runs/run 1", "runs/run 2"], ["run 1", "run 2"]),
        (["a/run 1/frames.npy", "a/run 2/frames.npy"], ["run 1/frames.npy", "run 2/frames.npy"]),
        (["run 1/", "run 2/"], ["run 1", "run 2"]),
        (["/"], ["/"]),
        (["same", "same"], ["same", "same"]),
        (["melt-pool-recording-of-layer-0001.h5"], ["melt-…ayer-0001.h5"]),
        ([], []),
    ],
)
def test_names_are_cut_to_what_tells_them_apart(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short
    assert all(len(name) <= NAME_LETTERS for name in short)


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["a/b/1", "a/b/2"], "a/b/"),
        (["a/b/1", "a/c/1"], "a/"),
        (["a/1", "b/1"], ""),
        (["/data/1/", "/data/2/"], "/data/"),
        (["run 1"], ""),
        ([], ""),
    ],
)
def test_the_common_folder_is_one_of_all_names(names: list[str], folder: str) -> None:
    assert common_folder(names) == folder
    assert all(name.startswith(folder) for name in names)


def test_an_axis_is_logarithmic_where_all_values_have_a_logarithm() -> None:
    assert upright([0.1, 10.0])["type"] == "log"
    assert upright([0.0, 10.0]) == upright([]) == {"type": "linear"}
    assert log_ticks(1.0, 100.0)["dtick"] == "D2"
    assert log_ticks(1.0, 1e6)["dtick"] == 1
