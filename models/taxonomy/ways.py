"""Several ways to group the same points, side by side: trees of four linkages, k-means, k-medoids, Gaussian mixtures.

All of them group the points' main components, as `models.taxonomy.cut` does. Trees are cut by a rule of it. Of k-means
and k-medoids the number of groups with the largest silhouette counts, with the elbow of the costs beside it; of
mixtures the one with the least BIC. Where no number of groups has a silhouette of NO_KINDS on whole points, nothing
speaks for kinds, and a way says so; what it divides is told nevertheless. In few dimensions that says little: any cloud
can be cut so. Trees are held against clouds too. Or all ways are told one number, and choose none.

Labels that people gave are held against what was found, and choose nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from models.taxonomy.cut import FEW, KINDS_MAX, LEFT_OUT, NO_KINDS, CutSettings, find_kinds, largest_first
from models.taxonomy.embedding import Float64s, components
from models.taxonomy.partition import METHODS, Agreement, Curve, Method, agreement, curve
from models.taxonomy.silhouettes import mean_silhouette, sample
from models.taxonomy.stability import groupings
from models.taxonomy.tree import LINKAGES, Linkage, grow

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

Name = Linkage | Method
NAMES: Final[tuple[Name, ...]] = (*LINKAGES, *METHODS)

Chosen = Literal["rule", "silhouette", "BIC", "told"]

MOST: Final = 12
"""Groups that k-means, k-medoids and mixtures are tried with, at most, where nobody says otherwise."""


class Numbers(NamedTuple):
    """How many groups there may be: 1 to *most*, or *told*."""

    most: int = MOST
    told: int | None = None


class Way(NamedTuple):
    """How one way groups n points."""

    name: Name
    labels: Indices  # (n,) groups from 0, the largest first; FEW, and LEFT_OUT of points that are not finite
    discrete: bool  # False: nothing speaks for kinds
    silhouette: float  # mean of the groups on whole points; -1 of fewer than two
    by: Chosen  # what chose the number of groups
    why: str  # in a sentence
    silhouettes: tuple[tuple[int, float], ...]  # groups that were tried, and their silhouettes on main components
    chosen: int  # of the groups that were tried; a rule may divide them further. 0: none
    curve: Curve | None = None  # of k-means, k-medoids and mixtures

    @property
    def groups(self) -> int:
        return int(self.labels.max(initial=-1)) + 1

    @property
    def few(self) -> int:
        """Points that are kept apart."""
        return int((self.labels == FEW).sum())


class Held(NamedTuple):
    """Groups against labels."""

    agreement: Agreement
    labelled: int  # points that have a label and are in the comparison


def group(points: Floats, name: Name, settings: CutSettings, numbers: Numbers = Numbers()) -> Way:  # noqa: B008 - frozen
    """The groups of *points* (n, d) by the way called *name*; *settings* but for their linkage are those of all.

    Raises ValueError where none of the points is finite, and for more than a tree takes.
    """
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    if not len(finite):
        raise ValueError("no point is finite: there is nothing to group")
    whole = points[finite].astype(np.float64)
    if name == "k-means" or name == "k-medoids" or name == "gaussian mixture":
        way = _by_curve(whole, name, settings, numbers)
    else:
        own = settings._replace(linkage=name)
        way = _by_tree(whole, own) if numbers.told is None else _tree_in(whole, own, numbers.told)
    labels = np.full(len(points), LEFT_OUT, np.int64)
    labels[finite] = way.labels
    return way._replace(labels=labels, silhouette=_silhouette(whole, way.labels))


def _by_tree(whole: Float64s, settings: CutSettings) -> Way:
    cut = find_kinds(whole, settings)
    tried = tuple((one.kinds, one.silhouette) for one in cut.candidates)
    return Way(settings.linkage, cut.labels, cut.discrete, np.nan, "rule", cut.why, tried, cut.chosen)


def _tree_in(whole: Float64s, settings: CutSettings, count: int) -> Way:
    """The highest cut into *count* groups of at least `settings.least` points."""
    tree = grow(_main(whole, settings), settings.linkage)
    ways = groupings(tree, settings.least, max(count, KINDS_MAX))
    found = ways.get(count)
    if found is None or count == 1:
        why = f"no cut into {count} groups of {settings.least} points each" if count > 1 else "told to be one group"
        return Way(settings.linkage, np.zeros(len(whole), np.int64), False, np.nan, "told", why, (), 0)
    labels = largest_first(found.labels)
    discrete = _silhouette(whole, labels) >= NO_KINDS
    return Way(settings.linkage, labels, discrete, np.nan, "told", f"told to be {count} groups", (), count)


def _by_curve(whole: Float64s, method: Method, settings: CutSettings, numbers: Numbers) -> Way:
    most = min(max(numbers.most, numbers.told or 1), len(whole))
    if numbers.told is not None and numbers.told > most:
        raise ValueError(f"{len(whole)} points cannot be in {numbers.told} groups")
    found = curve(_main(whole, settings), range(1, most + 1), method, settings.seed)
    by: Chosen = "told" if numbers.told is not None else "BIC" if method == "gaussian mixture" else "silhouette"
    count = numbers.told or (found.at_bic if by == "BIC" else found.at_silhouette)
    labels = largest_first(found.partitions[count - 1].labels)
    on_whole = max((_silhouette(whole, one.labels) for one in found.partitions[1:]), default=-1.0)
    divided = int(labels.max()) > 0
    discrete = on_whole >= NO_KINDS and divided
    tried = tuple(zip(found.counts[1:], found.silhouettes[1:], strict=True))
    why = _why(found, by, count, on_whole, divided)
    return Way(method, labels, discrete, np.nan, by, why, tried, count, found)


def _why(found: Curve, by: Chosen, count: int, on_whole: float, divided: bool) -> str:
    told = {
        "told": f"told to be {count} groups",
        "BIC": f"{count} groups have the least BIC",
        "silhouette": f"{count} groups have the largest silhouette, {found.silhouettes[count - 1]:.2f}",
    }
    if not divided:
        return f"no discrete kinds: {told.get(by, '')}"
    if on_whole < NO_KINDS:
        return f"no discrete kinds: the largest silhouette on whole points is {on_whole:.2f}, less than {NO_KINDS}"
    return f"{told.get(by, '')}; the elbow of the cost is at {found.at_elbow}"


def _main(whole: Float64s, settings: CutSettings) -> Float64s:
    return components(whole, settings.variance) if settings.variance < 1 else whole


def _silhouette(whole: Float64s, labels: Indices) -> float:
    some = sample(len(whole))
    return mean_silhouette(cdist(whole[some], whole[some]), labels[some])


def against(labels: Indices, truth: Sequence[str]) -> Held | None:
    """How far *labels* (n,) say what *truth* (n,) says, of the points that have one: it is empty of the others.

    A point that is kept apart counts as a group of its own; those left out are not asked. None where what is left has
    fewer than two different truths: then there is nothing to tell apart.
    """
    known = np.flatnonzero((labels != LEFT_OUT) & np.array([bool(one) for one in truth], np.bool_))
    told = [truth[row] for row in known.tolist()]
    if len(set(told)) < 2:
        return None
    alone = labels.max(initial=-1) + 1 + np.arange(len(labels))
    return Held(agreement(np.where(labels == FEW, alone, labels)[known].tolist(), told), len(known))


def numbered_like(labels: Indices, reference: Indices) -> Indices:
    """*labels* (n,) with each group under the number of the group of *reference* (n,) that shares most points with it.

    Of the ways to do so for all groups at once, the one that shares most in all. Groups beyond those of *reference* get
    numbers beyond; what is in no group stays.
    """
    ours, theirs = int(labels.max(initial=-1)) + 1, int(reference.max(initial=-1)) + 1
    both = (labels >= 0) & (reference >= 0)
    shared = np.zeros((ours, theirs), np.int64)
    np.add.at(shared, (labels[both], reference[both]), 1)
    numbers = np.full(ours, -1)
    for one, other in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        if shared[one, other]:
            numbers[one] = other
    numbers[numbers < 0] = theirs + np.arange(int((numbers < 0).sum()))
    return np.where(labels >= 0, numbers[np.maximum(labels, 0)], labels) if ours else labels
