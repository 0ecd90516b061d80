"""Frames as points by which kinds of anomaly are told apart: by their residuals, or by an embedding that was learned.

The first needs no torch, and is what `models.taxonomy.embedding` makes of the scorer's deviations. The others are held
in a file (`models.embeddings`), and load torch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.preparation import Frames
from models.scorer import Scorer
from models.taxonomy.embedding import embed

if TYPE_CHECKING:
    from models.embeddings import Embedding

Float32s = npt.NDArray[np.float32]

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
