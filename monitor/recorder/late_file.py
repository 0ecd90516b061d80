"""A file for HDF5 whose errors come late: the library crashes the process where a disk refuses what it has to write.

It is told that all is well, and whoever closes the file learns that it was not.
"""

import io
import os
from pathlib import Path
from typing import Any


class LateFile(io.RawIOBase):
    """A new file at *path*. Leaving it as a context manager raises the first OSError of the disk, if there was one."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._at = 0
        self._size = 0
        self._error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        """What was not written reads as zeros."""
        wanted = memoryview(buffer).cast("B")
        found = os.preadv(self._handle, [wanted], self._at)
        wanted[found:] = bytes(len(wanted) - found)
        self._at += len(wanted)
        return len(wanted)

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        at, self._at = self._at, self._at + len(left)
        self._size = max(self._size, self._at)
        count = len(left)
        try:
            while len(left) and self._error is None:
                done = os.pwrite(self._handle, left, at)
                left, at = left[done:], at + done
        except OSError as error:
            self._error = error
        return count

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        try:
            os.ftruncate(self._handle, self._size)
        except OSError as error:
            self._error = self._error or error
        return self._size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self._error is not None:
            raise self._error
