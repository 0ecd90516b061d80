"""`framewatch bench`: from the options to a table, and files where they were asked for."""

import argparse
import signal
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from monitor import bundle as bundles
from monitor import screen
from monitor.bench import measure
from monitor.bench.measure import QUICK, Plan
from monitor.bench.picture import picture_of
from monitor.bench.report import Report
from monitor.bench.show import show_report
from monitor.bench.subject import RATE_HZ, Subject, subject_of, trained
from monitor.camera.recordings import groups
from monitor.types import PixelType

SIDE_PX: Final = 120
BATCH_MOST, THREADS_MOST, WAIT_MOST_MS = 4096, 256, 1000.0
STDOUT: Final = "-"


class UsageError(ValueError):
    """Options that do not go together: one line that says which and why."""


def bench(options: argparse.Namespace) -> Report:
    """Measure as *options* ask, show it and write it. Raises UsageError, or as measuring does."""
    check(options)
    # Whoever ends the command ends all that it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="framewatch-bench-") as name:
        folder = Path(name)
        subject = _subject(options, folder)
        report = measure.measure(plan_of(options), subject, folder, _say)
    written = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    if options.json == STDOUT:
        screen.say(written)
    else:
        show_report(report)
    if options.json not in (None, STDOUT):
        Path(options.json).write_text(written + "\n")
    if options.picture is not None:
        Path(options.picture).write_text(picture_of(report))
    return report


def check(options: argparse.Namespace) -> None:
    """Raises UsageError before anything takes time."""
    if options.bundle and not options.size is options.dtype is options.for_rate is None:
        raise UsageError("--size, --dtype and --for-rate are those of the bundle: leave them out with --bundle")
    if options.frames and not options.bundle:
        raise UsageError("--frames are judged by the bundle that was calibrated for them: give --bundle too")
    for name, value, most in (
        ("--batch", options.batch, BATCH_MOST),
        ("--threads", options.threads, THREADS_MOST),
        ("--max-wait-ms", options.max_wait_ms, WAIT_MOST_MS),
    ):
        if value > most:
            raise UsageError(f"{name} {value:g}: {most:g} is the most")
    for name in ("json", "picture"):
        path = getattr(options, name)
        if path not in (None, STDOUT) and (Path(path).is_dir() or not Path(path).parent.is_dir()):
            raise UsageError(f"--{name} {path}: is a folder, or stands in none; name a file in a folder that is there")
    if options.picture and Path(options.picture).suffix.lower() != ".svg":
        raise UsageError(f"--picture {options.picture}: must end in .svg")
    if options.size is not None:
        _check_side(options.size)
    if options.device != "cpu":
        _check_device(options.device)


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that *options* ask for."""
    plan = QUICK if options.quick else Plan()
    longest_s = options.seconds or plan.seconds
    return plan._replace(
        batch=options.batch,
        max_wait_ms=options.max_wait_ms,
        threads=options.threads,
        device=options.device,
        frames_per_message=options.frames_per_message,
        rate_hz=options.rate,
        seconds=longest_s,
        alone_s=min(plan.alone_s, longest_s),
        idle_s=min(plan.idle_s, longest_s),
        busy=options.busy,
    )


def _subject(options: argparse.Namespace, folder: Path) -> Subject:
    if options.bundle:
        bundle = bundles.read(Path(options.bundle))
        recordings = groups(options.frames, [])
        whose = f"of {', '.join(options.frames)}" if recordings else "of a simulated melt pool"
        return subject_of(folder, bundle, recordings, f"{whose}, judged by {options.bundle}")
    side_px = options.size or SIDE_PX
    dtype: PixelType = options.dtype or "uint8"
    _say(f"training a network for a simulated melt pool of {side_px} x {side_px} px")
    bundle = trained(folder, side_px, dtype, options.for_rate or options.rate or RATE_HZ)
    return subject_of(folder, bundle, [], "of a simulated melt pool, judged by a bundle trained for this run")


def _check_side(side_px: int) -> None:
    from models.architecture import SIDE_MAX_PX, SIDE_MIN_PX

    if not SIDE_MIN_PX <= side_px <= SIDE_MAX_PX:
        raise UsageError(f"--size {side_px}: a network sees frames of {SIDE_MIN_PX} to {SIDE_MAX_PX} px a side")


def _check_device(device: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise UsageError(f"--device {device}: torch sees no CUDA device; use cpu")


def _say(line: str) -> None:
    screen.err.print(line)
