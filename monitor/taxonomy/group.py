"""Grouping: samples become points by bundle and embedding, points become kinds, and kinds those that were known.

A process of its own, `python -m monitor.taxonomy.group`, told what to do on its standard input. It reads at leisure and
writes in one transaction, in which it matches what it found with the kinds as they are at that moment: a name that was
given while it computed is kept.
"""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from models.taxonomy import identity
from models.taxonomy.cut import Candidate, Cut, CutSettings, find_kinds
from models.taxonomy.identity import Change, Kind, Kinds
from models.taxonomy.naming import Extent, Namer, extent
from models.taxonomy.tree import POINTS_MAX
from monitor.bundle import BundleError
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.embedding import EmbeddingError
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.points import Means, means_of
from monitor.taxonomy.records import ChangeRow, Counts, KindRow, Run, Sample
from monitor.taxonomy.store import WAIT_S, Store, StoreError, page_of
from monitor.taxonomy.telling import Told, write_page

AT_ONCE: Final = 32  # frames that go through the network together
NICE: Final = 19
ALIVE_S: Final = 1.0

Points = npt.NDArray[np.float32]


class Embedded(NamedTuple):
    """Samples as points (n, d), in the order of their ids."""

    samples: list[Sample]
    points: Points
    left_out: int  # samples that do not fit the bundle

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return np.array([one.id for one in self.samples], np.int64)


def group(task: Task, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], int] = time.time_ns) -> Run:
    """Group the samples of *task*'s file, and write kinds and run.

    Raises StoreError, BundleError, EmbeddingError, and sqlite3.Error where the disk refuses; OSError where kinds and
    run are written, and their page cannot be.
    """
    began_s = clock()
    means = means_of(task)
    store = Store(Path(task.store), task.camera, wait_s=WAIT_S)
    try:
        ever = store.counts()
        events = embedded(store, means, store.samples("normal = 0")[-POINTS_MAX:])
        cut = find_kinds(events.points, settings_of(task.settings))
        with store.transaction():
            took_s = clock() - began_s
            run = _settle(store, means, events, cut, task.settings, ever, took_s, wall_clock())
        normals = embedded(store, means, store.samples("normal = 1"))
        told = Told(task.camera, run, cut, events.samples, events.points, normals.points)
        write_page(page_of(Path(task.store)), store, told)
        return run
    finally:
        store.close()


def settings_of(given: Taxonomy) -> CutSettings:
    """As the configuration has it; points of an embedding have few coordinates, in which halves of a kind lie apart."""
    again = given.embedding is None
    return CutSettings(linkage=given.linkage, rule=given.rule, share=given.share, least=given.least, again=again)


def embedded(store: Store, means: Means, samples: list[Sample]) -> Embedded:
    """Those of *samples* that fit the bundle as points: a few frames are in memory at a time."""
    held = means.bundle.manifest
    fitting = [one for one in samples if (one.height, one.width, one.dtype) == (held.height, held.width, held.dtype)]
    found: list[Sample] = []
    points: list[Points] = []
    for first in range(0, len(fitting), AT_ONCE):
        some = [(one, store.pixels(one.id)) for one in fitting[first : first + AT_ONCE]]
        there = [(one, pixels) for one, pixels in some if pixels is not None]  # the others were dropped meanwhile
        if there:
            points.append(means.points(np.stack([pixels for _, pixels in there])))
            found += [one for one, _ in there]
    whole = np.concatenate(points) if points else np.empty((0, 1), np.float32)
    return Embedded(found, whole, len(samples) - len(fitting))


def _settle(
    store: Store,
    means: Means,
    events: Embedded,
    cut: Cut,
    settings: Taxonomy,
    ever: Counts,
    took_s: float,
    t_ns: int,
) -> Run:
    """Within a transaction: match with the kinds as they are now, and write it all."""
    rows = {row.id: row for row in store.kinds()}
    before = _on_these_points(rows, store.next_kind(), events, means.space)
    after, changes = matched(before, cut, events)
    last = store.runs()
    number = last[0].number + 1 if last else 1
    run = Run(
        number, t_ns, took_s, means.bundle.sha256, len(events.samples), events.left_out + int((cut.labels == -2).sum()),
        ever.events, ever.next_id - 1, len(after.alive), cut.discrete, cut.silhouette, cut.why,
        msgspec.to_builtins(settings), [_candidate(one) for one in cut.candidates],
        means.embedding,
    )  # fmt: skip
    kind_of = {member: kind.id for kind in after.alive for member in kind.members}
    store.put_kinds(_rows_of(after, rows, events, means.space, t_ns), after.next_id)
    store.assign(_assigned(after, events, kind_of))
    told = [ChangeRow(number, one.what, one.id, one.others) for one in changes]
    store.put_run(run, told)
    return run


def matched(before: Kinds, cut: Cut, events: Embedded) -> tuple[Kinds, list[Change]]:
    """Kinds after the run. Points without discrete kinds are one kind, but never in the place of several."""
    few = int((cut.labels >= 0).sum()) < 2
    if not cut.discrete and (few or len(before.alive) > 1):
        return before, []
    return identity.match(before, identity.clusters_of(cut.labels, events.ids, events.points))


def _on_these_points(rows: Mapping[int, KindRow], next_id: int, events: Embedded, space: str) -> Kinds:
    """Kinds with centres among these points: of those in another space, what their samples have become says where.

    One that has no sample left is nowhere: it is found again by nothing, rather than by a distance that means nothing.
    """
    place = {one.id: index for index, one in enumerate(events.samples)}
    kinds = []
    for row in rows.values():
        centre, radius = row.centre, row.radius
        if row.space != space or len(centre) != events.points.shape[1]:
            held = [place[member] for member in row.members if member in place]
            points = events.points[held]
            points = points[np.isfinite(points).all(axis=1)]
            centre, radius = extent(points) if len(points) else (np.full(events.points.shape[1], np.nan), row.radius)
        kinds.append(
            Kind(
                row.id, centre, radius, row.members, row.state, row.name, row.notes, row.priority, row.parent,
                row.merged_into,
            )
        )  # fmt: skip
    return Kinds(tuple(kinds), next_id)


def _rows_of(after: Kinds, before: Mapping[int, KindRow], events: Embedded, space: str, t_ns: int) -> list[KindRow]:
    times = {one.id: one.t_ns for one in events.samples}
    rows = []
    for kind in after.kinds:
        old = before.get(kind.id)
        seen = [times[member] for member in kind.members if member in times]
        somewhere = bool(np.isfinite(kind.centre).all())
        gone = sum(before[one.id].gone for one in after.kinds if _went(one, before) == kind.id)
        rows.append(
            KindRow(
                kind.id, kind.state, kind.name, kind.notes, kind.priority, kind.parent, kind.merged_into,
                space if somewhere or old is None else old.space,
                kind.centre.astype(np.float64) if somewhere or old is None else old.centre,
                kind.radius, kind.members,
                t_ns if old is None else old.born_t_ns,
                min(seen if old is None else [old.first_t_ns, *seen]),
                max(seen if old is None else [old.last_t_ns, *seen]),
                gone + (0 if old is None or _went(kind, before) is not None else old.gone),
                old is not None and old.told,
            )
        )  # fmt: skip
    return rows


def _went(kind: Kind, before: Mapping[int, KindRow]) -> int | None:
    """Into which kind *kind* was merged by this very run, with what was counted of it."""
    was = before.get(kind.id)
    return kind.merged_into if kind.state == "merged" and was is not None and was.state == "alive" else None


def _assigned(
    after: Kinds, events: Embedded, kind_of: Mapping[int, int]
) -> list[tuple[int | None, int | None, float | None, int]]:
    """Kind, nearest kind and distance of each sample."""
    living = [kind for kind in after.alive if np.isfinite(kind.centre).all()]
    named = Namer([Extent(kind.centre.astype(np.float64), kind.radius) for kind in living])(events.points)
    found: list[tuple[int | None, int | None, float | None, int]] = []
    for index, sample in enumerate(events.samples):
        one = living[int(named.kind[index])] if named.kind[index] >= 0 else None
        nearest = (None, None) if one is None else (one.id, float(named.distance[index]) / one.radius)
        found.append((kind_of.get(sample.id), *nearest, sample.id))
    return found


def _candidate(one: Candidate) -> dict[str, object]:
    return {name: value if np.isfinite(value) else None for name, value in one._asdict().items()}


def _end_with(parent: int) -> None:
    """A daemon that was killed ends nobody: this process looks whether it is there."""

    def watch() -> None:
        never = threading.Event()
        while not never.wait(ALIVE_S):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Take the task from standard input; exit status 0, or 1 with one line that says why nothing was grouped."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    os.nice(NICE)
    if task.parent_pid:
        _end_with(task.parent_pid)
    try:
        group(task)
    except (StoreError, BundleError, EmbeddingError, sqlite3.Error, MemoryError, ValueError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"they are grouped, but their page cannot be written: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
