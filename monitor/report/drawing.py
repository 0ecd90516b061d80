"""What all pictures of the report share: colours, thinning, and names that fit."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

Floats = npt.NDArray[np.floating[Any]]

SERIES_POINTS: Final = 3000
"""Most points drawn of one series: beyond that, the smallest and largest of each bin stand for it."""

TICKED_DECADES: Final = 3
SCATTER_POINTS: Final = 3000

IMAGE_SIDE_PX: Final = 160
"""Longest side of a frame in the report: larger ones are averaged in blocks."""

NAME_LETTERS: Final = 18
TOP_PX: Final = 28  # margin above a picture

SCORE_COLOUR: Final = "#4f7396"
SECOND_COLOUR: Final = "#c77b2e"
DENSITY_COLOUR: Final = "#2d3338"
LIMIT_COLOUR: Final = "#b4483f"
CENTER_COLOUR: Final = "#6b7a70"
BAND_COLOUR: Final = "rgba(180, 72, 63, 0.13)"
GROUP_SHADE: Final = "rgba(110, 122, 133, 0.10)"
GRID_COLOUR: Final = "#ebeff2"
TEXT_COLOUR: Final = "#2d3338"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

GROUP_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#333333")
"""Okabe and Ito 2008, told apart with any colour vision; without yellow, which is lost on white."""

GROUP_MARKERS: Final = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "hexagon")


def thin_by_extremes(
    values: npt.NDArray[Any], points: int = SERIES_POINTS
) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Positions and values of at most *points* of *values* (n,): the smallest and the largest of each bin, in order.

    The largest and the smallest of all are always among them. Short series come back whole.
    """
    if len(values) <= points:
        return np.arange(len(values)), values
    edges = np.linspace(0, len(values), points // 2 + 1).astype(int)
    kept = [
        first + extreme(values[first:stop])
        for first, stop in itertools.pairwise(edges)
        for extreme in (np.argmin, np.argmax)
    ]
    positions = np.unique(np.array(kept, np.intp))
    return positions, values[positions]


def thin_evenly(count: int, points: int) -> npt.NDArray[np.int64]:
    """Indices of at most *points* of *count*, at least one, spread evenly."""
    return np.unique(np.linspace(0, count - 1, max(min(count, points), 1)).round().astype(np.int64))


def shrink(frame: npt.NDArray[Any], side_px: int = IMAGE_SIDE_PX) -> Floats:
    """*frame* (h, w) averaged in the smallest square blocks that leave no side above *side_px*."""
    block = block_for(frame.shape, side_px)
    height, width = (side // block * block for side in frame.shape)
    cut = frame[:height, :width].astype(np.float32)
    blocks: Floats = cut.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    return blocks


def block_for(shape: Sequence[int], side_px: int = IMAGE_SIDE_PX) -> int:
    """Side of the blocks that `shrink` averages a frame of *shape* in."""
    return math.ceil(max(shape) / side_px)


def short_names(names: Sequence[str]) -> list[str]:
    """*names* of groups as they fit into a picture: the last parts of paths, or where those are alike what differs."""
    last = [name.rstrip("/").rpartition("/")[2] or name for name in names]
    if len(set(last)) < len(set(names)):
        folder = common_folder(names)
        last = [name[len(folder) :] for name in names]
    return [_cut(name) for name in last]


def common_folder(names: Sequence[str]) -> str:
    """The folders that all paths among *names* begin with, with the slash after them; empty where there are none."""
    folders = [name.rstrip("/").split("/")[:-1] for name in names]
    alike = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False))
    return "".join(f"{level[0]}/" for level in alike)


def upright(values: Sequence[float]) -> dict[str, Any]:
    """The axis that *values* stand along: logarithmic, unless one of zero or below has no logarithm."""
    if not values or min(values) <= 0:
        return {"type": "linear"}
    return {"type": "log", **log_ticks(min(values), max(values))}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis that are read like any others: at 2 and 5 too where it spans few decades."""
    return {"tickformat": "~g", "dtick": "D2" if high < low * 10**TICKED_DECADES else 1}


def styled(figure: go.Figure, height_px: int, top_px: int = TOP_PX, bottom_px: int = 44) -> go.Figure:
    """*figure* in the report's font, colours and margins."""
    figure.update_layout(
        template="none",  # the usual ones cost as much time and text as a picture of ours
        height=height_px,
        margin={"l": 60, "r": 32, "t": top_px, "b": bottom_px},
        font={"family": FONT, "size": 12, "color": TEXT_COLOUR},
        hoverlabel={"namelength": -1},
        bargap=0,
    )
    figure.update_xaxes(gridcolor=GRID_COLOUR, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID_COLOUR, zeroline=False, automargin=True, title_standoff=12)
    return figure


def _cut(name: str) -> str:
    """*name* without its middle where it is long: names of runs differ at their ends."""
    if len(name) <= NAME_LETTERS:
        return name
    tail = NAME_LETTERS * 2 // 3
    return f"{name[: NAME_LETTERS - tail - 1]}…{name[-tail:]}"
