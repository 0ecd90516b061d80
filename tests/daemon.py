"""A real daemon for tests: `framewatch run` in processes of its own, a camera that pushes, a subscriber."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec
import numpy as np
import pytest
import yaml
import zmq
from daemon_example import free_port
from prometheus_client.parser import text_string_to_metric_families

from monitor.alarms.alarm import Alarm
from monitor.status import Status
from monitor.voice import Heartbeat, Permit
from monitor.wire import native

CAMERA = "cam"
Lock = Callable[["zmq.Socket[bytes]"], None]
PATIENCE_S = 60.0  # how long anything may take on a loaded machine before a test fails


class Daemon:
    """Use as a context manager. Everything that it published is in `alarms`, `heartbeats` and `permits`.

    *lock* gives the subscriber its keys; *environment* is the daemon's besides this process's own.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Path | None,
        lock: Lock = lambda socket: None,
        environment: Mapping[str, str] = MappingProxyType({}),
        **sections: Any,
    ) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment}
        frames, alarms, permit, snapshot, page = (free_port() for _ in range(5))
        self.endpoint = f"tcp://127.0.0.1:{frames}"
        self.url = f"http://127.0.0.1:{page}"
        self._outputs = [f"tcp://127.0.0.1:{alarms}", f"tcp://127.0.0.1:{permit}"]
        self.snapshot = f"tcp://127.0.0.1:{snapshot}"
        given_input = {
            "endpoint": self.endpoint,
            "socket": "pull",
            "bind": True,
            "buffer_s": 4,
            **sections.pop("input", {}),
        }
        self.document = {
            "camera": CAMERA,
            "journal": str(folder / "journal.db"),
            "input": given_input,
            "outputs": {"alarms": self._outputs[0], "permit": self._outputs[1], "snapshot": self.snapshot},
            "http": {"port": page, **sections.pop("http", {})},
            **({"bundle": str(bundle)} if bundle else {}),
            **sections,
        }
        self.config = folder / "framewatch.yaml"
        self.config.write_text(yaml.safe_dump(self.document))
        self.log = folder / "daemon.log"
        self.alarms: list[Alarm] = []
        self.heartbeats: list[Heartbeat] = []
        self.permits: list[Permit] = []
        self._context: zmq.Context[Any] = zmq.Context()
        self._listener = self._context.socket(zmq.SUB)
        self._listener.subscribe(b"")
        lock(self._listener)
        for endpoint in self._outputs:
            self._listener.connect(endpoint)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self.heartbeats.clear()  # those of an earlier start say nothing of this one
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor.cli", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._context.destroy(linger=0)

    def listen(self, timeout_s: float = 0.1) -> None:
        """Take in what was published, waiting at most *timeout_s* for the first message."""
        while self._listener.poll(int(timeout_s * 1000)):
            topic, body = self._listener.recv_multipart()
            kind = topic.split(b".")[0]
            if kind == b"alarm":
                self.alarms.append(msgspec.json.decode(body, type=Alarm))
            elif kind == b"heartbeat":
                self.heartbeats.append(msgspec.json.decode(body, type=Heartbeat))
            else:
                self.permits.append(msgspec.json.decode(body, type=Permit))
            timeout_s = 0.0

    def wait_until(self, holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
        """Listen until *holds*; returns how long it took. Fails, with the log, where it never does."""
        begun = time.monotonic()
        while not holds():
            dead = self.process is not None and self.process.poll() is not None
            late = time.monotonic() - begun > patience_s
            if dead or late:
                pytest.fail(f"no {what}:\n{self.log.read_text()}")
            self.listen(0.05)
        return time.monotonic() - begun

    def wait_for_state(self, *states: str, patience_s: float = PATIENCE_S) -> float:
        return self.wait_until(
            lambda: bool(self.heartbeats) and self.heartbeats[-1].state in states, " or ".join(states), patience_s
        )

    def answers(self) -> bool:
        """Whether the page's port is open: the side process starts on its own, before or after the hot one is ready."""
        try:
            return self.get("/healthz")[0] == 200
        except urllib.error.URLError:
            return False

    def wait_until_listening(self) -> None:
        """Until the network is loaded and the camera's socket open: what is sent from now on is judged."""
        self.wait_until(self.answers, "page")
        self.wait_until(
            lambda: any(one.why.startswith("waiting") or one.state in ("ok", "blind") for one in self.heartbeats[-1:]),
            "open socket",
        )

    def wait_until_judged(self, announced: int) -> Status:
        """Until *announced* positions are accounted for and nothing is in flight."""

        def done() -> bool:
            if not self.answers():
                return False
            ledger = self.status().ledger
            return ledger.announced >= announced and ledger.in_flight == 0

        self.wait_until(done, f"account of {announced} frames")
        return self.status()

    def raised(self, *, service: bool = False) -> list[Alarm]:
        """The first revision of each alarm, without those about the service itself unless asked for."""
        about_service = {"blind", "stale", "uncalibrated", "degraded"}
        return [one for one in self.alarms if one.rev == 1 and (service or one.source not in about_service)]

    def last_of_each(self) -> dict[str, Alarm]:
        return {alarm.id: alarm for alarm in self.alarms}

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def status(self) -> Status:
        return msgspec.json.decode(self.get("/api/v1/status")[1], type=Status)

    def metrics(self) -> dict[tuple[str, ...], float]:
        """(name, label values except the camera's, sorted by label) -> value."""
        families = text_string_to_metric_families(self.get("/metrics")[1].decode())
        return {
            (sample.name, *(value for label, value in sorted(sample.labels.items()) if label != "camera")): sample.value
            for family in families
            for sample in family.samples
        }

    def ages(self) -> np.ndarray:
        """Frames by how soon they were judged, in the buckets of /metrics, cumulative: (buckets, 2)."""
        bucket = "framewatch_frame_age_seconds_bucket"
        return np.array(sorted((float(key[-1]), value) for key, value in self.metrics().items() if key[0] == bucket))

    def children(self, name: str) -> list[int]:
        """Process ids of the `hot` or the `side` processes that run now."""
        assert self.process is not None
        found = []
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError):  # it ended between the two looks
                if f"monitor.{name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
        return found

    def child(self, name: str) -> int:
        """Process id of the `hot` or the `side` process."""
        (pid,) = self.children(name)
        return pid

    def kill(self, name: str) -> None:
        os.kill(self.child(name), signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, what was said on the way out, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_S)
        self.listen()
        return status


def p99_ms(before: np.ndarray, after: np.ndarray) -> float:
    """Within how long 99 % of the frames were judged that were so between two looks at `Daemon.ages`."""
    counts = after[:, 1] - before[:, 1]
    return float(after[np.searchsorted(counts, 0.99 * counts[-1]), 0]) * 1e3


class Camera:
    """Pushes frames to a daemon as fast as it takes them. *lock* gives it its keys."""

    def __init__(
        self, endpoint: str, stream: str = "stream-1", camera: str = CAMERA, lock: Lock = lambda socket: None
    ) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        lock(self._socket)
        self._socket.connect(endpoint)
        self.stream = stream
        self.camera = camera
        self.seq = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=2000)

    def send(self, frames: np.ndarray, per_message: int = 16, **header: Any) -> None:
        for first in range(0, len(frames), per_message):
            piece = frames[first : first + per_message]
            self.send_parts(
                native.encode(self.camera, self.stream, self.seq, time.time_ns(), piece, dt_ns=1000, **header)
            )
            self.seq += len(piece)

    def keep_alive(self) -> None:
        self.send_parts(native.encode(self.camera, self.stream, self.seq, time.time_ns(), None))

    def send_parts(self, parts: Iterable[Any]) -> None:
        self._socket.send_multipart(list(parts))


class Stream(threading.Thread):
    """Sends *cycle* (n, h, w) again and again, as long as it is used as a context manager; `send` puts others between.

    The camera is this thread's alone meanwhile.
    """

    def __init__(self, camera: Camera, cycle: np.ndarray, rate_hz: float, per_message: int) -> None:
        super().__init__()
        self._camera, self._cycle = camera, cycle
        self._rate_hz, self._per_message = rate_hz, per_message
        self._given: list[np.ndarray] = []
        self._done = threading.Event()
        self.rounds = 0  # whole cycles that were sent

    def run(self) -> None:
        due_s, place = time.monotonic(), 0
        while not self._done.wait(max(0.0, due_s - time.monotonic())):
            if self._given:
                self._camera.send(self._given.pop(0), self._per_message)
            piece = self._cycle[place : place + self._per_message]
            self._camera.send(piece, self._per_message)
            place, due_s = place + len(piece), due_s + len(piece) / self._rate_hz
            if place == len(self._cycle):
                place, self.rounds = 0, self.rounds + 1

    def send(self, frames: np.ndarray) -> None:
        self._given.append(frames)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


class Lateness(threading.Thread):
    """Measures how much later than asked this machine wakes somebody up, as long as it is used as a context manager.

    What runs on a machine with more to do than it has cores waits for its turn, whatever a test is about.
    """

    def __init__(self) -> None:
        super().__init__()
        self._done = threading.Event()
        self._late_s = [0.0]

    def run(self) -> None:
        while True:
            due_s = time.monotonic() + 0.005
            if self._done.wait(0.005):
                return
            self._late_s.append(time.monotonic() - due_s)

    @property
    def p99_ms(self) -> float:
        return float(np.quantile(self._late_s, 0.99)) * 1e3

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
