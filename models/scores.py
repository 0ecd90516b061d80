"""What a scorer says of frames."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

CHARTS = ("t2", "s2", "offset", "local")

Float32s = npt.NDArray[np.float32]

Precision = Literal["float32", "bfloat16"]
"""In which the decoder draws. The encoder's is float32 always: in bfloat16 t2 would move by 2 to 3 %."""


class Scores(NamedTuple):
    """Scores of n frames, in the order of CHARTS. *latent* is the whitened q: t2 is its squared length."""

    latent: Float32s  # (n, p)
    t2: Float32s  # (n,), and so are the next three
    s2: Float32s
    offset: Float32s
    local: Float32s
    where: npt.NDArray[np.int16]  # (n, 2): row and column of the centre of the window that gave `local`

    @property
    def values(self) -> Float32s:
        """What the charts say, side by side in the order of CHARTS: (n, charts), a copy."""
        return np.array((self.t2, self.s2, self.offset, self.local)).T


class Deviations(NamedTuple):
    """How n frames deviate from normal."""

    latent: Float32s  # (n, p), whitened: from the mean of normal frames
    residual: Float32s  # (n, H, W), as the network sees them, in units of residual_scale
    drawn: Float32s  # (n, H, W), as the network draws them, in the unit of the frames' pixels


class Pictures(NamedTuple):
    """n frames as the network sees and draws them, for people to look at; (n, H, W) each but the scores."""

    seen: Float32s  # pixel units, as is the next
    drawn: Float32s
    residual: Float32s  # in units of residual_scale
    scores: Scores  # of the same pass; *where* is in the pixels of these pictures, not of the sensor


def of_images(tiles: Scores, count: int) -> Scores:
    """Scores of n images from those of their n * *count* tiles: of each chart the largest.

    So an image is over a limit where one of its tiles is. *where* is that of the largest local score, and *latent* that
    of the same tile: t2, which may come from another one, is then not its squared length. Where a tile has a score
    that is not a number, so has the image.
    """
    largest = {chart: getattr(tiles, chart).reshape(-1, count).max(axis=1) for chart in CHARTS}
    local = tiles.local.reshape(-1, count)
    worst = local.argmax(axis=1) + count * np.arange(len(local))
    return Scores(latent=tiles.latent[worst], where=tiles.where[worst], **largest)


def joined(parts: Sequence[Pictures]) -> Pictures:
    """*parts*, one or more, one after the other."""
    seen, drawn, residual, scores = zip(*parts, strict=True)
    together = Scores(*map(np.concatenate, zip(*scores, strict=True)))
    return Pictures(np.concatenate(seen), np.concatenate(drawn), np.concatenate(residual), together)


def no_scores(latent: int) -> Scores:
    """Those of no frames, with *latent* latents."""
    none = np.empty(0, np.float32)
    return Scores(np.empty((0, latent), np.float32), none, none, none, none, np.empty((0, 2), np.int16))
