"""Kinds as a table of arrays, for who names events as they are raised."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.taxonomy.records import KindRow

Float32s = npt.NDArray[np.floating[Any]]

Write = Callable[[str, tuple[int, ...], tuple[str, ...], tuple[str | None, ...], Float32s, Float32s], None]
"""Takes the bundle's sha256, and of K kinds ids, names, priorities, centres (K, d) and radii (K,)."""


def publish(kinds: Iterable[KindRow], bundle: str, write: Write) -> None:
    """Hand those of *kinds* to *write* that events may be of, and whose centres are by the network of *bundle*.

    Living ones come first, then dormant ones where they last were, those first that were seen last: who has no room for
    all leaves out what has been gone for longest. A kind that was merged into another has no events of its own.
    """
    ours = [kind for kind in kinds if kind.bundle == bundle and kind.state != "merged"]
    ours.sort(key=lambda kind: (kind.state != "alive", 0 if kind.state == "alive" else -kind.last_t_ns, kind.id))
    write(
        bundle,
        tuple(kind.id for kind in ours),
        tuple(kind.name for kind in ours),
        tuple(kind.priority for kind in ours),
        np.array([kind.centre for kind in ours], np.float32).reshape(len(ours), -1 if ours else 0),
        np.array([kind.radius for kind in ours], np.float32),
    )
