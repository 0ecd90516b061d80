"""Training of the networks that see past angle and offset: crops of anomalies -> what they show."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.invariant.embedding import Invariant, fit_sight, prepared
from models.invariant.network import Plan, Posterior, Turned, fresh, turned
from models.preparation import FRAME_DTYPES, Frames

Progress = Callable[[int, int, float], None]

CROPS_MIN: Final = 16
CHECKPOINTS: Final = 20  # in a training: at each, the held-out crops are drawn
PATIENCE: Final = 5  # checkpoints without a better one, and the training stops
ANNEALED: Final = 0.3  # share of the steps over which divergence comes to weigh what it should (Bowman et al. 2016)
HELD_SHARE: Final = 0.1  # of the crops, where none are given to stop by
HELD_MOST: Final = 256
CHUNK: Final = 32  # held-out crops drawn at a time: every pixel, at every starting angle
FLAT: Final = 1e-4  # variance of what is drawn: less has no contrast that could be stretched
GRADIENT_MOST: Final = 5.0  # its norm: the share of a starting angle is a steep function at first


class InvariantSettings(NamedTuple):
    """How a network that sees past angle and offset is trained; *max_steps* bounds the time on large sets."""

    plan: Plan = Plan()
    own_contrast: bool = False  # whether light and contrast of a crop are its own, and say nothing of what it shows
    noise: float = 0.2  # most that the encoder's crops are spoilt by, standard units: what is seen hangs on no pixel
    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-3
    pixels: int = 96  # of each crop that are drawn at a step, at every starting angle
    seed: int = 0
    max_steps: int = 3000


def train_invariant(
    crops: Frames, settings: InvariantSettings, progress: Progress, held: Frames | None = None
) -> Invariant:
    """Fits an embedding to *crops* (m, s, s) of what it is to tell apart, each with an anomaly about its middle.

    Every crop is turned by another angle each time it is seen. The evidence bound is that of a Gaussian whose variance
    is what is left at the time (Rybkin, Daniilidis and Levine 2021); it is an exact sum over starting angles, and a
    random choice of pixels stands for all. Adam, cosine decay to zero; the weights of the checkpoint with the best
    bound on *held* crops (n, s, s) are kept, a tenth of *crops* where none are given.

    The same crops, settings and number of threads give the same weights; torch's global random state is left alone.
    *progress* gets (steps done, steps in all, loss of the last batch). Raises ValueError where crops or settings are
    unusable.
    """
    _check(crops, settings)
    order = np.random.default_rng(settings.seed)
    if held is None:
        shuffled = order.permutation(len(crops))
        kept = max(int(HELD_SHARE * len(crops)), 1)
        crops, held = crops[np.sort(shuffled[kept:])], crops[np.sort(shuffled[:kept])]
    sight = fit_sight(crops, settings.plan.side, settings.own_contrast)
    x, shown = prepared(sight, crops), prepared(sight, held[:: math.ceil(len(held) / HELD_MOST)])
    lesson = _Lesson(fresh(settings.plan, settings.seed), settings, _steps(len(x), settings))
    best, since, weights = math.inf, 0, lesson.weights()
    every = max(lesson.steps // CHECKPOINTS, 1)
    for step, chosen in enumerate(_batches(len(x), settings.batch, lesson.steps, order), start=1):
        loss = lesson.learn(x[chosen])
        if step % every == 0 or step == lesson.steps:
            progress(step, lesson.steps, loss)
            # While divergence does not yet weigh what it should, bounds are not those that will be asked for.
            if lesson.annealed < 1:
                continue
            bound = lesson.examine(shown)
            best, since, weights = (bound, 0, lesson.weights()) if bound < best else (best, since + 1, weights)
            if since >= PATIENCE:
                progress(lesson.steps, lesson.steps, loss)
                break
    lesson.network.load_state_dict(weights)
    return Invariant(lesson.network.eval(), sight)


class _Lesson:
    """One training's optimiser, loss and random numbers."""

    def __init__(self, network: Turned, settings: InvariantSettings, steps: int) -> None:
        self.network, self.steps = network, steps
        self._settings, self._done = settings, 0
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._adam = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
        self._decay = torch.optim.lr_scheduler.CosineAnnealingLR(self._adam, steps)
        self._inside = network.inside.nonzero()[:, 0]

    @property
    def annealed(self) -> float:
        """How much the divergence weighs, 0 to 1."""
        return min(self._done / (ANNEALED * self.steps), 1.0)

    def weights(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.network.state_dict())

    def learn(self, x: Tensor) -> float:
        """One step on crops *x* (B, 1, s, s); its loss."""
        angles = torch.rand(len(x), generator=self._generator) * (2 * math.pi)
        x = turned(x, angles)
        some = self._inside[torch.randperm(len(self._inside), generator=self._generator)[: self._settings.pixels]]
        spoilt = torch.rand(len(x), 1, 1, 1, generator=self._generator) * self._settings.noise
        loss = self._bound(x, some, spoilt * torch.empty_like(x).normal_(generator=self._generator))
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_MOST)
        self._adam.step()
        self._decay.step()
        self._done += 1
        return loss.item()

    @torch.inference_mode()
    def examine(self, x: Tensor) -> float:
        """The bound for crops *x* (n, 1, s, s) as they are, all of their pixels, at the means of their posteriors."""
        bounds = [self._bound(part, self._inside) * len(part) for part in torch.split(x, CHUNK)]
        return float(torch.stack(bounds).sum() / len(x))

    def _bound(self, x: Tensor, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Negative evidence bound a pixel, from the places *pixels* (P,) of crops *x* (B, 1, s, s).

        With *noise* as the encoder sees it in training: that of a sample, else that of the posterior's mean.
        """
        found = self.network.posterior(x if noise is None else x + noise)
        content, pose = (found.mean, found.pose) if noise is None else self._sampled(found)
        whole = torch.cat((pose[..., :1] - self.network.starts[:, None], pose[..., 1:]), dim=-1)
        asked = x.flatten(1)[:, None, pixels]  # (B, 1, P)
        drawn = self.network.draw(content, whole, self.network.grid[pixels])  # (B, K, P)
        error = (
            (_lit(drawn, asked) if self._settings.own_contrast else drawn).sub(asked).square().mean(dim=-1)
        )  # (B, K)
        share = found.weight.exp()
        expected = (share * error).sum(dim=1).mean()
        penalty = (share * self.network.penalty(found)).sum(dim=1).mean() / len(self._inside)
        if noise is None:
            return 0.5 * expected.log() + penalty
        return 0.5 * expected / expected.detach() + self.annealed * penalty

    def _sampled(self, found: Posterior) -> tuple[Tensor, Tensor]:
        unit = torch.empty_like(found.mean).normal_(generator=self._generator)
        pose_unit = torch.empty_like(found.pose).normal_(generator=self._generator)
        if not self._settings.plan.offset:
            pose_unit = pose_unit * pose_unit.new_tensor([1.0, 0.0, 0.0])
        content = found.mean + (0.5 * found.log_variance).exp() * unit
        return content, found.pose + (0.5 * found.pose_log_variance).exp() * pose_unit


def _lit(drawn: Tensor, asked: Tensor) -> Tensor:
    """*drawn* (B, K, P) in the light and contrast that bring it closest to *asked* (B, 1, P); never inside out."""
    centred, wanted = drawn - drawn.mean(-1, keepdim=True), asked - asked.mean(-1, keepdim=True)
    own = centred.square().sum(-1, keepdim=True).clamp_min(FLAT * drawn.shape[-1])
    gain = (centred * wanted).sum(-1, keepdim=True).clamp_min(0.0) / own
    return asked.mean(-1, keepdim=True) + gain * centred


def _steps(count: int, settings: InvariantSettings) -> int:
    return min(settings.epochs * math.ceil(count / settings.batch), settings.max_steps)


def _batches(count: int, batch: int, steps: int, order: np.random.Generator) -> Iterator[Tensor]:
    """*steps* sets of indices, of at most *batch* each; every pass over the crops has an order of its own."""
    while steps > 0:
        shuffled = torch.from_numpy(order.permutation(count))
        yield from torch.split(shuffled, batch)[:steps]
        steps -= math.ceil(count / batch)


def _check(crops: Frames, settings: InvariantSettings) -> None:
    if crops.ndim != 3 or len(crops) < CROPS_MIN or crops.shape[1] != crops.shape[2]:
        raise ValueError(f"training needs {CROPS_MIN} crops (m, s, s) and more, not an array of shape {crops.shape}")
    if crops.dtype.name not in FRAME_DTYPES:
        raise ValueError(f"crops must be {', '.join(FRAME_DTYPES)}, not {crops.dtype.name}")
    if min(settings.epochs, settings.batch, settings.max_steps, settings.pixels) < 1:
        raise ValueError("epochs, batch, max_steps and pixels must be at least 1")
    if not settings.learning_rate > 0:
        raise ValueError("learning_rate must be above 0")
