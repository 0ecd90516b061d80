"""Snapshots of a side process as it runs: who joins late, on real sockets, ends with the table that is right."""

import random
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import zmq
from daemon_example import record, some_orders
from key_examples import peer
from side_example import PATIENCE_S, Side, Subscriber, wait_for
from table_example import Table

from monitor.config import Config
from monitor.journal.store import Journal
from monitor.vitals import SNAPSHOTS


class Joiner:
    """Subscribes, waits until it is connected, asks, and applies what it hears."""

    def __init__(self, config: Config) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self._changes = self.context.socket(zmq.SUB)
        self._connected = self._changes.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._asking = self.context.socket(zmq.REQ)
        self._asking.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        self._changes.subscribe("alarm.melt")
        self._changes.connect(config.outputs.alarms)
        self._asking.connect(config.outputs.snapshot)
        self.table = Table()

    def ask(self, **asked: str) -> Any:
        self._asking.send(msgspec.json.encode({"v": 1, **asked}))
        return msgspec.json.decode(self._asking.recv())

    def join(self) -> Any:
        assert self._connected.poll(int(PATIENCE_S * 1000)), "never connected"
        self._connected.recv_multipart()
        answer = self.ask()
        self.table.show(*(msgspec.json.encode(alarm) for alarm in answer["alarms"]))
        return answer

    def listen(self, wait_ms: int = 0) -> None:
        while self._changes.poll(wait_ms):
            self.table.hear(self._changes.recv_multipart()[1])

    def close(self) -> None:
        self._changes.disable_monitor()
        self._connected.close(0)
        self.context.destroy(0)


@pytest.fixture
def joiner(config: Config) -> Iterator[Joiner]:
    made = Joiner(config)
    yield made
    made.close()


class Burst(threading.Thread):
    """Events begin, grow and end, a few at a time; the last ones stay open."""

    def __init__(self, side: Side, events: int) -> None:
        super().__init__()
        self._side, self._events = side, events

    def run(self) -> None:
        never = threading.Event()
        for event in range(1, self._events + 1):
            more = {"event": event, "source": ("t2", "s2", "frozen")[event % 3], "t_ns": 10**18 + event}
            self._side.tell(record("began", **more))
            never.wait(0.002)
            self._side.tell(record("grew", last_seq=20, frames_over=8, **more))
            if event <= self._events - 3:
                self._side.tell(record("ended", last_seq=30, frames_over=9, **more))


def test_whoever_joins_in_the_middle_of_a_burst_ends_with_the_table_of_the_journal(side: Side, config: Config) -> None:
    side.start()
    burst, chance, joiners = Burst(side, 150), random.Random(7), list[Joiner]()
    burst.start()
    never = threading.Event()
    try:
        while burst.is_alive():
            joiners.append(Joiner(config))
            never.wait(chance.uniform(0, 0.02))
            joiners[-1].join()
        burst.join()
        wait_for(lambda: int(side.memory.vitals["heard"][0]) == int(side.memory.log["count"][0]))
        last = Joiner(config)
        joiners.append(last)
        last.join()
        assert len(last.table.alarms) >= 150
        assert len(joiners) > 3
        deadline = time.monotonic() + PATIENCE_S
        while any(one.table.alarms != last.table.alarms for one in joiners) and time.monotonic() < deadline:
            for one in joiners:
                one.listen(10)
        journal = Journal(Path(config.journal), config.camera)
        kept = {one.id: one.rev for one in journal.alarms(1000)}
        journal.close()
        for one in joiners:
            assert {alarm_id: alarm["rev"] for alarm_id, alarm in one.table.alarms.items()} == kept
    finally:
        burst.join()
        for one in joiners:
            one.close()
    answered, *refused = side.memory.vitals["snapshots"].tolist()
    assert (answered, sum(refused)) == (len(joiners), 0)
    assert side.stop()[0] == 0


def test_what_left_while_the_disk_refuses_is_in_the_snapshot_and_stays_when_there_is_room(
    side: Side, subscriber: Subscriber, joiner: Joiner, config: Config
) -> None:
    side.start()
    subscriber.joined()
    side.tell(record("began", event=1))
    side.tell(record("ended", event=1))
    subscriber.alarm(rev=2)
    other = sqlite3.connect(config.journal)
    other.execute("BEGIN IMMEDIATE")  # another program holds the file: nothing can be written
    side.tell(record("began", event=2, source="frozen"))
    side.tell(record("began", event=3, source="s2"))
    side.tell(record("ended", event=3, source="s2"))
    subscriber.until(lambda told: told.body.get("source") == "s2" and told.body["state"] == "cleared")
    shown = {one["source"]: one for one in joiner.join()["alarms"]}
    assert {source: (one["rev"], one["state"], one["journaled"]) for source, one in shown.items()} == {
        "t2": (2, "cleared", True),
        "frozen": (1, "active", False),
        "s2": (2, "cleared", False),
    }
    other.rollback()
    other.close()
    wait_for(lambda: all(one["journaled"] for one in joiner.ask()["alarms"]))
    side.tell(record("ended", event=2, source="frozen"))
    subscriber.until(lambda told: told.body.get("source") == "frozen" and told.body["state"] == "cleared")
    joiner.listen(200)
    whole = Table()
    whole.hear(*(msgspec.json.encode(body) for body in subscriber.rest()))
    assert joiner.table.alarms == whole.alarms
    assert side.stop() == (0, "", "")


def test_while_the_disk_refuses_everybody_is_answered_and_the_page_goes_on(
    side: Side, joiner: Joiner, config: Config
) -> None:
    """Each look at a file that is locked takes a fifth of a second, and the snapshot is made after it."""
    side.start()
    joiner.join()
    other = sqlite3.connect(config.journal)
    other.execute("BEGIN IMMEDIATE")
    with httpx.Client(base_url=f"http://127.0.0.1:{config.http.port}", trust_env=False) as http:
        for event in range(1, 4):
            side.tell(record("began", event=event, source=("t2", "s2", "frozen")[event % 3]))
            wait_for(lambda count=event: len(joiner.ask()["alarms"]) == count)
            assert http.get("/healthz").text == "alive"
    other.rollback()
    other.close()


def test_while_somebody_asks_a_thousand_times_and_reads_nothing_alarms_leave_and_others_are_answered(
    side: Side, subscriber: Subscriber, joiner: Joiner, config: Config
) -> None:
    side.start()
    subscriber.joined()
    for event in range(1, 201):
        side.tell(record("began", event=event, source=("t2", "s2", "frozen")[event % 3]))
    joiner.join()
    deaf = peer(joiner.context, zmq.DEALER, None, b"")
    deaf.setsockopt(zmq.RCVHWM, 1)
    deaf.setsockopt(zmq.RCVBUF, 4096)
    deaf.connect(config.outputs.snapshot)
    for _ in range(1000):
        deaf.send(b"{}")
    for event in range(1001, 1021):
        side.tell(record("began", event=event, source="s2"))
        subscriber.until(lambda told, t_ns=5_000_000_000 + event: told.body.get("id", "").startswith(f"{t_ns:016x}"))
        assert len(joiner.ask()["alarms"]) > 200
    assert int(side.memory.vitals["snapshots"].sum()) < 1000, "it still asks"
    deaf.close()
    assert side.stop()[0] == 0


def test_what_became_of_requests_is_counted_and_survives_the_process(
    side: Side, joiner: Joiner, config: Config
) -> None:
    side.start()
    joiner.join()
    assert joiner.ask(camera="other") == {"v": 1, "error": "camera: this daemon watches melt"}
    assert joiner.ask(state="all").keys() == {"v", "error"}
    side.kill()
    side.start()
    joiner.join()
    counts = dict(zip(SNAPSHOTS, side.memory.vitals["snapshots"].tolist(), strict=True))
    assert {outcome: count for outcome, count in counts.items() if count} == {
        "answered": 2,
        "camera": 1,
        "malformed": 1,
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{config.http.port}", trust_env=False) as http:
        text = http.get("/metrics").text
    assert 'framewatch_snapshots_answered_total{camera="melt"} 2.0' in text
    assert 'framewatch_snapshots_refused_total{camera="melt",reason="camera"} 1.0' in text


def test_a_lost_judging_process_shows_in_the_state_and_a_snapshot_gives_no_permit(side: Side, joiner: Joiner) -> None:
    side.start()
    joiner.join()
    wait_for(lambda: joiner.ask()["state"] == "ok")
    side.hold_breath()
    wait_for(lambda: joiner.ask()["state"] == "degraded")
    assert joiner.ask().keys() == {"v", "camera", "t_ns", "state", "alarms", "more"}


def test_without_an_address_there_is_no_such_socket(config: Config) -> None:
    endpoint = config.outputs.snapshot
    assert endpoint is not None
    without = msgspec.structs.replace(config, outputs=msgspec.structs.replace(config.outputs, snapshot=None))
    with some_orders(without) as (given, memory):
        side = Side(given, memory)
        side.start()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        assert side.stop() == (0, "", "")
        side.close()


def test_an_address_in_use_is_told_with_its_key(config: Config) -> None:
    endpoint = config.outputs.snapshot
    assert endpoint is not None
    with (
        socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))),
        some_orders(config) as (given, memory),
    ):
        side = Side(given, memory)
        process = side.start(ready=False)
        out, err = process.communicate(timeout=PATIENCE_S)
        side.close()
    assert (process.returncode, out) == (2, b"")
    assert err.decode() == f"framewatch: framewatch.yaml: outputs.snapshot: {endpoint} is in use; choose another\n"
