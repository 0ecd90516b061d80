"""A melt pool computed once and shown again and again with fresh noise: a camera that costs next to nothing."""

from collections.abc import Iterator

import msgspec

from monitor.camera.meltpool.camera import MeltPool, Take
from monitor.camera.publisher import Shot
from monitor.camera.schedule import Truth


class Bank:
    """The first *frames* frames of *pool*, anomalies and all, over and over; only the sensor's noise is new each time.

    Holds four bytes a pixel. Frame and layer numbers count on from round to round.
    """

    def __init__(self, pool: MeltPool, frames: int) -> None:
        self._takes: list[Take] = list(pool.takes(frames))
        self._truths = [truth for take in self._takes for truth in take.truths]
        self._frames = frames
        self._layers = 1 + max(take.facts.layer or 0 for take in self._takes)
        self._readout = pool.readout
        self._shown = 0  # frames, ever
        self._next, self._into = 0, 0  # take, and frames of it that have been shown

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        """*frames* frames (None: without end), a scan vector at a time, with the anomalies that end in each."""
        end = None if frames is None else self._shown + frames
        while end is None or self._shown < end:
            rounds = self._shown // self._frames
            take = self._takes[self._next].part(slice(self._into, None))
            left = len(take.exposed.level)
            count = left if end is None else min(left, end - self._shown)
            shot = self._readout(take.part(slice(0, count)))
            self._shown += count
            self._next, self._into = (self._next, self._into + count) if count < left else (self._next + 1, 0)
            self._next %= len(self._takes)
            truths = tuple(self._later(truth, rounds) for truth in take.truths if count == left)
            yield shot._replace(layer=(shot.layer or 0) + rounds * self._layers), truths

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""
        before, within = divmod(self._shown, self._frames)
        held = (self._later(truth, before) for truth in self._truths if truth.first_seq < within <= truth.last_seq)
        return next(held, None)

    def _later(self, truth: Truth, rounds: int) -> Truth:
        """*truth* as it is after so many rounds."""
        shift = rounds * self._frames
        layer = None if truth.layer is None else truth.layer + rounds * self._layers
        return msgspec.structs.replace(
            truth, first_seq=truth.first_seq + shift, last_seq=truth.last_seq + shift, layer=layer
        )
