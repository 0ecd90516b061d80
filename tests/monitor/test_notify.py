"""systemd is told that the daemon is ready and works, and of one that hangs it hears nothing."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Camera, Daemon
from daemon_example import beat, some_config, some_orders
from frames import normal

from monitor.bundle import Bundle
from monitor.ledger import Ledger
from monitor.notify import UNJUDGED_NS, Notifier, Pulse, works
from monitor.orders import Memory
from monitor.state import ENGINE_HUNG_NS
from monitor.types import State
from monitor.vitals import LOST_NS

NOW_NS = 10**12
PATIENCE_S = 60.0


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Of a daemon in which everything beats and nothing waits."""
    with some_orders(some_config(tmp_path)) as (_, memory):
        beat(memory, NOW_NS)
        memory.vitals["side_beat_ns"][0] = memory.vitals["engine_beat_ns"][0] = NOW_NS
        yield memory


def count(ledger: Ledger, received: int, judged: int) -> None:
    ledger.announced = ledger.received = received
    ledger.judged = judged
    ledger.publish()


def test_it_works_while_nothing_waits(memory: Memory) -> None:
    good, pulse = works(memory, Pulse(-1, 0), NOW_NS)
    assert (good, pulse) == (True, Pulse(0, NOW_NS))


@pytest.mark.parametrize(
    ("what", "after_ns"), [("hot_beat_ns", LOST_NS), ("side_beat_ns", LOST_NS), ("engine_beat_ns", ENGINE_HUNG_NS)]
)
def test_it_does_not_work_where_a_part_stands_still(memory: Memory, what: str, after_ns: int) -> None:
    for name in ("hot_beat_ns", "side_beat_ns", "engine_beat_ns"):
        memory.vitals[name][0] = NOW_NS if name == what else NOW_NS + after_ns + 1
    assert works(memory, Pulse(0, NOW_NS), NOW_NS + after_ns)[0]
    assert not works(memory, Pulse(0, NOW_NS), NOW_NS + after_ns + 1)[0]


def test_it_does_not_work_where_frames_wait_and_none_is_judged(memory: Memory) -> None:
    ledger = Ledger(memory.ledger)
    count(ledger, received=10, judged=4)
    pulse = Pulse(4, NOW_NS)
    for later_ns, expected in ((UNJUDGED_NS, True), (UNJUDGED_NS + 1, False)):
        for name in ("hot_beat_ns", "side_beat_ns", "engine_beat_ns"):
            memory.vitals[name][0] = NOW_NS + later_ns
        assert works(memory, pulse, NOW_NS + later_ns)[0] is expected
    count(ledger, received=20, judged=5)
    good, pulse = works(memory, pulse, NOW_NS + UNJUDGED_NS + 1)
    assert (good, pulse) == (True, Pulse(5, NOW_NS + UNJUDGED_NS + 1))


class Systemd:
    """The socket on which systemd listens."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(PATIENCE_S)

    def until(self, message: str) -> list[str]:
        """What is said up to *message*."""
        said = [self.socket.recv(4096).decode()]
        while said[-1] != message:
            said.append(self.socket.recv(4096).decode())
        return said

    def waiting(self) -> list[str]:
        """All that has come by now."""
        self.socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            self.socket.settimeout(PATIENCE_S)
            return said


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Systemd, dict[str, str]]]:
    path = str(tmp_path / "notify")
    listening = Systemd(path if request.param == "file" else f"\0{path}")
    environment = {"NOTIFY_SOCKET": path if request.param == "file" else f"@{path}", "WATCHDOG_USEC": "3000000"}
    yield listening, environment
    listening.socket.close()


def test_the_state_is_said_where_it_changes_and_the_watchdog_fed_at_a_third_of_its_time(
    memory: Memory, systemd: tuple[Systemd, dict[str, str]]
) -> None:
    listening, environment = systemd
    notifier = Notifier(environment, 1)
    notifier.ready()
    for tenths in range(20):
        now_ns = NOW_NS + tenths * 10**8
        beat(memory, now_ns, State.OK if tenths < 15 else State.BLIND, "" if tenths < 15 else "no frame\nfor 1 s")
        memory.vitals["side_beat_ns"][0] = memory.vitals["engine_beat_ns"][0] = now_ns
        notifier.turn(memory, now_ns)
    notifier.stopping()
    assert listening.waiting() == [
        "READY=1",
        "STATUS=ok",
        "WATCHDOG=1",
        "WATCHDOG=1",
        "STATUS=blind: no frame for 1 s",
        "STOPPING=1",
    ]


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(
    memory: Memory, systemd: tuple[Systemd, dict[str, str]]
) -> None:
    listening, environment = systemd
    Notifier({**environment, "WATCHDOG_PID": "7"}, 8).turn(memory, NOW_NS)
    assert listening.waiting() == ["STATUS=ok"]


def test_where_nobody_listens_nothing_happens(memory: Memory, tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        notifier = Notifier(environment, 1)
        notifier.ready()
        notifier.turn(memory, NOW_NS)


def test_a_running_daemon_feeds_it_and_one_whose_judging_hangs_does_not(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Systemd(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    with Daemon(tmp_path, small_bundle.path) as daemon, Camera(daemon.endpoint) as camera:
        camera.send(normal(20, 1))
        listening.until("READY=1")
        listening.until("WATCHDOG=1")
        hot = daemon.child("hot")
        assert "NOTIFY_SOCKET" not in Path(f"/proc/{hot}/environ").read_text()
        os.kill(hot, signal.SIGSTOP)
        daemon.wait_for_state("degraded")  # as the other process says
        listening.waiting()
        said = len(daemon.heartbeats)
        daemon.wait_until(lambda: len(daemon.heartbeats) > said + 1, "two more heartbeats")
        assert "WATCHDOG=1" not in listening.waiting()
        os.kill(hot, signal.SIGCONT)
        listening.until("WATCHDOG=1")
        assert daemon.stop() == 0
    assert listening.until("STOPPING=1")
    listening.socket.close()
