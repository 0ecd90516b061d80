"""Columns of atoms as a scan shows them: sums of Gaussians on lines that jitter, while the specimen drifts. Pure.

Lengths are picometres where a name says so, and pixels elsewhere.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

TILE_PX: Final = 48
"""So few columns reach a tile of ordinary magnification that its products of matrices stay in one thread: two threads
that wait for each other on a busy machine take ten times as long."""

REACH: Final = 4.0  # standard deviations: beyond it a column adds nothing
FARTHEST: Final = 6.0  # and here its tail ends: numbers too small for float32 to normalise cost ten times the time


class Scan(NamedTuple):
    """Where the beam went in *n* images of *h* lines each. Lengths are picometres on the specimen."""

    middle_pm: Floats  # (n, 2): in the middle of the image
    drift_pm: Floats  # (n, 2): from its first line to its last
    lines_pm: Floats  # (n, h): how far right of its place the beam was on each line

    def part(self, images: slice) -> "Scan":
        """Some of its images."""
        return Scan._make(values[images] for values in self)


def project(
    places_pm: Floats, peaks: Floats, widths_pm: Floats, scan: Scan, shape: tuple[int, int], pixel_pm: float
) -> Image:
    """Columns at *places_pm* (n, k, 2), Gaussians of *peaks* and *widths_pm* (n, k), as images (n, h, w) of *shape*.

    Widths are standard deviations; *pixel_pm* is a pixel's side on the specimen.

    A sum of products of a row and a column factor, so a product of matrices, in tiles that few columns reach. What a
    line's displacement s does to a Gaussian is taken to second order of s over its width: to about a hundredth of the
    peak where s is a third of the width.
    """
    height, width = shape
    pitch = pixel_pm + scan.drift_pm[:, 1:] / height  # from line to line the specimen moves on
    late = (places_pm[:, :, 1] - scan.middle_pm[:, 1:]) / pitch
    rows = late + (height - 1) / 2
    across = places_pm[:, :, 0] - scan.middle_pm[:, :1] - scan.drift_pm[:, :1] * late / height
    marks = Marks(
        rows.astype(np.float32),
        (across / pixel_pm + (width - 1) / 2).astype(np.float32),
        (widths_pm / pitch).astype(np.float32),
        (widths_pm / pixel_pm).astype(np.float32),
        peaks.astype(np.float32),
    )
    lines = (scan.lines_pm / pixel_pm).astype(np.float32)
    images = np.empty((len(rows), height, width), np.float32)
    for top in range(0, height, TILE_PX):
        down = slice(top, min(top + TILE_PX, height))
        band = marks.reaching(marks.row, down, marks.tall)
        for left in range(0, width, TILE_PX):
            right = slice(left, min(left + TILE_PX, width))
            images[:, down, right] = _tile(band.reaching(band.column, right, band.wide), down, right, lines[:, down])
    return images


class Marks(NamedTuple):
    """Gaussians in *n* images, in pixels: each array is (n, k)."""

    row: Image
    column: Image
    tall: Image
    wide: Image
    peak: Image

    def reaching(self, middle: Image, pixels: slice, width: Image) -> "Marks":
        """Those that add something to *pixels* of any of the images, along the axis that *middle* is on."""
        far = REACH * width
        seen = ((middle > pixels.start - far) & (middle < pixels.stop + far)).any(axis=0)
        return Marks._make(values[:, seen] for values in self)


def _tile(marks: Marks, down: slice, right: slice, lines: Image) -> Image:
    """The part of the images that holds rows *down* and columns *right*; *lines* (n, rows) in pixels."""
    tall, wide = marks.tall[:, :, None], marks.wide[:, :, None]
    y = (np.arange(down.start, down.stop, dtype=np.float32) - marks.row[:, :, None]) / tall
    x = (np.arange(right.start, right.stop, dtype=np.float32) - marks.column[:, :, None]) / wide
    for t in (x, y):
        np.clip(t, -FARTHEST, FARTHEST, out=t)
    over_rows = marks.peak[:, :, None] * np.exp(-0.5 * y * y)
    over_columns = np.exp(-0.5 * x * x)
    slope = -x / wide * over_columns  # first and half the second derivative with respect to the displacement
    bend = 0.5 * (x * x - 1.0) / (wide * wide) * over_columns
    terms = np.swapaxes(over_rows, 1, 2) @ np.concatenate([over_columns, slope, bend], axis=2)
    still, slope, bend = np.split(terms, 3, axis=2)
    displaced = lines[:, :, None]
    tile: Image = still + displaced * (slope + displaced * bend)
    return tile
