"""The living kinds as a table of arrays, for who names events as they are raised."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.taxonomy.records import KindRow

Float32s = npt.NDArray[np.floating[Any]]

Write = Callable[[str, tuple[int, ...], tuple[str, ...], tuple[str | None, ...], Float32s, Float32s], None]
"""Takes the bundle's sha256, and of K kinds ids, names, priorities, centres (K, d) and radii (K,)."""


def publish(kinds: Iterable[KindRow], bundle: str, write: Write) -> None:
    """Hand the living ones of *kinds* whose centres are by the network of *bundle* to *write*."""
    living = [kind for kind in kinds if kind.state == "alive" and kind.bundle == bundle]
    centres = np.array([kind.centre for kind in living], np.float32).reshape(len(living), -1 if living else 0)
    write(
        bundle,
        tuple(kind.id for kind in living),
        tuple(kind.name for kind in living),
        tuple(kind.priority for kind in living),
        centres,
        np.array([kind.radius for kind in living], np.float32),
    )
