"""Times and rates in the words that people use for them."""

import math
from typing import Final

UNITS: Final = ((24.0, "day"), (1.0, "hour"), (1 / 60, "minute"), (1 / 3600, "second"))
"""In hours, the longest first."""

RAREST: Final = 1e-9  # beyond, a rate per frame is told by its power of ten

TWICE: Final = 2.0  # of a unit, from which on it is the one to tell a time in: 90 minutes, but 2 hours


def duration(hours: float) -> str:
    """A time: 23 seconds, 90 minutes, 4.2 hours; below a second in milliseconds."""
    if not math.isfinite(hours) or hours <= 0:
        return "no time" if hours == 0 else "an unknown time"
    for size, name in UNITS:
        if hours >= TWICE * size or (name == "second" and hours >= size):
            count = two_digits(hours / size)
            return f"{count} {name}{'' if count == '1' else 's'}"
    return f"{two_digits(hours * 3.6e6)} ms"


def one_in(per_hour: float) -> str:
    """A rate as the time that there is one in: one in 4 hours; more than one a second are counted."""
    if not math.isfinite(per_hour) or per_hour < 0:
        return "an unknown number"
    if per_hour == 0:
        return "none"
    if per_hour > 3600:
        return f"{two_digits(per_hour / 3600)} a second"
    for size, name in UNITS:
        if math.isclose(per_hour * size, 1.0):
            return f"one {'an' if name == 'hour' else 'a'} {name}"
    return f"one in {duration(1 / per_hour)}"


def share(value: float) -> str:
    """A share of 0 to 1 in per cent, with no false zero."""
    if not math.isfinite(value):
        return "-"
    return "under 0.01 %" if 0 < value < 1e-4 else f"{100 * value:.3g} %"


def per_frame(value: float) -> str:
    """A share of 0 to 1 of single frames, as one of so many where it is small."""
    if not 0 < value < 0.01:
        return share(value)
    return f"1 in 10^{-math.log10(value):.0f}" if value < RAREST else f"1 in {two_digits(1 / value)}"


def two_digits(value: float) -> str:
    """Two digits, or all of those before the point of a small number; thousands are parted."""
    if not (math.isfinite(value) and value > 0):
        return "0" if value == 0 else "-"
    digits = max(0, 1 - math.floor(math.log10(value)))
    if value >= 1000:
        return f"{round(value, -int(math.log10(value)) + 1):,.0f}"
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
