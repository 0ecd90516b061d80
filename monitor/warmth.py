"""When to score frames that nobody sent, so that the first ones after a pause meet what is warm: caches, clocks, pages.

Pure, and cheap by rule: it takes a two-hundredth of one core at most, however long a batch takes.
"""

from typing import Final

import numpy as np

from monitor.types import Pixels, PixelType

PAUSE_NS: Final = 500_000_000
"""Without frames for so long, and as long after every batch that kept warm."""

REST: Final = 200
"""Times as long as it took is rested after a batch: half of a percent of one core."""

LONGEST_NS: Final = 20_000_000
"""A batch that takes longer is not run: the next frames would wait for it longer than the cold costs them."""

WARM_FRAMES: Final = 4
EVERY: Final = 64


class Warmth:
    """Knows when the last batch was, and what one that keeps warm costs."""

    def __init__(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._cost_ns = 0

    def worked(self, now_ns: int) -> None:
        """Frames of the camera were judged."""
        self._last_ns = now_ns

    def due(self, now_ns: int) -> bool:
        """Whether a batch is to be run to keep warm."""
        if self._cost_ns > LONGEST_NS:
            return False
        return now_ns - self._last_ns >= max(PAUSE_NS, REST * self._cost_ns)

    def kept(self, began_ns: int, now_ns: int) -> None:
        """Such a batch has run. The slowest counts, but is forgotten: a neighbour may have held it up."""
        took_ns = now_ns - began_ns
        self._cost_ns = max(took_ns, (self._cost_ns + took_ns) // 2)
        self._last_ns = now_ns


def sizes(most: int, *, every: bool) -> tuple[int, ...]:
    """Batches to try before the first frames come, of up to *most* frames: the powers of two, and the largest.

    *every*: all up to 64 as well, where each size has a price of its own at its first call, as in torch.
    """
    some = {2**power for power in range(most.bit_length())} | {most}
    return tuple(sorted(some | set(range(1, min(most, EVERY) + 1)) if every else some))


def idle_frames(count: int, height: int, width: int, dtype: PixelType) -> Pixels:
    """Frames (count, height, width) that look like none in particular, so that no short cut is taken."""
    noise: Pixels = np.random.default_rng(0).integers(0, 200, (count, height, width)).astype(dtype)
    return noise
