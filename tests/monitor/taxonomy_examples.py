"""Anomalies of a few kinds, grouped twice as a daemon would: the second time there are more of them, and a new kind."""

from typing import Final

import numpy as np
import numpy.typing as npt
from frames import normal, with_spot

from models.taxonomy.cut import find_kinds
from models.taxonomy.embedding import embed
from models.taxonomy.identity import Kinds, called, clusters_of, match, noted, prioritised
from monitor.taxonomy.found import Happened, Taxonomy

HOUR_NS: Final = 3_600_000_000_000
START_NS: Final = 1_795_000_000_000_000_000
BUNDLE: Final = "0123456789abcdef" * 4


def anomalies(counts: tuple[int, int, int, int], seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Frames (n, 32, 32) and what they show: a spot above (0) or below (1), a dark band (2), snow (3)."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(4), counts))
    frames = normal(len(truth), seed)
    for index, kind in enumerate(truth.tolist()):
        if kind < 2:
            frames[index] = with_spot(frames[index : index + 1], 5 + 21 * kind, 8 + 16 * kind)[0]
        elif kind == 2:
            frames[index, :, 14:19] //= 3
        else:
            frames[index][rng.random((32, 32)) < 0.06] = 255
    return frames, truth


def points_of(frames: npt.NDArray[np.uint8], seed: int = 0) -> npt.NDArray[np.float32]:
    """Points as of a network that draws the undisturbed frames."""
    residual = (frames - normal(len(frames), seed).astype(np.float32)) / 5.0
    latent = residual.reshape(len(frames), 4, 8, 4, 8).mean(axis=(2, 4)).reshape(len(frames), 16)
    return embed(latent, residual)


def some_taxonomy(counts: tuple[int, int, int, int] = (60, 45, 25, 12), strays: int = 3) -> Taxonomy:
    """What was found after a first run over the earlier half, without snow, and a second one over all."""
    frames, truth = anomalies(counts)
    points = points_of(frames)
    for stray in range(strays):
        frames[stray], truth[stray] = np.roll(frames[stray].T[::-1], 7 * stray, axis=0), -1
        points[stray] = np.random.default_rng(stray).normal(0, 0.2, points.shape[1])
    ids = np.arange(1, len(frames) + 1) * 3
    seen_ns = START_NS + np.sort(np.random.default_rng(1).integers(0, 30 * HOUR_NS, len(frames)))
    early = np.flatnonzero((np.arange(len(frames)) < 0.6 * len(frames)) & (truth != 3))
    kinds, changes = Kinds(), list[Happened]()
    for rows, t_ns in ((early, int(seen_ns[early[-1]])), (np.arange(len(frames)), int(seen_ns[-1]))):
        cut = find_kinds(points[rows])
        clusters = clusters_of(cut.labels, ids[rows], points[rows]) if cut.discrete else []
        kinds, found = match(kinds, clusters)
        changes += [Happened(t_ns, one) for one in found]
        if rows is early and kinds.kinds:
            kinds = noted(called(kinds, 1, "spatter <above>"), 1, "from the gas nozzle, says Ann")
            kinds = prioritised(kinds, 1, "low")
    return Taxonomy("melt", BUNDLE, int(seen_ns[-1]), kinds, cut, ids, points, seen_ns, frames, tuple(changes))
