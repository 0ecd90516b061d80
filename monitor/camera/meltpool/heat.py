"""The temperature of a surface that a laser moves over, on any path and with any power: heat conduction, no flow.

A Gaussian source on a half-space, as Eagar and Tsai (1983) solved it for a straight line. Conduction is linear, so the
same integral over the past holds on every path: each moment's heat is a Gaussian that widens where it was put. With
u = sqrt(lag) as variable its kernel is smooth, and the midpoint rule with a few dozen nodes is exact to a few
thousandths. For a source without width on an endless line it is Rosenthal's solution (1946).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.meltpool.alloys import Alloy

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MEMORY_S: Final = 0.016
"""Older heat is left out: by then it has spread over half a millimetre. The vectors before would add some tens of
kelvin all over the field of view; the preheating stands for them."""

STEP: Final = 0.68
"""Largest spacing of the nodes in u, in units of sqrt(2 alpha) / speed. Two neighbouring Gaussians then lie at most 1.4
of their standard deviations apart, and their sum ripples by less than 0.1 %."""

SPOT_STEP: Final = 0.8
"""And in units of spot / sqrt(2 alpha), the time in which heat spreads as wide as the spot: for slow beams."""


class Past(NamedTuple):
    """The moments of the past that the surface remembers, latest first; all arrays (j,)."""

    lags_s: Doubles
    variances_mm2: Doubles  # of the Gaussian that heat has spread to
    kelvin_per_watt: Doubles  # at its centre


def past(alloy: Alloy, spot_mm: float, mm_per_s: float, memory_s: float = MEMORY_S) -> Past:
    """The nodes for a beam of standard deviation *spot_mm* that moves at *mm_per_s* at most."""
    alpha = alloy.diffusivity_mm2_per_s
    spread = np.sqrt(2 * alpha)
    step = min(STEP * spread / mm_per_s, SPOT_STEP * spot_mm / spread)
    u = (np.arange(int(np.ceil(np.sqrt(memory_s) / step))) + 0.5) * step
    variances = spot_mm**2 + 2 * alpha * u**2
    # 2 du / (pi rho c sqrt(4 pi alpha) s^2): twice, since nothing leaves through the surface. rho c in J/(mm3 K).
    rho_c = 1e-9 * alloy.density * alloy.heat_capacity
    return Past(u**2, variances, 2 * step / (np.pi * rho_c * np.sqrt(4 * np.pi * alpha) * variances))


def rise(past: Past, away_mm: Doubles, watts: Doubles, rows_mm: Doubles, columns_mm: Doubles) -> Floats:
    """Temperature rise in kelvin (n, h, w) on the grid of *rows_mm* (h,) and *columns_mm* (w,), of n moments.

    *away_mm* (n, j, 2) is where the source was at each node of the past, as (column, row) on that grid's axes; *watts*
    (n, j) is the power absorbed there. Gaussians are products of their factors along rows and columns, so the sum over
    the past is a matrix product.
    """
    narrow = (0.5 / past.variances_mm2)[:, None]
    down = np.square(rows_mm - away_mm[..., 1, None]) * -narrow
    across = np.square(columns_mm - away_mm[..., 0, None]) * -narrow
    factors = _exp(down)  # (n, j, h)
    factors *= (watts * past.kelvin_per_watt).astype(np.float32)[..., None]
    kelvin: Floats = np.matmul(factors.transpose(0, 2, 1), _exp(across))
    return kelvin


def _exp(powers: Doubles) -> Floats:
    """exp, and 1e-17 for less: subnormal numbers would make the products ten times slower."""
    return np.exp(np.maximum(powers, -39.0, dtype=np.float32, casting="same_kind"))
