"""A variational autoencoder in which angle and offset are latent variables that move the decoder's coordinates.

The decoder draws a pixel from where it lies and what is shown, as Bepler, Zhong, Kelley, Brignole and Berger 2019
("Explicitly disentangling image content from translation and rotation with spatial-VAE") do, and pyroVED's rVAE. One
pass of a plain encoder finds angles badly: it gets stuck half a turn off. So the encoder sees the crop turned to
several starting angles, says for each how much it looks like the way up, and finds the rest of the angle near it, as
in Nasiri and Bepler 2022 ("Unsupervised object representation learning using translation and rotation group
equivariant VAE", TARGET-VAE). The sum over starting angles is exact here, where theirs is sampled.
"""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.losses import divergence

SIDE_MIN_PX: Final = 16
RIM: Final = 0.95  # of half a side: pixels outside this circle leave the crop when it is turned, and are not looked at
OFFSET_MOST: Final = 0.4  # half sides: what lies further off is not the same thing seen elsewhere
CYCLES: Final = 2.0  # standard deviation of the frequencies of the coordinates' features, cycles per half side
LOG_VARIANCE: Final = (-10.0, 4.0)  # of a posterior: beyond, one bad step could end a training


class Plan(NamedTuple):
    """What a network is made of."""

    side: int = 32  # pixels of the crops it sees
    content: int = 8  # latents that say what is shown
    angles: int = 8  # starting angles, evenly over the circle
    channels: int = 16  # of the encoder's first convolution; twice as many afterwards
    hidden: int = 48  # units of each of the decoder's layers
    waves: int = 24  # sines and as many cosines that the decoder knows a place by
    offset: float = 0.15  # standard deviation of the offsets expected, half sides; 0: none


class Posterior(NamedTuple):
    """What the encoder finds at each of K starting angles."""

    weight: Tensor  # (B, K) logarithms of how probable each is: they sum to one
    mean: Tensor  # (B, K, p) content
    log_variance: Tensor  # (B, K, p)
    pose: Tensor  # (B, K, 3): the rest of the angle, radians, and the offset x, y, half sides
    pose_log_variance: Tensor  # (B, K, 3)


class Turned(nn.Module):
    """Crops (B, 1, s, s) in standard units -> what they show (B, p), and back from there, an angle and an offset."""

    grid: Tensor
    inside: Tensor
    frequencies: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        require(plan)
        self.plan = plan
        deep, code = 2 * plan.channels, 2 * plan.channels * math.ceil(plan.side / 8) ** 2
        self.encoder = nn.Sequential(
            nn.Conv2d(1, plan.channels, 5, 2, padding=2),
            nn.LeakyReLU(0.1),
            nn.Conv2d(plan.channels, deep, 3, 2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(deep, deep, 3, 2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(code, 128),
            nn.LeakyReLU(0.1),
        )
        self.to_posterior = nn.Linear(128, 1 + 2 * plan.content + 6)
        self.from_place = nn.Linear(2 * plan.waves + 2, plan.hidden)
        self.from_content = nn.Linear(plan.content, plan.hidden, bias=False)
        self.decoder = nn.Sequential(
            nn.LeakyReLU(0.1),
            nn.Linear(plan.hidden, plan.hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(plan.hidden, 1),
        )
        grid = pixel_grid(plan.side)
        self.register_buffer("grid", grid)  # (s * s, 2) of x, y
        self.register_buffer("inside", grid.norm(dim=1) <= RIM)  # (s * s,)
        self.register_buffer("frequencies", 2 * math.pi * CYCLES * torch.randn(2, plan.waves))

    @property
    def starts(self) -> Tensor:
        """Starting angles (K,), radians."""
        return torch.arange(self.plan.angles, device=self.grid.device) * (2 * math.pi / self.plan.angles)

    def posterior(self, x: Tensor) -> Posterior:
        """What is seen at each starting angle of crops *x* (B, 1, s, s)."""
        count, k, p = len(x), self.plan.angles, self.plan.content
        copies = turned(x.repeat_interleave(k, 0), self.starts.repeat(count))  # (B * K, 1, s, s)
        found = self.to_posterior(self.encoder(copies * self.inside.view(1, 1, self.plan.side, -1)))
        weight, mean, log_variance, pose, pose_log_variance = (
            part.view(count, k, -1) for part in found.split((1, p, p, 3, 3), dim=1)
        )
        bounds = pose.new_tensor([2 * self.angle_sd, OFFSET_MOST, OFFSET_MOST])
        if not self.plan.offset:
            bounds = bounds * bounds.new_tensor([1.0, 0.0, 0.0])
        return Posterior(
            weight[..., 0].log_softmax(dim=1),
            mean,
            log_variance.clamp(*LOG_VARIANCE),
            bounds * pose.tanh(),
            # At first as wide as expected at all: an angle that is wrong and sure misleads the decoder.
            (pose_log_variance + 2 * self._pose_sds().log()).clamp(*LOG_VARIANCE),
        )

    @property
    def angle_sd(self) -> float:
        """Standard deviation of the rest of the angle: half the way to the next start."""
        return math.pi / self.plan.angles

    def draw(self, content: Tensor, pose: Tensor, places: Tensor) -> Tensor:
        """Pixels (B, K, P) at *places* (P, 2) of what *content* (B, K, p) shows from *pose* (B, K, 3).

        The pose's angle is the whole one, from the decoder's way up to the crop's.
        """
        cos, sin = pose[..., 0].cos(), pose[..., 0].sin()
        turn = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)  # (B, K, 2, 2)
        moved = places @ turn.transpose(-1, -2) - pose[..., None, 1:]  # (B, K, P, 2)
        phase = moved @ self.frequencies
        known = torch.cat((moved, phase.cos(), phase.sin()), dim=-1)
        hidden = self.from_place(known) + self.from_content(content)[..., None, :]
        pixels: Tensor = self.decoder(hidden)[..., 0]
        return pixels

    def penalty(self, found: Posterior) -> Tensor:
        """Divergence of *found* from what is expected beforehand, at each starting angle: (B, K), in nats.

        Content is N(0, 1), the rest of the angle and the offset Gaussian, every starting angle as probable.
        """
        content = divergence(found.mean.flatten(0, 1), found.log_variance.flatten(0, 1)).view_as(found.weight)
        sds = self._pose_sds()
        relative = found.pose_log_variance - 2 * sds.log()
        pose = 0.5 * ((found.pose / sds).square() + relative.exp() - 1 - relative)
        used = pose if self.plan.offset else pose[..., :1]
        return content + used.sum(dim=-1) + found.weight + math.log(self.plan.angles)

    def embed(self, x: Tensor) -> Tensor:
        """What crops *x* (B, 1, s, s) show, (B, p): the content at each starting angle, by how probable that is."""
        found = self.posterior(x)
        return (found.weight.exp()[..., None] * found.mean).sum(dim=1)

    def _pose_sds(self) -> Tensor:
        offset = self.plan.offset or 1.0
        return self.grid.new_tensor([self.angle_sd, offset, offset])


def fresh(plan: Plan, seed: int) -> Turned:
    """An untrained network whose weights depend on *seed* alone; torch's global random state is left as it was.

    Raises ValueError where *plan* makes no network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Turned(plan)


def require(plan: Plan) -> None:
    """Raises ValueError where *plan* makes no network."""
    if plan.side < SIDE_MIN_PX:
        raise ValueError(f"crops must be {SIDE_MIN_PX} pixels a side or more, not {plan.side}")
    if min(plan.content, plan.angles, plan.channels, plan.hidden, plan.waves) < 1:
        raise ValueError("content, angles, channels, hidden and waves must be at least 1")
    if not 0 <= plan.offset <= OFFSET_MOST:
        raise ValueError(f"offset must be 0 to {OFFSET_MOST} of half a side, not {plan.offset}")


def pixel_grid(side: int) -> Tensor:
    """Centres (side * side, 2) of pixels as x, y, row by row, in half sides from the middle."""
    line = (torch.arange(side) + 0.5) * (2 / side) - 1
    return torch.stack((line.expand(side, side), line[:, None].expand(side, side)), dim=-1).reshape(-1, 2)


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Crops *x* (B, 1, s, s), each turned about its middle by one of *angles* (B,), radians; nothing outside."""
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    affine = torch.stack((torch.stack((cos, -sin, zero), -1), torch.stack((sin, cos, zero), -1)), 1)
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
