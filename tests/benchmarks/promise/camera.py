"""Whether a simulated melt-pool camera keeps the budget, and what that costs.

`python -m tests.benchmarks.promise.camera`: some ten minutes of one core.

One network; many runs of the simulated machine, each of one layer, frame by frame, with a scan direction, focus,
brightness and noise of its own. Calibrations take so many runs each, no two the same; the limits of each are tried on
all runs but its own. Figures are events over the budget.

Few: calibrations of five and of ten runs that differ more, each as a whole brighter or darker (a tenth, standard
deviation), blurred (up to a pixel) and noisier (up to four grey levels) than the camera makes them; a network of its
own has learned from such runs. Their limits are tried on runs that are in no calibration.

Power: the thresholds of both ways are moved until they raise as many false events on runs that are in no calibration;
then events that the simulation put into yet other runs are counted that an event overlaps. The two ways are the
budget's joint score (tails for far limits, memory chart) and that of limits per frame
(`calibration.limits.fit_limits`).

With `--out docs/limits.md` tables are written there; `--from FILE` writes those of figures that `--json FILE` kept, and
measures nothing; `--part power --json FILE` measures the power anew and leaves what else FILE keeps.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from calibration import memory
from calibration.blocks import event_statistic
from calibration.scale import ContextScale
from models.scorer import Scorer
from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import MeltPool, normal_in_context
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Events
from monitor.limits import Held, Limiting, limiting, per_frame
from monitor.manifest import CLEAR_FRAMES
from monitor.score import load_scorer
from monitor.types import Pixels
from tests.benchmarks.document import put
from tests.benchmarks.promise.figures import Camera, OnCamera, Power, add_files, keep, read
from tests.benchmarks.promise.tables import of_what_is_there

Floats = npt.NDArray[np.float64]
Seen = Callable[[Pixels, int], Pixels]
"""What of the frames of a run, of this seed, the network sees."""

SIDE_PX: Final = 64
LAYER_FRAMES: Final = 1200
RATE_HZ: Final = 1000.0
EVENTS: Final = Events(k=2, n=3)
EXPECTED: Final = (3.0, 10.0)
FEW: Final = (5, 10)  # runs of a calibration
FEW_CALIBRATIONS: Final = 40
FEW_EXPECTED: Final = 3.0
BRIGHTNESS_SD, BLUR_PX, NOISE_GREYS = 0.1, 1.0, 4.0  # by which the runs of few differ
PARTS: Final = ("calibrations", "few", "power")
TRAINING_SEED, RUN_SEED, ANOMALOUS_SEED = 40_000, 41_000, 45_000
ANOMALY_RATE: Final = 1 / 900
FAULTS: Final = ("frozen", "rows_dropped")
FALSE_EVENTS: Final = (3, 10, 30)
SETTINGS: Final = Calibration(latent=16, max_steps=2000)
PLACES: Final = ("promise-camera", "promise-few", "promise-power")


class Run(NamedTuple):
    """Scores of the m active frames of one run of the machine, and what was put into it."""

    values: npt.NDArray[np.float32]  # (m, charts)
    latents: npt.NDArray[np.float32]  # (m, p)
    contexts: npt.NDArray[np.str_]  # (m,)
    truths: tuple[tuple[str, int, int], ...] = ()  # kind, first and last of its frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrations", type=int, default=20)
    parser.add_argument("--runs", type=int, default=40, help="in each calibration")
    parser.add_argument("--fresh", type=int, default=400, help="runs in no calibration")
    parser.add_argument("--anomalous", type=int, default=200, help="runs with anomalies, for the power")
    parser.add_argument("--part", choices=PARTS, action="append", help="leave the others as --json FILE holds them")
    add_files(parser, Camera, *PLACES)
    options = parser.parse_args()
    try:
        found = options.kept or _measured(options)
    except ValueError as wrong:
        parser.error(f"--json {wrong}")
    for place, text in of_what_is_there(found).items():
        sys.stdout.write(f"{text}\n")
        if options.out:
            put(options.out, place, text)


def _measured(options: argparse.Namespace) -> Camera:
    """The parts asked for, and the others as they were. Raises ValueError where a file holds other figures."""
    found = read(options.json, Camera) if options.part and options.json and options.json.is_file() else Camera()
    parts = options.part or PARTS
    if "few" in parts:
        found = _kept(options.json, found, few=_of_few(options.fresh))
    if set(parts) == {"few"}:
        return found
    scorer = _trained()
    normal = [_normal(scorer, RUN_SEED + index) for index in range(options.calibrations * options.runs)]
    ahead = [_normal(scorer, RUN_SEED + len(normal) + index) for index in range(options.fresh)]
    if "calibrations" in parts:
        rows = [
            _tried(normal[own], [*normal[: own.start], *normal[own.stop :], *ahead], expected)
            for expected in EXPECTED
            for own in _parts(options.runs, options.calibrations)
        ]
        found = _kept(options.json, found, calibrations=rows)
    if "power" in parts:
        anomalous = [_anomalous(scorer, ANOMALOUS_SEED + index) for index in range(options.anomalous)]
        found = _kept(options.json, found, power=_power(normal[: options.runs], ahead, anomalous))
    return found


def _of_few(fresh: int) -> list[OnCamera]:
    """Calibrations of few runs that differ more, tried on *fresh* such runs."""
    scorer, most = _trained(_changed), max(FEW) * FEW_CALIBRATIONS
    normal = [_normal(scorer, RUN_SEED + index, _changed) for index in range(most)]
    ahead = [_normal(scorer, RUN_SEED + most + index, _changed) for index in range(fresh)]
    return [_tried(normal[own], ahead, FEW_EXPECTED) for runs in FEW for own in _parts(runs, FEW_CALIBRATIONS)]


def _changed(frames: Pixels, seed: int) -> Pixels:
    """All *frames* of a run as a camera of another exposure, focus and noise would have seen them."""
    random = np.random.default_rng([seed, 1])
    brightness, blur = np.exp(BRIGHTNESS_SD * random.standard_normal()), BLUR_PX * random.uniform()
    seen = gaussian_filter1d(gaussian_filter1d(brightness * frames.astype(np.float32), blur, 1), blur, 2)
    seen += NOISE_GREYS * random.uniform() * random.standard_normal(frames.shape, np.float32)
    changed: Pixels = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return changed


def _unchanged(frames: Pixels, _seed: int) -> Pixels:
    return frames


def _kept(path: Path | None, found: Camera, **changes: object) -> Camera:
    changed = msgspec.structs.replace(found, **changes)
    keep(path, changed)
    return changed


def _parts(runs: int, calibrations: int) -> list[slice]:
    """The runs of each of so many calibrations of so many *runs*."""
    return [slice(first, first + runs) for first in range(0, runs * calibrations, runs)]


def _trained(seen: Seen = _unchanged) -> Scorer:
    """A network from runs of its own, in the demonstration's way."""
    runs = [
        Recording(f"run {seed}, {context}", frames[contexts == context], str(context))
        for seed in range(TRAINING_SEED, TRAINING_SEED + 100)
        for made, contexts in [normal_in_context(40, seed, SIDE_PX, SIDE_PX, every=LAYER_FRAMES // 40)]
        for frames in [seen(made, seed)]
        for context in np.unique(contexts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        return load_scorer(calibrate(runs, SETTINGS, Path(folder) / "bundle"))


def _normal(scorer: Scorer, seed: int, seen: Seen = _unchanged) -> Run:
    frames, contexts = normal_in_context(LAYER_FRAMES, seed, SIDE_PX, SIDE_PX)
    scores = scorer(seen(frames, seed))
    return Run(scores.values, scores.latent, contexts)


def _anomalous(scorer: Scorer, seed: int) -> Run:
    """A run with anomalies that the charts may find; faults of the camera are the camera check's business."""
    camera = MeltPool(SIDE_PX, SIDE_PX, seed, anomaly_rate=ANOMALY_RATE)
    pixels, contexts, seqs, truths = [], [], [], []
    seq = 0
    for shot, begun in camera.shots():
        truths += [truth for truth in begun if truth.kind not in FAULTS]
        if shot.active:
            pixels.append(shot.pixels)
            contexts += [shot.context] * len(shot.pixels)
            seqs.append(np.arange(seq, seq + len(shot.pixels)))
        seq += len(shot.pixels)
        if sum(map(len, pixels)) >= LAYER_FRAMES:
            break
    active = np.concatenate(seqs)
    scores = scorer(np.concatenate(pixels))
    spans = [(one.kind, *np.searchsorted(active, (one.first_seq, one.last_seq + 1))) for one in truths]
    shown = tuple((kind, int(first), int(end) - 1) for kind, first, end in spans if first < end)
    return Run(scores.values, scores.latent, np.array(contexts), shown)


def _held(runs: Sequence[Run]) -> Held:
    """As `framewatch calibrate` holds recordings: each context of a run is a stretch of its own."""
    parts = [(number, run, run.contexts == name) for number, run in enumerate(runs) for name in np.unique(run.contexts)]
    counts = [int(rows.sum()) for _, _, rows in parts]
    return Held(
        np.concatenate([run.values[rows] for _, run, rows in parts]),
        np.concatenate([run.latents[rows] for _, run, rows in parts]),
        np.repeat(np.arange(len(parts)), counts),
        np.repeat([number for number, _, _ in parts], counts),
        np.concatenate([run.contexts[rows] for _, run, rows in parts]),
    )


def _tried(calibration: Sequence[Run], ahead: Sequence[Run], expected: float) -> OnCamera:
    """Limits for *expected* events in the calibration's judged time, and what they realise."""
    hours = sum(len(run.values) for run in calibration) / RATE_HZ / 3600
    asked = expected / hours
    fresh_hours = sum(len(run.values) for run in ahead) / RATE_HZ / 3600
    budgeted = _limits(calibration, asked, conservative=False)
    budget = budgeted.budget
    assert budget is not None
    joint = [_joint(budgeted, run) for run in ahead]
    realised = _events(joint, 1.0, budget.block_frames) / fresh_hours / budget.per_hour
    frame_wise = per_frame(_held(calibration), SETTINGS)
    plain = [_joint(frame_wise, run) for run in ahead]
    over = np.concatenate(plain) > 1
    shift = 0.0 if budget.shift is None else budget.shift.by
    conservative = _limits(calibration, asked, conservative=True)
    assert conservative.budget is not None
    raised = _events(joint, conservative.budget.action / budget.action, budget.block_frames)
    return OnCamera(
        runs=len(calibration),
        expected=expected,
        realised=realised,
        unwidened=_events(joint, (budget.action - shift) / budget.action, budget.block_frames)
        / fresh_hours
        / budget.per_hour,
        allowed=fresh_hours * budget.per_hour,
        promised=budget.per_hour / asked,
        conservative=raised / fresh_hours / budget.per_hour,
        low=_events(joint, budget.high / budget.action, budget.block_frames) / fresh_hours / budget.per_hour,
        high=_events(joint, budget.low / budget.action, budget.block_frames) / fresh_hours / budget.per_hour,
        block_frames=budget.block_frames,
        widened=shift,
        frames_over=float(over.mean() / SETTINGS.false_alarm_rate),
    )


def _limits(calibration: Sequence[Run], per_hour: float, *, conservative: bool) -> Limiting:
    settings = msgspec.structs.replace(SETTINGS, false_alarms_per_hour=per_hour, conservative=conservative)
    return limiting(_held(calibration), {}, settings, EVENTS, RATE_HZ)


def _joint(found: Limiting, run: Run) -> Floats:
    """The joint score (m,) of a run's frames: above 1 over the limit."""
    values, contexts = run.values.astype(np.float64), np.char.encode(run.contexts, "utf-8")
    if found.memory is not None:
        scores = memory.step(found.memory.as_memory(), {}, run.latents, run.values[:, 0], contexts)[1]
        values = np.column_stack((values, scores))
    return ContextScale(found.limits)(values, contexts)[0]


def _events(joint: Sequence[Floats], limit: float, clear_frames: int) -> int:
    return sum(len(_starts(one, limit, clear_frames)) for one in joint)


def _starts(joint: Floats, limit: float, clear_frames: int) -> npt.NDArray[np.int64]:
    """Frames at which an event begins: over frames further than the dead time from the one before."""
    over = np.flatnonzero(event_statistic(joint, EVENTS.k, EVENTS.n) > limit)
    return over[np.diff(over, prepend=-clear_frames - EVENTS.n) > clear_frames]


def _power(calibration: Sequence[Run], ahead: Sequence[Run], anomalous: Sequence[Run]) -> list[Power]:
    """Events found by both ways at as many false ones."""
    hours = sum(len(run.values) for run in calibration) / RATE_HZ / 3600
    ways = {
        "budget": _limits(calibration, EXPECTED[0] / hours, conservative=False),
        "per frame": per_frame(_held(calibration), SETTINGS),
    }
    return [
        _power_of(way, found, ahead, anomalous, false_events)
        for false_events in FALSE_EVENTS
        for way, found in ways.items()
    ]


def _power_of(way: str, found: Limiting, ahead: Sequence[Run], anomalous: Sequence[Run], false_events: int) -> Power:
    """What the limits *found* in this *way* find at *false_events* on the runs *ahead*."""
    limit = _limit_for([_joint(found, run) for run in ahead], false_events)
    hit = [one for run in anomalous for one in _found(_joint(found, run), limit, run.truths)]
    return Power(way=way, false_events=false_events, fresh_runs=len(ahead), anomalies=len(hit), found=sum(hit))


def _limit_for(normal: Sequence[Floats], false_events: int) -> float:
    """The limit that so many events on *normal* runs exceed, of dead time CLEAR_FRAMES."""
    low, high = 0.0, max(float(event_statistic(one, EVENTS.k, EVENTS.n).max()) for one in normal)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _events(normal, middle, CLEAR_FRAMES) > false_events else (low, middle)
    return high


def _found(joint: Floats, limit: float, truths: Sequence[tuple[str, int, int]]) -> list[bool]:
    """Whether a frame of each anomaly is over: the rule's window may reach a few frames beyond its end."""
    over = event_statistic(joint, EVENTS.k, EVENTS.n) > limit
    return [bool(over[first : last + EVENTS.n].any()) for _, first, last in truths]


if __name__ == "__main__":
    main()
