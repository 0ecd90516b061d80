"""A daemon's shared memory with frames in its ring that a judge of a real bundle has scored, for tests of pictures."""

import base64
import contextlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from daemon_example import some_config
from PIL import Image

from calibration.scale import ContextScale
from models.scorer import Scorer
from monitor import shared
from monitor.bundle import Bundle
from monitor.orders import BundleFacts, Memory, Orders, layout, open_memory
from monitor.ring import Ring
from monitor.viewer.picture import Picture
from monitor.wire.native import WireLimits, decode, encode

SLOTS = 32
CLOCK_NS = 10**15


class Floor(NamedTuple):
    """What a viewer works for."""

    given: Orders
    memory: Memory
    bundle: Bundle

    @property
    def ring(self) -> Ring:
        return Ring(self.memory.ring)

    def show(self, frames: np.ndarray, seq: int = 0, **header: Any) -> int:
        """Put *frames* into the ring; the position of the first."""
        message = decode(encode("melt", "s", seq, 1000 * seq, frames, **header), WireLimits())
        return self.ring.write(message, 0, len(frames), 0, 77)[0]

    def judge(self, lo: int, hi: int) -> None:
        """Leave the scores of positions *lo* to *hi* beside their pixels, as the engine does."""
        batch = self.ring.view(lo, hi)
        scores = Scorer(self.bundle.tensors, self.ring.height, self.ring.width)(batch.pixels)
        joint, _, _ = ContextScale(self.bundle.context_limits)(scores.values, batch.context)
        for chart in ("t2", "s2", "offset", "local"):
            getattr(batch, chart)[:] = getattr(scores, chart)
        batch.judged_ns[:] = time.monotonic_ns()
        batch.joint[:] = joint
        batch.where[:] = scores.where


@contextlib.contextmanager
def floor_of(bundle: Bundle, folder: Path, slots: int = SLOTS) -> Iterator[Floor]:
    """Orders of a daemon that judges by *bundle*, with memory of their own."""
    held = bundle.manifest
    limits = {chart: limit.value for chart, limit in held.limits.items()}
    facts = BundleFacts(bundle.sha256, limits, extrapolated=False, created_ns=1)
    config = msgspec.structs.replace(some_config(folder), bundle=str(bundle.path))
    size = held.height, held.width, held.dtype
    memory_fd = shared.create(shared.size_of(*layout(len(limits), slots, *size)))
    wake_fd = os.eventfd(0)
    given = Orders(config, "framewatch.yaml", os.getpid(), memory_fd, wake_fd, "boot-1", slots, *size, facts)
    try:
        yield Floor(given, open_memory(given), bundle)
    finally:
        os.close(memory_fd)
        os.close(wake_fd)


def picture_of(answer: bytes) -> Picture:
    return msgspec.json.decode(answer, type=Picture)


def pixels_of(uri: str) -> np.ndarray:
    """Of a data URI: (h, w, 3)."""
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
