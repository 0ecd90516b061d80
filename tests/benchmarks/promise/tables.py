"""What the benchmarks of the promise measure, as markdown tables."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from calibration.evaluation import proportion
from tests.benchmarks.document import table
from tests.benchmarks.promise.figures import Camera, OnCamera, OnGroups, OnStream, Power

Row = TypeVar("Row")

STREAMS: Final = (
    "stream",
    "events allowed in a calibration",
    "extrapolated by",
    "blocks, of frames",
    "events allowed on the fresh stream",
    "realised: mean ± s.e.",
    "90 % of calibrations",
    "interval holds",
    "bootstrap holds",
    "conservative: mean ± s.e.",
    "conservative over",
)
CAMERA: Final = (
    "events allowed in a calibration",
    "calibrations",
    "frames a block",
    "events allowed on the other runs",
    "widened, decades",
    "realised: mean ± s.e.",
    "90 % of calibrations",
    "interval holds",
    "conservative: mean ± s.e.",
    "conservative over",
    "limits per frame: over",
)


FEW: Final = (
    "runs of a calibration",
    "calibrations",
    "single frames over limits per frame, of those asked for",
    "budget: events, no allowance for new runs",
    "raised for new runs, decades",
    "budget: events",
    "conservative: events",
    "conservative over",
)


def of_streams(rows: Sequence[OnStream]) -> str:
    """Every stream and budget, the budgets by the events that they allow, most first."""
    counts = sorted({row.calibrations for row in rows})
    text = f"{_either(counts)} calibrations of every stream; events over the budget, which is 1.\n\n"
    text += table(STREAMS, [_of_stream(row) for row in in_order(rows)])
    for row in rows:
        if row.mean_by_ranks is not None:
            text += (
                f"\nOn `{row.stream}`, the same limits by ranks of the calibration in place of tails realise "
                f"{row.mean_by_ranks:.2f} of the budget, by tails {row.mean:.2f}.\n"
            )
    return text


def in_order(rows: Sequence[OnStream]) -> list[OnStream]:
    """*rows* with streams as they come, and of each the budget that allows most events first."""
    streams = list(dict.fromkeys(row.stream for row in rows))
    return sorted(rows, key=lambda row: (streams.index(row.stream), -row.expected))


def of_camera(calibrations: Sequence[OnCamera]) -> str:
    """Every budget on the simulated camera, the one that allows most events first."""
    parts = _grouped(calibrations, lambda one: -one.expected)
    return "Events over the budget, which is 1.\n\n" + table(CAMERA, [_of_calibrations(part) for part in parts])


def of_few(calibrations: Sequence[OnCamera]) -> str:
    """Calibrations of few runs, the fewest first: what limits per frame and by budget do on runs never seen."""
    parts = _grouped(calibrations, lambda one: one.runs)
    allowed = sorted({one.expected for one in calibrations})
    text = (
        f"{' or '.join(f'{one:g}' for one in allowed)} events are allowed in a calibration; means ± standard error.\n\n"
    )
    return text + table(FEW, [_of_few(part) for part in parts])


def of_power(power: Sequence[Power]) -> str:
    """What both ways find at as many false events: a row for each number of them, a column for each way."""
    ways = list(dict.fromkeys(one.way for one in power))
    parts = _grouped(power, lambda one: one.false_events)
    anomalies = sorted({one.anomalies for one in power})
    runs = sorted({one.fresh_runs for one in power})
    header = [f"false events in {_either(runs)} runs", *[f"{way}: found" for way in ways]]
    rows = [[str(part[0].false_events), *[_share(*_counts(part, way)) for way in ways]] for part in parts]
    return f"{_either(anomalies)} anomalies; share found, with its 95 % interval.\n\n" + table(header, rows)


def of_groups(rows: Sequence[OnGroups]) -> str:
    """Every spread between runs and number of them, by method."""
    methods = list(dict.fromkeys(row.method for row in rows))
    header = ["spread between runs", "runs"]
    for method in methods:
        header += [f"{method}: rate", "new runs over"] + ["interval holds"] * _has_interval(rows, method)
    parts = _grouped(rows, lambda row: (row.between, row.groups))
    lines = [
        [f"{part[0].between:g}", str(part[0].groups), *[cell for row in part for cell in _of_group(row)]]
        for part in parts
    ]
    counts = sorted({row.calibrations for row in rows})
    text = f"{_either(counts)} calibrations each; mean rate in new runs over the rate asked for, which is 1, and in "
    return text + "brackets what 80 % of calibrations lie between.\n\n" + table(header, lines)


def of_what_is_there(camera: Camera) -> dict[str, str]:
    """The tables of the simulated camera by the names of their places; none for what was not measured."""
    tables = {}
    if camera.calibrations:
        tables["promise-camera"] = of_camera(camera.calibrations)
    if camera.few:
        tables["promise-few"] = of_few(camera.few)
    if camera.power:
        tables["promise-power"] = of_power(camera.power)
    return tables


def _of_stream(row: OnStream) -> list[str]:
    allowed = f"{row.expected:g}"
    return [
        row.stream,
        allowed if row.promised > 0.995 else f"{allowed}, promised {row.promised:.2f} of it",
        f"{row.extrapolated_by:.1f}" if row.extrapolated_by > 1 else "-",
        f"{row.blocks:,.0f} of {row.block_frames:,.0f}",
        f"{row.allowed:,.0f}",
        f"{row.mean:.2f} ± {row.standard_error:.2f}",
        f"{row.low:.2f} to {row.high:.2f}",
        f"{row.covered:.0%}",
        f"{row.covered_by_bootstrap:.0%}",
        f"{row.conservative_mean:.2f} ± {row.conservative_standard_error:.2f}",
        f"{row.conservative_over:.0%}",
    ]


def _of_calibrations(part: Sequence[OnCamera]) -> list[str]:
    realised, conservative, frames = (
        np.array([getattr(one, name) for one in part]) for name in ("realised", "conservative", "frames_over")
    )
    low, high = np.quantile(realised, [0.05, 0.95])
    allowed, promised = f"{part[0].expected:g}", float(np.mean([one.promised for one in part]))
    return [
        allowed if promised > 0.995 else f"{allowed}, promised {promised:.2f} of it",
        str(len(part)),
        f"{np.median([one.block_frames for one in part]):,.0f}",
        f"{np.median([one.allowed for one in part]):,.0f}",
        f"{np.mean([one.widened for one in part]):.2f}",
        _mean(realised),
        f"{low:.2f} to {high:.2f}",
        f"{np.mean([one.low <= 1 <= one.high for one in part]):.0%}",
        _mean(conservative),
        f"{(conservative > 1).mean():.0%}",
        f"{frames.mean():.2f} ({frames.min():.2f} to {frames.max():.2f})",
    ]


def _of_few(part: Sequence[OnCamera]) -> list[str]:
    frames, without, realised, conservative = (
        np.array([getattr(one, name) for one in part])
        for name in ("frames_over", "unwidened", "realised", "conservative")
    )
    return [
        str(part[0].runs),
        str(len(part)),
        _mean(frames),
        _mean(without),
        f"{np.mean([one.widened for one in part]):.2f}",
        _mean(realised),
        _mean(conservative),
        f"{(conservative > 1).mean():.0%}",
    ]


def _of_group(row: OnGroups) -> list[str]:
    cells = [f"{row.mean:.2f} ({row.low:.2f} to {row.high:.2f})", f"{row.over:.0%}"]
    return cells if row.covered is None else [*cells, f"{row.covered:.0%}"]


def _has_interval(rows: Sequence[OnGroups], method: str) -> bool:
    return any(row.covered is not None for row in rows if row.method == method)


def _mean(values: npt.NDArray[np.float64]) -> str:
    error = f"{values.std(ddof=1) / np.sqrt(len(values)):.2f}" if len(values) > 1 else "?"
    return f"{values.mean():.2f} ± {error}"


def _counts(part: Sequence[Power], way: str) -> tuple[int, int]:
    (one,) = (one for one in part if one.way == way)
    return one.found, one.anomalies


def _share(found: int, anomalies: int) -> str:
    share = proportion(found, anomalies)
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


def _grouped(rows: Sequence[Row], key: Callable[[Row], float | tuple[float, ...]]) -> list[list[Row]]:
    return [list(part) for _, part in groupby(sorted(rows, key=key), key)]


def _either(counts: Sequence[int]) -> str:
    return " or ".join(f"{count:,}" for count in counts)
