"""The definition of what a reservoir keeps, as plainly as it can be said: each item that comes has all looked at."""

from typing import NamedTuple

from models.taxonomy.reservoir import Bounds, Item, Usage, lot


class Plain(NamedTuple):
    bounds: Bounds
    seed: int = 0
    items: tuple[Item, ...] = ()  # as they came


def added(plain: Plain, item: Item) -> tuple[Plain, tuple[int, ...]]:
    """*plain* with *item*, and the ids of what is dropped for it."""
    if any(item.id == held.id for held in plain.items):
        raise ValueError(f"item {item.id} is held already")
    if plain.bounds.items < 1 or item.nbytes > plain.bounds.nbytes:
        return plain, (item.id,)
    return bounded(plain._replace(items=(*plain.items, item)))


def bounded(plain: Plain) -> tuple[Plain, tuple[int, ...]]:
    """While there is too much, the kind that takes most gives up its lowest lot; alike, the lowest of them all."""
    dropped: list[int] = []
    while (many := len(plain.items) > plain.bounds.items) or _nbytes(plain) > plain.bounds.nbytes:
        takes = {kind: one.items if many else one.nbytes for kind, one in _by_kind(plain).items()}
        most = max(takes.values())
        giving = (item for item in plain.items if takes[item.kind] == most)
        lowest = min(giving, key=lambda item: (lot(plain.seed, item.id), item.id)).id
        dropped.append(lowest)
        plain = plain._replace(items=tuple(item for item in plain.items if item.id != lowest))
    return plain, tuple(dropped)


def _nbytes(plain: Plain) -> int:
    return sum(item.nbytes for item in plain.items)


def _by_kind(plain: Plain) -> dict[int, Usage]:
    found: dict[int, Usage] = {}
    for item in plain.items:
        before = found.get(item.kind, Usage(0, 0))
        found[item.kind] = Usage(before.items + 1, before.nbytes + item.nbytes)
    return found
