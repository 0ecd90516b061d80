"""The budgets of a bundle, as its manifest holds them: of false alarms, and of false stops."""

from typing import Any, Self

import msgspec

from calibration.action import ActionLimits, Demand, EventLimit, GroupShift
from calibration.budget import BudgetLimit
from calibration.events import EventRule
from calibration.family import ControlLimit
from monitor.config import Calibration


class GroupsShift(msgspec.Struct, frozen=True):
    """How far limits lie beyond those of the groups at hand, for groups never seen, in decades of the joint scale."""

    by: float
    high: float
    rate: float
    groups: int
    effective_groups: float
    why: str

    @classmethod
    def of(cls, shift: GroupShift) -> Self:
        """*shift* as the manifest holds it."""
        limit = shift.limit
        return cls(shift.by, shift.high, shift.rate, limit.groups, limit.effective_groups, limit.why)


class WarningLimit(msgspec.Struct, frozen=True):
    """What the warning limit of single frames rests on, as `calibration.family.ControlLimit` gives it.

    Joint scores of the groups at hand: what it was raised by for new ones is that of the action limit.
    """

    value: float
    low: float
    high: float
    method: str
    effective_frames: float
    extrapolated: bool
    why: str

    @classmethod
    def of(cls, found: ControlLimit) -> Self:
        """*found*, as the manifest holds it."""
        return cls(**{name: getattr(found, name) for name in cls.__struct_fields__})


class EventBudget(msgspec.Struct, frozen=True):
    """Events that are to be borne in an hour of judged frames, and the joint limit that keeps to it.

    *action* and its bounds are on the scale of `calibration.tails.rarity`.
    """

    asked_per_hour: float  # false events a judged hour
    per_hour: float  # promised: what was asked for, or fewer
    conservative: bool  # the upper 90 % bound was taken in place of the limit
    rate_hz: float  # judged frames a second
    k: int  # of the event rule
    n: int
    block_frames: int  # the rule's dead time
    action: float
    low: float
    high: float
    method: str
    blocks: int
    effective_blocks: float
    hours: float  # judged, that set the limit
    extrapolated_by: float  # times that they are too few; 1: they support it
    why: str
    extremes: tuple[float, ...]  # joint scores of the blocks' highest event statistics, in order
    extremes_frames: int  # in one of these blocks

    @property
    def rule(self) -> EventRule:
        """The event rule that the limit was set for."""
        return EventRule(self.k, self.n, self.block_frames)


class FittedStops(EventBudget, frozen=True):
    """The budget of false stops: what withholds the permit in place of events that raise alarms of the charts."""

    @property
    def name(self) -> str:
        """Of the rule."""
        return f"{self.k} of {self.n}"

    @classmethod
    def of(cls, found: EventLimit, demand: Demand) -> Self:
        """*found* for *demand*, as the manifest holds it."""
        return cls(**_fields(found, demand))


class FittedBudget(EventBudget, frozen=True, kw_only=True):
    """The false-alarm budget that the limits keep to, as `calibration.action.ActionLimits` gives it."""

    warning: float  # joint limit of single frames
    warning_rate: float  # share of single frames above it
    single: WarningLimit
    shift: GroupsShift | None
    stops: FittedStops | None = None  # None: no budget of false stops was asked for, or too few frames for its rule

    @classmethod
    def of(cls, found: ActionLimits, demand: Demand) -> Self:
        """*found* for *demand*, as the manifest holds it."""
        alarms = EventLimit(found.action, found.low, found.high, found.budget, found.record)
        of_stops = demand.of_stops
        return cls(
            **_fields(alarms, demand),
            warning=found.warning,
            warning_rate=demand.warning_rate,
            single=WarningLimit.of(found.single),
            shift=None if found.shift is None else GroupsShift.of(found.shift),
            stops=FittedStops.of(found.stops, of_stops) if found.stops and of_stops else None,
        )

    @property
    def stop_rule(self) -> EventRule | None:
        """The rule for stops, its limit in times of the action limit as joint scores are when they are judged."""
        stops = self.stops
        return None if stops is None else stops.rule._replace(limit=stops.action / self.action)

    def other_than(self, settings: Calibration) -> str:
        """What *settings* ask for and these limits do not keep, in one line; empty where there is nothing."""
        asked = settings.false_alarms_per_hour
        if asked is None:
            return f"calibration.false_alarms_per_hour is null, the bundle's limits keep to {self.asked_per_hour:g}"
        if asked != self.asked_per_hour:
            return (
                f"calibration.false_alarms_per_hour is {asked:g}, the bundle's limits keep to {self.asked_per_hour:g}"
            )
        if settings.conservative != self.conservative:
            told = ("false", "true")
            return (
                f"calibration.conservative is {told[settings.conservative]}, for the bundle's limits it was "
                f"{told[self.conservative]}"
            )
        return self._other_stops_than(settings)

    def _other_stops_than(self, settings: Calibration) -> str:
        asked, stops = settings.false_stops_per_hour, self.stops
        if stops is None:
            return f"calibration.false_stops_per_hour is {asked:g}, the bundle has no stop limit" if asked else ""
        if asked is None:
            return f"calibration.false_stops_per_hour is null, the bundle's stops keep to {stops.asked_per_hour:g}"
        if asked != stops.asked_per_hour:
            return (
                f"calibration.false_stops_per_hour is {asked:g}, the bundle's stop limit keeps to "
                f"{stops.asked_per_hour:g}"
            )
        if (settings.stop_k, settings.stop_n) != (stops.k, stops.n):
            return (
                f"calibration.stop_k and stop_n are {settings.stop_k} of {settings.stop_n}, the bundle's stop limit is "
                f"for {stops.k} of {stops.n}"
            )
        return ""


def renewed(
    budget: BudgetLimit, limits: tuple[float, float, float], asked_per_hour: float, *, conservative: bool
) -> dict[str, Any]:
    """What a new *budget*, with its action limit and bounds, makes of an `EventBudget`."""
    action, low, high = limits
    return {
        "asked_per_hour": asked_per_hour,
        "per_hour": budget.per_hour,
        "conservative": conservative,
        "action": action,
        "low": low,
        "high": high,
        "method": budget.method,
        "blocks": budget.blocks,
        "effective_blocks": budget.effective_blocks,
        "hours": budget.hours,
        "extrapolated_by": budget.extrapolated_by,
        "why": budget.why,
    }


def _fields(found: EventLimit, demand: Demand) -> dict[str, Any]:
    return renewed(
        found.budget, (found.limit, found.low, found.high), demand.per_hour, conservative=demand.conservative
    ) | {
        "rate_hz": demand.rate_hz,
        "k": demand.k,
        "n": demand.n,
        "block_frames": found.budget.block_frames,
        "extremes": tuple(found.record.kept.tolist()),
        "extremes_frames": found.record.block_frames,
    }
