"""Figures of clusterings as markdown."""

from collections.abc import Sequence

import numpy as np

from tests.benchmarks.document import table
from tests.benchmarks.kinds.found import METHODS, Found

HEADER = ("data", "crops", "embedding", *(f"{method}: ARI, NMI" for method in METHODS))


def table_of(found: Sequence[Found]) -> str:
    """A row for each data set, way of showing it and embedding; in each cell ARI with its range over seeds, and NMI."""
    rows = list(dict.fromkeys((one.data, one.crops, one.embedding) for one in found))
    return table(HEADER, [[*row, *(_cell(found, row, method) for method in METHODS)] for row in rows])


def _cell(found: Sequence[Found], row: tuple[str, str, str], method: str) -> str:
    chosen = [one for one in found if (one.data, one.crops, one.embedding) == row and one.method == method]
    if not chosen:
        return ""
    ari, nmi = np.array([one.ari for one in chosen]), np.array([one.nmi for one in chosen])
    # `z` in a format: nothing is written as -0.00.
    return f"{ari.mean():z.2f} ({ari.min():z.2f} to {ari.max():z.2f}), {nmi.mean():z.2f}"
