"""A melt pool computed once and shown again and again with fresh noise: a camera that costs next to nothing."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from monitor.camera.meltpool.camera import MeltPool, Take
from monitor.camera.reel import Filmed, Piece, Reel
from monitor.camera.schedule import Truth

PIXEL_BYTES: Final = 4
BANK_BYTES: Final = 4 << 30
"""More than this a bank may not ask for: it would be swapped out, or end the process."""


class Bank(Filmed):
    """The first layers of *pool* that hold *frames* frames or more, anomalies and all, over and over.

    Only the sensor's noise is new each time. Frame and layer numbers count on from round to round. Raises ValueError,
    before anything is computed, for so many frames that they would take more than BANK_BYTES.
    """

    def __init__(self, pool: MeltPool, frames: int) -> None:
        most = BANK_BYTES // (PIXEL_BYTES * pool.height * pool.width)
        if not 1 <= frames <= most:
            size = f"{frames} frames of {pool.height} x {pool.width}"
            raise ValueError(f"a bank of {size}: 1 to {most} fit into {BANK_BYTES >> 30} GiB")
        self._takes = list(_whole_layers(pool.takes(), frames))
        self._frames = sum(len(take.exposed.level) for take in self._takes)
        self._layers = 1 + max(take.facts.layer or 0 for take in self._takes)
        self._recoat_s = pool.recoat_s
        self._readout = pool.readout
        self._reel = Reel(self._film(), self._begun)

    def _film(self) -> Iterator[Piece]:
        for rounds in itertools.count():
            for number, take in enumerate(self._takes):
                shot = self._readout(take)
                if rounds and number == 0:  # not the film's start any more
                    shot = shot._replace(pause_s=self._recoat_s)
                truths = tuple(self._later(truth, rounds) for truth in take.truths)
                yield shot._replace(layer=(shot.layer or 0) + rounds * self._layers), truths

    def _begun(self, seq: int) -> Truth | None:
        """The anomaly that began before frame *seq* and that a take to come will tell. None runs on into a new round:
        a layer ends with the laser off."""
        rounds, within = divmod(seq, self._frames)
        to_come = (truth for take in self._takes if take.first_seq >= within for truth in take.truths)
        return next((self._later(truth, rounds) for truth in to_come if truth.first_seq < within), None)

    def _later(self, truth: Truth, rounds: int) -> Truth:
        """*truth* as it is after so many rounds."""
        shift = rounds * self._frames
        layer = None if truth.layer is None else truth.layer + rounds * self._layers
        return msgspec.structs.replace(
            truth, first_seq=truth.first_seq + shift, last_seq=truth.last_seq + shift, layer=layer
        )


def _whole_layers(takes: Iterable[Take], frames: int) -> Iterator[Take]:
    """The first layers of *takes* that hold at least *frames* frames."""
    for _, layer in itertools.groupby(takes, lambda take: take.facts.layer):
        for take in layer:
            yield take
            frames -= len(take.exposed.level)
        if frames <= 0:
            return
