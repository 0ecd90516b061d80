"""What the calibration report shows, as plain values. NaN stands for what is not known. Texts may hold anything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from calibration.autocorrelation import Correlogram
from calibration.seen_rates import Rates
from calibration.shifted import Median
from calibration.spread import Plane
from models.sweep import LatentSweep
from models.trained import Checkpoint
from monitor.budget import FittedBudget
from monitor.manifest import Earlier

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

JOINT = "joint"
"""Name of the joint score among the charts: the one that decides."""

WARNING = "warning"
"""Name of the joint score's lower limit, which single frames are counted by and which calls nobody."""


@dataclass(frozen=True)
class Group:
    """One group of frames. What follows *sha256* is empty or NaN for groups that trained the network."""

    name: str
    frames: int
    role: Literal["train", "held-out"]
    context: str  # empty: not stated
    sha256: str
    over: Mapping[str, float]  # chart -> share (0 to 1) of the frames above its limit
    quantiles: tuple[float, ...]  # of the joint score: 5, 50 and 95 %
    if_new: float  # share of the frames above the joint limit that the other groups alone would set


@dataclass(frozen=True)
class Chart:
    """One chart over the held-out frames. *scores* is (n,), in order; *limit_low* to *limit_high* is its interval.

    *limit* is that of all contexts together, *held* (n,) the one that held for each frame: where contexts have limits
    of their own, their context's. *warning* is the warning limit, NaN where there is none. An *extrapolated* limit per
    frame has no interval that could be known.
    """

    name: str
    scores: Floats
    center: float
    limit: float
    limit_low: float
    limit_high: float
    held: Floats
    extrapolated: bool = False
    warning: float = math.nan

    @property
    def several_limits(self) -> bool:
        """Whether contexts have limits of their own."""
        return len(np.unique(self.held)) > 1

    @property
    def has_interval(self) -> bool:
        """Whether the limit's interval is known, and one for all frames."""
        return bool(np.isfinite([self.limit_low, self.limit_high]).all()) and not self.several_limits


@dataclass(frozen=True)
class Example:
    """One held-out frame: as it came, as the network saw and drew it, and the residual. *label*: best, typical, worst.

    *came* is (h, w) in the sensor's own pixels; the other three are (H, W), turned and binned where frames are.
    """

    label: str
    where: str  # group and number of the frame, in words
    came: npt.NDArray[Any]
    seen: npt.NDArray[Any]
    drawn: npt.NDArray[Any]
    residual: npt.NDArray[Any]  # in spreads
    scores: Mapping[str, float]
    place: "Square"  # where `local` is largest, on the sensor
    peak: "Square"  # the same in what the network saw


@dataclass(frozen=True)
class Square:
    """The window that gave a local score: row and column of its centre, and its side, in pixels."""

    row: int
    column: int
    side: int


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column is a name, the others are values."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Footing:
    """What one set of limits rests on. *low* and *high*, in times the limit on the joint scale, bound it with 90 %.

    They are NaN where the limit is per frame and extrapolated: nobody can know.
    """

    where: str  # the contexts that it holds in, in words; empty: everywhere
    frames: int
    effective_frames: float  # independent frames that say as much as these
    low: float
    high: float


@dataclass(frozen=True)
class Correlation:
    """How long frames of the stream remember each other, by the joint score."""

    found: Correlogram
    rate_hz: float  # judged frames a second; NaN: not known
    dead_time: int  # frames; 0: none was set


@dataclass(frozen=True)
class Delays:
    """How long shifts of the latents (s,) go on before an event, in seconds; nothing where no charts can tell."""

    shifts: Sequence[float]
    rate_hz: float
    measured: Mapping[str, Sequence[Median]]  # which charts -> each shift's, in frames
    theory: Mapping[str, Floats]  # what -> frames (s,), of independent Gaussian frames at the same false alarms
    notes: Sequence[str]


@dataclass(frozen=True)
class Promise:
    """A false-alarm budget, and what the held-out frames say of it."""

    budget: FittedBudget
    rates: Rates
    groups_level: float  # joint limit of the groups at hand: before an allowance for new ones
    delays: Delays
    rates_per_hour: float  # false alarms of the chart of rates, which the budget does not hold; 0: no such chart


@dataclass(frozen=True)
class Segment:
    """Frames of a held-out group that stand out from the others, in words and numbers."""

    group: str
    first: int
    last: int
    odd: int  # frames that stand out, of those from first to last
    chart: str  # with the most extreme score
    score: float
    ratio: float  # the joint score there: times the limit
    share: float  # of the group


@dataclass(frozen=True)
class ReportData:
    """All that the report shows. *charts* are in the order in which they are to be read: the joint score first."""

    title: str
    promise: Promise | None  # None: limits are per frame
    camera_settings: str
    created: str
    false_alarm_rate: float
    settings: Mapping[str, str]  # settings and counts, in the order in which they are to be read
    limits: Table
    groups: Sequence[Group]
    between_sd: float  # of the held-out groups' medians of the joint score
    within_sd: float  # of frames about their group's mean
    segments: Sequence[Segment]  # the most extreme first
    correlation: Correlation
    starts: Sequence[tuple[int, str]]  # first held-out frame and name of each held-out group
    charts: Sequence[Chart]
    latents: Plane
    examples: Sequence[Example]
    history: Sequence[Checkpoint]
    sweep: LatentSweep | None  # None: nothing was trained
    footings: Sequence[Footing]  # of every set of limits that holds somewhere
    turned: bool  # each frame to one direction, and moved to the middle, before the network sees it
    binning: int  # pixels a side averaged to one before
    earlier: Sequence[Earlier]  # limits that these took the place of
    warnings: Sequence[str]
