"""Networks, charts and frames for tests of what scores them."""

import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from calibration import charts
from models.alignment import fit_alignment
from models.architecture import Architecture
from models.autoencoder import Network, fresh
from models.preparation import Preparation
from models.preparer import Preparer, binned
from models.scorer import Scorer
from models.tensors import ChartParameters
from models.trained import Trained, scorer_of, whitened_network
from tests.models.pool_examples import everywhere

Frames = npt.NDArray[Any]

SMALL = Architecture(latent=6)


class Example(NamedTuple):
    """A camera: what scores its frames, and some of them."""

    trained: Trained
    parameters: ChartParameters
    frames: npt.NDArray[np.uint8]

    @property
    def folded(self) -> tuple[Preparation, Network, ChartParameters]:
        """What engines are made of; a network of its own."""
        network = whitened_network(self.scorer.parts)
        return self.trained.preparation, network, self.parameters

    @property
    def scorer(self) -> Scorer:
        """The processor's, in float32."""
        return scorer_of(self.trained, self.parameters)


def example(
    size: tuple[int, int] = (37, 50),
    binning: int = 1,
    align: bool = False,
    architecture: Architecture = SMALL,
    window: tuple[int, int] = (8, 4),
    count: int = 40,
) -> Example:
    """Frames of noise, or of pools to be aligned (65 x 65), and chart parameters that fit no better than they must."""
    frames = everywhere(count) if align else _noise(count, *size)
    height, width = frames.shape[1:]
    alignment = fit_alignment(binned(torch.from_numpy(frames), binning).numpy()) if align else None
    shift, scale = (5.0, 30.0) if align else (100.0, 57.0)
    preparation = Preparation(height, width, shift, scale, binning, alignment)
    network = fresh(*preparation.size, architecture, seed=0)
    random = np.random.default_rng(1)
    parameters = ChartParameters(
        latent_mean=random.normal(0, 0.1, architecture.latent),
        whitening=np.tril(random.normal(0, 1, (architecture.latent, architecture.latent))) + 4 * np.eye(network.latent),
        residual_scale=random.uniform(0.5, 2.0, preparation.size),
        offset_mean=0.02,
        offset_sd=0.1,
        window=window[0],
        stride=window[1],
    )
    return Example(Trained(network, preparation, ()), parameters, frames)


def in_float64(shown: Example, frames: Frames) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """The charts' formulas on *frames*, through the network in float64; `where` is as the network sees them."""
    preparation, parameters = shown.trained.preparation, shown.parameters
    network = copy.deepcopy(shown.trained.network).double()
    x = Preparer(preparation)(torch.from_numpy(np.array(frames))).x.double()
    with torch.inference_mode():
        z = network.encode(x)
        e = (x - network.decode(z))[:, 0].numpy() / parameters.residual_scale
    local, where = charts.local(e, parameters.window, parameters.stride)
    return {
        "latent": (z.numpy() - parameters.latent_mean) @ parameters.whitening.T,
        "t2": charts.t2(z.numpy(), parameters.whitening, parameters.latent_mean),
        "s2": charts.s2(e),
        "offset": charts.offset(e, parameters.offset_mean, parameters.offset_sd),
        "local": local,
        "where": where,
    }


def _noise(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(0)
    frames = random.integers(0, 200, (count, height, width), dtype=np.uint8)
    frames[3 % count, -7:, -6:] = 255  # a spot in the corner, where windows are cut by the edge
    return frames
