"""A report of `framewatch bench` as one run might give it, for the tests of what shows it."""

import msgspec

from monitor.bench.alone import Ceilings, NaiveRow, ScoringRow
from monitor.bench.delays import Quantiles
from monitor.bench.report import Condition, DelaysAt, Frames, Machine, Report, Resources, Settings
from monitor.bench.trial import Trial

TRIAL = Trial(
    rate_hz=2000.0,
    sent_hz=2000.0,
    frames=20_000,
    judged=20_000,
    unjudged=0,
    dropped=0,
    lost_upstream=0,
    drained_s=0.01,
    median_growth_ms=0.1,
    p90_growth_ms=0.2,
    camera_late_ms=1.0,
    cores_hot=0.7,
    cores_side=0.01,
    cores_recorder=0.02,
    cores_camera=0.05,
    held=True,
    why="",
)
TOO_FAST = msgspec.structs.replace(TRIAL, rate_hz=5000.0, held=False, why="the queue grew by 80 ms")
SLOW_CAMERA = msgspec.structs.replace(TOO_FAST, limited_by="camera", why="the camera process sent only 4,000 frames/s")


def quantiles(count: int = 20_000, times: float = 1.0) -> Quantiles:
    return Quantiles(count, 2.5 * times, 6.25 * times, 9.75 * times, 12.0 * times)


DELAYS = DelaysAt(2000.0, quantiles(), quantiles(times=1.5), quantiles(24, 2.0), 24, TRIAL)


def condition(competing: int = 0, delays: DelaysAt | None = DELAYS, held_hz: float | None = 4000.0) -> Condition:
    return Condition(
        competing=competing,
        ceilings=Ceilings(50e9, 100e9, 10e9),
        scoring=[ScoringRow("float32", 1, 1000.0, 1000.0), ScoringRow("float32", 32, 8000.0, 8100.0)],
        naive=[NaiveRow(1, 400.0), NaiveRow(32, 500.0)],
        held_hz=held_hz,
        limited_by="daemon",
        searched=True,
        trials=[TRIAL, TOO_FAST],
        delays=delays,
        resources=Resources(2.5, 365.0, 138.0, 80.0, 256.0, 4.0, 0.02),
    )


def report(*conditions: Condition) -> Report:
    return Report(
        1,
        Machine("Some <Processor> & more", 2, 24.0, "0.1.0", "3.11.7", "2.13.0"),
        Frames("of a simulated melt pool", 120, 120, "uint8", 14_400, 14_864, 1_500_000),
        Settings(32, 2.0, 1, "cpu", None, 10.0),
        list(conditions) or [condition(), condition(1)],
    )
