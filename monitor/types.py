"""The values that travel between the parts of the daemon. All are frozen; names carry units, docstrings shapes."""

from enum import IntEnum, StrEnum
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

PixelType = Literal["uint8", "uint16", "float32"]
Pixels = npt.NDArray[Any]
Place = npt.NDArray[np.integer[Any]]  # (2,) row and column of a pixel; negative where nobody knows
Precision = Literal["float32", "bfloat16"]  # as in `models.scores`, which not every process loads
Priority = Literal["low", "medium", "high", "critical"]

Cause = Literal["uncalibrated", "degraded", "blind", "stale", "low", "medium", "high", "critical", "stop"]
"""What may withhold the permit and has alarms: states, priorities of open events, and the rule for stops."""

Source = Literal[
    "t2", "s2", "offset", "local", "mewma",  # charts
    "exceedance_rate",
    "stop",  # the charts too, by the budget and the rule for stops
    "frozen", "saturated", "dark", "rows_missing",  # the camera
    "blind", "stale", "uncalibrated", "degraded", "flood", "new_kind",  # the service
]  # fmt: skip
"""Where an alarm comes from."""

TEXT_BYTES = 128
"""Most UTF-8 bytes in `stream`, `job`, `context` and `settings`: each ring slot keeps them at a fixed width."""


class State(StrEnum):
    """What the daemon says of itself; exactly one holds at any time."""

    STARTING = "starting"
    UNCALIBRATED = "uncalibrated"
    OK = "ok"
    IDLE = "idle"
    DEGRADED = "degraded"
    BLIND = "blind"
    STALE = "stale"
    STOPPING = "stopping"


class Unjudged(IntEnum):
    """Why an accepted frame is not judged; 0 in the ring means that it is to be judged."""

    INACTIVE = 1
    UNCALIBRATED = 2
    CONTEXT_UNKNOWN = 3
    OUT_OF_ORDER = 4
    CAMERA_FAULT = 5
    NOT_FINITE = 6

    @property
    def label(self) -> str:
        return self.name.lower()


class Dropped(StrEnum):
    """Why a frame that should have been judged never was."""

    OVERRUN = "overrun"  # the ring was full: newer frames took its slot
    STALE = "stale"  # it waited in a process that died
    STOPPING = "stopping"  # the daemon was told to stop before its turn came


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a camera says about *count* consecutive frames of one size; a keep-alive has count 0.

    What differs from message to message comes first.
    """

    seq: int  # of the first frame; of the next to come where count is 0
    t_ns: int  # first exposure, Unix nanoseconds on the sender's clock
    xy: tuple[float, float] | None  # of the first frame: millimetres, nanometres, or scan column and row
    camera: str
    stream: str
    count: int
    height: int
    width: int
    dtype: PixelType
    dt_ns: int  # between frames of this message
    active: bool
    context: str
    settings: str
    job: str
    layer: int | None
    end: bool

    @property
    def frame_bytes(self) -> int:
        return self.height * self.width * np.dtype(self.dtype).itemsize


class Message(NamedTuple):
    """One decoded message. *pixels* holds count x h x w values and *places*, where given, one record a frame."""

    header: Header
    pixels: memoryview  # a view into the received message: copied once, into the ring
    places: npt.NDArray[np.void] | None  # (count,) of x, y (float32) and active (uint8)


class Admission(NamedTuple):
    """Which frames the bundle's limits speak for; None stands for 'any'."""

    height: int
    width: int
    dtype: PixelType
    settings: str | None
    contexts: frozenset[str] | None


class Peak(msgspec.Struct, frozen=True):
    """The most extreme frame of an event: *score* on the alarm's chart, its *limit*, and their quotient."""

    seq: int
    score: float
    limit: float
    ratio: float


class Pool(msgspec.Struct, frozen=True):
    """The bright region of a frame: pixels above half of its peak over the background."""

    area_px: int
    mean: float
    peak: float


class Kind(msgspec.Struct, frozen=True):
    """The kind of anomaly nearest to an event, and how far it is."""

    id: int
    name: str
    distance: float
