"""The blocks of judged time that a daemon kept beside its journal: which of them set limits, and as what."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.blocks import BLOCKS_MIN, BlockExtremes, begin
from calibration.charts import CalibrationError
from monitor.alarms.alarm import STOP, Alarm
from monitor.blockstore import Block, beside, read_blocks
from monitor.budget import FittedBudget, FittedStops
from monitor.bundle import Bundle
from monitor.journal.reader import Reader


class Kept(NamedTuple):
    """Blocks of about one length that a daemon kept, b of them."""

    record: BlockExtremes  # their length is what they hold on average
    jobs: npt.NDArray[np.str_]  # (b,)
    rate_hz: float  # judged frames a second


def kept_record(before: FittedBudget, blocks: Sequence[Block]) -> Kept:
    """*blocks* in their order, of the length of the longest, or of shorter ones where that leaves fewer than twenty.

    Shorter ones that follow each other are joined, those that a stream's end cut short among them: it may have been an
    alarm that ended it. Raises CalibrationError where there are none.
    """
    if not blocks:
        raise CalibrationError("the journal holds no blocks of this bundle yet: let the daemon judge longer")
    seconds = sum(block.judged_s for block in blocks)
    frames = sum(block.frames for block in blocks)
    lengths = {block.frames for block in blocks if block.frames % before.block_frames == 0} or {before.block_frames}
    for length in sorted(lengths, reverse=True):
        joined = _joined(blocks, length)
        if len(joined) >= BLOCKS_MIN:
            break
    record = begin(before.k, before.n, max(round(frames / len(joined)), 1))
    return Kept(
        record._replace(extremes=np.array([extreme for extreme, _ in joined])),
        np.array([job for _, job in joined]),
        frames / seconds if seconds > 0 else before.rate_hz,
    )


def kept_stops(before: FittedBudget, stops: FittedStops, blocks: Sequence[Block]) -> Kept | None:
    """Likewise of the rule for *stops*, by those of *blocks* that were kept with it; None where they are too few."""
    known = [
        block._replace(extreme=block.stop) for block in blocks if block.stop is not None and block.rule == stops.name
    ]
    if len(known) < BLOCKS_MIN:
        return None
    found = kept_record(before, known)
    return found._replace(record=found.record._replace(k=stops.k, n=stops.n))


def _joined(blocks: Sequence[Block], length: int) -> list[tuple[float, str]]:
    """The extremes of *blocks*, joined until each holds so many frames, with the job that each began in."""
    joined: list[tuple[float, str]] = []
    frames, extreme, job = 0, -math.inf, ""
    for block in blocks:
        job = job if frames else block.job
        frames, extreme = frames + block.frames, max(extreme, block.extreme)
        if frames >= length and extreme > -math.inf:  # windows of the rule may be longer than all of a short stream
            joined.append((extreme, job))
            frames, extreme = 0, -math.inf
    if frames and joined:  # what is left over may hold an event
        joined[-1] = max(joined[-1][0], extreme), joined[-1][1]
    return joined or [(extreme, job)]


def judged_blocks(bundle: Bundle, journal: Path, camera: str, true: Sequence[str]) -> list[Block]:
    """The blocks of all judged time that the daemon of *journal* kept on the scale of *bundle*.

    Without those of alarms that a person judged true: in the journal, or by naming them in *true*. No others are left
    out: a limit that was set without everything that ever exceeded one would be trimmed. Raises CalibrationError for
    names that are no alarm's.
    """
    blocks = read_blocks(beside(journal), bundle.manifest.scale)
    alarms = _alarms(bundle, journal, camera)
    unknown = set(true) - {alarm.id for alarm in alarms}
    if unknown:
        raise CalibrationError(f"--true {sorted(unknown)[0]}: no alarm of a chart has this name in {journal}")
    left_out = [alarm for alarm in alarms if alarm.verdict == "true" or alarm.id in true]
    return [block for block in blocks if not any(_holds(block, alarm) for alarm in left_out)]


def unjudged_alarms(bundle: Bundle, journal: Path, camera: str, blocks: Sequence[Block]) -> list[Alarm]:
    """The alarms of charts and stops in *blocks* of which nobody has said whether they were true, worst first.

    If they were, the limit that *blocks* set rises to let them through.
    """
    found = [
        alarm
        for alarm in _alarms(bundle, journal, camera)
        if alarm.verdict in (None, "unknown") and any(_holds(block, alarm) for block in blocks)
    ]
    return sorted(found, key=lambda alarm: -alarm.peak.ratio if alarm.peak else 0.0)


def _alarms(bundle: Bundle, journal: Path, camera: str) -> list[Alarm]:
    """What the charts have raised. A stop is theirs too: it may be all that a person has judged of an event."""
    with contextlib.closing(Reader(journal, camera)) as opened:
        return opened.alarms_since((*bundle.manifest.charts, STOP), 0)


def _holds(block: Block, alarm: Alarm) -> bool:
    return block.stream == alarm.stream and block.first_seq <= alarm.last_seq and block.last_seq >= alarm.first_seq
