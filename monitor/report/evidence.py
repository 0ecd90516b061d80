"""What the promise rests on, for those who want to see it: segments, blocks, memory, and how soon shifts are seen."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import plotly.graph_objects as go

from calibration.shifted import ALL, Median
from monitor.markup import Cell, card, folded, number, quiet, table, text, word
from monitor.report import streams
from monitor.report.data import Correlation, Delays, Promise, Segment
from monitor.report.units import duration, share

Draw = Callable[[go.Figure], str]

SEGMENTS_FIRST: Final = 8  # shown at once; the others when asked for, up to
SEGMENTS_MOST: Final = 60
SET_LIMITS: Final = (
    "These held-out frames are unlike the others of their context. They set the limits unless a person excludes them: "
    "look at them, and where they are not normal calibrate without them (--exclude GROUP:FIRST-LAST, frames counted "
    "from 0)."
)


def suspects(segments: Sequence[Segment]) -> Iterable[str]:
    """The table of frames that stand out."""
    if not segments:
        return
    yield "<h2>Held-out frames that stand out</h2>"
    notes = [SET_LIMITS]
    if len(segments) > SEGMENTS_MOST:
        left = sum(one.odd for one in segments[SEGMENTS_MOST:])
        notes.append(
            f"The {SEGMENTS_MOST} most extreme of {len(segments)} segments are shown; the others hold {left:,} frames "
            "that stand out."
        )
    yield quiet(notes)
    more = segments[SEGMENTS_FIRST:SEGMENTS_MOST]
    rest = folded(f"{len(more)} more", _segments(more)) if more else ""
    yield card(_segments(segments[:SEGMENTS_FIRST]) + rest)


def _segments(shown: Sequence[Segment]) -> str:
    names = ("from frame", "to frame", "stand out", "of the group", "chart", "largest score", "times its limit")
    rows = (
        [
            word(one.group),
            number(f"{one.first:,}"),
            number(f"{one.last:,}"),
            number(f"{one.odd:,}"),
            number(share(one.share)),
            number(one.chart),
            number(f"{one.score:.4g}"),
            number(f"{one.ratio:.2f}"),
        ]
        for one in shown
    )
    return table([word("group"), *map(number, names)], rows)


def blocks(promise: Promise, draw: Draw) -> Iterable[str]:
    """The extremes of blocks and their survival curve."""
    budget = promise.budget
    lasting = duration(budget.hours / budget.blocks)
    yield "<h2>Blocks of the clean stream</h2>"
    notes = [
        f"The clean stream is cut into blocks of {lasting}, and of each the highest value of the statistic that raises "
        f"events is kept: {_statistic(budget.k, budget.n)}. A decade of rarity is a tenth as many frames: a score of 3 "
        "is reached by one frame in 1,000. Left: the blocks in order, with the action limit and its 90 % interval in "
        "red and the warning limit, which is one of single frames, dashed. Right: how many events, as a share of the "
        "blocks, lie above a level, where blocks that follow each other are one event; the limit is read where this "
        "falls to the share that the budget lets through.",
    ]
    if budget.extrapolated_by > 1.0:
        notes.append(
            "Here that is beyond the highest block: the dashed line is the exponential tail, fitted to the highest "
            "blocks, that is assumed to go on; the limit lies a little above it, for that tail is uncertain."
        )
    shift = budget.action - promise.groups_level
    if shift > 0.005:
        notes.append(f"The action limit lies {shift:.2f} decades higher{_because(promise)}.")
    yield card(
        f'{quiet(notes)}<div class="halves"><div>{draw(streams.extremes(promise))}</div>'
        f"<div>{draw(streams.survival(promise))}</div></div>"
    )


def memory(shown: Correlation, draw: Draw) -> Iterable[str]:
    """How long frames remember each other."""
    if len(shown.found.correlation) < 2:
        return
    yield "<h2>Memory of the stream</h2>"
    notes = [
        "How alike the joint scores of two frames of one stretch are, by the time between them (correlation of their "
        "ranks, each less its stretch's mean). Within the dashed lines lie 95 % of the correlations of independent "
        "frames. While the curve is above them, frames repeat what others said; "
        "far out it tends below zero, since each stretch is less its own mean.",
    ]
    if shown.dead_time:
        notes.append(
            "Red: the dead time, within which all is one event and one block; by then memory should have gone."
        )
        if shown.dead_time >= len(shown.found.correlation):
            notes[-1] = "The dead time is longer than this picture."
    yield card(quiet(notes) + draw(streams.correlation(shown)))


def delays(shown: Delays, draw: Draw) -> Iterable[str]:
    """How soon a lasting shift is seen."""
    if not shown.measured:
        return
    yield "<h2>How soon a lasting shift is seen</h2>"
    runs = shown.measured[ALL][0].runs
    notes = [
        f"Measured, not computed: from {runs} places in the held-out frames on, their latents are moved in as many "
        "random directions, the charts are asked again with the limits of this bundle, and the event rule runs. "
        "Points: the time by which half of the shifts have raised an event, with its 90 % interval. Triangles: fewer "
        "than half did before their stretch ended; it took longer than so. Each chart alone has the same joint limit.",
    ]
    if shown.theory:
        notes.append(
            "Dashed: independent Gaussian frames, judged by that chart alone at a limit with as many false alarms: t2 "
            "by the median under the same event rule, mewma by the mean without it. What lies between is the price of "
            "real frames."
        )
    numbers = folded("The numbers of this picture", _times(shown))
    yield card(f"<p>{text(soonest(shown))}</p>{quiet([*notes, *shown.notes])}{draw(streams.delays(shown))}{numbers}")


def soonest(shown: Delays) -> str:
    """The answer in one sentence: the smallest shift that is seen at all, and how soon the largest is."""
    together = list(zip(shown.shifts, shown.measured[ALL], strict=True))
    found = [(shift, one) for shift, one in together if math.isfinite(one.frames)]
    if not found:
        return (
            f"A shift of the latents by up to {together[-1][0]:g} standard deviations raises no event in most runs "
            "before their stretch ends: these charts and limits are not for shifts so small, or the stretches are too "
            "short to show it."
        )
    (least, slow), (most, quick) = found[0], found[-1]
    told = (
        f"A lasting shift of the latents by {least:g} standard deviations raises an event within {_time(slow, shown)} "
        "in half of cases"
    )
    if least > shown.shifts[0]:
        told += "; of smaller ones fewer than half did before their stretch ended"
    if most > least:
        told += f"; one of {most:g} takes {_time(quick, shown)}"
    blind = [f"{shift:g}" for shift, one in together if shift > least and math.isinf(one.frames)]
    if blind:
        told += f". But of shifts of {', '.join(blind)} most went unseen, though smaller ones are seen"
    return f"{told}."


def _time(one: Median, shown: Delays) -> str:
    return duration(one.frames / shown.rate_hz / 3600)


def _times(shown: Delays) -> str:
    """The median times in seconds with their intervals, and how many runs ended without an event."""
    head = [number("shift")]
    for name in shown.measured:
        head += [number(f"{name}, s"), number("90 % interval"), number("without an event")]
    rows = (
        [number(f"{shift:g}"), *(cell for one in medians for cell in _row(one, shown.rate_hz))]
        for shift, *medians in zip(shown.shifts, *shown.measured.values(), strict=True)
    )
    return table(head, rows)


def _row(one: Median, rate_hz: float) -> list[Cell]:
    middle, low, high = (f"{frames / rate_hz:.3g}" if math.isfinite(frames) else "-" for frames in one[:3])
    return [number(middle), number(f"{low} to {high}"), number(f"{one.unseen} of {one.runs}")]


def _statistic(k: int, n: int) -> str:
    if n == 1:
        return "the joint score of a frame"
    if k == 1:
        return f"the largest joint score of the last {n} frames"
    order = {2: "second", 3: "third"}.get(k, f"{k}th")
    return f"the {order} largest joint score of the last {n} frames"


def _because(promise: Promise) -> str:
    shift, reasons = promise.budget.shift, []
    if shift is not None and shift.by > 0:
        reasons.append(f"{shift.by:.2f} for runs, layers or sessions never seen")
    if promise.budget.conservative:
        reasons.append("as the conservative end of the interval was asked for")
    return f": {' and '.join(reasons)}" if reasons else ""
