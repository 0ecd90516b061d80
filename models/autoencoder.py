"""The networks: autoencoders for frames of 16 to 576 pixels a side, lean by default."""

import itertools
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architecture import Architecture, Size, grid_sizes, patch_px, require

LEAN_PER_S = 1e10  # multiply-adds a second that leave a core time for all else: a quarter of what one does in float32
LEAN_STEM_PX, LEAN_SIDE_MIN_PX = 8, 56  # what is lean, and the smallest side that leaves it a grid of 7


class Network(nn.Module, ABC):
    """Frames (B, 1, h, w) of normalised pixels -> latent (B, p) -> frames (B, 1, h, w).

    `to_latent` and `from_latent` are linear, so that a whitening can be folded into them. Between frame and latent it
    works on patches of *stride* pixels a side, *grid* rows and columns of them, which are what its stem sees and its
    last layer draws: whoever scores may leave residuals in that order.
    """

    to_latent: nn.Linear
    from_latent: nn.Linear
    stride: int
    grid: Size

    def __init__(self, height: int, width: int, architecture: Architecture) -> None:
        super().__init__()
        self.height, self.width, self.architecture = height, width, architecture
        self.latent = architecture.latent

    @abstractmethod
    def features(self, patches: Tensor) -> Tensor:
        """(B, a, b, s * s) -> (B, f), what the latent is a linear function of."""

    @abstractmethod
    def draw(self, code: Tensor) -> Tensor:
        """(B, f), a linear function of the latent -> patches (B, a, b, s * s)."""

    def patches(self, x: Tensor) -> Tensor:
        """(B, 1, h, w) -> (B, a, b, s * s): squares of s pixels a side, row by row, the last ones filled up.

        The last row and column are repeated until the patches fill the frame.
        """
        rows, columns = self.grid
        below, right = rows * self.stride - self.height, columns * self.stride - self.width
        x = F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x
        cells = x.reshape(-1, rows, self.stride, columns, self.stride).transpose(2, 3)
        return cells.reshape(-1, rows, columns, self.stride**2)

    def pixels(self, patches: Tensor) -> Tensor:
        """(B, a, b, s * s) -> (B, 1, h, w); written out, since torch's pixel shuffle takes twice the time."""
        rows, columns = self.grid
        cells = patches.reshape(-1, rows, columns, self.stride, self.stride).transpose(2, 3)
        x = cells.reshape(-1, 1, rows * self.stride, columns * self.stride)
        return x[:, :, : self.height, : self.width]

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.to_latent(self.features(self.patches(x)))  # (B, 1, h, w) -> (B, p)
        return z

    def decode(self, z: Tensor) -> Tensor:
        return self.pixels(self.draw(self.from_latent(z)))  # (B, p) -> (B, 1, h, w)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Linear(Network):
    """A linear autoencoder: with squared loss its latents span the principal subspace (Baldi and Hornik 1989)."""

    def __init__(self, height: int, width: int, architecture: Architecture) -> None:
        super().__init__(height, width, architecture)
        self.stride, self.grid = patch_px(height, width, architecture), (height, width)
        self.to_latent = nn.Linear(height * width, self.latent)
        self.from_latent = nn.Linear(self.latent, height * width)

    def features(self, patches: Tensor) -> Tensor:
        return patches.flatten(1)

    def draw(self, code: Tensor) -> Tensor:
        return code.view(-1, self.height, self.width, 1)


class Convolutional(Network):
    """A patch stem takes the frame to a grid of *stem_px* pixels a cell, stages of stride 2 take the grid down, and the
    decoder mirrors them.

    On patches the stem is a matrix product, and the last layer draws all pixels of a patch at once: a third of the
    time of a one-channel transposed convolution at full resolution. Both flattenings follow channels-last memory, so
    neither copies.
    """

    def __init__(self, height: int, width: int, architecture: Architecture) -> None:
        super().__init__(height, width, architecture)
        self.stride = patch_px(height, width, architecture)
        self.sizes = grid_sizes(height, width, architecture)  # of the grid after stem and each stage
        self.grid = self.sizes[0]
        channels = architecture.channels[: len(self.sizes)]
        code = channels[-1] * self.sizes[-1][0] * self.sizes[-1][1]
        pairs = list(itertools.pairwise(channels))

        self.stem = nn.Linear(self.stride**2, channels[0])
        self.down = nn.ModuleList(_down(wide, deep, architecture.group) for wide, deep in pairs)
        self.to_latent = nn.Linear(code, self.latent)
        self.from_latent = nn.Linear(self.latent, code)
        self.up = nn.ModuleList(_up(deep, wide, architecture.group) for wide, deep in reversed(pairs))
        self.phases = nn.Conv2d(channels[0], self.stride**2, 3, padding=1)

    def features(self, patches: Tensor) -> Tensor:
        x = F.relu_(self.stem(patches))  # (B, a, b, s * s) -> (B, a, b, c)
        x = x.permute(0, 3, 1, 2)  # -> (B, c, a, b), channels last
        for stage in self.down:
            x = F.relu_(stage(x))  # (B, c, a, b) -> (B, c', a/2, b/2), halves rounded up
        return x.permute(0, 2, 3, 1).flatten(1)  # -> (B, a * b * c)

    def draw(self, code: Tensor) -> Tensor:
        *stages, (last, _) = self.drawing_layers()
        x = self.as_grid(F.relu_(code))  # -> (B, c, a, b), channels last
        for stage, (rows, columns) in stages:
            x = F.relu_(stage(x)[:, :, :rows, :columns])  # (B, c, a, b) -> (B, c', 2a, 2b), cropped to the mirror's
        patches: Tensor = last(x).permute(0, 2, 3, 1)  # -> (B, a, b, s * s)
        return patches

    def as_grid(self, code: Tensor) -> Tensor:
        """(B, f) -> (B, c, a, b), channels last: what the first of the drawing layers sees."""
        return code.view(len(code), *self.sizes[-1], -1).permute(0, 3, 1, 2)

    def drawing_layers(self) -> list[tuple[nn.Module, Size]]:
        """The layers that draw, all of them linear, and what each one's grid is cropped to; a ReLU lies between two."""
        return [*zip(self.up, reversed(self.sizes[:-1]), strict=True), (self.phases, self.grid)]


def build(height: int, width: int, architecture: Architecture) -> Network:
    """A network with arbitrary weights. Raises ValueError for a side or an architecture that makes none."""
    require(height, width, architecture)
    return (Linear if architecture.linear else Convolutional)(height, width, architecture)


def fresh(height: int, width: int, architecture: Architecture, seed: int) -> Network:
    """An untrained network whose weights depend on *seed* alone; torch's global random state is left as it was.

    Raises ValueError as `build` does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(height, width, architecture)


def lean(height: int, width: int, architecture: Architecture, rate_hz: float | None) -> Architecture:
    """*architecture*, with larger patches where the usual ones cost too much at *rate_hz* frames a second.

    Only where it leaves them open. On three data sets such networks find as much, with two thirds of the operations
    (docs/networks.md). Raises ValueError as `build` does.
    """
    if rate_hz is None or architecture.stem_px is not None or min(height, width) < LEAN_SIDE_MIN_PX:
        return architecture
    if architecture.linear or operations(fresh(height, width, architecture, 0)) * rate_hz <= LEAN_PER_S:
        return architecture
    return architecture._replace(stem_px=LEAN_STEM_PX)


def operations(network: Network) -> int:
    """Multiply-adds that one frame costs, there and back; biases, activations and shuffling are not counted."""
    counted = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        if isinstance(layer, nn.Conv2d):
            counted += layer.weight.numel() * output[0, 0].numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            counted += layer.weight.numel() * inputs[0][0, 0].numel()
        elif isinstance(layer, nn.Linear):
            counted += layer.weight.numel() * output[0, ..., 0].numel()

    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    device = network.to_latent.weight.device
    with torch.inference_mode():
        network(torch.zeros(1, 1, network.height, network.width, device=device))
    for hook in hooks:
        hook.remove()
    return counted


def _down(wide: int, deep: int, group: int | None) -> nn.Module:
    """Half the grid, *wide* channels to *deep*; in groups, a 1 x 1 convolution afterwards mixes what they saw."""
    if group is None:
        return nn.Conv2d(wide, deep, 3, 2, padding=1)
    return nn.Sequential(nn.Conv2d(wide, wide, 3, 2, padding=1, groups=wide // group), nn.Conv2d(wide, deep, 1))


def _up(deep: int, wide: int, group: int | None) -> nn.Module:
    """Twice the grid, *deep* channels to *wide*; in groups, mixed beforehand, where the grid is small."""
    if group is None:
        return nn.ConvTranspose2d(deep, wide, 4, 2, padding=1)
    return nn.Sequential(
        nn.Conv2d(deep, wide, 1), nn.ConvTranspose2d(wide, wide, 4, 2, padding=1, groups=wide // group)
    )
