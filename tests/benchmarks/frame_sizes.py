"""Rate and delay against frame size and against batch size: `make sizes`, or with options:

    python -m tests.benchmarks.frame_sizes --json build/frame-sizes.json --pictures docs/pictures [--quick]

For each size a network is trained in seconds on a simulated melt pool and measured as `framewatch bench` does, without
a competing process. `--draw` draws the pictures of what `--json` holds again, and measures nothing.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from monitor import service
from monitor.bench.alone import Scored, ScoringOrder, ScoringRow, best
from monitor.bench.children import ask
from monitor.bench.measure import QUICK, Plan, measure
from monitor.bench.report import Condition, Report
from monitor.bench.subject import subject_of, trained
from tests.benchmarks.curves import Curve, Panel, draw

SIZES_PX = (32, 64, 96, 120, 192, 320, 576)
QUICK_SIZES_PX = (32, 120)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
BATCH_SIDE_PX = 120
DELAY_BATCHES = (1, 8, 32, 128)


class AtSize(msgspec.Struct, frozen=True):
    """All that was measured with frames of one size."""

    side_px: int
    report: Report


class AtBatch(msgspec.Struct, frozen=True):
    """Rates and delays with batches of up to so many frames."""

    batch: int
    report: Report


class Measured(msgspec.Struct, frozen=True):
    """The whole benchmark."""

    sizes: list[AtSize]
    scoring: list[ScoringRow]  # of frames of BATCH_SIDE_PX, by batch size
    batches: list[AtBatch]


def measure_all(quick: bool, say: Callable[[str], None]) -> Measured:
    plan = (QUICK if quick else Plan())._replace(busy=False)
    sizes = [AtSize(side, measured(side, plan, say)) for side in (QUICK_SIZES_PX if quick else SIZES_PX)]
    some = DELAY_BATCHES[::2] if quick else DELAY_BATCHES
    batches = [AtBatch(batch, measured(BATCH_SIDE_PX, plan._replace(batch=batch), say)) for batch in some]
    return Measured(sizes, scored(BATCH_SIDE_PX, plan), batches)


def measured(side_px: int, plan: Plan, say: Callable[[str], None]) -> Report:
    say(f"{side_px} px, batches of up to {plan.batch}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = subject_of(folder, trained(folder, side_px, "uint8"), [], "of a simulated melt pool")
        return measure(plan, subject, folder, say)


def scored(side_px: int, plan: Plan) -> list[ScoringRow]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = subject_of(folder, trained(folder, side_px, "uint8"), [], "")
        order = ScoringOrder(
            str(subject.bundle.path), str(subject.bank), plan.device, plan.threads, list(BATCHES), plan.alone_s
        )
        return ask("monitor.bench.scoring", order, Scored, service.MALLOC).rows


def condition(report: Report) -> Condition:
    return report.conditions[0]


def copies(report: Report) -> float:
    return condition(report).ceilings.copied_bytes_per_s / report.frames.frame_bytes


def products(report: Report) -> float:
    return condition(report).ceilings.float32_multiply_adds_per_s / report.frames.multiply_adds


def rates(points: Sequence[tuple[float, Report]]) -> list[Curve]:
    """Held, scoring alone, naive, and the ceilings above them, at each place along the axis."""
    batch = {x: report.settings.batch for x, report in points}
    alone = [(x, max(row.frames_per_s for row in condition(one).scoring if row.batch == batch[x])) for x, one in points]
    return [
        Curve("ceiling: one copy of each frame", [(x, copies(one)) for x, one in points], is_bound=True),
        Curve("ceiling: float32 products", [(x, products(one)) for x, one in points], is_bound=True),
        Curve("scoring alone", alone),
        Curve("held by the daemon", [(x, condition(one).held_hz) for x, one in points]),
        Curve("naive loop", [(x, best(condition(one).naive)) for x, one in points]),
    ]


def delays(points: Sequence[tuple[float, Report]]) -> list[Curve]:
    """From sent to judged, at half of the rate held."""

    def found(field: str) -> list[tuple[float, float | None]]:
        told = [(x, condition(one).delays) for x, one in points]
        return [(x, getattr(one.sent_to_judged, field) if one and one.sent_to_judged else None) for x, one in told]

    return [Curve("longest", found("max_ms")), Curve("99 %", found("p99_ms")), Curve("median", found("p50_ms"))]


def pictures(found: Measured) -> dict[str, str]:
    """Each picture by its file's name."""
    sizes = [(float(one.side_px), one.report) for one in found.sizes]
    batches = [(float(one.batch), one.report) for one in found.batches]
    by_batch = [curve for curve in rates(batches) if curve.name != "scoring alone"]
    its = [row for row in found.scoring if row.backend == found.scoring[0].backend]  # the daemon's own comes first
    by_batch.insert(2, Curve("scoring alone", [(float(row.batch), row.frames_per_s) for row in its]))
    delay = "delay from sent to judged at half of the rate held, ms"
    return {
        "rate-by-frame-size.svg": draw(
            "side of the frame, px", [Panel("frames a second", rates(sizes)), Panel(delay, delays(sizes))]
        ),
        "rate-by-batch-size.svg": draw(
            f"frames in a batch at the most ({BATCH_SIDE_PX} px)",
            [Panel("frames a second", by_batch), Panel(delay, delays(batches))],
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="what was measured; read with --draw")
    parser.add_argument("--pictures", type=Path, required=True, help="folder to write the SVG pictures to")
    parser.add_argument("--draw", action="store_true", help="measure nothing: draw what --json holds")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.draw:
        found = msgspec.json.decode(options.json.read_bytes(), type=Measured)
    else:
        found = measure_all(options.quick, tell)
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    for name, drawn in pictures(found).items():
        (options.pictures / name).write_text(drawn)


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
