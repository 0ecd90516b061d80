"""A broker and receivers fail while a camera raises alarms: all arrives in the end, in order, and frames are judged."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from daemon import CAMERA, Camera, Daemon, Lateness, Stream, p99_ms
from daemon_example import free_port
from frames import normal, with_spot
from mqtt_example import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from receivers import FAULTS, Receiver

from monitor.bundle import Bundle
from monitor.journal.store import Journal

EVENTS = {"k": 2, "n": 3, "clear_frames": 10}
RATE_HZ, PER_MESSAGE = 500, 5
FAILURES = 4  # of each sink before the other side is there again: some seven seconds by the usual pauses
RAISED = 10  # alarms at least in that time
P99_MS = 50.0  # no frame in a hundred may have waited for longer, unless everybody on this machine does
PATIENCE_S = 90.0

Seen = list[tuple[str, int]]
"""Alarms by id and revision, in the order in which they came."""


def cycle() -> np.ndarray:
    """1.2 s of frames with a spot, 0.4 s without it and with a dark one."""
    usual, dark = normal(199, 1), np.zeros((1, 32, 32), np.uint8)
    return np.concatenate([with_spot(normal(600, 2)), usual[:100], dark, usual[100:]])


class Subscriber:
    """Hears all alarms from the broker, also what came while one of the two was away."""

    def __init__(self, port: int) -> None:
        self.seen: Seen = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "subscriber", protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("+/+/alarm/+", qos=1)
        self._client.on_message = self._hear
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=lasting)
        self._client.loop_start()

    def _hear(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        if message.payload:  # an empty one takes the retained one away
            alarm = json.loads(message.payload)
            self.seen.append((alarm["id"], alarm["rev"]))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that keeps what it holds for its subscribers when it is stopped."""
    made = Mosquitto(tmp_path, "persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0")
    made.start()
    asyncio.run(made.until_up())
    yield made
    made.stop()


def first_ones(seen: Seen) -> Seen:
    """Without what came again."""
    return list(dict.fromkeys(seen))


def of(daemon: Daemon, metric: str) -> dict[str, float]:
    """A metric of the sinks, by name."""
    return {labels[1]: value for labels, value in daemon.metrics().items() if labels[0] == f"framewatch_sink_{metric}"}


def all_are_recorded(daemon: Daemon) -> bool:
    """Whether there are frames of every alarm about frames: an alarm is told again when it gets them."""
    about_frames = {one.id for one in daemon.alarms if one.source != "blind"}
    return about_frames == {one.id for one in daemon.alarms if one.recording}


def test_after_outages_of_every_kind_each_sink_has_every_change_in_order_and_no_frame_has_waited(
    small_bundle: Bundle, tmp_path: Path, broker: Mosquitto
) -> None:
    receivers = {name: Receiver(free_port()) for name in ("well", *FAULTS)}
    hooks = [{"name": name.replace(" ", "-"), "url": one.url, "timeout_s": 1} for name, one in receivers.items()]
    failing = {hook["name"] for hook in hooks[1:]} | {"hall"}
    sinks = {"webhooks": hooks, "mqtt": [{"name": "hall", "host": "127.0.0.1", "port": broker.port, "timeout_s": 1}]}
    with ExitStack() as open_ones:
        for one in receivers.values():
            open_ones.enter_context(one)
        daemon = open_ones.enter_context(
            Daemon(tmp_path, small_bundle.path, events=EVENTS, alarms={"flood": None}, sinks=sinks)
        )
        daemon.wait_until_listening()
        subscriber = Subscriber(broker.port)
        open_ones.callback(subscriber.close)
        camera = open_ones.enter_context(Camera(daemon.endpoint))
        with Stream(camera, cycle(), RATE_HZ, PER_MESSAGE):
            daemon.wait_until(lambda: all(sent > 5 for sent in of(daemon, "sent_total").values()), "first deliveries")
            before = daemon.ages()
            daemon.wait_until(lambda: daemon.ages()[-1, 1] > before[-1, 1] + 5 * RATE_HZ, "five seconds")
            begun, late = daemon.ages(), open_ones.enter_context(Lateness())
            raised = len(daemon.raised())
            for fault in FAULTS:
                receivers[fault].fail(fault)
            broker.stop()

            def long_enough() -> bool:
                failures = of(daemon, "failures_total")
                return min(failures[name] for name in failing) >= FAILURES and len(daemon.raised()) >= raised + RAISED

            daemon.wait_until(long_enough, "failures of each", PATIENCE_S)
            assert of(daemon, "pending")["well"] <= 5, "it waits for nobody"
            assert min(of(daemon, "pending")[name] for name in failing) > RAISED
            for fault in FAULTS:
                receivers[fault].mend()
            broker.start()
            daemon.wait_until(
                lambda: max(of(daemon, "pending")[name] for name in failing) <= 5, "deliveries", PATIENCE_S
            )
            during, late_ms = daemon.ages(), late.p99_ms
        ledger = daemon.wait_until_judged(camera.seq).ledger
        assert (ledger.lost_upstream, sum(ledger.dropped.values())) == (0, 0)
        assert ledger.judged + ledger.unjudged["camera_fault"] == camera.seq, "all but the dark ones"
        ages_ms = p99_ms(before, begun), p99_ms(begun, during)
        sys.stdout.write(f"\np99 in ms {ages_ms}, this process's own lateness {late_ms:.1f}\n")
        assert ages_ms[1] <= max(P99_MS, ages_ms[0], 10 * late_ms)
        daemon.wait_until(lambda: all_are_recorded(daemon), "recordings")
        daemon.wait_until(lambda: not any(of(daemon, "pending").values()), "the rest")
        assert set(of(daemon, "refused_total").values()) | set(of(daemon, "shed_total").values()) == {0}
        written = all_changes(tmp_path / "journal.db")
        daemon.wait_until(lambda: len(first_ones(subscriber.seen)) == len(written), "all at the subscriber")
        assert daemon.stop() == 0
    for name, one in receivers.items():
        assert first_ones([(alarm["id"], alarm["rev"]) for alarm in one.got]) == written, name
    assert first_ones(subscriber.seen) == written
    for alarm_id in {alarm_id for alarm_id, _ in written}:
        revisions = [rev for known, rev in written if known == alarm_id]
        assert revisions == list(range(1, len(revisions) + 1))


def all_changes(path: Path) -> Seen:
    """What the journal holds; nothing more comes."""
    journal, found, row = Journal(path, CAMERA), Seen(), 0
    while page := journal.changes_after(row, 1000):
        row = page[-1].row
        found += [(one.alarm.id, one.alarm.rev) for one in page]
    journal.close()
    return found
