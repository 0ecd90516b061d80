"""SQLite files in WAL mode opened by who only reads: nothing is made beside them, which their writer might not own."""

import sqlite3
from pathlib import Path
from typing import Final

BESIDE_A_WRITER: Final = "mode=ro&readonly_shm=1"
NOBODY_WRITES: Final = "mode=ro&immutable=1"
"""SQLite does not look whether the file changes: whoever opens it so has to."""


def how_to_open(path: Path) -> str:
    """Parameters of the URI by which the file at *path* is opened.

    SQLite reads beside a writer by two files of that writer, and would make them where they are missing. Where no
    process has left them, all that was committed is in the file itself, and nobody writes it. Raises
    sqlite3.OperationalError where what was committed cannot be read without making one of them.
    """
    written, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if written.exists() and shared.exists():
        return BESIDE_A_WRITER
    if written.exists() and written.stat().st_size:
        raise sqlite3.OperationalError(f"{shared.name} is missing; start the daemon once, which makes it anew")
    return NOBODY_WRITES


def uri(path: Path, how: str) -> str:
    """The address of the file at *path*, opened so."""
    return f"{path.absolute().as_uri()}?{how}"
