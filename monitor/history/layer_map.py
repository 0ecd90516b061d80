"""Where on each layer scores were high: the latest layers of the latest jobs, in memory of a bounded size.

A layer is what frames say of themselves: a job's name and a number. One that is seen again goes on where it stopped.
"""

import threading
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.history import grid
from monitor.history.grid import Box, Cells, Window

LAYERS: Final = 200
"""So many are kept, of all jobs together: 26 MB where frames have positions. The one not seen for the longest goes."""

EARLIER: Final = 50
BENEATH: Final = 10  # layers, of which the same place is told

NO_LAYER: Final = -1
"""The number of frames that name no layer."""


class Frames(NamedTuple):
    """n judged frames of one layer, in their order."""

    seq: npt.NDArray[np.int64]
    ratio: npt.NDArray[np.float32]  # joint scores, finite
    over: npt.NDArray[np.bool_]  # any chart's limit
    xy: npt.NDArray[np.float32]  # (2, n), NaN: none


class Worst(NamedTuple):
    """The frame of the largest joint score."""

    seq: int
    ratio: float
    xy: tuple[float, float] | None


class Summary(NamedTuple):
    """Of a layer or of a job."""

    judged: int = 0
    exceeding: int = 0
    worst: Worst | None = None

    def plus(self, more: "Summary") -> "Summary":
        """With what came after. Of equal scores the first is the worst."""
        worst = self.worst
        if worst is None or (more.worst is not None and more.worst.ratio > worst.ratio):
            worst = more.worst
        return Summary(self.judged + more.judged, self.exceeding + more.exceeding, worst)


def summary_of(frames: Frames) -> Summary:
    row = int(frames.ratio.argmax())
    x, y = frames.xy[:, row].tolist()
    worst = Worst(int(frames.seq[row]), float(frames.ratio[row]), (x, y) if np.isfinite(x + y) else None)
    return Summary(len(frames.seq), int(np.count_nonzero(frames.over)), worst)


class Earlier(NamedTuple):
    """A layer that began before the one that is shown."""

    number: int
    summary: Summary


class Shown(NamedTuple):
    """A layer's map as it is now."""

    jobs: list[str]  # the one seen last at the end
    job: str
    since_ns: int  # monotonic: the job's first frame that is known
    layers: list[int]  # of the job, in the order in which they began
    number: int  # `NO_LAYER`: its frames name none
    window: Window | None  # None: no frame of the job had a position, nor is there any cell
    cells: Cells | None
    summary: Summary
    job_summary: Summary  # of all that was judged of the job, kept layers or not
    earlier: list[Earlier]  # newest first
    same_place: Cells | None  # of the layers beneath together; None: there is none


class _Layer:
    def __init__(self) -> None:
        self.summary = Summary()
        self.cells: Cells | None = None
        self.seen = 0


class _Job:
    """Its layers lie on one lattice, so that the same place is the same cell."""

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self.summary = Summary()
        self.layers: dict[int, _Layer] = {}  # in the order in which they began
        self.window: Window | None = None
        self.box: Box | None = None
        self.whole = True  # every position so far is one of whole numbers: a scan's row and column
        self.seen = 0

    def place(self, layer: _Layer, frames: Frames) -> None:
        xy, ratio = frames.xy, frames.ratio
        has_place = np.isfinite(xy).all(axis=0)
        if not has_place.all():
            if not has_place.any():
                return
            xy, ratio = xy[:, has_place], ratio[has_place]
        self.whole = self.whole and bool((xy == np.rint(xy)).all())
        self.box = grid.around(self.box, xy)
        self._widen(grid.fitted(self.window, self.box))
        assert self.window is not None
        if layer.cells is None:
            layer.cells = grid.no_cells(self.window)
        counting = layer.summary.judged <= grid.COUNT_MAX
        grid.add(layer.cells, self.window.cells(xy), ratio, counting=counting)

    def _widen(self, window: Window) -> None:
        if self.window is not None and window != self.window:
            for layer in self.layers.values():
                if layer.cells is not None:
                    layer.cells = grid.moved(layer.cells, self.window, window)
        self.window = window


class LayerMap:
    """One thread adds, any thread may ask."""

    def __init__(self, layers: int = LAYERS) -> None:
        self._most = layers
        self._jobs: dict[str, _Job] = {}
        self._turn = 0
        self._lock = threading.Lock()

    def add(self, job: str, number: int, frames: Frames, judged_ns: int) -> None:
        """Frames of one layer, at least one; the first was judged at *judged_ns* (monotonic)."""
        more = summary_of(frames)
        with self._lock:
            self._turn += 1
            found = self._jobs.setdefault(job, _Job(judged_ns))
            new = number not in found.layers
            layer = found.layers.setdefault(number, _Layer())
            found.seen = layer.seen = self._turn
            found.summary, layer.summary = found.summary.plus(more), layer.summary.plus(more)
            found.place(layer, frames)
            if new:
                self._forget()

    def show(self, job: str | None = None, number: int | None = None) -> Shown | None:
        """A layer, by default the one seen last of *job*, by default the one seen last; None where there is none."""
        with self._lock:
            jobs = sorted(self._jobs, key=lambda name: self._jobs[name].seen)
            job = jobs[-1] if job is None and jobs else job
            found = self._jobs.get(job) if job is not None else None
            if job is None or found is None:
                return None
            if number is None:
                number = max(found.layers, key=lambda one: found.layers[one].seen)
            layer = found.layers.get(number)
            return None if layer is None else _shown(jobs, job, found, number, layer)

    def _forget(self) -> None:
        kept = [(layer.seen, job, number) for job, one in self._jobs.items() for number, layer in one.layers.items()]
        for _, job, number in sorted(kept)[: max(0, len(kept) - self._most)]:
            del self._jobs[job].layers[number]
            if not self._jobs[job].layers:
                del self._jobs[job]


def _shown(jobs: list[str], name: str, job: _Job, number: int, layer: _Layer) -> Shown:
    order = list(job.layers)
    before = order[: order.index(number)][::-1]
    window, cells, beneath = None, None, None
    if job.window is not None and job.box is not None:
        window = grid.shown(job.window, job.box, whole=job.whole)
        cells = _seen(layer.cells, job.window, window)
        beneath = _together([job.layers[one].cells for one in before[:BENEATH]], job.window, window)
    return Shown(
        jobs=jobs,
        job=name,
        since_ns=job.since_ns,
        layers=[one for one in order if one != NO_LAYER],
        number=number,
        window=window,
        cells=cells,
        summary=layer.summary,
        job_summary=job.summary,
        earlier=[Earlier(one, job.layers[one].summary) for one in before if one != NO_LAYER][:EARLIER],
        same_place=beneath,
    )


def _seen(cells: Cells | None, old: Window, new: Window) -> Cells:
    return grid.no_cells(new) if cells is None else grid.moved(cells, old, new)


def _together(layers: list[Cells | None], old: Window, new: Window) -> Cells | None:
    """The largest score of each cell."""
    some: list[Cells] = [cells for cells in layers if cells is not None]
    if not some:
        return None
    ratio: Any = np.maximum.reduce([cells.ratio for cells in some])
    count: Any = np.add.reduce([cells.judged for cells in some], dtype=np.int64)
    return grid.moved(Cells(ratio, count), old, new)
