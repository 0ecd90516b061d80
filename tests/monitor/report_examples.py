"""Hand-made findings of a calibration, as small as a report can be made of."""

import math
from dataclasses import replace

import numpy as np

from calibration.autocorrelation import Correlogram
from calibration.evaluation import Estimate
from calibration.seen_rates import Rates
from calibration.shifted import ALL, MEWMA, T2, Median
from calibration.spread import Plane, principal_plane
from models.sweep import LatentSweep
from models.trained import Checkpoint
from monitor.budget import FittedBudget, GroupsShift, WarningLimit
from monitor.report.data import (
    JOINT,
    Chart,
    Correlation,
    Delays,
    Example,
    Footing,
    Group,
    Promise,
    ReportData,
    Segment,
    Square,
    Table,
)


def chart(name: str = "t2", count: int = 200, limit: float = 4.0) -> Chart:
    scores = np.abs(np.random.default_rng(0).normal(0.0, 1.5, count)).astype(np.float32)
    return Chart(name, scores, 1.2, limit, 3.6, 4.4, np.full(count, limit))


def joint_chart(count: int = 200) -> Chart:
    return replace(chart(JOINT, count, 1.0), limit_low=0.9, limit_high=1.1)


def example(label: str = "worst", side: int = 20) -> Example:
    frame = np.random.default_rng(1).integers(0, 255, (side, side), dtype=np.uint8)
    made = frame.astype(np.float32) * 0.9
    square, scores = Square(4, 12, 2), {"t2": 5.25, "s2": 0.5}
    return Example(label, "run8, frame 41", frame, frame, made, frame - made, scores, square, square)


def held_out(name: str, share: float, if_new: float = math.nan) -> Group:
    over = {JOINT: share, "t2": share / 2, "s2": 0.0}
    return Group(name, 100, "held-out", "", "ab" * 32, over, (0.1, 0.4, 0.95), if_new)


TRAINED = Group("runs/run1", 6000, "train", "", "cd" * 32, {}, (), math.nan)

HISTORY = (Checkpoint(50, 0.5, 0.6), Checkpoint(100, 0.2, 0.3), Checkpoint(150, 0.1, 0.35))

SWEEP = LatentSweep((2, 4, 8), (0.4, 0.2, 0.19), (0.5, 0.4, 0.3), 4, given=False, measured_on="held out")

SHIFT = GroupsShift(0.3, 0.6, 0.001, 9, 8.5, "assumed, not shown: runs are normal")

BUDGET = FittedBudget(
    asked_per_hour=0.25,
    per_hour=0.25,
    conservative=False,
    rate_hz=1000.0,
    k=2,
    n=3,
    block_frames=500,
    action=6.0,
    low=5.7,
    high=6.6,
    warning=3.0,
    warning_rate=0.001,
    single=WarningLimit(2.0, 1.9, 2.1, "conformal", 1000.0, False, "an order statistic"),
    method="peaks over threshold of block extremes",
    blocks=15_120,
    effective_blocks=12_000.0,
    hours=2.1,
    extrapolated_by=1.9,
    why="extrapolated",
    shift=SHIFT,
    extremes=tuple((2.0 + np.random.default_rng(3).exponential(0.35, 15_120)).tolist()),
    extremes_frames=500,
)

RATES = Rates(
    frames=9_450_000,
    hours=2.625,
    over_warning=9_300,
    warning=Estimate(0.000984, 0.0007, 0.0012),
    over_action=2,
    action=Estimate(2.1e-7, 1e-8, 9e-7),
    blocks=18_900,
    blocks_over=1,
    block=Estimate(5.3e-5, 1e-6, 3e-4),
    events=1,
    per_hour=Estimate(0.381, 0.01, 2.12),
)


def median(frames: float, unseen: int = 0) -> Median:
    return Median(frames, 0.9 * frames, 1.2 * frames, unseen, 100, 800.0 if unseen else 0.0)


DELAYS = Delays(
    shifts=(0.5, 1.0, 3.0),
    rate_hz=1000.0,
    measured={
        ALL: (median(math.inf, 97), median(900.0, 12), median(20.0)),
        T2: (median(math.inf, 100), median(math.inf, 99), median(20.0)),
        MEWMA: (median(math.inf, 97), median(900.0, 12), median(45.0)),
    },
    theory={T2: np.array([90_000.0, 12_000.0, 8.0])},
    notes=("For memories as long as these the theory is not computed.",),
)

PROMISE = Promise(BUDGET, RATES, 5.7, DELAYS, 0.0)

SEGMENT = Segment("runs/run8", 17, 41, 20, "t2", 9.5, 1.25, 0.25)

DATA = ReportData(
    title="Calibration of laser-1",
    promise=None,
    camera_settings="exposure 40 us",
    created="2025-03-01 12:00 UTC",
    false_alarm_rate=0.01,
    settings={"latent size": "32", "budget": "5 false alarms an hour"},
    limits=Table(("chart", "limit"), (("t2", "4"), ("s2", "4"))),
    groups=(TRAINED, held_out("runs/run7", 0.0, 0.0), held_out("runs/run8", 0.08, 0.12)),
    between_sd=0.2,
    within_sd=0.8,
    segments=(SEGMENT,),
    correlation=Correlation(Correlogram(0.9 ** np.arange(301), 9000 - np.arange(301)), 1000.0, 120),
    starts=((0, "runs/run7"), (100, "runs/run8")),
    charts=(joint_chart(), chart("t2"), chart("s2")),
    latents=principal_plane(np.random.default_rng(2).normal(size=(200, 4)) + 1.0),
    examples=(example("best"), example("typical"), example("worst")),
    history=HISTORY,
    sweep=SWEEP,
    footings=(Footing("", 200, 88.4, 0.9, 1.1),),
    turned=False,
    binning=1,
    earlier=(),
    warnings=("Only 2 groups were held out.",),
)

EMPTY = replace(
    DATA,
    settings={},
    limits=Table((), ()),
    groups=(),
    segments=(),
    correlation=Correlation(Correlogram(np.ones(1), np.array([1])), math.nan, 0),
    starts=(),
    charts=(),
    latents=Plane(np.empty((0, 2)), np.zeros(2), (0.0, 0.0)),
    examples=(),
    history=(),
    sweep=LatentSweep((), (), (), 0, given=True, measured_on="held out"),
    footings=(),
    warnings=(),
)
"""Nothing was found: a page to which a test adds what it is about."""

PROMISED = replace(DATA, promise=PROMISE)
"""What a calibration by a false-alarm budget finds."""
