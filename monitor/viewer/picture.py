"""A Picture, as the page gets it: what is seen, drawn and left over of one frame, with its scores."""

from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from calibration.camera import DARK_SHARE
from calibration.scale import ContextScale
from models.scorer import Scorer
from models.scores import CHARTS, Pictures
from monitor.bundle import Bundle
from monitor.ring import FrameBatch, text
from monitor.types import Pixels
from monitor.viewer.drawing import Drawn, draw, draw_alone
from monitor.viewer.recorded import RecordedFrame
from monitor.viewer.speech import Kept

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""A score that overflowed is told as the largest number there is: JSON has no infinity."""


class Picture(msgspec.Struct, frozen=True):
    """The picture of one frame: docs/page.md says what each field is."""

    seq: int
    stream: str
    t_ns: int
    layer: int | None
    job: str
    context: str
    xy: tuple[float, float] | None
    ratio: float | None
    source: str | None
    scores: dict[str, tuple[float, float]]
    where: tuple[int, int] | None
    height: int
    width: int
    seen: str
    drawn: str | None
    residual: str | None
    scale: tuple[float, float]
    residual_most: float | None


class _Judged(NamedTuple):
    """What the charts say of a frame; of one that was not judged, nothing."""

    ratio: float | None
    source: str | None
    scores: dict[str, tuple[float, float]]


class Painter:
    """Draws frames as the network of *bundle* sees them. For one thread."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises ValueError where the bundle's tensors do not make a network."""
        held = bundle.manifest
        self.charts = held.charts
        self.scorer = Scorer(bundle.tensors, held.height, held.width)  # on the processor, whatever judges
        self._scale = ContextScale(bundle.context_limits)
        self._sha256, self._shape, self._dtype = bundle.sha256, (held.height, held.width), np.dtype(held.dtype)
        self._usual = bundle.camera_limits.dark_spread / DARK_SHARE, bundle.camera_limits.saturated_level

    def of_ring(self, frame: FrameBatch, unix_less_mono_ns: int, fault: int = 0) -> Picture:
        """The picture of a *frame* of the ring (1, h, w); the clocks lie so far apart. *fault*: as of `Wanted`."""
        was_judged = int(frame.judged_ns[0]) > 0
        known = {chart: float(getattr(frame, chart)[0]) for chart in self.charts} if was_judged else {}
        layer = int(frame.layer[0])
        x, y = frame.xy[0].tolist()
        at_ns = int(frame.judged_ns[0]) if was_judged else int(frame.received_ns[0])
        facts = Kept(
            stream=text(frame.stream[0]),
            seq=int(frame.seq[0]),
            t_ns=at_ns + unix_less_mono_ns,
            layer=None if layer < 0 else layer,
            job=text(frame.job[0]),
            context=text(frame.context[0]),
            xy=(x, y) if np.isfinite((x, y)).all() else None,
            scores=known,
        )
        if fault or int(frame.fault[0]):
            return self._alone(facts, frame.pixels[0])
        return self._picture(facts, self.scorer.pictures(frame.pixels))

    def of_kept(self, facts: Kept, pixels: Pixels) -> Picture:
        """The picture of a frame *pixels* (h, w) of which *facts* are known."""
        return self._picture(facts, self.scorer.pictures(pixels[None]))

    def of_recorded(self, found: RecordedFrame) -> Picture:
        """The picture of a frame out of a recording: of one that was judged, as of one that was kept, with what this
        bundle said of it then; of any other, or where this bundle is for other frames, the frame alone.
        """
        facts, pixels = found.facts, found.pixels
        if not found.was_judged or (pixels.shape, pixels.dtype) != (self._shape, self._dtype):
            return self._alone(facts, pixels)
        return self.of_kept(facts if found.bundle == self._sha256 else replace(facts, scores={}), pixels)

    def _alone(self, facts: Kept, pixels: Pixels) -> Picture:
        """What the network makes of a frame that is not to be judged would be no more than a guess."""
        of_others = max(float(pixels.max()), 1.0)  # of another camera nobody knows what is usual: from nothing to that
        usual = self._usual if pixels.dtype == self._dtype else (of_others, of_others)
        return _told(facts, _Judged(None, None, {}), draw_alone(pixels, *usual))

    def _picture(self, facts: Kept, pictures: Pictures) -> Picture:
        return _told(facts, self._judged(facts, pictures), draw(pictures))

    def _judged(self, facts: Kept, pictures: Pictures) -> _Judged:
        """By the scores that are known, and for the charts of single frames otherwise by those of the pictures."""
        anew = {chart: float(getattr(pictures.scores, chart)[0]) for chart in CHARTS}
        found = {**anew, **facts.scores}
        # What a chart remembered is not in the frame: where it was not kept, that chart says nothing.
        values = np.array([[found.get(chart, 0.0) for chart in self.charts]])
        joint, source, limits = self._scale(values, np.array([facts.context.encode()]))
        told = {
            chart: (_finite(found[chart]), float(limit))
            for chart, limit in zip(self.charts, limits[0], strict=True)
            if chart in found
        }
        return _Judged(_finite(float(joint[0])), self.charts[int(source[0])], told)


def _told(facts: Kept, judged: _Judged, drawn: Drawn) -> Picture:
    return Picture(
        seq=facts.seq,
        stream=facts.stream,
        t_ns=facts.t_ns,
        layer=facts.layer,
        job=facts.job,
        context=facts.context,
        xy=facts.xy,
        **judged._asdict(),
        **drawn._asdict(),
    )


def _finite(score: float) -> float:
    return float(np.nan_to_num(score, nan=FLOAT32_MAX, posinf=FLOAT32_MAX))
