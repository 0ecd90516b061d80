"""A measurement as tables in the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from monitor import screen
from monitor.bench.delays import Quantiles
from monitor.bench.report import Condition, Report, beside, figures, is_told, told_delays


def show_report(report: Report) -> None:
    """Everything that was measured."""
    for line in told_setting(report):
        screen.say(line)
    for table in (rates_table(report), delays_table(report), resources_table(report)):
        screen.out.print(table)
        screen.say("")
    for line in notes(report):
        screen.say(line)


def told_setting(report: Report) -> list[str]:
    """What was measured, where and how."""
    machine, frames, settings = report.machine, report.frames, report.settings
    each = settings.frames_per_message
    messages = "1 frame a message up to 2,000 frames/s, above it those of 2 ms"
    if each is not None:
        messages = f"{each} frame{'s' * (each > 1)} a message"
    return [
        f"machine  {machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB, torch {machine.torch}, "
        f"Python {machine.python}, framewatch {machine.program}",
        f"frames   {frames.height} x {frames.width} {frames.dtype}, {frames.told}",
        f"         {frames.frame_bytes:,} bytes a frame, {frames.slot_bytes:,} in the ring; "
        f"{frames.multiply_adds:,} multiply-adds of the network",
        f"daemon   batches of up to {settings.batch}, at most {settings.max_wait_ms:g} ms of waiting for one, "
        f"{settings.threads} torch thread{'s' * (settings.threads > 1)}, device {settings.device}",
        f"camera   a process of its own on the same cores, {messages}",
        "",
    ]


def rates_table(report: Report) -> Table:
    """Frames a second, and their ratios to the naive loop and to the lowest ceiling."""
    table = screen.plain_table("frames a second")
    table.add_column("")
    for condition in report.conditions:
        for heading in (_heading(condition), "x naive", "of ceiling"):
            table.add_column(heading, justify="right", no_wrap=True)
    shown = [figures(report, condition) for condition in report.conditions]
    for row in zip(*shown, strict=True):
        cells = [cell for one in row for cell in _rate_cells(one.frames_per_s, one.to_naive, one.of_ceiling)]
        table.add_row(row[0].name, *cells)
    return table


def delays_table(report: Report) -> Table:
    """Delays at half of the rate held, or at the rate that was asked for."""
    table = screen.plain_table("delay in milliseconds")
    table.add_column("")
    for heading in ("frames/s", "median", "99 %", "99.9 %", "longest", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    for condition in report.conditions:
        if condition.delays is None:
            continue
        for name, found in told_delays(condition.delays):
            told = f"{name}, {beside(condition.competing)}"
            table.add_row(told, f"{condition.delays.rate_hz:,.0f}", *_delay_cells(found))
    return table


def resources_table(report: Report) -> Table:
    """What the daemon takes."""
    table = screen.plain_table("what the daemon takes")
    table.add_column("")
    for condition in report.conditions:
        table.add_column(_heading(condition), justify="right", no_wrap=True)
    for name, cells in zip(_RESOURCES, zip(*map(_resource_cells, report.conditions), strict=True), strict=True):
        table.add_row(name, *cells)
    return table


_RESOURCES: Final = (
    "from start to the first frame judged",
    "memory, judging process",
    "memory, side process",
    "memory, recorder",
    "memory, shared ring",
    "... frames in it at the highest rate tried",
    "processor without frames",
    "processor at the rate of the delays: judging process",
    "... side process",
    "... recorder",
    "... camera process, which is not the daemon's",
)


def _resource_cells(condition: Condition) -> list[str]:
    found, delays = condition.resources, condition.delays
    trial = delays.trial if delays else None
    busy = [trial.cores_hot, trial.cores_side, trial.cores_recorder, trial.cores_camera] if trial else [None] * 4
    return [
        f"{found.start_s:.1f} s",
        f"{found.hot_mib:.0f} MiB",
        f"{found.side_mib:.0f} MiB",
        f"{found.recorder_mib:.0f} MiB",
        f"{found.ring_mib:.0f} MiB",
        f"{found.ring_s:.1f} s",
        *("-" if share is None else f"{100 * share:.1f} % of a core" for share in (found.idle_cores, *busy)),
    ]


def notes(report: Report) -> list[str]:
    """What the words mean, and what did not come out as it should."""
    told = [
        "  held: nothing dropped or lost, every frame accounted for, and the delay from sent to judged no longer in "
        "the last third of the trial than in its first",
        "  x naive: over the faster naive loop (receive, torch.from_numpy, eager network; never waiting for a frame)",
        "  of ceiling: share of the lower of two rates: one copy of each frame, and the network's multiply-adds as "
        "float32 matrix products",
        "  sent to permit false: from a black frame's sending to the word at a subscriber, the way there included",
        "  few: too few frames lie beyond it to tell it from the longest",
    ]
    if any(condition.competing for condition in report.conditions):
        told.append("  busy process: computes without end on the same cores; one for every two of them")
    for condition in report.conditions:
        told += [f"warning: {beside(condition.competing)}: {one}" for one in _complaints(condition)]
    return told


def _complaints(condition: Condition) -> list[str]:
    told: list[str] = []
    if condition.held_hz is None:
        why = next((trial.why for trial in reversed(condition.trials) if not trial.held), "")
        told.append(f"{'no rate tried' if condition.searched else 'the rate asked for'} was not held: {why}")
    if condition.limited_by == "camera":
        told.append("the camera process could not send faster: the daemon may hold more than was found")
    delays = condition.delays
    if delays is None:
        return told
    if not delays.trial.held:
        told.append(f"the delays are those of a trial that was not held: {delays.trial.why}")
    seen = delays.sent_to_permit.count if delays.sent_to_permit else 0
    if seen < delays.dark_frames:
        told.append(f"the permit was seen to fall after {seen} of {delays.dark_frames} black frames only")
    return told


def _heading(condition: Condition) -> str:
    return beside(condition.competing).replace(" busy", "\nbusy")


def _rate_cells(rate: float | None, to_naive: float | None, of_ceiling: float | None) -> tuple[str, str, str]:
    return (
        "none" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
        "-" if to_naive is None else f"{to_naive:.2g}" if to_naive < 10 else f"{to_naive:,.0f}",
        "-" if of_ceiling is None else f"{100 * of_ceiling:.2g} %",
    )


def _delay_cells(found: Quantiles | None) -> Sequence[str]:
    if found is None:
        return ("-", "-", "-", "-", "0")
    shown = (
        found.p50_ms,
        found.p99_ms if is_told(found, 0.01) else None,
        found.p999_ms if is_told(found, 0.001) else None,
        found.max_ms,
    )
    return (*("few" if one is None else f"{one:.2f}" for one in shown), f"{found.count:,}")
