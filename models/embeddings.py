"""Embeddings that kinds of anomaly can be told apart by, in place of what residuals say as they are.

Each is learned from frames without labels, or is somebody else's network, and each becomes arrays and a few plain
values that a file can hold. docs/taxonomy_embeddings.md says which is good for what.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from models import backbone as backbones
from models.backbone import Backbone
from models.invariant import embedding as turned
from models.invariant.crops import crops_at
from models.invariant.embedding import Invariant
from models.invariant.training import InvariantSettings, Progress, train_invariant
from models.preparation import Frames
from models.texture import embedding as textures
from models.texture.embedding import Texture, fit_texture

Float32s = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]

What = Literal["invariant", "texture", "backbone"]

CROP_PX: Final = 32  # of a residual around its peak, in pixels as the network sees them
PEAK_PX: Final = 3.0  # standard deviation of what the squared residual is smoothed by before its peak is taken


class Embedding(NamedTuple):
    """Pictures (n, h, w) -> what they show (n, p)."""

    what: What
    size: int  # p
    of_residuals: bool  # pictures are residuals in units of their scale, and not frames as the camera sends them
    embed: Callable[[Frames], Float32s]  # raises ValueError where pictures are too small or not finite
    plain: Mapping[str, Any]  # with *tensors* all that it is made of: values that JSON can hold
    tensors: Tensors


def learn_invariant(
    residuals: Float32s, settings: InvariantSettings, progress: Progress, crop_px: int = CROP_PX
) -> Embedding:
    """Fits an embedding to *residuals* (m, h, w) around their peaks. Raises ValueError as `train_invariant` does."""
    return of_invariant(train_invariant(at_peak(residuals, crop_px), settings, progress), crop_px)


def learn_texture(frames: Frames) -> Embedding:
    """Fits an embedding to *frames* (m, h, w). Raises ValueError as `fit_texture` does."""
    return of_texture(fit_texture(frames))


def of_invariant(network: Invariant, crop_px: int) -> Embedding:
    """What a residual shows around its peak, by *network*, whichever way it is turned."""

    def embed(residuals: Frames) -> Float32s:
        return network.embed(at_peak(residuals, crop_px))

    size = network.network.plan.content
    return Embedding("invariant", size, True, embed, {"crop_px": crop_px}, turned.to_tensors(network))


def of_texture(texture: Texture) -> Embedding:
    """The texture of whole frames."""
    size = texture.agreement.axes.shape[1]
    return Embedding("texture", size, False, texture.embed, {}, textures.to_tensors(texture))


def of_backbone(backbone: Backbone) -> Embedding:
    """What a network that somebody else trained makes of whole frames; its weights are held too."""
    plain = {name: getattr(backbone, name) for name in ("name", "library", "side", "span", "mean", "sd")}
    tensors: Tensors = {name: value.numpy().copy() for name, value in backbone.network.state_dict().items()}
    return Embedding("backbone", backbones.size_of(backbone), False, backbone.embed, plain, tensors)


class _Crop(msgspec.Struct, forbid_unknown_fields=True):
    crop_px: int


def read(what: str, plain: Mapping[str, Any], tensors: Tensors) -> Embedding:
    """The embedding that had these. Raises ValueError where they don't fit; BackboneError is one."""
    match what:
        case "invariant":
            crop_px = msgspec.convert(plain, _Crop).crop_px  # msgspec.ValidationError is a ValueError
            return of_invariant(turned.from_tensors(tensors), crop_px)
        case "texture":
            return of_texture(textures.from_tensors(tensors))
        case "backbone":
            return of_backbone(backbones.from_tensors(plain, tensors))
    raise ValueError(f"there is no embedding {what!r}: it may be a newer program's")


def at_peak(residuals: Frames, crop_px: int) -> Float32s:
    """Squares of *residuals* (n, h, w) around the peak of their energy, with nothing beyond their edges."""
    smooth = gaussian_filter(np.square(residuals), (0, PEAK_PX, PEAK_PX), mode="constant")
    places = np.unravel_index(smooth.reshape(len(smooth), -1).argmax(axis=1), smooth.shape[1:])
    return crops_at(residuals, np.stack(places, axis=1).astype(np.float64), crop_px, outside="zeros")
