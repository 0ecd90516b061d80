"""Points of kinds that are known, for tests."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def centres(count: int, dimensions: int = 8, apart: float = 6.0) -> Float64s:
    """Centres (count, d) on a cross and on diagonals of it, none nearer to another than *apart*."""
    axes = np.eye(dimensions)
    found = np.concatenate((axes, -axes)) * apart
    assert count <= len(found)
    return found[:count]


def groups(sizes: Sequence[int], *, seed: int = 0, dimensions: int = 8, apart: float = 6.0) -> tuple[Float64s, Indices]:
    """Gaussian groups of these *sizes*: points (n, d) in mixed order, and which group each is of (n,)."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = centres(len(sizes), dimensions, apart)[kinds] + rng.standard_normal((len(kinds), dimensions))
    return points, kinds


def blob(count: int, dimensions: int = 8, *, seed: int = 0) -> Float64s:
    """One Gaussian cloud (n, d), longer along some axes than along others."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, dimensions)) * np.linspace(1.0, 0.3, dimensions)


def bridged(links: int, seed: int = 0) -> tuple[Float64s, Indices]:
    """Two groups of 40 and, after them, *links* points strung from the first to the second; which group each is of.

    Those of the bridge are of the nearer end.
    """
    points, kinds = groups((40, 40), seed=seed, apart=10.0)
    ends = np.array([points[kinds == end].mean(axis=0) for end in (0, 1)])
    along = np.linspace(0, 1, links + 2)[1:-1]
    noise = 0.05 * np.random.default_rng(seed).standard_normal((links, points.shape[1]))
    bridge = ends[0] + (ends[1] - ends[0]) * along[:, None] + noise
    return np.concatenate((points, bridge)), np.concatenate((kinds, (along > 0.5).astype(np.int64)))
