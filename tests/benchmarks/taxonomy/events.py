"""Events of a simulated camera as the daemon would find them, each with the kind that it truly is."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.events import Change, EventRule
from models.reconstruction import reconstruct
from models.taxonomy.embedding import embed
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import MeltPool, normal_in_context
from monitor.camera.recordings import Recording
from monitor.camera.schedule import Truth
from monitor.camera.simulate import Simulated
from monitor.config import Calibration
from monitor.config import Events as EventSettings
from monitor.judge import CHART_RULE, Judge
from monitor.ring import FrameBatch
from monitor.score import load_scorer
from monitor.types import Pixels

SIDE_PX: Final = 64
RATE_HZ: Final = 1000.0
RULE: Final = EventSettings(k=2, n=3)
SETTINGS: Final = Calibration(latent=16, max_steps=2000, false_alarms_per_hour=60.0)
TRAINING_SEED: Final = 60_000
GROUPS, GROUP_FRAMES = 100, 40
STRETCHES, STRETCH_FRAMES = 24, 1200

BATCH: Final = 256
LATE_FRAMES: Final = 3  # an anomaly is seen so long after it ended: what it heated is still hot
FALSE: Final = "none"  # kind of an event where there was no anomaly

Seqs = npt.NDArray[np.int64]


class Found(NamedTuple):
    """n events in the order in which they ended."""

    points: npt.NDArray[np.float32]  # (n, d)
    kinds: npt.NDArray[np.str_]  # (n,) FALSE of false alarms
    begun: dict[str, int]  # how often each kind of anomaly was shown

    def of(self, rows: npt.NDArray[np.int64]) -> "Found":
        return Found(self.points[rows], self.kinds[rows], self.begun)


def calibrated(folder: Path) -> Bundle:
    """A bundle as the demonstration makes it, from runs of this benchmark's own."""

    def runs(first: int, count: int, frames: int) -> list[Recording]:
        return [
            Recording(f"run {seed}, {context}", pixels[contexts == context], str(context))
            for seed in range(first, first + count)
            for pixels, contexts in [normal_in_context(frames, seed, SIDE_PX, SIDE_PX, every=STRETCH_FRAMES // frames)]
            for context in np.unique(contexts)
        ]

    return calibrate(
        runs(TRAINING_SEED, GROUPS, GROUP_FRAMES),
        SETTINGS,
        folder,
        stretches=runs(TRAINING_SEED + GROUPS, STRETCHES, STRETCH_FRAMES),
        events=RULE,
        rate_hz=RATE_HZ,
    )


def events_of(
    bundle: Bundle, seed: int, frames: int, anomaly_rate: float, kinds: tuple[str, ...], dead_frames: int | None = None
) -> Found:
    """The events of *frames* frames of the melt pool with *seed*; a kind named twice in *kinds* comes twice as often.

    *dead_frames* in place of the bundle's own dead time, within which all is one event.
    """
    camera = MeltPool(SIDE_PX, SIDE_PX, seed=seed, anomaly_rate=anomaly_rate, kinds=kinds)
    return events_shown(bundle, camera, frames, kinds, dead_frames)


def events_shown(
    bundle: Bundle, camera: Simulated, frames: int, kinds: tuple[str, ...], dead_frames: int | None = None
) -> Found:
    """The events of *frames* frames of *camera*, which shows *kinds*, as points like the daemon's."""
    scorer = load_scorer(bundle)
    rule = bundle.manifest.rule_for(RULE)
    if dead_frames is not None:
        rule = EventRule(rule.k, rule.n, dead_frames)
    judge = Judge(scorer, bundle.manifest.charts, bundle.context_limits, bundle.camera_limits, rule, bundle.memory)
    truths: list[Truth] = []
    peaks: list[tuple[int, Pixels, npt.NDArray[np.float32]]] = []
    over: dict[int, tuple[Pixels, npt.NDArray[np.float32]]] = {}
    waiting: list[tuple[Pixels, Seqs, str]] = []
    seq = 0
    for shot, ended in camera.shots(frames):
        truths += ended
        if shot.active:
            waiting.append((shot.pixels.copy(), seq + np.arange(len(shot.pixels)), shot.context))
        seq += len(shot.pixels)
        if sum(len(pixels) for pixels, _, _ in waiting) >= BATCH:
            peaks += _judged(judge, waiting, over)
            waiting = []
    if waiting:
        peaks += _judged(judge, waiting, over)
    begun = {kind: sum(truth.kind == kind for truth in truths) for kind in sorted(set(kinds))}
    if not peaks:
        return Found(np.empty((0, 0), np.float32), np.empty(0, np.str_), begun)
    residual = reconstruct(scorer, np.array([pixels for _, pixels, _ in peaks])).residual
    placed = scorer.parts.preparation.alignment is not None
    points = embed(np.array([latent for _, _, latent in peaks]), residual, placed=placed)
    return Found(points, _kinds_of(truths, np.array([seq for seq, _, _ in peaks])), begun)


def _judged(
    judge: Judge,
    waiting: list[tuple[Pixels, Seqs, str]],
    over: dict[int, tuple[Pixels, npt.NDArray[np.float32]]],
) -> list[tuple[int, Pixels, npt.NDArray[np.float32]]]:
    """Peak frames of the events that end in these frames; *over* holds frames that may still be peaks."""
    pixels = np.concatenate([one for one, _, _ in waiting])
    seqs = np.concatenate([one for _, one, _ in waiting])
    contexts = np.concatenate([np.full(len(one), context.encode(), "S128") for one, _, context in waiting])
    verdicts = judge.judge(pixels, _batch(pixels, seqs, contexts), seqs)
    for row in np.flatnonzero(verdicts.joint > 1).tolist():
        frame = int(verdicts.judged[row])
        over[int(seqs[frame])] = pixels[frame].copy(), verdicts.scores.latent[row].copy()
    ended = [one.change for one in verdicts.changes if one.rule == CHART_RULE and one.change.phase == "ended"]
    peaks = [(peak, *over[peak]) for peak in map(_peak, ended)]
    if ended:
        last = max(int(change.event.last["seq"]) for change in ended)
        for old in [one for one in over if one <= last]:
            del over[old]
    return peaks


def _peak(change: Change) -> int:
    return int(change.event.peak["seq"])


def _batch(pixels: Pixels, seqs: Seqs, contexts: npt.NDArray[np.bytes_]) -> FrameBatch:
    count = len(pixels)
    scores = [np.full(count, np.nan, np.float32) for _ in range(6)]
    names = [np.full(count, b"simulated", "S128") for _ in range(2)]
    zeros, flags = [np.zeros(count, np.int64) for _ in range(4)], [np.zeros(count, np.uint8) for _ in range(2)]
    places = np.zeros((count, 2), np.float32), np.ones(count, np.uint8)
    return FrameBatch(pixels, *names, contexts, seqs, *zeros, *places, *flags, *scores, np.zeros((count, 2), np.int16))


def _kinds_of(truths: list[Truth], peaks: Seqs) -> npt.NDArray[np.str_]:
    """What was shown at each of *peaks* (n,)."""
    firsts = np.array([truth.first_seq for truth in truths] or [np.iinfo(np.int64).max])
    found = []
    for peak in peaks.tolist():
        before = int(np.searchsorted(firsts, peak, side="right")) - 1
        within = before >= 0 and peak <= truths[before].last_seq + LATE_FRAMES
        found.append(truths[before].kind if within else FALSE)
    return np.array(found)
