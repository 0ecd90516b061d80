"""What training minimises: how badly a frame is drawn, and penalties on its latent."""

import torch
from torch import Tensor

LOSS_BOUND = 3.0  # medians of its batch: the most that one frame's loss may weigh
COUNT_MIN = 0.5  # counts: below, the Poisson deviance goes on as its own second-order expansion


def squared(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared residual of each frame, (B, 1, h, w) twice -> (B,)."""
    return (x_hat - x).square().mean(dim=(1, 2, 3))


def poisson(x_hat: Tensor, x: Tensor, shift: float, scale: float) -> Tensor:
    """Mean Poisson deviance of each frame, (B, 1, h, w) twice in normalised units -> (B,).

    2 (k log(k / m) - k + m) for counts k = scale x + shift and their expectation m (McCullagh and Nelder 1989, 2.3).
    A network may draw less than no counts: below COUNT_MIN the deviance is followed by its Taylor expansion to second
    order, so that it stays convex and its slope leads back.
    """
    counts = (scale * x + shift).clamp_min(0.0)
    expected = scale * x_hat + shift
    inside = expected.clamp_min(COUNT_MIN)
    short = expected - inside  # 0 or below
    # Of no counts the logarithm is taken of something else: its slope, zero times infinity, would be no number.
    deviance = 2 * (counts * (counts.clamp_min(torch.finfo(counts.dtype).eps) / inside).log() - counts + inside)
    slope, bend = 2 * (1 - counts / inside), 2 * counts / inside.square()
    # Where nothing was counted the deviance is a straight line: without a bend of its own it would fall for ever.
    below = slope * short + 0.5 * bend.clamp_min(2 / COUNT_MIN) * short.square()
    # Rounding takes the deviance of a frame that is drawn as it is below zero, where it could not be bounded.
    return (deviance + below).mean(dim=(1, 2, 3)).clamp_min(0.0)


def sparsity(z: Tensor) -> Tensor:
    """How evenly each latent is used over a batch, (B, p) -> (), from 1 / sqrt(B) (one frame only) to 1 (all alike).

    Mean absolute value over root mean square, so that shrinking a latent gains nothing (Hoyer 2004).
    """
    rms = z.square().mean(dim=0).clamp_min(torch.finfo(z.dtype).tiny).sqrt()
    return (z.abs().mean(dim=0) / rms).mean()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each posterior N(mean, variance) from N(0, 1), (B, p) twice -> (B,), in nats.

    Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def bounded_mean(error: Tensor) -> Tensor:
    """Mean of per-frame errors (B,), each weighted down to at most LOSS_BOUND medians; weights carry no gradient."""
    still = error.detach()
    weight = (LOSS_BOUND * still.median() / still.clamp_min(torch.finfo(still.dtype).tiny)).clamp_max(1.0)
    return (weight * error).mean()
