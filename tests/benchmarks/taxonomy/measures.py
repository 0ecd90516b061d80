"""How well kinds are found, kept and named."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.taxonomy.cut import CutSettings, find_kinds
from models.taxonomy.embedding import components
from models.taxonomy.identity import Kinds, clusters_of, match
from models.taxonomy.naming import Extent, Namer, extent
from models.taxonomy.partition import agreement, curve
from models.taxonomy.reservoir import UNNAMED, Bounds, Item, Reservoir, add, renamed, without
from tests.benchmarks.taxonomy.events import FALSE, Found
from tests.benchmarks.taxonomy.figures import Lasting, Naming, OnEvents

Indices = npt.NDArray[np.int64]
Grouping = Callable[[npt.NDArray[np.float32]], Indices]

ENOUGH: Final = 5  # events of a kind that must be found
ROOM: Final = 300  # events that the reservoir keeps
CLUSTERINGS: Final = 10  # in a stream
COUNTS: Final = range(2, 16)  # of groups, for what is told how many


def by(settings: CutSettings) -> Grouping:
    return lambda points: find_kinds(points, settings).labels


def _by_curve(method: str, choose: str) -> Grouping:
    def grouped(points: npt.NDArray[np.float32]) -> Indices:
        found = curve(components(points), COUNTS, method)  # type: ignore[arg-type]  # one of the names below
        return found.partitions[found.counts.index(getattr(found, choose))].labels

    return grouped


WAYS: Final[dict[str, Grouping]] = {
    "Ward, stable silhouette (default)": by(CutSettings()),
    "the same, through a fair reservoir of 300, all events named": lambda points: through_reservoir(points),
    "average, stable silhouette": by(CutSettings(linkage="average")),
    "complete, stable silhouette": by(CutSettings(linkage="complete")),
    "Ward, stable gap": by(CutSettings(rule="gap")),
    "average, stable gap": by(CutSettings(linkage="average", rule="gap")),
    "single, 0.7 of the height": by(CutSettings(linkage="single", rule="share")),
    "Ward, whole points": by(CutSettings(variance=1.0)),
    "k-means, silhouette": _by_curve("k-means", "at_silhouette"),
    "k-medoids, silhouette": _by_curve("k-medoids", "at_silhouette"),
    "Gaussian mixture, BIC": _by_curve("gaussian mixture", "at_bic"),
}
DEFAULT: Final = next(iter(WAYS))


def held_against_truth(labels: Indices, kinds: npt.NDArray[np.str_], seed: int) -> OnEvents:
    """*labels* (n,) of events whose true *kinds* (n,) are known. Each event in no cluster is a group of its own."""
    real = kinds != FALSE
    groups = np.where(labels >= 0, labels, labels.max(initial=0) + 1 + np.arange(len(labels)))
    agreed = agreement(groups[real].tolist(), kinds[real].tolist())
    names = [kind for kind in np.unique(kinds[real]).tolist() if (kinds == kind).sum() >= ENOUGH]
    told = int(labels.max(initial=-1)) + 1
    held = np.array([[int(((kinds == kind) & (labels == one)).sum()) for one in range(told)] for kind in names])
    held = held.reshape(len(names), told)
    pairs = list(zip(*linear_sum_assignment(held, maximize=True), strict=True))
    sizes = np.array([int(((labels == one) & real).sum()) for one in range(told)])
    found = sum(
        2 * held[row, one] >= (kinds == names[row]).sum() and 2 * held[row, one] > sizes[one] for row, one in pairs
    )
    return OnEvents(
        seed=seed,
        events=int(real.sum()),
        kinds=len(names),
        found=int(found),
        told=told,
        spurious=told - int(found),
        ari=agreed.ari,
        nmi=agreed.nmi,
        few=int((labels < 0).sum()),
    )


def scene(found: Found, names: Sequence[str], rare: Sequence[str], rng: np.random.Generator) -> Found:
    """The events of some kinds, of the *rare* ones five to eight."""
    rows = []
    for name in names:
        of_kind = np.flatnonzero(found.kinds == name)
        count = min(int(rng.integers(5, 9)), len(of_kind)) if name in rare else len(of_kind)
        rows.append(rng.choice(of_kind, count, replace=False))
    return found.of(np.sort(np.concatenate(rows)))


def through_reservoir(points: npt.NDArray[np.float32]) -> Indices:
    """Labels (n,) by clusterings of what a fair reservoir keeps of events as they come, and all named at the end."""
    reservoir, kinds = Reservoir(Bounds(ROOM, ROOM)), Kinds()
    for fresh in np.array_split(np.arange(len(points)), CLUSTERINGS):
        reservoir = _with(reservoir, fresh.tolist(), kinds, points)
        reservoir, kinds = _clustered(reservoir, kinds, points)
    if not kinds.alive:
        return np.zeros(len(points), np.int64)
    named = _namer(kinds)(points)
    return np.where(named.known, named.kind, -1)


def _clustered(reservoir: Reservoir, kinds: Kinds, points: npt.NDArray[np.float32]) -> tuple[Reservoir, Kinds]:
    """Both after a clustering of what the reservoir holds; where it finds no discrete kinds, kinds stay as they are."""
    rows = np.array(sorted(item.id for item in reservoir.items), np.int64)
    cut = find_kinds(points[rows])
    if not cut.discrete:
        return reservoir, kinds
    kinds, _ = match(kinds, clusters_of(cut.labels, rows, points[rows]))
    return renamed(reservoir, {member: kind.id for kind in kinds.alive for member in kind.members}), kinds


def lasting(found: Found, seed: int, runs: int, room: int, vanished: str, away: range) -> Lasting:
    """Identities over *runs* clusterings, as events come in order and *room* of them are kept.

    The kind *vanished* is taken away in the runs *away*.
    """
    ours = np.flatnonzero(found.kinds != FALSE)
    reservoir, kinds = Reservoir(Bounds(room, room), seed), Kinds()
    first: dict[str, int] = {}
    looked_for = kept = seen = 0
    back = False
    for run, fresh in enumerate(np.array_split(ours, runs)):
        come = [row for row in fresh.tolist() if run not in away or found.kinds[row] != vanished]
        reservoir = _with(reservoir, come, kinds, found.points)
        if run == away.start:
            gone = frozenset(item.id for item in reservoir.items if found.kinds[item.id] == vanished)
            reservoir = without(reservoir, gone)
        reservoir, kinds = _clustered(reservoir, kinds, found.points)
        rows = np.array(sorted(item.id for item in reservoir.items), np.int64)
        for name in np.unique(found.kinds[rows]).tolist():
            of_kind = frozenset(rows[found.kinds[rows] == name].tolist())
            if len(of_kind) < ENOUGH:
                continue
            looked_for += 1
            number = _mostly(kinds, of_kind)
            if number is None:
                continue
            seen += 1
            kept += first.setdefault(name, number) == number
            if name == vanished and run >= away.stop:
                back = back or first[name] == number
    return Lasting(
        seed=seed,
        runs=runs,
        events=len(ours),
        vanished=vanished,
        looked_for=looked_for,
        found=seen,
        kept=kept,
        ids=kinds.next_id - 1,
        back=back,
    )


def _with(reservoir: Reservoir, rows: Sequence[int], kinds: Kinds, points: npt.NDArray[np.float32]) -> Reservoir:
    """*reservoir* with events, each of the kind that it would be named by."""
    named = _namer(kinds)(points[list(rows)])
    for row, kind, known in zip(rows, named.kind.tolist(), named.known.tolist(), strict=True):
        reservoir, _ = add(reservoir, Item(row, kinds.alive[kind].id if known else UNNAMED, 1))
    return reservoir


def _namer(kinds: Kinds) -> Namer:
    return Namer([Extent(kind.centre, kind.radius) for kind in kinds.alive])


def _mostly(kinds: Kinds, events: frozenset[int]) -> int | None:
    """The kind that has most of these *events* and is mostly them."""
    for kind in kinds.alive:
        held = len(kind.members & events)
        if 2 * held > len(events) and 2 * held > len(kind.members):
            return kind.id
    return None


def naming(found: Found, names: Sequence[str], seed: int) -> Naming:
    """The later half of events, named by what was found among the earlier; and by that without each kind."""
    rows = np.flatnonzero(np.isin(found.kinds, names))
    early, late = found.of(rows[: len(rows) // 2]), found.of(rows[len(rows) // 2 :])
    told = _named(early, late)
    right, unknown = told == late.kinds, told == ""
    wrong = ~right & ~unknown
    strangers = {}
    for name in names:
        others = early.of(np.flatnonzero(early.kinds != name))
        of_kind = late.of(np.flatnonzero(late.kinds == name))
        strangers[name] = float((_named(others, of_kind) == "").mean())
    shares = {"right": float(right.mean()), "unknown": float(unknown.mean()), "wrong": float(wrong.mean())}
    return Naming(seed=seed, strangers=strangers, **shares)


def _named(early: Found, late: Found) -> npt.NDArray[np.str_]:
    """What the *late* events are called by kinds among the *early* ones, each named as most of its events."""
    labels = find_kinds(early.points).labels
    members = [np.flatnonzero(labels == kind) for kind in range(labels.max(initial=-1) + 1)]
    values = [np.unique(early.kinds[rows], return_counts=True) for rows in members]
    names = [str(kinds[counts.argmax()]) for kinds, counts in values]
    named = Namer([extent(early.points[rows]) for rows in members])(late.points)
    return np.array([names[kind] if known else "" for kind, known in zip(named.kind, named.known, strict=True)])
