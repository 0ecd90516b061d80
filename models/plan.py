"""How a convolutional network lies in memory for `models.compiled.network`: its layers as products of a few numbers.

Activations are channels last, with a border of zeros around the grid where a layer looks beyond it.
"""

from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.autoencoder import Convolutional, Network, Size
from models.compiled.network import WIDE

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

    down: Table  # for every frame
    to_latent: Table  # for all frames together, as is the next
    from_latent: Table
    up: Table
    weights: Floats
    scratch: int
    features: int  # a frame, as are the next two
    latent: int
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


def fits(network: Network) -> bool:
    """Whether there is a plan for *network*: every layer sees all channels, and they are a multiple of sixteen."""
    if not isinstance(network, Convolutional) or network.architecture.group is not None:
        return False
    return all(one % WIDE == 0 for one in (network.stride**2, *_channels(network)))


@torch.inference_mode()
def plan_of(network: Convolutional) -> Plan:
    """The plan of *network*, for which there is one."""
    sizes, channels = network.sizes, _channels(network)
    grids, scratch = [], 0
    for size, count in zip(sizes[:-1], channels, strict=False):
        grids.append(_bordered(size, count, scratch))
        scratch += _padded(size, count)
    frame, features = _plain(sizes[0], network.stride**2), _plain(sizes[-1], channels[-1])
    codes = _bordered(sizes[-1], channels[-1])._replace(in_scratch=False)
    places, weights = _Places(frame, grids, features, codes), _Weights()
    parts = _down(network, places, weights), *_latent(network, places, weights), _up(network, places, weights)
    down, to_latent, from_latent, up = (np.array(part, np.int64) for part in parts)
    return Plan(
        down=down,
        to_latent=to_latent,
        from_latent=from_latent,
        up=up,
        weights=weights.together(),
        scratch=scratch,
        features=sizes[-1][0] * features.row,
        latent=_filled(network.latent),
        codes=_padded(sizes[-1], channels[-1]),
    )


class _Places(NamedTuple):
    """Where activations lie: of the frame's patches, of the grids between, and of what the latent is and makes."""

    frame: Grid
    grids: list[Grid]  # the finest first
    features: Grid
    codes: Grid


def _down(network: Convolutional, places: _Places, weights: "_Weights") -> list[Product]:
    """From patches to features: the stem, then 3 x 3 convolutions of every other cell."""
    patch = 1, network.stride**2
    layers = [_product(places.frame, places.grids[0], network.grid, patch, weights.linear(network.stem), relu=True)]
    outs = [*places.grids[1:], places.features]
    for seen, out, size, stage in zip(places.grids, outs, network.sizes[1:], network.down, strict=True):
        layers.append(_product(seen.moved(-1, -1).spread(2), out, size, _around(seen), weights.conv(stage), relu=True))
    return layers


def _up(network: Convolutional, places: _Places, weights: "_Weights") -> list[Product]:
    """From codes to patches: transposed convolutions, phase by phase, then a 3 x 3 convolution to pixels."""
    layers, outs, sizes = [], places.grids[::-1], network.sizes[-2::-1]
    for seen, out, size, stage in zip([places.codes, *outs[:-1]], outs, sizes, network.up, strict=True):
        for row, column in product((0, 1), repeat=2):
            its = (size[0] + 1 - row) // 2, (size[1] + 1 - column) // 2
            pieces, taps = (2, 2 * seen.step, seen.row), weights.transposed(stage, row, column)
            to = out.moved(row, column).spread(2)
            layers.append(_product(seen.moved(row - 1, column - 1), to, its, pieces, taps, relu=True))
    seen, last = places.grids[0], weights.conv(network.phases)
    layers.append(_product(seen.moved(-1, -1), places.frame, network.grid, _around(seen), last, relu=False))
    return layers


def _latent(network: Convolutional, places: _Places, weights: "_Weights") -> tuple[list[Product], list[Product]]:
    """To the latent and from it: products whose columns are frames. Codes come row by row of their grid."""
    rows, of_row, p = network.sizes[-1][0], places.features.row, network.latent
    features, q = Grid(False, 0, 0, rows * of_row), Grid(False, 0, 0, _filled(p))
    to_latent = _product(features, q, (1, 1), (1, rows * of_row), weights.linear(network.to_latent), relu=False)
    matrix, bias = network.from_latent.weight, network.from_latent.bias
    from_latent = []
    for row in range(rows):
        its = slice(row * of_row, (row + 1) * of_row)
        out = Grid(False, places.codes.moved(row, 0).at, 0, (rows + 2) * places.codes.row)
        from_latent.append(_product(q, out, (1, 1), (1, p), weights.add(matrix[its].T, bias[its]), relu=True))
    return [to_latent], from_latent


class _Weights:
    """Weights, block by block, one after the other. Each method says where they begin, and how many blocks they are."""

    def __init__(self) -> None:
        self._parts: list[Floats] = []
        self._count = 0

    def add(self, matrix: Tensor, bias: Tensor) -> tuple[int, int]:
        """Of a *matrix* (values seen, channels) and *bias* (channels,), filled up to whole blocks."""
        above = _filled(len(bias)) - len(bias)
        whole = np.pad(torch.cat((bias[None], matrix)).numpy(), ((0, 0), (0, above)))
        blocks = whole.reshape(len(whole), -1, WIDE).transpose(1, 0, 2)
        at, self._count = self._count, self._count + blocks.size
        self._parts.append(blocks.reshape(-1))
        return at, len(blocks)

    def linear(self, layer: nn.Linear) -> tuple[int, int]:
        return self.add(layer.weight.T, layer.bias)

    def conv(self, layer: nn.Module) -> tuple[int, int]:
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        return self.add(layer.weight.permute(2, 3, 1, 0).flatten(0, 2), layer.bias)

    def transposed(self, layer: nn.Module, row: int, column: int) -> tuple[int, int]:
        """Of the outputs of even (0) or odd (1) *row* and *column*."""
        assert isinstance(layer, nn.ConvTranspose2d)
        assert layer.bias is not None
        taps = layer.weight[:, :, TAPS[row], :][:, :, :, TAPS[column]]
        return self.add(taps.permute(2, 3, 0, 1).flatten(0, 2), layer.bias)

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


def _channels(network: Convolutional) -> Sequence[int]:
    return network.architecture.channels[: len(network.sizes)]


def _plain(size: Size, channels: int) -> Grid:
    return Grid(False, 0, size[1] * channels, channels)


def _bordered(size: Size, channels: int, at: int = 0) -> Grid:
    return Grid(True, at, (size[1] + 2) * channels, channels).moved(1, 1)


def _padded(size: Size, channels: int) -> int:
    return (size[0] + 2) * (size[1] + 2) * channels
