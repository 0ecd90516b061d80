"""A batch of frames -> camera faults, scores, exceedances and events. Arrays in, arrays out: no ring, thread or clock.

The judge remembers what the event rules and the camera check carry from frame to frame, so a stream cut into any
batches gives the same events.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration import memory as memories
from calibration.camera import FAULTS, CameraLimits, CameraState, check
from calibration.events import Change, EventRule, EventState, reset, start, step
from calibration.layout import distinct
from calibration.limits import ContextLimits
from calibration.memory import Memory, MemoryChart
from calibration.scale import ContextScale
from models.scorer import Scorer
from models.scores import CHARTS, Scores
from monitor.manifest import CLEAR_FRAMES
from monitor.ring import FrameBatch, text
from monitor.types import TEXT_BYTES, Peak, Pixels

CHARTS_MOST: Final = len(CHARTS) + 1
"""Those of single frames, and the one that remembers."""

ROW = np.dtype(
    [
        ("joint", "<f8"),
        ("seq", "<i8"),
        ("t_ns", "<i8"),
        ("received_ns", "<i8"),
        ("position", "<i8"),
        ("source", "u1"),
        ("scores", "<f8", (CHARTS_MOST,)),
        ("limits", "<f8", (CHARTS_MOST,)),
        ("where", "<i2", (2,)),
        ("xy", "<f4", (2,)),
        ("layer", "<i8"),
        ("job", f"S{TEXT_BYTES}"),
        ("context", f"S{TEXT_BYTES}"),
        ("stream", f"S{TEXT_BYTES}"),
    ]
)
"""What the event rule carries of each frame: its joint score, and all that an alarm may have to say of it.

*scores* and *limits*, which are those of the frame's context, stand in the order of the bundle's charts.
"""

Rows = npt.NDArray[np.void]

FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
"""A score that overflowed is told as the largest number there is."""

CHART_RULE = "charts"
STOP_RULE = "stop"
"""The name of its source too."""


class SourcedChange(NamedTuple):
    """A change of an event: of the *rule* that found it, and the *source* that its alarm will name."""

    rule: str  # CHART_RULE, STOP_RULE, the camera fault, or that of a rate
    source: str
    change: Change
    peak: Peak | None = None  # of stops, and of what is judged by the layer; None: the score of the event's peak frame
    why: str = ""


class Stops(NamedTuple):
    """What withholds the permit by a budget of its own: the rule, and by context the limits (c,) of the charts."""

    rule: EventRule
    limits: ContextLimits


class Segment(NamedTuple):
    """Frames *lo* to *hi* of a batch, all of one stream; *fresh*: another than that of the frame before."""

    lo: int
    hi: int
    fresh: bool


class Verdicts(NamedTuple):
    """What became of each frame that was put to the judge."""

    fault: npt.NDArray[np.uint8]  # (n,) code of the camera fault, 0 none
    finite: npt.NDArray[np.bool_]  # (n,)
    judged: npt.NDArray[np.intp]  # (m,) which of the n were scored
    scores: Scores  # of those m
    values: npt.NDArray[np.float64]  # (m, charts) what every chart says of them
    joint: npt.NDArray[np.float64]  # (m,) above 1 is an exceedance
    rows: Rows  # (m,) of them
    over: npt.NDArray[np.bool_]  # (m, charts) which limits each exceeds
    changes: tuple[SourcedChange, ...]


class Judge:
    """Scores frames against the limits of a bundle and finds events among them."""

    def __init__(
        self,
        scorer: Scorer,
        charts: tuple[str, ...],
        limits: ContextLimits,
        camera: CameraLimits,
        rule: EventRule,
        memory: MemoryChart | None = None,
        beat: Callable[[], None] = lambda: None,  # called between the pieces of a large batch: the judge is not hung
        stops: Stops | None = None,
    ) -> None:
        self.scorer = scorer
        self.charts = charts
        self._beat = beat
        self._joint = ContextScale(limits)
        self._camera_limits = camera
        self._camera = CameraState()
        self._rule = rule
        self._charts: EventState = start(rule)
        self._stops = stops
        self._stopped: EventState | None = None if stops is None else start(stops.rule)
        self._memory = None if memory is None else Memory(memory)
        self._remembered: memories.State = {}
        # A single bad frame is a fault. No budget counts faults: the dead time of the charts would only join them.
        self._fault_rule = EventRule(1, 1, min(rule.clear_frames, CLEAR_FRAMES))
        self._faults = {fault: start(self._fault_rule) for fault in FAULTS}
        self._stream = b""

    @property
    def remembered(self) -> memories.State:
        """What the chart that remembers holds by now, by context."""
        return self._remembered

    @property
    def stream(self) -> bytes:
        """Of the frame judged last."""
        return self._stream

    def snapshot(self) -> tuple[object, ...]:
        """What the judge carries, to be given back to `restore` where a batch turns out to be torn."""
        return self._camera, self._charts, self._stopped, self._remembered, dict(self._faults), self._stream

    def restore(self, snapshot: tuple[object, ...]) -> None:
        """Be as at the time of *snapshot*."""
        self._camera, self._charts, self._stopped, self._remembered, self._faults, self._stream = snapshot  # type: ignore[assignment]  # our own tuple

    def judge(self, pixels: Pixels, batch: FrameBatch, positions: npt.NDArray[np.int64]) -> Verdicts:
        """Judge frames *pixels* (n, h, w), whose columns are those of *batch* and ring positions *positions* (n,)."""
        segments = self._segments(batch.stream)
        fault = self._check(pixels, segments)
        finite = _finite(pixels)
        judged = ((fault == 0) & finite).nonzero()[0]
        whole = len(judged) == len(pixels)
        scores = self.scorer(pixels if whole else pixels[judged], self._beat)
        rows = _rows(batch, positions)
        chart_rows = rows if whole else rows[judged]
        contexts = batch.context if whole else batch.context[judged]
        values = self._values(segments, scores, judged, contexts)
        joint_scores, source, limits = self._joint(values, contexts)
        chart_rows["joint"], chart_rows["source"] = joint_scores, source
        chart_rows["where"] = scores.where
        chart_rows["scores"][:, : len(self.charts)], chart_rows["limits"][:, : len(self.charts)] = values, limits
        changes = self._find_events(segments, rows, fault, judged, chart_rows)
        return Verdicts(
            fault, finite, judged, scores, values, joint_scores, chart_rows, values > limits, tuple(changes)
        )

    def warm(self, pixels: Pixels) -> None:
        """Go the way of frames *pixels* (n, h, w) up to their joint scores; nothing is remembered of them, nor said."""
        carried = self.snapshot()
        contexts = np.full(len(pixels), b"")
        segments = [Segment(0, len(pixels), fresh=True)]
        self._check(pixels, segments)
        scores = self.scorer(pixels, self._beat)
        self._joint(self._values(segments, scores, np.arange(len(pixels)), contexts), contexts)
        self.restore(carried)

    def _values(
        self,
        segments: list[Segment],
        scores: Scores,
        judged: npt.NDArray[np.intp],
        contexts: npt.NDArray[np.bytes_],
    ) -> npt.NDArray[np.float64]:
        """What every chart says of the frames *judged* (m,): (m, charts). Another stream is not remembered."""
        values = np.empty((len(contexts), len(self.charts)))
        for index, chart in enumerate(CHARTS):
            values[:, index] = getattr(scores, chart)
        if self._memory is None:
            return values
        for lo, hi, fresh in segments:
            among = _among(judged, lo, hi)
            before: memories.State = {} if fresh else self._remembered
            self._remembered, values[among, -1] = self._memory(
                before, scores.latent[among], scores.t2[among], contexts[among]
            )
        return values

    def _segments(self, stream: npt.NDArray[np.bytes_]) -> list[Segment]:
        """The batch cut where the stream changes; nearly always one piece that goes on with the stream before."""
        segments: list[Segment] = []
        for lo, hi in _stretches(stream):
            name = bytes(stream[lo])
            segments.append(Segment(lo, hi, name != self._stream))
            self._stream = name
        return segments

    def _check(self, pixels: Pixels, segments: list[Segment]) -> npt.NDArray[np.uint8]:
        codes = []
        for lo, hi, fresh in segments:
            state = CameraState() if fresh else self._camera
            self._camera, found = check(self._camera_limits, state, pixels[lo:hi])
            codes.append(found)
        return codes[0] if len(codes) == 1 else np.concatenate([np.empty(0, np.uint8), *codes])

    def _find_events(
        self,
        segments: list[Segment],
        rows: Rows,
        fault: npt.NDArray[np.uint8],
        judged: npt.NDArray[np.intp],
        chart_rows: Rows,
    ) -> list[SourcedChange]:
        """Run the rules stream by stream: a restarted camera continues no event."""
        changes: list[SourcedChange] = []
        for lo, hi, fresh in segments:
            if fresh:
                changes += self._reset()
            among = _among(judged, lo, hi)
            self._charts, found = step(self._rule, self._charts, chart_rows[among])
            changes += self._of_charts(found)
            if self._stops is not None and self._stopped is not None:
                self._stopped, found = step(self._stops.rule, self._stopped, chart_rows[among])
                changes += self._of_stops(self._stops, found)
            changes += self._find_faults(rows[lo:hi], fault[lo:hi])
        return changes

    def _of_charts(self, found: list[Change]) -> list[SourcedChange]:
        return [SourcedChange(CHART_RULE, self.charts[one.event.peak["source"]], one) for one in found]

    def _of_stops(self, stops: Stops, found: list[Change]) -> list[SourcedChange]:
        """Stops, with the limit for stops in place of the one for alarms."""
        return [SourcedChange(STOP_RULE, STOP_RULE, one, *self._stop_of(stops, one)) for one in found]

    def _stop_of(self, stops: Stops, change: Change) -> tuple[Peak, str]:
        peak, rule = change.event.peak, stops.rule
        chart = int(peak["source"])
        limit = stops.limits.of(text(peak["context"]))[chart].value
        why = f"{rule.k} of {rule.n} judged frames over the stop limit, furthest on {self.charts[chart]}"
        return peak_of(int(peak["seq"]), float(peak["scores"][chart]), limit), why

    def _find_faults(self, rows: Rows, fault: npt.NDArray[np.uint8]) -> list[SourcedChange]:
        changes: list[SourcedChange] = []
        some = np.count_nonzero(fault) > 0
        for code, name in enumerate(FAULTS, start=1):
            if some or self._faults[name].event is not None:
                of_fault = rows.copy()
                of_fault["joint"] = np.where(fault == code, 2.0, 0.0)
                self._faults[name], found = step(self._fault_rule, self._faults[name], of_fault)
                changes += [SourcedChange(name, name, one) for one in found]
        return changes

    def _reset(self) -> list[SourcedChange]:
        """End what is open: the frames to come are of another stream."""
        self._charts, found = reset(self._rule, self._charts)
        changes = self._of_charts(found)
        if self._stops is not None and self._stopped is not None:
            self._stopped, found = reset(self._stops.rule, self._stopped)
            changes += self._of_stops(self._stops, found)
        for name in FAULTS:
            self._faults[name], found = reset(self._fault_rule, self._faults[name])
            changes += [SourcedChange(name, name, one) for one in found]
        return changes


def peak_of(seq: int, score: float, limit: float) -> Peak:
    """*score* of frame *seq* beside its *limit*, as JSON can say it: it has no infinity."""
    score = float(np.nan_to_num(score, nan=FLOAT32_MAX, posinf=FLOAT32_MAX))
    return Peak(seq, score, limit, score / limit if limit > 0 else 0.0)


def _among(judged: npt.NDArray[np.intp], lo: int, hi: int) -> slice:
    """Where those of *judged*, which rise, lie that are from *lo* up to *hi*."""
    if len(judged) == 0 or (judged[0] >= lo and judged[-1] < hi):
        return slice(0, len(judged))
    return slice(*np.searchsorted(judged, (lo, hi)).tolist())


def _finite(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Which of *pixels* (n, h, w) hold neither NaN nor infinity; a sum shows both in one pass."""
    if pixels.dtype.kind != "f":
        return np.ones(len(pixels), np.bool_)
    sums: npt.NDArray[Any] = pixels.sum(axis=(1, 2), dtype=np.float64)
    finite: npt.NDArray[np.bool_] = np.isfinite(sums)
    return finite


def _rows(batch: FrameBatch, positions: npt.NDArray[np.int64]) -> Rows:
    rows = np.zeros(len(positions), ROW)
    rows["position"] = positions
    for name in ("seq", "t_ns", "received_ns", "xy", "layer", "job", "context", "stream"):
        rows[name] = getattr(batch, name)
    return rows


def _stretches(stream: npt.NDArray[np.bytes_]) -> list[tuple[int, int]]:
    """Stretches (lo, hi) of equal values."""
    if len(distinct(stream)) < 2:
        return [(0, len(stream))] if len(stream) else []
    edges = [0, *(np.flatnonzero(stream[1:] != stream[:-1]) + 1).tolist(), len(stream)]
    return list(pairwise(edges))
