"""The archive: scores and latents of all frames, without their pixels, as one Parquet file a job.

A Parquet file can be read only once it is finished. So rows go into an Arrow stream, piece by piece, of which a killed
process leaves all but the piece that it was writing; when the job is over the stream becomes a Parquet file
(`archive_stream`), at once or at the next start.
"""

import io
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitor.recorder.archive_stream import ROWS, DamagedError, to_parquet
from monitor.recorder.config import Recorder
from monitor.recorder.recording import About
from monitor.recorder.shelf import sync
from monitor.recorder.take import Records
from monitor.ring import Ring
from monitor.shared import Arrays

FOLDER: Final = "archive"
SUFFIX: Final = ".parquet"
STREAM: Final = ".arrows.part"
DAMAGED: Final = ".arrows.damaged"
"""A stream of which not all could be read: kept beside the file of what could, within the same budget."""

GROUP_NS: Final = 2_000_000_000
"""So many rows (`ROWS`), or what has come in so long, are a group, which is written in one go. After a kill the ring,
four seconds long unless set otherwise, is to have most of it still."""

WAITING_MOST: Final = 32
"""Groups that wait for the disk, or until a Parquet file of ten million rows is made; of what comes while there is no
more room nothing is archived."""

LOOK_S: Final = 1.0
TRY_NS: Final = 60_000_000_000
"""A stream that the disk refuses to make a file of is tried again after so long: it may be large."""

_log = logging.getLogger("monitor.recorder")


class Group(NamedTuple):
    """Frames in their order: what lies beside them in the ring."""

    records: Records
    latents: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int64]  # in the ring

    def part(self, lo: int, hi: int) -> "Group":
        """Of frames *lo* to *hi*."""
        return Group(self.records[lo:hi], self.latents[lo:hi], self.positions[lo:hi])


class Archive:
    """`turn` is of the thread that follows the ring; `run` of the one that writes."""

    def __init__(
        self,
        ring: Ring,
        settings: Recorder,
        place: Path,
        about: About,
        board: Arrays,
        wall_clock: Callable[[], int],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Makes its folder inside *place*. Raises OSError."""
        self._ring, self._board = ring, board
        self._position = _first_position(board, ring.oldest_intact())
        self._waiting: list[Group] = []
        self._rows = 0
        self._since_ns = 0
        self.groups: queue.Queue[Group | None] = queue.Queue(WAITING_MOST)
        self.files = Files(settings, place / FOLDER, about, board, wall_clock, clock)
        self._thread: threading.Thread | None = None

    def start(self, guarded: Callable[[Callable[[], None]], None]) -> None:
        """Write in a thread, whose body is called by *guarded*."""
        self._thread = threading.Thread(target=guarded, args=(self.run,), name="archive", daemon=True)
        self._thread.start()

    def turn(self, settled: int, now_ns: int, *, last: bool = False) -> None:
        """Copy what lies beside the frames up to position *settled*; hand on what makes a group, *last* all."""
        if not self._rows:
            self._since_ns = now_ns
        while self._position < settled:
            oldest = self._ring.oldest_intact()
            if self._position < oldest:
                self._board["archive_missing"][0] += oldest - self._position
                self._position = oldest
                continue
            self._copy(self._position, self._ring.until_wrap(self._position, settled))
        if self._rows and (last or self._rows >= ROWS or now_ns - self._since_ns >= GROUP_NS):
            self._hand_on()

    def close(self, patience_s: float) -> None:
        """Finish what was handed on, within so long: what is left is finished at the next start."""
        with suppress(queue.Full):
            self.groups.put(None, timeout=patience_s)
            if self._thread is not None:
                self._thread.join(patience_s)

    def run(self) -> None:
        """Write until `close`."""
        self.files.recover()
        while True:
            try:
                group = self.groups.get(timeout=LOOK_S)
            except queue.Empty:
                self.files.look()
                continue
            if group is None:
                break
            self.files.add(group)
        self.files.finish()

    def _copy(self, lo: int, hi: int) -> None:
        records, latents = self._ring.records(lo, hi).copy(), self._ring.latents(lo, hi).copy()
        torn = min(max(self._ring.oldest_intact() - lo, 0), hi - lo)
        self._board["archive_missing"][0] += torn
        self._position = hi
        if torn < hi - lo:
            self._waiting.append(Group(records[torn:], latents[torn:], np.arange(lo + torn, hi)))
            self._rows += hi - lo - torn

    def _hand_on(self) -> None:
        group = Group(*map(np.concatenate, zip(*self._waiting, strict=True)))
        self._waiting, self._rows = [], 0
        try:
            self.groups.put_nowait(group)
        except queue.Full:
            self._board["archive_missing"][0] += len(group.records)


class _Whole(io.FileIO):
    """A file that takes all it is given or raises OSError: of a nearly full disk Arrow does not notice what it left."""

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        count = len(left)
        while len(left):
            left = left[super().write(left) :]
        return count


class _Open(NamedTuple):
    """A stream that is being written."""

    job: bytes
    path: Path
    file: Any
    writer: Any
    began_ns: int
    rows: int


class Files:
    """The files of the archive. Used by one thread; a disk that refuses costs rows, and one line."""

    def __init__(
        self,
        settings: Recorder,
        folder: Path,
        about: About,
        board: Arrays,
        wall_clock: Callable[[], int],
        clock: Callable[[], int],
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._settings, self._folder, self._about, self._board = settings, folder, about, board
        self._budget = round(settings.archive_mib * 2**20)
        self._wall_clock, self._clock = wall_clock, clock
        self._open: _Open | None = None
        self._refused = False
        self._left: set[Path] = set()  # streams that the disk refused to make files of
        self._next_try_ns = 0

    def recover(self) -> None:
        """Finish what an earlier process has left."""
        for path in self._folder.glob(f".*{SUFFIX}.part"):
            path.unlink(missing_ok=True)
        for path in sorted(self._folder.glob(f".*{STREAM}")):
            self._to_parquet(path)
        self._count()

    def add(self, group: Group) -> None:
        """Write *group*, cut where the job changes."""
        jobs = group.records["job"]
        edges = [0, *(np.flatnonzero(jobs[1:] != jobs[:-1]) + 1).tolist(), len(jobs)]
        for lo, hi in pairwise(edges):
            part = group.part(lo, hi)
            try:
                self._write(bytes(jobs[lo]), part)
                self._refused = bool(self._left)
            except OSError as error:
                self._board["archive_missing"][0] += hi - lo
                self._refuse(error)
            self._board["archive_cursor"][0] = part.positions[-1] + 1
        self.look()

    def look(self) -> None:
        """Finish a file that is old or long enough, and what could not be finished when it was."""
        if self._left and self._clock() >= self._next_try_ns:
            for path in sorted(self._left):
                self._to_parquet(path)
            self._count()
        if self._open is None:
            return
        age_s = (self._clock() - self._open.began_ns) / 1e9
        if self._open.rows >= self._settings.archive_rows or age_s >= self._settings.archive_s:
            self.finish()

    def drop(self) -> None:
        """Leave the file that is open as it is, as a kill would."""
        if self._open is not None:
            self._open.file.close()
            self._open = None

    def finish(self) -> None:
        """Finish the file that is open."""
        if self._open is None:
            return
        done, self._open = self._open, None
        try:
            done.file.close()
        except OSError as error:
            self._refuse(error)
        self._to_parquet(done.path)
        self._count()

    def _write(self, job: bytes, part: Group) -> None:
        if self._open is not None and self._open.job != job:
            self.finish()
        table = table_of(part, self._about)
        if self._open is None:
            path = self._folder / f".{self._name(job)}{STREAM}"
            file = _Whole(path, "wb")
            self._open = _Open(job, path, file, pa.ipc.new_stream(file, table.schema), self._clock(), 0)
        whole = self._open.file.tell()
        try:
            for batch in table.to_batches():
                self._open.writer.write_batch(batch)
        except OSError:
            self._break_off(self._open, whole)
            raise
        self._open = self._open._replace(rows=self._open.rows + table.num_rows)
        self._board["archived"][0] += table.num_rows

    def _break_off(self, held: _Open, whole: int) -> None:
        """The disk refused what follows the first *whole* bytes of the stream: the next group begins another."""
        self._open = None
        with suppress(OSError):
            held.file.truncate(whole)
        with suppress(OSError):
            held.file.close()
        if held.rows:
            self._left.add(held.path)
        else:
            held.path.unlink(missing_ok=True)

    def _name(self, job: bytes) -> str:
        t_ns = self._wall_clock()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(t_ns // 1_000_000_000))
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", job.decode(errors="replace")).strip(".-")[:40] or "no-job"
        return f"{stamp}.{t_ns // 1_000_000 % 1000:03d}Z_{slug}"

    def _to_parquet(self, stream: Path) -> None:
        """A Parquet file of what can be read of *stream*, which then goes; it stays where the disk refuses, for `look`.

        A stream that is damaged is set aside, so that the next start does not take it up again.
        """
        self._left.discard(stream)
        name = stream.name[1:].removesuffix(STREAM)
        path = self._folder / (name + SUFFIX)
        scratch = path.with_name(f".{path.name}.part")
        try:
            try:
                self._keep(to_parquet(stream, scratch), scratch, path)
                stream.unlink(missing_ok=True)
            except DamagedError as error:
                self._keep(error.rows, scratch, path)
                stream.rename(self._folder / (name + DAMAGED))
                kept = f"{name}{DAMAGED}, its first {error.rows} rows are in {path.name}"
                _log.error("%s is damaged (%s) and kept as %s", stream.name, error, kept)
        except _TooLargeError as error:
            stream.unlink(missing_ok=True)
            _log.error("%s is not kept: %s (recorder.archive_mib)", path.name, error)
        except OSError as error:
            self._refuse(error)
            self._left.add(stream)
            self._next_try_ns = self._clock() + TRY_NS
        finally:
            scratch.unlink(missing_ok=True)

    def _keep(self, rows: int, scratch: Path, path: Path) -> None:
        if rows:
            self._make_room(scratch.stat().st_size)
            sync(scratch)
            scratch.replace(path)
            sync(self._folder)

    def _make_room(self, nbytes: int) -> None:
        files = [(one, one.stat().st_size) for one in self._held()]
        if nbytes > self._budget:
            raise _TooLargeError(f"{nbytes / 2**20:.1f} MiB are more than the budget of {self._budget / 2**20:.1f} MiB")
        over = sum(size for _, size in files) + nbytes - self._budget
        for path, size in files:
            if over <= 0:
                break
            path.unlink(missing_ok=True)
            over -= size

    def _held(self) -> list[Path]:
        """All that the budget is for, the oldest first."""
        return sorted(one for ending in (SUFFIX, DAMAGED) for one in self._folder.glob(f"[!.]*{ending}"))

    def _count(self) -> None:
        sizes = [one.stat().st_size for one in self._held()]
        self._board["archive_files"][0], self._board["archive_bytes"][0] = len(sizes), sum(sizes)

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            _log.error("the archive cannot be written: %s", error.strerror or error)
        self._refused = True


class _TooLargeError(ValueError):
    """A file that its budget does not hold."""


def _first_position(board: Arrays, oldest: int) -> int:
    """Where to go on in the ring: after the rows that an earlier process wrote, as far as the ring has the rest.

    What lies before and is not archived is missing, whichever process lost it.
    """
    position = max(int(board["archive_cursor"][0]), oldest)
    missing = position - int(board["archived"][0])
    board["archive_missing"][0] = max(int(board["archive_missing"][0]), missing)  # a counter never goes back
    board["archive_cursor"][0] = position
    return position


def table_of(part: Group, about: About) -> pa.Table:
    """One row a frame: its number, time, place and context, what every chart said, and its latents.

    `<chart>_ratio` is the score over the limit in the frame's context. Null where a frame was not judged.
    """
    records, judged = part.records, part.records["judged_ns"] > 0
    texts = {name: _text(records[name]) for name in ("stream", "job", "context")}
    columns: dict[str, Any] = {
        "seq": records["seq"],
        "t_ns": records["t_ns"],
        **texts,
        "layer": pa.array(records["layer"], mask=records["layer"] < 0),
        **{name: pa.array(records["xy"][:, axis], from_pandas=True) for axis, name in enumerate(("x", "y"))},
        "active": records["active"] > 0,
        "unjudged": records["unjudged"],
        "fault": records["fault"],
    }
    names, which = np.unique(records["context"], return_inverse=True)
    limits = [about.limits.of(bytes(name).decode(errors="replace")) for name in names]
    for index, chart in enumerate(about.charts):
        values = np.array([of_context[index].value for of_context in limits])[which]
        columns[chart] = pa.array(records[chart], mask=~judged)
        columns[f"{chart}_ratio"] = pa.array((records[chart] / values).astype(np.float32), mask=~judged)
    columns["joint"] = pa.array(records["joint"], mask=~judged)
    for axis, name in enumerate(("where_row", "where_column")):
        columns[name] = pa.array(records["where"][:, axis], mask=~judged)
    if (width := part.latents.shape[1]) > 0:
        flat = pa.array(part.latents.ravel())
        columns["latents"] = pa.FixedSizeListArray.from_arrays(flat, width, mask=pa.array(~judged))
    about_it = {"camera": about.camera, "bundle": about.bundle}
    return pa.table(columns).replace_schema_metadata(about_it)


def _text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    """The same texts. Arrow repeats them, not Python: the thread that follows the ring is not to wait for it."""
    names, which = np.unique(values, return_inverse=True)
    texts = [bytes(name).decode(errors="replace") for name in names]
    return pa.array(texts, pa.string()).take(pa.array(which))
