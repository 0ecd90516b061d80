"""Cells of a lattice: however it grows, they hold what the positions themselves say."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.history import grid
from monitor.history.grid import SIDE, Box, Cells, Window

coordinates = st.floats(-1000, 1000, width=32) | st.sampled_from([0.0, -0.0, 1e30, -1e30, 1e-40, -1e-40])
pieces = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=6)


def by_cell(window: Window, xy: np.ndarray, ratio: np.ndarray) -> dict[tuple[int, int], tuple[float, int]]:
    """(column, row) on the lattice -> largest ratio and number of frames, worked out one by one."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for x, y, one in zip(*xy.astype(float), ratio.tolist(), strict=True):
        found[int(x // 2.0**window.power), int(y // 2.0**window.power)].append(one)
    return {cell: (max(ratios), len(ratios)) for cell, ratios in found.items()}


def told(window: Window, cells: Cells) -> dict[tuple[int, int], tuple[float, int]]:
    taken = np.flatnonzero(cells.judged)
    rows, columns = np.divmod(taken, window.columns)
    return {
        (int(column) + window.column, int(row) + window.row): (float(cells.ratio[at]), int(cells.judged[at]))
        for at, row, column in zip(taken, rows, columns, strict=True)
    }


@given(pieces, st.integers(0, 99))
def test_cells_hold_what_the_positions_say_however_the_lattice_grew(
    drawn: list[list[tuple[float, float]]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    window, box, cells = None, None, None
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    for piece in drawn:
        xy, ratio = np.array(piece, np.float32).T, rng.normal(0, 1, len(piece)).astype(np.float32)
        box = grid.around(box, xy)
        new = grid.fitted(window, box)
        cells = grid.no_cells(new) if cells is None or window is None else grid.moved(cells, window, new)
        window = new
        grid.add(cells, window.cells(xy), ratio)
        seen.append((xy, ratio))
        assert window.holds(box)
    assert window is not None
    assert box is not None
    assert cells is not None
    all_xy, all_ratio = np.concatenate([one for one, _ in seen], axis=1), np.concatenate([one for _, one in seen])
    assert told(window, cells) == by_cell(window, all_xy, all_ratio)
    cut = grid.shown(window, box, whole=False)
    assert told(cut, grid.moved(cells, window, cut)) == told(window, cells)


@given(coordinates, coordinates, coordinates, coordinates)
def test_a_window_is_no_coarser_than_it_must_be(x0: float, y0: float, x1: float, y1: float) -> None:
    box = Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    window = grid.fitted(None, box)
    assert (window.columns, window.rows) == (SIDE, SIDE)
    extent = max(box.x1 - box.x0, box.y1 - box.y0)
    finest = max(map(abs, box)) / 2.0 ** (grid.DIGITS - 1)
    assert 2.0**window.power <= max(extent / (SIDE / 2 - 2), 2.0**grid.FINEST, finest)


def test_a_window_that_holds_all_stays_where_it_is() -> None:
    window = grid.fitted(None, Box(0.0, 0.0, 10.0, 10.0))
    assert grid.fitted(window, Box(0.0, 0.0, 10.5, 10.0)) is window


@pytest.mark.parametrize(("whole", "size"), [(True, (32, 16)), (False, (125, 61))])
def test_rows_and_columns_of_a_scan_are_cells_of_their_own(whole: bool, size: tuple[int, int]) -> None:
    xy = np.array(np.meshgrid(np.arange(32), np.arange(16)), np.float32).reshape(2, -1)
    box = grid.around(None, xy)
    window = grid.shown(grid.fitted(None, box), box, whole=whole)
    assert (window.columns, window.rows) == size
