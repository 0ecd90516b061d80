"""The pictures of one frame: as it came, as the network sees it and draws it, and what lies between."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from monitor.report.data import Example, Square
from monitor.report.drawing import block_for, shrink, styled

PEAK_COLOUR: Final = "#e69f00"


class Greys(NamedTuple):
    """Black and white of all frames: on a scale of its own, a covered camera would shine."""

    came: tuple[float, float]
    seen: tuple[float, float]  # apart: what the network sees may be less the camera's ground


def greys(examples: Sequence[Example]) -> Greys:
    """The scales that *examples* share."""
    return Greys(_range([one.came for one in examples]), _range([one.seen for one in examples]))


def panels(example: Example, grey: Greys, marked: bool) -> go.Figure:
    """The frame as it came, as the network sees and draws it between black and white of *grey*, and the residual.

    *marked*: with a square about the window that gave the local score.
    """
    reach = float(np.abs(shrink(example.residual)).max()) or 1.0
    signed = {"zmin": -reach, "zmax": reach, "colorscale": "RdBu", "reversescale": True}
    shown = (
        (example.came, _light(grey.came)),
        (example.seen, _light(grey.seen)),
        (example.drawn, _light(grey.seen)),
        (example.residual, signed),
    )
    titles = ("as it came", "as the network sees it", "as the network draws it", f"residual, to ±{reach:.3g} spreads")
    figure = make_subplots(1, len(shown), subplot_titles=titles, horizontal_spacing=0.025)
    for column, (image, scale) in enumerate(shown, start=1):
        figure.add_trace(_picture(image, scale, barred=column == len(shown)), 1, column)
        # Rows count downwards, and pixels are square.
        figure.update_yaxes(autorange="reversed", scaleanchor=f"x{_number(column)}", constrain="domain", col=column)
    if marked:
        squares = (example.place, example.peak, example.peak, example.peak)
        figure.update_layout(shapes=[_about(square, column) for column, square in enumerate(squares, start=1)])
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False)
    figure.update_annotations(font_size=13)
    return styled(figure, height_px=270, bottom_px=12)


def _range(images: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    low, high = min(float(image.min()) for image in images), max(float(image.max()) for image in images)
    return low, max(high, low + 1e-6)


def _light(grey: tuple[float, float]) -> dict[str, Any]:
    return {"zmin": grey[0], "zmax": grey[1], "colorscale": "Gray"}


def _picture(image: npt.NDArray[Any], scale: dict[str, Any], barred: bool) -> go.Heatmap:
    """*image* on *scale*, with a bar of its colours where it is *barred*; blocks stand where their pixels are."""
    block = block_for(image.shape)
    middle = (block - 1) / 2
    return go.Heatmap(
        z=shrink(image).astype(np.float32),
        x0=middle,
        dx=block,
        y0=middle,
        dy=block,
        showscale=barred,
        colorbar={"thickness": 8, "outlinewidth": 0, "len": 0.9} if barred else None,
        hovertemplate="row %{y}, column %{x}<br>%{z:.4g}<extra></extra>",
        **scale,
    )


def _about(square: Square, column: int) -> dict[str, Any]:
    """*square* in the picture at *column*."""
    half = square.side / 2
    return {
        "type": "rect",
        "xref": f"x{_number(column)}",
        "yref": f"y{_number(column)}",
        "x0": square.column - half - 0.5,
        "x1": square.column + half - 0.5,
        "y0": square.row - half - 0.5,
        "y1": square.row + half - 0.5,
        "line": {"color": PEAK_COLOUR, "width": 2},
    }


def _number(column: int) -> str:
    """What plotly adds to the names of the axes of the picture at *column*."""
    return "" if column == 1 else str(column)
