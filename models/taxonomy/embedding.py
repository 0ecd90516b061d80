"""What is clustered: each event's peak frame as a point.

How severe an anomaly is, is the length of its latent and of its residual; of what kind it is, is their direction. So a
point is made of four unit vectors side by side, each times a weight:

- the direction of the whitened latent (p,);
- where the residual lies: square roots of its pixels, with their signs, averaged over at most 16 x 16 cells. Noise
  below `QUIET` is left out, for a root would magnify it;
- how the residual's energy is spread over its pixels: square roots of the shares that pixels of each strength have, in
  units of the frame's own root mean square. Few bright specks and a broad glow differ here wherever they lie;
- how coarse the residual is: square roots of the shares of energy of its octaves, in a pyramid of means over 2 x 2.

Place means something only where frames are brought to one place and direction, as melt pools are. Elsewhere (a defect
may lie anywhere in a micrograph) points are made with *placed* false: in place of the cells a window of the residual
around its peak, and half the weight for the latent, whose direction says where rather than what.

Nothing here is fitted: a point depends on its frame alone, so centres of kinds mean the same from one clustering to
the next, as long as the network does. Weights and edges were chosen on simulated melt pools; docs/taxonomy.md has what
they are worth.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

Floats = npt.NDArray[np.floating[Any]]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

DIRECTION_WEIGHT: Final = 0.7
PLACE_WEIGHT: Final = 1.0
SPREAD_WEIGHT: Final = 1.5
COARSENESS_WEIGHT: Final = 1.0
ANYWHERE_WEIGHT: Final = 0.35  # of the latent's direction where anomalies may lie anywhere

CELLS: Final = 16  # along each side, at most
WINDOW_PX: Final = 21  # along each side, around the peak
PEAK_PX: Final = 7  # that the residual's energy is averaged over to find it
QUIET: Final = 2.0  # of residuals in units of their scale: what normal frames show in most pixels

STRENGTHS: Final = (-8.0, -5.6, -4.0, -2.8, -2.0, -1.4, 0.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.2, 16.0)
"""Edges between strengths of pixels, in root mean squares of their frame; half an octave each."""

SHARE: Final = 0.8
"""Of the points' variance, that the components hold which a tree is grown on: the rest is mostly noise."""

NO_NOISE: Final = 0.25
"""Of the largest component's variance: those with as much are kept in any case, since each may tell kinds apart."""


def dimensions(latent: int, height: int, width: int, *, placed: bool = True) -> int:
    """Coordinates of a point of a network with so many latents and residuals of *height* x *width*."""
    map_ = min(height, CELLS) * min(width, CELLS) if placed else WINDOW_PX**2
    return latent + map_ + len(STRENGTHS) + 1 + min(height, width).bit_length()


def embed(latent: Floats, residual: Floats, *, placed: bool = True) -> Float32s:
    """Points (n, d) of n frames with whitened *latent* (n, p) and *residual* (n, H, W) in units of its scale.

    *placed*: whether frames are brought to one place and direction. A frame whose latent or residual is not finite is a
    point of NaN; what a frame has none of, is zeros. Raises ValueError where latents and residuals do not match.
    """
    if latent.ndim != 2 or residual.ndim != 3 or len(latent) != len(residual):
        raise ValueError(
            f"latents (n, p) and residuals (n, H, W) of the same frames make points, not {latent.shape} and "
            f"{residual.shape}"
        )
    count, height, width = residual.shape
    points = np.full((count, dimensions(latent.shape[1], height, width, placed=placed)), np.nan, np.float32)
    finite = np.isfinite(latent).all(axis=1) & np.isfinite(residual).all(axis=(1, 2))
    for row in np.flatnonzero(finite).tolist():  # frame by frame: what is made of many large ones would take memory
        points[row] = _point(latent[row].astype(np.float64), residual[row].astype(np.float64), placed)
    return points


def _point(latent: Float64s, residual: Float64s, placed: bool) -> Float64s:
    parts = (
        (DIRECTION_WEIGHT if placed else ANYWHERE_WEIGHT) * _unit(latent),
        PLACE_WEIGHT * _unit(cells(_roots(residual)) if placed else _roots(_at_peak(residual)).ravel()),
        SPREAD_WEIGHT * _spread(residual),
        COARSENESS_WEIGHT * _coarseness(residual),
    )
    return np.concatenate(parts)


def _roots(residual: Float64s) -> Float64s:
    """Square roots of *residual* beyond the noise, with their signs."""
    roots: Float64s = np.sign(residual) * np.sqrt(np.maximum(np.abs(residual) - QUIET, 0.0))
    return roots


def cells(picture: Float64s, most: int = CELLS) -> Float64s:
    """*picture* (H, W) averaged over cells of about the same size, at most *most* along each side: (cells,)."""
    for axis, length in enumerate(picture.shape):
        edges = np.linspace(0, length, min(length, most) + 1).round().astype(np.int64)
        sizes = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        picture = np.add.reduceat(picture, edges[:-1], axis=axis) / sizes
    return picture.ravel()


def _at_peak(residual: Float64s) -> Float64s:
    """The window of *residual* (H, W) around the peak of its energy, with zeros beyond the frame's edges."""
    energy = uniform_filter(np.square(residual), PEAK_PX, mode="constant")
    row, column = np.unravel_index(int(energy.argmax()), energy.shape)
    padded = np.pad(residual, WINDOW_PX // 2)
    return padded[row : row + WINDOW_PX, column : column + WINDOW_PX]


def _spread(residual: Float64s) -> Float64s:
    """Roots of the shares of energy that pixels of each strength have: a unit vector (strengths + 1,), or zeros."""
    energy = np.square(residual).ravel()
    total = energy.sum()
    if total == 0.0:
        return np.zeros(len(STRENGTHS) + 1)
    strengths = residual.ravel() / np.sqrt(total / len(energy))
    held = np.bincount(np.searchsorted(STRENGTHS, strengths, side="right"), energy, len(STRENGTHS) + 1)
    roots: Float64s = np.sqrt(held / total)
    return roots


def _coarseness(residual: Float64s) -> Float64s:
    """Roots of the shares of energy of the octaves of *residual* (H, W), the finest first: a unit vector, or zeros.

    What an odd last row or column holds beyond the octave it is dropped from is left out.
    """
    energies, level, pixels = [], residual, 1
    while min(level.shape) >= 2:
        height, width = (length // 2 * 2 for length in level.shape)
        quads = level[:height, :width].reshape(height // 2, 2, width // 2, 2)
        means = quads.mean(axis=(1, 3))
        energies.append(pixels * float(np.square(quads - means[:, None, :, None]).sum()))
        level, pixels = means, 4 * pixels
    energies.append(pixels * float(np.square(level).sum()))
    return _unit(np.sqrt(energies))


def _unit(vector: Float64s) -> Float64s:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0.0 else np.zeros_like(vector)


def components(points: Floats, share: float = SHARE) -> Float64s:
    """Coordinates (n, k) of finite *points* (n, d) on as few principal components as hold *share* of their variance.

    Components nearly as large as the first are kept too. Distances along the others are left out: they hold what each
    frame has for itself. Points that are all alike have one coordinate, 0.
    """
    if len(points) == 0:
        return np.empty((0, 1))
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)  # d x d: some hundreds, whatever the number of points
    held = np.cumsum(variances[::-1])
    if held[-1] <= np.finfo(np.float64).eps * max(float(np.square(points, dtype=np.float64).sum()), 1e-300):
        return np.zeros((len(points), 1))
    enough = int(np.searchsorted(held, min(share, 1.0) * held[-1] * (1 - 1e-12))) + 1
    count = max(enough, int((variances >= NO_NOISE * variances[-1]).sum()))
    found: Float64s = centred @ axes[:, ::-1][:, :count]
    return found
