"""The judging process as it is put together, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from monitor.bench.subject import trained

MEETS_NEW_LOOPS = """
import gc, itertools, sys, time
import numpy as np, zmq
from numba.core.dispatcher import Dispatcher
from frames import normal
from monitor import bundle as bundles, hot, orders, service
from models.taxonomy.embedding import dimensions
from monitor import eventlog
from monitor.config import Config, Engine, Input, Outputs
from monitor.taxonomy import table
from monitor.voice import Voice
from monitor.watch import Watch
from monitor.wire.native import encode

bundle = bundles.read(hot.Path(sys.argv[1]))
config = Config(camera="cam", bundle=sys.argv[1], engine=Engine(threads=int(sys.argv[2])), input=Input(rate_hz=500.0))
given = service.prepare(config, "test", bundle)
memory = orders.open_memory(given)
voice = Voice(zmq.Context(), "inproc://voice", "cam")
watch = Watch(config, memory, bundle.manifest, "epoch", voice, time.monotonic_ns, time.time_ns)
engine, ingest, backlog = hot._build(given, memory, bundle, "epoch", watch)[:3]

def ways():
    return {(one.py_func.__module__, one.py_func.__qualname__, str(way))
            for one in gc.get_objects() if isinstance(one, Dispatcher) for way in one.signatures}

parts = engine._judge.scorer.parts
placed = parts.preparation.alignment is not None
centres = np.zeros((1, dimensions(parts.architecture.latent, *parts.preparation.size, placed=placed)), np.float32)
table.write(memory.kinds, table.Table(bundle.sha256, (5,), ("splash",), (None,), centres, np.array([9.0])))
known, seq = ways(), itertools.count()
pixels = normal(150, 1)
for stream, first, count, active in (
    ("one", 0, 1, True), ("one", 1, 5, True), ("one", 6, 3, False), ("one", 9, 90, True), ("two", 99, 40, True)
):
    frames = pixels[first : first + count].copy()
    if count > 3:
        frames[2] = 0  # a camera fault
        frames[3, 4:12, 4:12] = 255  # an anomaly
    parts = encode("cam", stream, first, time.time_ns(), frames, dt_ns=2_000_000, active=active, end=count == 90)
    ingest.take(parts, time.monotonic_ns())
    while (claim := backlog.claim(time.monotonic_ns() + 10**9)) is not None:
        engine.judge_batch(*claim)
        engine._witness.turn(time.monotonic_ns() + 10**9, time.time_ns())
engine._witness.finish(time.time_ns())
assert backlog.ledger.judged > 120, backlog.ledger.judged
named = [one.kind.name for one in eventlog.read(memory.log, 0)[0] if one.kind is not None]
assert set(named) == {"splash"}, "an event was named, and no camera fault"
print(len(known), any(slow in sys.modules for slow in ("torch", "sklearn", "scipy.optimize")), sorted(ways() - known))
"""


TESTS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}


def test_the_first_frames_meet_no_loop_that_is_still_to_be_compiled_and_torch_is_not_waited_for(tmp_path: Path) -> None:
    bundle = trained(tmp_path, 32, "uint8", 500.0)  # by budget, with a memory: all that can be judged is
    for threads in ("1", "2"):
        command = [sys.executable, "-c", MEETS_NEW_LOOPS, str(bundle.path), threads]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
        known, torch, new = told.strip().split(" ", 2)
        assert int(known) > 10
        assert (torch, new) == ("False", "[]")
