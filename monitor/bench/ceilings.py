"""What no program passes on this machine: matrix products and copies. `python -m monitor.bench.ceilings` answers."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import sys
import time
from collections.abc import Callable
from typing import Final

import torch

from monitor.bench.alone import Ceilings, CeilingsOrder
from monitor.bench.children import serve

SIDE: Final = 1024
COPY_BYTES: Final = 256 * 2**20
SLICES: Final = 5
"""The best of so many: a ceiling is what is possible between the neighbours' turns too."""


def measure(order: CeilingsOrder) -> Ceilings:
    """A square matrix product in both precisions, and a copy that no cache holds."""
    torch.set_num_threads(order.threads)
    return Ceilings(_products(order, torch.float32), _products(order, torch.bfloat16), _copies(order))


@torch.inference_mode()
def _products(order: CeilingsOrder, dtype: torch.dtype) -> float:
    left, right = (torch.randn(SIDE, SIDE, device=order.device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return SIDE**3 * _per_second(lambda: torch.mm(left, right, out=out), order)


@torch.inference_mode()
def _copies(order: CeilingsOrder) -> float:
    source = torch.ones(COPY_BYTES, dtype=torch.uint8)
    if order.device != "cpu":
        source = source.pin_memory()
    goal = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=order.device)
    return COPY_BYTES * _per_second(lambda: goal.copy_(source), order)


def _per_second(turn: Callable[[], object], order: CeilingsOrder) -> float:
    """The most turns a second over SLICES slices of the time."""

    def settle() -> None:
        if order.device != "cpu":
            torch.cuda.synchronize()

    for _ in range(2):
        turn()
    settle()
    best = 0.0
    for _ in range(SLICES):
        begun, turns = time.perf_counter(), 0
        while turns == 0 or time.perf_counter() - begun < order.seconds / SLICES:
            turn()
            settle()
            turns += 1
        best = max(best, turns / (time.perf_counter() - begun))
    return best


if __name__ == "__main__":
    sys.exit(serve(CeilingsOrder, measure))
