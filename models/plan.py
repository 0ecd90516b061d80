"""How a convolutional network lies in memory for `models.compiled.network`: its layers as products of a few numbers.

Activations are channels last, with a border of zeros around the grid where a layer looks beyond it.
"""

from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.architecture import Architecture, Size, grid_sizes, patch_px
from models.compiled.network import WIDE
from models.tensors import Weights

Floats = npt.NDArray[np.float32]
Table = npt.NDArray[np.int64]

KERNEL: Final = 3
TAPS: Final = ((3, 1), (2, 0))
"""Of a transposed convolution of 4 and stride 2: what makes even outputs of the two inputs they see, and odd ones."""


class Product(NamedTuple):
    """Rows x columns outputs of some blocks of channels, each a sum over pieces of the input. Places count floats.

    The output of row i and column j lies at y_at + i * y_row + j * y_step, and sees *segments* pieces of *run* floats,
    *segment_step* apart, the first at x_at + i * x_row + j * x_step.
    """

    from_scratch: bool  # else from what is given
    x_at: int
    x_row: int
    x_step: int
    to_scratch: bool  # else to what is asked for
    y_at: int
    y_row: int
    y_step: int
    rows: int
    columns: int
    blocks: int  # of WIDE channels
    segments: int
    segment_step: int
    run: int
    at: int  # of the weights: of each block its biases, then those of every value seen
    relu: bool


class Plan(NamedTuple):
    """The products of a network, (layers, 16) of each part, and how many floats they work on."""

    grid: Size  # of patches
    patch_px: int
    latent: int  # p
    down: Table  # for every frame
    to_latent: Table  # for all frames together, as is the next
    from_latent: Table
    up: Table
    weights: Floats
    scratch: int
    features: int  # a frame, as are the next two
    filled: int  # the latent, in whole blocks of channels
    codes: int


class Grid(NamedTuple):
    """Where the cells of a grid lie: the first one, and from one row, and one column, to the next."""

    in_scratch: bool
    at: int
    row: int
    step: int

    def moved(self, rows: int, columns: int) -> "Grid":
        """The same, begun so many cells further down and to the right."""
        return self._replace(at=self.at + rows * self.row + columns * self.step)

    def spread(self, by: int) -> "Grid":
        """Every cell of *by* in each direction."""
        return self._replace(row=by * self.row, step=by * self.step)


class _Layers(NamedTuple):
    """A network's sizes: what its products are made of."""

    sizes: list[Size]  # of the grid of patches, and after each stage
    channels: tuple[int, ...]  # of each
    patch: int  # pixels of one
    latent: int


def fits(height: int, width: int, architecture: Architecture) -> bool:
    """Whether there is a plan for such a network: every layer sees all channels, and they are a multiple of sixteen."""
    if architecture.linear or architecture.group is not None:
        return False
    layers = _layers(height, width, architecture)
    return all(one % WIDE == 0 for one in (layers.patch, *layers.channels))


def plan_of(height: int, width: int, architecture: Architecture, given: Weights) -> Plan:
    """The plan of a network, for which there is one, with the weights *given*."""
    layers = _layers(height, width, architecture)
    sizes, channels = layers.sizes, layers.channels
    grids, scratch = [], 0
    for size, count in zip(sizes[:-1], channels, strict=False):
        grids.append(_bordered(size, count, scratch))
        scratch += _padded(size, count)
    frame, features = _plain(sizes[0], layers.patch), _plain(sizes[-1], channels[-1])
    codes = _bordered(sizes[-1], channels[-1])._replace(in_scratch=False)
    places, weights = _Places(frame, grids, features, codes), _Weights(given)
    parts = _down(layers, places, weights), *_latent(layers, places, weights), _up(layers, places, weights)
    down, to_latent, from_latent, up = (np.array(part, np.int64) for part in parts)
    return Plan(
        grid=sizes[0],
        patch_px=patch_px(height, width, architecture),
        latent=layers.latent,
        down=down,
        to_latent=to_latent,
        from_latent=from_latent,
        up=up,
        weights=weights.together(),
        scratch=scratch,
        features=sizes[-1][0] * features.row,
        filled=_filled(layers.latent),
        codes=_padded(sizes[-1], channels[-1]),
    )


class _Places(NamedTuple):
    """Where activations lie: of the frame's patches, of the grids between, and of what the latent is and makes."""

    frame: Grid
    grids: list[Grid]  # the finest first
    features: Grid
    codes: Grid


def _down(layers: _Layers, places: _Places, weights: "_Weights") -> list[Product]:
    """From patches to features: the stem, then 3 x 3 convolutions of every other cell."""
    stem = weights.linear("stem")
    products = [_product(places.frame, places.grids[0], layers.sizes[0], (1, layers.patch), stem, relu=True)]
    outs = [*places.grids[1:], places.features]
    for stage, (seen, out, size) in enumerate(zip(places.grids, outs, layers.sizes[1:], strict=True)):
        taps = weights.conv(f"down.{stage}")
        products.append(_product(seen.moved(-1, -1).spread(2), out, size, _around(seen), taps, relu=True))
    return products


def _up(layers: _Layers, places: _Places, weights: "_Weights") -> list[Product]:
    """From codes to patches: transposed convolutions, phase by phase, then a 3 x 3 convolution to pixels."""
    products, outs, sizes = [], places.grids[::-1], layers.sizes[-2::-1]
    for stage, (seen, out, size) in enumerate(zip([places.codes, *outs[:-1]], outs, sizes, strict=True)):
        for row, column in product((0, 1), repeat=2):
            its = (size[0] + 1 - row) // 2, (size[1] + 1 - column) // 2
            pieces, taps = (2, 2 * seen.step, seen.row), weights.transposed(f"up.{stage}", row, column)
            to = out.moved(row, column).spread(2)
            products.append(_product(seen.moved(row - 1, column - 1), to, its, pieces, taps, relu=True))
    seen, last = places.grids[0], weights.conv("phases")
    products.append(_product(seen.moved(-1, -1), places.frame, layers.sizes[0], _around(seen), last, relu=False))
    return products


def _latent(layers: _Layers, places: _Places, weights: "_Weights") -> tuple[list[Product], list[Product]]:
    """To the latent and from it: products whose columns are frames. Codes come row by row of their grid."""
    rows, of_row, p = layers.sizes[-1][0], places.features.row, layers.latent
    features, q = Grid(False, 0, 0, rows * of_row), Grid(False, 0, 0, _filled(p))
    to_latent = _product(features, q, (1, 1), (1, rows * of_row), weights.linear("to_latent"), relu=False)
    from_latent = []
    for row in range(rows):
        its = slice(row * of_row, (row + 1) * of_row)
        out = Grid(False, places.codes.moved(row, 0).at, 0, (rows + 2) * places.codes.row)
        from_latent.append(_product(q, out, (1, 1), (1, p), weights.linear("from_latent", its), relu=True))
    return [to_latent], from_latent


class _Weights:
    """Weights, block by block, one after the other. Each method says where they begin, and how many blocks they are."""

    def __init__(self, given: Weights) -> None:
        self._given = given
        self._parts: list[Floats] = []
        self._count = 0

    def linear(self, layer: str, its: slice = slice(None)) -> tuple[int, int]:
        """Of a matrix; *its* rows of it alone."""
        return self._add(self._given[f"{layer}.weight"][its].T, self._given[f"{layer}.bias"][its])

    def conv(self, layer: str) -> tuple[int, int]:
        taps = self._given[f"{layer}.weight"].transpose(2, 3, 1, 0)
        return self._add(taps.reshape(-1, taps.shape[-1]), self._given[f"{layer}.bias"])

    def transposed(self, layer: str, row: int, column: int) -> tuple[int, int]:
        """Of the outputs of even (0) or odd (1) *row* and *column*."""
        taps = self._given[f"{layer}.weight"][:, :, TAPS[row], :][:, :, :, TAPS[column]].transpose(2, 3, 0, 1)
        return self._add(taps.reshape(-1, taps.shape[-1]), self._given[f"{layer}.bias"])

    def _add(self, matrix: Floats, bias: Floats) -> tuple[int, int]:
        """Of a *matrix* (values seen, channels) and *bias* (channels,), filled up to whole blocks."""
        above = _filled(len(bias)) - len(bias)
        whole = np.pad(np.concatenate((bias[None], matrix)), ((0, 0), (0, above)))
        blocks = whole.reshape(len(whole), -1, WIDE).transpose(1, 0, 2)
        at, self._count = self._count, self._count + blocks.size
        self._parts.append(blocks.reshape(-1))
        return at, len(blocks)

    def together(self) -> Floats:
        return np.concatenate(self._parts)


def _product(
    seen: Grid,
    out: Grid,
    size: Size,
    pieces: tuple[int, int] | tuple[int, int, int],
    weights: tuple[int, int],
    *,
    relu: bool,
) -> Product:
    """*pieces*: how many, of how many floats, how far apart; *weights*: where, and how many blocks."""
    segments, run, apart = (*pieces, 0)[:3]
    at, blocks = weights
    return Product(*seen, *out, *size, blocks, segments, apart, run, at, relu)


def _around(seen: Grid) -> tuple[int, int, int]:
    """What a 3 x 3 convolution sees of a grid: three pieces of three cells, a row apart."""
    return KERNEL, KERNEL * seen.step, seen.row


def _filled(channels: int) -> int:
    """So many *channels* in whole blocks."""
    return -(-channels // WIDE) * WIDE


def _layers(height: int, width: int, architecture: Architecture) -> _Layers:
    sizes = grid_sizes(height, width, architecture)
    patch = patch_px(height, width, architecture) ** 2
    return _Layers(sizes, architecture.channels[: len(sizes)], patch, architecture.latent)


def _plain(size: Size, channels: int) -> Grid:
    return Grid(False, 0, size[1] * channels, channels)


def _bordered(size: Size, channels: int, at: int = 0) -> Grid:
    return Grid(True, at, (size[1] + 2) * channels, channels).moved(1, 1)


def _padded(size: Size, channels: int) -> int:
    return (size[0] + 2) * (size[1] + 2) * channels
