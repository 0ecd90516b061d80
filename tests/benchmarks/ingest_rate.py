"""What taking frames in costs, from the socket to the ring. `make ingest`, or with options:

    python -m tests.benchmarks.ingest_rate --seconds 2 --sizes 64 120 --frames 1 16

A producer process pushes messages flat out over a loopback socket into the daemon's own ingest, backlog and ring; what
waits is settled as if it were judged. Beside it, in the same run, the least that anyone must pay: receive, and copy the
pixels into an array. Processor time is that of the whole consumer, ZeroMQ's thread included.
"""

import argparse
import socket as socketlib
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import zmq

from monitor.backlog import Backlog
from monitor.ingest import Ingest, open_socket, receive
from monitor.ledger import Ledger, read
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.types import Admission
from monitor.wire.native import Decoder, WireLimits, encode

CAMERA = "cam"
RING_BYTES = 128 * 2**20
BANK = 64  # different messages: pixels that stay in the cache would be copied too cheaply
HWM = 1000
BATCH, MAX_WAIT_NS = 32, 2_000_000
SIZES = {64: "uint8", 96: "uint16", 120: "uint8"}


class Cost(NamedTuple):
    """Of one way to take frames in."""

    frames_per_s: float
    us_of_thread: float  # a frame, of the thread that receives
    us_of_process: float  # a frame


def produce(endpoint: str, side: int, dtype: str, per_message: int) -> None:
    """Push messages flat out until killed. Headers are cut from one: encoding them must not be the bottleneck."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 200, (BANK, per_message, side, side)).astype(dtype)
    camera, header, *_ = encode(CAMERA, "bench", 10**9, 0, frames[0], dt_ns=1000, context="hatch", job="job-1", layer=7)
    before, after = bytes(header).split(b"1000000000")
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.set_hwm(HWM)
    socket.connect(endpoint)
    buffers = [memoryview(one.reshape(-1)) for one in frames]
    number = 0
    while True:
        socket.send(camera, zmq.SNDMORE)
        socket.send(b"%b%d%b" % (before, number * per_message, after), zmq.SNDMORE)
        socket.send(buffers[number % BANK], copy=False)
        number += 1


@contextmanager
def camera(side: int, dtype: str, per_message: int) -> "Iterator[zmq.Socket[bytes]]":
    """A socket at which a producer process's messages arrive."""
    context: zmq.Context[Any] = zmq.Context()
    with socketlib.create_server(("127.0.0.1", 0)) as probe:
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    socket = open_socket(context, endpoint, "pull", True, CAMERA, HWM, 256 * 2**20)
    arguments = [endpoint, str(side), dtype, str(per_message)]
    producer = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.ingest_rate", "--produce", *arguments])
    try:
        socket.poll()
        yield socket
    finally:
        producer.kill()
        producer.wait()
        context.destroy(linger=0)


def measured(body: Callable[[], int], seconds: float, stop: Callable[[], None]) -> Cost:
    """*body* on this thread for *seconds*, until *stop* is called; it returns how many frames it took."""
    threading.Timer(seconds, stop).start()
    wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
    frames = max(body(), 1)
    wall, thread, process = (
        time.perf_counter() - wall,
        time.thread_time() - thread,
        time.process_time() - process,
    )
    return Cost(frames / wall, thread / frames * 1e6, process / frames * 1e6)


def least(side: int, dtype: str, per_message: int, seconds: float) -> Cost:
    """Receive, and copy the pixels into an array: nobody can do with less."""
    slots = slots_for(side, dtype) // per_message
    ring = np.zeros((slots, per_message * side * side), dtype)
    stopping = threading.Event()
    with camera(side, dtype, per_message) as socket:
        socket.setsockopt(zmq.RCVTIMEO, 50)

        def body() -> int:
            taken = 0
            while not stopping.is_set():
                ring[taken % slots] = np.frombuffer(socket.recv_multipart()[2], dtype)
                taken += 1
            return taken * per_message

        return measured(body, seconds, stopping.set)


def ours(side: int, dtype: str, per_message: int, seconds: float) -> Cost:
    """The daemon's own way from the socket to the ring."""
    fields = Ring.fields(slots_for(side, dtype), side, side, dtype), Ledger.fields()
    ring, account = lay_out(bytearray(size_of(*fields)), *fields)
    ring["pixels"][:] = 1  # no page of it is touched for the first time while it is measured
    backlog = Backlog(Ring(ring), Ledger(account), BATCH, MAX_WAIT_NS)
    admission = Admission(side, side, dtype, None, None)  # type: ignore[arg-type]  # one of the three
    ingest = Ingest(CAMERA, admission, WireLimits(), 10**9, backlog)
    stopping = threading.Event()
    with camera(side, dtype, per_message) as socket:
        engine = threading.Thread(target=settle, args=(backlog, stopping))
        engine.start()

        def body() -> int:
            receive(socket, ingest, stopping, time.monotonic_ns)
            return read(account).received

        cost = measured(body, seconds, stopping.set)
        engine.join()
    found = read(account)
    assert found.closes
    assert sum(found.rejected.values()) == 0
    return cost


def settle(backlog: Backlog, stopping: threading.Event) -> None:
    """An engine that looks at nothing."""
    while not stopping.is_set():
        claim = backlog.claim(time.monotonic_ns())
        if claim is None:
            backlog.wait(0.05)
        else:
            backlog.settle(*claim, claim[1] - claim[0], {})


def slots_for(side: int, dtype: str) -> int:
    return RING_BYTES // (side * side * np.dtype(dtype).itemsize)


def header_us() -> tuple[float, float]:
    """Microseconds to decode a message's header: like the one before it, and unlike it."""
    decode = Decoder(WireLimits())
    frame = np.zeros((64, 64), np.uint8)
    like, other = (
        [bytes(part) for part in encode(CAMERA, "bench", 10**9, 0, frame, context=context, job="job-1", layer=7)]
        for context in ("hatch", "contour")
    )

    def alternating() -> None:
        decode(like)
        decode(other)

    repeated = min(timeit.repeat(lambda: decode(like), number=20_000, repeat=5)) / 20_000
    changed = min(timeit.repeat(alternating, number=10_000, repeat=5)) / 20_000
    return repeated * 1e6, changed * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 16, 64], help="in a message")
    parser.add_argument("--produce", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.produce:
        endpoint, side, dtype, per_message = options.produce
        produce(endpoint, int(side), dtype, int(per_message))
    say = sys.stdout.write
    repeated, changed = header_us()
    say(f"header alone: {repeated:.2f} us like the one before it, {changed:.2f} us unlike it\n\n")
    say("| frames | a message | frames/s | us a frame, thread | whole process | least: frames/s | thread | process |\n")
    say("|---|---|---|---|---|---|---|---|\n")
    for side in options.sizes:
        for per_message in options.frames:
            dtype = SIZES[side]
            base, cost = (way(side, dtype, per_message, options.seconds) for way in (least, ours))
            say(
                f"| {side} px {dtype} | {per_message} | {cost.frames_per_s:,.0f} | {cost.us_of_thread:.2f} "
                f"| {cost.us_of_process:.2f} | {base.frames_per_s:,.0f} | {base.us_of_thread:.2f} "
                f"| {base.us_of_process:.2f} |\n"
            )


if __name__ == "__main__":
    main()
