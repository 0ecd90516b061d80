"""A grouping as the side process has it done, from its start to its end: a process of its own for the benchmark.

It loads next to nothing, since the most memory of a child (ru_maxrss) is never less than its parent's was.
"""

import resource
import sys
import time
from contextlib import closing
from typing import Final

import msgspec

from monitor.taxonomy.launcher import Launcher, Task

LOOK_S: Final = 0.02


class Whole(msgspec.Struct, frozen=True):
    """What the whole process took."""

    wall_s: float
    cpu_s: float
    mib: float  # at the most


def whole(task: Task) -> Whole:
    began = time.monotonic()
    with closing(Launcher(task)) as launcher:
        launcher.start(0)
        while (finished := launcher.look(0)) is None:
            time.sleep(LOOK_S)
    if finished.why:
        raise SystemExit(finished.why)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Whole(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(whole(msgspec.json.decode(sys.stdin.buffer.read(), type=Task))))
