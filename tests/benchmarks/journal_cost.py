"""What a large journal costs whoever reads it or acknowledges all of it, beside writing one alarm:

    python -m tests.benchmarks.journal_cost --alarms 10000 --alarms 100000

Each alarm is raised, cleared, and acknowledged by nobody. Times are of one run on the disk of the system's temporary
folder, with no daemon; ratios are over the median of commits of a single alarm in the same run.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from monitor.alarms.acts import AcknowledgeAll
from monitor.alarms.figures import figures
from monitor.config import Config, Http
from monitor.eventlog import EventRecord
from monitor.journal.reader import Reader
from monitor.journal.reading import Wanted
from monitor.journal.store import Journal
from monitor.operators.reach import do_all
from tests.monitor.alarm_example import changes_of, written

AT_ONCE = 1000
NOBODY = 1  # a port that no daemon answers at: the journal itself is written
COMMITS = 50
BEGAN_NS = 1_795_000_000 * 10**9
APART_NS = 10_000_000


def events(first: int, count: int) -> list[EventRecord]:
    """So many events that have begun and ended, numbered from *first* on."""
    found = []
    for number in range(first, first + count):
        for phase in ("began", "ended"):
            t_ns = BEGAN_NS + number * APART_NS
            found.append(EventRecord(phase, "epoch", number, "t2", t_ns, job=f"part {number // 1000}"))  # type: ignore[arg-type]  # of a phase
    return found


def fill(journal: Journal, count: int) -> float:
    """Write *count* alarms; seconds of the median commit of a single one, after all the others."""
    for first in range(0, count - COMMITS, AT_ONCE):
        journal.commit(written(changes_of(*events(first, min(AT_ONCE, count - COMMITS - first))), 0))
    singles = []
    for number in range(count - COMMITS, count):
        one = written(changes_of(*events(number, 1)), 0)
        singles.append(seconds(lambda one=one: journal.commit(one)))  # type: ignore[misc]  # bound at once
    return statistics.median(singles)


def seconds(what: Callable[[], object]) -> float:
    """How long *what* takes."""
    began_s = time.perf_counter()
    what()
    return time.perf_counter() - began_s


def measure(count: int, folder: Path) -> dict[str, float]:
    """Seconds of each step over a journal of *count* alarms, by its name."""
    config = Config(camera="melt", journal=str(folder / "journal.db"), http=Http(port=NOBODY))
    journal = Journal(Path(config.journal), config.camera)
    found = {"commit of one alarm": fill(journal, count)}
    journal.close()
    reader = Reader(Path(config.journal), config.camera)
    last_ns = BEGAN_NS + count * APART_NS
    found["the latest 50, and how many wait"] = seconds(
        lambda: (reader.alarms(50), reader.count(Wanted()), reader.count(Wanted("unacknowledged")))
    )
    found["figures of all"] = seconds(lambda: figures(reader.lived(0, last_ns), 0, last_ns))
    found["those that touch the minutes after them"] = seconds(lambda: reader.touching(last_ns, last_ns * 2, 500))
    found["those that touch the middle"] = seconds(lambda: reader.touching(BEGAN_NS, (BEGAN_NS + last_ns) // 2, 500))
    job = f"part {count // 2000}"
    found["of a job of 1000, by layer, and all after"] = seconds(
        lambda: reader.by_layer(job, BEGAN_NS + count // 2 * APART_NS, ())
    )
    newest = reader.alarms(1)[0].id
    reader.close()
    found["acknowledge all, without a daemon"] = seconds(lambda: do_all(config, None, AcknowledgeAll("ann", newest)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms", type=int, action="append", help="in the journal (default: 10,000 and 100,000)")
    for count in parser.parse_args().alarms or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(count, Path(folder))
        single = found["commit of one alarm"]
        sys.stdout.write(f"{count:,} alarms\n")
        for name, took_s in found.items():
            sys.stdout.write(f"  {name:<42} {took_s * 1e3:10.1f} ms {took_s / single:10.1f} x\n")


if __name__ == "__main__":
    main()
