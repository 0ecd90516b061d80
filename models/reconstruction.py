"""What a network sees of frames and makes of them, for people to look at."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.preparation import Frames
from models.preparer import Preparer
from models.scorer import TILES, Scorer, tiles_of
from models.tiles import Tiling
from models.trained import Trained, from_parts

Float32s = npt.NDArray[np.float32]


class Reconstruction(NamedTuple):
    """Frames as the network sees them, and as it draws them, in pixel units; (n, H, W) each."""

    seen: Float32s
    drawn: Float32s
    residual: Float32s  # in units of residual_scale


def reconstruct(scorer: Scorer, frames: Frames) -> Reconstruction:
    """What the network of *scorer* sees of *frames* (n, h, w) and makes of them, in float32.

    Of images, their tiles put together. Raises ValueError where they are not of the scorer's size and type.
    """
    scorer.require_fit(frames)
    trained = from_parts(scorer.parts)
    scale: Float32s = np.asarray(scorer.parts.charts.residual_scale, np.float32)
    if scorer.tiling is None:
        return _of_frames(trained, scale, frames)
    images = [_of_image(trained, scale, scorer.tiling, image[None]) for image in frames]
    if images:
        return Reconstruction(*map(np.stack, zip(*images, strict=True)))
    return Reconstruction(*(np.empty((0, scorer.height, scorer.width), np.float32) for _ in Reconstruction._fields))


def _of_image(trained: Trained, scale: Float32s, tiling: Tiling, image: Frames) -> Reconstruction:
    """*image* (1, h, w) as it is seen and drawn, in its own pixels (h, w) whatever the binning."""
    parts = [_of_frames(trained, scale, tiles) for tiles in tiles_of(tiling, image, TILES)]
    bins, side = trained.preparation.binning, tiling.side
    seen = (np.concatenate(tiles) for tiles in zip(*parts, strict=True))
    tiles = (binned.repeat(bins, 1).repeat(bins, 2)[:, :side, :side] for binned in seen)
    return Reconstruction(*map(tiling.together, tiles))


@torch.inference_mode()
def _of_frames(trained: Trained, residual_scale: Float32s, frames: Frames) -> Reconstruction:
    preparation = trained.preparation
    if len(frames) == 0:
        none = np.empty((0, *preparation.size), np.float32)
        return Reconstruction(none, none, none)
    x, _ = Preparer(preparation)(torch.from_numpy(np.array(frames, order="C")))
    x_hat = trained.network(x)
    seen, drawn = ((one * preparation.scale + preparation.shift)[:, 0].numpy() for one in (x, x_hat))
    return Reconstruction(seen, drawn, (x - x_hat)[:, 0].numpy() / residual_scale)
