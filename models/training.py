"""Training: normal frames -> a network that draws such frames and no others."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.autoencoder import Autoencoder, fresh

Frames = npt.NDArray[Any]  # (m, h, w) of uint8, uint16 or float32
Progress = Callable[[int, int, float], None]

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


class Trained(NamedTuple):
    """A network for x = (pixel - shift) / scale, and its mean loss in each epoch."""

    network: Autoencoder
    shift: float
    scale: float
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
    shift, scale = normalisation(frames)
    _, height, width = frames.shape
    network = fresh(height, width, settings.latent, settings.seed)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    generator = torch.Generator(device).manual_seed(settings.seed)
    order = np.random.default_rng(settings.seed)

    steps_an_epoch = math.ceil(len(frames) / settings.batch)
    steps = min(settings.epochs * steps_an_epoch, settings.max_steps)
    adam = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    losses: list[float] = []
    for step, chosen in enumerate(_batches(len(frames), settings.batch, steps, order)):
        x = normalise(frames[chosen], shift, scale, device)  # (B, 1, h, w)
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
    return Trained(network, shift, scale, tuple(float(np.mean(epoch)) for epoch in epochs))


def bounded_mean(error: Tensor) -> Tensor:
    """Mean of per-frame errors (B,), each weighted down to at most LOSS_BOUND medians; weights carry no gradient."""
    still = error.detach()
    weight = (LOSS_BOUND * still.median() / still.clamp_min(torch.finfo(still.dtype).tiny)).clamp_max(1.0)
    return (weight * error).mean()


def normalisation(frames: Frames) -> tuple[float, float]:
    """(shift, scale): the medians over *frames* of a frame's mean and of its standard deviation; scale is never 0.

    Medians over frames, so that a few anomalous ones move neither; moments within a frame, since more than half of a
    melt-pool frame may be equally black and the median of its pixels says nothing of the pool. Raises ValueError where
    a pixel is not finite.
    """
    means, sds = [], []
    for chunk in _chunks(frames, CHUNK):
        pixels = chunk.astype(np.float64).reshape(len(chunk), -1)
        means.append(pixels.mean(axis=1))
        sds.append(pixels.std(axis=1))
    mean, sd = np.concatenate(means), np.concatenate(sds)
    if not np.isfinite(mean + sd).all():
        raise ValueError("training frames hold pixels that are not finite: remove those frames")
    for scale in (float(np.median(sd)), float(sd.max()), float(mean.std())):
        if scale > 0:
            return float(np.median(mean)), scale
    return float(np.median(mean)), 1.0  # identical constant frames: any scale serves


def normalise(frames: Frames, shift: float, scale: float, device: str | torch.device = "cpu") -> Tensor:
    """Frames (n, h, w) of any allowed dtype, contiguous or not -> float32 (n, 1, h, w); the frames are copied."""
    pixels = torch.from_numpy(np.array(frames)).to(device)
    return pixels.to(torch.float32).sub_(shift).mul_(1.0 / scale).unsqueeze(1)


def latents_and_residuals(
    trained: Trained, frames: Frames, chunk: int = CHUNK
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Latents z (n, p) and residuals e = x - x_hat (n, h, w), in normalised units, *chunk* frames at a time."""
    device = next(trained.network.parameters()).device
    for part in _chunks(frames, chunk):
        with torch.inference_mode():
            x = normalise(part, trained.shift, trained.scale, device)
            z = trained.network.encode(x)
            e = x - trained.network.decode(z)
        yield z.cpu().numpy(), e[:, 0].cpu().numpy()


def _check(frames: Frames, settings: TrainingSettings) -> None:
    if frames.ndim != 3 or len(frames) == 0:
        raise ValueError(f"training needs frames (m, h, w) with m > 0, not an array of shape {frames.shape}")
    if frames.dtype.name not in FRAME_DTYPES:
        raise ValueError(f"frames must be {', '.join(FRAME_DTYPES)}, not {frames.dtype.name}")
    if min(settings.epochs, settings.batch, settings.max_steps) < 1:
        raise ValueError("epochs, batch and max_steps must be at least 1")
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
