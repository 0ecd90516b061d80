"""What it costs to add a sample to a full reservoir, beside the plain definition of what stays:

    python -m tests.benchmarks.reservoir_cost

Microseconds of one thread each, the best of five rounds, and how many times as long the plain definition takes that
looks at every item (`tests/models/reservoir_reference.py`). Samples of 4 KiB, kinds alike in number.
"""

import sys
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Final

from models.taxonomy.reservoir import Bounds, Item, add, holding
from tests.models.reservoir_reference import Plain, added

SIZES: Final = ((2000, 1), (2000, 20), (5000, 20), (5000, 64))
"""Samples that there is room for, and kinds that share it."""

NBYTES: Final = 4096
ROUNDS: Final = 5


def microseconds(held: int, kinds: int) -> tuple[float, float]:
    """Of one item more in a reservoir that holds so many: as it is, and by the plain definition."""
    bounds = Bounds(held, held * NBYTES)
    items = tuple(Item(number, number % kinds, NBYTES) for number in range(held))
    numbers = count(held)

    def each(work: Callable[[Item], object], times: int) -> float:
        began = perf_counter()
        for number in (next(numbers) for _ in range(times)):
            work(Item(number, number % kinds, NBYTES))
        return 1e6 * (perf_counter() - began) / times

    reservoir, plain = holding(bounds, items), Plain(bounds, 0, items)
    ours = min(each(lambda item: add(reservoir, item), 500) for _ in range(ROUNDS))
    return ours, min(each(lambda item: added(plain, item), 3) for _ in range(ROUNDS))


def main() -> int:
    for held, kinds in SIZES:
        ours, theirs = microseconds(held, kinds)
        line = f"{held:,} samples of {kinds} kind(s): {ours:.0f} us; plainly {theirs:,.0f} us ({theirs / ours:.0f}x)\n"
        sys.stdout.write(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
