"""How frames of a camera are to be binned, turned and normalised, so that the network sees them."""

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

FRAME_DTYPES: Final = ("uint8", "uint16", "float32")

ROUND: Final = 1.1  # a pool less elongated than this has no direction worth turning by
LIGHT_CAP: Final = 8.0  # thresholds: what is brighter counts no more, so that the core does not outweigh the tail

Frames = npt.NDArray[Any]  # (n, h, w) of one of FRAME_DTYPES


class Alignment(NamedTuple):
    """What alignment needs to know of a camera: its fixed pattern, and what is brighter than any ground."""

    ground: npt.NDArray[np.float32]  # (H, W), pixel units: subtracted before anything is turned
    threshold: float  # above the ground, pixel units: what the moments see
    row: float = 0.0  # of the usual place of pools, pixels below the middle
    column: float = 0.0  # to the right of it
    reach: float = math.inf  # pixels from there, as far as a pool may stray and be brought back


class Preparation(NamedTuple):
    """How frames of *height* x *width* become what the network sees."""

    height: int
    width: int
    shift: float
    scale: float
    binning: int = 1
    alignment: Alignment | None = None  # of binned frames

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that the network sees."""
        return -(-self.height // self.binning), -(-self.width // self.binning)
