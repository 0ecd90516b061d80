"""Embeddings by a network that somebody else trained: any classifier of torchvision or timm, frozen, from a local file.

Nothing is fetched: whoever wants pretrained weights puts their file where it can be read. Neither library is among
what the program needs; they are looked for when a backbone is loaded.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.preparation import Frames

Float32s = npt.NDArray[np.float32]
Library = Literal["torchvision", "timm"]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Final[Triple] = (0.485, 0.456, 0.406)
IMAGENET_SD: Final[Triple] = (0.229, 0.224, 0.225)
CHUNK: Final = 32  # frames embedded at a time
QUANTILES: Final = (0.001, 0.999)  # of pixels, that become black and white: a hot pixel must not make all else dark


class BackboneError(ValueError):
    """A library, network or file of weights that cannot be had; one line, which says what to do."""


class Backbone(NamedTuple):
    """A frozen network without its last layer, and how frames become the pictures it was trained on."""

    network: nn.Module
    name: str = ""  # of the classifier, as *library* has it
    library: Library = "torchvision"
    side: int = 224
    span: tuple[float, float] = (0.0, 255.0)  # pixel values that become 0 and 1
    mean: Triple = IMAGENET_MEAN  # of its training pictures, by channel
    sd: Triple = IMAGENET_SD

    def embed(self, frames: Frames) -> Float32s:
        """What the last layer was given for *frames* (n, h, w) of any pixel type: (n, p).

        Raises ValueError where pixels are not finite or *frames* are none.
        """
        if frames.ndim != 3 or len(frames) == 0:
            raise ValueError(f"a backbone needs frames (n, h, w) with n > 0, not an array of shape {frames.shape}")
        found = []
        for first in range(0, len(frames), CHUNK):
            x = self._pictures(torch.from_numpy(np.array(frames[first : first + CHUNK], np.float32)))
            with torch.inference_mode():
                found.append(self.network(x).flatten(1).numpy())
        return np.concatenate(found)

    def _pictures(self, x: Tensor) -> Tensor:
        """Grey frames (B, h, w) -> normalised pictures (B, 3, side, side), the same in each channel."""
        if not torch.isfinite(x).all():
            raise ValueError("frames hold pixels that are not finite: remove those frames")
        low, high = self.span
        x = ((x - low) / (high - low)).clamp(0, 1)[:, None]
        x = F.interpolate(x, [self.side, self.side], mode="bilinear", antialias=True, align_corners=False)
        mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.sd))
        return (x - mean) / sd


def load_backbone(
    name: str,
    weights: Path,
    library: Library = "torchvision",
    side: int = 224,
    span: tuple[float, float] = (0.0, 255.0),
) -> Backbone:
    """The network *name* of *library* with the *weights* of a local file, without its last layer.

    The file holds the network's state, with or without its last layer: as safetensors if it is named so, else as torch
    saves it, of which only tensors are read. Raises BackboneError where the library is not installed or does not know
    the network, and where the file holds something else; OSError where it cannot be read.
    """
    if not span[0] < span[1]:
        raise BackboneError(f"span must rise, not {span[0]} to {span[1]}")
    network, head = _headless(name, library)
    found = {key: value for key, value in _read(weights).items() if not key.startswith(f"{head}.")}
    try:
        network.load_state_dict(found)
    except RuntimeError as misfit:
        raise BackboneError(f"{weights} does not hold {name}: {_one_line(misfit)}") from None
    return Backbone(network.requires_grad_(False).eval(), name, library, side, span)


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """What a backbone is beside its weights."""

    name: str
    library: Library
    side: int
    span: tuple[float, float]
    mean: Triple
    sd: Triple


def from_tensors(plain: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> Backbone:
    """The backbone whose weights without the last layer are *tensors*, and whose other fields are *plain*.

    Raises BackboneError where the library is not installed or the tensors don't fit, msgspec.ValidationError, which is
    a ValueError, where *plain* does not.
    """
    held = msgspec.convert(plain, _Plain)
    network, _ = _headless(held.name, held.library)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    except RuntimeError as misfit:
        raise BackboneError(f"the tensors do not make {held.name}: {_one_line(misfit)}") from None
    return Backbone(network.requires_grad_(False).eval(), *msgspec.structs.astuple(held))


def size_of(backbone: Backbone) -> int:
    """How many numbers it makes of a frame."""
    with torch.inference_mode():
        return int(backbone.network(torch.zeros(1, 3, backbone.side, backbone.side)).flatten(1).shape[1])


def _headless(name: str, library: Library) -> tuple[nn.Module, str]:
    """An untrained network without its last layer, and that layer's name."""
    network = _network(name, library)
    head = _head(network, name)
    network.set_submodule(head, nn.Identity())
    return network, head


def span_of(frames: Frames) -> tuple[float, float]:
    """The pixel values of *frames* (m, h, w) that are to be black and white: those of bytes, or of nearly all."""
    if frames.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (float(value) for value in np.quantile(frames, QUANTILES))
    return low, max(high, low + float(np.finfo(np.float32).eps) * max(abs(low), 1.0))


def _network(name: str, library: Library) -> nn.Module:
    """An untrained classifier."""
    module = _library(library)
    made: nn.Module
    try:
        made = module.get_model(name, weights=None) if library == "torchvision" else module.create_model(name)
    except (ValueError, RuntimeError) as unknown:
        raise BackboneError(f"{library} has no network {name!r}: {_one_line(unknown)}") from None
    return made


def _library(library: Library) -> ModuleType:
    try:
        return importlib.import_module("timm" if library == "timm" else "torchvision.models")
    # A build for another torch fails with whatever it trips over first.
    except (ImportError, OSError, RuntimeError) as missing:
        raise BackboneError(
            f"backbones need {library} for this torch: pip install 'framewatch[backbone]' ({_one_line(missing)})"
        ) from None


def _head(network: nn.Module, name: str) -> str:
    """The name of the layer that tells classes apart: the last linear one."""
    linear = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise BackboneError(f"{name} ends in no linear layer that could be left out: take another network")
    last: str = linear[-1]
    return last


def _read(weights: Path) -> dict[str, Tensor]:
    """Tensors of a file by name. Raises BackboneError, OSError."""
    with weights.open("rb"):  # what cannot be read is told apart from what holds something else
        pass
    try:
        if weights.suffix == ".safetensors":
            return load_file(weights)
        found = torch.load(weights, map_location="cpu", weights_only=True)
    # What the readers raise of a broken or foreign file is of many kinds, and not documented.
    except Exception as broken:
        raise BackboneError(f"{weights} holds no weights that can be read safely: {_one_line(broken)}") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise BackboneError(f"{weights} holds more than a network's state: save network.state_dict() alone")
    return found


def _one_line(error: Exception) -> str:
    words: str = " ".join(str(error).split())
    return words if len(words) <= 160 else words[:157] + "..."
