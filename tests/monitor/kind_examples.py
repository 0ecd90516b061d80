"""Tables of kinds in shared memory of their own."""

import numpy as np

from monitor.shared import Arrays, lay_out, size_of
from monitor.taxonomy import table as tables
from monitor.taxonomy.table import Table

BUNDLE = "ab" * 32


def shared_kinds() -> Arrays:
    (arrays,) = lay_out(bytearray(size_of(tables.fields())), tables.fields())
    return arrays


def some_table(count: int = 2, coordinates: int = 5, fill: float = 1.0, bundle: str = BUNDLE) -> Table:
    """Kinds 1, 2, ..., of which every other has a name and a priority; all numbers are *fill*."""
    return Table(
        bundle,
        tuple(range(1, count + 1)),
        tuple("" if index % 2 else f"splash {fill:g}" for index in range(count)),
        tuple(None if index % 2 else "high" for index in range(count)),
        np.full((count, coordinates), fill, np.float32),
        np.full(count, fill),
    )


def same(one: Table, other: Table) -> bool:
    """Whether both say the same."""
    return one[:4] == other[:4] and all(map(np.array_equal, one[4:], other[4:]))
