"""An embedding of frames by their texture: a scattering, and the directions in which parts of a frame agree."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.preparation import Frames
from models.texture.agreement import Agreement, fit_agreement
from models.texture.scattering import Scattering, scatter

Float32s = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]

SIZE: Final = 16  # of the embedding
PLAIN: Final = Scattering()


class Texture(NamedTuple):
    """What frames are scattered by, and what is kept of it."""

    scattering: Scattering
    agreement: Agreement

    def embed(self, frames: Frames) -> Float32s:
        """The texture of *frames* (n, h, w) of any pixel type: (n, p). Raises ValueError as `scatter` does."""
        return self.agreement(scatter(frames, self.scattering))


def fit_texture(frames: Frames, scattering: Scattering = PLAIN, size: int = SIZE) -> Texture:
    """Fits an embedding of *size* dimensions to *frames* (m, h, w), which need no labels.

    The same frames give the same embedding. Raises ValueError as `scatter` and `fit_agreement` do.
    """
    return Texture(scattering, fit_agreement(scatter(frames, scattering), size))


def to_tensors(texture: Texture) -> Tensors:
    """*texture* as arrays that safetensors can hold; copies."""
    tensors: Tensors = {f"scattering.{name}": np.array(value) for name, value in texture.scattering._asdict().items()}
    return tensors | {f"agreement.{name}": value.copy() for name, value in texture.agreement._asdict().items()}


def from_tensors(tensors: Tensors) -> Texture:
    """What `to_tensors` was given. Raises ValueError where the tensors don't fit."""
    try:
        scattering = Scattering(*(tensors[f"scattering.{name}"].item() for name in Scattering._fields))
        mean, axes = (np.asarray(tensors[f"agreement.{name}"], np.float32) for name in Agreement._fields)
    except KeyError as missing:
        raise ValueError(f"tensor {missing} is missing") from None
    if mean.shape != (scattering.paths,) or axes.ndim != 2 or len(axes) != scattering.paths:
        raise ValueError(f"the tensors make no embedding of {scattering.paths} paths: {mean.shape} and {axes.shape}")
    return Texture(scattering, Agreement(mean, axes))
