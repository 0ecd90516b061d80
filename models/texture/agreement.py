"""Directions in which parts of one frame agree and frames differ: learned from frames alone, without any label.

Relevant component analysis (Shental, Hertz, Weinshall and Pavel 2002, "Adjustment learning and relevant component
analysis"; Bar-Hillel et al. 2005) with the parts of a frame as a chunklet: what differs between parts of one frame is
what should not count, and is whitened away; of what is left the directions are kept in which frames differ most, which
is Fisher's discriminant analysis with each frame as a class of its own.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf

Floats = npt.NDArray[np.floating[Any]]
Float32s = npt.NDArray[np.float32]


class Agreement(NamedTuple):
    """A linear map of d numbers to p in units of what parts of one frame differ by; the first of p differ most."""

    mean: Float32s  # (d,)
    axes: Float32s  # (d, p)

    def __call__(self, parts: Floats) -> Float32s:
        """Of the *parts* (n, c, d) of each frame, what they agree on: (n, p)."""
        found: Float32s = ((parts.mean(axis=1) - self.mean) @ self.axes).astype(np.float32)
        return found


def fit_agreement(parts: Floats, size: int) -> Agreement:
    """Fits *size* directions to the *parts* (m, c, d) of frames, or as many as there are.

    The covariance within frames is shrunk after Ledoit and Wolf 2004, since d may exceed the number of parts. Raises
    ValueError where frames have a single part, where there is a single frame, and for a size below 1.
    """
    if parts.ndim != 3 or len(parts) < 2 or parts.shape[1] < 2:
        raise ValueError(f"agreement needs two frames of two parts and more, not an array of shape {parts.shape}")
    if size < 1:
        raise ValueError(f"an embedding has at least one dimension, not {size}")
    whole = parts.mean(axis=1, dtype=np.float64)  # (m, d)
    apart = (parts - whole[:, None]).reshape(-1, parts.shape[2])
    # A frame of c parts has c - 1 differences to its own mean.
    shrunk: Floats = ledoit_wolf(apart, assume_centered=True)[0]
    covariance = shrunk * parts.shape[1] / (parts.shape[1] - 1)
    strength, axes = np.linalg.eigh(covariance)
    least = float(np.finfo(np.float32).eps) * max(float(strength.max()), float(np.finfo(np.float32).tiny))
    whitening = axes / np.sqrt(np.maximum(strength, least))  # (d, d)
    mean = whole.mean(axis=0)
    _, _, turn = np.linalg.svd((whole - mean) @ whitening, full_matrices=False)
    return Agreement(mean.astype(np.float32), (whitening @ turn[:size].T).astype(np.float32))
