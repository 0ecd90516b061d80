"""Hand-made findings of a calibration, as small as a report can be made of."""

import math
from dataclasses import replace

import numpy as np

from calibration.spread import Plane, principal_plane
from models.sweep import LatentSweep
from models.training import Checkpoint
from monitor.report.data import JOINT, Chart, Example, Footing, Group, ReportData, Square, Table


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

DATA = ReportData(
    title="Calibration of laser-1",
    camera_settings="exposure 40 us",
    created="2025-03-01 12:00 UTC",
    false_alarm_rate=0.01,
    settings={"latent size": "32", "budget": "5 false alarms an hour"},
    limits=Table(("chart", "limit"), (("t2", "4"), ("s2", "4"))),
    groups=(TRAINED, held_out("runs/run7", 0.0, 0.0), held_out("runs/run8", 0.08, 0.12)),
    between_sd=0.2,
    within_sd=0.8,
    starts=((0, "runs/run7"), (100, "runs/run8")),
    charts=(joint_chart(), chart("t2"), chart("s2")),
    latents=principal_plane(np.random.default_rng(2).normal(size=(200, 4)) + 1.0),
    examples=(example("best"), example("typical"), example("worst")),
    history=HISTORY,
    sweep=SWEEP,
    footings=(Footing("", 200, 88.4, 0.9, 1.1),),
    turned=False,
    binning=1,
    warnings=("Only 2 groups were held out.",),
)

EMPTY = replace(
    DATA,
    settings={},
    limits=Table((), ()),
    groups=(),
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
