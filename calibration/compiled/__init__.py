"""Loops over frames as machine code: what numpy does in many small calls, each dear beside its work, done in one.

numba compiles each at its first call, and keeps it on disk for later starts. Sums keep their order, so that a stream
gives the same to the last bit however it is cut into batches. numba takes long to load: modules that other processes
than the one which judges import too name these functions only where they call them.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(loop: F) -> F:
    """*loop* as machine code. What it calls or names must stand in its file, by whose date kept code is renewed."""
    try:
        return cast(F, njit(cache=True, nogil=True, error_model="numpy")(loop))
    except RuntimeError:  # no folder to keep it in: each start compiles anew
        return cast(F, njit(nogil=True, error_model="numpy")(loop))


def inlined(part: F) -> F:
    """A *part* of compiled loops, for each frame or so: as a call it would take longer than what it does."""
    return cast(F, njit(forceinline=True, nogil=True, error_model="numpy")(part))
