"""What tests of limits share: streams with a memory, charts whose tails differ, limits that are known."""

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from calibration.limits import Limit
from calibration.tails import Tail

Float64s = npt.NDArray[np.float64]


def ar1(m: int, phi: float, seed: int = 0) -> Float64s:
    random = np.random.default_rng(seed)
    noise = random.normal(size=m) * np.sqrt(1 - phi**2)
    noise[0] = random.normal()
    return lfilter([1], [1, -phi], noise)


def charts(m: int, seed: int) -> Float64s:
    """Three charts, two of which say nearly the same, with tails of different weight."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=m)
    return np.stack([shared**2, np.exp(shared + 0.1 * random.normal(size=m)), random.standard_t(6, m)], axis=1)


def exponential_limit(rate: float, scale: float = 1.0) -> Limit:
    """Of a chart whose in-control scores fall off exponentially: the score that *rate* of them exceed."""
    body = -scale * np.log(np.geomspace(1.0, 0.1, 65))
    value = -scale * np.log(rate)
    tail = Tail(body, 0.1, 0.0, scale)
    return Limit(value, value, value, scale * np.log(2), rate, "known", 100, 100.0, extrapolated=False, tail=tail)
