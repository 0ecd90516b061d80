"""Images too large for a network: overlapping square tiles, each of which is a frame to it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Images = npt.NDArray[Any]  # (n, h, w) of uint8, uint16 or float32
Ints = npt.NDArray[np.int64]

SAMPLED_TIMES: Final = 4
"""Random tiles that an image is worth, in tiles that would just cover it: more of them would be near-copies."""


@dataclass(frozen=True)
class Tiling:
    """Where the tiles of images of *height* x *width* lie: *side* pixels a side, neighbours share at least *overlap*.

    Tiles count from the upper left corner along the rows. The last of a row and of a column are moved inwards until
    they end with the image, so that every pixel lies in a tile and no tile leaves the image; and every spot of up to
    *overlap* pixels a side lies wholly in some tile. Raises ValueError where a tile does not fit.
    """

    height: int
    width: int
    side: int
    overlap: int

    def __post_init__(self) -> None:
        if self.side > min(self.height, self.width):
            raise ValueError(
                f"images of {self.height} x {self.width} pixels are smaller than a tile of {self.side}: "
                "choose a smaller tile"
            )
        if not 0 <= self.overlap < self.side:
            raise ValueError(f"tiles of {self.side} pixels cannot overlap by {self.overlap}")

    @cached_property
    def tops(self) -> Ints:
        """First row of each row of tiles."""
        return _starts(self.height, self.side, self.overlap)

    @cached_property
    def lefts(self) -> Ints:
        """First column of each column of tiles."""
        return _starts(self.width, self.side, self.overlap)

    @property
    def count(self) -> int:
        """Tiles of an image, k."""
        return len(self.tops) * len(self.lefts)

    @cached_property
    def corners(self) -> Ints:
        """Upper left pixel [row, column] of each tile: (k, 2)."""
        return np.stack(np.meshgrid(self.tops, self.lefts, indexing="ij"), axis=-1).reshape(-1, 2)

    def around(self, where: npt.NDArray[np.integer[Any]]) -> Ints:
        """Numbers of the few tiles in which a pixel [row, column] lies; of none outside the image."""
        inside = where - self.corners
        return np.flatnonzero(((inside >= 0) & (inside < self.side)).all(axis=1))

    @cached_property
    def edges(self) -> tuple[Ints, Ints]:
        """Where the rows of tiles meet, and their columns: with the image's own edges, one more than there are tiles.

        In the middle of what neighbours share. So cut, every pixel belongs to the tile that has it furthest inside.
        """
        return _edges(self.tops, self.side), _edges(self.lefts, self.side)

    def cut(self, images: Images, first: int, last: int) -> Images:
        """Tiles *first* to *last* of all n * k of *images* (n, h, w), image by image: (last - first, t, t), a copy.

        Nothing but these tiles is copied. *last* may lie behind the end.
        """
        return self.pick(images, np.arange(first, min(last, len(images) * self.count)))

    def pick(self, images: Images, number: Ints) -> Images:
        """Those tiles of all n * k of *images* (n, h, w) that have a *number* (m,): (m, t, t), a copy."""
        row, column = self.corners[number % self.count].T
        tiles: Images = sliding_window_view(images, (self.side, self.side), axis=(1, 2))[
            number // self.count, row, column
        ]
        return tiles

    def together(self, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """One image (h, w) of its *tiles* (k, t, t): each pixel from the tile that has it furthest inside."""
        image = np.empty((self.height, self.width), np.float32)
        rows, columns = self.edges
        for number, (top, left) in enumerate(self.corners.tolist()):
            down, right = divmod(number, len(self.lefts))
            inside = slice(rows[down], rows[down + 1]), slice(columns[right], columns[right + 1])
            image[inside] = tiles[number][
                inside[0].start - top : inside[0].stop - top, inside[1].start - left : inside[1].stop - left
            ]
        return image


def random_tiles(images: Images, side: int, most: int, seed: int = 0) -> Images:
    """Tiles (m, side, side) at random places of *images* (n, h, w), equally many of each: for training.

    At any place, since a crystal's lattice has another phase at each. As many as SAMPLED_TIMES cover the images, and at
    most *most*; at least one of each image. Only these tiles are read, where the images lie on disk.
    Raises ValueError without images.
    """
    count, height, width = images.shape
    if count == 0:
        raise ValueError("there are no images to take tiles of: give at least one")
    random = np.random.default_rng(seed)
    each = max(1, min(most // count, SAMPLED_TIMES * height * width // side**2))
    image = np.repeat(np.arange(count), each)
    top, left = (random.integers(0, length - side + 1, len(image)) for length in (height, width))
    tiles: Images = sliding_window_view(images, (side, side), axis=(1, 2))[image, top, left]
    return tiles


def _starts(length: int, side: int, overlap: int) -> Ints:
    count = -(-(length - side) // (side - overlap)) + 1
    return np.minimum(np.arange(count) * (side - overlap), length - side)


def _edges(starts: Ints, side: int) -> Ints:
    between = (starts[:-1] + side + starts[1:]) // 2
    return np.concatenate(([0], between, [starts[-1] + side]))


def tiling_of(tensors: dict[str, npt.NDArray[Any]], height: int, width: int) -> Tiling | None:
    """The tiling that *tensors* of a bundle name for images of *height* x *width*; None where frames are seen whole."""
    if "tiles.side" not in tensors:
        return None
    return Tiling(height, width, int(tensors["tiles.side"]), int(tensors["tiles.overlap"]))


def tiling_tensors(tiling: Tiling | None) -> dict[str, npt.NDArray[Any]]:
    """As `tiling_of` reads it."""
    if tiling is None:
        return {}
    return {"tiles.side": np.array(tiling.side), "tiles.overlap": np.array(tiling.overlap)}
