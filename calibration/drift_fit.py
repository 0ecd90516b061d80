"""What a drift of the scores is watched with (`calibration.drift`), from the held-out frames that set the limits."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from calibration.autocorrelation import borders_of
from calibration.blocks import BLOCKS_MIN
from calibration.drift import begin_blocks, block_values, drift_frames, levels_of
from calibration.random_effects import between_groups

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

TOLERATED_MOST: Final = 0.1
"""Decades that runs may differ by: of more, a slow ramp is found too late."""

BAND: Final = float(ndtri(0.95))  # standard deviations either way that nine runs in ten lie within


class DriftFit(NamedTuple):
    """The blocks of calibration."""

    levels: Float64s  # (l,) joint scores that blocks are counted by
    block_frames: int
    values: Float64s  # (b,) decades
    tolerated: float  # decades that blocks of different runs may differ by


def fit_drift(joint: npt.NDArray[np.floating[Any]], groups: Indices, runs: Indices) -> DriftFit | None:
    """From in-control *joint* scores (m,) of stretches *groups* (m,) that are parts of *runs* (m,), in order.

    None where they make fewer than 20 blocks. Raises CalibrationError for scores that are not finite.
    """
    if len(joint) < BLOCKS_MIN:
        return None
    levels = levels_of(joint)
    frames = drift_frames(joint, levels, borders_of(groups))
    values = block_values(begin_blocks(levels, frames), joint)[1]
    if len(values) < BLOCKS_MIN:
        return None
    middles = ((np.arange(len(values)) + 0.5) * frames).astype(np.int64)
    return DriftFit(levels, frames, values, _tolerated(values, runs[middles]))


def _tolerated(values: Float64s, runs: Indices) -> float:
    """The band of nine runs in ten, in the random-effects model, from block *values* (b,) of *runs* (b,)."""
    names, counts = np.unique(runs, return_counts=True)
    parts = [values[runs == name] for name in names[counts > 1]]
    if len(parts) < 2:
        return 0.0
    within = float(np.mean([part.var(ddof=1) for part in parts]))
    means = np.array([part.mean() for part in parts])
    between = between_groups(means, np.array([within / len(part) for part in parts]))
    return min(BAND * between.moment_sd, TOLERATED_MOST)
