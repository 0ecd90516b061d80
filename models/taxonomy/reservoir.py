"""Which items stay when there are more than may be kept: fair over kinds, and over time within each.

When an item is added and bounds on number or bytes are exceeded, the kind that takes most gives up one of its items: a
kind whose share is no more than the bound divided by the number of kinds never loses any, whatever floods in beside
it. Which item the kind gives up is drawn beforehand: each item has a lot between 0 and 1, made of the seed and its id,
and the lowest lot goes. So what a kind keeps is at every moment a fair sample of all that it ever had, old and new
alike (bottom-k sampling, Cohen and Kaplan 2007), but for what it gave up while other kinds needed the room.

Items that nobody has named yet are a kind of their own, UNNAMED. A sample of normal frames is a reservoir of its own,
with one kind.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

UNNAMED: Final = -1

MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Constants of SplitMix64 (Steele, Lea and Flood 2014): one draw from a number, without a state."""
MASK: Final = (1 << 64) - 1


class Bounds(NamedTuple):
    """What a reservoir may hold; 0 of either holds nothing."""

    items: int
    nbytes: int


class Item(NamedTuple):
    """Something kept elsewhere, such as an event with its frames."""

    id: int  # never given twice
    kind: int  # the nearest kind's id, or UNNAMED
    nbytes: int


class Reservoir(NamedTuple):
    bounds: Bounds
    seed: int = 0
    items: tuple[Item, ...] = ()  # as they came


class Usage(NamedTuple):
    """What a kind, or everything, takes."""

    items: int
    nbytes: int


def lot(seed: int, number: int) -> float:
    """A draw from 0 to 1 that is the same whenever it is made."""
    state = (number * MIX[0] + (seed + 1) * MIX[1]) & MASK
    state = ((state ^ (state >> 30)) * MIX[1]) & MASK
    state = ((state ^ (state >> 27)) * MIX[2]) & MASK
    return (state ^ (state >> 31)) / (MASK + 1)


def usage(reservoir: Reservoir) -> Usage:
    return Usage(len(reservoir.items), sum(item.nbytes for item in reservoir.items))


def by_kind(reservoir: Reservoir) -> dict[int, Usage]:
    """What each kind takes."""
    found: dict[int, Usage] = {}
    for item in reservoir.items:
        before = found.get(item.kind, Usage(0, 0))
        found[item.kind] = Usage(before.items + 1, before.nbytes + item.nbytes)
    return found


def add(reservoir: Reservoir, item: Item) -> tuple[Reservoir, tuple[int, ...]]:
    """*reservoir* with *item*, and the ids of what is dropped for it: none, one, or several small ones for a large one.

    The item itself is among those where its lot is the lowest of a kind that has to give. An item larger than the
    bound never stays. Raises ValueError for an id that is there, and for a size that is none.
    """
    if item.nbytes < 0:
        raise ValueError(f"item {item.id} of {item.nbytes} bytes: a size is 0 or more")
    if any(item.id == held.id for held in reservoir.items):
        raise ValueError(f"item {item.id} is held already: an id is given once")
    if reservoir.bounds.items < 1 or item.nbytes > reservoir.bounds.nbytes:
        return reservoir, (item.id,)
    return within_bounds(reservoir._replace(items=(*reservoir.items, item)))


def within_bounds(reservoir: Reservoir) -> tuple[Reservoir, tuple[int, ...]]:
    """*reservoir* less what its bounds do not allow, and the ids of that: also where bounds or kinds have changed."""
    dropped: list[int] = []
    while (many := _too_many(reservoir)) or _too_large(reservoir):
        takes = {kind: one.items if many else one.nbytes for kind, one in by_kind(reservoir).items()}
        most = max(takes.values())
        giving = (item for item in reservoir.items if takes[item.kind] == most)
        lowest = min(giving, key=lambda item: (lot(reservoir.seed, item.id), item.id)).id
        dropped.append(lowest)
        reservoir = without(reservoir, frozenset((lowest,)))
    return reservoir, tuple(dropped)


def _too_many(reservoir: Reservoir) -> bool:
    return len(reservoir.items) > reservoir.bounds.items


def _too_large(reservoir: Reservoir) -> bool:
    return usage(reservoir).nbytes > reservoir.bounds.nbytes


def renamed(reservoir: Reservoir, kinds: Mapping[int, int]) -> Reservoir:
    """*reservoir* with the kind that *kinds* gives by id; what it does not name is UNNAMED.

    Nothing is dropped: bounds hold whatever the kinds are.
    """
    items = tuple(item._replace(kind=kinds.get(item.id, UNNAMED)) for item in reservoir.items)
    return reservoir._replace(items=items)


def without(reservoir: Reservoir, ids: frozenset[int]) -> Reservoir:
    """*reservoir* less the items that somebody took out."""
    return reservoir._replace(items=tuple(item for item in reservoir.items if item.id not in ids))


def would_stay(reservoir: Reservoir, item: Item) -> bool:
    """Whether *item* would be kept, so that nothing is copied that is dropped at once."""
    return item.id not in add(reservoir, item)[1]
