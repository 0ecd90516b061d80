"""A trained network: what training gives, as a bundle's tensors, and back as layers of torch."""

from typing import NamedTuple

import torch

from models.autoencoder import Network, build
from models.preparation import Preparation
from models.scorer import Scorer
from models.scores import Precision
from models.tensors import ChartParameters, Parts, Tensors, Weights, join, split, whitened
from models.tiles import Tiling, tiling_tensors


class Checkpoint(NamedTuple):
    """How a training stood after *step* steps."""

    step: int
    loss: float  # mean over the batches since the checkpoint before
    held: float  # the same loss on the held-out frames, without noise and penalties; NaN where there are none


class Trained(NamedTuple):
    """A network, what it sees of a frame, and how its training went."""

    network: Network
    preparation: Preparation
    history: tuple[Checkpoint, ...]


def to_tensors(trained: Trained, charts: ChartParameters) -> Tensors:
    """The network, what it sees of a frame, and the charts' parameters; copies."""
    network = trained.network
    return join(Parts(network.architecture, weights_of(network), trained.preparation, charts))


def from_tensors(tensors: Tensors, height: int, width: int) -> tuple[Trained, ChartParameters]:
    """What `to_tensors` was given, but for the training's history. Raises ValueError where the tensors don't fit."""
    parts = split(tensors, height, width)
    return from_parts(parts), parts.charts


def from_parts(parts: Parts) -> Trained:
    """The network of *parts* and what it sees, without the training's history."""
    return Trained(network_of(parts, parts.weights), parts.preparation, ())


def scorer_of(
    trained: Trained,
    charts: ChartParameters,
    device: str = "cpu",
    tiling: Tiling | None = None,
    precision: Precision = "float32",
    threads: int = 1,
) -> Scorer:
    """The scorer that *trained* and *charts* make; with a *tiling* for images, whose tiles the network sees."""
    tensors, whole = to_tensors(trained, charts) | tiling_tensors(tiling), tiling or trained.preparation
    return Scorer(tensors, whole.height, whole.width, device, precision, threads)


def weights_of(network: Network) -> Weights:
    """Those of *network*, in memory that both share where it is on the processor."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}


def whitened_network(parts: Parts) -> Network:
    """The network of *parts* whose code is whitened: see `models.tensors.whitened`."""
    return network_of(parts, whitened(parts.weights, parts.charts))


def network_of(parts: Parts, weights: Weights) -> Network:
    """The network of *parts* with *weights*, which are copied."""
    network = build(*parts.preparation.size, parts.architecture).eval()
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    return network
