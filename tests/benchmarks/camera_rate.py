"""How many frames a second the simulated cameras give on one core: `make cameras`.

Beside each, in the same run and in turn with it, the plain way of making one such frame: float noise drawn for every
pixel of a picture that is there already. Processor time, so that a neighbour on the machine does not count.
"""

import os
import sys
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from monitor.camera.meltpool.bank import Bank
from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.simulate import Simulated
from monitor.camera.stem.diffraction import Diffraction
from monitor.camera.stem.images import ScanImages

BANK_FRAMES = 1500
ROUNDS, SLICE_S = 5, 1.0

CAMERAS: dict[str, tuple[int, Callable[[], Simulated]]] = {
    "melt pool, bank, 120 px": (120, lambda: Bank(MeltPool(120, 120, 1, 0.001), BANK_FRAMES)),
    "melt pool, bank, 64 px": (64, lambda: Bank(MeltPool(64, 64, 1, 0.001), BANK_FRAMES)),
    "melt pool, computed, 120 px": (120, lambda: MeltPool(120, 120, 1, 0.001)),
    "melt pool, computed, 64 px": (64, lambda: MeltPool(64, 64, 1, 0.001)),
    "stem diffraction, 96 px": (96, lambda: Diffraction(96, 96, 1, 0.001)),
    "stem diffraction, 192 px": (192, lambda: Diffraction(192, 192, 1, 0.001)),
    "stem images, 64 px": (64, lambda: ScanImages(64, 64, 1, 0.001)),
    "stem images, 256 px": (256, lambda: ScanImages(256, 256, 1, 0.001)),
}


def rate_of(simulated: Simulated) -> float:
    """Frames per second of processor time."""
    begun, frames = time.process_time(), 0
    for shot, _ in simulated.shots():
        frames += len(shot.pixels)
        if time.process_time() - begun > SLICE_S:
            break
    return frames / (time.process_time() - begun)


def plain_rate(side_px: int) -> float:
    rng, picture = np.random.default_rng(1), np.full((side_px, side_px), 40.0)
    begun, frames = time.process_time(), 0
    while time.process_time() - begun < SLICE_S:
        np.clip(picture + rng.normal(0.0, np.sqrt(picture)), 0, 255).astype(np.uint8)
        frames += 1
    return frames / (time.process_time() - begun)


def main() -> None:
    say = sys.stdout.write
    say(f"frames/s of one core's time, median of {ROUNDS} (range); plain: noise alone, drawn frame by frame\n")
    for name, (side_px, make) in CAMERAS.items():
        simulated = make()
        rate_of(simulated)  # warm: tables, caches
        pairs = np.array([(rate_of(simulated), plain_rate(side_px)) for _ in range(ROUNDS)])
        low, middle, high = np.percentile(pairs[:, 0], [0, 50, 100])
        plain, ratio = np.median(pairs[:, 1]), np.median(pairs[:, 0] / pairs[:, 1])
        say(f"{name:<30}{middle:9,.0f}  ({low:,.0f} to {high:,.0f})   plain {plain:7,.0f}   x {ratio:.2f}\n")


if __name__ == "__main__":
    main()
