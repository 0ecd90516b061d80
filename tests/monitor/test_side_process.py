"""The side process as it runs: real shared memory, a real socket and a real file, and what stops it at the start."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import zmq
from daemon_example import beat, record, some_config, some_orders

from monitor import eventlog
from monitor.config import Config
from monitor.eventlog import EventRecord
from monitor.journal.store import Journal
from monitor.orders import Memory, Orders
from monitor.status import LOST_WHY

PATIENCE_S = 10.0


class Side:
    """A side process and those around it: the supervisor that starts it, the hot process that feeds it."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self.orders = given
        self.memory = memory
        self._events = 0
        self._beating = threading.Event()
        self._stopped = threading.Event()
        self._beating.set()
        self._heart = threading.Thread(target=self._beat)
        self._heart.start()
        self.process: subprocess.Popen[bytes] | None = None

    def _beat(self) -> None:
        while not self._stopped.wait(0.05):
            if self._beating.is_set():
                beat(self.memory, time.monotonic_ns())

    def hold_breath(self) -> None:
        self._beating.clear()

    def breathe(self) -> None:
        self._beating.set()

    def start(self, ready: bool = True) -> "subprocess.Popen[bytes]":
        self.memory.vitals["side_beat_ns"][0] = 0
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor.side"],
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

    def alarm(self, rev: int) -> dict[str, Any]:
        return self.until(lambda told: told.topic == "alarm.melt" and told.body["rev"] == rev).body

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._context.destroy(0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


@pytest.fixture
def side(config: Config) -> Iterator[Side]:
    with some_orders(config) as (given, memory):
        made = Side(given, memory)
        yield made
        made.close()


@pytest.fixture
def subscriber(config: Config) -> Iterator[Subscriber]:
    made = Subscriber(config.outputs.alarms)
    yield made
    made.close()


class TestProcess:
    def test_an_event_is_heard_and_journalled_and_the_process_leaves_in_order(
        self, side: Side, subscriber: Subscriber, config: Config
    ) -> None:
        process = side.start()
        subscriber.joined()
        side.tell(record("began"))
        raised = subscriber.alarm(rev=1)
        wait_for(lambda: side.memory.vitals["active_alarms"][0] == 1)
        assert int(side.memory.vitals["side_pid"][0]) == process.pid

        with httpx.Client(base_url=f"http://127.0.0.1:{config.http.port}", trust_env=False) as http:
            assert http.get("/healthz").text == "alive"
            assert http.get("/readyz").status_code == 200
            assert [alarm["id"] for alarm in http.get("/api/v1/alarms?state=active").json()["alarms"]] == [raised["id"]]
            assert (
                'framewatch_alarms_total{camera="melt",priority="medium",source="t2"} 1.0' in http.get("/metrics").text
            )
            assert "<!doctype html>" in http.get("/").text

        side.tell(record("ended", last_seq=30, frames_over=9))
        assert side.stop() == (0, "", "")
        cleared = subscriber.alarm(rev=2)
        assert (cleared["id"], cleared["state"], cleared["frames_over"]) == (raised["id"], "cleared", 9)
        journal = Journal(Path(config.journal), config.camera)
        assert [told.alarm.rev for told in journal.changes(raised["id"])] == [1, 2]
        journal.close()

    def test_killed_between_records_it_loses_nothing_and_raises_nothing_twice(
        self, side: Side, subscriber: Subscriber, config: Config
    ) -> None:
        side.start()
        subscriber.joined()
        side.tell(record("began", event=1))
        subscriber.alarm(rev=1)
        side.tell(record("began", event=2))
        side.kill()  # it may or may not have read the second one
        side.tell(record("grew", event=1, last_seq=20, frames_over=6))
        side.start()
        side.tell(record("ended", event=1, last_seq=21, frames_over=7))
        subscriber.alarm(rev=3)
        side.kill()
        side.start()
        side.tell(record("ended", event=2, last_seq=40, frames_over=8))
        last = subscriber.until(lambda told: told.body.get("frames_over") == 8).body
        assert (last["rev"], last["state"]) == (2, "cleared")
        assert side.stop()[0] == 0

        journal = Journal(Path(config.journal), config.camera)
        first, second = reversed(journal.alarms(10))
        assert sum(journal.raised().values()) == 2
        for alarm, revisions in ((first, [1, 2, 3]), (second, [1, 2])):
            assert [told.alarm.rev for told in journal.changes(alarm.id)] == revisions
            heard = [told.body["rev"] for told in subscriber.heard if told.body.get("id") == alarm.id]
            assert list(dict.fromkeys(heard)) == revisions, "each is heard, in order"
        journal.close()

    def test_it_speaks_for_a_hot_process_that_is_lost(self, side: Side, subscriber: Subscriber) -> None:
        side.start()
        subscriber.joined()
        side.hold_breath()
        lost = subscriber.until(lambda told: told.topic == "heartbeat.melt").body
        withheld = subscriber.until(lambda told: told.topic == "permit.melt").body
        assert (lost["state"], lost["why"]) == ("degraded", LOST_WHY)
        assert withheld["permit"] is False
        side.breathe()
        cleared = subscriber.until(lambda told: told.body.get("state") == "cleared").body
        assert (cleared["source"], cleared["rev"]) == ("degraded", 2)

    def test_it_leaves_when_its_parent_dies(self, side: Side, config: Config) -> None:
        side.tell(record("began"))
        read_end, write_end = os.pipe()
        parent = (
            "import subprocess, sys\n"
            f"child = subprocess.Popen([sys.executable, '-m', 'monitor.side'], stdin=subprocess.PIPE, pass_fds="
            f"({side.orders.memory_fd}, {side.orders.wake_fd}, {write_end}))\n"
            "child.communicate(sys.stdin.buffer.read())\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", parent],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(side.orders.memory_fd, side.orders.wake_fd, write_end),
        )
        os.close(write_end)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(side.orders))
        process.stdin.close()
        wait_for(lambda: side.memory.vitals["side_beat_ns"][0] > 0)
        process.kill()
        process.wait(PATIENCE_S)
        gone, _, _ = select.select([read_end], [], [], PATIENCE_S)
        os.close(read_end)
        assert gone, "the side process still holds its end of the pipe"
        journal = Journal(Path(config.journal), config.camera)
        assert [alarm.rev for alarm in journal.alarms(10)] == [1]
        journal.close()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signals_end_it_without_complaint(self, side: Side, number: signal.Signals) -> None:
        process = side.start()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out, err) == (0, b"", b"")

    def test_it_never_imports_torch(self) -> None:
        script = "import sys, monitor.side; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestStart:
    """What the operator must mend is one line that names the key, and exit status 2."""

    def refusal(self, config: Config) -> str:
        with some_orders(config) as (given, memory):
            side = Side(given, memory)
            process = side.start(ready=False)
            out, err = process.communicate(timeout=PATIENCE_S)
            side.close()
        assert (process.returncode, out) == (2, b"")
        [line] = err.decode().splitlines()
        return line

    def test_http_port_in_use(self, config: Config) -> None:
        with socket.create_server(("127.0.0.1", config.http.port)):
            assert (
                self.refusal(config)
                == f"framewatch: framewatch.yaml: http.port: {config.http.port} is in use; choose another"
            )

    def test_alarm_endpoint_in_use(self, config: Config) -> None:
        endpoint = config.outputs.alarms
        with socket.create_server(("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))):
            assert (
                self.refusal(config)
                == f"framewatch: framewatch.yaml: outputs.alarms: {endpoint} is in use; choose another"
            )

    @pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
    def test_an_address_of_another_machine(self, config: Config, host: str) -> None:
        http = msgspec.structs.replace(config.http, host=host)
        assert self.refusal(msgspec.structs.replace(config, http=http)).startswith(
            f"framewatch: framewatch.yaml: http.host: '{host}' is no address"
        )

    def test_a_journal_that_cannot_be_opened(self, config: Config, tmp_path: Path) -> None:
        wrong = msgspec.structs.replace(config, journal=str(tmp_path / "no" / "journal.db"))
        assert self.refusal(wrong).startswith(f"framewatch: framewatch.yaml: journal: {wrong.journal} cannot be opened")
