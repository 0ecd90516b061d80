"""The picture of one frame: as it came, as the network draws it, and what lies between."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from monitor.report.data import Example
from monitor.report.drawing import block_for, shrink, styled

PEAK_COLOUR: Final = "#e69f00"


def grey_scale(examples: Sequence[Example]) -> tuple[float, float]:
    """Black and white of all frames: on a scale of its own, a covered camera would shine."""
    low = min(float(one.original.min()) for one in examples)
    high = max(float(one.original.max()) for one in examples)
    return low, max(high, low + 1e-6)


def triplet(example: Example, grey: tuple[float, float], marked: bool) -> go.Figure:
    """Frame and reconstruction between black and white of *grey*, and the residual.

    *marked*: with a square about the window that gave the local score.
    """
    first, second, third = shrink(example.original), shrink(example.reconstruction), shrink(example.residual)
    light = {"zmin": grey[0], "zmax": grey[1], "colorscale": "Gray"}
    reach = float(np.abs(third).max()) or 1.0
    signed = {"zmin": -reach, "zmax": reach, "colorscale": "RdBu", "reversescale": True}
    titles = ("frame", "reconstruction", f"residual, to ±{reach:.3g} spreads")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.03)
    block = block_for(example.original.shape)
    # Blocks stand where the pixels are that they average.
    place = {"x0": (block - 1) / 2, "dx": block, "y0": (block - 1) / 2, "dy": block}
    for column, (image, scale) in enumerate(((first, light), (second, light), (third, signed)), start=1):
        figure.add_trace(
            go.Heatmap(
                z=image.astype(np.float32),
                **place,
                showscale=column == 3,
                colorbar={"thickness": 8, "outlinewidth": 0, "len": 0.9} if column == 3 else None,
                hovertemplate="row %{y}, column %{x}<br>%{z:.4g}<extra></extra>",
                **scale,
            ),
            1,
            column,
        )
        # Rows count downwards, and pixels are square.
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(autorange="reversed", scaleanchor=anchor, constrain="domain", row=1, col=column)
    if marked:
        figure.update_layout(shapes=[_square(example, column) for column in (1, 2, 3)])
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False)
    return styled(figure, height_px=270, bottom_px=12)


def _square(example: Example, column: int) -> dict[str, Any]:
    """The window that gave `local`, in the picture at *column*."""
    number = "" if column == 1 else str(column)
    (row, across), half = example.peak, example.window / 2
    return {
        "type": "rect",
        "xref": f"x{number}",
        "yref": f"y{number}",
        "x0": across - half - 0.5,
        "x1": across + half - 0.5,
        "y0": row - half - 0.5,
        "y1": row + half - 0.5,
        "line": {"color": PEAK_COLOUR, "width": 2},
    }
