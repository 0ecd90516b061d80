"""`framewatch alarms tail` beside a side process as it runs: what is open first, then each change once."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
import zmq
from alarm_example import revisions_of
from daemon_example import free_port, record, some_orders
from key_examples import Ring
from side_example import Side, wait_for

from monitor.alarms.alarm import Alarm
from monitor.broadcast import Broadcast
from monitor.config import Config, Security
from monitor.operators import tail as tails
from monitor.operators.reach import AlarmError
from monitor.operators.tail import Seen, Tail

PATIENCE_S = 30.0


class Tailing:
    """The command in a process of its own, and the lines that it has printed."""

    def __init__(self, folder: Path, config: Config, *options: str) -> None:
        path = folder / "tail.yaml"
        security = msgspec.to_builtins(config.security)
        document = {"camera": config.camera, "outputs": msgspec.to_builtins(config.outputs), "security": security}
        path.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "monitor.cli", "alarms", "tail", "--config", str(path), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self) -> str:
        return self._lines.get(timeout=PATIENCE_S).decode()

    def revision(self) -> tuple[str, int]:
        alarm = json.loads(self.line())
        return alarm["source"], alarm["rev"]

    def interrupt(self) -> tuple[int, str, int]:
        """By Ctrl-C: the exit status, what it complained of, and how many lines nobody has read."""
        self.process.send_signal(signal.SIGINT)
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        told = self.process.stderr.read().decode()
        return self.process.wait(PATIENCE_S), told, self._lines.qsize()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        self.process.wait()


Start = Callable[..., Tailing]


@pytest.fixture
def tailing(tmp_path: Path, config: Config) -> Iterator[Start]:
    made: list[Tailing] = []

    def start(*options: str, config: Config = config) -> Tailing:
        made.append(Tailing(tmp_path, config, *options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def heard(side: Side) -> None:
    """Until the process has read all that it was told."""
    wait_for(lambda: int(side.memory.vitals["heard"][0]) == int(side.memory.log["count"][0]))


def test_what_is_open_comes_first_then_each_change_and_ctrl_c_ends_it_clean(side: Side, tailing: Start) -> None:
    side.start()
    side.tell(record("began", event=1))
    side.tell(record("ended", event=1, last_seq=20))
    side.tell(record("began", event=2, source="frozen"))
    heard(side)
    told = tailing("--json")
    assert [told.revision() for _ in range(2)] == [("t2", 2), ("frozen", 1)]
    side.tell(record("ended", event=2, source="frozen", last_seq=20))
    side.tell(record("began", event=3, source="s2"))
    assert [told.revision() for _ in range(2)] == [("frozen", 2), ("s2", 1)]
    assert told.interrupt() == (0, "", 0)


def test_lines_are_for_people_without_json(side: Side, tailing: Start) -> None:
    side.start()
    side.tell(record("began"))
    heard(side)
    told = tailing()
    assert "rev 1   medium   t2              active, unacknowledged: frames 10 to 12, 1.2 x its limit" in told.line()
    assert told.interrupt() == (0, "", 0)


def test_changes_only_leaves_out_what_is_open(side: Side, tailing: Start) -> None:
    side.start()
    side.tell(record("began", event=1))
    heard(side)
    told = tailing("--json", "--changes-only")

    def comes() -> bool:
        side.tell(record("began", event=len(events) + 2, source="frozen"))
        events.append(1)
        return not told._lines.empty()

    events: list[int] = []
    wait_for(comes, PATIENCE_S)
    assert told.revision()[0] == "frozen"


def test_more_than_one_page_of_alarms_comes_in_order_and_once(side: Side, tailing: Start) -> None:
    side.start()
    for event in range(1, 1201):
        side.tell(record("began", event=event, source=("t2", "s2", "frozen")[event % 3]))
    heard(side)
    told = tailing("--json")
    lines = [json.loads(told.line()) for _ in range(int(side.memory.vitals["active_alarms"][0]))]
    assert len(lines) >= 1200
    ids = [alarm["id"] for alarm in lines]
    assert ids == sorted(set(ids))
    side.tell(record("ended", event=1, source="s2", last_seq=20))
    assert told.revision()[0] in ("s2", "flood")


def test_after_a_restart_of_the_daemon_it_goes_on_and_says_nothing_twice(side: Side, tailing: Start) -> None:
    side.start()
    side.tell(record("began", event=1))
    heard(side)
    told = tailing("--json")
    assert told.revision() == ("t2", 1)
    side.kill()
    side.tell(record("grew", event=1, last_seq=20, frames_over=8))
    side.tell(record("began", event=2, source="frozen"))
    side.start()
    assert sorted(told.revision() for _ in range(2)) == [("frozen", 1), ("t2", 2)]
    side.tell(record("ended", event=2, source="frozen", last_seq=20))
    assert told.revision() == ("frozen", 2)
    assert told.interrupt() == (0, "", 0)


def test_it_proves_itself_with_a_key_on_both_sockets(
    tmp_path: Path, config: Config, tailing: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    ring = Ring(tmp_path / "keys")
    ring.admit("ann")
    keyed = msgspec.structs.replace(config, security=Security(**ring.document()))
    with some_orders(keyed) as (given, memory):
        side = Side(given, memory)
        side.start()
        side.tell(record("began", event=1))
        heard(side)
        own = str(ring.folder / "ann.secret")
        told = tailing("--json", "--secret", own, "--server-key", str(ring.public), config=keyed)
        assert told.revision() == ("t2", 1)
        side.tell(record("ended", event=1, last_seq=20))
        assert told.revision() == ("t2", 2)
        assert told.interrupt() == (0, "", 0)
        without = tailing("--secret", own, config=keyed)
        assert without.process.wait(PATIENCE_S) == 1
        side.close()


class EnoughError(Exception):
    """The test has seen what it wanted to."""


@pytest.fixture
def context() -> "Iterator[zmq.Context[Any]]":
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(0)


@pytest.mark.parametrize("answer", [None, b'{"v":1,"error":"the journal does not answer"}'])
def test_without_a_snapshot_it_says_so_and_tells_the_changes(
    context: "zmq.Context[Any]", monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    """None: nobody answers there, as with a daemon of before there was one."""
    monkeypatch.setattr(tails, "ANSWER_S", 0.2)
    [alarm] = [one.alarm for one in revisions_of(record("began"))]
    broadcast = Broadcast(context, "tcp://127.0.0.1:*", 100, 0, "alarms", None)
    place: zmq.Socket[bytes] = context.socket(zmq.REP)
    place.bind("tcp://127.0.0.1:*")

    def publish() -> None:
        while not done.wait(0.01):
            broadcast.send("alarm.melt", msgspec.json.encode(alarm))
            if answer is not None and place.poll(0):
                place.recv()
                place.send(answer)

    def change(told: Alarm) -> None:
        assert told == alarm
        raise EnoughError

    done, warnings = threading.Event(), list[str]()
    publisher = threading.Thread(target=publish)
    publisher.start()
    endpoints = [one.getsockopt_string(zmq.LAST_ENDPOINT) for one in (broadcast._socket, place)]
    try:
        with pytest.raises(EnoughError):
            Tail(context, "melt", *endpoints).follow(pytest.fail, change, warnings.append)
    finally:
        done.set()
        publisher.join()
        broadcast.close(0)
        place.close(0)
    [line] = warnings
    assert ("no answer from tcp://" in line) if answer is None else ("the journal does not answer" in line)


def test_an_address_that_is_none_is_told_in_one_line(context: "zmq.Context[Any]") -> None:
    tail = Tail(context, "melt", f"tcp://no such host:{free_port()}", None)
    with pytest.raises(AlarmError, match="is no address to connect to"):
        tail.follow(pytest.fail, pytest.fail, pytest.fail)


def test_a_revision_is_told_once_and_an_older_one_never_after_it() -> None:
    first, second = (one.alarm for one in revisions_of(record("began"), record("ended", last_seq=20)))
    seen = Seen()
    assert [seen.takes(one) for one in (first, first, second, first, second)] == [True, False, True, False, False]


def test_what_is_remembered_is_bounded_and_what_was_told_last_is_kept() -> None:
    [alarm] = [one.alarm for one in revisions_of(record("began"))]
    seen = Seen(most=3)
    told = [msgspec.structs.replace(alarm, id=name) for name in ("a", "b", "c")]
    assert all(seen.takes(one) for one in told)
    assert seen.takes(msgspec.structs.replace(told[0], rev=2))
    assert seen.takes(msgspec.structs.replace(alarm, id="d"))
    assert len(seen._revisions) == 3
    assert [seen.takes(one) for one in (*told[:1], *told[2:])] == [False, False], "b was told longest ago"
