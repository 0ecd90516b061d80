"""Crops of a few simple shapes, each turned and moved by chance."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SPOTS: dict[str, list[tuple[float, float, float]]] = {
    "pair": [(-0.45, 0.0, 1.0), (0.45, 0.0, 1.0)],
    "dipole": [(-0.3, 0.0, -1.0), (0.3, 0.0, 1.0)],
    "triangle": [(0.5, 0.0, 1.0), (-0.25, 0.43, 1.0), (-0.25, -0.43, 1.0)],
}
"""Of each shape its spots: x and y in half sides from the middle, and how bright."""

WIDTH = 0.18  # of a spot, half sides


def glyphs(
    each: int, side: int, seed: int, noise: float = 0.2, moved: float = 0.06, angles: Floats | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """*each* crops of every shape (n, side, side), at *angles* (n,) or at random ones, and which shape (n,)."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(SPOTS)), each)
    turns = random.uniform(0, 2 * np.pi, len(kinds)) if angles is None else angles
    shifts = random.normal(0, moved, (len(kinds), 2))
    line = (np.arange(side) + 0.5) * 2 / side - 1
    shapes = list(SPOTS.values())
    crops = np.stack(
        [_drawn(shapes[kind], turn, shift, line) for kind, turn, shift in zip(kinds, turns, shifts, strict=True)]
    )
    return (crops + random.normal(0, noise, crops.shape)).astype(np.float32), kinds


def _drawn(spots: list[tuple[float, float, float]], turn: float, shift: Floats, line: Floats) -> Floats:
    picture = np.zeros((len(line), len(line)))
    for x, y, bright in spots:
        column = np.cos(turn) * x - np.sin(turn) * y + shift[0]
        row = np.sin(turn) * x + np.cos(turn) * y + shift[1]
        distance = (line[:, None] - row) ** 2 + (line - column) ** 2
        picture += bright * np.exp(-distance / (2 * WIDTH**2))
    return picture
