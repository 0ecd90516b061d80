"""float32 to bfloat16 and back around a centre, so that what is rounded is small: see `models.drawing`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import compiled, inlined

Array = npt.NDArray[Any]


@compiled
def deviation(code: Array, center: Array, out: Array) -> None:
    """max(code, 0) - max(center, 0), for *code* (n, f) and *center* (f,), into the bits *out* (n, f) of bfloat16."""
    for index in range(len(code)):
        one, bits = code[index], out[index]
        for place in range(len(center)):
            bits[place] = _rounded(max(one[place], np.float32(0.0)) - max(center[place], np.float32(0.0)))


@compiled
def next_deviation(drawn: Array, center: Array, out: Array) -> None:
    """max(center + drawn, 0) - max(center, 0), into the bits *out* (n, a, b, c) of bfloat16.

    *drawn* (n, a', b', c) are bits too, cropped to the *center* (a, b, c).
    """
    for index in range(len(drawn)):
        for row in range(center.shape[0]):
            one, around, bits = (
                drawn[index, row].reshape(-1),
                center[row].reshape(-1),
                out[index, row].reshape(-1),
            )
            for place in range(len(around)):
                x = around[place] + _widened(one[place])
                bits[place] = _rounded(max(x, np.float32(0.0)) - max(around[place], np.float32(0.0)))


@inlined
def _widened(bits: Any) -> Any:
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@inlined
def _rounded(x: Any) -> Any:
    """To the nearest, to the even one of two: as processors do it. A number that is not finite stays so."""
    bits = np.float32(x).view(np.uint32)
    up = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16((bits + up) >> np.uint32(16))
