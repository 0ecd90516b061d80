"""Calibration for images that are judged as tiles: what the network learns from, and what the limits can promise.

Two images differ as wholes (focus, dose, thickness), so that the tiles of one say little of how the next one will look:
on simulated scans, limits on an image's worst tile that were extrapolated from the tiles of ten images, at a rate of
0.01, flagged 0.13 of new normal images (`tests/benchmarks/scan_limits.py`). So an image counts once, however many tiles
it has: the limits are set on whole held-out images, by the statistic that is judged. What tiles do say is how charts
compare. Taken from the tiles that trained the network, that scale owes nothing to the held-out images, which are then
as new as those to come (split conformal prediction: Vovk, Gammerman and Shafer 2005, 4.2): with twenty of them, a rate
of 0.05 realised 0.045 on average, and 0.007 to 0.13 in nine of ten calibrations. Both need images that are
exchangeable: drawn alike, none after another of the same place.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from calibration.charts import CalibrationError
from calibration.tails import Tail, fit_tail
from models.scorer import Scorer
from models.tiles import Tiling, random_tiles
from monitor.camera.recordings import LONGEST_WHOLE_PX, Recording
from monitor.config import Calibration
from monitor.types import Pixels

TILES_MOST: Final = 8192
"""Tiles that a network learns from: a training of 4000 steps sees each some thirty times."""

TILES_BYTES: Final = 1 << 29
"""Memory that they may take; large tiles are fewer."""


def tiling_of(settings: Calibration, height: int, width: int) -> Tiling | None:
    """The tiling that *settings* ask for, None for whole frames. CalibrationError where frames cannot be taken so."""
    side = settings.tile_px
    if side is None:
        if max(height, width) > LONGEST_WHOLE_PX:
            raise CalibrationError(
                f"frames of {height}x{width} pixels: a network takes at most {LONGEST_WHOLE_PX} a side; set "
                "calibration.tile_px (64, say) to have them judged as tiles"
            )
        return None
    try:
        return Tiling(height, width, side, round(settings.tile_overlap * side))
    except ValueError as error:
        raise CalibrationError(f"calibration.tile_px: {error}") from None


def without_pools(settings: Calibration) -> Calibration:
    """*settings* that look for no melt pools: a tile that shows an atom in its middle is none."""
    return msgspec.structs.replace(
        settings,
        binning=1 if settings.binning == "auto" else settings.binning,
        orientation="none" if settings.orientation == "auto" else settings.orientation,
    )


def tiles_of(recordings: Sequence[Recording], tiling: Tiling, seed: int) -> tuple[Recording, ...]:
    """What the network sees of the images of *recordings*: random tiles of each, its share of all that are taken."""
    images = sum(len(one.frames) for one in recordings)
    tile_bytes = tiling.side**2 * recordings[0].frames.dtype.itemsize
    most = min(TILES_MOST, TILES_BYTES // tile_bytes)
    return tuple(
        one._replace(frames=random_tiles(one.frames, tiling.side, most * len(one.frames) // images, seed + number))
        for number, one in enumerate(recordings)
    )


def tails_of(scorer: Scorer, tiles: Iterable[Pixels]) -> list[Tail]:
    """The scale of each chart, from several *tiles* (m, t, t) that *scorer* takes as frames."""
    values = np.concatenate([scorer(part).values for part in tiles])
    return [fit_tail(chart) for chart in values.T]


def image_warnings(images: int, rate: float) -> tuple[str, ...]:
    """What limits on so many held-out *images* cannot promise."""
    if rate * (images + 1) >= 1:
        return ()
    return (
        f"the limits rest on {images} held-out images, however many tiles they have: a new normal image is beyond all "
        f"of them with probability 1/{images + 1}, so a rate of {rate:.2g} is a guess; set "
        f"calibration.false_alarm_rate to {1 / (images + 1):.2g} or more, or give more images",
    )
