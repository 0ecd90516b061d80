"""JSON answers of the API."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from starlette.responses import Response

DIGITS: Final = 7
"""Of a score, as many as single precision has for certain."""


def answer(value: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """*value* as JSON, which nobody is to keep."""
    kept_by_nobody = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status_code, kept_by_nobody, media_type="application/json")


def numbers(values: npt.NDArray[Any]) -> list[float | None]:
    """*values* (n,) as JSON has them, with DIGITS digits; null where one is not finite."""
    exact = np.asarray(values, np.float64)
    some = np.isfinite(exact)
    magnitude = np.floor(np.log10(np.abs(exact), out=np.zeros_like(exact), where=some & (exact != 0)))
    scale = 10.0 ** np.abs(DIGITS - 1 - magnitude)  # a division by a power of ten rounds to the shortest number
    small = magnitude < DIGITS
    rounded = np.where(small, np.rint(exact * scale) / scale, np.rint(exact / scale) * scale)
    return [value if told else None for value, told in zip(rounded.tolist(), some.tolist(), strict=True)]
