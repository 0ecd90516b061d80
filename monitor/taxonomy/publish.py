"""Kinds as a table of arrays, for who names events as they are raised."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.taxonomy.records import KindRow

Float32s = npt.NDArray[np.floating[Any]]

Write = Callable[[str, tuple[int, ...], tuple[str, ...], tuple[str | None, ...], Float32s, Float32s], None]
"""Takes the space, and of K kinds ids, names, priorities, centres (K, d) and radii (K,)."""


def nameable(space: str, kinds: Iterable[KindRow]) -> list[KindRow]:
    """Those of *kinds* that events may be of, and whose centres are in *space*.

    Living ones come first, then dormant ones where they last were, those first that were seen last: who has no room for
    all leaves out what has been gone for longest. A kind that was merged into another has no events of its own.
    """
    ours = [kind for kind in kinds if kind.space == space and kind.state != "merged"]
    return sorted(ours, key=lambda one: (one.state != "alive", 0 if one.state == "alive" else -one.last_t_ns, one.id))


def publish(kinds: Iterable[KindRow], space: str, write: Write, *, centres: bool = True) -> None:
    """Hand those of *kinds* to *write* that events may be of, and whose centres are in *space*: see `nameable`.

    Without *centres* their names and priorities alone: who names events then has the kinds from elsewhere.
    """
    ours = nameable(space, kinds)
    places = [kind.centre if centres else kind.centre[:0] for kind in ours]
    write(
        space,
        tuple(kind.id for kind in ours),
        tuple(kind.name for kind in ours),
        tuple(kind.priority for kind in ours),
        np.array(places, np.float32).reshape(len(ours), -1 if ours and centres else 0),
        np.array([kind.radius for kind in ours], np.float32),
    )
