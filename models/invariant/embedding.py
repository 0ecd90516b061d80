"""A trained network that sees past angle and offset, what it sees of a crop, and both as a bundle's tensors."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.invariant.network import Plan, Turned
from models.preparation import Frames

Float32s = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]

CHUNK: Final = 64  # crops embedded at a time


class Sight(NamedTuple):
    """How a crop becomes what the network sees."""

    side: int  # pixels that it is brought to
    own_contrast: bool  # whether each crop is brought to mean 0 and standard deviation 1 by itself
    shift: float  # of all crops otherwise
    scale: float


class Invariant(NamedTuple):
    """A trained network and what it sees."""

    network: Turned
    sight: Sight

    def embed(self, crops: Frames) -> Float32s:
        """What *crops* (n, s, s) of any pixel type show, whichever way it is turned: (n, p).

        Raises ValueError where crops are not square or pixels are not finite.
        """
        found = np.empty((len(crops), self.network.plan.content), np.float32)
        for first in range(0, len(crops), CHUNK):
            x = prepared(self.sight, crops[first : first + CHUNK])
            with torch.inference_mode():
                found[first : first + CHUNK] = self.network.embed(x).numpy()
        return found

    def upright(self, z: Float32s) -> Float32s:
        """What a crop of each of *z* (n, p) shows, drawn unturned and in its middle: (n, side, side).

        In pixel units, or in standard ones where crops have their own contrast; grey outside the circle that was looked
        at. Every kind has a way up of its own.
        """
        content = torch.from_numpy(np.array(z, np.float32))[:, None]
        with torch.inference_mode():
            drawn = self.network.draw(content, torch.zeros(len(z), 1, 3), self.network.grid)
        pictures: Float32s = (drawn * self.network.inside).reshape(len(z), self.sight.side, self.sight.side).numpy()
        return pictures if self.sight.own_contrast else pictures * self.sight.scale + self.sight.shift


def fit_sight(crops: Frames, side: int, own_contrast: bool) -> Sight:
    """Shift and scale that give *crops* (m, s, s) mean 0 and standard deviation 1. Raises ValueError as `prepared`."""
    plain = prepared(Sight(side, False, 0.0, 1.0), crops)
    return Sight(side, own_contrast, float(plain.mean()), max(float(plain.std()), float(np.finfo(np.float32).tiny)))


def prepared(sight: Sight, crops: Frames) -> Tensor:
    """*crops* (n, s, s) as the network sees them, (n, 1, side, side). Raises ValueError: see `Invariant.embed`."""
    if crops.ndim != 3 or crops.shape[1] != crops.shape[2]:
        raise ValueError(f"crops must be square, (n, s, s), not an array of shape {crops.shape}")
    x = torch.from_numpy(np.array(crops, np.float32))[:, None]
    if not torch.isfinite(x).all():
        raise ValueError("crops hold pixels that are not finite: remove those crops")
    if x.shape[2] != sight.side:
        size = [sight.side, sight.side]
        x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    if not sight.own_contrast:
        return (x - sight.shift) / sight.scale
    mean, sd = x.mean(dim=(1, 2, 3), keepdim=True), x.std(dim=(1, 2, 3), keepdim=True)
    return (x - mean) / sd.clamp_min(torch.finfo(x.dtype).tiny)


def to_tensors(invariant: Invariant) -> Tensors:
    """The network and what it sees, as arrays that safetensors can hold; copies."""
    weights = invariant.network.state_dict()
    tensors: Tensors = {f"network.{name}": value.cpu().numpy().copy() for name, value in weights.items()}
    tensors |= {f"plan.{name}": np.array(value) for name, value in invariant.network.plan._asdict().items()}
    return tensors | {f"sight.{name}": np.array(value) for name, value in invariant.sight._asdict().items()}


def from_tensors(tensors: Tensors) -> Invariant:
    """What `to_tensors` was given. Raises ValueError where the tensors don't fit."""
    try:
        plan = Plan(*(tensors[f"plan.{name}"].item() for name in Plan._fields))
        sight = Sight(*(tensors[f"sight.{name}"].item() for name in Sight._fields))
    except KeyError as missing:
        raise ValueError(f"tensor {missing} is missing") from None
    network = Turned(plan).eval()
    held = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in held.items()})
    except RuntimeError as misfit:
        raise ValueError(f"the tensors make no network of {plan}: {' '.join(str(misfit).split())}") from None
    return Invariant(network, sight)
