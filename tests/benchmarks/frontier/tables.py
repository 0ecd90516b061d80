"""The sweep as markdown: every network, what the size of the latent does to each chart, and what training does."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from calibration.evaluation import Estimate
from tests.benchmarks.document import table
from tests.benchmarks.evaluate.methods import TOGETHER
from tests.benchmarks.frontier.networks import DEFAULT
from tests.benchmarks.frontier.points import Point, on_frontier
from tests.benchmarks.frontier.sweep import Trained

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
TRAINING_HEADER: Final = ("training", "seeds", "AUROC", "found at 1 %", "false alarms")


def every_network(points: Sequence[Point]) -> str:
    """All *points*, fewest operations first."""
    ordered = sorted(points, key=lambda one: (one.operations, one.name))
    rows = [_row(one, best) for one, best in zip(ordered, on_frontier(ordered), strict=True)]
    return table(HEADER, rows)


def by_latent(points: Sequence[Point]) -> str:
    """AUROC of each chart of the default network with latents of several sizes."""
    (default,) = (one for one in points if one.name == DEFAULT)
    same = [one for one in points if _but_for_latent(one) == _but_for_latent(default)]
    charts = list(default.areas)
    rows = [
        [str(one.settings.latent), *[_estimate(one.areas[chart]) for chart in charts], _estimate(one.found)]
        for one in sorted(same, key=lambda one: int(one.settings.latent))
    ]
    return table(["latent", *charts, f"{TOGETHER}: found at 1 %"], rows)


def by_training(networks: Sequence[Trained]) -> str:
    """All *networks*, in their order, each trained in a way of its own, and how far they lie from the default."""
    (default,) = (one for one in networks if one.candidate.name == DEFAULT)
    usual, span = float(np.mean(default.values)), max(default.values) - min(default.values)
    header = [*TRAINING_HEADER, f"change of AUROC (default's seeds: {span:.4f})"]
    rows = [
        [
            _emphasised(one.candidate.name),
            str(len(one.trainings)),
            _estimate(one.areas[TOGETHER]),
            _estimate(one.found),
            _estimate(one.false_alarms),
            "" if one is default else f"{float(np.mean(one.values)) - usual:+.4f}",
        ]
        for one in networks
    ]
    return table(header, rows)


def spread(values: Sequence[float]) -> str:
    """How far trainings of the default lie apart by their AUROC, *values*, in one line."""
    listed = ", ".join(f"{value:.4f}" for value in values)
    span = max(values) - min(values)
    return (
        f"The default, trained with {len(values)} seeds: AUROC {listed}, so {span:.4f} between the best and the worst. "
        "Its row is their mean."
    )


def _row(one: Point, best: bool) -> list[str]:
    made_of, linear = one.settings.network, not one.channels
    return [
        _emphasised(one.name),
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


def _emphasised(name: str) -> str:
    return f"**{name}**" if name == DEFAULT else name


def _estimate(one: Estimate) -> str:
    return "-" if one.value is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
