"""Which items stay when there are more than may be kept: fair over kinds, and over time within each.

When an item is added and bounds on number or bytes are exceeded, the kind that takes most gives up one of its items: a
kind whose share is no more than the bound divided by the number of kinds never loses any, whatever floods in beside
it. Which item the kind gives up is drawn beforehand: each item has a lot between 0 and 1, made of the seed and its id,
and the lowest lot goes. So what a kind keeps is at every moment a fair sample of all that it ever had, old and new
alike (bottom-k sampling, Cohen and Kaplan 2007), but for what it gave up while other kinds needed the room.

Each kind's items lie in the order of their lots, so that what is to go stands first: to add one costs a look at each
kind, and a copy of what its own holds.

Items that nobody has named yet are a kind of their own, UNNAMED. A sample of normal frames is a reservoir of its own,
with one kind.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
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


class Usage(NamedTuple):
    """What a kind, or everything, takes."""

    items: int
    nbytes: int


class Drawn(NamedTuple):
    """An item of a kind, by its lot."""

    lot: float
    id: int
    nbytes: int


class Share(NamedTuple):
    """What a kind holds."""

    drawn: tuple[Drawn, ...]  # at least one, the lowest lot first
    usage: Usage


class Reservoir(NamedTuple):
    bounds: Bounds
    seed: int = 0
    shares: Mapping[int, Share] = MappingProxyType({})  # by kind

    @property
    def items(self) -> tuple[Item, ...]:
        """By id."""
        found = (Item(one.id, kind, one.nbytes) for kind, share in self.shares.items() for one in share.drawn)
        return tuple(sorted(found))


def lot(seed: int, number: int) -> float:
    """A draw from 0 to 1 that is the same whenever it is made."""
    state = (number * MIX[0] + (seed + 1) * MIX[1]) & MASK
    state = ((state ^ (state >> 30)) * MIX[1]) & MASK
    state = ((state ^ (state >> 27)) * MIX[2]) & MASK
    return (state ^ (state >> 31)) / (MASK + 1)


def holding(bounds: Bounds, items: Iterable[Item], seed: int = 0) -> Reservoir:
    """A reservoir of *items*, each with an id of its own, whatever its bounds."""
    kinds: dict[int, list[Drawn]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(Drawn(lot(seed, item.id), item.id, item.nbytes))
    return Reservoir(bounds, seed, {kind: _share(sorted(drawn)) for kind, drawn in kinds.items()})


def _share(drawn: Sequence[Drawn]) -> Share:
    return Share(tuple(drawn), Usage(len(drawn), sum(one.nbytes for one in drawn)))


def usage(reservoir: Reservoir) -> Usage:
    takes = [share.usage for share in reservoir.shares.values()]
    return Usage(sum(one.items for one in takes), sum(one.nbytes for one in takes))


def by_kind(reservoir: Reservoir) -> dict[int, Usage]:
    """What each kind takes."""
    return {kind: share.usage for kind, share in reservoir.shares.items()}


def add(reservoir: Reservoir, item: Item) -> tuple[Reservoir, tuple[int, ...]]:
    """*reservoir* with *item*, and the ids of what is dropped for it: none, one, or several small ones for a large one.

    The item itself is among those where its lot is the lowest of a kind that has to give. An item larger than the
    bound never stays. Raises ValueError for an id that is there, and for a size that is none.
    """
    if item.nbytes < 0:
        raise ValueError(f"item {item.id} of {item.nbytes} bytes: a size is 0 or more")
    one = Drawn(lot(reservoir.seed, item.id), item.id, item.nbytes)
    if _is_held(reservoir, one):
        raise ValueError(f"item {item.id} is held already: an id is given once")
    if reservoir.bounds.items < 1 or item.nbytes > reservoir.bounds.nbytes:
        return reservoir, (item.id,)
    held = reservoir.shares.get(item.kind, Share((), Usage(0, 0)))
    drawn = list(held.drawn)
    insort(drawn, one)
    share = Share(tuple(drawn), Usage(held.usage.items + 1, held.usage.nbytes + item.nbytes))
    return within_bounds(reservoir._replace(shares={**reservoir.shares, item.kind: share}))


def _is_held(reservoir: Reservoir, wanted: Drawn) -> bool:
    """Whether there is an item of the *wanted* id, of whatever kind and size: it has the same lot."""
    first = wanted._replace(nbytes=0)
    places = ((share.drawn, bisect_left(share.drawn, first)) for share in reservoir.shares.values())
    return any(at < len(drawn) and drawn[at].id == wanted.id for drawn, at in places)


def within_bounds(reservoir: Reservoir) -> tuple[Reservoir, tuple[int, ...]]:
    """*reservoir* less what its bounds do not allow, and the ids of that: also where bounds or kinds have changed."""
    bounds, whole = reservoir.bounds, usage(reservoir)
    shares, dropped = dict(reservoir.shares), list[int]()
    while (many := whole.items > bounds.items) or whole.nbytes > bounds.nbytes:
        takes = {kind: one.usage.items if many else one.usage.nbytes for kind, one in shares.items()}
        most = max(takes.values())
        lowest, kind = min((shares[kind].drawn[0], kind) for kind, taken in takes.items() if taken == most)
        dropped.append(lowest.id)
        whole = _less(whole, lowest)
        shares[kind] = Share(shares[kind].drawn[1:], _less(shares[kind].usage, lowest))
        if not shares[kind].drawn:
            del shares[kind]
    return reservoir._replace(shares=shares), tuple(dropped)


def _less(usage: Usage, one: Drawn) -> Usage:
    return Usage(usage.items - 1, usage.nbytes - one.nbytes)


def renamed(reservoir: Reservoir, kinds: Mapping[int, int]) -> Reservoir:
    """*reservoir* with the kind that *kinds* gives by id; what it does not name is UNNAMED.

    Nothing is dropped: bounds hold whatever the kinds are.
    """
    items = (item._replace(kind=kinds.get(item.id, UNNAMED)) for item in reservoir.items)
    return holding(reservoir.bounds, items, reservoir.seed)


def without(reservoir: Reservoir, ids: frozenset[int]) -> Reservoir:
    """*reservoir* less the items that somebody took out."""
    left = (item for item in reservoir.items if item.id not in ids)
    return holding(reservoir.bounds, left, reservoir.seed)


def would_stay(reservoir: Reservoir, item: Item) -> bool:
    """Whether *item* would be kept, so that nothing is copied that is dropped at once."""
    return item.id not in add(reservoir, item)[1]
