"""The sweep as markdown: every network, and what the size of the latent does to each chart."""

from collections.abc import Sequence
from typing import Any, Final

from calibration.evaluation import Estimate
from tests.benchmarks.evaluate.methods import TOGETHER
from tests.benchmarks.frontier.networks import DEFAULT
from tests.benchmarks.frontier.points import Point, on_frontier

HEADER: Final = (
    "network",
    "stem",
    "channels",
    "group",
    "latent",
    "binning",
    "oriented",
    "million multiply-adds a frame",
    "µs a frame",
    "AUROC",
    "found at 1 %",
    "false alarms",
    "on the frontier",
)


def every_network(points: Sequence[Point]) -> str:
    """All *points*, fewest operations first."""
    ordered = sorted(points, key=lambda one: (one.operations, one.name))
    rows = [_row(one, best) for one, best in zip(ordered, on_frontier(ordered), strict=True)]
    return _table(HEADER, rows)


def by_latent(points: Sequence[Point]) -> str:
    """AUROC of each chart of the default network with latents of several sizes."""
    (default,) = (one for one in points if one.name == DEFAULT)
    same = [one for one in points if _but_for_latent(one) == _but_for_latent(default)]
    charts = list(default.areas)
    rows = [
        [str(one.settings.latent), *[_estimate(one.areas[chart]) for chart in charts], _estimate(one.found)]
        for one in sorted(same, key=lambda one: int(one.settings.latent))
    ]
    return _table(["latent", *charts, f"{TOGETHER}: found at 1 %"], rows)


def spread(points: Sequence[Point]) -> str:
    """How far trainings of the default lie apart, in one line."""
    (default,) = (one for one in points if one.name == DEFAULT)
    values = ", ".join(f"{value:.4f}" for value in default.values)
    return (
        f"The default, trained with {len(default.values)} seeds: AUROC {values}, so {default.spread:.4f} between the "
        "best and the worst. Its row is their mean."
    )


def _row(one: Point, best: bool) -> list[str]:
    made_of, linear = one.settings.network, not one.channels
    name = f"**{one.name}**" if one.name == DEFAULT else one.name
    return [
        name,
        "none" if linear else str(one.stem_px),
        "linear" if linear else " ".join(map(str, one.channels)),
        "-" if linear else str(made_of.group or "all"),
        str(one.settings.latent),
        str(one.settings.binning),
        one.settings.orientation,
        f"{one.operations / 1e6:.2f}",
        f"{one.frame_us:.0f}",
        _estimate(one.area),
        _estimate(one.found),
        _estimate(one.false_alarms),
        "yes" if best else "",
    ]


def _but_for_latent(one: Point) -> Any:
    return one.settings.network, one.settings.binning, one.settings.orientation


def _estimate(one: Estimate) -> str:
    return "-" if one.value is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
