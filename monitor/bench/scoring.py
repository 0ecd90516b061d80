"""Frames a second of scoring alone, by backend and batch size: `python -m monitor.bench.scoring` answers.

In a process of its own, which takes its memory as the daemon's judging process does.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.autoencoder import operations
from models.scorer import Scorer
from models.trained import from_tensors
from monitor import bundle as bundles
from monitor.bench.alone import Scored, ScoringOrder, ScoringRow
from monitor.bench.children import serve
from monitor.bundle import Bundle
from monitor.types import Precision

Score = Callable[[npt.NDArray[Any]], object]

WARM_UP: Final = 3


def backends(bundle: Bundle, device: str, threads: int) -> list[tuple[str, Score]]:
    """Every way to score frames of *bundle*, by the name that the table gives it; the first is the daemon's."""
    held = bundle.manifest
    others: tuple[Precision, ...] = ("float32", "bfloat16")
    return [
        (
            f"decoder in {precision}",
            Scorer(bundle.tensors, held.height, held.width, device, precision, threads),
        )
        for precision in (held.precision, *(one for one in others if one != held.precision))
    ]


def operations_of(bundle: Bundle) -> int:
    """Multiply-adds of the network for one frame; of images, for all their tiles."""
    held = bundle.manifest
    tiling = Scorer(bundle.tensors, held.height, held.width).tiling
    height, width = (held.height, held.width) if tiling is None else (tiling.side, tiling.side)
    trained, _ = from_tensors(bundle.tensors, height, width)
    return operations(trained.network) * (1 if tiling is None else tiling.count)


def rates_of(score: Score, frames: npt.NDArray[Any], seconds: float) -> tuple[float, float]:
    """Frames a second of *score* on *frames* (n, h, w) again and again, by the clock and by processor time."""
    for _ in range(WARM_UP):
        score(frames)
    begun, used, done = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - begun) < seconds:
        score(frames)
        done += len(frames)
    return done / elapsed, done / max(time.process_time() - used, 1e-9)


def measure(order: ScoringOrder) -> Scored:
    """Each backend at each batch size."""
    torch.set_num_threads(1)  # the scorer shares frames out among threads itself
    bundle, bank = bundles.read(Path(order.bundle)), np.load(order.bank)
    rows = [
        ScoringRow(name, batch, *rates_of(score, _some(bank, batch), order.seconds))
        for name, score in backends(bundle, order.device, order.threads)
        for batch in order.batches
    ]
    return Scored(operations_of(bundle), rows)


def _some(bank: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    return bank[np.arange(count) % len(bank)]


if __name__ == "__main__":
    sys.exit(serve(ScoringOrder, measure))
