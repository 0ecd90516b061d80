"""Arrays to the pictures of the calibration report. Long series and large frames are thinned before they are drawn."""

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

Floats = npt.NDArray[np.floating[Any]]

SERIES_POINTS: Final = 3000
"""Most points drawn of one series: beyond that, the smallest and largest of each bin stand for it."""

HISTOGRAM_BINS: Final = 80
IMAGE_SIDE_PX: Final = 160
"""Longest side of a frame in the report: larger ones are averaged in blocks."""

NAMED_GROUPS: Final = 12
"""Up to this many groups are named over a chart; more names would cover each other."""

NAME_LETTERS: Final = 18

SCORE_COLOUR: Final = "#4f7396"
LIMIT_COLOUR: Final = "#b4483f"
CENTER_COLOUR: Final = "#6b7a70"
BAND_COLOUR: Final = "rgba(180, 72, 63, 0.13)"
BOUNDARY_COLOUR: Final = "#7d8790"
TEXT_COLOUR: Final = "#2d3338"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


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


def shrink(frame: npt.NDArray[Any], side_px: int = IMAGE_SIDE_PX) -> Floats:
    """*frame* (h, w) averaged in the smallest square blocks that leave no side above *side_px*."""
    block = math.ceil(max(frame.shape) / side_px)
    height, width = (side // block * block for side in frame.shape)
    cut = frame[:height, :width].astype(np.float32)
    blocks: Floats = cut.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    return blocks


def histogram(scores: Floats, center: float, limit: float, low: float, high: float) -> go.Figure:
    """How often each score came up among the held-out frames, on a logarithmic scale that shows the tail."""
    ends = [float(scores.min()), float(scores.max()), *(v for v in (limit, high) if math.isfinite(v))]
    counts, edges = np.histogram(scores, HISTOGRAM_BINS, (min(ends), max(ends) or 1.0))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=edges[1:] - edges[:-1],
            marker={"color": SCORE_COLOUR, "line": {"width": 0}},
            hovertemplate="score %{x:.4g}<br>%{y} frames<extra></extra>",
        )
    )
    _mark(figure.add_vline, figure.add_vrect, center, limit, low, high)
    figure.update_yaxes(type="log", title="frames", dtick=1)
    figure.update_xaxes(title="score")
    return _styled(figure, height_px=260)


def over_frames(
    scores: Floats,
    center: float,
    limit: float,
    low: float,
    high: float,
    boundaries: Sequence[tuple[int, str]],
) -> go.Figure:
    """The held-out frames' scores in order, with the limit; *boundaries*: first frame and name of each group."""
    positions, values = thin_by_extremes(scores)
    figure = go.Figure(
        go.Scatter(
            x=positions,
            y=values,
            mode="lines",
            line={"color": SCORE_COLOUR, "width": 1},
            hovertemplate="frame %{x}<br>score %{y:.4g}<extra></extra>",
        )
    )
    _mark(figure.add_hline, figure.add_hrect, center, limit, low, high)
    for number, (first, name) in enumerate(boundaries):
        if number:
            figure.add_vline(first - 0.5, line={"color": BOUNDARY_COLOUR, "width": 1})
        if len(boundaries) <= NAMED_GROUPS:
            _name_group(figure, first, name)
    figure.update_xaxes(title="held-out frame, in order")
    figure.update_yaxes(title="score")
    return _styled(figure, height_px=300)


def losses(per_epoch: Sequence[float]) -> go.Figure:
    """Training loss after each epoch."""
    positions, values = thin_by_extremes(np.asarray(per_epoch, float))
    figure = go.Figure(
        go.Scatter(x=positions + 1, y=values, mode="lines+markers", line={"color": SCORE_COLOUR}, marker={"size": 4})
    )
    figure.update_xaxes(title="epoch")
    # A loss of zero or below has no logarithm.
    figure.update_yaxes(title="loss", type="log" if len(values) and values.min() > 0 else "linear", exponentformat="e")
    return _styled(figure, height_px=260)


def triplet(original: npt.NDArray[Any], reconstruction: npt.NDArray[Any], residual: npt.NDArray[Any]) -> go.Figure:
    """A frame, what the network made of it, and the difference: each (h, w). The first two share their scale."""
    first, second, third = shrink(original), shrink(reconstruction), shrink(residual)
    grey = {"zmin": float(first.min()), "zmax": float(max(first.max(), first.min() + 1e-6)), "colorscale": "Gray"}
    reach = float(np.abs(third).max()) or 1.0
    signed = {"zmin": -reach, "zmax": reach, "colorscale": "RdBu", "reversescale": True}
    figure = make_subplots(1, 3, subplot_titles=("frame", "reconstruction", "residual"), horizontal_spacing=0.03)
    for column, (image, scale) in enumerate(((first, grey), (second, grey), (third, signed)), start=1):
        bar = {"thickness": 8, "outlinewidth": 0, "len": 0.9} if column == 3 else None
        figure.add_trace(
            go.Heatmap(
                z=image,
                showscale=column == 3,
                colorbar=bar,
                hovertemplate="row %{y}, column %{x}<br>%{z:.4g}<extra></extra>",
                **scale,
            ),
            1,
            column,
        )
        # Rows count downwards, and pixels are square.
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(autorange="reversed", scaleanchor=anchor, constrain="domain", row=1, col=column)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False)
    return _styled(figure, height_px=270)


def _mark(add_line: Any, add_band: Any, center: float, limit: float, low: float, high: float) -> None:
    """Draws center, limit and the limit's interval, each where it is finite."""
    if math.isfinite(low) and math.isfinite(high):
        add_band(low, high, fillcolor=BAND_COLOUR, line={"width": 0}, layer="below")
    if math.isfinite(center):
        add_line(center, line={"color": CENTER_COLOUR, "width": 1, "dash": "dot"})
    if math.isfinite(limit):
        add_line(limit, line={"color": LIMIT_COLOUR, "width": 1.5}, annotation={"text": "limit", "font_size": 11})


def _name_group(figure: go.Figure, first: int, name: str) -> None:
    last = name.rstrip("/").rpartition("/")[2] or name
    short = last if len(last) <= NAME_LETTERS else f"{last[: NAME_LETTERS - 1]}…"
    figure.add_annotation(
        x=first,
        y=1.0,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=html.escape(short),
        hovertext=html.escape(name),
        showarrow=False,
        font={"size": 10, "color": CENTER_COLOUR},
    )


def _styled(figure: go.Figure, height_px: int) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height_px,
        margin={"l": 60, "r": 20, "t": 28, "b": 40},
        font={"family": FONT, "size": 12, "color": TEXT_COLOUR},
        showlegend=False,
        bargap=0,
    )
    return figure
