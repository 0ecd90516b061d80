"""How much of one core's time a network takes to score a frame."""

import time
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch

from calibration.charts import window_for
from models.preparer import fit_preparation
from models.scorer import Scorer
from models.tensors import ChartParameters
from models.trained import Trained, scorer_of
from monitor.config import Calibration
from tests.benchmarks.evaluate.splits import Frames
from tests.benchmarks.frontier.networks import network_of

BATCH: Final = 32
ROUNDS, ROUNDS_QUICK = 40, 3
IN_A_ROW: Final = 5  # batches of one network in each round, after one that is not counted


def frame_times(networks: Mapping[str, Calibration], frames: Frames, rounds: int) -> dict[str, float]:
    """Name of each of *networks* -> microseconds of a core that the scorer takes for one of *frames* (n, h, w).

    Processor time, not the clock's, so that waiting for a core does not count; the median over batches. Every round
    times every network, so that a busy neighbour disturbs all alike. Weights are arbitrary: they change no time.
    """
    torch.set_num_threads(1)
    scorers = {name: _scorer(settings, frames) for name, settings in networks.items()}
    batch = frames[:BATCH]
    taken: dict[str, list[int]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, scorer in scorers.items():
            scorer(batch)
            for _ in range(IN_A_ROW):
                begun = time.process_time_ns()
                scorer(batch)
                taken[name].append(time.process_time_ns() - begun)
    return {name: float(np.median(times)) / len(batch) / 1000 for name, times in taken.items()}


def _scorer(settings: Calibration, frames: Frames) -> Scorer:
    preparation = fit_preparation(frames, settings.binning, settings.orientation == "align")
    rows, columns = preparation.size
    network = network_of(settings, *frames.shape[1:])
    unit = np.eye(network.latent)
    charts = ChartParameters(
        np.zeros(network.latent), unit, np.ones((rows, columns)), 0.0, 1.0, *window_for(rows, columns)
    )
    return scorer_of(Trained(network, preparation, ()), charts)
