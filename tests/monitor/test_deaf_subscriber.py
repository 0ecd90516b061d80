"""A subscriber of the alarm socket that is connected and never reads: nobody else waits for it, or pays for it."""

import time
from pathlib import Path
from typing import Any

import pytest
import zmq
from daemon_example import record
from key_examples import PATIENCE_S, Ring, peer
from side_example import Side, Subscriber

from monitor.broadcast import Broadcast
from monitor.config import Config
from monitor.doorkeeper import Doorkeeper
from monitor.keys import Pair

BODY = bytes(10_000)


def resident(pid: int | str = "self") -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def deaf(context: "zmq.Context[Any]", endpoint: str, own: Pair | None = None, server: bytes = b"") -> Any:
    """A connected subscriber whose own buffers are next to nothing."""
    made = peer(context, zmq.SUB, own, server)
    made.setsockopt(zmq.RCVHWM, 1)
    made.setsockopt(zmq.RCVBUF, 4096)
    monitor = made.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    made.connect(endpoint)
    assert monitor.poll(int(PATIENCE_S * 1000)), "never connected"
    made.disable_monitor()
    monitor.close(0)
    return made


@pytest.mark.parametrize("keyed", [False, True])
def test_what_waits_for_it_is_bounded_and_the_one_beside_it_misses_nothing(tmp_path: Path, keyed: bool) -> None:
    """A hundred megabytes are published; a hundred messages, one of them, may wait."""
    ring, own = Ring(tmp_path), None
    context: zmq.Context[Any] = zmq.Context()
    keeper = None
    if keyed:
        own = ring.admit("plc")
        keeper = Doorkeeper(context, ring.own, ring.clients)
    broadcast = Broadcast(context, "tcp://127.0.0.1:*", 100, 0, "alarms", keeper)
    peers: zmq.Context[Any] = zmq.Context()
    endpoint = broadcast._socket.getsockopt_string(zmq.LAST_ENDPOINT)
    still = deaf(peers, endpoint, own, ring.own.public)
    reader = peer(peers, zmq.SUB, own, ring.own.public)
    reader.connect(endpoint)
    while not reader.poll(5):
        broadcast.send("alarm.melt", b"are you there")
    while reader.poll(100):
        reader.recv_multipart()
    before = resident()
    for n in range(10_000):
        broadcast.send("alarm.melt", b"%d " % n + BODY)
        assert reader.poll(int(PATIENCE_S * 1000))
        assert reader.recv_multipart()[1].startswith(b"%d " % n)
    assert resident() - before < 16 * 2**20
    assert still.poll(0), "it is there, and has not read"
    broadcast.close(0)
    if keeper is not None:
        keeper.close()
    peers.destroy(0)
    context.destroy(0)


def test_the_process_that_keeps_the_alarms_goes_on_beside_it(side: Side, config: Config) -> None:
    """Some 15 MB are published: more than the system's buffers take, so that most of it waits in the process."""
    side.start()
    context: zmq.Context[Any] = zmq.Context()
    still, reader = deaf(context, config.outputs.alarms), Subscriber(config.outputs.alarms)
    reader.joined()
    side.tell(record("began"))
    reader.alarm(rev=1)
    oldest_ns = 0
    for last in range(20, 5000):
        side.tell(record("grew", last_seq=last, frames_over=last, why="x" * 2500))
        if last % 500 == 499:  # the event log holds no more than four times as many
            reader.until(lambda told, last=last: told.body.get("frames_over") == last)
            oldest_ns = max(oldest_ns, time.monotonic_ns() - int(side.memory.vitals["side_beat_ns"][0]))
    assert oldest_ns < 1e9 * PATIENCE_S / 4, "its loop waits for nobody"
    told = [one.body["rev"] for one in reader.heard if one.body.get("source") == "t2"]
    assert told == list(range(1, 4982)), "all of it, in order"
    assert still.poll(0), "it is there, and has not read"
    assert side.stop()[0] == 0
    reader.close()
    context.destroy(0)
