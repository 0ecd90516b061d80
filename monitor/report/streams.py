"""The pictures of a stream: its blocks' extremes, how long it remembers, and how soon a shift of it is seen."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from calibration import seen_rates, shifted
from calibration.budget import event_levels
from calibration.shifted import Median
from monitor.report.data import Correlation, Delays, Promise
from monitor.report.drawing import (
    BAND_COLOUR,
    CENTER_COLOUR,
    DENSITY_COLOUR,
    LIMIT_COLOUR,
    SCORE_COLOUR,
    SECOND_COLOUR,
    SERIES_POINTS,
    log_ticks,
    styled,
    thin_by_extremes,
)
from monitor.report.units import two_digits

Floats = npt.NDArray[np.floating[Any]]

RARITY: Final = "joint score, decades of rarity"
CHART_COLOURS: Final = {shifted.ALL: DENSITY_COLOUR, shifted.T2: SCORE_COLOUR, shifted.MEWMA: SECOND_COLOUR}
LEGEND: Final = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}
HEIGHT_PX: Final = 320
MARKS_MAX: Final = 400  # blocks that are drawn as points, not as a line
NOISE: Final = 1.96  # standard deviations that a correlation of independent frames stays within, of 95 %
MS: Final = 1000.0
ROOM: Final = 3.0  # that a picture of shares reaches below the least of them
SLIGHTLY: Final = 0.018  # that shifts are drawn beside each other, not on each other


def extremes(promise: Promise) -> go.Figure:
    """The highest event statistic of every block in order, with the action limit, its interval and the warning "
    "limit."""
    budget = promise.budget
    positions, values = thin_by_extremes(np.array(budget.extremes))
    few = len(budget.extremes) <= MARKS_MAX
    figure = go.Figure(
        go.Scatter(
            x=positions + 1,
            y=values.astype(np.float32),
            mode="lines+markers" if few else "lines",
            line={"color": SCORE_COLOUR, "width": 1},
            marker={"size": 5},
            hovertemplate="block %{x}<br>%{y:.3f} decades<extra></extra>",
        )
    )
    band = _across("y", budget.low, budget.high)
    shapes = [
        {**band, "type": "rect", "fillcolor": BAND_COLOUR, "line": {"width": 0}, "layer": "below"},
        {**_across("y", budget.action, budget.action), "type": "line", "line": {"color": LIMIT_COLOUR, "width": 1.5}},
        {**_across("y", budget.warning, budget.warning), "type": "line", "line": _dashed(SECOND_COLOUR)},
    ]
    names = [_beside(budget.action, "action", LIMIT_COLOUR), _beside(budget.warning, "warning", SECOND_COLOUR)]
    if abs(budget.action - budget.warning) < 0.06 * (max(budget.high, *budget.extremes) - min(budget.extremes)):
        names[0]["yanchor"], names[1]["yanchor"] = "bottom", "top"
    figure.update_layout(shapes=shapes, annotations=names, showlegend=False)
    figure.update_xaxes(title="block of the clean stream, in order", range=[0, len(budget.extremes) + 1])
    figure.update_yaxes(title=RARITY)
    figure = styled(figure, HEIGHT_PX)
    figure.update_layout(margin={"r": 58})
    return figure


def survival(promise: Promise) -> go.Figure:
    """Events above a level, as a share of blocks, and those that the budget lets through: there the limit is read."""
    budget = promise.budget
    block_hours = budget.hours / budget.blocks
    falling = event_levels(np.array(budget.extremes), budget.extremes_frames <= budget.block_frames)
    shares = np.arange(1, len(falling) + 1) / (len(budget.extremes) + 1)
    meant = budget.per_hour * block_hours
    kept = np.unique(np.geomspace(1, len(falling), SERIES_POINTS).astype(np.int64)) - 1
    figure = go.Figure()
    figure.add_scatter(
        x=falling[kept].astype(np.float32),
        y=shares[kept],
        name="blocks of the clean stream",
        mode="lines",
        line={"color": SCORE_COLOUR, "shape": "vh"},
        customdata=shares[kept] / block_hours,
        hovertemplate="above %{x:.3f} decades<br>%{y:.3g} of blocks<br>%{customdata:.3g} events an hour<extra></extra>",
    )
    level, low = promise.groups_level, min(meant, shares[0]) / ROOM
    tail = seen_rates.falling(budget.extremes)
    if level > falling[0] and tail.spread > 0:
        reach = tail.threshold + tail.spread * math.log(tail.share / low)
        figure.add_scatter(
            x=[tail.threshold, reach], y=[tail.share, low], mode="lines", line=_dashed(DENSITY_COLOUR), hoverinfo="skip"
        )
    read = {"symbol": "circle-open", "size": 11, "color": LIMIT_COLOUR, "line": {"width": 2}}
    figure.add_scatter(x=[level], y=[meant], name="read here", mode="markers", marker=read)
    shapes = [
        {
            **_across("x", budget.low, budget.high),
            "type": "rect",
            "fillcolor": BAND_COLOUR,
            "line": {"width": 0},
            "layer": "below",
        },
        {**_across("x", budget.action, budget.action), "type": "line", "line": {"color": LIMIT_COLOUR, "width": 1.5}},
        {**_across("y", meant, meant), "type": "line", "line": _dashed(CENTER_COLOUR)},
    ]
    budgeted = {"x": 0, "xref": "paper", "xanchor": "left", "y": math.log10(meant), "yanchor": "bottom"}
    names = [
        {
            **budgeted,
            "text": f"budget: {two_digits(budget.per_hour)} an hour",
            "showarrow": False,
            "font": _small(CENTER_COLOUR),
        },
        _above(budget.action, "action"),
    ]
    figure.update_layout(shapes=shapes, annotations=names, showlegend=False)
    figure.update_xaxes(title=RARITY)
    figure.update_yaxes(
        title="events above, of all blocks", type="log", range=[math.log10(low), 0.05], dtick=1, tickformat="~g"
    )
    return styled(figure, HEIGHT_PX)


def correlation(shown: Correlation) -> go.Figure:
    """The autocorrelation of the joint score, with the dead time and what independent frames would show."""
    found, rate = shown.found, shown.rate_hz
    lags = np.arange(len(found.correlation))
    known = math.isfinite(rate)
    at = lags / rate * MS if known else lags
    noise = NOISE / np.sqrt(found.pairs)
    figure = go.Figure()
    for sign in (1, -1):
        figure.add_scatter(
            x=at[1:], y=sign * noise[1:], mode="lines", line={**_dashed(CENTER_COLOUR), "width": 1}, hoverinfo="skip"
        )
    figure.add_scatter(
        x=at[1:],
        y=found.correlation[1:].astype(np.float32),
        mode="lines",
        line={"color": SCORE_COLOUR, "width": 1.5},
        customdata=lags[1:],
        hovertemplate="%{customdata} frames apart<br>correlation %{y:.3f}<extra></extra>",
    )
    if 0 < shown.dead_time < len(lags):
        place = float(at[shown.dead_time])
        line = {
            **_across("x", place, place),
            "type": "line",
            "line": {"color": LIMIT_COLOUR, "width": 1, "dash": "dot"},
        }
        figure.update_layout(shapes=[line], annotations=[_above(place, "dead time")])
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="time between two frames, ms" if known else "frames between two", rangemode="tozero")
    figure.update_yaxes(title="autocorrelation of the joint score", zeroline=True, zerolinecolor=CENTER_COLOUR)
    return styled(figure, HEIGHT_PX - 40)


def delays(shown: Delays) -> go.Figure:
    """Seconds to the first event by shift, as measured with each set of charts, and as the theory has it."""
    figure = go.Figure()
    told: list[float] = []
    for number, (name, medians) in enumerate(shown.measured.items()):
        beside = 1 + SLIGHTLY * (number - (len(shown.measured) - 1) / 2)
        pairs = list(zip(shown.shifts, medians, strict=True))
        told += _add_unseen(figure, name, [pair for pair in pairs if math.isinf(pair[1].frames)], beside, shown.rate_hz)
        middle, low, high = _finite(np.array([one[:3] for one in medians]).T) / shown.rate_hz
        below, above = np.nan_to_num(middle - low), np.nan_to_num(high - middle)
        told += [*(middle - below), *(middle + above)]
        figure.add_scatter(
            x=[shift * beside for shift in shown.shifts],
            y=middle,
            error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2},
            name=f"{name}, measured",
            mode="lines+markers",
            line={"color": CHART_COLOURS[name], "width": 1},
            marker={"size": 7},
            customdata=[(shift, one.unseen, one.runs) for shift, one in pairs],
            hovertemplate="shift %{customdata[0]:g}<br>half seen within %{y:.3g} s<br>%{customdata[1]} of "
            "%{customdata[2]} runs ended without an event",
        )
    for name, frames in shown.theory.items():
        seconds = _finite(frames) / shown.rate_hz
        told += seconds.tolist()
        figure.add_scatter(
            x=shown.shifts,
            y=seconds,
            name=f"{name}, theory for independent Gaussian frames",
            mode="lines",
            line=_dashed(CHART_COLOURS[name]),
            hovertemplate="shift %{x:g}<br>%{y:.3g} s",
        )
    known = [seconds for seconds in told if seconds > 0]
    ticks = log_ticks(min(known), max(known)) if known else {}
    figure.update_layout(legend=LEGEND, showlegend=True)
    figure.update_xaxes(
        title="shift of the latents, standard deviations (Mahalanobis distance)",
        type="log",
        tickvals=shown.shifts,
        ticktext=[f"{shift:g}" for shift in shown.shifts],
    )
    figure.update_yaxes(title="time to the first event, s", type="log", **ticks)
    return styled(figure, HEIGHT_PX + 40, top_px=48)


def _finite(frames: Floats) -> Floats:
    """*frames* with NaN, which is not drawn, for what is infinite."""
    return np.where(np.isfinite(frames), frames, np.nan)


def _add_unseen(
    figure: go.Figure, name: str, unseen: Sequence[tuple[float, Median]], beside: float, rate_hz: float
) -> list[float]:
    """Marks at the times (s) for which shifts that most runs did not see were watched, which are given back."""
    seconds = [one.watched / rate_hz for _, one in unseen]
    figure.add_scatter(
        x=[shift * beside for shift, _ in unseen],
        y=seconds,
        mode="markers",
        marker={"symbol": "triangle-up-open", "size": 9, "color": CHART_COLOURS[name]},
        name=f"{name}, longer than",
        showlegend=False,
        customdata=[(shift, one.unseen, one.runs) for shift, one in unseen],
        hovertemplate="shift %{customdata[0]:g}<br>longer than %{y:.3g} s<br>%{customdata[1]} of %{customdata[2]} runs "
        "ended without an event",
    )
    return seconds


def _across(along: str, first: float, last: float) -> dict[str, Any]:
    """A stretch of one axis, over the whole of the other."""
    other = "y" if along == "x" else "x"
    return {f"{along}0": first, f"{along}1": last, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}


def _beside(level: float, name: str, colour: str) -> dict[str, Any]:
    place = {"x": 1, "xref": "paper", "xanchor": "left", "y": level, "yanchor": "middle"}
    return {**place, "text": name, "showarrow": False, "font": _small(colour)}


def _above(place: float, name: str) -> dict[str, Any]:
    above = {"x": place, "y": 1, "yref": "paper", "yanchor": "bottom"}
    return {**above, "text": name, "showarrow": False, "font": _small(LIMIT_COLOUR)}


def _dashed(colour: str) -> dict[str, Any]:
    return {"color": colour, "width": 1.5, "dash": "dash"}


def _small(colour: str) -> dict[str, Any]:
    return {"size": 11, "color": colour}
