"""What keys cost, and how soon one that is taken away is cut off: the table of docs/security.md.

    python -m tests.benchmarks.keyed_rate --seconds 3 --size 120

A producer process pushes frames of one byte a pixel flat out over loopback, without keys and with them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from monitor import keys
from monitor.broadcast import Broadcast
from monitor.doorkeeper import Doorkeeper
from monitor.keys import Pair

HWM = 1000


def produce(endpoint: str, folder: str, size: int) -> None:
    """Push messages until killed, with the key in *folder* where there is one."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.set_hwm(HWM)
    if folder:
        keys.use_as_client(
            socket, keys.read_secret(Path(folder, "camera.secret")), keys.read_public(Path(folder, "daemon.public"))
        )
    socket.connect(endpoint)
    pixels = os.urandom(size * size)
    while True:
        socket.send_multipart([b"cam", b"{" + b" " * 180 + b"}", pixels], copy=False)


def rate(folder: Path | None, own: Pair, clients: Path, size: int, seconds: float) -> tuple[float, float]:
    """Messages a second, and microseconds of this process's processor time for each."""
    context: zmq.Context[Any] = zmq.Context()
    socket: zmq.Socket[bytes] = context.socket(zmq.PULL)
    socket.set_hwm(HWM)
    keeper = Doorkeeper(context, own, clients) if folder else None
    admits = keeper.guard(socket, "input").admits if keeper else lambda frame: True
    socket.bind("tcp://127.0.0.1:*")
    arguments = [socket.getsockopt_string(zmq.LAST_ENDPOINT), str(folder or ""), str(size)]
    with subprocess.Popen([sys.executable, "-m", "tests.benchmarks.keyed_rate", "--produce", *arguments]) as producer:
        socket.poll()
        begun, used, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - begun < seconds:
            frame = socket.recv(copy=False)
            admits(frame)
            while frame.more:
                frame = socket.recv(copy=False)
            count += 1
        took, used = time.perf_counter() - begun, time.process_time() - used
        producer.kill()
    socket.close(0)
    if keeper:
        keeper.close()
    context.destroy(0)
    return count / took, used / count * 1e6


def cut_after(own: Pair, clients: Path, folder: Path) -> float:
    """Seconds from the removal of a key to the last message that its owner hears, of one a millisecond."""
    context: zmq.Context[Any] = zmq.Context()
    secret, public = keys.make("leaked", folder)
    os.replace(public, clients / public.name)
    keeper = Doorkeeper(context, own, clients)
    stage = Broadcast(context, "tcp://127.0.0.1:*", HWM, 0, "permit", keeper)
    thief: zmq.Socket[bytes] = context.socket(zmq.SUB)
    keys.use_as_client(thief, keys.read_secret(secret), own.public)
    thief.subscribe(b"")
    thief.connect(stage._socket.getsockopt_string(zmq.LAST_ENDPOINT))
    removed = heard = 0.0
    while not removed or time.perf_counter() - heard < 2.0:
        stage.send("permit.cam", b"x")
        if thief.poll(1):
            thief.recv_multipart()
            heard = time.perf_counter()
            if not removed:
                removed = heard
                (clients / public.name).unlink()
    secret.unlink()
    thief.close(0)
    stage.close(0)
    keeper.close()
    context.destroy(0)
    return heard - removed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--size", type=int, default=120)
    options.add_argument("--produce", nargs=3)
    given = options.parse_args()
    if given.produce:
        produce(given.produce[0], given.produce[1], int(given.produce[2]))
    with tempfile.TemporaryDirectory() as name:
        folder, clients = Path(name), Path(name, "clients")
        clients.mkdir()
        own = keys.read_secret(keys.make("daemon", folder)[0])
        _, public = keys.make("camera", folder)
        os.replace(public, clients / public.name)
        for what, held in (("without keys", None), ("with keys", folder)):
            found, used = rate(held, own, clients, given.size, given.seconds)
            print(f"{what:<13} {found:9.0f} messages/s  {used:6.1f} us of the receiver's processors")  # noqa: T201
        cuts = [cut_after(own, clients, folder) for _ in range(5)]
        print(f"cut off after {min(cuts):.2f} to {max(cuts):.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
