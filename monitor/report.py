"""The calibration report: one HTML file that needs nothing from the network, for a person who decides on a bundle."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from monitor import figures

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Group:
    """One group of frames. *over*: chart -> share (0 to 1) of its frames above the limit; empty where unknown."""

    name: str
    frames: int
    role: Literal["train", "held-out"]
    over: Mapping[str, float]


@dataclass(frozen=True)
class Chart:
    """One chart over the held-out frames. *scores* is (n,), in order; *limit_low* to *limit_high* is its interval.

    *boundaries*: position of the first frame and name of each held-out group. NaN stands for a value not known.
    """

    name: str
    scores: Floats
    center: float
    limit: float
    limit_low: float
    limit_high: float
    boundaries: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Example:
    """One held-out frame (h, w) with its reconstruction and residual. *label*: best, typical or worst."""

    label: str
    where: str  # group and number of the frame, in words
    original: npt.NDArray[Any]
    reconstruction: npt.NDArray[Any]
    residual: npt.NDArray[Any]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class ReportData:
    """All that the report shows. Texts may hold anything: they are escaped."""

    title: str
    camera: str
    created: str
    settings: Mapping[str, str]  # settings and counts, in the order in which they are to be read
    groups: Sequence[Group]
    losses: Sequence[float]  # one an epoch
    charts: Sequence[Chart]
    examples: Sequence[Example]
    warnings: Sequence[str]


CHART_MEANS: Final = {
    "t2": "how unusual the frame is among those that the network can describe",
    "s2": "how much of the frame the network cannot describe, over all pixels",
    "offset": "how far the frame as a whole is brighter or darker than its reconstruction",
    "local": "the worst small region of the residual",
    "mewma": "a slow shift of the frames, too small to see in any one of them",
    "joint": "the most extreme of all charts, on one scale",
}

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
"""Holds the browser to what this file promises: it fetches nothing."""

STYLE: Final = """
:root { color: #2d3338; background: #f4f5f6; font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif }
body { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 25px; font-weight: 600; margin: 0 0 2px }
h2 { font-size: 18px; font-weight: 600; margin: 34px 0 8px }
h3 { font-size: 15px; font-weight: 600; margin: 0 }
p { margin: 6px 0 }
.quiet { color: #6a737b; font-size: 13px }
.card { background: #fff; border: 1px solid #e1e4e7; border-radius: 8px; padding: 14px 18px; margin: 12px 0 }
.warnings { border-left: 4px solid #c98a1b; background: #fffaf0 }
.good { border-left: 4px solid #5f8f6b }
.warnings ul { margin: 6px 0; padding-left: 20px }
.pair { display: grid; grid-template-columns: 2fr 3fr; gap: 8px }
.pair > * { min-width: 0 }
@media (max-width: 800px) { .pair { grid-template-columns: 1fr } }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; color: #6a737b; border-bottom: 1px solid #d5d9dd; padding: 5px 10px 5px 0 }
td { border-bottom: 1px solid #eef0f2; padding: 5px 10px 5px 0; overflow-wrap: anywhere; vertical-align: top }
td.number, th.number { text-align: right }
"""

BARE: Final = {"displayModeBar": False, "responsive": True}  # the buttons would cover the headings


def render(data: ReportData) -> str:
    """The report as one HTML text."""
    pictures = _Pictures()
    parts = [
        f"<h1>{_text(data.title)}</h1>",
        f'<p class="quiet">Camera {_text(data.camera)} · {_text(data.created)}</p>',
        _card(_paragraphs(summary(data))),
        _warnings(data.warnings),
        *_charts(data, pictures),
        *_examples(data.examples, pictures),
        *_losses(data.losses, pictures),
        *_groups(data),
        *_settings(data.settings),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(data.title)}</title>\n<style>{STYLE}</style>\n<script>{get_plotlyjs()}</script>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def summary(data: ReportData) -> list[str]:
    """What a person has to know, in sentences."""
    trained = [group for group in data.groups if group.role == "train"]
    held = [group for group in data.groups if group.role == "held-out"]
    sentences = [
        f"The network learned from {_counted(trained)}. The limits come from {_counted(held)} that it had never seen."
    ]
    sentences.extend(_judgement(chart) for chart in data.charts)
    if len(held) == 1:
        sentences.append(
            "With a single held-out group nothing is known about how much groups differ: a new one may look unlike it."
        )
    return sentences


def _judgement(chart: Chart) -> str:
    finite = chart.scores[np.isfinite(chart.scores)]
    if not math.isfinite(chart.limit):
        return f"Chart {chart.name} has no limit."
    over = int((finite > chart.limit).sum())
    told = f"Chart {chart.name}: {over:,} of {len(finite):,} held-out frames ({_percent(over, len(finite))}) are over"
    told += f" its limit of {chart.limit:.4g}"
    if math.isfinite(chart.limit_low) and math.isfinite(chart.limit_high):
        told += f" (interval {chart.limit_low:.4g} to {chart.limit_high:.4g})"
    return told + "."


def _counted(groups: Sequence[Group]) -> str:
    frames = sum(group.frames for group in groups)
    return f"{frames:,} frame{'s' * (frames != 1)} in {len(groups)} group{'s' * (len(groups) != 1)}"


def _percent(part: int, whole: int) -> str:
    return _share(part / whole) if whole else "none"


def _share(share: float) -> str:
    """A share of 0 to 1 in per cent, with no false zero."""
    if not math.isfinite(share):
        return "-"
    return "under 0.01 %" if 0 < share < 1e-4 else f"{100 * share:.3g} %"


class _Pictures:
    """Turns figures into HTML, each with an identity of its own; the script they need is in the page once."""

    def __init__(self) -> None:
        self._count = 0

    def html(self, figure: go.Figure) -> str:
        self._count += 1
        return str(
            figure.to_html(full_html=False, include_plotlyjs=False, config=BARE, div_id=f"picture-{self._count}")
        )


def _charts(data: ReportData, pictures: _Pictures) -> Iterable[str]:
    if not data.charts:
        return
    yield "<h2>Charts on held-out frames</h2>"
    yield (
        '<p class="quiet">Left: how often each score came up (logarithmic). Right: the frames in their order; vertical '
        "lines separate groups. Red is the limit with its interval, dotted the center.</p>"
    )
    for chart in data.charts:
        yield _card(_chart(chart, pictures))


def _chart(chart: Chart, pictures: _Pictures) -> str:
    means = CHART_MEANS.get(chart.name, "")
    head = f'<h3>{_text(chart.name)}</h3><p class="quiet">{_text(means)}</p>'
    known = np.isfinite(chart.scores)
    if not known.any():
        return f"{head}<p>There are no scores to show.</p>"
    # A gap would hide in the drawing, so it is told below.
    scores = chart.scores[known]
    values = (chart.center, chart.limit, chart.limit_low, chart.limit_high)
    starts = [(int(known[:first].sum()), name) for first, name in chart.boundaries]
    left = pictures.html(figures.histogram(scores, *values))
    right = pictures.html(figures.over_frames(scores, *values, starts))
    notes = []
    if len(scores) > figures.SERIES_POINTS:
        notes.append(
            f"{len(scores):,} scores are drawn as the smallest and largest of each of "
            f"{figures.SERIES_POINTS // 2:,} stretches, so no peak is missing."
        )
    if len(scores) < len(chart.scores):
        notes.append(f"{len(chart.scores) - len(scores):,} scores are not finite and are left out.")
    return f'{head}<div class="pair"><div>{left}</div><div>{right}</div></div>{_quiet(notes)}'


def _examples(examples: Sequence[Example], pictures: _Pictures) -> Iterable[str]:
    if not examples:
        return
    yield "<h2>Held-out frames and what the network made of them</h2>"
    notes = ["The residual is the frame less its reconstruction, red where the frame is brighter."]
    longest = max(max(example.original.shape) for example in examples)
    if longest > figures.IMAGE_SIDE_PX:
        notes.append(f"Frames are averaged in blocks to at most {figures.IMAGE_SIDE_PX} pixels a side.")
    yield _quiet(notes)
    for example in examples:
        scores = " · ".join(f"{_text(name)} {score:.4g}" for name, score in example.scores.items())
        picture = pictures.html(figures.triplet(example.original, example.reconstruction, example.residual))
        yield _card(
            f'<h3>{_text(example.label.capitalize())}</h3><p class="quiet">{_text(example.where)} · {scores}</p>'
            + picture
        )


def _losses(losses: Sequence[float], pictures: _Pictures) -> Iterable[str]:
    if len(losses):
        yield "<h2>Training</h2>"
        yield _card(pictures.html(figures.losses(losses)))


def _groups(data: ReportData) -> Iterable[str]:
    charts = [chart.name for chart in data.charts]
    head = ["group", "role"], ["frames", *(f"{chart} over limit" for chart in charts)]
    rows = (
        (
            [group.name, group.role],
            [f"{group.frames:,}", *(_share(group.over.get(chart, math.nan)) for chart in charts)],
        )
        for group in data.groups
    )
    yield "<h2>Groups</h2>"
    yield _card(_table(head, rows))


def _settings(settings: Mapping[str, str]) -> Iterable[str]:
    if settings:
        yield "<h2>Settings and counts</h2>"
        yield _card(_table((["what", "value"], []), (([name, value], []) for name, value in settings.items())))


Row = tuple[Sequence[str], Sequence[str]]
"""Cells of text, then cells of numbers, which stand at the right."""


def _table(head: Row, rows: Iterable[Row]) -> str:
    body = "".join(_row(row, "td") for row in rows)
    return f"<table><thead>{_row(head, 'th')}</thead><tbody>{body}</tbody></table>"


def _row(row: Row, tag: str) -> str:
    texts = "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in row[0])
    numbers = "".join(f'<{tag} class="number">{_text(cell)}</{tag}>' for cell in row[1])
    return f"<tr>{texts}{numbers}</tr>"


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return '<div class="card good">Nothing to warn of.</div>'
    items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    return f'<div class="card warnings"><h3>Before this bundle is used</h3><ul>{items}</ul></div>'


def _card(inner: str) -> str:
    return f'<div class="card">{inner}</div>'


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{_text(sentence)}</p>" for sentence in sentences)


def _quiet(sentences: Sequence[str]) -> str:
    return f'<p class="quiet">{_text(" ".join(sentences))}</p>' if sentences else ""


def _text(text: str) -> str:
    return html.escape(text)
