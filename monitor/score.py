"""Scores of recorded frames without a daemon, and how well a bundle tells normal from anomalous recordings."""

import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from calibration import memory
from calibration.evaluation import Counts, Estimate, Performance, auroc, count, performance
from calibration.scale import ContextScale
from models.scorer import Scorer
from models.scores import Scores
from monitor.bundle import Bundle, BundleError
from monitor.camera.recordings import Recording, RecordingError
from monitor.recorder.notes import Note
from monitor.recorder.recording import Recorded
from monitor.recorder.remembering import Judged, after

SUFFIXES = (".parquet", ".csv")


def load_scorer(bundle: Bundle, device: str = "cpu") -> Scorer:
    """The scorer of *bundle* on *device*. Raises BundleError where its weights do not fit."""
    held = bundle.manifest
    try:
        return Scorer(bundle.tensors, held.height, held.width, device, held.precision)
    except ValueError as error:
        raise BundleError(f"{bundle.path}: {error}; calibrate anew") from None


def require_fit(bundle: Bundle, recordings: Sequence[Recording]) -> None:
    """Raises RecordingError where frames are not of the bundle's size and type, or of a context it does not know."""
    held = bundle.manifest
    for recording in recordings:
        _, height, width = recording.frames.shape
        found = (height, width, recording.frames.dtype.name)
        if found != (held.height, held.width, held.dtype):
            raise RecordingError(
                f"{recording.name}: frames are {height}x{width} {found[2]}, but the bundle {bundle.path} is for "
                f"{held.height}x{held.width} {held.dtype}; calibrate a bundle for these frames"
            )
        if recording.context and held.contexts is not None and recording.context not in held.contexts:
            raise RecordingError(
                f"{recording.name}: the bundle {bundle.path} does not know the context {recording.context}, only "
                f"{', '.join(filter(None, held.contexts))}; calibrate with frames of it"
            )


def score_table(bundle: Bundle, recordings: Sequence[Recording]) -> pa.Table:
    """One row a frame: group, context, sequence, every chart's score, joint score, source, flags and limits.

    Limits are those of the frames' context; of frames without one, the pooled ones. Raises as `require_fit` does.
    """
    require_fit(bundle, recordings)
    scorer = load_scorer(bundle)
    return pa.concat_tables([table_of(bundle, recording, scorer(recording.frames)) for recording in recordings])


def chart_values(bundle: Bundle, context: str, scores: Scores) -> npt.NDArray[np.float64]:
    """What every chart of *bundle* says of frames with *scores*, in their order: (m, charts).

    A chart that remembers begins with the first of them.
    """
    values = scores.values.astype(np.float64)
    chart = bundle.memory
    if chart is None:
        return values
    shown = np.full(len(values), context.encode())
    return np.column_stack((values, memory.step(chart, {}, scores.latent, scores.t2, shown)[1]))


def values_as_recorded(bundle: Bundle, recorded: Recorded, scores: Scores) -> npt.NDArray[np.float64]:
    """Likewise of frames that the daemon has recorded: a chart that remembers goes on with what it held before them.

    Of frames that were not judged then it says nothing (NaN), and it does not remember them.
    """
    values = scores.values.astype(np.float64)
    chart = bundle.memory
    if chart is None:
        return values
    of_bundle = recorded.attributes["bundle"] == bundle.sha256  # of other latents, what was held means nothing
    notes = recorded.notes if of_bundle else {}
    columns, remembered = recorded.columns, np.empty(len(values))
    frames = Judged(columns["stream"], columns["context"], columns["judged_ns"] > 0, scores.latent, scores.t2)
    note = Note(0, b"", {})
    for lo, hi in pairwise(sorted({0, *notes, len(values)})):
        note, remembered[lo:hi] = after(chart, notes.get(lo, note), frames.part(lo, hi))
    return np.column_stack((values, remembered))


def table_of(bundle: Bundle, recording: Recording, scores: Scores) -> pa.Table:
    """As `score_table`, from the *scores* of all frames of *recording*.

    What the daemon did not judge (the process was off, say) is not judged here either: no joint score (NaN) and no
    source of one (null), no flag.
    """
    charts, count_frames = bundle.manifest.charts, len(recording.frames)
    sequence, contexts = np.arange(count_frames, dtype=np.int64), np.full(count_frames, recording.context.encode())
    judged = np.ones(count_frames, bool)
    if recording.recorded is None:
        values = chart_values(bundle, recording.context, scores)
    else:
        values = values_as_recorded(bundle, recording.recorded, scores)
        sequence, contexts = (recording.recorded.columns[name] for name in ("seq", "context"))
        judged = recording.recorded.columns["judged_ns"] > 0
    joint_scores, source, limits = ContextScale(bundle.context_limits)(values, contexts)
    joint_scores = np.where(judged, joint_scores, np.nan)
    columns: dict[str, object] = {
        "group": pa.array([recording.name] * count_frames),
        "context": pa.array([bytes(context).decode(errors="replace") for context in contexts]),
        "sequence": sequence,
        **{chart: values[:, index] for index, chart in enumerate(charts)},
        "local_row": scores.where[:, 0],
        "local_column": scores.where[:, 1],
        "joint": joint_scores,
        "source": pa.array([charts[index] for index in source], pa.string(), mask=~judged),
        "flag": joint_scores > 1,
    }
    for index, chart in enumerate(charts):
        columns[f"{chart}_limit"] = limits[:, index]
        # What is no number cannot be called normal.
        columns[f"{chart}_flag"] = judged & ~(values[:, index] <= limits[:, index])
    return pa.table(columns)


def write_table(table: pa.Table, out: Path) -> None:
    """Write *table* as Parquet or CSV by the suffix of *out*, whole or not at all. Raises ValueError or OSError."""
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{out}: must end in {' or '.join(SUFFIXES)}")
    handle, scratch = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    os.close(handle)
    try:
        if out.suffix.lower() == ".parquet":
            pyarrow.parquet.write_table(table, scratch)
        else:
            pyarrow.csv.write_csv(table, scratch)
        os.chmod(scratch, 0o644)
        os.replace(scratch, out)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


class Evaluation:
    """What `framewatch evaluate` tells: counts, rates with intervals, and the area under each chart's ROC curve."""

    def __init__(self, counts: Counts, areas: dict[str, Estimate]) -> None:
        self.counts = counts
        self.performance: Performance = performance(counts)
        self.areas = areas


def evaluate(bundle: Bundle, normal: Sequence[Recording], anomalous: Sequence[Recording]) -> Evaluation:
    """Compare *bundle*'s judgement of frames with what they are. Raises RecordingError where they do not fit."""
    tables = _judged(score_table(bundle, normal)), _judged(score_table(bundle, anomalous))
    flags = [table["flag"].to_numpy() for table in tables]
    truth = np.concatenate([np.zeros(len(flags[0]), bool), np.ones(len(flags[1]), bool)])
    names = {chart: chart for chart in bundle.manifest.charts} | {"combined": "joint"}
    areas = {name: auroc(*(_ranked(table[column]) for table in tables)) for name, column in names.items()}
    return Evaluation(count(truth, np.concatenate(flags)), areas)


def _judged(table: pa.Table) -> pa.Table:
    """*table* without the frames that were not judged."""
    return table.filter(pa.array(~np.isnan(table["joint"].to_numpy())))


def _ranked(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Scores with infinity for what is no number, as the joint score has it."""
    scores = column.to_numpy().astype(np.float64)
    return np.where(np.isnan(scores), np.inf, scores)
