"""How soon a change of the permit in the judging process is at an MQTT subscriber: the table of docs/sinks.md.

    python -m tests.benchmarks.permit_sinks --changes 400

A real side process and a real mosquitto. This process is the judging one: it changes the permit in shared memory at
moments that follow no beat, and rings the bell at every other change only. Without the bell the side process finds the
change when it next looks, ten times a second.
"""

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import paho.mqtt.client as paho

from monitor import service
from monitor.bench.daemon import free_ports
from monitor.config import Config, Http, Outputs
from monitor.orders import Memory, open_memory
from monitor.sinks.config import Mqtt, Sinks
from monitor.types import State
from monitor.vitals import STATES
from monitor.voice import Permit

SEARCHED = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
PATIENCE_S = 10.0
BEAT_S = 0.05


class Subscriber:
    """Notes when it has heard each permit for the first time, by its number."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe("framewatch/+/permit", qos=1)
        self._heard = threading.Condition()
        self._at_ns: dict[int, int] = {}
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        at_ns, number = time.monotonic_ns(), msgspec.json.decode(message.payload, type=Permit).n
        with self._heard:
            self._at_ns.setdefault(number, at_ns)
            self._heard.notify_all()

    def heard_ns(self, number: int) -> int:
        """When permit *number* was there (monotonic)."""
        with self._heard:
            assert self._heard.wait_for(lambda: number in self._at_ns, PATIENCE_S), f"permit {number} was not heard"
            return self._at_ns[number]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Judging:
    """The part of the judging process that speaks: a beat of its own, and the permit."""

    def __init__(self, memory: Memory, wake_fd: int) -> None:
        self._board, self._wake_fd = memory.vitals, wake_fd
        self._board["state"][0] = STATES.index(State.OK)
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._move)
        self._beat.start()

    def _move(self) -> None:
        while not self._stop.wait(BEAT_S):
            self._board["hot_beat_ns"][0] = time.monotonic_ns()

    def change(self, number: int, ring: bool) -> int:
        """Give or withhold the permit, as *number* is even or odd; when (monotonic)."""
        at_ns = time.monotonic_ns()
        self._board["permit"][0] = number % 2 == 0
        self._board["permit_n"][0] = number
        if ring:
            os.eventfd_write(self._wake_fd, 1)
        return at_ns

    def close(self) -> None:
        self._stop.set()
        self._beat.join()


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    program = shutil.which("mosquitto", path=SEARCHED)
    assert program, "needs mosquitto; on Debian and Ubuntu: apt-get install mosquitto"
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    with subprocess.Popen([program, "-c", str(file)], stderr=subprocess.DEVNULL) as process:
        try:
            end_s = time.monotonic() + PATIENCE_S
            while socket.socket().connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < end_s, "the broker did not start"
                time.sleep(0.01)
            yield
        finally:
            process.terminate()


def delays_ms(changes: int, seed: int) -> dict[bool, list[float]]:
    """Milliseconds from each change to the subscriber, without the bell and with it."""
    with tempfile.TemporaryDirectory() as name:
        folder, (http, alarms, permit, mqtt) = Path(name), free_ports(4)
        config = Config(
            journal=str(folder / "journal.db"),
            http=Http(port=http),
            outputs=Outputs(f"tcp://127.0.0.1:{alarms}", f"tcp://127.0.0.1:{permit}"),
            sinks=Sinks(mqtt=(Mqtt(name="hall", host="127.0.0.1", port=mqtt),)),
        )
        orders = service.prepare(config, "benchmark", None)
        judging = Judging(open_memory(orders), orders.wake_fd)
        side = service.Child("side", orders, {})
        with broker(folder, mqtt):
            subscriber = Subscriber(mqtt)
            side.start(time.monotonic())
            try:
                return _measured(judging, subscriber, changes, random.Random(seed))
            finally:
                side.stop(service.SIDE_STOP_S)
                judging.close()
                subscriber.close()


def _measured(judging: Judging, subscriber: Subscriber, changes: int, chance: random.Random) -> dict[bool, list[float]]:
    found: dict[bool, list[float]] = {False: [], True: []}
    judging.change(0, ring=True)
    subscriber.heard_ns(0)
    for number in range(1, changes + 1):
        time.sleep(chance.uniform(0.15, 0.25))
        ring = chance.random() < 0.5
        at_ns = judging.change(number, ring)
        found[ring].append((subscriber.heard_ns(number) - at_ns) / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for ring, found in delays_ms(options.changes, options.seed).items():
        p50, p99 = np.quantile(found, [0.5, 0.99])
        name = f"{'with the bell' if ring else 'without it':<14} {len(found):>4} changes"
        sys.stdout.write(f"{name}: p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, at most {max(found):6.1f} ms\n")


if __name__ == "__main__":
    main()
