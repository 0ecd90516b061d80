"""What a bundle says of itself: its manifest, as plain typed values, and as `calibration` takes them."""

import hashlib
from typing import Annotated, Final, Self

import msgspec
import numpy as np

from calibration.drift_fit import DriftFit
from calibration.events import EventRule
from calibration.exceedance_rate import RateLimit, UnitRule, rate_limit
from calibration.limits import Limit
from calibration.memory import MemoryChart
from calibration.mewma import mewma
from calibration.tails import Tail
from monitor.budget import FittedBudget
from monitor.config import Events
from monitor.types import PixelType, Precision

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


CLEAR_FRAMES: Final = 200
"""Judged frames without the rule being met that end an event, where neither a budget nor a person says."""


class Group(msgspec.Struct, frozen=True):
    """A run, layer, scene or session of recorded frames and what it was used for."""

    name: str
    frames: int
    role: str  # "train", "limits", or "train+limits" where one group was cut in two
    sha256: Sha256  # of the pixels in C order
    context: str = ""  # empty: not stated


class FittedTail(msgspec.Struct, frozen=True):
    """How rare in-control scores are, as `calibration.tails.Tail` says it."""

    body: tuple[float, ...]
    share: float
    shape: float
    scale: float

    @classmethod
    def of(cls, tail: Tail) -> Self:
        """*tail* as the manifest holds it."""
        return cls(tuple(tail.body.tolist()), tail.share, tail.shape, tail.scale)

    def as_tail(self) -> Tail:
        """The same as `calibration` takes it."""
        return Tail(np.array(self.body), self.share, self.shape, self.scale)


class FittedLimit(msgspec.Struct, frozen=True):
    """An upper control limit as `calibration.limits.Limit` gives it, with its interval and method."""

    value: float
    low: float
    high: float
    center: float
    rate: float
    method: str
    frames: int
    effective_frames: float
    extrapolated: bool
    tail: FittedTail

    @classmethod
    def of(cls, limit: Limit) -> Self:
        """*limit* as the manifest holds it."""
        return cls(**(limit._asdict() | {"tail": FittedTail.of(limit.tail)}))

    def as_limit(self) -> Limit:
        """The same as `calibration` takes it."""
        return Limit(**(msgspec.structs.asdict(self) | {"tail": self.tail.as_tail()}))


class FittedMemory(msgspec.Struct, frozen=True):
    """The memory chart, as `calibration.memory.MemoryChart` has it."""

    seconds: tuple[float, ...]
    rate_hz: float
    strange: float
    centers: dict[str, tuple[float, ...]]
    tails: tuple[FittedTail, ...]

    @classmethod
    def of(cls, memory: MemoryChart, rate_hz: float) -> Self:
        """*memory* as the manifest holds it."""
        centers = {name.decode(): tuple(center.tolist()) for name, center in memory.centers.items()}
        return cls(memory.seconds, rate_hz, memory.strange, centers, tuple(map(FittedTail.of, memory.tails)))

    def as_memory(self) -> MemoryChart:
        """The same as `calibration` takes it."""
        centers = {name.encode(): np.array(center) for name, center in self.centers.items()}
        tails = tuple(tail.as_tail() for tail in self.tails)
        return MemoryChart(self.seconds, mewma(self.seconds, self.rate_hz), centers, self.strange, tails)


class CameraCheck(msgspec.Struct, frozen=True):
    """The levels beyond which a frame tells of the camera instead of the process."""

    dark_spread: float
    saturated_level: float
    saturated_fraction: float
    row_contrast: float
    frozen_repeats: int


class FittedDrift(msgspec.Struct, frozen=True):
    """What `calibration.drift` compares the scores with: values of calibration's blocks."""

    levels: tuple[float, ...]
    block_frames: int
    values: tuple[float, ...]
    tolerated: float  # decades that runs may differ by

    @classmethod
    def of(cls, fit: DriftFit) -> Self:
        """*fit* as the manifest holds it."""
        return cls(tuple(fit.levels.tolist()), fit.block_frames, tuple(fit.values.tolist()), fit.tolerated)


class FittedRates(msgspec.Struct, frozen=True):
    """The chart of rates (`calibration.exceedance_rate`): exceedances of the warning limit in held-out units."""

    window: int  # judged frames of a unit, where there are no layers
    frames_min: int
    exceedances: tuple[int, ...]  # of each unit
    frames: tuple[int, ...]
    share: float  # of units in control that may exceed the limit
    conservative: bool  # the upper 90 % bound was taken in place of the limit
    per_hour: float  # false alarms that this is, besides those of the budget
    most: int  # exceedances of a window that are in control
    extrapolated_by: float
    why: str

    @property
    def rule(self) -> UnitRule:
        return UnitRule(self.window, self.frames_min)

    @property
    def limit(self) -> RateLimit:
        """The limit, worked out anew: some tenths of a second for hundreds of units."""
        found = rate_limit(self.exceedances, self.frames, self.share)
        return found._replace(limit=found.conservative) if self.conservative else found


class Excluded(msgspec.Struct, frozen=True):
    """Frames *first* to *last* of a held-out group that set no limit, since a person said so."""

    group: str
    first: int
    last: int


class Earlier(msgspec.Struct, frozen=True):
    """Limits that others took the place of, by whom and why."""

    created_ns: int  # Unix nanoseconds, when they were set
    replaced_ns: int
    by: str  # who replaced them
    why: str
    limits: dict[str, float]  # chart -> limit, of all contexts pooled
    action: float | None = None  # joint limit; None: they were per frame
    per_hour: float | None = None
    hours: float | None = None
    extrapolated_by: float | None = None
    low: float | None = None  # of the joint limit, with 90 % confidence
    high: float | None = None
    method: str | None = None
    effective_blocks: float | None = None
    conservative: bool = False
    context_limits: dict[str, dict[str, float]] = {}  # of contexts that had their own
    excluded: tuple[Excluded, ...] = ()
    limits_with_excluded: dict[str, float] = {}


class Manifest(msgspec.Struct, frozen=True):
    """All that is known of a calibration besides its weights."""

    format: int
    program: str  # version that wrote it
    created_ns: int  # Unix nanoseconds
    height: int
    width: int
    dtype: PixelType
    settings: str | None  # of the camera; None: not stated, any is accepted
    engine: str  # e.g. "torch 2.13.0 cpu"
    precision: Precision  # of the decoder
    training: dict[str, bool | int | float | str]
    groups: tuple[Group, ...]
    false_alarm_rate: float  # share of judged frames over any warning limit; the limits' own where there is no budget
    budget: FittedBudget | None  # None: too few frames, or no frame rate; the limits are per frame
    rates: FittedRates | None  # None: too few frames for a chart of rates
    drift: FittedDrift | None  # None: too few frames to watch for a drift of the scores
    memory: FittedMemory | None  # of the chart `mewma`; None: frames too few for any
    limits: dict[str, FittedLimit]  # chart -> of all contexts pooled
    # Context -> chart -> its own limit; empty where the pooled ones hold. None: calibrated without regard to context.
    context_limits: dict[str, dict[str, FittedLimit]] | None
    camera: CameraCheck
    warnings: tuple[str, ...]
    context_means: dict[str, tuple[float, ...]] = {}  # of whitened training latents: what a memory chart starts from
    excluded: tuple[Excluded, ...] = ()  # held-out frames that a person marked as not normal
    limits_with_excluded: dict[str, float] = {}  # chart -> its limit, had nothing been excluded
    history: tuple[Earlier, ...] = ()  # limits that held before, newest last
    # Chart -> how far rounding moves its scores, of the way from the in-control mean to the limit; empty in float32.
    precision_error: dict[str, float] = {}
    files: dict[str, Sha256] = {}

    @property
    def fitted_limits(self) -> tuple[Limit, ...]:
        """The pooled limits in the order of the charts."""
        return as_limits(self.limits)

    @property
    def charts(self) -> tuple[str, ...]:
        """Their names, in the order of scores and limits."""
        return tuple(self.limits)

    @property
    def contexts(self) -> tuple[str, ...] | None:
        """Which contexts the limits speak for; None: any."""
        return None if self.context_limits is None else tuple(self.context_limits)

    @property
    def own_limits(self) -> dict[str, dict[str, FittedLimit]]:
        """Context -> chart -> limit, of the contexts that have limits of their own."""
        return {context: own for context, own in (self.context_limits or {}).items() if own}

    @property
    def scale(self) -> str:
        """Names the scale of joint scores: the same as long as the charts' tails, the memories and the rule are."""
        tails = [limit.tail for held in (self.limits, *self.own_limits.values()) for limit in held.values()]
        rule = (self.budget.k, self.budget.n) if self.budget else None
        return hashlib.sha256(msgspec.json.encode((tails, self.memory, rule))).hexdigest()

    def rule_for(self, events: Events) -> EventRule:
        """The event rule of these limits, as the configuration's *events* have it.

        Raises ValueError where limits that keep to a budget were set for another rule: it would no longer hold.
        """
        if self.budget is None:
            return without_budget(events)
        held, asked = self.budget.rule, events.clear_frames
        if (events.k, events.n) != (held.k, held.n):
            raise ValueError(
                f"events: the bundle's limits were set for {held.k} of {held.n} frames, not {events.k} of {events.n}; "
                f"set events.k and events.n so, or calibrate anew with this configuration"
            )
        if asked != "auto" and asked < held.clear_frames:
            raise ValueError(
                f"events.clear_frames: {asked} frames are less than the {held.clear_frames} within which the bundle's "
                "false-alarm budget counts all as one event; set at least so many, or auto"
            )
        held = held._replace(deadband=events.deadband)
        return held if asked == "auto" else held._replace(clear_frames=asked)

    @property
    def extrapolated(self) -> bool:
        """Whether any limit rests on too few frames for its rate."""
        return any(limit.extrapolated for held in (self.limits, *self.own_limits.values()) for limit in held.values())


def without_budget(events: Events) -> EventRule:
    """The rule of *events* where no budget says how long one lasts."""
    clear_frames = CLEAR_FRAMES if events.clear_frames == "auto" else events.clear_frames
    return EventRule(events.k, events.n, clear_frames, events.deadband)


def as_limits(limits: dict[str, FittedLimit]) -> tuple[Limit, ...]:
    """*limits* in the order of their charts, as `calibration` takes them."""
    return tuple(limit.as_limit() for limit in limits.values())
