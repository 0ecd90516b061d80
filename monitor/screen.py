"""What the commands show in a terminal: tables, progress and plain lines. Nothing else writes to standard output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:  # they take seconds to import, and a simulated camera that says one line needs none of them
    from calibration.evaluation import Estimate
    from monitor.bundle import Bundle
    from monitor.calibrate import Progress as Report
    from monitor.doctor import Finding
    from monitor.score import Evaluation

GROUPS_SHOWN = 5

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """One plain line."""
    out.print(line, markup=False)


@contextmanager
def training() -> Iterator["Report"]:
    """A progress bar of a training, where there is a terminal to show it; gives the callback that moves it."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("training", total=None, loss=float("nan"))
        yield lambda done, steps, loss: bar.update(task, completed=done, total=steps, loss=loss)


def show_bundle(bundle: "Bundle") -> None:
    """What a calibration found, for the person who ran it."""
    held = bundle.manifest
    table = Table(title=f"bundle {bundle.path}  ({held.height}x{held.width} {held.dtype})", title_justify="left")
    table.add_column("chart")
    for heading in ("limit", "90 % interval", "median", "frames", "worth"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for chart, limit in held.limits.items():
        table.add_row(
            chart,
            f"{limit.value:.4g}",
            f"{limit.low:.3g} to {limit.high:.3g}",
            f"{limit.center:.4g}",
            str(limit.frames),
            f"{limit.effective_frames:.0f}",
            "extrapolated" if limit.extrapolated else "",
        )
    out.print(table)
    say(f"  limits that {held.false_alarm_rate:.2g} of normal frames may exceed, on any chart, before the event rule")
    say("  worth: neighbouring frames are alike, so these say as much as so many independent ones")
    for role in ("train", "limits"):
        groups = [group for group in held.groups if group.role == role]
        for group in groups[:GROUPS_SHOWN]:
            say(f"  {role:<6}  {group.frames:>7} frames  {group.name}")
        if len(groups) > GROUPS_SHOWN:
            rest = groups[GROUPS_SHOWN:]
            say(f"  {role:<6}  {sum(group.frames for group in rest):>7} frames  in {len(rest)} more groups")
    for warning in held.warnings:
        say(f"warning: {warning}")
    say(f"report: {bundle.path / 'report.html'}")


def show_evaluation(evaluation: "Evaluation") -> None:
    """Rates and areas with their intervals."""
    counts, found = evaluation.counts, evaluation.performance
    table = Table(title="frames judged", title_justify="left")
    for heading in ("", "flagged", "passed"):
        table.add_column(heading, justify="right")
    table.add_row("anomalous", str(counts.anomalous_flagged), str(counts.anomalous_passed))
    table.add_row("normal", str(counts.normal_flagged), str(counts.normal_passed))
    out.print(table)
    rates = Table(title="rates, with 95 % intervals for independent frames", title_justify="left")
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
