"""Training: normal frames -> a network that draws such frames and no others."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.augmentation import dimmed, lit_anyhow, noisy, turned_anyhow
from models.autoencoder import Network, fresh, lean
from models.losses import COUNT_MIN, bounded_mean, divergence, poisson, sparsity, squared
from models.preparation import FRAME_DTYPES, Frames, Preparation
from models.preparer import Preparer, fit_preparation
from models.trained import Checkpoint, Trained

Progress = Callable[[int, int, float], None]

Orientation = Literal["none", "augment", "align", "auto"]
"""What is done about objects that turn: nothing, turned copies in training, or turning each back to one direction.

`auto` aligns frames that show melt pools, and does nothing about others.
"""

PROGRESS_STEPS = 10  # between two reports of progress
CHECKPOINTS = 20  # in a training: at each, the held-out frames are drawn
PATIENCE = 5  # checkpoints without a better one, and the training stops
COUNTED_MOST = 100  # frames, spread over all, that show whether pixels are counts
HELD_MOST = 1000  # held-out frames that are drawn at a checkpoint, spread over all
POOL_DIMMING = 0.2  # share: brightness says much of a pool; of a crystal it says how thick it is, and varies
LOG_VARIANCE = -8.0, 4.0  # of a posterior: beyond, one bad step of a variational training could end it
CHUNK = 256  # frames converted at a time outside the optimiser


class TrainingSettings(NamedTuple):
    """How a network is trained; *max_steps* bounds the time on large sets.

    *noise*, *dimming*, *brightness* and *contrast*: see `models.augmentation`; the first two the network is to undo.
    *sparsity* is the weight of `models.losses.sparsity` against the loss.
    """

    architecture: Architecture = Architecture()
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 2e-3
    loss: Literal["squared", "poisson"] = "squared"
    noise: float = 0.1
    dimming: float | Literal["auto"] = "auto"  # auto: none, but where frames are aligned
    brightness: float = 0.0
    contrast: float = 0.0
    sparsity: float = 0.0
    variational: bool = False
    seed: int = 0
    max_steps: int = 4000
    binning: int | Literal["auto"] = 1
    orientation: Orientation = "none"
    rate_hz: float | None = None  # of the frames that will be scored: see `models.autoencoder.lean`; None: not known


def train(
    frames: Frames,
    settings: TrainingSettings,
    progress: Progress,
    device: str | torch.device = "cpu",
    held: Frames | None = None,
) -> Trained:
    """Fits an autoencoder to *frames* (m, h, w), which stay as they are and are converted batch by batch.

    Denoising: *noise* is added to the input and the clean frame asked for, so the network cannot pass pixels through.
    Where there are melt pools the input's light is changed as a whole, too, so it cannot pass brightness through: it
    learns how bright a pool of that shape should be, and one that is not shows it in its residual.

    Adam, cosine decay to zero. A few per cent of anomalous frames do little harm: the weight of a frame's loss is cut
    where it exceeds three times the median of its batch, so that no frame pulls harder than three ordinary ones
    (Huber's idea, by frame); where many frames are anomalous it learns them all the same. With *held* frames (n, h, w)
    of other groups, the weights of the checkpoint that draws them best are kept, and training stops when they are long
    past.

    The same frames, settings and number of threads give the same weights; torch's global random state is left alone.
    *progress* gets (steps done, steps in all, loss of the last batch). Raises ValueError where the frames or settings
    are unusable.
    """
    _check(frames, settings)
    preparation = fit_preparation(frames, settings.binning, _align(settings))
    architecture = lean(*preparation.size, settings.architecture, settings.rate_hz)
    network = fresh(*preparation.size, architecture, settings.seed)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    steps = min(settings.epochs * math.ceil(len(frames) / settings.batch), settings.max_steps)
    lesson = _Lesson(network, preparation, settings, steps, device)
    stopper = _Stopper(network)
    every = max(steps // CHECKPOINTS, 1)
    shown = None if held is None or len(held) == 0 else held[:: math.ceil(len(held) / HELD_MOST)]
    order = np.random.default_rng(settings.seed)
    history: list[Checkpoint] = []
    losses: list[float] = []
    for step, chosen in enumerate(_batches(len(frames), settings.batch, steps, order), start=1):
        losses.append(lesson.learn(frames[chosen]))
        if step % PROGRESS_STEPS == 0 or step == steps:
            progress(step, steps, losses[-1])
        if step % every == 0 or step == steps:
            checkpoint = Checkpoint(step, float(np.mean(losses)), lesson.examine(shown))
            history.append(checkpoint)
            losses.clear()
            if stopper.enough(checkpoint.held):
                progress(steps, steps, checkpoint.loss)
                break
    stopper.restore()
    network.eval()
    return Trained(network, preparation, tuple(history))


class _Lesson:
    """One training's optimiser, loss and random numbers."""

    def __init__(
        self,
        network: Network,
        preparation: Preparation,
        settings: TrainingSettings,
        steps: int,
        device: str | torch.device,
    ) -> None:
        self._network, self._settings, self._device = network, settings, device
        self._prepare = Preparer(preparation, device)
        self._dimming = dimming_of(settings, preparation)
        self._generator = torch.Generator(device).manual_seed(settings.seed)
        # The spread of the posterior serves training alone: scores are taken at its mean.
        self._spread = _spread(network) if settings.variational else None
        parameters = [*network.parameters(), *(self._spread.parameters() if self._spread else ())]
        self._adam = torch.optim.Adam(parameters, settings.learning_rate, fused=True)
        self._decay = torch.optim.lr_scheduler.CosineAnnealingLR(self._adam, steps)

    def learn(self, frames: Frames) -> float:
        """One step on *frames* (B, h, w); its loss."""
        loss = self._loss(self._changed(self._prepare(_on(self._device, frames)).x))
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        self._decay.step()
        return loss.item()

    @torch.inference_mode()
    def examine(self, held: Frames | None) -> float:
        """Loss on the *held* frames (n, h, w) as they are, NaN for none."""
        if held is None:
            return math.nan
        errors = []
        for part in _chunks(held, CHUNK):
            x = self._prepare(_on(self._device, part)).x
            errors.append(self._error(self._network(x), x))
        return bounded_mean(torch.cat(errors)).item()

    def _changed(self, x: Tensor) -> Tensor:
        if self._settings.orientation == "augment":
            x = turned_anyhow(x, self._generator)
        if self._settings.brightness or self._settings.contrast:
            x = lit_anyhow(x, self._settings.brightness, self._settings.contrast, self._generator)
        return x

    def _spoilt(self, x: Tensor) -> Tensor:
        """What the network sees of *x*, which it is to draw."""
        held = self._prepare.preparation
        if self._dimming:
            dark = -held.shift / held.scale  # a pixel of 0
            x = dimmed(x, dark, self._dimming, self._generator)
        return noisy(x, self._settings.noise, self._generator)

    def _loss(self, x: Tensor) -> Tensor:
        features = self._network.features(self._network.patches(self._spoilt(x)))
        z = self._network.to_latent(features)
        drawn_from, penalty = z, torch.zeros((), device=z.device)
        if self._spread is not None:
            log_variance = self._spread(features).clamp(*LOG_VARIANCE)
            unit = torch.empty_like(z).normal_(generator=self._generator)
            drawn_from = z + (0.5 * log_variance).exp() * unit
            penalty = 2 * divergence(z, log_variance).mean() / x[0].numel()
        error = self._error(self._network.decode(drawn_from), x)
        if self._spread is not None and self._settings.loss == "squared":
            # The likelihood of a squared residual needs the noise it is measured by: what is left now (Rybkin 2021).
            penalty = penalty * error.detach().mean()
        if self._settings.sparsity:
            penalty = penalty + self._settings.sparsity * sparsity(z)
        return bounded_mean(error) + penalty

    def _error(self, x_hat: Tensor, x: Tensor) -> Tensor:
        if self._settings.loss == "poisson":
            held = self._prepare.preparation
            return poisson(x_hat, x, held.shift, held.scale)
        return squared(x_hat, x)


class _Stopper:
    """Keeps the weights that drew the held-out frames best, and says when they are long past."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._best, self._since = math.inf, 0
        self._kept: dict[str, Tensor] | None = None

    def enough(self, held: float) -> bool:
        if held < self._best:
            self._best, self._since = held, 0
            self._kept = copy.deepcopy(self._network.state_dict())
        else:
            self._since += 1
        return not math.isnan(held) and self._since >= PATIENCE

    def restore(self) -> None:
        if self._kept is not None:
            self._network.load_state_dict(self._kept)


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


def _on(device: str | torch.device, frames: Frames) -> Tensor:
    """A copy of *frames*, contiguous or not, on *device*."""
    return torch.from_numpy(np.array(frames)).to(device)


def dimming_of(settings: TrainingSettings, preparation: Preparation) -> float:
    """How much the light of what the network sees is changed; see `TrainingSettings`."""
    if settings.dimming == "auto":
        return POOL_DIMMING if preparation.alignment else 0.0
    return settings.dimming


def _align(settings: TrainingSettings) -> bool | Literal["auto"]:
    if settings.orientation == "auto" and settings.loss == "squared":
        return "auto"
    return settings.orientation == "align"


def _check(frames: Frames, settings: TrainingSettings) -> None:
    if frames.ndim != 3 or len(frames) == 0:
        raise ValueError(f"training needs frames (m, h, w) with m > 0, not an array of shape {frames.shape}")
    if frames.dtype.name not in FRAME_DTYPES:
        raise ValueError(f"frames must be {', '.join(FRAME_DTYPES)}, not {frames.dtype.name}")
    binning = 1 if settings.binning == "auto" else settings.binning
    if min(settings.epochs, settings.batch, settings.max_steps, binning) < 1:
        raise ValueError("epochs, batch, max_steps and binning must be at least 1")
    if not settings.learning_rate > 0:
        raise ValueError("learning_rate must be above 0")
    dimming = 0.0 if settings.dimming == "auto" else settings.dimming
    if min(settings.noise, dimming, settings.brightness, settings.contrast, settings.sparsity) < 0:
        raise ValueError("noise, dimming, brightness, contrast and sparsity must not be below 0")
    if settings.loss == "poisson" and settings.orientation == "align":
        raise ValueError("the Poisson loss needs counts, and alignment subtracts the ground: use the squared loss")
    if settings.loss == "poisson":
        _check_are_counts(frames)


def _check_are_counts(frames: Frames) -> None:
    """Raises ValueError where pixels cannot be counts: some are negative, or most of the lit ones a part of one."""
    if frames.dtype.kind != "f":
        return
    lowest = min(float(part.min()) for part in _chunks(frames, CHUNK))
    if lowest < 0:
        raise ValueError(
            f"the Poisson loss needs counts, and a pixel is {lowest:.3g}: subtract no dark level, or use the "
            "squared loss"
        )
    some = frames[:: math.ceil(len(frames) / COUNTED_MOST)]
    lit = some[some > 0]
    if len(lit) and np.median(lit) < COUNT_MIN:
        raise ValueError(
            f"the Poisson loss needs counts, and half of the lit pixels are below {np.median(lit):.3g}: give frames in "
            "counts (not scaled to 0..1), or use the squared loss"
        )


def _spread(network: Network) -> nn.Linear:
    """The layer that gives the logarithm of the posterior's variance; at first it is small and the same for all."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(network.to_latent.in_features, network.latent)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, -4.0)
    return layer.to(network.to_latent.weight.device)


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
