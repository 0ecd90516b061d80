"""A side process as it runs, with those around it, and a subscriber of what it publishes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import zmq
from daemon_example import beat

from monitor import eventlog
from monitor.eventlog import EventRecord
from monitor.orders import Memory, Orders
from monitor.types import State

PATIENCE_S = 10.0


class Side:
    """A side process and those around it: the supervisor that starts it, the hot process that feeds it."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self.orders = given
        self.memory = memory
        self._events = 0
        self.state = State.OK  # of the hot process
        self._beating = threading.Event()
        self._stopped = threading.Event()
        self._beating.set()
        self._heart = threading.Thread(target=self._beat)
        self._heart.start()
        self.process: subprocess.Popen[bytes] | None = None

    def _beat(self) -> None:
        while not self._stopped.wait(0.05):
            if self._beating.is_set():
                beat(self.memory, time.monotonic_ns(), self.state)
                self.memory.vitals["permit_n"][0] += 1

    def hold_breath(self) -> None:
        self._beating.clear()

    def breathe(self) -> None:
        self._beating.set()

    def start(self, ready: bool = True, program: Sequence[str] = ("-m", "monitor.side")) -> "subprocess.Popen[bytes]":
        self.memory.vitals["side_beat_ns"][0] = 0
        process = subprocess.Popen(
            [sys.executable, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(self.orders.memory_fd, self.orders.wake_fd),
        )
        self.process = process
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self.orders))
        process.stdin.close()
        process.stdin = None
        if ready:
            wait_for(lambda: self.memory.vitals["side_beat_ns"][0] > 0 or process.poll() is not None)
            assert process.poll() is None, process.communicate()[1].decode()
        return process

    def tell(self, told: EventRecord) -> None:
        eventlog.append(self.memory.log, told)
        self.ring()

    def ring(self) -> None:
        os.eventfd_write(self.orders.wake_fd, 1)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    def stop(self) -> tuple[int, str, str]:
        assert self.process is not None
        self.process.terminate()
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()

    def close(self) -> None:
        self._stopped.set()
        self._heart.join()
        if self.process is not None and self.process.poll() is None:
            self.kill()


def wait_for(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Look at memory that another process writes until *holds*; nothing rings when it does."""
    never = threading.Event()
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        never.wait(0.005)


class Received(NamedTuple):
    topic: str
    body: dict[str, Any]


class Subscriber:
    """A real SUB socket that keeps all it hears."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)
        self.heard: list[Received] = []

    def joined(self) -> None:
        assert self._monitor.poll(int(PATIENCE_S * 1000)), "never connected"
        self._monitor.recv_multipart()

    def until(self, heard: Callable[[Received], bool]) -> Received:
        """The next message that is the one; all are kept."""
        deadline = time.monotonic() + PATIENCE_S
        while (left_s := deadline - time.monotonic()) > 0:
            if self._socket.poll(int(left_s * 1000)):
                topic, body = self._socket.recv_multipart()
                self.heard.append(Received(topic.decode(), msgspec.json.decode(body)))
                if heard(self.heard[-1]):
                    return self.heard[-1]
        raise AssertionError(f"not heard; only {self.heard}")

    def rest(self) -> list[dict[str, Any]]:
        """All alarms that were heard, with those that still wait at the socket."""
        while self._socket.poll(200):
            topic, body = self._socket.recv_multipart()
            self.heard.append(Received(topic.decode(), msgspec.json.decode(body)))
        return [told.body for told in self.heard if told.topic == "alarm.melt"]

    def alarm(self, rev: int) -> dict[str, Any]:
        return self.until(lambda told: told.topic == "alarm.melt" and told.body["rev"] == rev).body

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._context.destroy(0)
