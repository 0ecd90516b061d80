"""Figures as markdown tables, and as plain values for a JSON file."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from calibration.evaluation import Estimate
from tests.benchmarks.document import table as table_of
from tests.benchmarks.evaluate.figures import OWN_LIMITS, Figures, Judged
from tests.benchmarks.evaluate.methods import TOGETHER

Table = tuple[str, list[str], list[list[Any]]]
"""Title, header, rows of text and Estimates."""

Make = Callable[[Figures, list[Judged]], Table]

PREVALENCE: Final = 0.13  # of anomalous frames, in the frames of the paper below
PUBLISHED: Final = (
    ["autoencoder of the 2021 paper, on its own frames", "", 0.954, 0.821, 0.826],
    ["hand-crafted features of the same paper, on its own frames", "", 0.892, 0.179, 0.273],
)
ALL: Final = "all kinds"


def overview(figures: Figures, judged: list[Judged]) -> Table:
    """Every score of every method."""
    rate = f"{figures.split.rate:.0%}"
    header = ["method", "score", "AUROC", f"found at {rate}", f"false alarms at {rate}"]
    rows: list[list[Any]] = []
    paired = figures.split.partners is not None
    for one in judged:
        area = "" if one.score == OWN_LIMITS else figures.area(one)
        row = [one.method, one.score, area, figures.sensitivity(one), figures.false_alarms(one)]
        rows.append([*row, "" if one.score == OWN_LIMITS else figures.above_partner(one)] if paired else row)
    return "Every score", header + ["above its own sound crop"] * paired, rows


def areas_by_kind(figures: Figures, judged: list[Judged]) -> Table:
    """AUROC of each method's one score, by kind."""
    return _by_kind("AUROC by kind", figures, _heads(judged), figures.area, lambda one: one.method)


def found_by_kind(figures: Figures, judged: list[Judged]) -> Table:
    """Sensitivity of each method's one score, by kind."""
    title = f"Found at {figures.split.rate:.0%}, by kind"
    return _by_kind(title, figures, _heads(judged), figures.sensitivity, lambda one: one.method)


def charts_by_kind(figures: Figures, judged: list[Judged]) -> Table:
    """AUROC of each chart of framewatch, by kind."""
    ours = [one for one in judged if one.method == judged[0].method and one.score != OWN_LIMITS]
    return _by_kind("AUROC of framewatch's charts", figures, ours, figures.area, lambda one: one.score)


def gains_by_kind(figures: Figures, judged: list[Judged]) -> Table:
    """How much larger framewatch's area is than each other method's."""
    first, *others = _heads(judged)

    def gain(one: Judged, kind: str | None = None) -> Estimate:
        return figures.gain(first, one, kind)

    title = f"AUROC of {first.method} less that of the others, same frames"
    return _by_kind(title, figures, others, gain, lambda one: f"less {one.method}")


def fired(figures: Figures, judged: list[Judged]) -> Table:
    """Share over the limit by what is wrong: framewatch's charts and own limits, and the other methods' one score."""
    ours = [one for one in judged if one.method == judged[0].method]
    shown = ours + [one for one in _heads(judged) if one.method != judged[0].method]
    title = f"Share of frames over the limit at {figures.split.rate:.0%}"
    name, header, rows = _by_kind(title, figures, shown, figures.sensitivity, _chart_or_method(judged[0].method))
    normal = ["as they are", *[figures.false_alarms(one) for one in shown]]
    return name, header, [normal, *rows[1:]]  # the mean over such things says nothing


def mixture(figures: Figures, judged: list[Judged]) -> Table:
    """Accuracy, sensitivity and F1 a frame, at the share of anomalous frames that a paper had."""
    header = ["method", f"at {figures.split.rate:.0%}", "accuracy", "sensitivity", "F1"]
    rows: list[list[Any]] = []
    for one in judged:
        if one.score in (TOGETHER, OWN_LIMITS):
            name = OWN_LIMITS if one.score == OWN_LIMITS else "conformal limit"
            rows.append([one.method, name, *figures.mixed(one, PREVALENCE)])
    return f"A frame at a time, {PREVALENCE:.0%} of frames anomalous, all kinds alike", header, rows + list(PUBLISHED)


def markdown(table: Table) -> str:
    """*table* as text: a title in bold, then the table."""
    title, header, rows = table
    return f"**{title}**\n\n" + table_of(header, [[_cell(value) for value in row] for row in rows])


def plain(table: Table) -> dict[str, Any]:
    """*table* for JSON: estimates as [value, low, high]."""
    title, header, rows = table
    return {"title": title, "header": header, "rows": [[_plain(value) for value in row] for row in rows]}


def _by_kind(
    title: str,
    figures: Figures,
    judged: Sequence[Judged],
    estimate: Callable[[Judged, str | None], Estimate],
    name: Callable[[Judged], str],
) -> Table:
    kinds = [(ALL, None), *[(kind, kind) for kind in figures.shown.named]]
    rows = [[label, *[estimate(one, kind) for one in judged]] for label, kind in kinds]
    return title, ["kind", *[name(one) for one in judged]], rows


def _heads(judged: Sequence[Judged]) -> list[Judged]:
    """The one score of each method."""
    return [one for one in judged if one.score == TOGETHER]


def _chart_or_method(ours: str) -> Callable[[Judged], str]:
    return lambda one: one.score if one.method == ours else one.method


def _cell(value: Any) -> str:
    if isinstance(value, Estimate):
        if value.value is None:
            return "-"
        wide = value.high - value.low >= 1  # one block, or as good as that
        interval = "-" if wide else f"{value.low:z.2f}, {value.high:z.2f}"
        return f"{value.value:z.3f} [{interval}]"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Infinite ends of an interval are no JSON: they become null."""
    if not isinstance(value, Estimate):
        return value
    return [end if end is not None and math.isfinite(end) else None for end in value]
