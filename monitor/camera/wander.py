"""Slowly correlated random numbers: how a machine drifts while nothing is wrong with it."""

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Parts = tuple[tuple[float, float], ...]
"""Standard deviation and memory of each part of a quantity; one without memory is white noise."""


class Wander:
    """Quantities about 0, each a sum of AR(1) parts in their steady state; *step* is in the unit of their memory.

    Numbers come from *rng*, which may serve others, too.
    """

    def __init__(self, rng: np.random.Generator, quantities: tuple[Parts, ...], step: float = 1.0) -> None:
        self._rng = rng
        self._parts = [
            (index, sd, math.exp(-step / memory) if memory else 0.0)
            for index, parts in enumerate(quantities)
            for sd, memory in parts
        ]
        self._count = len(quantities)
        self._state = rng.standard_normal(len(self._parts))

    def next(self, steps: int) -> npt.NDArray[np.float64]:
        """The next values (quantities, *steps*)."""
        total = np.zeros((self._count, steps))
        new = self._rng.standard_normal((len(self._parts), steps))
        for number, (index, sd, keep) in enumerate(self._parts):
            new[number] *= math.sqrt(1.0 - keep**2)
            walk, _ = lfilter([1.0], [1.0, -keep], new[number], zi=[keep * self._state[number]])
            self._state[number] = walk[-1]
            total[index] += sd * walk
        return total
