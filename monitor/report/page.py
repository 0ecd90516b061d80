"""The page: warnings first, then what decides, then what it rests on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from models.sweep import LatentSweep, MeasuredOn
from models.trained import Checkpoint
from monitor.markup import (
    POLICY,
    STYLE,
    Cell,
    card,
    folded,
    name,
    number,
    paragraphs,
    quiet,
    strip,
    table,
    text,
    word,
)
from monitor.report import drawing, evidence, frames, learning, scores
from monitor.report.data import JOINT, WARNING, Chart, Group, ReportData, Table
from monitor.report.history import earlier_limits
from monitor.report.promise import promise, rates_seen
from monitor.report.summary import judgement, summary
from monitor.report.units import share

CHART_MEANS: Final = {
    "t2": "how unusual the frame is among those that the network can describe",
    "s2": "how much of the frame the network cannot describe, over all pixels",
    "offset": "how far the frame as a whole is brighter or darker than its reconstruction",
    "local": "the worst small region of the residual",
    "mewma": "a slow shift of the frames, too small to see in any one of them",
    JOINT: "the most extreme of all charts, on one scale: how rare its score is, over how rare the limit is. "
    "This decides: a frame above 1 is an exceedance, and the chart that is rarest names its source",
}

MEASURED_ON: Final[Mapping[MeasuredOn, str]] = {
    "held out": "frames that no network here learned from or was stopped by",
    "chose the weights": "the frames that said when to stop, and so which weights were kept: the network draws them a "
    "little better than frames that it never knew",
    "last of training": "the last training frames, since there were too few to keep any from training: what is left of "
    "them is too little, and most so for large sizes",
}

FINDS_OR_LEAVES: Final = (
    "Why not simply principal components, which leave less here? The network is judged by what it finds, not by what "
    "it leaves of normal frames, and it learns to draw them without their noise. On simulated melt pools, simulated "
    "STEM images and one recorded micrograph, the network's charts ranked anomalous frames above normal ones more "
    "often than the charts of as many components of the frames as they came, over all kinds of anomaly together; some "
    "single kinds were ranked no better (docs/detection.md). On that micrograph a linear network with a larger latent "
    "was better still (docs/networks.md). For this camera only its own anomalous frames can tell: framewatch evaluate."
)

FAR_OVER: Final = 3.0  # times the rate asked for: shares of groups above that stand out,
FEW_FRAMES: Final = 3  # if they are of so many frames: of a short group, a single one may be that share
SHA_DIGITS: Final = 12
GROUPS_FIRST: Final = 12  # shown at once

FRAMES_ABOVE: Final = (
    "Frames above: how many single in-control frames are meant to lie above, by the tail of the chart's own scores; of "
    "any chart, where limits are per frame. Independent frames: how many would say as much as those that set the limit."
)

BARE: Final = {"displayModeBar": False, "responsive": True}  # the buttons would cover the headings


def render(data: ReportData) -> str:
    """The report as one HTML text."""
    pictures = _Pictures()
    parts = [
        f"<h1>{text(data.title)}</h1>",
        f'<p class="quiet">Camera settings: {text(data.camera_settings)} · calibrated {text(data.created)}</p>',
        *([] if data.promise is None else [promise(data.promise)]),
        _warnings(data.warnings),
        card(paragraphs(summary(data))),
        *([] if data.promise is None else rates_seen(data.promise)),
        *([] if data.promise is None else evidence.blocks(data.promise, pictures.html)),
        *evidence.suspects(data.segments),
        *_charts(data, pictures),
        *evidence.memory(data.correlation, pictures.html),
        *([] if data.promise is None else evidence.delays(data.promise.delays, pictures.html)),
        *_groups(data),
        *_latents(data, pictures),
        *_examples(data, pictures),
        *_training(data.history, pictures),
        *_sweep(data.sweep, pictures),
        *_limits(data.limits),
        *earlier_limits(data.earlier),
        *_settings(data.settings),
        *_sources(data.groups),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(data.title)}</title>\n<style>{STYLE}</style>\n<script>{get_plotlyjs()}</script>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


class _Pictures:
    """Turns figures into HTML, each with an identity of its own; the script they need is in the page once."""

    def __init__(self) -> None:
        self._count = 0

    def html(self, figure: go.Figure) -> str:
        self._count += 1
        return str(
            figure.to_html(full_html=False, include_plotlyjs=False, config=BARE, div_id=f"picture-{self._count}")
        )


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return '<div class="card good">Nothing to warn of.</div>'
    items = "".join(f"<li>{text(warning)}</li>" for warning in warnings)
    return f'<div class="card warnings"><h3>Before this bundle is used</h3><ul>{items}</ul></div>'


def _charts(data: ReportData, pictures: _Pictures) -> Iterable[str]:
    if not data.charts:
        return
    yield "<h2>Charts on held-out frames</h2>"
    notes = [
        "Left: how often each score came up (logarithmic), with the density of kernels about the scores. Right: the "
        "frames in their order; shading separates groups. The higher a score, the less the frame is like normal ones. "
        f"Red is the {_of_limit(data)}, dotted the median."
    ]
    named = len(scores.names_above(data.starts, len(data.charts[0].scores)))
    if named < len(data.starts):
        notes.append(f"{named} of {len(data.starts)} groups' names fit; the curve tells any of them when pointed at.")
    yield quiet(notes)
    for chart in data.charts:
        yield card(_chart(chart, data.starts, pictures))


def _of_limit(data: ReportData) -> str:
    """What is to be said of the limits in the pictures of the charts."""
    told = "limit" if data.promise is None else "action limit"
    if any(chart.has_interval for chart in data.charts):
        told += " with its 90 % interval"
    elif any(chart.extrapolated for chart in data.charts):
        told += ", without an interval: none can be known"
    return told if data.promise is None else f"{told}, dashed the warning limit of the joint score"


def _chart(chart: Chart, starts: Sequence[tuple[int, str]], pictures: _Pictures) -> str:
    means = CHART_MEANS.get(chart.name, "")
    head = f'<h3>{text(chart.name)}</h3><p class="quiet">{text(means)}</p>'
    known = int(np.isfinite(chart.scores).sum())
    if not known:
        return f"{head}<p>There are no scores to show.</p>"
    left = pictures.html(scores.histogram(chart))
    right = pictures.html(scores.over_frames(chart, starts))
    notes = [judgement(chart)]
    if scores.axis_kind(chart.scores[np.isfinite(chart.scores)]) == "log":
        notes.append(
            "Scores are drawn on a logarithmic axis: the largest is far from the others. The density is left out where "
            "its kernels would be needles."
        )
    if not scores.has_density(chart):
        notes.append("The scores are too much alike for a density to be drawn.")
    if known > drawing.SERIES_POINTS:
        notes.append(
            f"{known:,} scores are drawn as the smallest and largest of each of "
            f"{drawing.SERIES_POINTS // 2:,} stretches, so no peak is missing."
        )
    if known < len(chart.scores):
        notes.append(f"{len(chart.scores) - known:,} scores are not finite and are left out.")
    return f'<div class="pair"><div>{head}{left}</div><div>{right}</div></div>{quiet(notes)}'


def _groups(data: ReportData) -> Iterable[str]:
    held = [group for group in data.groups if group.role == "held-out"]
    if not held:
        return
    limits = [*([] if data.promise is None else [WARNING]), *(chart.name for chart in data.charts)]
    folder = drawing.common_folder([group.name for group in held])
    stated = any(group.context for group in held)
    longest = max([1.2, *(1.05 * group.quantiles[-1] for group in held if group.quantiles)])
    head = [
        word(f"held-out group in {folder}" if folder else "held-out group"),
        number("frames"),
        *([word("context")] if stated else []),
        *(number(f"over {limit}") for limit in limits),
        number("if new"),
        number("5, 50, 95 % of joint"),
        word(f"0 to {longest:.3g}, limit 1"),
    ]
    yield "<h2>Held-out groups</h2>"
    yield quiet(
        [
            "Shares of each group's frames over the limit of each chart; those of the joint score are the ones that "
            f"count. If new: its share over a joint {'' if data.promise is None else 'warning '}limit set by the other "
            f"groups alone. Bold red: at least {FEW_FRAMES} frames, and over {FAR_OVER:g} times the rate asked for"
            f"{'' if data.promise is None else ' for the warning limit'}. Strips: 5 to 95 % of the group's joint "
            "scores, its median, and the limit in red; the groups that reach highest come first."
        ]
    )
    far = FAR_OVER * data.false_alarm_rate
    rows = [
        [
            name(group.name[len(folder) :]),
            number(f"{group.frames:,}"),
            *([word(group.context)] if stated else []),
            *_fare(group, limits, far, longest),
        ]
        for group in sorted(held, key=_height)
    ]
    more = rows[GROUPS_FIRST:]
    yield card(table(head, rows[:GROUPS_FIRST]) + (folded(f"{len(more)} more", table(head, more)) if more else ""))


def _height(group: Group) -> float:
    """Groups are shown by how high their joint scores reach."""
    return -group.quantiles[-1] if group.quantiles else 0.0


def _fare(group: Group, limits: Sequence[str], far: float, longest: float) -> list[Cell]:
    """How a group fares against the limits: shares over them, above *far* in red, and its joint scores."""
    shares = [group.over.get(limit, math.nan) for limit in limits]
    cells = [
        number(share(value), over=value > far and value * group.frames > FEW_FRAMES - 0.5)
        for value in (*shares, group.if_new)
    ]
    if len(group.quantiles) != 3:
        return [*cells, number("-"), word("")]
    low, middle, high = group.quantiles
    drawn = strip(low, middle, high, 1.0, longest)
    return [*cells, number(f"{low:.2f} · {middle:.2f} · {high:.2f}"), ("", drawn)]


def _latents(data: ReportData, pictures: _Pictures) -> Iterable[str]:
    count, size = data.latents.points.shape[0], sum(data.latents.shares)
    if not count:
        return
    shown = len(learning.shown_latents(data.starts, count))
    notes = [
        f"The held-out frames' whitened latents, along the two axes in which they vary most: {share(size)} of their "
        f"variance. Training frames lie about the cross, if they are Gaussian {share(learning.CIRCLE_SHARE)} of them "
        "within the dashed circle: a group that lies elsewhere is unlike what the network learned from."
    ]
    if shown < count:
        notes.append(f"{shown:,} of {count:,} frames are drawn, spread evenly over each group.")
    yield "<h2>Latents</h2>"
    yield card(quiet(notes) + pictures.html(learning.latents(data.latents, data.starts)))


def _examples(data: ReportData, pictures: _Pictures) -> Iterable[str]:
    examples = data.examples
    if not examples:
        return
    yield "<h2>Held-out frames and what the network made of them</h2>"
    notes = [
        _seen(data),
        "The residual is what the network sees less what it draws, in spreads of each pixel's residual, red where the "
        "frame is brighter; each has a scale of its own. Frames as they came share one scale of grey, and what is seen "
        "and drawn another. The square is where the worst frame's local score comes from: at the left in the sensor's "
        "own pixels, in the others in those of what the network sees.",
    ]
    longest = max(max(example.came.shape) for example in examples)
    if longest > drawing.IMAGE_SIDE_PX:
        notes.append(f"Pictures are averaged in blocks to at most {drawing.IMAGE_SIDE_PX} pixels a side.")
    yield quiet(notes)
    grey = frames.greys(examples)
    for example in examples:
        values = " · ".join(f"{text(name)} {score:.4g}" for name, score in example.scores.items())
        picture = pictures.html(frames.panels(example, grey, marked=example.label == "worst"))
        yield card(
            f'<h3>{text(example.label.capitalize())}</h3><p class="quiet">{text(example.where)} · {values}</p>'
            + picture
        )


def _seen(data: ReportData) -> str:
    """What is done to a frame before the network sees it."""
    done = []
    if data.binning > 1:
        done.append(f"squares of {data.binning} x {data.binning} pixels are averaged to one (binned)")
    if data.turned:
        done.append(
            "the camera's ground is subtracted, and the pool is turned to one direction and moved to the middle"
        )
    if not done:
        return "The network sees the frame as it came, neither turned nor binned."
    return f"Before the network sees a frame, {', and '.join(done)}."


def _training(history: Sequence[Checkpoint], pictures: _Pictures) -> Iterable[str]:
    if not history:
        return
    kept = learning.kept(history)
    if math.isfinite(kept.held):
        told = (
            f"The weights of step {kept.step:,} of {history[-1].step:,} were kept: they drew best those frames of the "
            "training groups that the network did not learn from. The loss of frames learned from is taken with noise "
            "and penalties, the other without: compare each curve with itself."
        )
    else:
        told = f"Too few frames to keep some for stopping: the last weights, of step {kept.step:,}, were kept."
    yield "<h2>Training</h2>"
    yield card(quiet([told]) + pictures.html(learning.training(history)))


def _sweep(found: LatentSweep | None, pictures: _Pictures) -> Iterable[str]:
    if found is None or not found.sizes:
        return
    told = [f"Mean squared residual, in normalised units, measured on {MEASURED_ON[found.measured_on]}."]
    if found.given:
        told.append(f"The size was given, {found.chosen}, and no other was tried: the components are the yardstick.")
    else:
        tried = sum(math.isfinite(error) for error in found.network)
        told.append(
            f"{tried} size{'s were' if tried != 1 else ' was'} tried, each in a short training; the one marked was "
            "chosen as the smallest as good as the best, and trained anew."
        )
    known = dict(zip(found.sizes, zip(found.network, found.pca, strict=True), strict=True))
    network, pca = known.get(found.chosen, (math.nan, math.nan))
    if math.isfinite(network) and pca > 0:
        told.append(
            f"In this comparison the network of {found.chosen} leaves {network / pca:.3g} times what as many principal "
            "components do."
        )
    yield "<h2>Size of the latent</h2>"
    answer = paragraphs([FINDS_OR_LEAVES]) if network > pca > 0 else ""
    yield card(quiet(told) + answer + pictures.html(learning.sweep(found)))


def _limits(limits: Table) -> Iterable[str]:
    if limits.rows:
        head = [word(limits.head[0]), *(number(name) for name in limits.head[1:])]
        yield "<h2>Limits</h2>"
        yield quiet([FRAMES_ABOVE])
        yield card(table(head, ([name(row[0]), *map(number, row[1:])] for row in limits.rows)))


def _settings(settings: Mapping[str, str]) -> Iterable[str]:
    if settings:
        yield "<h2>Settings and counts</h2>"
        rows = ([word(name), word(value)] for name, value in settings.items())
        yield card(table([word("what"), word("value")], rows))


def _sources(groups: Sequence[Group]) -> Iterable[str]:
    """Every group and the beginning of its digest: what a bundle was made from can be found again."""
    if groups:
        head = [word("group"), word("role"), word("context"), number("frames"), number("sha256 of the pixels")]
        rows = (
            [
                *map(word, (group.name, group.role, group.context or "-")),
                *map(number, (f"{group.frames:,}", group.sha256[:SHA_DIGITS])),
            ]
            for group in groups
        )
        yield "<h2>Frames</h2>"
        yield card(folded(f"All {len(groups)} groups and their digests", table(head, rows)))
