"""How often limits on scan images flag new normal ones: simulated images of 1024 px, judged as tiles.

    python tests/benchmarks/scan_limits.py --images 200

Every image is a session of its own (seed): focus, dose, rotation and thickness differ. `whole` is what calibration
does: the scale of the charts from tiles that trained the network, the limit from whole held-out images. `from tiles`
extrapolates the tail of the held-out images' tiles to the worst of an image's tiles (by Boole's inequality), which
would need no more than a few images if only tiles of different images were as alike as those of one.
"""

import argparse
import sys

import numpy as np
import numpy.typing as npt
import torch

from calibration.charts import fit
from calibration.limits import fit_limits
from calibration.scale import JointScale
from calibration.tails import Tail, fit_tail, rarity, score_of
from models.scores import Scores
from models.tensors import ChartParameters
from models.tiles import Tiling
from models.trained import scorer_of
from models.training import TrainingSettings, latents_and_residuals, train
from monitor.camera.recordings import Recording
from monitor.camera.stem.images import normal_frames
from monitor.tiled import tails_of, tiles_of

SIDE_PX, TILE_PX, OVERLAP_PX = 1024, 64, 8
TRAINED = 20
REPEATS = 60

Float64s = npt.NDArray[np.float64]


def values_of(scores: Scores) -> Float64s:
    return scores.values.astype(np.float64)


def rarest(values: Float64s, tails: list[Tail]) -> Float64s:
    return np.stack([rarity(chart, tail) for chart, tail in zip(values.T, tails, strict=True)]).max(axis=0)


def flagged_whole(held: Float64s, fresh: Float64s, tails: list[Tail], rate: float) -> float:
    """Share of *fresh* images (m, k, c) over limits from *held* ones."""
    limits = fit_limits(held.max(axis=1), rate, resamples=1, tails=tails)
    return float(np.mean(JointScale(limits)(fresh.max(axis=1))[0] > 1))


def flagged_from_tiles(held: Float64s, fresh: Float64s, rate: float) -> float:
    tiles = held.reshape(-1, held.shape[2])
    tails = [fit_tail(chart) for chart in tiles.T]
    limit = score_of(-np.log10(rate / held.shape[1]), fit_tail(rarest(tiles, tails)))
    return float(np.mean(rarest(fresh.max(axis=1), tails) > limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200, help="normal images that limits are tried on")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tiling = Tiling(SIDE_PX, SIDE_PX, TILE_PX, OVERLAP_PX)
    images = [Recording(str(seed), normal_frames(1, seed, SIDE_PX, SIDE_PX)) for seed in range(TRAINED)]
    tiles = np.concatenate([one.frames for one in tiles_of(images, tiling, 0)])
    trained = train(tiles, TrainingSettings(max_steps=options.steps), lambda *_: None)
    charts = ChartParameters(*fit(lambda: latents_and_residuals(trained, tiles))[:7])
    scorer, tails = scorer_of(trained, charts, tiling=tiling), tails_of(scorer_of(trained, charts), [tiles])
    seeds = range(1000, 1000 + options.images)
    images = (normal_frames(1, seed, SIDE_PX, SIDE_PX) for seed in seeds)
    known = np.stack([values_of(scorer.score_tiles(image)) for image in images])
    random = np.random.default_rng(0)
    sys.stdout.write("share of fresh normal images flagged: mean (5 % to 95 % of the calibrations)\n")
    for count in (10, 20, 50):
        for rate in (0.1, 0.05, 0.01):
            orders = [random.permutation(len(known)) for _ in range(REPEATS)]
            cuts = [(known[order[:count]], known[order[count:]]) for order in orders]
            ways = {"from tiles": [flagged_from_tiles(held, fresh, rate) for held, fresh in cuts]}
            if count >= 20:
                ways["whole"] = [flagged_whole(held, fresh, tails, rate) for held, fresh in cuts]
            for way, shares in ways.items():
                low, high = np.quantile(shares, [0.05, 0.95])
                told = f"{np.mean(shares):.3f} ({low:.3f} to {high:.3f})"
                sys.stdout.write(f"{count:4d} images, rate {rate:<5g} {way:10s} {told}\n")


if __name__ == "__main__":
    main()
