"""Counts of times by buckets, as the vitals keep them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.compiled import compiled

Array = npt.NDArray[Any]


@compiled
def count_since(times_ns: Array, now_ns: int, least_ns: int, bounds: Array, counts: Array, total: Array) -> int:
    """Counts how long before *now_ns* each of *times_ns* (n,) was, less the least of all, *least_ns* among them.

    *bounds* (b,), in seconds, belong to the bucket below them; *counts* (b + 1,) and *total* (1,), seconds, grow.
    Returns the least.
    """
    for index in range(len(times_ns)):
        least_ns = min(least_ns, now_ns - times_ns[index])
    for index in range(len(times_ns)):
        seconds = np.float64(now_ns - times_ns[index] - least_ns) / 1e9
        bucket = 0
        while bucket < len(bounds) and seconds > bounds[bucket]:
            bucket += 1
        counts[bucket] += 1
        total[0] += seconds
    return least_ns
