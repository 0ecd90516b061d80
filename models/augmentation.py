"""Changes to training frames: some that the network is to draw, and some that it is to undo."""

import torch
import torch.nn.functional as F
from torch import Tensor


def turned_anyhow(x: Tensor, generator: torch.Generator) -> Tensor:
    """*x* (n, 1, h, w), each frame turned about its middle by an angle of its own; edges are repeated outwards."""
    angle = torch.rand(len(x), generator=generator, device=x.device) * (2 * torch.pi)
    sine, cosine = torch.sin(angle), torch.cos(angle)
    aspect = x.shape[2] / x.shape[3]
    nought = torch.zeros_like(angle)
    rows = torch.stack((cosine, -sine * aspect, nought), 1), torch.stack((sine / aspect, cosine, nought), 1)
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    turned: Tensor = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return turned


def lit_anyhow(x: Tensor, brightness: float, contrast: float, generator: torch.Generator) -> Tensor:
    """*x* (n, 1, h, w) in normalised units, each frame with a brightness and a contrast of its own.

    Up to *brightness* standard deviations of a frame are added or taken away; the distance from the usual brightness is
    stretched by up to a share of *contrast* or compressed as much.
    """
    added, stretched = torch.rand(2, len(x), 1, 1, 1, generator=generator, device=x.device).mul_(2).sub_(1).unbind()
    return x * (1 + contrast * stretched) + brightness * added


def dimmed(x: Tensor, dark: float, most: float, generator: torch.Generator) -> Tensor:
    """*x* (n, 1, h, w), the light of each frame, counted from *dark* on, changed by up to a share of *most*."""
    share = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device).mul_(2).sub_(1)
    return x + most * share * (x - dark)


def noisy(x: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """*x* with Gaussian noise of *noise* normalised units."""
    return x + torch.empty_like(x).normal_(0.0, noise, generator=generator)
