"""Smooth random fields without an edge: sums of plane waves. What a thin specimen does from place to place."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Waves(NamedTuple):
    """*m* plane waves of amplitude 1, in whatever unit of length their *lengths* had when they were drawn."""

    directions: Floats  # (m, 2): unit vectors, x and y
    numbers: Floats  # (m,): radians per unit of length
    phases: Floats  # (m,)

    @classmethod
    def drawn(cls, lengths: Floats, rng: np.random.Generator) -> "Waves":
        """Waves of *lengths* (m,) in random directions with random phases."""
        turns, phases = rng.uniform(0.0, 2.0 * math.pi, (2, len(lengths)))
        return cls(np.stack([np.cos(turns), np.sin(turns)], axis=1), 2.0 * math.pi / lengths, phases)

    def at(self, xy: Floats) -> Floats:
        """Each wave at the places *xy* (n, 2): (n, m)."""
        swings: Floats = np.sin(xy @ (self.directions * self.numbers[:, None]).T + self.phases)
        return swings

    def over(self, x: Floats, y: Floats) -> Floats:
        """The sum of all waves on the grid of the columns *x* (w,) and rows *y* (h,): (h, w)."""
        across = np.outer(self.directions[:, 0] * self.numbers, x)
        down = np.outer(self.directions[:, 1] * self.numbers, y) + self.phases[:, None]
        field: Floats = np.sin(down).T @ np.cos(across) + np.cos(down).T @ np.sin(across)
        return field
