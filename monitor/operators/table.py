"""Revisions as a file for other programs: CSV or JSON, written page by page, whole or not at all."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from monitor.journal.reading import Records, Told

PAGE: Final = 1000  # revisions read at a time

COLUMNS: Final = (
    "id", "rev", "what", "t_ns", "by", "reason", "state", "acked", "verdict", "shelved", "suppressed", "suppressed_why",
    "out_of_service", "latched", "group", "priority", "source", "first_seq", "last_seq", "first_t_ns", "raised_t_ns",
    "frames_over", "peak_seq", "peak_score", "peak_limit", "peak_ratio", "job", "layer", "context", "why",
)  # fmt: skip


def pages(journal: Records, since_t_ns: int) -> Iterator[list[Told]]:
    """Every revision since a moment (Unix), in the order of their writing."""
    row = 0
    while page := journal.changes_after(row, PAGE, since_t_ns):
        row = page[-1].row
        yield page


def write(path: Path, told: Iterable[Sequence[Told]]) -> int:
    """Write all that was *told* to *path*, as JSON or CSV after its name: how many revisions. Raises OSError.

    An interrupted export leaves nothing, and what lay there before as it was.
    """
    with _beside(path) as file:
        return _as_json(file, told) if path.suffix == ".json" else _as_csv(file, told)


@contextmanager
def _beside(path: Path) -> Iterator[IO[str]]:
    """A file that takes the place of *path* where all goes well."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _as_json(file: IO[str], told: Iterable[Sequence[Told]]) -> int:
    count, before = 0, "[\n"
    for page in told:
        for one in page:
            file.write(before + msgspec.json.encode(one._asdict()).decode())
            count, before = count + 1, ",\n"
    file.write("[]\n" if count == 0 else "\n]\n")
    return count


def _as_csv(file: IO[str], told: Iterable[Sequence[Told]]) -> int:
    """With a line of headings. Nothing in it is a formula to a spreadsheet."""
    count, writer = 0, csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for page in told:
        writer.writerows({name: _harmless(value) for name, value in _row_of(one).items()} for one in page)
        count += len(page)
    return count


def _row_of(told: Told) -> dict[str, Any]:
    alarm = msgspec.to_builtins(told.alarm)
    peak = alarm.pop("peak") or {}
    known = {**alarm, **{f"peak_{name}": value for name, value in peak.items()}}
    known |= {"what": told.what, "t_ns": told.t_ns, "by": told.by, "reason": told.reason}
    return {column: known.get(column) for column in COLUMNS}


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
