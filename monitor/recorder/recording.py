"""One recording as an HDF5 file: what stands in it, with units, is in docs/recorder.md.

Frames are compressed by Bitshuffle with LZ4, which writes twice as fast as what packs them a quarter smaller
(`tests/benchmarks/recording_codecs.py`): the cores belong to the frames that are judged meanwhile.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.limits import ContextLimits
from monitor import __version__
from monitor.recorder.late_file import LateFile
from monitor.recorder.notes import Note
from monitor.recorder.take import Episode, Records, Take, frames_a_block, gaps
from monitor.ring import RECORD
from monitor.types import TEXT_BYTES, Pixels

FORMAT: Final = "framewatch recording"
VERSION: Final = 1
CACHE_BYTES: Final = 1 << 24

COLUMNS: Final[Mapping[str, str]] = {
    "stream": "as the camera names it",
    "job": "as the camera names it",
    "context": "what the frame shows",
    "seq": "the camera's count",
    "t_ns": "exposure, Unix nanoseconds on the sender's clock",
    "received_ns": "nanoseconds of this machine's monotonic clock",
    "judged_ns": "the same clock, when its scores were written; 0: it was not judged",
    "layer": "-1: none was given",
    "xy": "place as the camera gives it; NaN: none was given",
    "active": "1: the process is on",
    "unjudged": "why it was not judged, 0: it was to be",
    "fault": "code of the camera's fault, 0: none",
    "where": "row and column of the peak of the chart local, -1: not judged",
}
"""Datasets beside the frames, and what they say."""

TEXTS: Final = frozenset({"stream", "job", "context"})

EVENT: Final = np.dtype(
    [
        ("epoch", "S32"), ("event", "<i8"), ("source", "S32"), ("began_t_ns", "<i8"), ("stream", f"S{TEXT_BYTES}"),
        ("first_seq", "<i8"), ("last_seq", "<i8"), ("frames_over", "<i8"), ("peak_seq", "<i8"), ("score", "<f8"),
        ("limit", "<f8"), ("ratio", "<f8"), ("kind_id", "<i8"), ("kind", f"S{TEXT_BYTES}"), ("why", "S256"),
        ("ended", "u1"),
    ]
)  # fmt: skip
GAP: Final = np.dtype(
    [("stream", f"S{TEXT_BYTES}"), ("first_seq", "<i8"), ("last_seq", "<i8"), ("before", "<i8"), ("why", "S16")]
)


class About(NamedTuple):
    """What all recordings of a daemon have in common."""

    camera: str
    bundle: str  # sha256
    settings: str | None  # of the camera, as the bundle has them
    charts: tuple[str, ...]
    limits: ContextLimits
    rate_hz: float


class PeakShown(NamedTuple):
    """What the network makes of the peak frame, as it sees it: (H, W) each."""

    residual: npt.NDArray[np.float32]  # in units of residual_scale
    drawn: npt.NDArray[np.float32]  # in the unit of the pixels


class Beside(NamedTuple):
    """What lies beside all n frames of a take, in their order."""

    positions: npt.NDArray[np.int64]
    records: Records
    latents: npt.NDArray[np.float32]


def beside(take: Take) -> Beside:
    """Of all its stretches together."""
    found = [one.beside() for one in take.stretches]
    return Beside(*map(np.concatenate, zip(*found, strict=True)))


def peak_of(take: Take, positions: npt.NDArray[np.int64]) -> tuple[Episode, int] | None:
    """The event that went furthest over its limit, and the index of its peak frame; None where that is not here."""
    known = [one for one in take.episodes.values() if one.peak >= 0 and one.record.peak is not None]
    for one in sorted(known, key=lambda one: one.record.peak.ratio if one.record.peak else 0.0, reverse=True):
        found = np.flatnonzero(positions == one.peak)
        if len(found):
            return one, int(found[0])
    return None


def write(path: Path, take: Take, about: About, peak: PeakShown | None, t_ns: int) -> None:
    """Write *take* to a new file, at *t_ns* (Unix). Raises OSError."""
    import h5py
    import hdf5plugin

    held = beside(take)
    with LateFile(path) as disk, h5py.File(disk, "w", rdcc_nbytes=CACHE_BYTES) as file:
        _write_frames(file, take, len(held.positions), dict(hdf5plugin.Bitshuffle(cname="lz4")))
        packed = dict(hdf5plugin.Zstd(clevel=1))
        for name, what in COLUMNS.items():
            _dataset(file, name, held.records[name], what, packed)
        _write_scores(file, held, about, packed)
        found = gaps(held.positions, held.records, take.missing())
        file.create_dataset("gaps", data=_table(GAP, found))
        file.create_dataset("events", data=_events(take))
        _write_notes(file, take)
        main = _write_peak(file, take, held, peak)
        file.attrs.update(_attributes(take, main, held, about, t_ns, len(found)))


def _write_frames(file: Any, take: Take, count: int, packed: Mapping[str, Any]) -> None:
    shape = take.head.shape
    each = min(frames_a_block(take.head.frame_bytes), max(count, 1))
    frames = file.create_dataset("frames", (count, *shape), take.head.dtype, chunks=(each, *shape), **packed)
    frames.attrs["what"] = "pixels as they came from the camera"
    first = 0
    for stretch in take.stretches:
        for block in stretch.blocks():
            frames[first : first + len(block)] = block
            first += len(block)


def _write_scores(file: Any, held: Beside, about: About, packed: Mapping[str, Any]) -> None:
    """What was judged, as it was, and the limits that held for each frame's context."""
    judged = held.records["judged_ns"] > 0
    names, which = np.unique(held.records["context"], return_inverse=True)
    by_context = [about.limits.of(bytes(name).decode(errors="replace")) for name in names]
    for index, chart in enumerate(about.charts):
        _dataset(file, f"scores/{chart}", np.where(judged, held.records[chart], np.nan), "NaN: not judged", packed)
        values = np.array([limits[index].value for limits in by_context], np.float64)
        _dataset(file, f"limits/{chart}", values[which], "upper limit in the frame's context", packed)
    joint = np.where(judged, held.records["joint"], np.nan)
    _dataset(file, "scores/joint", joint, "rarity of the most extreme chart; above 1 it is over its limit", packed)
    _dataset(file, "limits/joint", np.ones(len(judged)), "", packed)
    latents = np.where(judged[:, None], held.latents, np.float32(np.nan))
    _dataset(file, "latents", latents, "whitened; NaN: not judged", packed)


def _dataset(file: Any, name: str, values: npt.NDArray[Any], what: str, packed: Mapping[str, Any]) -> None:
    import h5py

    kept = values.astype(h5py.string_dtype("utf-8", TEXT_BYTES)) if values.dtype.kind == "S" else values
    made = file.create_dataset(name, data=kept, **({"chunks": True, **packed} if values.size else {}))
    if what:
        made.attrs["what"] = what


def _events(take: Take) -> npt.NDArray[np.void]:
    rows = []
    for (epoch, event), episode in take.episodes.items():
        record, peak, kind = episode.record, episode.record.peak, episode.record.kind
        numbers = (-1, np.nan, np.nan, np.nan) if peak is None else (peak.seq, peak.score, peak.limit, peak.ratio)
        rows.append(
            (
                *(epoch, event, record.source, episode.began_t_ns, record.stream, record.first_seq, record.last_seq),
                *(record.frames_over, *numbers, *((0, "") if kind is None else (kind.id, kind.name))),
                *(record.why, episode.ended),
            )
        )
    return _table(EVENT, rows)


def _table(dtype: "np.dtype[np.void]", rows: list[Any]) -> npt.NDArray[np.void]:
    table = np.zeros(len(rows), dtype)
    for index, row in enumerate(rows):
        table[index] = tuple(value.encode() if isinstance(value, str) else value for value in row)
    return table


def _write_notes(file: Any, take: Take) -> None:
    """What the chart that remembers held before the first frame of each stretch, by context."""
    first = 0
    for number, stretch in enumerate(take.stretches):
        if stretch.note is not None and stretch.frames and not stretch.cut:
            group = file.create_group(f"memory/{number}")
            group.attrs.update({"before": first, "stream": stretch.note.stream.decode()})
            for context, state in stretch.note.remembered.items():
                made = group.create_dataset(f"{len(group)}", data=state.memory)
                made.attrs.update({"context": context.decode(), "taken": state.taken})
        first += stretch.frames


def _write_peak(file: Any, take: Take, held: Beside, peak: PeakShown | None) -> Episode:
    main = peak_of(take, held.positions)
    if main is None:
        return next(iter(take.episodes.values()))
    group = file.create_group("peak")
    group.attrs["index"] = main[1]
    if peak is not None:
        for name, values in peak._asdict().items():
            group.create_dataset(name, data=values)
    return main[0]


def _attributes(take: Take, main: Episode, held: Beside, about: About, t_ns: int, holes: int) -> dict[str, Any]:
    record, seq = main.record, held.records["seq"]
    return {
        "format": FORMAT,
        "version": VERSION,
        "framewatch": __version__,
        "camera": about.camera,
        "bundle": about.bundle,
        "settings": about.settings or "",
        "rate_hz": about.rate_hz,
        "written_t_ns": t_ns,
        "epoch": record.epoch,
        "event": record.event,
        "events": len(take.episodes),
        "source": record.source,
        "why": record.why,
        "stream": record.stream,
        "job": record.job,
        "layer": -1 if record.layer is None else record.layer,
        "first_seq": int(seq[0]),
        "last_seq": int(seq[-1]),
        "frames": len(seq),
        "gaps": holes,
    }


class Recorded(NamedTuple):
    """A recording as it was read: n frames, what lies beside them, and what the chart that remembers held."""

    attributes: Mapping[str, Any]
    frames: Pixels
    columns: Mapping[str, npt.NDArray[Any]]  # of COLUMNS
    scores: Mapping[str, npt.NDArray[np.float32]]  # by chart, and `joint`
    latents: npt.NDArray[np.float32]
    notes: Mapping[int, Note]  # by the index of the frame before which they hold


def is_recording(path: Path) -> bool:
    """Whether the file at *path* is one of ours."""
    return attributes_of(path).get("format") == FORMAT


def attributes_of(path: Path) -> dict[str, Any]:
    """What an HDF5 file says of itself; nothing where it is damaged, or none at all."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return {name: _plain(value) for name, value in file.attrs.items()}
    except (OSError, KeyError, ValueError, RuntimeError):
        return {}


def read(path: Path) -> Recorded:
    """Raises OSError, KeyError or ValueError where the file is damaged, newer, or no recording."""
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    with h5py.File(path, "r", locking=False) as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        if attributes.get("format") != FORMAT or attributes["version"] > VERSION:
            raise ValueError(f"format {attributes.get('format')!r} {attributes.get('version')}; update framewatch")
        return Recorded(
            attributes,
            file["frames"][()],
            {name: file[name][()].astype(RECORD[name].base) for name in COLUMNS},
            {name: values[()] for name, values in file["scores"].items()},
            file["latents"][()],
            dict(_note(group) for group in file.get("memory", {}).values()),
        )


def tables(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The events and the gaps of a recording. Raises as `read` does."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        return {name: [_row(one) for one in file[name][()]] for name in ("events", "gaps")}


def _row(row: Any) -> dict[str, Any]:
    found = {name: _plain(row[name]) for name in row.dtype.names}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in found.items()}


def _note(group: Any) -> tuple[int, Note]:
    from calibration.mewma import MewmaState

    held = {one.attrs["context"].encode(): MewmaState(one[()], int(one.attrs["taken"])) for one in group.values()}
    first = int(group.attrs["before"])
    return first, Note(first, group.attrs["stream"].encode(), held)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if isinstance(value, np.generic) else value
