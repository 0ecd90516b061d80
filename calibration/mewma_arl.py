"""How long a memory chart runs before it speaks, and the limit h for a wanted run length in control.

All of it is for independent Gaussian frames of p whitened coordinates, Z_0 = 0 and the long run's variance
(`mewma.Mewma` without its exact start): the oracle of the formula, and what a chart can do at best. At ARL0 200, p = 8
and AR(1) 0.9 nearly every in-control frame exceeds such a limit: on streams a limit comes from block extremes.

Solved by quadrature: |Z|^2 alone is a Markov chain of noncentral chi-square steps in control (Rigdon 1995a); with a
shift, Z's part along the shift and the length of the rest are one (Rigdon 1995b). So p enters only as a parameter.
Gauss-Legendre nodes lie on lengths rather than squares, after Knoth 2017. Lengths here are in units of l q, so that
each step has variance 1. With W = sqrt(h / (l (2 - l))) the largest |Z| within the limit,
an error below 10^-4 takes two nodes for each unit of W, five along the shift (10^-2 for run lengths near 10^9).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from numpy.polynomial.legendre import legvander
from scipy.special import gammaln, hyp0f1, ive

from calibration.runlength import gauss_legendre

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

ARL_MIN = 2.0
ARL_MAX = 1e9  # beyond, rounding shows in the fourth digit
ARL_LOST = 1e11  # beyond, nothing but rounding is left
NODES = 20  # beside those that W takes
REACH_MAX = 600.0  # of W, in control: 1,200 nodes, seconds
SHIFTED_REACH_MAX = 70.0  # of W, with a shift: 370 x 160 nodes, 80 MB, tens of seconds
TOLERANCE = 1e-6  # of the residual: rounding leaves 1e-7 at the longest runs


def mewma_limit(p: int, lam: float, arl0: float) -> float:
    """The limit h that is exceeded after *arl0* in-control frames on average, of latents of dimension *p*.

    *lam* is the weight of a frame, in (0, 1]. To 10^-6 of its value. Raises ValueError for an ARL outside [2, 1e9],
    and like `mewma_arl`.
    """
    if not ARL_MIN <= arl0 <= ARL_MAX:
        raise ValueError(f"an in-control run length must lie between {ARL_MIN:g} and {ARL_MAX:g} frames, not {arl0}")
    # No run is shorter than that of frames which each exceed h with the long run's rate a: P(N <= n) <= n a.
    highest = float(scipy.stats.chi2.isf(0.5 / arl0, p))
    _reach(p, lam, highest, REACH_MAX)

    def excess(h: float) -> float:
        return float(np.log(min(_in_control(p, lam, h), ARL_LOST) / arl0))

    return float(scipy.optimize.brentq(excess, 1e-9 * highest, highest, rtol=1e-7))


def mewma_arl(p: int, lam: float, h: float, shift: npt.ArrayLike = 0.0) -> Float64s:
    """Frames until the chart exceeds *h*, on average, of its shape for any *shift* from the first frame on.

    *shift* is the Mahalanobis distance of the new mean from the in-control one; its direction does not matter. *lam* is
    the weight of a frame, in (0, 1]. Raises ValueError for values outside these ranges, for *lam* so small that the
    quadrature would not fit (h must not exceed 600^2 l (2 - l) in control, 70^2 l (2 - l) with a shift), and for *h* so
    high that the run length, far beyond 1e9, is lost in rounding.
    """
    shifts = np.asarray(shift, np.float64)
    if not (np.isfinite(shifts).all() and (shifts >= 0).all()):
        raise ValueError("shifts are distances: finite, and not below 0")
    grid = _grid(p, lam, h) if shifts.any() else None
    found = [_shifted(grid, lam, s) if grid is not None and s > 0 else _in_control(p, lam, h) for s in shifts.ravel()]
    if not np.isfinite(found).all():
        raise ValueError(f"limit {h:.4g} is so high that its run length is lost in rounding: take a lower one")
    return np.array(found).reshape(shifts.shape)


def length_density(length: Floats, centre: Floats, p: int) -> Float64s:
    """Density of |x + c| at *length* above 0, for x Gaussian of p independent coordinates and |c| = *centre*.

    Of the root of a noncentral chi-square, by its Bessel form (Fisher 1928), in logarithms: neither powers nor Bessel
    function overflow, whatever p. The two broadcast.
    """
    order = p / 2 - 1
    z = length * centre
    scaled = ive(order, z)
    # I(z) e^-z / (z/2)^order: where the Bessel function underflows or z is 0, by the series it is defined by.
    series = (z < 1.0) | (scaled < 1e-200)
    near = np.log(hyp0f1(order + 1, np.where(series, z * z / 4, 0.0))) - gammaln(order + 1) - z
    far = np.log(np.where(series, 1.0, scaled)) - order * np.log(np.where(series, 2.0, z) / 2)
    bessel = np.where(series, near, far)
    density: Float64s = np.exp(bessel + (p - 1) * np.log(length) - order * np.log(2) - 0.5 * (length - centre) ** 2)
    return density


def _reach(p: int, lam: float, h: float, most: float) -> float:
    """W, the largest |Z| within the limit, in units of l."""
    if p < 1 or not 0 < lam <= 1:
        raise ValueError(f"a memory chart needs p of at least 1 and a weight in (0, 1], not {p} and {lam}")
    if not (np.isfinite(h) and h > 0):
        raise ValueError(f"a limit must be finite and above 0, not {h}")
    reach = float(np.sqrt(h / (lam * (2 - lam))))
    if reach > most:
        least = h / (2 * most**2)
        raise ValueError(f"weight {lam:g} is too small to integrate over at limit {h:.4g}: take at least {least:.1e}")
    return reach


def _in_control(p: int, lam: float, h: float) -> float:
    """The run length without a shift, infinite where rounding has swallowed it."""
    reach = _reach(p, lam, h, REACH_MAX)
    length, weights = gauss_legendre(NODES + int(2 * reach), 0.0, reach)
    transition = length_density(length, (1 - lam) * length[:, None], p) * weights
    onward = np.linalg.solve(np.eye(len(length)) - transition, np.ones(len(length)))
    return _unless_lost(1 + float((length_density(length, np.zeros(1), p) * weights) @ onward))


def _unless_lost(arl: float) -> float:
    return arl if 1 <= arl <= ARL_LOST else np.inf


class _Grid(NamedTuple):
    """Z within the ball of radius W, as (a, v): its part along the shift, and the length of the rest.

    A density is kept at a (n,) and at v (k,) that span [0, W] at every a, as a polynomial in v: so the integral over v
    up to the ball's edge is as smooth as the density, and a step is two matrix products.
    """

    along: Float64s  # (n,)
    weights: Float64s  # (n,)
    first: Float64s  # (k,) density of v after one frame
    step: Float64s  # (n, k, k): density of v -> density of the next v, from within the ball at each a
    mass: Float64s  # (n, k): density of v -> probability to be within the ball


def _grid(p: int, lam: float, h: float) -> _Grid:
    reach = _reach(p, lam, h, SHIFTED_REACH_MAX)
    angle, weights = gauss_legendre(NODES + int(5 * reach), -np.pi / 2, np.pi / 2)
    along, edge = reach * np.sin(angle), reach * np.cos(angle)
    if p == 1:  # nothing beside the shift
        one = np.ones((len(along), 1))
        return _Grid(along, weights * edge, np.ones(1), one[:, :, None], one)
    unit, unit_weights = gauss_legendre(NODES + int(2 * reach), 0.0, 1.0)
    degrees = np.arange(len(unit))
    fit = (2 * degrees[:, None] + 1) * legvander(2 * unit - 1, degrees[-1]).T * unit_weights  # values -> coefficients
    length = reach * unit
    steps, mass = np.empty((len(along), len(unit), len(unit))), np.empty((len(along), len(unit)))
    for index, radius in enumerate(edge):
        inside = radius * unit
        to_inside = legvander(2 * inside / reach - 1, degrees[-1]) @ fit
        transition = length_density(length[:, None], (1 - lam) * inside, p - 1)
        steps[index] = (transition * radius * unit_weights) @ to_inside
        mass[index] = (radius * unit_weights) @ to_inside
    return _Grid(along, weights * edge, length_density(length, np.zeros(1), p - 1), steps, mass)


def _shifted(grid: _Grid, lam: float, shift: float) -> float:
    """The run length with a shift, infinite where rounding has swallowed it.

    One frame, and as many more as the density of Z within the ball adds up to over all frames: (1 - step)^-1 first.
    """
    transition = scipy.stats.norm.pdf(grid.along[:, None] - (1 - lam) * grid.along - shift) * grid.weights
    first = scipy.stats.norm.pdf(grid.along - shift)[:, None] * grid.first

    def but_a_step(flat: Floats) -> Float64s:
        density = flat.reshape(first.shape)
        after: Float64s = density - transition @ (grid.step @ density[:, :, None])[:, :, 0]
        return after.ravel()

    equations = scipy.sparse.linalg.LinearOperator((first.size, first.size), matvec=but_a_step, dtype=np.float64)
    visits, failed = scipy.sparse.linalg.gmres(equations, first.ravel(), rtol=TOLERANCE, restart=200, maxiter=2)
    within = grid.weights[:, None] * grid.mass * visits.reshape(first.shape)
    return np.inf if failed else _unless_lost(1 + float(within.sum()))
