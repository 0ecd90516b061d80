"""The highest rate that is held, found by bracketing and halving. Pure: the caller measures."""

import math
from collections.abc import Callable
from typing import Final

STEP: Final = 1.6
"""From a rate that is held to the next one tried, and from one that is not down, until both kinds are known."""

RESOLUTION: Final = 1.05
"""The rate found is held, and one so many times as high was not."""

BACKING_OFF: Final = 0.9


def highest_held(
    held: Callable[[float], bool],
    start_hz: float,
    least_hz: float,
    most_hz: float,
    resolution: float = RESOLUTION,
) -> float | None:
    """The highest rate from *least_hz* to *most_hz* that is *held*; None where not even the least is.

    A rate *resolution* times as high was tried and not held, unless *most_hz* was held. The first is *start_hz*.
    """
    if not (0 < least_hz <= most_hz < math.inf and resolution > 1):
        raise ValueError(f"no search from {least_hz:g} to {most_hz:g} Hz by steps of {resolution:g}")
    low = high = None
    rate_hz = min(max(start_hz, least_hz), most_hz)
    while low is None or high is None:
        if held(rate_hz):
            low = rate_hz
            if rate_hz >= most_hz:
                return rate_hz
            rate_hz = min(rate_hz * STEP, most_hz)
        else:
            high = rate_hz
            if rate_hz <= least_hz:
                return None
            rate_hz = max(rate_hz / STEP, least_hz)
    while high > low * resolution:
        middle_hz = math.sqrt(low * high)
        low, high = (middle_hz, high) if held(middle_hz) else (low, middle_hz)
    return low


def confirmed(held: Callable[[float], bool], rate_hz: float, least_hz: float) -> float | None:
    """*rate_hz*, or the first that is held of those each a tenth lower; None where one below *least_hz* would be next.

    To be asked with longer trials than the search had.
    """
    while rate_hz >= least_hz:
        if held(rate_hz):
            return rate_hz
        rate_hz *= BACKING_OFF
    return None
