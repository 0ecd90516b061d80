"""The network: a lean convolutional autoencoder for frames of 16 to 576 pixels a side."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE_MIN_PX, SIDE_MAX_PX = 16, 576
CHANNELS = (16, 32, 64, 64, 64)  # few at full resolution: that is where the time goes
STAGES_MAX = len(CHANNELS) - 1
CODE_SIDE = 8  # stages halve the grid until its smaller side is at most this

Size = tuple[int, int]


class Autoencoder(nn.Module):
    """Frames (B, 1, h, w) of normalised pixels -> latent (B, p) -> frames (B, 1, h, w).

    A patch stem takes the frame to a grid of *stride* pixels a cell, stages of stride 2 take the grid down, and the
    decoder mirrors them. The last layer draws stride x stride phases a cell and shuffles them into pixels: a third of
    the time of a one-channel transposed convolution at full resolution. Both flattenings follow channels-last memory,
    so neither copies. Raises ValueError for a side outside 16..576 and for latent < 1.
    """

    def __init__(self, height: int, width: int, latent: int = 32) -> None:
        super().__init__()
        if not (SIDE_MIN_PX <= height <= SIDE_MAX_PX and SIDE_MIN_PX <= width <= SIDE_MAX_PX):
            raise ValueError(
                f"frames must be {SIDE_MIN_PX} to {SIDE_MAX_PX} pixels a side, not {height} x {width}: crop or bin them"
            )
        if latent < 1:
            raise ValueError(f"latent must be at least 1, not {latent}")
        self.height, self.width, self.latent = height, width, latent
        self.stride = 4 if min(height, width) >= 32 else 2
        self.sizes = _grid_sizes(height, width, self.stride)  # of the grid after the stem and after each stage
        channels = CHANNELS[: len(self.sizes)]
        code = channels[-1] * self.sizes[-1][0] * self.sizes[-1][1]

        self.stem = nn.Conv2d(1, channels[0], self.stride, self.stride)
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 3, 2, padding=1) for wide, deep in itertools.pairwise(channels))
        self.to_latent = nn.Linear(code, latent)
        self.from_latent = nn.Linear(latent, code)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(deep, wide, 4, 2, padding=1)
            for wide, deep in reversed(list(itertools.pairwise(channels)))
        )
        self.phases = nn.Conv2d(channels[0], self.stride**2, 3, padding=1)

    def encode(self, x: Tensor) -> Tensor:
        x = F.relu_(self.stem(self._pad(x)))  # (B, 1, h, w) -> (B, 16, h/s, w/s)
        for stage in self.down:
            x = F.relu_(stage(x))  # (B, c, a, b) -> (B, c', a/2, b/2), halves rounded up
        z: Tensor = self.to_latent(x.permute(0, 2, 3, 1).flatten(1))  # -> (B, p)
        return z

    def decode(self, z: Tensor) -> Tensor:
        x = F.relu_(self.from_latent(z))  # (B, p) -> (B, a * b * c)
        x = x.view(len(z), *self.sizes[-1], -1).permute(0, 3, 1, 2)  # -> (B, c, a, b), channels last
        for stage, (rows, columns) in zip(self.up, reversed(self.sizes[:-1]), strict=True):
            x = F.relu_(stage(x)[:, :, :rows, :columns])  # (B, c, a, b) -> (B, c', 2a, 2b), cropped to the mirror's
        x = self._shuffle(self.phases(x))  # (B, s * s, h/s, w/s) -> (B, 1, h+, w+)
        return x[:, :, : self.height, : self.width]  # -> (B, 1, h, w)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def _shuffle(self, phases: Tensor) -> Tensor:
        """Pixel shuffle to one channel, written out: torch's own takes twice the time on channels-last memory."""
        rows, columns = self.sizes[0]
        cells = phases.permute(0, 2, 3, 1).view(-1, rows, columns, self.stride, self.stride)
        return cells.transpose(2, 3).reshape(-1, 1, rows * self.stride, columns * self.stride)

    def _pad(self, x: Tensor) -> Tensor:
        """Repeats the last row and column until the stem's patches fill the frame."""
        below, right = -self.height % self.stride, -self.width % self.stride
        return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def fresh(height: int, width: int, latent: int, seed: int) -> Autoencoder:
    """An untrained network whose weights depend on *seed* alone; torch's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(height, width, latent)


def _grid_sizes(height: int, width: int, stride: int) -> list[Size]:
    sizes = [(-(-height // stride), -(-width // stride))]
    while len(sizes) == 1 or (min(sizes[-1]) > CODE_SIDE and len(sizes) <= STAGES_MAX):
        rows, columns = sizes[-1]
        sizes.append(((rows + 1) // 2, (columns + 1) // 2))
    return sizes
