"""Frames as points by which kinds of anomaly are told apart: by their residuals, or by an embedding that was learned.

The first needs no torch, and is what `models.taxonomy.embedding` makes of the scorer's deviations. The others are held
in a file (`models.embeddings`), and load torch. There are the whitened latent as it is and pixels to compare them with.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from models.preparation import Frames
from models.scorer import Scorer
from models.taxonomy.embedding import cells, embed

if TYPE_CHECKING:
    from models.embeddings import Embedding

Float32s = npt.NDArray[np.float32]

PIXEL_CELLS: Final = 32  # along each side, at most, that pixels are averaged over

Points = Callable[[Frames], Float32s]
"""Frames (n, h, w) of the scorer's size and type -> points (n, d); NaN where a frame or its residual is not finite."""


def points_by(scorer: Scorer, embedding: "Embedding | None" = None) -> Points:
    """What makes points of frames: *embedding*, or the residuals that *scorer* finds. For one thread at a time."""
    if embedding is None:
        return _residuals(scorer)

    def points(frames: Frames) -> Float32s:
        seen = scorer.deviations(frames) if embedding.of_residuals else None
        pictures: npt.NDArray[Any] = frames if seen is None else seen.residual
        finite = np.isfinite(pictures).all(axis=(1, 2))
        found = np.full((len(frames), embedding.size), np.nan, np.float32)
        if finite.any():
            found[finite] = embedding.embed(pictures[finite])
        return found

    return points


def _residuals(scorer: Scorer) -> Points:
    placed = scorer.parts.preparation.alignment is not None

    def points(frames: Frames) -> Float32s:
        seen = scorer.deviations(frames)
        return embed(seen.latent, seen.residual, placed=placed)

    return points


def latents_by(scorer: Scorer) -> Points:
    """The autoencoder's own latent, whitened: its length says how far a frame is from normal, its direction how."""

    def points(frames: Frames) -> Float32s:
        seen = scorer.deviations(frames)
        found = seen.latent.copy()
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    return points


def pixels(frames: Frames) -> Float32s:
    """Pixels as they are, averaged over at most PIXEL_CELLS x PIXEL_CELLS cells: a baseline, without any network."""
    found = [cells(frame.astype(np.float64), PIXEL_CELLS) for frame in frames]
    points = np.array(found, np.float32)
    points[~np.isfinite(points).all(axis=1)] = np.nan
    return points
