"""How much nearer each point lies to its own kind than to the next one."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SAMPLE: Final = 1500  # points whose silhouettes are taken: distances of all their pairs take 18 MB


def sample(count: int) -> Indices:
    """Rows of at most SAMPLE of so many points, evenly spread."""
    return np.linspace(0, max(count - 1, 0), min(count, SAMPLE)).round().astype(np.int64)


def silhouettes(distances: Floats, labels: Indices) -> Float64s:
    """(b - a) / max(a, b) of each point (n,), from *distances* (n, n) of all pairs; *labels* (n,) count from 0.

    a is the mean distance to the others of its kind, b the smallest mean distance to another kind (Rousseeuw 1987).
    Points with a negative label are in no kind: they have NaN, and count for nobody. A point alone in its kind has 0.
    With fewer than two kinds all is NaN.
    """
    held = labels >= 0
    kinds = np.unique(labels[held])
    found = np.full(len(labels), np.nan)
    if len(kinds) < 2:
        return found
    member = labels[held][:, None] == kinds  # (m, k)
    sums = distances[np.ix_(held, held)] @ member  # (m, k)
    counts = member.sum(axis=0)
    own = counts[member.argmax(axis=1)]
    a = sums[member] / np.maximum(own - 1, 1)
    b = np.where(member, np.inf, sums / counts).min(axis=1)
    larger = np.maximum(a, b)
    found[held] = np.where((own > 1) & (larger > 0), (b - a) / np.where(larger > 0, larger, 1.0), 0.0)
    return found


def mean_silhouette(distances: Floats, labels: Indices) -> float:
    """Over the points that are in a kind; -1, the worst there is, where there are fewer than two kinds."""
    found = silhouettes(distances, labels)
    known = found[np.isfinite(found)]
    return float(known.mean()) if len(known) else -1.0
