"""One frame out of a recording of the flight recorder, whatever the length of that: no other frame is read."""

import math
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import numpy as np

from monitor.recorder.recording import FORMAT, VERSION
from monitor.types import Pixels, PixelType
from monitor.viewer.picking import best_first
from monitor.viewer.speech import Kept, UnreadableError, Wanted

FRAME_MOST: Final = 2**30
"""Bytes: what a damaged file says to be larger is not believed."""


class RecordedFrame(NamedTuple):
    """A frame as it came from the camera, with what is known of it."""

    facts: Kept  # with all scores that were given to it
    pixels: Pixels  # (h, w)
    was_judged: bool
    bundle: str  # sha256 of what judged it


def one_of(path: Path, wanted: Wanted, t_ns: int) -> RecordedFrame | None:
    """The frame of the recording at *path* that is *wanted*, or of its event the best one there; None where none is.

    *t_ns*: what is told as the time of the frame. Raises UnreadableError.
    """
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") != FORMAT or file.attrs["version"] > VERSION:
                raise UnreadableError(f"{path.name} cannot be read: its format is not known to this version")
            index = _place(file, wanted)
            return None if index is None else _frame(file, index, t_ns)
    except FileNotFoundError:
        raise UnreadableError(f"{path.name} is gone") from None
    except UnreadableError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError):
        raise UnreadableError(f"{path.name} cannot be read: it is damaged") from None


def _place(file: Any, wanted: Wanted) -> int | None:
    """The index of the frame."""
    seq = file["seq"][()]
    near = np.flatnonzero(((seq >= wanted.first_seq) & (seq <= wanted.last_seq)) | (seq == wanted.seq))
    if len(near) == 0:
        return None
    first, end = int(near[0]), int(near[-1]) + 1
    fault, joint = file["fault"][first:end], file["scores/joint"][first:end]
    among = np.flatnonzero(file["stream"][first:end] == wanted.stream.encode())
    order = best_first(wanted, seq[first:end][among], fault[among], joint[among])
    return first + int(among[order[0]]) if len(order) else None


def _frame(file: Any, index: int, t_ns: int) -> RecordedFrame:
    frames = file["frames"]
    is_known = frames.ndim == 3 and frames.dtype.name in get_args(PixelType)
    if not is_known or math.prod(frames.shape[1:]) * frames.dtype.itemsize > FRAME_MOST:
        raise ValueError(f"no frames: {frames}")
    known = {name: file[name][index] for name in ("seq", "layer", "xy", "judged_ns")}
    stream, job, context = (bytes(file[name][index]).decode() for name in ("stream", "job", "context"))
    x, y = known["xy"].tolist()
    was_judged = int(known["judged_ns"]) > 0
    charts = (chart for chart in file["scores"] if chart != "joint")
    facts = Kept(
        stream=stream,
        seq=int(known["seq"]),
        t_ns=t_ns,
        layer=None if known["layer"] < 0 else int(known["layer"]),
        job=job,
        context=context,
        xy=(x, y) if np.isfinite((x, y)).all() else None,
        scores={chart: float(file["scores"][chart][index]) for chart in charts} if was_judged else {},
    )
    return RecordedFrame(facts, frames[index], was_judged, str(file.attrs["bundle"]))
