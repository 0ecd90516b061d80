"""What it costs to follow judged frames for the page: `python -m tests.benchmarks.follow_cost [--rate 120000]`.

Fills the records of a ring as at so many frames a second, of a job with positions whose layer changes now and then, and
has the follower look ten times for each second. Prints the processor time for a thousand frames, for messages of some
sizes, with one set of limits and with limits by context: median and 90 % of the looks. No pixel is touched.
"""

import argparse
import sys
import time

import numpy as np

from monitor.history.follower import PERIOD_S, Follower
from monitor.ledger import Ledger
from monitor.orders import BundleFacts, Memory
from monitor.ring import SCORES, Ring
from monitor.shared import lay_out, size_of

LIMITS = {"t2": 50.0, "s2": 3.0, "offset": 3.0, "local": 4.0, "mewma": 5.0}
LOOKS = 100
LOOKS_A_LAYER = 20
BATCH = 64


def looks(frames: int, per_message: int, *, contexts: bool) -> np.ndarray:
    """Processor time of each look (n,) at *frames* more, in seconds."""
    parts = (Ledger.fields(), Ring.fields(10 * frames, 2, 2, "uint8"))
    ledger, arrays = lay_out(bytearray(size_of(*parts)), *parts)
    records, rng = arrays["records"], np.random.default_rng(0)
    own = {"hatch": LIMITS} if contexts else {}
    memory = Memory({}, ledger, {}, {}, {}, {}, arrays)
    follower = Follower(BundleFacts("", LIMITS, extrapolated=False, created_ns=0, own_limits=own), memory)
    ring, now_ns, took = Ring(arrays), time.monotonic_ns(), []
    for look in range(LOOKS):
        lo, _ = ring.reserve(frames)
        at = np.arange(lo, lo + frames)
        slots = at % ring.slots
        records["seq"][slots], records["received_ns"][slots] = at, at // per_message
        records["judged_ns"][slots] = now_ns + np.arange(frames) // BATCH * BATCH * round(PERIOD_S * 1e9 / frames)
        records["layer"][slots], records["job"][slots] = look // LOOKS_A_LAYER, b"job"
        records["context"][slots] = b"hatch"
        records["xy"][slots, 0], records["xy"][slots, 1] = at * 1e-3 % 10, at * 1e-3 // 10 * 0.1
        for chart in SCORES:
            records[chart][slots] = rng.random(frames)
        ring.commit(lo + frames)
        now_ns += round(PERIOD_S * 1e9)
        began_s = time.thread_time()
        follower.step(now_ns)
        took.append(time.thread_time() - began_s)
    return np.array(took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=120_000.0, help="frames a second")
    options = parser.parse_args()
    frames = max(1, round(options.rate * PERIOD_S))
    say = sys.stdout.write
    say(f"{options.rate:,.0f} frames/s, {frames:,} a look\n\n")
    say("| frames a message | limits by context | us a thousand, median | 90 % | cores |\n|---|---|---|---|---|\n")
    for per_message in (64, 16, 1):
        for contexts in (False, True):
            took = looks(frames, per_message, contexts=contexts)
            median, high = np.quantile(took, (0.5, 0.9)) / frames * 1e9
            cores = float(np.median(took)) / PERIOD_S
            say(f"| {per_message} | {'yes' if contexts else 'no'} | {median:.0f} | {high:.0f} | {cores:.4f} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
