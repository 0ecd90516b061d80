"""Wavelet scattering: how much structure of each size and direction there is, and how that varies over larger sizes.

Averages of |x * psi_1| and ||x * psi_1| * psi_2| over parts of a frame, psi Morlet wavelets (Bruna and Mallat 2013,
"Invariant scattering convolution networks"). Averages over a part do not change when what is in it moves, and unlike a
power spectrum they tell a few sharp scratches from a faint texture everywhere. Nothing is learned.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preparation import Frames

Float32s = npt.NDArray[np.float32]

WIDTH: Final = 0.8  # of the Gaussian of the finest wavelet, pixels; its frequency is 3 pi / 4 (Bruna and Mallat 2013)
FREQUENCY: Final = 3 * math.pi / 4
SLANT: Final = 0.5  # of that Gaussian: it is twice as long across the wave as along it
FLOOR: Final = 1e-4  # of the frame's standard deviation: less is the camera's rounding
CHUNK: Final = 8  # frames at a time: each makes hundreds of maps


class Scattering(NamedTuple):
    """Wavelets of *scales* sizes, each twice the last, and *angles* directions; averages over *parts* x *parts*.

    With *turned* the averages over all directions of the first wavelet are taken for each angle between the two, so
    that a frame and the same frame turned give the same (Sifre and Mallat 2013).
    """

    side: int = 96  # pixels that the smaller side is brought to; frames that are smaller stay as they are
    scales: int = 4
    angles: int = 8
    parts: int = 2
    turned: bool = False

    @property
    def paths(self) -> int:
        pairs = self.scales * (self.scales - 1) // 2
        return self.scales + pairs * self.angles if self.turned else self.scales * self.angles + pairs * self.angles**2


def scatter(frames: Frames, scattering: Scattering) -> Float32s:
    """Logarithms of the scattering of each part of *frames* (n, h, w): (n, parts * parts, paths), row by row.

    Each frame has mean 0 and standard deviation 1 beforehand, so that light and contrast make no difference; of a path
    of two wavelets the logarithm is that of its share of the first one's. Raises ValueError where frames are smaller
    than the largest wavelet allows, or where pixels are not finite.
    """
    _check(frames, scattering)
    plain = scattering._replace(turned=False)
    found = np.empty((len(frames), plain.parts**2, plain.paths), np.float32)
    for first in range(0, len(frames), CHUNK):
        x = torch.from_numpy(np.array(frames[first : first + CHUNK], np.float32))
        if not torch.isfinite(x).all():
            raise ValueError("frames hold pixels that are not finite: remove those frames")
        found[first : first + CHUNK] = _scattered(x, plain).numpy()
    return over_directions(found, plain) if scattering.turned else found


def over_directions(found: Float32s, scattering: Scattering) -> Float32s:
    """What `scatter` *found* by direction (n, c, paths), as it would have been with `turned`: (n, c, fewer paths)."""
    angles, scales = scattering.angles, scattering.scales
    averages = np.exp(found)
    firsts, seconds = np.split(averages, [scales * angles], axis=2)
    kept = [firsts.reshape(*firsts.shape[:2], scales, angles).mean(axis=3)]
    pairs = seconds.reshape(*seconds.shape[:2], -1, angles, angles)
    apart = (np.arange(angles)[:, None] + np.arange(angles)) % angles  # direction, difference -> the other's
    kept.append(pairs[:, :, :, np.arange(angles)[:, None], apart].mean(axis=3).reshape(*seconds.shape[:2], -1))
    joined: Float32s = np.log(np.concatenate(kept, axis=2))
    return joined


@torch.inference_mode()
def _scattered(x: Tensor, scattering: Scattering) -> Tensor:
    x = _standard(_shrunk(x, scattering.side))
    size = (x.shape[1], x.shape[2])
    wave = torch.fft.fft2(_padded(x, scattering))
    firsts, seconds = [], []
    for j1 in range(scattering.scales):
        u1 = _modulus(wave, j1, 0, scattering.angles)  # (B, L, a, b)
        s1 = _parts(u1, size, scattering)  # (B, L, c)
        firsts.append(s1)
        waves = torch.fft.fft2(u1)
        for j2 in range(j1 + 1, scattering.scales):
            u2 = _modulus(waves, j2, _halvings(j1), scattering.angles)  # (B, L1, L2, a, b)
            seconds.append(_parts(u2, size, scattering) / s1.unsqueeze(2).clamp_min(FLOOR))
    paths = [averages.flatten(1, -2) for averages in firsts + seconds]  # (B, directions, c) each
    return torch.cat(paths, dim=1).clamp_min(FLOOR).log().transpose(1, 2)


def _modulus(wave: Tensor, scale: int, halved: int, angles: int) -> Tensor:
    """|x * psi| by direction from the transform of x, already halved *halved* times: (..., a, b) -> (..., L, a', b').

    Halved in the frequencies, where they fold over, as far as the wavelet's band allows.
    """
    size = (wave.shape[-2], wave.shape[-1])
    filtered = wave.unsqueeze(-3) * _wavelets(size, scale, halved, angles)
    for _ in range(_halvings(scale) - halved):
        rows, columns = filtered.shape[-2] // 2, filtered.shape[-1] // 2
        filtered = filtered.reshape(*filtered.shape[:-2], 2, rows, 2, columns).mean(dim=(-4, -2))
    modulus: Tensor = torch.fft.ifft2(filtered).abs()
    return modulus


def _halvings(scale: int) -> int:
    """How often the modulus of a wavelet of that *scale* may be halved: one less than its band allows."""
    return max(scale - 1, 0)


@lru_cache(maxsize=64)
def _wavelets(size: tuple[int, int], scale: int, halved: int, angles: int) -> Tensor:
    """Transforms of Morlet wavelets (L, a, b) for maps of *size* that were halved *halved* times; real."""
    stretch = 2.0 ** (scale - halved)
    width, frequency = WIDTH * stretch, FREQUENCY / stretch
    rows, columns = (2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in size)
    # Frequencies are periodic: the neighbours' copies fill the band's edge.
    shifts = 2 * math.pi * torch.arange(-1, 2, dtype=torch.float64)
    rows, columns = rows[:, None, None, None] + shifts[:, None], columns[None, :, None, None] + shifts
    found = []
    for angle in torch.arange(angles, dtype=torch.float64) * math.pi / angles:
        along = columns * angle.cos() + rows * angle.sin()
        across = rows * angle.cos() - columns * angle.sin()
        wide = (across / SLANT).square()
        bump = (-0.5 * width**2 * ((along - frequency).square() + wide)).exp().sum(dim=(2, 3))
        calm = (-0.5 * width**2 * (along.square() + wide)).exp().sum(dim=(2, 3))
        found.append(bump - bump[0, 0] / calm[0, 0] * calm)  # no answer to a constant
    return torch.stack(found).float()


def _parts(u: Tensor, size: tuple[int, int], scattering: Scattering) -> Tensor:
    """Averages of maps (..., a, b) over the parts of the frame of *size* inside them: (..., parts * parts)."""
    padded = _padding(*size, scattering)
    rows, columns = (
        torch.linspace(before, before + length, scattering.parts + 1) * have / (before + length + after)
        for (before, after), length, have in zip(padded, size, u.shape[-2:], strict=True)
    )
    edges = [[round(edge) for edge in side.tolist()] for side in (rows, columns)]
    cells = [
        u[..., top:bottom, left:right].mean(dim=(-2, -1))
        for top, bottom in zip(edges[0], edges[0][1:], strict=False)
        for left, right in zip(edges[1], edges[1][1:], strict=False)
    ]
    return torch.stack(cells, dim=-1)


def _padding(height: int, width: int, scattering: Scattering) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels before and after, by side: half the largest wavelet at least, up to sizes that can be halved."""
    step = 2**scattering.scales
    sides = []
    for length in (height, width):
        room = -(-(length + step) // step) * step - length
        sides.append((room // 2, room - room // 2))
    return sides[0], sides[1]


def _padded(x: Tensor, scattering: Scattering) -> Tensor:
    (above, below), (left, right) = _padding(x.shape[1], x.shape[2], scattering)
    return F.pad(x[:, None], (left, right, above, below), mode="reflect")[:, 0]


def _shrunk(x: Tensor, side: int) -> Tensor:
    """*x* (B, h, w) with a smaller side of *side* pixels; smaller frames as they are."""
    smaller = min(x.shape[1:])
    if smaller <= side:
        return x
    size = [round(length * side / smaller) for length in x.shape[1:]]
    return F.interpolate(x[:, None], size, mode="bilinear", antialias=True)[:, 0]


def _standard(x: Tensor) -> Tensor:
    mean, sd = x.mean(dim=(1, 2), keepdim=True), x.std(dim=(1, 2), keepdim=True)
    return (x - mean) / sd.clamp_min(torch.finfo(x.dtype).tiny)


def _check(frames: Frames, scattering: Scattering) -> None:
    if min(scattering.scales, scattering.angles, scattering.parts, scattering.side) < 1:
        raise ValueError("side, scales, angles and parts must be at least 1")
    least = 2**scattering.scales * scattering.parts
    if frames.ndim != 3 or min(frames.shape[1:]) < least or scattering.side < least:
        raise ValueError(
            f"scattering of {scattering.scales} scales and {scattering.parts} parts a side needs frames (n, h, w) of "
            f"{least} pixels and more, not an array of shape {frames.shape}"
        )
