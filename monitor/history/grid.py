"""Frames by their place: cells of a lattice whose width is a power of two, so that a coarser one holds the same.

Positions come one by one and nobody says how far they reach. A lattice begins fine; where positions no longer fit into
a window of SIDE x SIDE cells, its cells are doubled. Nothing is lost by it but detail: of each cell the largest score
and the number of frames are known.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indexes = npt.NDArray[np.int64]

SIDE: Final = 128

FINEST: Final = -10
"""The narrowest cell is so great a power of two: a thousandth of what positions are given in."""

DIGITS: Final = 40
"""Cells are no narrower than the largest coordinate over two to this power: their numbers stay exact."""

COUNT_MAX: Final = 2**31
"""A layer's cells count no more frames than so many: six hours at a hundred thousand a second."""


class Box(NamedTuple):
    """All positions so far lie in it."""

    x0: float
    y0: float
    x1: float
    y1: float


class Window(NamedTuple):
    """A piece of the lattice: cells 2**power wide, from the cell *column*, *row* on (counted from 0, 0)."""

    power: int
    column: int
    row: int
    columns: int = SIDE
    rows: int = SIDE

    def cells(self, xy: Floats) -> Indexes:
        """The cell, row by row, of each of *xy* (2, n), all of which lie inside."""
        column, row = np.floor(xy * np.float64(2.0**-self.power)).astype(np.int64)
        index: Indexes = (row - self.row) * self.columns + (column - self.column)
        return index

    def holds(self, box: Box) -> bool:
        low, high = _cell(box.x0, box.y0, self.power), _cell(box.x1, box.y1, self.power)
        inside_x = self.column <= low[0] and high[0] < self.column + self.columns
        return inside_x and self.row <= low[1] and high[1] < self.row + self.rows


def around(box: Box | None, xy: Floats) -> Box:
    """*box* and *xy* (2, n), at least one position."""
    (x0, y0), (x1, y1) = xy.min(axis=1).tolist(), xy.max(axis=1).tolist()
    if box is None:
        return Box(x0, y0, x1, y1)
    return Box(min(x0, box.x0), min(y0, box.y0), max(x1, box.x1), max(y1, box.y1))


def fitted(window: Window | None, box: Box) -> Window:
    """A window that holds *box*: *window* where it does, or one with *box* in its middle, its cells no narrower."""
    if window is not None and window.holds(box):
        return window
    power = max(FINEST if window is None else window.power, math.frexp(max(map(abs, box)))[1] - DIGITS)
    while max(_extent(box, power)) > SIDE:
        power += 1
    column, row = _cell(box.x0, box.y0, power)
    columns, rows = _extent(box, power)
    return Window(power, column - (SIDE - columns) // 2, row - (SIDE - rows) // 2)


def shown(window: Window, box: Box, *, whole: bool) -> Window:
    """What of *window* there is to see of *box*. Positions that are *whole* numbers have cells of one at least."""
    power = max(window.power, 0) if whole else window.power
    return Window(power, *_cell(box.x0, box.y0, power), *_extent(box, power))


class Cells(NamedTuple):
    """What is known of each cell of a window, row by row."""

    ratio: npt.NDArray[np.float32]  # the largest joint score
    judged: npt.NDArray[np.uint32]  # of frames; where there is none, *ratio* is below all


def no_cells(window: Window) -> Cells:
    size = window.columns * window.rows
    return Cells(np.full(size, -np.inf, np.float32), np.zeros(size, np.uint32))


def add(cells: Cells, at: Indexes, ratio: npt.NDArray[np.float32], *, counting: bool = True) -> None:
    """Add frames with scores *ratio* (n,) to their cells *at* (n,)."""
    np.maximum.at(cells.ratio, at, ratio)
    if counting:
        np.add.at(cells.judged, at, np.uint32(1))


def moved(cells: Cells, old: Window, new: Window) -> Cells:
    """*cells* of the window *old* as those of *new*, which holds all that are taken and is no finer."""
    found = no_cells(new)
    taken = np.flatnonzero(cells.judged)
    rows, columns = np.divmod(taken, old.columns)
    shift = new.power - old.power
    at = ((rows + old.row) >> shift) - new.row, ((columns + old.column) >> shift) - new.column
    index = at[0] * new.columns + at[1]
    np.maximum.at(found.ratio, index, cells.ratio[taken])
    found.judged[:] = np.bincount(index, cells.judged[taken], len(found.judged))
    return found


def _cell(x: float, y: float, power: int) -> tuple[int, int]:
    return math.floor(math.ldexp(x, -power)), math.floor(math.ldexp(y, -power))


def _extent(box: Box, power: int) -> tuple[int, int]:
    low, high = _cell(box.x0, box.y0, power), _cell(box.x1, box.y1, power)
    return high[0] - low[0] + 1, high[1] - low[1] + 1
