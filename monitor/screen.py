"""What the commands show in a terminal: tables, progress and plain lines. Nothing else writes to standard output."""

import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:  # they take seconds to import, and a simulated camera that says one line needs none of them
    from calibration.evaluation import Estimate
    from monitor.alarms.alarm import Alarm
    from monitor.budget import FittedBudget, FittedStops
    from monitor.bundle import Bundle
    from monitor.calibrate import Progress as Report
    from monitor.camera.truth import Comparison, KindTally
    from monitor.doctor import Finding
    from monitor.manifest import FittedLimit, Manifest
    from monitor.score import Evaluation

GROUPS_SHOWN = 5
INDENT = 6  # of what a command tells below one of its steps

LOG_WIDTH = 1000  # characters of a table in a file or a pipe: no window wraps it there

# Names are people's: no `[red]` or `:warning:` in one is an order to the terminal.
_console = partial(Console, highlight=False, markup=False, emoji=False, soft_wrap=True)

out = _console(width=None if sys.stdout.isatty() else LOG_WIDTH)
err = _console(stderr=True)


def say(line: str) -> None:
    """One plain line."""
    out.print(line)


@contextmanager
def training() -> Iterator["Report"]:
    """A progress bar of one training after the other, where there is a terminal to show it; gives what moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("training", total=None, loss=float("nan"))

        def move(done: int, steps: int, loss: float, what: str) -> None:
            if bar.tasks[0].description != what:
                bar.reset(task, description=what)  # or the time left would be guessed from the training before
            bar.update(task, completed=done, total=steps, loss=loss)

        yield move


def plain_table(title: str | None = None) -> Table:
    """A table with a line under its headings in a terminal, and nothing but its words in a log."""
    box = SIMPLE_HEAD if out.is_terminal else None
    return Table(title=title, title_justify="left", box=box, pad_edge=False, padding=(0, 1))


def listing(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str] = ()) -> None:
    """A line for each of *rows*; where a window is too narrow for that, a paragraph each. No cell is ever cut.

    *numbers* are those of *headings* whose cells stand on the right. The first cell is what its row is called by.
    """
    table = plain_table()
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in numbers else "left")
    for row in rows:
        table.add_row(*row)
    if not out.is_terminal or Measurement.get(out, out.options.update(max_width=LOG_WIDTH), table).maximum <= out.width:
        return out.print(table)
    for called, *cells in rows:
        told = "; ".join(f"{heading} {cell}" for heading, cell in zip(headings[1:], cells, strict=True) if cell)
        say(called)
        say(
            textwrap.fill(
                told,
                out.width,
                initial_indent="  ",
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return None


def show_bundle(bundle: "Bundle") -> None:
    """What a calibration found, for the person who ran it."""
    held = bundle.manifest
    table = plain_table(f"bundle {bundle.path}  ({held.height}x{held.width} {held.dtype})")
    table.add_column("chart")
    for heading in ("limit", "90 % interval", "median", "frames", "independent"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for context, limits in {"": held.limits, **held.own_limits}.items():
        for chart, limit in limits.items():
            table.add_row(f"{chart} in {context}" if context else chart, *_limit_cells(limit, held.budget is None))
    out.print(table)
    pooled = [context for context in held.contexts or () if context and context not in held.own_limits]
    if held.own_limits and pooled:
        say(f"  the limits of all contexts together hold in {', '.join(pooled)} too")
    if held.budget is None:
        rate = f"{held.false_alarm_rate:.2g}"
        say(f"  limits that {rate} of normal frames may exceed, on any chart, before the event rule")
        if held.extrapolated:
            say("  extrapolated: too few frames for that rate, so how far the limit is off cannot be known")
    else:
        say(f"  {_promise_of(held.budget)}")
        if held.budget.stops is not None:
            say(f"  {_stops_of(held.budget.stops)}")
    say("  independent: neighbouring frames are alike, so these say as much as so many independent ones")
    for role in ("train", "limits"):
        groups = [group for group in held.groups if group.role == role]
        for group in groups[:GROUPS_SHOWN]:
            say(f"  {role:<6}  {group.frames:>7} frames  {group.name}")
        if len(groups) > GROUPS_SHOWN:
            rest = groups[GROUPS_SHOWN:]
            more = f"{len(rest)} more group{'s' * (len(rest) != 1)}"
            say(f"  {role:<6}  {sum(group.frames for group in rest):>7} frames  in {more}")
    for warning in held.warnings:
        say(f"warning: {warning}")
    say(f"report: {bundle.path / 'report.html'}")


def _promise_of(budget: "FittedBudget") -> str:
    """The promise in one line."""
    sure = "with 90 % confidence" if budget.conservative else "on average"
    told = f"at most {budget.per_hour:.3g} false alarms in an hour of judged frames, {sure}; a rule of {budget.k} of "
    told += f"{budget.n} frames at {budget.rate_hz:g} a second, and all within "
    told += f"{budget.block_frames / budget.rate_hz:.2g} s is one: "
    if budget.extrapolated_by > 1:
        told += f"extrapolated by a factor of {budget.extrapolated_by:.3g} from "
    return f"{told}{budget.hours * 3600:.3g} s of clean frames"


def _stops_of(stops: "FittedStops") -> str:
    """The promise of stops in one line."""
    by = f", extrapolated by a factor of {stops.extrapolated_by:.3g}" if stops.extrapolated_by > 1 else ""
    return f"at most {stops.per_hour:.3g} false stops an hour, by a rule of {stops.name} frames{by}"


def _limit_cells(limit: "FittedLimit", per_frame: bool) -> tuple[str, ...]:
    return (
        f"{limit.value:.4g}",
        "cannot be known" if limit.extrapolated and per_frame else f"{limit.low:.3g} to {limit.high:.3g}",
        f"{limit.center:.4g}",
        str(limit.frames),
        f"{limit.effective_frames:.0f}",
        "extrapolated" if limit.extrapolated else "",
    )


def show_replacement(old: "Manifest", new: "Manifest") -> None:
    """Limits beside those that are to take their place."""
    table = plain_table("limits")
    table.add_column("chart")
    for heading in ("now", "new", "times"):
        table.add_column(heading, justify="right", no_wrap=True)
    for chart, limit in new.limits.items():
        before = old.limits.get(chart)
        now = "none" if before is None else f"{before.value:.4g}"
        times = "" if before is None or before.value == 0 else f"{limit.value / before.value:.3g}"
        table.add_row(chart, now, f"{limit.value:.4g}", times)
    for chart in sorted(old.limits.keys() - new.limits.keys()):
        table.add_row(chart, f"{old.limits[chart].value:.4g}", "none", "")
    out.print(table)
    for name, held in (("now", old), ("new", new)):
        say(f"  {name}: {held.budget.why if held.budget else 'limits per frame'}")
    for warning in new.warnings:
        say(f"warning: {warning}")


def show_unjudged(alarms: Sequence["Alarm"]) -> None:
    """Events that set the new limits though nobody has said whether they were true."""
    if not alarms:
        return
    say(
        f"warning: {len(alarms)} events in these blocks were judged by nobody. If they were true, the new limits rise "
        "to let them through: name those that were with --true"
    )
    for alarm in alarms[:GROUPS_SHOWN]:
        ratio = f"{alarm.peak.ratio:.3g} times its limit" if alarm.peak else ""
        say(f"  --true {alarm.id}  {alarm.source}, frames {alarm.first_seq} to {alarm.last_seq}, {ratio}")
    if len(alarms) > GROUPS_SHOWN:
        say(f"  and {len(alarms) - GROUPS_SHOWN} more; /api/v1/alarms has them all")


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # the terminal was closed instead
        return False


def show_evaluation(evaluation: "Evaluation") -> None:
    """Rates and areas with their intervals."""
    counts, found = evaluation.counts, evaluation.performance
    table = plain_table("frames judged")
    for heading in ("", "flagged", "passed"):
        table.add_column(heading, justify="right")
    table.add_row("anomalous", str(counts.anomalous_flagged), str(counts.anomalous_passed))
    table.add_row("normal", str(counts.normal_flagged), str(counts.normal_passed))
    out.print(table)
    rates = plain_table("rates, with 95 % intervals for independent frames")
    rates.add_column("")
    rates.add_column("value", justify="right")
    rates.add_column("interval", justify="right")
    for name in ("sensitivity", "precision", "accuracy", "false_alarm_rate"):
        estimate: Estimate = getattr(found, name)
        rates.add_row(name.replace("_", " "), *_shown(estimate))
    rates.add_row("F1", "-" if found.f1 is None else f"{found.f1:.4f}", "")
    for name, area in evaluation.areas.items():
        rates.add_row(f"AUROC {name}", *_shown(area))
    out.print(rates)


def show_comparison(comparison: "Comparison") -> None:
    """What the alarms made of the anomalies that were shown: by kind, as a whole, and how soon."""
    overall, false = comparison.overall, len(comparison.false_alarms)
    indent = " " * INDENT
    say(f"{indent}anomalies shown {overall.shown}, found {overall.found}; false alarms {false}")
    if overall.shown:
        table = plain_table()
        table.add_column("anomaly")
        for heading in ("shown", "found", "median delay", "longest"):
            table.add_column(heading, justify="right", no_wrap=True)
        for tally in (*comparison.kinds, overall):
            table.add_row(*_tallied(tally))
        out.print(Padding(table, (0, 0, 0, INDENT + 2), expand=False))
        say(f"{indent}  delay: from an anomaly's first exposure to its alarm")
    say(f"{indent}sensitivity  {_as_percent(overall.sensitivity)}: anomalies found of those shown")
    say(f"{indent}precision    {_as_percent(comparison.precision)}: alarms on an anomaly of all alarms")


def _tallied(tally: "KindTally") -> tuple[str, ...]:
    delays = ("-" if delay_s is None else f"{delay_s * 1e3:.0f} ms" for delay_s in (tally.median_s, tally.longest_s))
    return tally.kind, str(tally.shown), str(tally.found), *delays


def _as_percent(estimate: "Estimate") -> str:
    if estimate.value is None:
        return "unknown"
    value, low, high = (f"{100 * share:.0f} %" for share in (estimate.value, estimate.low, estimate.high))
    return f"{value} (95 % interval {low} to {high})"


def evaluation_json(evaluation: "Evaluation") -> str:
    """The same as JSON."""
    from calibration.evaluation import Estimate

    found = {
        "counts": evaluation.counts._asdict(),
        **{
            name: value._asdict() if isinstance(value, Estimate) else value
            for name, value in evaluation.performance._asdict().items()
        },
        "auroc": {name: area._asdict() for name, area in evaluation.areas.items()},
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _shown(estimate: "Estimate") -> tuple[str, str]:
    if estimate.value is None:
        return "-", ""
    return f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"


def show_findings(findings: "list[Finding]", *, as_json: bool) -> None:
    """What the doctor found: a line each, with the remedy below where something is wrong."""
    if as_json:
        say(msgspec.json.format(msgspec.json.encode([finding._asdict() for finding in findings]), indent=2).decode())
        return
    for finding in findings:
        say(f"{finding.grade:<8} {finding.check:<15} {finding.found}")
        if finding.remedy:
            say(f"{'':<24} -> {finding.remedy}")
