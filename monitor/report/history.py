"""Limits that others took the place of: by whom, when and why."""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Final

from monitor.manifest import Earlier, Manifest
from monitor.markup import Cell, card, number, paragraphs, table, text, word
from monitor.report.promise import footing, headline
from monitor.report.units import duration, one_in

FROM: Final = "<!-- limits set anew -->"
TO: Final = "<!-- end of limits set anew -->"
AFTER: Final = "</h1>"


def moment(t_ns: int) -> str:
    """A moment, Unix nanoseconds, as people write it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(t_ns / 1e9))


def earlier_limits(history: Sequence[Earlier]) -> Iterable[str]:
    """The limits before, oldest first."""
    if not history:
        return
    yield "<h2>Limits before</h2>"
    charts = list(dict.fromkeys(chart for one in history for chart in one.limits))
    head = [word("set"), word("replaced"), word("why"), word("false alarms"), word("measured on")]
    head += [number("joint limit, decades"), *map(number, charts)]
    yield card(table(head, [_row(one, charts) for one in history]))


def renewed(report: str, manifest: Manifest) -> str:
    """*report*, of limits before, headed by what holds since blocks that the daemon kept set those of *manifest*.

    A heading that an earlier renewal left is replaced.
    """
    budget, last = manifest.budget, manifest.history[-1]
    if budget is None:
        raise ValueError("limits that blocks set keep to a budget")
    report = re.sub(f"{FROM}.*?{TO}", "", report, flags=re.DOTALL)
    before, mark, after = report.partition(AFTER)
    told = [
        f"Set anew by {last.by} on {moment(last.replaced_ns)} ({last.why}), from the {budget.blocks:,} blocks of "
        f"judged time that the daemon kept: {budget.why}.",
        "The charts' scale, the warning limit and the network are what they were: what follows below tells of the "
        "calibration that made them, with the limits and the promise of that day.",
    ]
    chart = [[word(name), number(f"{limit.value:.4g}")] for name, limit in manifest.limits.items()]
    now = table([word("chart"), number("limit now")], chart)
    shown = (
        f'<div class="card promise"><p class="headline">{text(headline(budget))}</p>'
        f'<p class="footing">{text(footing(budget))}</p>{paragraphs(told)}{now}</div>'
    )
    then = "<h2>The calibration before</h2>"
    return "".join((before, mark, FROM, shown, *earlier_limits(manifest.history), then, TO, after))


def _row(one: Earlier, charts: Sequence[str]) -> list[Cell]:
    rate = "a share of single frames" if one.per_hour is None else one_in(one.per_hour)
    rests = "-" if one.hours is None else duration(one.hours)
    if one.extrapolated_by is not None and one.extrapolated_by > 1:
        rests += f", extrapolated {one.extrapolated_by:.3g} times"
    return [
        *map(word, (moment(one.created_ns), f"{moment(one.replaced_ns)} by {one.by}", one.why, rate, rests)),
        number("-" if one.action is None else f"{one.action:.3f}"),
        *[number(f"{one.limits[chart]:.4g}" if chart in one.limits else "-") for chart in charts],
    ]
