"""How many frames a second the simulated cameras give on one core: `make cameras`.

Beside each, in the same run and in turn with it, the plain way of making one such frame: float noise drawn for every
pixel of a picture that is there already. Processor time, so that a neighbour on the machine does not count.

The last rows are a whole camera process: the bank through a PUSH socket, in messages as `framewatch simulate` sends
them, to a reader in another process that decodes and counts them. Wall-clock time, since two processes share it.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import zmq

from monitor.camera.meltpool.bank import Bank
from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.publisher import Publisher
from monitor.camera.simulate import Simulated, publish_simulated
from monitor.camera.stem.diffraction import Diffraction
from monitor.camera.stem.images import ScanImages
from monitor.wire.native import WireLimits, decode

BANK_FRAMES = 1500
ROUNDS, SLICE_S = 5, 1.0

SENT_PX = 120
SENT_FRAMES = 40_000  # a round: about a second
ASKED_HZ = 1e6  # above what any camera gives, so that every message is late and leaves at once
PATIENCE_S = 60.0

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


def plain_rate(side_px: int, clock: Callable[[], float] = time.process_time) -> float:
    rng, picture = np.random.default_rng(1), np.full((side_px, side_px), 40.0)
    begun, frames = clock(), 0
    while clock() - begun < SLICE_S:
        np.clip(picture + rng.normal(0.0, np.sqrt(picture)), 0, 255).astype(np.uint8)
        frames += 1
    return frames / (clock() - begun)


def through_socket() -> dict[str, list[tuple[float, float]]]:
    """Frames per second of wall-clock time that were sent, and that were there; each round beside the plain way."""
    # No pauses between layers: they would be measured too.
    bank = Bank(MeltPool(SENT_PX, SENT_PX, 1, 0.001, recoat_s=0.0), BANK_FRAMES)
    other = multiprocessing.get_context("spawn")
    told, tells = other.Pipe(duplex=False)
    with Publisher("tcp://127.0.0.1:0", ASKED_HZ, socket="push") as publisher:
        reader = other.Process(target=count, args=(publisher.endpoint, SENT_FRAMES, tells), daemon=True)
        reader.start()
        if not publisher.wait_for_reader(PATIENCE_S):
            raise SystemExit(f"no reader came to {publisher.endpoint} within {PATIENCE_S:g} s")
        sent_and_read(publisher, bank, told)  # warm
        rates = [(*sent_and_read(publisher, bank, told), plain_rate(SENT_PX, time.monotonic)) for _ in range(ROUNDS)]
        reader.terminate()
        reader.join()
    name = f"melt pool, bank, {SENT_PX} px"
    return {
        f"{name}, sent": [(sent, plain) for sent, _, plain in rates],
        f"{name}, received": [(received, plain) for _, received, plain in rates],
    }


def sent_and_read(publisher: Publisher, simulated: Simulated, told: Connection) -> tuple[float, float]:
    """Frames per second until the last of SENT_FRAMES was sent, and until the reader had it."""
    begun = time.monotonic()
    publish_simulated(publisher, simulated, SENT_FRAMES, None)
    sent_s = time.monotonic() - begun
    if not told.poll(PATIENCE_S):
        raise SystemExit(f"the reader misses frames {PATIENCE_S:g} s after the last was sent")
    return SENT_FRAMES / sent_s, SENT_FRAMES / (told.recv() - begun)


def count(endpoint: str, frames: int, tells: Connection) -> None:
    """The reader: tells when each *frames* frames were there, by the clock that all processes share; without end."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.connect(endpoint)
        limits, left = WireLimits(), frames
        while True:
            parts = socket.recv_multipart(copy=False)
            left -= decode([part.buffer for part in parts], limits).header.count
            if left <= 0:
                tells.send(time.monotonic())
                left += frames


def row(name: str, rates: list[tuple[float, float]]) -> str:
    """A line of the table, from (rate, plain rate) of each round."""
    pairs = np.array(rates)
    low, middle, high = np.percentile(pairs[:, 0], [0, 50, 100])
    plain, ratio = np.median(pairs[:, 1]), np.median(pairs[:, 0] / pairs[:, 1])
    return f"{name:<34}{middle:9,.0f}  ({low:,.0f} to {high:,.0f})   plain {plain:7,.0f}   x {ratio:.2f}\n"


def main() -> None:
    say = sys.stdout.write
    say(f"frames/s of one core's time, median of {ROUNDS} (range); plain: noise alone, drawn frame by frame\n")
    for name, (side_px, make) in CAMERAS.items():
        simulated = make()
        rate_of(simulated)  # warm: tables, caches
        say(row(name, [(rate_of(simulated), plain_rate(side_px)) for _ in range(ROUNDS)]))
    say("through a socket to a reader in another process, frames/s of wall-clock time\n")
    for name, rates in through_socket().items():
        say(row(name, rates))


if __name__ == "__main__":
    main()
