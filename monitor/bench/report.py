"""What a measurement found: what `--json` writes, and the figures that table and picture draw from it."""

from typing import Final, NamedTuple

import msgspec

from monitor.bench.alone import Ceilings, NaiveRow, ScoringRow, best
from monitor.bench.delays import Quantiles
from monitor.bench.trial import Trial
from monitor.types import PixelType

FEW: Final = 10


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    processor: str
    cores: int  # that this process may use
    memory_gib: float
    program: str
    python: str
    torch: str


class Frames(msgspec.Struct, frozen=True):
    """What was judged, and what a frame costs."""

    told: str  # where bundle and frames come from
    height: int
    width: int
    dtype: PixelType
    frame_bytes: int
    slot_bytes: int  # of the ring: the frame and what lies beside it
    multiply_adds: int  # of the network


class Settings(msgspec.Struct, frozen=True):
    """How the daemon ran."""

    batch: int
    max_wait_ms: float
    threads: int
    device: str
    frames_per_message: int | None  # None: as cameras do at each rate
    seconds: float


class DelaysAt(msgspec.Struct, frozen=True):
    """Delays at a rate; None where there were none to be seen."""

    rate_hz: float
    received_to_judged: Quantiles | None
    sent_to_judged: Quantiles | None
    sent_to_permit: Quantiles | None
    dark_frames: int  # sent to make the permit fall: of some of them no fall could be seen
    trial: Trial


class Resources(msgspec.Struct, frozen=True):
    """What the daemon takes."""

    start_s: float  # from the start of its processes to the first frame judged
    hot_mib: float
    side_mib: float
    recorder_mib: float
    ring_mib: float
    ring_s: float  # of frames at the highest rate tried
    idle_cores: float  # processor time a second without frames, all processes


class Condition(msgspec.Struct, frozen=True):
    """Everything, beside so many competing processes."""

    competing: int
    ceilings: Ceilings
    scoring: list[ScoringRow]
    naive: list[NaiveRow]
    held_hz: float | None  # None: no rate that was tried
    limited_by: str  # "daemon" or "camera", which then could not send faster
    searched: bool
    trials: list[Trial]
    delays: DelaysAt | None
    resources: Resources


class Report(msgspec.Struct, frozen=True):
    """One run of `framewatch bench`."""

    v: int
    machine: Machine
    frames: Frames
    settings: Settings
    conditions: list[Condition]


class Figure(NamedTuple):
    """A rate to be shown: what it is of, and by which group of them it stands."""

    kind: str  # "held", "scoring", "naive" or "ceiling"
    name: str
    frames_per_s: float | None
    to_naive: float | None  # over the faster naive loop
    of_ceiling: float | None  # share of the lower of the first two ceilings; None of ceilings


def figures(report: Report, condition: Condition) -> list[Figure]:
    """Every rate of *condition* in frames a second, in the order of the table."""
    above = _ceilings(report.frames, condition.ceilings)
    rates: list[tuple[str, str, float | None]] = [
        ("held", f"held{', limited by the camera process' if condition.limited_by == 'camera' else ''}",
         condition.held_hz),
        *(("scoring", f"scoring alone, {row.backend}, batch {row.batch}", row.frames_per_s)
          for row in condition.scoring),
        *(("naive", f"naive loop, {_at_a_time(row.batch)}", row.frames_per_s) for row in condition.naive),
        *(("ceiling", name, rate) for name, rate in above),
    ]  # fmt: skip
    naive, least = best(condition.naive), min(rate for _, rate in above[:2])
    return [
        Figure(kind, name, rate, rate and naive and rate / naive, None if kind == "ceiling" else rate and rate / least)
        for kind, name, rate in rates
    ]


def _ceilings(frames: Frames, found: Ceilings) -> list[tuple[str, float]]:
    """The copy and the product in the daemon's precision come first: none of its rates passes them."""
    return [
        ("ceiling: copying each frame once", found.copied_bytes_per_s / frames.frame_bytes),
        ("ceiling: float32 products", found.float32_multiply_adds_per_s / frames.multiply_adds),
        ("ceiling: bfloat16 products", found.bfloat16_multiply_adds_per_s / frames.multiply_adds),
    ]


def _at_a_time(batch: int) -> str:
    return "one frame at a time" if batch == 1 else f"{batch} frames at a time"


def beside(competing: int) -> str:
    """A condition in words."""
    if competing == 0:
        return "alone"
    return f"beside {competing} busy process{'es' * (competing > 1)}"


def is_told(found: Quantiles, beyond: float) -> bool:
    """Whether so many frames lie beyond a quantile that it says more than the longest delay does."""
    return found.count * beyond >= FEW


def told_delays(delays: DelaysAt) -> list[tuple[str, Quantiles | None]]:
    """Each delay by its name."""
    return [
        ("received to judged", delays.received_to_judged),
        ("sent to judged", delays.sent_to_judged),
        ("sent to permit false", delays.sent_to_permit),
    ]
