"""Where a tree is cut into kinds: by a stated rule, and not at all where nothing speaks for kinds.

A cut undoes the highest merges. Groups of at least `least` points are kinds; smaller ones are kept apart, as too few to
be a kind. Only merges of two groups that are both large enough are splits between kinds: what splits off single points
never chooses a cut. Candidates are the highest cuts into 2, 3, ... kinds. Three rules:

- `silhouette`, the default: the candidate with the largest *stable silhouette*, which is its mean silhouette (Rousseeuw
  1987) times its reproducibility: the mean adjusted Rand index between its kinds and those of trees of subsamples, four
  points in five (cf. Ben-Hur, Elisseeff and Guyon 2002; Hennig 2007);
- `gap`: the candidate with the largest gap in height below it, as a ratio, times its reproducibility;
- `share`: cut at a fixed share of the tree's height, and nothing else is done.

The first two say that the points have no discrete kinds where every candidate's silhouette, taken on whole points and
not on their main components alone, is below NO_KINDS; where the chosen one is found again at less than FOUND_AGAIN; or
where Gaussian clouds of the same covariance have nearly as large a silhouette: clouds can be cut too.

What a cut at one height leaves to be done is done after it (`models.taxonomy.splits`): a tree merges small groups early
under Ward's criterion, so each kind is split in two again where the parts are kinds of their own by their silhouette,
or where a few points stand alone in it. Points far out of their kind are kept apart at last, with the groups that are
too few; where enough of them lie together, they are a kind.

How each odd case is answered: no point has no kinds; one point, and fewer than two kinds could have, are undivided,
and so are points that are all alike; duplicates count as often as they are there; points that are not finite are left
out, and so labelled. Points strung between two kinds like a bridge leave them two: those near an end go to it, those
between are kept apart or, where enough lie together, are kinds of their own.
"""

from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from scipy.spatial.distance import cdist

from models.taxonomy.embedding import SHARE, Float64s, Floats, components
from models.taxonomy.silhouettes import mean_silhouette, sample
from models.taxonomy.splits import Indices, apart, split_again, with_groups_apart, with_isolated
from models.taxonomy.stability import (
    Grouping,
    groupings,
    reproducibility,
    resamples,
    silhouettes_of_clouds,
)
from models.taxonomy.tree import Linkage, Tree, grow, labels_of, merges_up_to, nodes_below

Rule = Literal["silhouette", "gap", "share"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)

FEW: Final = -1
LEFT_OUT: Final = -2

LEAST: Final = 4
"""Points that make a kind: of fewer nobody could say how far the kind reaches."""

KINDS_MAX: Final = 24  # of a candidate: nobody looks through more

NO_KINDS: Final = 0.25
"""Silhouette below which no substantial structure has been found (Kaufman and Rousseeuw 1990)."""

FOUND_AGAIN: Final = 0.75
"""Reproducibility below which a grouping is the sample's rather than the points' (Hennig 2007, of single groups)."""

MORE_THAN_CLOUDS: Final = 0.15
"""By which a silhouette must exceed that of clouds: three to nine kinds of melt-pool events do by 0.2 and more, events
of one kind by up to 0.2, which are mostly not found again either (docs/taxonomy.md)."""


class CutSettings(NamedTuple):
    linkage: Linkage = "ward"
    rule: Rule = "silhouette"
    share: float = 0.7  # of the tree's height, for the rule of that name
    least: int = LEAST  # points of a kind
    variance: float = SHARE  # that the components hold which the tree is grown on; 1: points as they are
    seed: int = 0
    again: bool = True  # kinds are split again where they are two: in few coordinates parts of any kind seem to be


DEFAULT: Final = CutSettings()


class Candidate(NamedTuple):
    """A cut that was looked at."""

    kinds: int
    height: float  # of the lowest merge that it undoes
    gap: float  # that height over the next lower one of a split between kinds; infinite where none is lower
    silhouette: float  # mean over all points in kinds, on the components that the tree is grown on
    silhouette_whole: float  # the same on whole points
    reproducibility: float  # 0 to 1
    few: int  # points in groups that are too small


class Cut(NamedTuple):
    """The kinds that n points are of."""

    labels: Indices  # (n,) kinds from 0, the largest first; FEW, and LEFT_OUT of points that are not finite
    discrete: bool  # False: nothing speaks for kinds, and all points are of kind 0
    silhouette: float  # mean of the kinds as they are told; -1 of fewer than two
    candidates: tuple[Candidate, ...]  # by their number of kinds
    chosen: int  # kinds of the candidate that was chosen, before splits of kinds; 0 of none
    why: str  # in a sentence
    tree: Tree


def find_kinds(points: Floats, settings: CutSettings = DEFAULT) -> Cut:
    """The kinds of *points* (n, d), as `models.taxonomy.embedding` makes them.

    Raises ValueError where there are more than a tree takes, and for settings that mean nothing.
    """
    _require(settings)
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    whole = points[finite].astype(np.float64)
    reduced = components(whole, settings.variance) if settings.variance < 1 else whole
    tree = grow(reduced, settings.linkage)._replace(rows=finite, left_out=np.setdiff1d(np.arange(len(points)), finite))
    if settings.rule == "share":
        return _at_share(tree, reduced, settings, len(points))
    return _by_rule(tree, whole, reduced, settings, len(points))


def _require(settings: CutSettings) -> None:
    if settings.least < 2:
        raise ValueError(f"a kind of {settings.least} points: 2 are the least that can be alike")
    if not (0 < settings.share <= 1 and 0 < settings.variance <= 1):
        raise ValueError(
            f"shares lie above 0, up to 1: not {settings.share} of the height and {settings.variance} of variance"
        )


def _at_share(tree: Tree, reduced: Float64s, settings: CutSettings, count: int) -> Cut:
    nodes = nodes_below(tree, merges_up_to(tree, settings.share * tree.height))
    labels = largest_first(labels_of(tree, [node for node in nodes if tree.size(node) >= settings.least]))
    kinds = int(labels.max(initial=-1)) + 1
    why = f"cut at {settings.share:g} of the height {tree.height:.3g}"
    return _cut(tree, reduced, labels, kinds >= 2, (), kinds, why, count)


def _by_rule(tree: Tree, whole: Float64s, reduced: Float64s, settings: CutSettings, count: int) -> Cut:
    rng = np.random.default_rng(settings.seed)
    ways = groupings(tree, settings.least, KINDS_MAX)
    if not ways:
        why = f"no two groups of {settings.least} points each among {tree.leaves}"
        return _undivided(tree, reduced, (), why, count)
    candidates = _looked_at(tree, ways, whole, reduced, settings, rng)
    best = max(candidates, key=lambda one: _merit(one, settings.rule))
    if against := _speaks_against(best, candidates, whole, settings, rng):
        return _undivided(tree, reduced, candidates, f"no discrete kinds: {against}", count)
    labels = _settled(tree, ways[best.kinds], whole, settings)
    why = (
        f"{best.kinds} kinds have the largest {_MERITS[settings.rule]}: silhouette {best.silhouette:.2f}, "
        f"found again at {best.reproducibility:.2f}"
    )
    return _cut(tree, reduced, labels, True, candidates, best.kinds, why, count)


def _speaks_against(
    best: Candidate,
    candidates: tuple[Candidate, ...],
    whole: Float64s,
    settings: CutSettings,
    rng: np.random.Generator,
) -> str:
    """Why even the *best* of *candidates* are no kinds; empty where nothing speaks against them."""
    highest = max(one.silhouette_whole for one in candidates)
    if highest < NO_KINDS:
        return f"the largest silhouette of any cut is {highest:.2f}, less than {NO_KINDS}"
    if best.reproducibility < FOUND_AGAIN:
        return f"the best cut, into {best.kinds}, is found again at {best.reproducibility:.2f}, less than {FOUND_AGAIN}"
    clouds = silhouettes_of_clouds(whole, settings.linkage, settings.variance, best.kinds, settings.least, rng)
    if best.silhouette < clouds.mean() + MORE_THAN_CLOUDS:
        return (
            f"the best cut, into {best.kinds}, has a silhouette of {best.silhouette:.2f}, and clouds without any have "
            f"{clouds.mean():.2f}"
        )
    return ""


_MERITS: Final = {"silhouette": "stable silhouette", "gap": "stable gap"}


def _merit(candidate: Candidate, rule: Rule) -> float:
    worth = candidate.silhouette if rule == "silhouette" else float(np.log(min(candidate.gap, 1e9)))
    return worth * candidate.reproducibility


def _looked_at(
    tree: Tree,
    ways: dict[int, Grouping],
    whole: Float64s,
    reduced: Float64s,
    settings: CutSettings,
    rng: np.random.Generator,
) -> tuple[Candidate, ...]:
    """Every one of *ways* to cut, by its number of kinds."""
    some = sample(tree.leaves)
    distances, of_whole = (cdist(points[some], points[some]) for points in (reduced, whole))
    others = resamples(reduced, settings.linkage, settings.least, KINDS_MAX, rng)
    splits = [
        float(tree.merges[merge, 2])
        for merge in range(len(tree.merges))
        if min(map(tree.size, tree.children(tree.leaves + merge))) >= settings.least
    ]
    found = []
    for kinds, way in sorted(ways.items()):
        height = float(tree.merges[way.merges, 2])
        lower = [one for one in splits if one < height]
        found.append(
            Candidate(
                kinds,
                height,
                height / lower[-1] if lower and lower[-1] > 0 else np.inf,
                mean_silhouette(distances, way.labels[some]),
                mean_silhouette(of_whole, way.labels[some]),
                reproducibility(way.labels, others, settings.least),
                int((way.labels < 0).sum()),
            )
        )
    return tuple(found)


def _settled(tree: Tree, way: Grouping, whole: Float64s, settings: CutSettings) -> Indices:
    """Labels (m,) of the kinds of *way*, each split again where it is two, less what is far out of its kind."""
    least = settings.least
    nodes = [node for node in nodes_below(tree, way.merges) if tree.size(node) >= least]
    labels = labels_of(tree, nodes)
    if settings.again:
        labels = with_isolated(tree, labels_of(tree, split_again(tree, nodes, whole, least)), whole, least)
    labels[apart(whole, labels)] = FEW
    return largest_first(with_groups_apart(whole, labels, least))


def largest_first(labels: Indices) -> Indices:
    """The same groups, numbered by their size, and by their first point where they are equally large."""
    kinds, first, counts = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    numbers = np.full(int(labels.max(initial=-1)) + 2, FEW)  # the last: of -1
    numbers[kinds[order]] = np.arange(len(kinds))
    return numbers[labels]


def _undivided(tree: Tree, reduced: Float64s, candidates: tuple[Candidate, ...], why: str, count: int) -> Cut:
    return _cut(tree, reduced, np.zeros(tree.leaves, np.int64), False, candidates, 0, why, count)


def _cut(
    tree: Tree,
    reduced: Float64s,
    labels: Indices,
    discrete: bool,
    candidates: tuple[Candidate, ...],
    chosen: int,
    why: str,
    count: int,
) -> Cut:
    some = sample(tree.leaves)
    silhouette = mean_silhouette(cdist(reduced[some], reduced[some]), labels[some])
    of_all = np.full(count, LEFT_OUT, np.int64)
    of_all[tree.rows] = labels
    return Cut(of_all, discrete, silhouette, candidates, chosen, why, tree)
