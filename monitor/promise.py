"""What the hot process keeps of all judged time, so that the promise can be watched and its limits set anew.

Beside the judge, on batches that are judged for good: nothing here decides about a frame.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration import drift as drifts
from calibration.blocks import BlockExtremes, begin, step
from calibration.compiled.stream import judged_seconds
from calibration.drift import Drift, begin_blocks, block_values
from calibration.layout import laid_out
from monitor import blocklog, recordlog
from monitor.blockstore import Block
from monitor.budget import FittedBudget
from monitor.config import Config
from monitor.manifest import FittedDrift, Manifest
from monitor.rates import RateWatch
from monitor.ring import text
from monitor.shared import Arrays
from monitor.vitals import write_text

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.void]
Row = Any
"""One element of Rows, copied out of it."""

BLOCK_S: Final = 10.0
"""Blocks are kept in lengths of about so many seconds: 8,640 a day."""

PAUSE: Final = 10.0
"""Times as long between two frames as their number takes, and the process was off: no time was judged."""

GATHERED: Final = 256
"""Judged frames that are taken in together."""

GATHERED_NS: Final = 100_000_000
"""... or those of so long, where they are fewer."""

SHARE_MOST: Final = 0.02
"""... but no longer than leaves so small a share of them above the limit: a fifth of what a limit can be set from."""


def kept_block_frames(budget: FittedBudget) -> int:
    """Judged frames of the blocks that are kept: the budget's own, doubled so often that those of all budgets fit."""
    seconds = budget.block_frames / budget.rate_hz
    longest = SHARE_MOST * 3600 / budget.per_hour
    doublings = max(0, math.floor(math.log2(min(BLOCK_S, longest) / seconds)))
    return budget.block_frames << doublings


class DriftWatch:
    """Whether the scores still are what they were; frames over the limit say nothing of that."""

    def __init__(self, fitted: FittedDrift, budget: FittedBudget, run_length_h: float) -> None:
        self._action = budget.action
        self._blocks = begin_blocks(np.array(fitted.levels), fitted.block_frames)
        run_length = max(1.0, run_length_h * 3600 * budget.rate_hz / fitted.block_frames)
        self.drift: Drift = drifts.begin(np.array(fitted.values), run_length, fitted.tolerated)
        # Compiled now and not at the first block, of which nothing is kept.
        drifts.step(self.drift, block_values(self._blocks, np.zeros(fitted.block_frames))[1])

    def take(self, joint: Floats) -> bool:
        """The next judged frames' *joint* scores (m,), above 1 over the limit: whether they finish a block."""
        scores = np.where(joint > 1.0, np.nan, joint * self._action)
        self._blocks, values = block_values(self._blocks, scores)
        if len(values):
            self.drift = drifts.step(self.drift, values)
        return len(values) > 0


class BlockKeeper:
    """The highest event statistic of every block of judged frames, alarmed ones too: to leave those out is trimming.

    A person may leave blocks out later, where an alarm was true.
    """

    def __init__(self, budget: FittedBudget, scale: str, epoch: str) -> None:
        self._action = budget.action
        self._record: BlockExtremes = begin(budget.k, budget.n, kept_block_frames(budget))
        stops = budget.stops
        self._stops = None if stops is None else begin(stops.k, stops.n, self._record.block_frames)  # the same blocks
        self._stop_rule = "" if stops is None else stops.name
        self._scale = scale
        self._epoch = epoch
        self._number = 0
        self._first_seq = 0  # of the unfinished block
        self._seconds = 0.0  # judged, in it
        self._last: Row | None = None  # judged frame
        step(self._record, np.zeros(1))  # compiled now and not at the first frames, of which nothing is kept

    def take(self, rows: Rows, seconds: float, now_ns: int) -> list[Block]:
        """Judged frames *rows* (m,) of one stream, in order, that took *seconds*: the blocks that they finish.

        With its stream a block ends early: sequence numbers of two streams must not be mixed.
        """
        other = self._last is not None and bytes(rows["stream"][0]) != bytes(self._last["stream"])
        ended = self._end(now_ns) if other else []
        before, length = self._record.frames, self._record.block_frames
        if before == 0:
            self._first_seq = int(rows["seq"][0])
        self._seconds += seconds
        self._last = rows[-1].copy()
        joint = rows["joint"] * self._action
        extremes = self._step(joint)
        if not extremes:
            return ended
        each_s, self._seconds = self._seconds / len(extremes), 0.0
        for end, (extreme, stop) in zip(range(length - before, len(rows) + 1, length), extremes, strict=True):
            ended.append(self._block(extreme, stop, length, each_s, rows[end - 1], now_ns))
            if end < len(rows):
                self._first_seq = int(rows["seq"][end])
        return ended

    def _step(self, joint: Floats) -> list[tuple[float, float | None]]:
        """Take *joint* scores (m,) in decades: of each block that they finish its extreme, and that for stops."""
        self._record = step(self._record, joint)
        extremes: list[float] = self._record.extremes.tolist()
        stops: list[float | None] = [None] * len(extremes)
        if self._stops is not None:
            self._stops = step(self._stops, joint)
            stops = self._stops.extremes.tolist()
            self._stops = self._stops._replace(extremes=self._stops.extremes[:0])
        self._record = self._record._replace(extremes=self._record.extremes[:0])
        return list(zip(extremes, stops, strict=True))

    def finish(self, now_ns: int) -> list[Block]:
        """The block that is not finished, at the end of all: it may hold the very event that ended it."""
        return self._end(now_ns)

    def _end(self, now_ns: int) -> list[Block]:
        """The unfinished block, where there is one; the next begins anew, and no window of the rule reaches into it."""
        record, stops, seconds = self._record, self._stops, self._seconds
        self._record, self._seconds = begin(record.k, record.n, record.block_frames), 0.0
        if stops is not None:
            self._stops = begin(stops.k, stops.n, stops.block_frames)
        if not record.frames:
            return []
        stop = None if stops is None else stops.highest
        return [self._block(record.highest, stop, record.frames, seconds, self._last, now_ns)]

    def _block(self, extreme: float, stop: float | None, frames: int, seconds: float, last: Row, now_ns: int) -> Block:
        number, self._number = self._number, self._number + 1
        return Block(
            epoch=self._epoch,
            number=number,
            scale=self._scale,
            stream=text(last["stream"]),
            job=text(last["job"]),
            first_seq=self._first_seq,
            last_seq=int(last["seq"]),
            t_ns=now_ns,
            frames=frames,
            judged_s=seconds,
            extreme=extreme,
            stop=stop,
            rule=self._stop_rule,
        )


class JudgedTime:
    """How long judged frames took: by the sender's clock between frames that follow each other, else a period each.

    Frames of one message may have one time in common: then so many frames took what passes until it moves on.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._before: tuple[bytes, int, int] | None = None  # stream, seq and time of the frame before
        self._waiting = 0  # frames since time moved on
        none = np.empty(0, np.int64)
        judged_seconds(none, none, 0, 0, 0, self._period_s, PAUSE)  # compiled now and not at the first frames

    def take(self, rows: Rows) -> float:
        """Seconds of judged frames *rows* (m,) of one stream, in order."""
        stream, seq, t_ns = bytes(rows["stream"][0]), laid_out(rows["seq"], np.int64), laid_out(rows["t_ns"], np.int64)
        before, self._before = self._before, (stream, int(seq[-1]), int(t_ns[-1]))
        first_s = 0.0
        if before is None or before[0] != stream:
            first_s, self._waiting = self._period_s * (1 + self._waiting), 0
            before, seq, t_ns = (stream, int(seq[0]), int(t_ns[0])), seq[1:], t_ns[1:]
        passed_s, self._waiting = judged_seconds(seq, t_ns, *before[1:], self._waiting, self._period_s, PAUSE)
        return first_s + passed_s


class Witness:
    """Counts judged time, keeps blocks and watches for drift, and says all of it in shared memory.

    Judged frames may be gathered and taken in together: nearly all of what that costs is a price a call, whatever their
    number. A process that is killed takes those it has gathered with it.
    """

    def __init__(
        self,
        time: JudgedTime,
        keeper: BlockKeeper | None,  # None: the limits are per frame
        drift: DriftWatch | None,  # None: too few frames to watch for one
        rates: RateWatch | None,
        board: Arrays,
        log: Arrays,
    ) -> None:
        self._time = time
        self._keeper = keeper
        self._drift = drift
        self.rates = rates
        self._board = board
        self._log = log
        self._gathered: list[Rows] = []
        self._frames = 0  # gathered
        self._taken_ns = 0

    def gather(self, rows: Rows) -> None:
        """Judged frames *rows* (m,), in order, to be taken in soon."""
        if len(rows):
            self._gathered.append(rows)
            self._frames += len(rows)

    def turn(self, now_ns: int, t_ns: int) -> None:
        """Take in what was gathered, where it is much or the last time was long ago, at *now_ns* (monotonic)."""
        if self._gathered and (self._frames >= GATHERED or now_ns - self._taken_ns >= GATHERED_NS):
            self._taken_ns = now_ns
            self._take_gathered(t_ns)

    def _take_gathered(self, t_ns: int) -> None:
        gathered, self._gathered, self._frames = self._gathered, [], 0
        if gathered:
            self.take(_together(gathered), t_ns)

    def take(self, rows: Rows, t_ns: int) -> None:
        """Judged frames *rows* (m,), in order, of one stream or several, at *t_ns* (Unix)."""
        edges = np.flatnonzero(rows["stream"][1:] != rows["stream"][:-1]) + 1
        for part in np.split(rows, edges) if len(edges) else [rows]:
            if len(part):
                self._take(part, t_ns)

    def finish(self, t_ns: int) -> None:
        """No more frames come."""
        self._take_gathered(t_ns)
        if self._keeper is not None:
            blocklog.append(self._log, self._keeper.finish(t_ns))

    def _take(self, rows: Rows, t_ns: int) -> None:
        seconds = self._time.take(rows)
        self._board["judged_s"][0] += seconds
        if self._keeper is not None:
            blocklog.append(self._log, self._keeper.take(rows, seconds, t_ns))
        if self.rates is not None:
            self.rates.take(rows)
        if self._drift is not None and self._drift.take(rows["joint"]):
            found = self._drift.drift
            self._board["drift_evidence"][0], self._board["drift_shift"][0] = found.evidence, found.shift
            if found.stale:
                write_text(self._board, "drift_why", found.why)


def witness_of(config: Config, manifest: Manifest, epoch: str, board: Arrays, blocks: Arrays, units: Arrays) -> Witness:
    """The witness of the promise of *manifest*, with the logs of *blocks* and of *units* of the chart of rates."""
    for log in (blocks, units):
        recordlog.begin(log, epoch)
    board["drift_evidence"][0], board["drift_shift"][0], board["drift_why"][0] = 0.0, 0.0, b""
    budget, drift = manifest.budget, manifest.drift
    if budget is None:
        return Witness(JudgedTime(config.input.rate_hz), None, None, None, board, blocks)
    watched = None if drift is None else DriftWatch(drift, budget, config.drift_run_length_h)
    rates = None if manifest.rates is None else RateWatch(manifest.rates, budget.warning / budget.action, units)
    return Witness(
        JudgedTime(budget.rate_hz), BlockKeeper(budget, manifest.scale, epoch), watched, rates, board, blocks
    )


def _together(parts: list[Rows]) -> Rows:
    """*parts* one after the other, as bytes: numpy looks at each field of a record for each part."""
    plain = np.dtype((np.void, parts[0].dtype.itemsize))
    together: Rows = np.concatenate([part.view(plain) for part in parts]).view(parts[0].dtype)
    return together
