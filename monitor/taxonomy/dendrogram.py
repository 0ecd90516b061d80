"""The tree of events as a picture: its highest merges, coloured by kind, with the line at which it is cut."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from models.taxonomy.tree import Tree, nodes_below
from monitor.taxonomy.drawing import FONT_PX, GRID, QUIET, RULE, WIDTH, colour_of, line, svg, words
from monitor.taxonomy.found import Ids, Taxonomy, cut_height, kind_of, kinds_below

GROUPS: Final = 60
"""Most branches drawn to their end: what merges farther down is one of them."""

LEFT_PX, RIGHT_PX, TOP_PX, TREE_PX, FOOT_PX = 52, 16, 14, 300, 34
TICKS: Final = 4


Scale = Callable[[float], float]
"""From what is measured to pixels."""


class Branch(NamedTuple):
    """A node of the tree as it is drawn."""

    node: int
    x: float  # in branches from the left
    height: float
    kind: int  # of all below it that are in one; NO_KIND or SEVERAL
    size: int
    children: tuple["Branch", ...] = ()


def branches(tree: Tree, kinds: Ids, most: int = GROUPS) -> Branch | None:
    """The tree's root with what is drawn below it, *kinds* being those of its nodes; None of an empty one."""
    if tree.leaves == 0:
        return None
    ends = nodes_below(tree, max(len(tree.merges) - most + 1, 0))
    places = {node: place for place, node in enumerate(_from_the_left(tree, set(ends)))}
    made = {node: Branch(node, float(place), 0.0, int(kinds[node]), tree.size(node)) for node, place in places.items()}
    for merge, height in enumerate(tree.merges[:, 2].tolist()):
        node = tree.leaves + merge
        if node in made:
            continue
        left, right = tree.children(node)
        if left in made and right in made:
            below = made[left], made[right]
            middle = (below[0].x + below[1].x) / 2
            made[node] = Branch(node, middle, height, int(kinds[node]), tree.size(node), below)
    return made[tree.leaves + len(tree.merges) - 1]


def _from_the_left(tree: Tree, ends: set[int]) -> Iterator[int]:
    """The *ends* in an order in which no two branches cross; the larger side first."""
    waiting = [tree.leaves + len(tree.merges) - 1]
    while waiting:
        node = waiting.pop()
        if node in ends:
            yield node
        else:
            waiting += sorted(tree.children(node), key=tree.size)


def dendrogram(given: Taxonomy) -> str:
    """The picture; empty where no event has a point."""
    cut = given.cut
    root = branches(cut.tree, kinds_below(cut, kind_of(given)))
    if root is None:
        return ""
    top = root.height or 1.0
    ends = [one for one in _all(root) if not one.children]
    step = (WIDTH - LEFT_PX - RIGHT_PX) / len(ends)

    def across(x: float) -> float:
        return LEFT_PX + (x + 0.5) * step

    def up(height: float) -> float:
        return TOP_PX + TREE_PX * (1 - height / top)

    parts = [*_axis(top, up), *_tree(root, across, up), *_ends(ends, across, step)]
    at = cut_height(cut)
    if at is not None:
        parts.append(line(LEFT_PX, up(at), WIDTH - RIGHT_PX, up(at), RULE, 1.5, "6 4"))
        parts.append(words(WIDTH - RIGHT_PX, up(at) - 5, f"cut at {at:.3g}", "end", RULE))
    return svg(TOP_PX + TREE_PX + FOOT_PX, parts, f"Tree of {cut.tree.leaves} events, cut into kinds")


def _all(root: Branch) -> Iterator[Branch]:
    waiting = [root]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.children


def _axis(top: float, up: Scale) -> Iterator[str]:
    power = 10.0 ** math.floor(math.log10(top / TICKS))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power * TICKS >= top)
    for tick in range(int(top / step) + 1):
        height = step * tick
        yield line(LEFT_PX, up(height), WIDTH - RIGHT_PX, up(height), GRID)
        yield words(LEFT_PX - 6, up(height) + 4, f"{height:.3g}", "end", QUIET)


def _tree(root: Branch, across: Scale, up: Scale) -> Iterator[str]:
    for one in _all(root):
        for child in one.children:
            colour = colour_of(child.kind)
            yield line(across(one.x), up(one.height), across(child.x), up(one.height), colour_of(one.kind), 1.5)
            yield line(across(child.x), up(one.height), across(child.x), up(child.height), colour, 1.5)


def _ends(ends: list[Branch], across: Scale, step: float) -> Iterator[str]:
    """Below each kind's branches its id, below others how many events they hold."""
    foot = TOP_PX + TREE_PX + FONT_PX + 3
    for kind, group in itertools.groupby(sorted(ends, key=lambda end: end.x), key=lambda end: end.kind):
        run = list(group)
        if kind < 0:
            for one in run:
                yield words(across(one.x), foot, f"{one.size}", "middle", QUIET)
            continue
        first, last = across(run[0].x) - 0.35 * step, across(run[-1].x) + 0.35 * step
        yield line(first, foot - 6, last, foot - 6, colour_of(kind), 4)
        yield words((first + last) / 2, foot + 13, f"{kind}", "middle", colour_of(kind), bold=True)
