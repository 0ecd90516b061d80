"""Training: normal frames -> a network that draws such frames and no others."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.autoencoder import Autoencoder, fresh
from models.preparation import Preparation, Preparer, fit_preparation

Frames = npt.NDArray[Any]  # (m, h, w) of uint8, uint16 or float32
Progress = Callable[[int, int, float], None]

Orientation = Literal["none", "augment", "align"]
"""What is done about objects that turn: nothing, turned copies in training, or turning each back to one direction."""

FRAME_DTYPES = ("uint8", "uint16", "float32")
PROGRESS_STEPS = 10  # between two reports of progress
LOSS_BOUND = 3.0  # medians of its batch: the most that one frame's loss may weigh
CHUNK = 256  # frames converted at a time outside the optimiser


class TrainingSettings(NamedTuple):
    """How a network is trained; *noise* is in normalised units, *max_steps* bounds the time on large sets."""

    latent: int = 32
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 2e-3
    noise: float = 0.1
    seed: int = 0
    max_steps: int = 4000
    binning: int = 1
    orientation: Orientation = "none"


class Trained(NamedTuple):
    """A network, what it sees of a frame, and its mean loss in each epoch."""

    network: Autoencoder
    preparation: Preparation
    losses: tuple[float, ...]


def train(
    frames: Frames, settings: TrainingSettings, progress: Progress, device: str | torch.device = "cpu"
) -> Trained:
    """Fits an autoencoder to *frames* (m, h, w), which stay as they are and are converted batch by batch.

    Denoising: *noise* is added to the input and the clean frame asked for, so the network cannot pass pixels through.
    Adam, cosine decay to zero, mean squared error. A few per cent of anomalous frames do little harm: the weight of a
    frame's loss is cut where it exceeds three times the median of its batch, so that no frame pulls harder than three
    ordinary ones (Huber's idea, by frame); where many frames are anomalous it learns them all the same.

    The same frames, settings and number of threads give the same weights; torch's global random state is left alone.
    *progress* gets (steps done, steps in all, loss of the last batch). Raises ValueError where the frames or settings
    are unusable.
    """
    _check(frames, settings)
    preparation = fit_preparation(frames, settings.binning, settings.orientation == "align")
    prepare = Preparer(preparation, device)
    network = fresh(*preparation.size, settings.latent, settings.seed)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    generator = torch.Generator(device).manual_seed(settings.seed)
    order = np.random.default_rng(settings.seed)

    steps_an_epoch = math.ceil(len(frames) / settings.batch)
    steps = min(settings.epochs * steps_an_epoch, settings.max_steps)
    adam = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    losses: list[float] = []
    for step, chosen in enumerate(_batches(len(frames), settings.batch, steps, order)):
        x = prepare(_on(device, frames[chosen])).x  # (B, 1, h, w)
        if settings.orientation == "augment":
            x = turned_anyhow(x, generator)
        noise = torch.empty_like(x).normal_(0.0, settings.noise, generator=generator)
        error = (network(x + noise) - x).square().mean(dim=(1, 2, 3))  # (B,)
        loss = bounded_mean(error)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        decay.step()
        losses.append(loss.item())
        if (step + 1) % PROGRESS_STEPS == 0 or step + 1 == steps:
            progress(step + 1, steps, losses[-1])
    network.eval()
    epochs = [losses[first : first + steps_an_epoch] for first in range(0, steps, steps_an_epoch)]
    return Trained(network, preparation, tuple(float(np.mean(epoch)) for epoch in epochs))


def bounded_mean(error: Tensor) -> Tensor:
    """Mean of per-frame errors (B,), each weighted down to at most LOSS_BOUND medians; weights carry no gradient."""
    still = error.detach()
    weight = (LOSS_BOUND * still.median() / still.clamp_min(torch.finfo(still.dtype).tiny)).clamp_max(1.0)
    return (weight * error).mean()


def latents_and_residuals(
    trained: Trained, frames: Frames, chunk: int = CHUNK
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Latents z (n, p) and residuals e = x - x_hat (n, h, w), in normalised units, *chunk* frames at a time."""
    device = next(trained.network.parameters()).device
    prepare = Preparer(trained.preparation, device)
    for part in _chunks(frames, chunk):
        with torch.inference_mode():
            x = prepare(_on(device, part)).x
            z = trained.network.encode(x)
            e = x - trained.network.decode(z)
        yield z.cpu().numpy(), e[:, 0].cpu().numpy()


def turned_anyhow(x: Tensor, generator: torch.Generator) -> Tensor:
    """*x* (n, 1, h, w), each frame turned about its middle by an angle of its own; edges are repeated outwards."""
    angle = torch.rand(len(x), generator=generator, device=x.device) * (2 * torch.pi)
    sine, cosine = torch.sin(angle), torch.cos(angle)
    aspect = x.shape[2] / x.shape[3]
    nought = torch.zeros_like(angle)
    rows = torch.stack((cosine, -sine * aspect, nought), 1), torch.stack((sine / aspect, cosine, nought), 1)
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _on(device: str | torch.device, frames: Frames) -> Tensor:
    """A copy of *frames*, contiguous or not, on *device*."""
    return torch.from_numpy(np.array(frames)).to(device)


def _check(frames: Frames, settings: TrainingSettings) -> None:
    if frames.ndim != 3 or len(frames) == 0:
        raise ValueError(f"training needs frames (m, h, w) with m > 0, not an array of shape {frames.shape}")
    if frames.dtype.name not in FRAME_DTYPES:
        raise ValueError(f"frames must be {', '.join(FRAME_DTYPES)}, not {frames.dtype.name}")
    if min(settings.epochs, settings.batch, settings.max_steps, settings.binning) < 1:
        raise ValueError("epochs, batch, max_steps and binning must be at least 1")
    if not (settings.learning_rate > 0 and settings.noise >= 0):
        raise ValueError("learning_rate must be above 0 and noise not below")


def _batches(count: int, batch: int, steps: int, order: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """*steps* sets of indices, of at most *batch* each; every pass over the frames has an order of its own."""
    while steps > 0:
        shuffled = order.permutation(count)
        for first in range(0, count, batch)[:steps]:
            yield np.sort(shuffled[first : first + batch])  # ascending: kind to frames that lie on disk
        steps -= math.ceil(count / batch)


def _chunks(frames: Frames, chunk: int) -> Iterator[Frames]:
    for first in range(0, len(frames), chunk):
        yield frames[first : first + chunk]
