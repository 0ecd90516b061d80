"""The living kinds as a table of arrays, for who names events as they are raised."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.taxonomy.records import KindRow

Float32s = npt.NDArray[np.floating[Any]]

Write = Callable[[str, tuple[int, ...], tuple[str, ...], tuple[str | None, ...], Float32s, Float32s], None]
"""Takes the space, and of K kinds ids, names, priorities, centres (K, d) and radii (K,)."""


def living_in(space: str, kinds: Iterable[KindRow]) -> list[KindRow]:
    """The living ones of *kinds* whose centres are in *space*."""
    return [kind for kind in kinds if kind.state == "alive" and kind.space == space]


def publish(kinds: Iterable[KindRow], space: str, write: Write, *, centres: bool = True) -> None:
    """Hand the living ones of *kinds* whose centres are in *space* to *write*.

    Without *centres* their names and priorities alone: who names events then has the kinds from elsewhere.
    """
    living = living_in(space, kinds)
    places = [kind.centre if centres else kind.centre[:0] for kind in living]
    write(
        space,
        tuple(kind.id for kind in living),
        tuple(kind.name for kind in living),
        tuple(kind.priority for kind in living),
        np.array(places, np.float32).reshape(len(living), -1 if living and centres else 0),
        np.array([kind.radius for kind in living], np.float32),
    )
