"""Kinds that last: those of one run matched with the clusters of the next, so that an id means one thing for ever.

Points carry ids, and the points of two runs overlap: what is in both says which cluster is which kind. A kind *goes
into* a cluster that holds at least half of its members that are left, and a cluster *comes from* a kind that held at
least half of its members that were in any. Only such pairs are matched, so that the summed overlap is the largest
(Kuhn 1955: the Hungarian method); where several kinds go into one cluster, a named one comes before unnamed ones. Then:

- *survived*: a kind that has a cluster; also one whose members have all left, by a cluster of new points within reach;
- *split*: other clusters came from it too, with a quarter of their members at least: they are *born* with `parent`;
- *merged*: other kinds went into its cluster with half of all they had: their names are kept as notes, and they
  themselves as `merged`;
- *died*: no cluster: the kind is `dormant`, with name, centre and radius;
- *returned*: a dormant or merged kind to which a cluster comes back that no living kind has: one that holds half of its
  last members, else one whose centre lies within its radius.

Ids are counted up and never used again. Clusters are looked at in the order of their members' ids, so their own numbers
mean nothing; the same clusters a second time change nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.taxonomy.naming import extent

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

State = Literal["alive", "dormant", "merged"]
What = Literal["born", "survived", "split", "merged", "died", "returned"]

MAJORITY: Final = 0.5
"""Share of members, at least, that makes a cluster a kind's."""

PART: Final = 0.25
"""Share of a cluster's members that it must have from a kind to be a part of it: a few strays are none."""

URGENCY: Final = {"low": 0, None: 1, "medium": 1, "high": 2, "critical": 3}
"""A kind without a priority is as urgent as its charts say: medium at first."""


class Cluster(NamedTuple):
    """What a run found: an id of every member, and where they lie."""

    members: frozenset[int]
    centre: Floats  # (d,)
    radius: float


class Kind(NamedTuple):
    """A kind of anomaly, as long as anybody may speak of it."""

    id: int
    centre: Floats  # (d,) of its latest cluster
    radius: float
    members: frozenset[int]  # of its latest cluster
    state: State = "alive"
    name: str = ""
    notes: tuple[str, ...] = ()
    priority: str | None = None
    parent: int | None = None  # the kind that it was split from
    merged_into: int | None = None


class Kinds(NamedTuple):
    """All kinds that there ever were, by id."""

    kinds: tuple[Kind, ...] = ()
    next_id: int = 1

    def of(self, number: int) -> Kind:
        """The kind with this id. Raises KeyError where there was none."""
        for kind in self.kinds:
            if kind.id == number:
                return kind
        raise KeyError(f"there is no kind {number}")

    @property
    def alive(self) -> tuple[Kind, ...]:
        return tuple(kind for kind in self.kinds if kind.state == "alive")


class Change(NamedTuple):
    """What became of a kind. *others*: whom it was split into, what went into it, or whom it was born from."""

    what: What
    id: int
    others: tuple[int, ...] = ()


def clusters_of(labels: Sequence[int] | Ids, ids: Sequence[int] | Ids, points: Floats) -> list[Cluster]:
    """The clusters of a run: *labels* (n,) of points (n, d) with *ids* (n,); negative labels are in none."""
    groups, numbers = np.asarray(labels), np.asarray(ids)
    found = []
    for group in np.unique(groups[groups >= 0]).tolist():
        rows = np.flatnonzero(groups == group)
        centre, radius = extent(points[rows])
        found.append(Cluster(frozenset(numbers[rows].tolist()), centre, radius))
    return found


class _Paired(NamedTuple):
    """Which kind (by its place in a sequence) has which cluster."""

    kinds: dict[int, int]

    @property
    def clusters(self) -> dict[int, int]:
        return {cluster: kind for kind, cluster in self.kinds.items()}


def match(before: Kinds, clusters: Sequence[Cluster]) -> tuple[Kinds, list[Change]]:
    """Kinds after a run that found *clusters*, and what became of each that lives, died, or came.

    Raises ValueError where a point is in two clusters, or a cluster has none.
    """
    found = _in_order(clusters)
    living = before.alive
    overlap = _overlaps(living, found)
    paired = _by_centre(living, found, _by_members(living, overlap), overlap)
    absorbed = _absorbed(living, overlap, paired)
    asleep = tuple(kind for kind in before.kinds if kind.state != "alive")
    free = [index for index in range(len(found)) if index not in paired.clusters]
    back = _within_reach(asleep, [found[index] for index in free])
    ids = {index: living[kind].id for index, kind in paired.clusters.items()}
    ids |= {free[cluster]: asleep[kind].id for kind, cluster in back.kinds.items()}
    parents = _parents(living, found, overlap, free, set(ids.values()))
    new = [index for index in free if index not in ids]
    ids |= {index: before.next_id + count for count, index in enumerate(new)}
    kinds = _kinds_after(before, found, ids, parents, {living[k].id: ids[c] for k, c in absorbed.items()})
    return Kinds(kinds, before.next_id + len(new)), _changes(before, kinds, parents, ids)


def _in_order(clusters: Sequence[Cluster]) -> list[Cluster]:
    members = [member for cluster in clusters for member in cluster.members]
    if len(members) != len(set(members)) or not all(cluster.members for cluster in clusters):
        raise ValueError("each cluster has points, and each point is in one cluster")
    return sorted(clusters, key=lambda cluster: min(cluster.members))


def _overlaps(kinds: Sequence[Kind], clusters: Sequence[Cluster]) -> Float64s:
    """How many members each of *kinds* has in each of *clusters*: (k, c)."""
    counts = [[len(kind.members & cluster.members) for cluster in clusters] for kind in kinds]
    return np.array(counts, np.float64).reshape(len(kinds), len(clusters))


def _majority(counts: Float64s) -> int | None:
    """Where at least half of all *counts* (n,) is; None where nothing is, or no half."""
    if counts.sum() == 0:
        return None
    most = int(counts.argmax())
    return most if counts[most] >= MAJORITY * counts.sum() else None


def _by_members(kinds: Sequence[Kind], overlap: Float64s) -> _Paired:
    """Pairs of the largest overlap, of those where one goes into, or comes from, the other."""
    worth = np.zeros_like(overlap)
    for cluster in range(overlap.shape[1]):
        if (origin := _majority(overlap[:, cluster])) is not None:
            worth[origin, cluster] = overlap[origin, cluster]
    for index, kind in enumerate(kinds):
        if (goal := _majority(overlap[index])) is not None:
            # What is named goes before all that is not, whatever their sizes: there are no more points than the sum.
            worth[index, goal] = overlap[index, goal] + (overlap.sum() + 1 if kind.name else 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return _Paired({int(k): int(c) for k, c in zip(rows, columns, strict=True) if worth[k, c] > 0})


def _by_centre(kinds: Sequence[Kind], clusters: Sequence[Cluster], paired: _Paired, overlap: Float64s) -> _Paired:
    """*paired*, and kinds without a member left with clusters of new points that lie within their reach."""
    lost = [index for index in range(len(kinds)) if overlap[index].sum() == 0]
    new = [index for index in range(len(clusters)) if overlap[:, index].sum() == 0]
    near = _within_reach([kinds[index] for index in lost], [clusters[index] for index in new])
    return _Paired(paired.kinds | {lost[kind]: new[cluster] for kind, cluster in near.kinds.items()})


def _within_reach(kinds: Sequence[Kind], clusters: Sequence[Cluster]) -> _Paired:
    """Kinds with clusters that hold half of their last members, or else lie within their radii, the nearest first."""
    if not kinds or not clusters:
        return _Paired({})
    held = _overlaps(kinds, clusters)
    whole = np.array([len(kind.members) for kind in kinds])[:, None]
    distances = np.array(
        [[np.linalg.norm(kind.centre - cluster.centre) / kind.radius for cluster in clusters] for kind in kinds]
    )
    worth = np.where(distances <= 1.0, 2.0 - distances, 0.0)  # 1 to 2, and members count for more
    worth += np.where((held > 0) & (held >= MAJORITY * whole), 2.0 + held, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return _Paired({int(k): int(c) for k, c in zip(rows, columns, strict=True) if worth[k, c] > 0})


def _absorbed(kinds: Sequence[Kind], overlap: Float64s, paired: _Paired) -> dict[int, int]:
    """Kinds without a cluster -> the one, another kind's, that half of all that they had went into."""
    into = {index: _majority(overlap[index]) for index in range(len(kinds)) if index not in paired.kinds}
    return {
        kind: cluster
        for kind, cluster in into.items()
        if cluster is not None and overlap[kind, cluster] >= MAJORITY * len(kinds[kind].members)
    }


def _parents(
    kinds: Sequence[Kind], clusters: Sequence[Cluster], overlap: Float64s, free: Sequence[int], alive: set[int]
) -> dict[int, int]:
    """Those of the *free* clusters that are a part of a kind that is still *alive* -> its id."""
    found = {}
    for index in free:
        kind = _majority(overlap[:, index])
        if kind is None or overlap[kind, index] < PART * len(clusters[index].members):
            continue
        if kinds[kind].id in alive:
            found[index] = kinds[kind].id
    return found


def _kinds_after(
    before: Kinds, clusters: Sequence[Cluster], ids: dict[int, int], parents: dict[int, int], absorbed: dict[int, int]
) -> tuple[Kind, ...]:
    cluster_of = {number: clusters[index] for index, number in ids.items()}
    kinds = []
    for kind in before.kinds:
        if (cluster := cluster_of.pop(kind.id, None)) is not None:
            gone = [one for one in before.kinds if absorbed.get(one.id) == kind.id]
            kinds.append(_with_notes_of(_living(kind, cluster), gone))
        elif kind.id in absorbed:
            kinds.append(kind._replace(state="merged", merged_into=absorbed[kind.id]))
        else:
            kinds.append(kind._replace(state="dormant") if kind.state == "alive" else kind)
    born = {number: parents.get(index) for index, number in ids.items() if number in cluster_of}
    for number, cluster in sorted(cluster_of.items()):
        kinds.append(Kind(number, cluster.centre, cluster.radius, cluster.members, parent=born[number]))
    return tuple(kinds)


def _living(kind: Kind, cluster: Cluster) -> Kind:
    return kind._replace(
        state="alive", merged_into=None, centre=cluster.centre, radius=cluster.radius, members=cluster.members
    )


def _with_notes_of(kind: Kind, gone: Sequence[Kind]) -> Kind:
    """*kind* with what people had written about those that were merged into it, as urgent as they had called any."""
    notes, priority = list(kind.notes), kind.priority
    for one in gone:
        notes += [f"was {one.name}"] if one.name else []
        notes += one.notes
        if one.priority is not None:
            priority = max(priority, one.priority, key=URGENCY.__getitem__)
    return kind._replace(notes=tuple(dict.fromkeys(notes)), priority=priority)


def _changes(before: Kinds, after: Sequence[Kind], parents: dict[int, int], ids: dict[int, int]) -> list[Change]:
    """By id; a kind that was split and took others in is told of twice."""
    was = {kind.id: kind.state for kind in before.kinds}
    parent_of = {ids[index]: parent for index, parent in parents.items()}
    changes = []
    for kind in after:
        if kind.state == "merged":
            continue  # told with the kind that it went into
        if kind.state == "dormant":
            changes += [Change("died", kind.id)] if was[kind.id] == "alive" else []
            continue
        parts = tuple(sorted(part for part, parent in parent_of.items() if parent == kind.id))
        gone = tuple(one.id for one in after if one.merged_into == kind.id and was[one.id] == "alive")
        origin = (parent_of[kind.id],) if kind.id in parent_of else ()
        if was.get(kind.id) != "alive":
            changes.append(Change("returned" if kind.id in was else "born", kind.id, origin))
        elif not parts and not gone:
            changes.append(Change("survived", kind.id))
        changes += [Change("split", kind.id, parts)] if parts else []
        changes += [Change("merged", kind.id, gone)] if gone else []
    return changes


def called(kinds: Kinds, number: int, name: str) -> Kinds:
    """*kinds* with the kind *number* under another *name*. Raises KeyError where there is none."""
    return _with(kinds, kinds.of(number)._replace(name=name))


def noted(kinds: Kinds, number: int, note: str) -> Kinds:
    """*kinds* with one more *note* about kind *number*. Raises KeyError where there is none."""
    kind = kinds.of(number)
    return _with(kinds, kind._replace(notes=(*kind.notes, note)))


def prioritised(kinds: Kinds, number: int, priority: str | None) -> Kinds:
    """*kinds* with another *priority* of kind *number*. Raises KeyError where there is none."""
    return _with(kinds, kinds.of(number)._replace(priority=priority))


def _with(kinds: Kinds, changed: Kind) -> Kinds:
    return kinds._replace(kinds=tuple(changed if kind.id == changed.id else kind for kind in kinds.kinds))
