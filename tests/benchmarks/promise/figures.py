"""What the benchmarks of the promise measure, and the JSON files that keep it."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests.benchmarks.document import with_places

Measured = TypeVar("Measured")


class OnStream(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Many calibrations of one stream for one budget. Events are those on a fresh stream, over the budget's."""

    stream: str
    expected: float  # events that the budget allows in the time of one calibration
    calibrations: int
    blocks: float  # of a calibration, that set its limit: median
    block_frames: float  # median
    block_frames_max: int
    promised: float  # events an hour over the budget asked for: less where the blocks are too few for it
    extrapolated_by: float  # median factor that a calibration is too short by: 1 for none
    allowed: float  # events on the fresh stream: as many as the truth rests on
    mean: float
    standard_error: float  # of the mean
    low: float = msgspec.field(name="from")  # 90 % of the calibrations lie between
    high: float = msgspec.field(name="to")
    covered: float  # share of calibrations whose 90 % interval holds the true limit
    covered_by_bootstrap: float  # the same for a percentile bootstrap of the blocks
    conservative_mean: float
    conservative_standard_error: float
    conservative_low: float = msgspec.field(name="conservative_from")
    conservative_high: float = msgspec.field(name="conservative_to")
    conservative_over: float  # share of calibrations whose conservative limit raises more than the budget
    mean_by_ranks: float | None = None  # were charts compared by their ranks


class OnCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One calibration of the simulated camera. Events are those on all other runs, over the budget's."""

    runs: int
    expected: float  # events that the budget allows in the time of one calibration
    allowed: float  # events on the other runs: as many as the truth rests on
    realised: float
    unwidened: float  # the same without what new runs may differ by
    promised: float  # events an hour over the budget asked for
    conservative: float
    low: float  # at the ends of the 90 % interval of the limit
    high: float
    block_frames: float
    widened: float  # decades, by what new runs may differ
    frames_over: float  # share of frames over the limits per frame, over the rate asked of them


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """Anomalies that one way of setting limits finds, moved until they raise *false_events* on the fresh runs."""

    way: str
    false_events: int
    fresh_runs: int
    anomalies: int
    found: int


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """All that is measured on the simulated camera."""

    calibrations: list[OnCamera] = []
    few: list[OnCamera] = []  # of few runs
    power: list[Power] = []


class OnGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Many calibrations on a few runs each, by one method. Rates are those in new runs, over the rate asked for."""

    method: str
    groups: int  # runs of a calibration
    between: float  # how far runs differ, in standard deviations within a run
    calibrations: int
    mean: float
    low: float  # 80 % of the calibrations lie between
    high: float
    over: float  # share of new runs with more than the rate
    over_twice: float  # with more than twice the rate
    covered: float | None  # share of calibrations whose interval holds what nine in ten runs' own limits lie below
    predicted: float | None  # rate that the limit says of itself: median


def add_files(parser: ArgumentParser, kind: Any, *places: str) -> None:
    """The options of every command here: figures of *kind* in a file, tables at *places* of a document."""
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--from", dest="kept", type=_kept(kind), metavar="FILE", help="tables of these figures; nothing is measured"
    )
    parser.add_argument("--out", type=with_places(*places), help="a document with markers for the tables")


def keep(path: Path | None, measured: Any) -> None:
    """Writes what was *measured* to *path*, if there is one."""
    if path:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")


def read(path: Path, kind: type[Measured]) -> Measured:
    """The figures that *path* keeps. Raises OSError, and ValueError for other figures than *kind*."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as wrong:
        raise ValueError(f"{path} holds no figures of this benchmark, measure them anew: {wrong}") from None


def _kept(kind: Any) -> Callable[[str], Any]:
    def kept(path: str) -> Any:
        try:
            return read(Path(path), kind)
        except (OSError, ValueError) as wrong:
            raise ArgumentTypeError(str(wrong)) from None

    return kept
