"""Loops over pixels as machine code: what an array library does in many passes, done in one.

numba compiles each at its first call, for the processor at hand, and keeps it on disk for later starts. They hold no
interpreter lock: other threads go on. What they compute stands beside them in torch, for training, for CUDA and as the
reference that tests hold them to.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in any order, so that they can be taken sixteen at a time; NaN and infinity keep their meaning,
# since the scores of frames that hold them must show it. Who changes these must touch the files of all loops.
_SUMS = {"reassoc", "contract", "nsz", "arcp"}


def compiled(loop: F) -> F:
    """*loop* as machine code. What it calls or names must stand in its file, by whose date kept code is renewed."""
    try:
        return cast(F, njit(cache=True, nogil=True, error_model="numpy", fastmath=_SUMS)(loop))
    except RuntimeError:  # no folder to keep it in: each start compiles anew
        return cast(F, njit(nogil=True, error_model="numpy", fastmath=_SUMS)(loop))


def keeps(loop: Callable[..., Any]) -> bool:
    """Whether a *loop* that is `compiled` is kept on disk for later starts."""
    return getattr(loop, "stats").cache_path is not None  # noqa: B009  # numba's dispatchers ship no types


def inlined(part: F) -> F:
    """A *part* of compiled loops, for each row of a frame or so: as a call it would take longer than what it does."""
    return cast(F, njit(forceinline=True, nogil=True, error_model="numpy", fastmath=_SUMS)(part))
