"""What is known of each network, and which of them lie on the frontier of accuracy against arithmetic."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from calibration.evaluation import Estimate
from monitor.config import Calibration
from tests.benchmarks.evaluate.methods import TOGETHER


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """One network, trained once on one study and judged."""

    study: str  # the data set in one line: what was trained on other frames is no training of this study
    code: str = ""  # fingerprint of the sources that trained it; without one it is of no code that is known
    settings: Calibration
    areas: dict[str, Estimate]  # score -> AUROC
    found: Estimate  # of the anomalous frames, the share over the conformal limit of the joint score
    false_alarms: Estimate  # of the normal ones


class Point(NamedTuple):
    """One network: what it costs, and what it finds as the mean over its trainings."""

    name: str
    settings: Calibration  # of its first training
    channels: tuple[int, ...]  # of the stem and the stages that frames of this size leave; none where it is linear
    stem_px: int  # 0 where it is linear
    operations: int  # multiply-adds a frame
    frame_us: float  # scoring, microseconds
    areas: dict[str, Estimate]
    found: Estimate
    false_alarms: Estimate
    values: tuple[float, ...]  # AUROC of the joint score in each training

    @property
    def area(self) -> Estimate:
        """AUROC of the joint score."""
        return self.areas[TOGETHER]

    @property
    def spread(self) -> float:
        """Largest less smallest AUROC of its trainings."""
        return max(self.values) - min(self.values)


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several trainings' estimates on the same frames, ends by ends: no narrower for their number."""
    if any(one.value is None for one in estimates):
        return Estimate(None, 0.0, 1.0)
    value, low, high = (sum(ends) / len(estimates) for ends in zip(*estimates, strict=True))
    return Estimate(value, low, high)


def on_frontier(points: Sequence[Point]) -> list[bool]:
    """Of each of *points*, whether no other network is at least as good in operations and AUROC and better in one."""
    return [not any(_beats(other, one) for other in points) for one in points]


def _beats(other: Point, one: Point) -> bool:
    ours, theirs = (one.operations, -_value(one)), (other.operations, -_value(other))
    return theirs != ours and theirs[0] <= ours[0] and theirs[1] <= ours[1]


def _value(point: Point) -> float:
    if point.area.value is None:
        raise ValueError(f"{point.name} has no AUROC: its study shows no anomalous frame")
    return point.area.value
