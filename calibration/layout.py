"""How arrays lie in memory: compiled loops are compiled anew for each other way."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def laid_out(array: npt.NDArray[Any], dtype: type[T] | np.dtype[T]) -> npt.NDArray[T]:
    """*array* of *dtype* in one piece, which may be written to; a copy only where it is not so already."""
    if array.dtype == dtype and array.flags.carray:
        return array
    return np.array(array, dtype, order="C")


def distinct(contexts: npt.NDArray[np.bytes_]) -> list[bytes]:
    """The names that occur in *contexts* (n,), in the order in which they come first: nearly always one."""
    names, size = contexts.tobytes(), contexts.itemsize
    if len(contexts) and names == names[:size] * len(contexts):
        return [bytes(contexts[0])]
    return list(dict.fromkeys(contexts.tolist()))
