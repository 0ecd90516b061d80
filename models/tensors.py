"""A network and its charts as plain arrays: what a bundle holds. No torch: who only scores starts sooner."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.architecture import Architecture, weight_shapes
from models.preparation import Alignment, Preparation

Floats = npt.NDArray[np.floating[Any]]
Tensors = dict[str, npt.NDArray[Any]]
Weights = dict[str, npt.NDArray[np.float32]]
"""Of every layer, by the names and in the shapes of `models.architecture.weight_shapes`."""


class ChartParameters(NamedTuple):
    """What the charts were fitted to: see `calibration.charts`."""

    latent_mean: Floats  # (p,)
    whitening: Floats  # (p, p), W'W = S^-1
    residual_scale: Floats  # (H, W), as the network sees frames; normalised units
    offset_mean: float
    offset_sd: float
    window: int  # px
    stride: int  # px


class Parts(NamedTuple):
    """What tensors hold."""

    architecture: Architecture
    weights: Weights
    preparation: Preparation
    charts: ChartParameters


def join(parts: Parts) -> Tensors:
    """*parts* as tensors, copies; `split` undoes it."""
    tensors: Tensors = {f"network.{name}": array for name, array in parts.weights.items()}
    tensors |= {f"charts.{name}": np.array(value) for name, value in parts.charts._asdict().items()}
    tensors |= {f"architecture.{name}": _as_array(value) for name, value in parts.architecture._asdict().items()}
    held = parts.preparation
    tensors |= {f"input.{name}": np.array(getattr(held, name)) for name in ("shift", "scale", "binning")}
    if held.alignment is not None:
        tensors |= {f"input.{name}": np.array(value) for name, value in held.alignment._asdict().items()}
    return {name: array.copy() for name, array in tensors.items()}


def split(tensors: Tensors, height: int, width: int) -> Parts:
    """What `join` was given, for frames of *height* x *width*. Raises ValueError where the tensors don't fit."""
    try:
        preparation, architecture = _preparation(tensors, height, width), _architecture(tensors)
        p, fitting = architecture.latent, _Fitting(tensors, height, width)
        shapes = weight_shapes(*preparation.size, architecture)
        weights = {name: np.asarray(fitting(f"network.{name}", shape), np.float32) for name, shape in shapes.items()}
        charts = ChartParameters(
            fitting("charts.latent_mean", (p,)),
            fitting("charts.whitening", (p, p)),
            fitting("charts.residual_scale", preparation.size),
            float(tensors["charts.offset_mean"]),
            float(tensors["charts.offset_sd"]),
            int(tensors["charts.window"]),
            int(tensors["charts.stride"]),
        )
    except KeyError as missing:
        raise ValueError(f"tensor {missing} is missing") from None
    return Parts(architecture, weights, preparation, charts)


def whitened(weights: Weights, charts: ChartParameters) -> Weights:
    """*weights* of a network whose code is q = W (z - mean). Folded in float64, since W may be ill-conditioned."""
    whitening, mean = np.asarray(charts.whitening, np.float64), np.asarray(charts.latent_mean, np.float64)
    of = {name: array.astype(np.float64) for name, array in weights.items() if "latent" in name}
    folded = {
        "to_latent.weight": whitening @ of["to_latent.weight"],
        "to_latent.bias": whitening @ (of["to_latent.bias"] - mean),
        "from_latent.weight": np.linalg.solve(whitening.T, of["from_latent.weight"].T).T,
        "from_latent.bias": of["from_latent.bias"] + of["from_latent.weight"] @ mean,
    }
    return weights | {name: np.ascontiguousarray(array, np.float32) for name, array in folded.items()}


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
