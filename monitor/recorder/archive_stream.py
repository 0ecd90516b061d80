"""From the archive's Arrow stream to a Parquet file: all of it that can be read, whatever has become of the rest."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet

ROWS: Final = 65_536
BROKEN: Final = (pa.ArrowException, ValueError, TypeError, LookupError, EOFError, MemoryError)
"""What pyarrow raises of bytes that make no sense: lengths, types, names and metadata may all be anything."""


class DamagedError(ValueError):
    """Not all of a stream could be read, and not since its end is missing. Its first *rows* rows are in the file."""

    def __init__(self, why: str, rows: int) -> None:
        super().__init__(why)
        self.rows = rows


def to_parquet(stream: Path, path: Path) -> int:
    """Write all whole pieces of *stream* to *path*; how many rows there were, and no file where there were none.

    The last piece of a stream whose writer was killed is half there, and is left out. Raises OSError where the disk
    refuses, and DamagedError where something follows that cannot be read. Some pieces are handled at a time, by native
    code: neither memory nor other threads of this process have to take the whole at once.
    """
    written, why = _Rows(path), ""
    with pa.OSFile(str(stream)) as file:
        try:
            with written:
                for batch in _pieces(file):
                    batch.validate(full=True)  # else native code would follow lengths that are nonsense
                    written.add(batch)
        except BROKEN as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
        size, read = file.size(), file.tell()
    if why or read < size:
        raise DamagedError(why or f"nothing follows after {read} of {size} bytes", written.rows)
    return written.rows


class _Rows:
    """A Parquet file at *path*, in row groups of about ROWS; none without rows. Closed as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0
        self._writer: Any = None
        self._held: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(
                self._path, batch.schema, compression="zstd", compression_level=1
            )
        self._held.append(batch)
        if sum(one.num_rows for one in self._held) >= ROWS:
            self._write()

    def _write(self) -> None:
        held, self._held = self._held, []
        if held:
            table = pa.Table.from_batches(held)
            self._writer.write_table(table)
            self.rows += table.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._writer is not None:
            with closing(self._writer):
                self._write()


def _pieces(file: Any) -> Iterator[pa.RecordBatch]:
    """The whole pieces of a stream, until one is cut or makes no sense: how far *file* was read tells which."""
    try:
        yield from pa.ipc.open_stream(file)
    except (pa.ArrowInvalid, EOFError):
        return
    except OSError as error:
        if error.errno is not None:  # the disk; what is half a message has no number
            raise
