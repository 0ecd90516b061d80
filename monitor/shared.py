"""One piece of memory that the daemon's processes share: numpy arrays laid out one after the other.

The supervisor creates it without a name (nothing is left behind whichever process is killed) and hands the file
descriptor on. Every process computes the same layout from the same configuration, so no offsets travel.
"""

import mmap
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Fields = Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]
"""Name -> (dtype, shape) of each array of a part, in the order in which they lie in memory."""

Arrays = dict[str, npt.NDArray[Any]]

ALIGNMENT = 64  # a cache line: no two arrays share one


def size_of(*parts: Fields) -> int:
    """Bytes that *parts* take together."""
    return sum(_padded(dtype, shape) for fields in parts for dtype, shape in fields.values())


def create(size: int) -> int:
    """A file descriptor of *size* bytes of zeroed memory, inheritable by child processes."""
    fd = os.memfd_create("framewatch", 0)
    os.ftruncate(fd, size)
    return fd


def attach(fd: int, *parts: Fields, read_only: bool = False) -> list[Arrays]:
    """The arrays of each of *parts* in the memory behind *fd*; *read_only* ones cannot be written, whoever tries.

    Raises ValueError where the memory is smaller than the layout: two processes disagree about the configuration.
    """
    access = mmap.ACCESS_READ if read_only else mmap.ACCESS_DEFAULT
    memory = mmap.mmap(fd, os.fstat(fd).st_size, access=access)
    return lay_out(memory, *parts)


def lay_out(memory: "mmap.mmap | bytearray", *parts: Fields) -> list[Arrays]:
    """The arrays of each of *parts* inside *memory*, which must outlive them (each array keeps it alive)."""
    if len(memory) < size_of(*parts):
        raise ValueError(f"shared memory of {len(memory)} bytes is too small for a layout of {size_of(*parts)}")
    found: list[Arrays] = []
    offset = 0
    for fields in parts:
        arrays: Arrays = {}
        for name, (dtype, shape) in fields.items():
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(memory, np.dtype(dtype), count, offset).reshape(shape)
            offset += _padded(dtype, shape)
        found.append(arrays)
    return found


def _padded(dtype: npt.DTypeLike, shape: tuple[int, ...]) -> int:
    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    return -(-size // ALIGNMENT) * ALIGNMENT
