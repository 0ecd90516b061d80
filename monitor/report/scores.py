"""The pictures of one chart: how often each score came up, and the held-out frames in their order."""

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from calibration.kde import bandwidth
from calibration.spread import kernel_density
from monitor.report.data import Chart
from monitor.report.drawing import (
    BAND_COLOUR,
    CENTER_COLOUR,
    DENSITY_COLOUR,
    GROUP_SHADE,
    LIMIT_COLOUR,
    SCORE_COLOUR,
    SECOND_COLOUR,
    TOP_PX,
    log_ticks,
    short_names,
    styled,
    thin_by_extremes,
)

Floats = npt.NDArray[np.floating[Any]]

HISTOGRAM_BINS: Final = 60
DENSITY_POINTS: Final = 400
FEWEST: Final = 0.3
"""Frames at the foot of a histogram: below one, so that a single frame still has a bar."""

LOG_REACH: Final = 30.0
"""Medians that the largest score may lie away before its axis turns logarithmic: all others would be one line."""

PLOT_PX: Final = 560  # of the frames' axis, on a wide screen
HEIGHT_PX: Final = 300
LETTER_PX: Final = 6.0
LINE_PX: Final = 12.0

SCORE_TITLE: Final = "score (high: unlike normal frames)"

AxisKind = Literal["linear", "log"]


def histogram(chart: Chart) -> go.Figure:
    """How often each score came up, on a logarithmic scale that shows the tail, under the density of its kernels."""
    scores = _finite(chart)
    kind = axis_kind(scores)
    edges = _edges(scores, chart, kind)
    counts, _ = np.histogram(scores, edges)
    figure = go.Figure(
        go.Bar(
            x=((edges[:-1] + edges[1:]) / 2),
            y=counts,
            width=np.diff(edges),
            marker={"color": SCORE_COLOUR, "opacity": 0.75, "line": {"width": 0}},
            hovertemplate="score %{x:.4g}<br>%{y} frames<extra></extra>",
        )
    )
    drawn = has_density(chart)
    if drawn:
        at, expected = _expected(scores, edges, kind)
        figure.add_scatter(
            x=at.astype(np.float32),
            y=expected.astype(np.float32),
            mode="lines",
            line={"color": DENSITY_COLOUR, "width": 1.5},
            hovertemplate="score %{x:.4g}<br>density: %{y:.3g} frames a bar<extra></extra>",
        )
    top = math.log10(max(float(counts.max()), 1.0) * 2)
    figure.update_layout(shapes=_marks(chart, "x"), annotations=[_limit_name(chart, "x", kind)], showlegend=False)
    figure.update_yaxes(type="log", title="frames a bar", range=[math.log10(FEWEST), top], dtick=1)
    figure.update_xaxes(title=SCORE_TITLE, range=_span(edges, kind), **_axis(kind, edges))
    return styled(figure, height_px=HEIGHT_PX)


def has_density(chart: Chart) -> bool:
    """Whether the density can be drawn: of scores that are nearly all alike it is a needle."""
    scores = _finite(chart)
    edges = _edges(scores, chart, axis_kind(scores))
    return bandwidth(scores.astype(np.float64)) > float(np.diff(edges).min()) * HISTOGRAM_BINS / DENSITY_POINTS / 2


def axis_kind(scores: Floats) -> AxisKind:
    """Logarithmic where a linear axis would be all taken by the largest of finite *scores* (n,)."""
    return "log" if scores.min() > 0 and scores.max() > LOG_REACH * np.median(scores) else "linear"


def over_frames(chart: Chart, starts: Sequence[tuple[int, str]]) -> go.Figure:
    """The held-out frames' scores in order, with the limit; *starts*: first frame and name of each group."""
    known = np.flatnonzero(np.isfinite(chart.scores))
    kept, values = thin_by_extremes(chart.scores[known])
    positions = known[kept]
    bounds = [*(first for first, _ in starts), len(chart.scores)]
    figure = go.Figure()
    for (first, last), (_, name) in zip(itertools.pairwise(bounds), starts, strict=True):
        mine = (positions >= first) & (positions < last)
        figure.add_trace(
            go.Scatter(
                x=positions[mine].astype(np.int32),
                y=values[mine].astype(np.float32),
                name=html.escape(name),
                mode="lines" if mine.sum() > 1 else "markers",
                line={"color": SCORE_COLOUR, "width": 1},
                hovertemplate="frame %{x} of the held-out ones<br>score %{y:.4g}",
            )
        )
    names = names_above(starts, len(chart.scores))
    # Upright names stand as high as they are long.
    upright = [int(len(name["text"]) * LETTER_PX) for name in names if name["textangle"]]
    top_px = max(TOP_PX, 8 + max(upright, default=0))
    shades = [_shade(*stretch) for stretch in list(itertools.pairwise(bounds))[1::2]]
    kind = axis_kind(chart.scores[known])
    figure.update_layout(
        shapes=[*shades, *_marks(chart, "y")],
        annotations=[*names, _limit_name(chart, "y", kind)],
        showlegend=False,
    )
    figure.update_xaxes(title="held-out frame, in order", range=[-0.5, len(chart.scores) - 0.5], showgrid=False)
    figure.update_yaxes(title=SCORE_TITLE, **_axis(kind, chart.scores[known]))
    return styled(figure, HEIGHT_PX + top_px - TOP_PX, top_px)


def _finite(chart: Chart) -> Floats:
    return chart.scores[np.isfinite(chart.scores)]


def _edges(scores: Floats, chart: Chart, kind: AxisKind) -> Floats:
    """Borders of the bars: over all scores and the limit with its interval."""
    ends = [float(scores.min()), float(scores.max()), *_finite_limits(chart)]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    if kind == "log" and low > 0:
        return np.geomspace(low * 0.999, high * 1.001, HISTOGRAM_BINS + 1)
    return np.linspace(low, high, HISTOGRAM_BINS + 1)


def _finite_limits(chart: Chart) -> list[float]:
    ends = (chart.limit, chart.limit_high, float(np.max(chart.held, initial=-np.inf)))
    return [end for end in ends if math.isfinite(end)]


def _expected(scores: Floats, edges: Floats, kind: AxisKind) -> tuple[Floats, Floats]:
    """Places along the axis, and the frames that the density expects in a bar there."""
    if kind == "log":
        at = np.geomspace(edges[0], edges[-1], DENSITY_POINTS)
        width = at * math.log(edges[1] / edges[0])
    else:
        at = np.linspace(edges[0], edges[-1], DENSITY_POINTS)
        width = np.full(DENSITY_POINTS, edges[1] - edges[0])
    expected = len(scores) * kernel_density(scores, at) * width
    drawn = expected > FEWEST / 100  # far below the foot a logarithm serves nobody
    drawn &= width * HISTOGRAM_BINS / DENSITY_POINTS < bandwidth(scores.astype(np.float64))  # else kernels are needles
    return at, np.where(drawn, expected, np.nan)


def _axis(kind: AxisKind, values: Floats) -> dict[str, Any]:
    return {"type": kind, **(log_ticks(float(values.min()), float(values.max())) if kind == "log" else {})}


def _span(edges: Floats, kind: AxisKind) -> list[float]:
    ends = np.log10(edges[[0, -1]]) if kind == "log" else edges[[0, -1]]
    margin = 0.03 * float(ends[1] - ends[0])
    return [float(ends[0]) - margin, float(ends[1]) + margin]


def _marks(chart: Chart, along: Literal["x", "y"]) -> list[dict[str, Any]]:
    """Center, limit and the limit's interval across the picture, each where it is finite.

    Built in one go: adding shapes one by one costs plotly seconds. Of several limits each is drawn for the frames that
    it holds for, without intervals: those are in the table of limits.
    """
    found: list[dict[str, Any]] = []
    several = chart.several_limits
    if chart.has_interval:
        band = _across(along, chart.limit_low, chart.limit_high)
        found.append({**band, "type": "rect", "fillcolor": BAND_COLOUR, "line": {"width": 0}, "layer": "below"})
    if math.isfinite(chart.center):
        line = {"color": CENTER_COLOUR, "width": 1, "dash": "dot"}
        found.append({**_across(along, chart.center, chart.center), "type": "line", "line": line})
    if math.isfinite(chart.warning):
        line = {"color": SECOND_COLOUR, "width": 1.5, "dash": "dash"}
        found.append({**_across(along, chart.warning, chart.warning), "type": "line", "line": line})
    line = {"color": LIMIT_COLOUR, "width": 1.5}
    if several and along == "y":
        return found + [{**stretch, "type": "line", "line": line} for stretch in _steps(chart.held)]
    limits = np.unique(chart.held).tolist() if several else [chart.limit]
    return found + [
        {**_across(along, limit, limit), "type": "line", "line": line} for limit in limits if math.isfinite(limit)
    ]


def _steps(held: Floats) -> list[dict[str, Any]]:
    """Each run of equal limits among *held* (n,), as the ends of a line over its frames."""
    borders = [0, *(np.flatnonzero(np.diff(held)) + 1).tolist(), len(held)]
    return [
        {"x0": first - 0.5, "x1": last - 0.5, "y0": float(held[first]), "y1": float(held[first])}
        for first, last in itertools.pairwise(borders)
        if math.isfinite(held[first])
    ]


def _across(along: Literal["x", "y"], first: float, last: float) -> dict[str, Any]:
    """A stretch of one axis, over the whole of the other."""
    other = "y" if along == "x" else "x"
    return {f"{along}0": first, f"{along}1": last, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}


def _limit_name(chart: Chart, along: Literal["x", "y"], kind: AxisKind) -> dict[str, Any]:
    # Unlike shapes, annotations on a logarithmic axis are placed by the logarithm.
    place = math.log10(chart.limit) if kind == "log" and chart.limit > 0 else chart.limit
    named: dict[str, Any] = {"text": "limit", "showarrow": False, "font": {"size": 11, "color": LIMIT_COLOUR}}
    named["bgcolor"] = "rgba(255, 255, 255, 0.7)"
    if not math.isfinite(place) or chart.several_limits:
        return {**named, "visible": False}
    if along == "x":
        return {**named, "x": place, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "center"}
    return {**named, "y": place, "x": 1, "xref": "paper", "yanchor": "middle", "xanchor": "left"}


def _shade(first: int, last: int) -> dict[str, Any]:
    shade = {"type": "rect", "fillcolor": GROUP_SHADE, "line": {"width": 0}, "layer": "below"}
    return {**shade, **_across("x", first - 0.5, last - 0.5)}


def names_above(starts: Sequence[tuple[int, str]], count: int) -> list[dict[str, Any]]:
    """The groups' names above their stretches of *count* frames: level where all fit, else upright.

    Of upright names that would touch, the later one is left out: the curve tells the name of its group when pointed at.
    """
    names = [name for _, name in starts]
    short = short_names(names)
    stretches = list(itertools.pairwise([*(first for first, _ in starts), count]))
    px = PLOT_PX / max(count, 1)
    level = all(
        (len(name) + 1) * LETTER_PX <= (last - first) * px for name, (first, last) in zip(short, stretches, strict=True)
    )
    found, free_from = [], -math.inf
    for name, whole, (first, last) in zip(short, names, stretches, strict=True):
        middle = (first + last - 1) / 2
        if not level and middle * px < free_from:
            continue
        free_from = middle * px + LINE_PX
        found.append(_name(name, whole, middle, 0 if level else -90))
    return found


def _name(short: str, whole: str, middle: float, angle: int) -> dict[str, Any]:
    return {
        "x": middle,
        "y": 1.0,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "center",
        "text": html.escape(short),
        "hovertext": html.escape(whole),
        "textangle": angle,
        "showarrow": False,
        "font": {"size": 10, "color": CENTER_COLOUR},
    }
