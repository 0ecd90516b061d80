"""Whether the scores still are what they were at calibration: a test that never ends, with a stated run length.

It looks at one value a block of judged frames: the mean rarity of their joint scores in decades, counted in halvings,
that is, how many of the levels that a half, a quarter, an eighth, ... of calibration's frames exceed a frame exceeds.
Where scores that an in-control frame reaches once in ten times come every time, the value has risen by about one.

The n-th block in control, those of calibration included, is as likely to have any rank among these n as any other. So
its smoothed conformal p-value is uniform and independent of the p-values before it, whatever law the blocks follow and
however few calibration had (Vovk, Gammerman and Shafer 2005). A bet on a p-value multiplies its stake by some e >= 0 of
mean 1. The Shiryaev-Roberts sum R_n = (1 + R_(n-1)) e_n gathers bets that begin at every block: R_n - n is a
martingale, and so is the mean of several, which hence takes A blocks or more on average until it reaches A (Roberts
1966; Shin, Ramdas and Rinaldo 2024, on e-detectors). A is the stated run length. It is a mean over calibrations and
streams together, for blocks that are independent and alike.

Bets are likelihood ratios exp(s z - s^2 / 2) of the p-value's normal score z for shifts s, up and down, in standard
deviations of a block: a stream that drifts slowly meets the small ones, one that jumps the large.

Jobs may differ while nothing is wrong. With *tolerated* decades a block is compared after it was moved by so much
towards what is known: ranks of independent blocks that are alike but for levels within a band of that width are then
never more extreme than ranks of blocks that are alike, and the run length holds for them too.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from calibration.autocorrelation import autocorrelation_time
from calibration.blocks import BLOCKS_MIN, LEVEL, dependence
from calibration.charts import CalibrationError
from calibration.layout import laid_out

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

HALVING: Final = float(np.log10(2.0))  # decades
LEVELS_MAX: Final = 10
FRAMES_ABOVE: Final = 8  # calibration's frames above the highest level

BLOCK_TIMES: Final = 20.0
"""Autocorrelation times in a block: means of neighbouring blocks of an AR(1) stream then correlate by 1 %."""

SHIFTS: Final = np.array([0.25, 0.5, 1.0, 2.0])  # standard deviations of a block
BINS: Final = 4096
"""Of block values: 0.0004 decades wide at an in-control value. Values in one bin are ties, whose order is drawn."""

RECENT: Final = 20  # blocks that the present shift is told from
SEED: Final = 1  # of the order of ties
EVIDENCE_MAX: Final = 1e300
TINY: Final = float(np.finfo(np.float64).tiny)


class BlockMean(NamedTuple):
    """The unfinished block of a stream of joint scores: `begin_blocks` makes the first, `block_values` goes on."""

    levels: Float64s  # (l,) joint scores, rising, each exceeded half as often as the one before
    block_frames: int
    frames: int = 0  # in the unfinished block
    exceeded: int = 0  # levels that each of them exceeds, added up


class Drift(NamedTuple):
    """What the test remembers, of one size for ever. `begin` makes the first from the blocks of calibration."""

    run_length: float  # blocks until a false alarm, on average: at least
    tolerated: float  # decades that in-control blocks may differ by
    known: Indices  # (BINS,) in-control blocks by their value
    level: float  # mean value of calibration's blocks, decades
    recent: float  # mean value of the latest blocks, weighted exponentially
    judged: int  # blocks since calibration
    gathered: Float64s  # (2, s) logarithm of R for shifts up and down
    stale_since: int | None  # the block, counted from 1, at which the evidence first reached 1

    @property
    def stale(self) -> bool:
        """Whether the scores were found to have drifted: for good, until a new calibration."""
        return self.stale_since is not None

    @property
    def evidence(self) -> float:
        """Mean R over the run length: 1 is where the scores are said to have drifted."""
        logarithm = float(np.logaddexp.reduce(self.gathered, axis=None)) - np.log(self.gathered.size * self.run_length)
        return float(np.exp(min(logarithm, np.log(EVIDENCE_MAX))))

    @property
    def shift(self) -> float:
        """Decades by which the latest blocks are rarer than calibration's.

        False events come 10^shift times as often where the tail moves with the rest: a tail that falls more steeply
        than a power, as a bell's does, moves further than the bulk of the frames.
        """
        return self.recent - self.level

    @property
    def why(self) -> str:
        """What a person should know, in one sentence."""
        told = f"joint scores are {10**self.shift:.3g} times as rare as at calibration, after {self.judged} blocks"
        if self.stale_since is None:
            return f"{told}: no drift is shown"
        return f"{told}: they have drifted since, as block {self.stale_since} showed; calibrate anew"


def levels_of(joint: Floats) -> Float64s:
    """The scores (l,) that a half, a quarter, ... of in-control *joint* scores (m,) exceed: ten, of few frames fewer.

    Blocks of calibration and those after it are to be counted by the same levels. Raises CalibrationError for scores
    that are not finite, and for fewer than 16.
    """
    x = np.asarray(joint, np.float64)
    if len(x) < 2 * FRAMES_ABOVE or not np.isfinite(x).all():
        raise CalibrationError(f"levels need {2 * FRAMES_ABOVE} finite joint scores or more, not these {len(x)}")
    deepest = min(LEVELS_MAX, int(np.log2(len(x) / FRAMES_ABOVE)))
    levels: Float64s = np.quantile(x, 1 - 0.5 ** np.arange(1, deepest + 1))
    return levels


def begin_blocks(levels: Floats, block_frames: int) -> BlockMean:
    """Blocks of no frames yet. Raises ValueError for a block that no frame could fill, and levels that do not rise."""
    x = np.asarray(levels, np.float64)
    if block_frames < 1 or len(x) == 0 or not (np.diff(x) >= 0).all():
        raise ValueError(f"blocks need levels that rise and at least one frame, not {x} and {block_frames}")
    return BlockMean(x, block_frames)


def block_values(blocks: BlockMean, joint: Floats) -> tuple[BlockMean, Float64s]:
    """The values (b,), in decades, of blocks that the next *joint* scores (m,) finish, however the stream is cut.

    Frames whose score is NaN are left out, as if they had not been judged.
    """
    from calibration.compiled.stream import count_blocks

    x, length = laid_out(np.asarray(joint), np.float64), blocks.block_frames
    sums = np.empty((blocks.frames + len(x)) // length)
    finished, frames, exceeded = count_blocks(x, blocks.levels, length, blocks.frames, blocks.exceeded, sums)
    return blocks._replace(frames=frames, exceeded=exceeded), HALVING * sums[:finished] / length


def drift_frames(joint: Floats, levels: Floats, borders: Indices) -> int:
    """Frames in a block so long that values of neighbouring blocks of *joint* scores (m,) say nothing about each other.

    Stretches recorded apart begin at *borders*, which end with m. From 20 autocorrelation times it doubles until
    values pass the test of `blocks.dependence` at 1 %, or only 20 blocks are left. Raises CalibrationError for fewer
    than 20 frames.
    """
    longest = len(joint) // BLOCKS_MIN
    if longest < 1:
        raise CalibrationError(f"{len(joint)} frames are too few for blocks: give at least {BLOCKS_MIN}")
    time = autocorrelation_time(np.asarray(joint, np.float64), borders)
    frames = min(int(np.ceil(BLOCK_TIMES * time)), longest)
    while 2 * frames <= longest and dependence(block_values(begin_blocks(levels, frames), joint)[1]) < LEVEL:
        frames *= 2
    return frames


def begin(calibration: Floats, run_length: float, tolerated: float = 0.0) -> Drift:
    """The test after *calibration*, in-control block values (b,) from 0 up; NaN are blocks left out.

    *run_length* blocks, judged hours over the hours of a block, pass on average until scores that are still the same
    are called stale. Raises CalibrationError for fewer than 20 blocks, ValueError for a run length below 1 and for
    *tolerated* below 0.
    """
    if not (1 <= run_length < np.inf and 0 <= tolerated < np.inf):
        raise ValueError(f"drift needs a run length from 1 and a tolerance from 0, not {run_length} and {tolerated}")
    kept = np.asarray(calibration, np.float64)
    kept = kept[~np.isnan(kept)]
    if len(kept) < BLOCKS_MIN or not np.isfinite(kept).all():
        raise CalibrationError(f"drift needs {BLOCKS_MIN} finite blocks of calibration or more, not these {len(kept)}")
    known = np.bincount(_bins(kept), minlength=BINS).astype(np.int64)
    nothing = np.full((2, len(SHIFTS)), -np.inf)
    level = float(kept.mean())
    return Drift(run_length, tolerated, known, level, level, 0, nothing, None)


def step(drift: Drift, values: Floats) -> Drift:
    """*drift* after the next block *values* (b,), however they are cut; NaN are blocks left out.

    Every block joins what is known until the scores are stale: from then on only evidence and shift go on. Raises
    ValueError for values that are infinite.
    """
    kept = [value for value in np.asarray(values, np.float64).tolist() if not math.isnan(value)]
    if any(map(math.isinf, kept)):
        raise ValueError("a block value is infinite: give finite ones, or NaN for a block to leave out")
    drift = drift._replace(known=drift.known.copy())
    for value in kept:
        drift = _judged(drift, value)
        if not drift.stale:
            drift.known[_bin(value)] += 1
    return drift


def _judged(drift: Drift, value: float) -> Drift:
    """*drift* after a block of *value*, compared from above and from below after a move towards what is known."""
    from calibration.compiled.stream import gather, shares_beyond

    known, judged = drift.known, drift.judged + 1
    lowered, raised = _bin(value - drift.tolerated), _bin(value + drift.tolerated)
    order = _drawn(judged)  # among its ties, the same in every cut of the stream
    above, below = shares_beyond(known, lowered, raised, order)
    gathered = drift.gathered.copy()
    gather(gathered, SHIFTS, -float(ndtri(max(above, TINY))), -float(ndtri(max(below, TINY))))
    recent = drift.recent + (value - drift.recent) / RECENT
    drift = drift._replace(judged=judged, recent=recent, gathered=gathered)
    return drift if drift.stale or drift.evidence < 1 else drift._replace(stale_since=judged)


def _drawn(number: int) -> float:
    """As `default_rng((SEED, number)).random()`, at half of its price."""
    return (int(np.random.PCG64((SEED, number)).random_raw()) >> 11) * 2.0**-53


def _bin(value: float) -> int:
    """`_bins` of one."""
    return min(int(BINS * (1 - 1 / (1 + max(value, 0.0)))), BINS - 1)


def _bins(values: Float64s) -> Indices:
    """The bin of each of *values*, fixed beforehand: a grid fitted to some of the blocks would set them apart."""
    share = 1 - 1 / (1 + np.maximum(values, 0))
    return np.minimum((BINS * share).astype(np.int64), BINS - 1)
