"""The hot loop: slots of the ring -> judge -> ledger, events and permit. Nothing else runs in it.

It reads the ring without a lock: it copies what it needs, then asks whether the slots were overwritten meanwhile, and
gives up the frames that were.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from monitor.backlog import Backlog
from monitor.judge import Judge, SourcedChange, Verdicts
from monitor.promise import Witness
from monitor.recorder.notes import NoteBook
from monitor.ring import FrameBatch
from monitor.shared import Arrays
from monitor.types import Pixels, Unjudged
from monitor.vitals import Histogram
from monitor.warmth import Warmth

TURN_S = 0.1
"""Longest the loop waits for frames: it turns, and says so, even where nothing comes."""

NEVER_NS = 2**63 - 1
"""A delay longer than all."""

SET_BACK_NS = 100_000_000
"""Exposures that go so far back are another clock's: NTP sets a clock anew from 128 ms on."""

Handover = Callable[[Sequence[SourcedChange]], None]


class Engine:
    """Judges what the backlog holds, batch by batch, on the thread that calls `run`."""

    def __init__(
        self,
        backlog: Backlog,
        judge: Judge | None,  # None: no bundle, every frame is settled by the code that it came with
        board: Arrays,  # the vitals
        handover: Handover,
        clock: Callable[[], int],  # monotonic ns
        wall_clock: Callable[[], int],  # Unix ns
        witness: Witness | None = None,  # of all judged time; None: the limits are per frame
        notes: NoteBook | None = None,  # of what the chart that remembers holds; None: nobody asks for them
    ) -> None:
        self._backlog = backlog
        self._witness = witness
        self._notes = notes
        self._ring = backlog.ring
        self._judge = judge
        self._board = board
        self._handover = handover
        self._clock = clock
        self._wall_clock = wall_clock
        board["chart_score"][:] = np.nan  # nothing judged yet
        if judge is not None:
            self._ages, self._delays, self._scorings, self._batches = (
                Histogram(board, name) for name in ("age", "delay", "score", "batch")
            )
        self._least_delay_ns, self._exposed_ns = NEVER_NS, 0
        self._delay_stream = b""
        self._warmth = Warmth(clock())
        self.idle_frames: Pixels | None = None  # what keeps the network warm in pauses; None: nothing does
        self.judged = 0
        self.fault_seen: tuple[int, int] | None = None  # (code, monotonic ns) of the last frame with a camera fault

    def run(self, stopping: Callable[[], bool]) -> None:
        """Judge until *stopping* and nothing is left."""
        while not (stopping() and self._backlog.pending == 0):
            self._board["engine_beat_ns"][0] = self._clock()
            claim = self._backlog.claim(self._clock())
            if claim is not None:
                self.judge_batch(*claim)
                self._warmth.worked(self._clock())
            elif not self.keep_warm():
                self._backlog.wait(TURN_S)
            if self._witness is not None:
                self._witness.turn(self._clock(), self._wall_clock())
        if self._witness is not None:
            self._witness.finish(self._wall_clock())

    def keep_warm(self) -> bool:
        """Score `idle_frames` where the camera has paused for long enough; frames that come meanwhile wait for that.

        Returns whether it has. It leaves no trace.
        """
        began_ns = self._clock()
        if self._judge is None or self.idle_frames is None or not self._warmth.due(began_ns) or self._backlog.pending:
            return False
        self._judge.warm(self.idle_frames)
        self._warmth.kept(began_ns, self._clock())
        return True

    def judge_batch(self, lo: int, hi: int) -> None:
        """Judge ring positions *lo* to *hi*, which the caller has claimed, and settle them."""
        started_ns = self._clock()
        batch = _steady(self._ring.view(lo, hi))
        codes = batch.unjudged.copy()
        to_judge = (codes == 0).nonzero()[0]
        chosen, verdicts, overrun = self._judge_intact(batch, to_judge, lo)
        if verdicts is not None and verdicts.changes:
            # Before the account: a process killed in between leaves an alarm too many, not one too few.
            self._handover(verdicts.changes)
        self._settle(lo, hi, batch, codes, chosen, verdicts, overrun)
        if verdicts is not None:
            self._observe(batch, chosen, verdicts, started_ns)
            if self._witness is not None:
                self._witness.gather(verdicts.rows)
        if self._notes is not None and self._judge is not None:
            self._notes.keep(hi, self._judge.stream, self._judge.remembered)

    def _judge_intact(
        self, batch: FrameBatch, to_judge: npt.NDArray[np.intp], lo: int
    ) -> tuple[npt.NDArray[np.intp], Verdicts | None, int]:
        """Judge what of *to_judge* was not overwritten meanwhile: (frames chosen, verdicts, how many were lapped)."""
        overrun = 0
        while True:
            chosen = to_judge[to_judge >= overrun] if overrun else to_judge
            if self._judge is None or len(chosen) == 0:
                return chosen, None, self._lapped(lo, len(batch.seq))
            carried = self._judge.snapshot()
            verdicts = self._judge.judge(*_choose(batch, chosen, lo))
            lapped = self._lapped(lo, len(batch.seq))
            if lapped <= overrun:
                return chosen, verdicts, overrun
            # What was read of those slots may be half of one frame and half of another: as if it never was.
            self._judge.restore(carried)
            overrun = lapped

    def _lapped(self, lo: int, count: int) -> int:
        """How many of the *count* frames from *lo* on the writer has overwritten by now."""
        return min(max(0, self._ring.oldest_intact() - lo), count)

    def _settle(
        self,
        lo: int,
        hi: int,
        batch: FrameBatch,
        codes: npt.NDArray[np.uint8],
        chosen: npt.NDArray[np.intp],
        verdicts: Verdicts | None,
        overrun: int,
    ) -> None:
        unjudged = _tally(codes[overrun:])
        judged = 0
        if verdicts is not None:
            judged = len(verdicts.judged)
            if judged < len(chosen):  # of frames without a code
                faults = int(np.count_nonzero(verdicts.fault))
                unjudged[Unjudged.CAMERA_FAULT] = unjudged.get(Unjudged.CAMERA_FAULT, 0) + faults
                not_finite = len(chosen) - faults - judged
                unjudged[Unjudged.NOT_FINITE] = unjudged.get(Unjudged.NOT_FINITE, 0) + not_finite
            self._write_scores(lo, hi, batch, chosen, verdicts)
        self._backlog.settle(lo, hi, judged, unjudged, overrun)

    def _write_scores(
        self, lo: int, hi: int, batch: FrameBatch, chosen: npt.NDArray[np.intp], verdicts: Verdicts
    ) -> None:
        """Leave the scores beside the pixels, for the recorder and the page."""
        scored = _scored(batch, chosen, verdicts)
        for index, chart in enumerate(self._judge.charts if self._judge else ()):
            getattr(batch, chart)[scored] = verdicts.values[:, index]
        if self._ring.keeps_latents:
            self._ring.latents(lo, hi)[scored] = verdicts.scores.latent
        batch.judged_ns[scored] = self._clock()
        batch.joint[scored] = verdicts.joint  # after the others: who follows takes a frame that shows it for whole
        batch.where[scored] = verdicts.scores.where  # last: who reads the ring takes it that the scores are there then
        batch.fault[chosen] = verdicts.fault

    def _observe(self, batch: FrameBatch, chosen: npt.NDArray[np.intp], verdicts: Verdicts, started_ns: int) -> None:
        """Histograms and latest values, once a batch."""
        now_ns = self._clock()
        if np.count_nonzero(verdicts.fault):
            bad = np.flatnonzero(verdicts.fault)
            self.fault_seen = int(verdicts.fault[bad[-1]]), now_ns
        count = len(verdicts.judged)
        if count == 0:
            return
        board, scored, last = self._board, _scored(batch, chosen, verdicts), chosen[verdicts.judged[-1]]
        self.judged += count
        board["judged_ns"][0] = now_ns
        board["last_seq"][0] = batch.seq[last]
        board["context"][0] = batch.context[last]
        board["exceedances"] += np.add.reduce(verdicts.over, axis=0)
        board["chart_score"][:] = verdicts.values[-1]
        self._ages.since(batch.received_ns[scored], now_ns)
        self._observe_delays(batch.t_ns[scored], bytes(batch.stream[last]))
        self._scorings.one((now_ns - started_ns) / 1e9)
        self._batches.one(float(count))

    def _observe_delays(self, t_ns: npt.NDArray[np.int64], stream: bytes) -> None:
        """Exposure to judged, less the least seen of this *stream* since its clock was set: the two clocks' offset
        cancels, and ours is one that nobody sets.
        """
        if stream != self._delay_stream or int(t_ns[0]) < self._exposed_ns - SET_BACK_NS:
            self._delay_stream, self._least_delay_ns = stream, NEVER_NS
        self._exposed_ns = int(t_ns[-1])
        self._least_delay_ns = self._delays.since(t_ns, self._clock(), self._least_delay_ns)


def _steady(batch: FrameBatch) -> FrameBatch:
    """*batch* with copies of the columns that are still read after its slots may have been overwritten."""
    return batch._replace(
        seq=batch.seq.copy(),
        t_ns=batch.t_ns.copy(),
        received_ns=batch.received_ns.copy(),
        stream=batch.stream.copy(),
        context=batch.context.copy(),
    )


def _choose(
    batch: FrameBatch, chosen: npt.NDArray[np.intp], lo: int
) -> tuple[npt.NDArray[np.generic], FrameBatch, npt.NDArray[np.int64]]:
    """The frames *chosen* of *batch*; without a copy where all of them are."""
    if len(chosen) < len(batch.seq):
        batch = FrameBatch._make(column[chosen] for column in batch)
    return batch.pixels, batch, chosen + lo


def _scored(batch: FrameBatch, chosen: npt.NDArray[np.intp], verdicts: Verdicts) -> "npt.NDArray[np.intp] | slice":
    """Which frames of *batch* were scored; a slice, which copies nothing, where all were."""
    return slice(None) if len(verdicts.judged) == len(batch.seq) else chosen[verdicts.judged]


def _tally(codes: npt.NDArray[np.uint8]) -> dict[Unjudged, int]:
    """How many frames have each of the codes that say why they are not judged."""
    if np.count_nonzero(codes) == 0:
        return {}
    return {Unjudged(code): n for code, n in enumerate(np.bincount(codes).tolist()) if n and code}
