"""The pictures of what was learned: the training, the sizes of latent that were tried, and the latents themselves."""

import html
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from calibration.spread import Plane
from models.sweep import LatentSweep
from models.trained import Checkpoint
from monitor.report.drawing import (
    CENTER_COLOUR,
    GROUP_COLOURS,
    GROUP_MARKERS,
    LIMIT_COLOUR,
    SCATTER_POINTS,
    SCORE_COLOUR,
    SECOND_COLOUR,
    TEXT_COLOUR,
    short_names,
    styled,
    thin_evenly,
    upright,
)

CIRCLE_SHARE: Final = 0.95
CIRCLE_RADIUS: Final = math.sqrt(-2 * math.log(1 - CIRCLE_SHARE))
"""Of whitened Gaussian latents, seen in any plane, CIRCLE_SHARE lie within: their squared radius is chi-squared."""

MARKS_MAX: Final = 60  # checkpoints that are drawn as points, not only as a line
SCALE_NAMES: Final = 8  # groups named beside a scale of colours
LEGEND: Final = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}


def kept(history: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint whose weights the bundle holds: the best on frames that it did not learn from, else the last."""
    stopping = [one for one in history if math.isfinite(one.held)]
    return min(stopping, key=lambda one: one.held) if stopping else history[-1]


def training(history: Sequence[Checkpoint]) -> go.Figure:
    """Loss by step on frames learned from and on those to stop by, and the step whose weights were kept."""
    steps = [one.step for one in history]
    figure = go.Figure()
    told: list[float] = []
    for name, values, colour in (
        ("frames learned from", [one.loss for one in history], SCORE_COLOUR),
        ("frames to stop by", [one.held for one in history], SECOND_COLOUR),
    ):
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            told += finite
            figure.add_scatter(x=steps, y=values, name=name, mode=_mode(len(steps)), line={"color": colour})
    chosen = kept(history)
    place = chosen.held if math.isfinite(chosen.held) else chosen.loss
    figure.add_vline(chosen.step, line={"color": LIMIT_COLOUR, "width": 1, "dash": "dot"})
    if math.isfinite(place):
        star = {"symbol": "star", "size": 13, "color": LIMIT_COLOUR}
        figure.add_scatter(
            x=[chosen.step], y=[place], name=f"weights used: step {chosen.step}", mode="markers", marker=star
        )
    figure.update_xaxes(title="optimiser step", rangemode="tozero")
    figure.update_yaxes(title="loss", **upright(told))
    figure.update_layout(legend=LEGEND)
    return styled(figure, height_px=320)


def sweep(found: LatentSweep) -> go.Figure:
    """Mean squared residual by size of latent, of networks and of principal components, with this bundle's size."""
    figure = go.Figure()
    told: list[float] = []
    for name, errors, colour, symbol in (
        ("principal components", found.pca, SECOND_COLOUR, "diamond"),
        ("network", found.network, SCORE_COLOUR, "circle"),
    ):
        drawn = [(size, error) for size, error in zip(found.sizes, errors, strict=True) if math.isfinite(error)]
        if drawn:
            sizes, values = zip(*drawn, strict=True)
            told += values
            marker = {"symbol": symbol, "size": 9, "color": colour}
            figure.add_scatter(
                x=sizes,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": colour},
                marker=marker,
                hovertemplate="latent %{x}<br>mean squared residual %{y:.4g}",
            )
    figure.add_vline(found.chosen, line={"color": LIMIT_COLOUR, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(found.chosen),
        y=1,
        yref="paper",
        xanchor="left",
        yanchor="top",
        xshift=4,
        text=f"{'this bundle' if found.given else 'chosen'}: {found.chosen}",
        showarrow=False,
        font={"color": LIMIT_COLOUR, "size": 11},
    )
    figure.update_xaxes(title="size of the latent", type="log", tickvals=list(found.sizes), ticktext=found.sizes)
    figure.update_yaxes(title="mean squared residual", **upright(told))
    figure.update_layout(legend=LEGEND)
    return styled(figure, height_px=320)


def shown_latents(starts: Sequence[tuple[int, str]], count: int) -> npt.NDArray[np.int64]:
    """Which of *count* held-out frames are drawn in the plane of latents: spread evenly over each group."""
    bounds = [*(first for first, _ in starts), count]
    lengths = np.diff(bounds)
    share = min(SCATTER_POINTS / max(count, 1), 1.0)
    picked = [
        first + thin_evenly(length, round(length * share))
        for first, length in zip(bounds, lengths.tolist(), strict=False)
        if length
    ]
    return np.concatenate(picked) if picked else np.zeros(0, np.int64)


def latents(plane: Plane, starts: Sequence[tuple[int, str]]) -> go.Figure:
    """The held-out frames' latents in their plane, coloured by group, about the mean of the training frames."""
    bounds = [*(first for first, _ in starts), len(plane.points)]
    shown = shown_latents(starts, len(plane.points))
    few = len(starts) <= len(GROUP_COLOURS)
    short = short_names([name for _, name in starts])
    figure = go.Figure()
    for number, (first, name) in enumerate(starts):
        mine = shown[(shown >= first) & (shown < bounds[number + 1])]
        points = plane.points[mine].astype(np.float32)
        figure.add_scatter(
            x=points[:, 0],
            y=points[:, 1],
            name=html.escape(short[number]),
            mode="markers",
            marker=_marker(number, len(mine), few),
            customdata=mine.astype(np.int32),
            hovertemplate=f"{html.escape(name)}<br>frame %{{customdata}} of the held-out ones<extra></extra>",
            showlegend=few,
        )
    _add_training_mean(figure, plane)
    figure.update_xaxes(title=f"first axis: {100 * plane.shares[0]:.3g} % of the variance")
    figure.update_yaxes(title=f"second axis: {100 * plane.shares[1]:.3g} % of the variance", scaleanchor="x")
    figure.update_layout(legend={"itemsizing": "constant"})
    if not few:
        figure.update_layout(coloraxis=_scale_of_groups(short), legend={"x": 0, "y": 1, "yanchor": "bottom"})
    return styled(figure, height_px=520)


def _add_training_mean(figure: go.Figure, plane: Plane) -> None:
    x, y = (float(place) for place in plane.origin)
    figure.add_shape(
        type="circle",
        x0=x - CIRCLE_RADIUS,
        x1=x + CIRCLE_RADIUS,
        y0=y - CIRCLE_RADIUS,
        y1=y + CIRCLE_RADIUS,
        line={"color": CENTER_COLOUR, "width": 1, "dash": "dash"},
    )
    cross = {"symbol": "x", "size": 15, "color": TEXT_COLOUR, "line": {"color": "white", "width": 2}}
    figure.add_scatter(
        x=[x], y=[y], name="training mean", mode="markers", marker=cross, hovertemplate="training mean<extra></extra>"
    )


def _marker(number: int, count: int, few: bool) -> dict[str, Any]:
    """Of group *number*: a colour and a shape of its own where groups are few, else its place on a scale of colours."""
    if few:
        return {"symbol": GROUP_MARKERS[number], "color": GROUP_COLOURS[number], "size": 6, "opacity": 0.65}
    return {"color": np.full(count, number + 1, np.int16), "coloraxis": "coloraxis", "size": 5, "opacity": 0.75}


def _scale_of_groups(names: Sequence[str]) -> dict[str, Any]:
    """A scale that all colour vision sees alike (cividis, Nunez, Anderton and Renslow 2018), in the groups' order."""
    named = thin_evenly(len(names), SCALE_NAMES)
    bar = {
        "title": {"text": "group, in order", "side": "right"},
        "tickvals": named + 1,
        "ticktext": [html.escape(names[number]) for number in named],
        "thickness": 12,
        "outlinewidth": 0,
    }
    return {"colorscale": "Cividis", "cmin": 1, "cmax": len(names), "colorbar": bar}


def _mode(count: int) -> str:
    return "lines+markers" if count <= MARKS_MAX else "lines"
