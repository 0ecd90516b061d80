"""The chart that remembers, stepped over frames that were judged before, just as the judge did it. Pure."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration import memory
from calibration.memory import MemoryChart
from monitor.recorder.notes import Note


class Judged(NamedTuple):
    """What the chart asks of n frames in their order."""

    stream: npt.NDArray[np.bytes_]  # (n,), and so are all but the latents
    context: npt.NDArray[np.bytes_]
    judged: npt.NDArray[np.bool_]  # what was not judged is not remembered
    latents: npt.NDArray[np.float32]  # (n, p)
    t2: npt.NDArray[np.float32]

    def part(self, lo: int, hi: int) -> "Judged":
        """Of frames *lo* to *hi*."""
        some = slice(lo, hi)
        return Judged(self.stream[some], self.context[some], self.judged[some], self.latents[some], self.t2[some])


def judged_of(records: npt.NDArray[np.void], latents: npt.NDArray[np.float32]) -> Judged:
    """A copy of what lies beside frames in the ring."""
    stream, context, judged = records["stream"].copy(), records["context"].copy(), records["judged_ns"] > 0
    return Judged(stream, context, judged, latents.copy(), records["t2"].copy())


def after(chart: MemoryChart, note: Note, frames: Judged) -> tuple[Note, npt.NDArray[np.float64]]:
    """What is remembered after *frames*, which follow on *note*, and the chart's score of each; NaN where not judged.

    Another stream is not remembered.
    """
    scores = np.full(len(frames.judged), np.nan)
    rows = np.flatnonzero(frames.judged)
    stream, state = note.stream, note.remembered
    names = frames.stream[rows]
    edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(rows)]
    for lo, hi in pairwise(edges):
        if lo == hi:
            continue
        some, name = rows[lo:hi], bytes(names[lo])
        if name != stream:
            stream, state = name, {}
        state, scores[some] = memory.step(chart, state, frames.latents[some], frames.t2[some], frames.context[some])
    return Note(note.position + len(frames.judged), stream, state), scores
