"""Kinds as people and programs are shown them: by the API, and by `framewatch taxonomy`."""

from typing import Final

import msgspec

from monitor.taxonomy.records import KindRow, Run, Sample
from monitor.taxonomy.store import Store

FEW_MOST: Final = 50
SAMPLES_MOST: Final = 8


class SampleShown(msgspec.Struct, frozen=True):
    """An event of which a frame is kept."""

    id: int
    alarm: str | None
    t_ns: int
    stream: str
    seq: int
    job: str
    layer: int | None
    context: str
    xy: tuple[float, float] | None
    source: str
    ratio: float
    frames_over: int
    nearest: int | None  # kind
    distance: float | None  # from its centre, in radii of it


class KindShown(msgspec.Struct, frozen=True):
    """A kind in one line."""

    id: int
    name: str  # empty: nobody has named it
    state: str  # alive, dormant, merged
    priority: str | None
    notes: tuple[str, ...]
    events: int  # that there were of it, as far as known
    held: int  # of which a frame is kept
    born_t_ns: int
    first_t_ns: int
    last_t_ns: int
    parent: int | None
    merged_into: int | None


class RunShown(msgspec.Struct, frozen=True):
    """The last grouping."""

    number: int
    t_ns: int
    seconds: float
    points: int
    left_out: int
    kinds: int
    discrete: bool
    silhouette: float
    why: str
    bundle: str = ""  # sha256
    embedding: str = ""  # sha256; empty: by residuals as they are


class Overview(msgspec.Struct, frozen=True):
    """All kinds; what is too few to be one stands first."""

    few: list[SampleShown]  # of no kind at the last grouping, the farthest from any first
    few_count: int
    kinds: list[KindShown]  # living ones first, then by id
    new: int  # events since the last grouping
    events: int  # that there have ever been
    missed: int  # ... of which no frame could be kept
    held: int
    normals: int
    run: RunShown | None  # None: there was none yet
    running: bool = False
    failed: str = ""  # why the last grouping came to nothing; empty: it did not


class ChangeShown(msgspec.Struct, frozen=True):
    """What became of a kind at a run."""

    run: int
    what: str
    others: tuple[int, ...]


class ActShown(msgspec.Struct, frozen=True):
    """What someone said of a kind."""

    t_ns: int
    by: str
    name: str | None
    note: str | None
    priority: str | None  # empty: it was taken away


class KindInFull(msgspec.Struct, frozen=True):
    """A kind, its exemplars and its history."""

    kind: KindShown
    nearest: list[SampleShown]  # to its centre
    farthest: list[SampleShown]
    changes: list[ChangeShown]
    acts: list[ActShown]


def overview(store: Store, *, running: bool = False, failed: str = "") -> Overview:
    """All that *store* holds. Raises sqlite3.Error."""
    runs, counts, held = store.runs(), store.counts(), store.events_held()
    kinds = sorted((_kind(one, held) for one in store.kinds()), key=lambda one: (one.state != "alive", one.id))
    few, few_count = store.few(FEW_MOST)
    return Overview(
        few=[_sample(one) for one in few],
        few_count=few_count,
        kinds=kinds,
        new=counts.events - (runs[0].events if runs else 0),
        events=counts.events,
        missed=counts.missed,
        held=sum(held.values()),
        normals=len(store.held(normal=True)),
        run=_run(runs[0]) if runs else None,
        running=running,
        failed=failed,
    )


def in_full(store: Store, number: int) -> KindInFull | None:
    """One kind; None where there is none of that id. Raises sqlite3.Error."""
    kind = store.kind(number)
    if kind is None:
        return None
    order = "kind = ? AND normal = 0 AND nearest = kind ORDER BY distance"
    nearest, farthest = (store.first(f"{order} {way}", [number], SAMPLES_MOST) for way in ("ASC", "DESC"))
    return KindInFull(
        kind=_kind(kind, store.events_held()),
        nearest=[_sample(one) for one in nearest],
        farthest=[_sample(one) for one in farthest],
        changes=[ChangeShown(one.run, one.what, one.others) for one in store.changes(number)],
        acts=[ActShown(one.t_ns, one.by, one.name, one.note, one.priority) for one in store.acts(number)],
    )


def _kind(row: KindRow, held: dict[int | None, int]) -> KindShown:
    return KindShown(
        id=row.id,
        name=row.name,
        state=row.state,
        priority=row.priority,
        notes=row.notes,
        events=held.get(row.id, 0) + row.gone,
        held=held.get(row.id, 0),
        born_t_ns=row.born_t_ns,
        first_t_ns=row.first_t_ns,
        last_t_ns=row.last_t_ns,
        parent=row.parent,
        merged_into=row.merged_into,
    )


def _sample(one: Sample) -> SampleShown:
    return SampleShown(
        id=one.id,
        alarm=one.alarm,
        t_ns=one.t_ns,
        stream=one.stream,
        seq=one.seq,
        job=one.job,
        layer=one.layer,
        context=one.context,
        xy=None if one.x is None or one.y is None else (one.x, one.y),
        source=one.source,
        ratio=one.ratio,
        frames_over=one.frames_over,
        nearest=one.nearest,
        distance=one.distance,
    )


def _run(run: Run) -> RunShown:
    return RunShown(
        run.number, run.t_ns, run.seconds, run.points, run.left_out, run.kinds, run.discrete, run.silhouette, run.why,
        run.bundle, run.embedding,
    )  # fmt: skip
