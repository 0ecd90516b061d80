"""An area sensor: electrons in, grey levels out. Fixed pattern, shot and read noise, saturation, rounding."""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Fixed = npt.NDArray[np.int16]
Bytes = npt.NDArray[np.uint8]

FRACTION_BITS: Final = 6  # grey levels are computed in 64ths
NOISE_BITS: Final = 8  # and noise in 256ths of its standard deviation: coarser steps would beat with the grey levels
BRIGHTEST: Final = 300.0  # grey levels: what is brighter saturates whatever its noise
POOL: Final = 1 << 21
REACH: Final = POOL >> 3  # pixels read out at a time: they stay in the cache, and begin at very many places of the pool
POOL_SEED: Final = 20


class Exposed(NamedTuple):
    """Frames before they are read out: expected grey level and its noise, in 64ths; both (n, h, w)."""

    level: Fixed
    deviation: Fixed


class Sensor:
    """An 8-bit camera of *height* x *width* pixels whose fixed pattern is its own: it follows from *serial*."""

    def __init__(
        self,
        height: int,
        width: int,
        *,
        electrons_per_grey: float = 25.0,
        offset_grey: float = 3.8,
        read_noise_grey: float = 0.25,
        rows_grey: float = 1.7,
        columns_grey: float = 0.3,
        pixels_grey: float = 0.6,
        serial: int = 4711,
    ) -> None:
        rng = np.random.default_rng(serial)
        pattern = offset_grey + rows_grey * rng.standard_normal((height, 1))
        pattern = pattern + columns_grey * rng.standard_normal(width)
        pattern = pattern + pixels_grey * rng.standard_normal((height, width))
        # A half more: the last step cuts, and so rounds.
        self._pattern = np.maximum(pattern + 0.5, 0.5).astype(np.float32)
        self._gain = np.float32(1.0 / electrons_per_grey)
        self._read_variance = np.float32(read_noise_grey**2)
        _normals()  # now, since they take a tenth of a second: a camera that has begun is not to be late

    def expose(self, electrons: Floats, noisier: float = 1.0) -> Exposed:
        """What *electrons* (n, h, w) are as grey levels; the read noise is *noisier* times its own."""
        grey = electrons * self._gain
        np.minimum(grey, np.float32(BRIGHTEST), out=grey)
        variance = grey * self._gain
        variance += self._read_variance * np.float32(noisier**2)
        np.sqrt(variance, out=variance)
        variance *= np.float32(1 << FRACTION_BITS)
        grey += self._pattern
        grey *= np.float32(1 << FRACTION_BITS)
        return Exposed(grey.astype(np.int16), np.rint(variance).astype(np.int16))


def read_out(exposed: Exposed, rng: np.random.Generator) -> Bytes:
    """The frames (n, h, w) with fresh noise: *rng* says where in a long row of normal numbers each piece begins."""
    pixels = np.empty(exposed.level.shape, np.uint8)
    step = max(REACH // exposed.level[0].size, 1)
    for first in range(0, len(pixels), step):
        held = slice(first, first + step)
        pixels[held] = _with_noise(exposed.level[held], exposed.deviation[held], rng)
    return pixels


def _with_noise(level: Fixed, deviation: Fixed, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    pool = _normals()
    begin = int(rng.integers(len(pool) - level.size))
    noise = np.multiply(pool[begin : begin + level.size].reshape(level.shape), deviation, dtype=np.int32)
    noise >>= NOISE_BITS
    noise += level
    np.clip(noise, 0, (256 << FRACTION_BITS) - 1, out=noise)
    noise >>= FRACTION_BITS
    return noise


@lru_cache(maxsize=1)
def _normals() -> Fixed:
    """Standard normal numbers in 256ths."""
    draws = np.random.default_rng(POOL_SEED).standard_normal(POOL, np.float32)
    draws *= np.float32(1 << NOISE_BITS)
    return np.rint(draws).astype(np.int16)
