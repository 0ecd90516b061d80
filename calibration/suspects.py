"""Held-out frames that stand out from their fellows, for a person to look at before the limits are trusted."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

SPREADS = 6.0
"""For a Gaussian score one frame in a billion; for T2 of four latents, the longest tail of all, one in 4000."""

QUARTILE_SD = 0.6745  # upper quartile of the standard normal


def suspects(scores: Floats) -> Flags:
    """Which frames (m,) have one of their *scores* (m, c) far above the median of its column.

    Distances are counted in the spread between median and upper quartile, which anomalies among the frames do not
    move until they are a quarter of them. A limit that was fitted on the same scores cannot tell: it has risen with
    them, and about as many frames lie beyond it as it was meant to let through.
    """
    median, quartile = np.quantile(scores, [0.5, 0.75], axis=0)
    return np.asarray((scores > median + SPREADS * (quartile - median) / QUARTILE_SD).any(axis=1))
