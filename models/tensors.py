"""A trained network and its charts as plain arrays, and back: what a bundle holds."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.alignment import Alignment
from models.autoencoder import Architecture, build
from models.preparation import Preparation
from models.training import Trained

Floats = npt.NDArray[np.floating[Any]]
Tensors = dict[str, npt.NDArray[Any]]


class ChartParameters(NamedTuple):
    """What the charts were fitted to: see `calibration.charts`."""

    latent_mean: Floats  # (p,)
    whitening: Floats  # (p, p), W'W = S^-1
    residual_scale: Floats  # (H, W), as the network sees frames; normalised units
    offset_mean: float
    offset_sd: float
    window: int  # px
    stride: int  # px


def to_tensors(trained: Trained, charts: ChartParameters) -> Tensors:
    """The network, what it sees of a frame, and the charts' parameters; copies."""
    weights = trained.network.state_dict().items()
    tensors: Tensors = {f"network.{name}": value.detach().cpu().contiguous().numpy() for name, value in weights}
    tensors |= {f"charts.{name}": np.array(value) for name, value in charts._asdict().items()}
    made_of = trained.network.architecture._asdict().items()
    tensors |= {f"architecture.{name}": _as_array(value) for name, value in made_of}
    held = trained.preparation
    tensors |= {f"input.{name}": np.array(getattr(held, name)) for name in ("shift", "scale", "binning")}
    if held.alignment is not None:
        tensors |= {f"input.{name}": np.array(value) for name, value in held.alignment._asdict().items()}
    return {name: array.copy() for name, array in tensors.items()}


def from_tensors(tensors: Tensors, height: int, width: int) -> tuple[Trained, ChartParameters]:
    """What `to_tensors` was given, but for the training's history. Raises ValueError where the tensors don't fit."""
    try:
        preparation = _preparation(tensors, height, width)
        network = build(*preparation.size, _architecture(tensors))
        fitting = _Fitting(tensors, height, width)
        weights = {name: fitting(f"network.{name}", tuple(own.shape)) for name, own in network.state_dict().items()}
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        charts = ChartParameters(
            fitting("charts.latent_mean", (network.latent,)),
            fitting("charts.whitening", (network.latent, network.latent)),
            fitting("charts.residual_scale", preparation.size),
            float(tensors["charts.offset_mean"]),
            float(tensors["charts.offset_sd"]),
            int(tensors["charts.window"]),
            int(tensors["charts.stride"]),
        )
    except KeyError as missing:
        raise ValueError(f"tensor {missing} is missing") from None
    return Trained(network, preparation, ()), charts


class _Fitting(NamedTuple):
    """Tensors of a network for frames of *height* x *width*, which raise ValueError where one is of another shape."""

    tensors: Tensors
    height: int
    width: int

    def __call__(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        array = self.tensors[name]
        if array.shape != shape:
            raise ValueError(
                f"tensor {name!r} does not fit {self.height} x {self.width} frames: it is of {array.shape}, not {shape}"
            )
        return array


def _as_array(value: int | tuple[int, ...] | bool | None) -> npt.NDArray[Any]:
    """A field of an architecture as safetensors can hold it; None becomes 0, which only `linear` can be."""
    return np.array(0 if value is None else value, np.int64)


def _architecture(tensors: Tensors) -> Architecture:
    fields = (tensors[f"architecture.{name}"].tolist() for name in Architecture._fields)
    latent, channels, stem_px, group, linear = fields
    return Architecture(latent, tuple(channels), stem_px or None, group or None, bool(linear))


def _preparation(tensors: Tensors, height: int, width: int) -> Preparation:
    shift, scale = float(tensors["input.shift"]), float(tensors["input.scale"])
    plain = Preparation(height, width, shift, scale, int(tensors["input.binning"]))
    if "input.ground" not in tensors:
        return plain
    ground = np.asarray(_Fitting(tensors, height, width)("input.ground", plain.size), np.float32)
    numbers = (float(tensors[f"input.{name}"]) for name in Alignment._fields if name != "ground")
    return plain._replace(alignment=Alignment(ground, *numbers))
