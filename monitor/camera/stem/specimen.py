"""The thin foil under the probe of a simulated microscope: how thickness and tilt vary over the scan."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.stem.waves import Waves

Floats = npt.NDArray[np.float64]

WAVES: Final = 12  # in each field
SHORTEST_WAVE: Final = 300.0  # scan positions
LONGEST_WAVE: Final = 1200.0
THICKNESS_SPREAD: Final = 0.10  # relative standard deviation over the specimen
BEND_MRAD: Final = 1.5  # standard deviation of the tilt, each axis

DIFFUSE_NM: Final = 60.0  # thickness in which all but 1 / e of the electrons go into the background: nominal


class Local(NamedTuple):
    """The specimen at some scan positions."""

    thickness_nm: Floats  # (n,)
    tilt_rad: Floats  # (n, 2): where the zone axis points, seen along the beam: right and down in the pattern


class Specimen:
    """A foil about *thickness_nm* thick, slightly bent, without an edge.

    The zone axis is the surface's normal, so the tilt is the slope of one surface, whose height counts towards the gun.
    """

    def __init__(self, thickness_nm: float, rng: np.random.Generator) -> None:
        self._thickness_nm = thickness_nm
        lengths = np.exp(rng.uniform(math.log(SHORTEST_WAVE), math.log(LONGEST_WAVE), (2, WAVES)))
        self._uneven, self._bent = (Waves.drawn(row, rng) for row in lengths)

    def at(self, xy: Floats) -> Local:
        """The specimen at scan positions *xy* (n, 2)."""
        amplitude = math.sqrt(2.0 / WAVES)  # of waves whose sum has the variance 1
        uneven = amplitude * self._uneven.at(xy).sum(axis=1)
        slope = amplitude * math.sqrt(2.0) * self._bent.at(xy) @ self._bent.directions
        return Local(self._thickness_nm * np.exp(THICKNESS_SPREAD * uneven), 1e-3 * BEND_MRAD * slope)


def diffuse_share(thickness_nm: float) -> float:
    """The part of the electrons that scatter into the smooth background, thermally or inelastically."""
    return -math.expm1(-thickness_nm / DIFFUSE_NM)
