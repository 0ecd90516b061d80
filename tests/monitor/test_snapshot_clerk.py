"""The snapshot socket, on real sockets: who asks is answered, whatever it sends, and whoever does not read is alone."""

import json
import socket as sockets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import zmq
from key_examples import PATIENCE_S, Ring, peer, until

from monitor import doorkeeper
from monitor.doorkeeper import Doorkeeper
from monitor.keys import Pair
from monitor.snapshots import clerk as clerks
from monitor.snapshots.clerk import PART_BYTES_MAX, UNREAD, Clerk
from monitor.snapshots.page import Snapshot
from monitor.snapshots.request import BYTES_MAX, Request, RequestError
from monitor.types import State

HELD = Snapshot("melt", 7, State.OK, [], False)
SHOWN = {"v": 1, "camera": "melt", "t_ns": 7, "state": "ok", "alarms": [], "more": False}


def at_once(request: Request) -> "Future[Snapshot]":
    answer: Future[Snapshot] = Future()
    answer.set_result(HELD)
    return answer


class Place:
    """A clerk at work, and a context for those who ask."""

    def __init__(self, ask: Callable[[Request], "Future[Snapshot]"] = at_once, ring: Ring | None = None) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.peers: zmq.Context[Any] = zmq.Context()
        self._made: list[zmq.Socket[bytes]] = []
        self.refused: list[str] = []
        self.keeper = None
        if ring is not None:
            self.keeper = Doorkeeper(self.context, ring.own, ring.clients, self.refused.append)
        self.counts: Counter[str] = Counter()
        self.clerk = Clerk(self.context, "tcp://127.0.0.1:*", "melt", ask, self._count, self.keeper)
        self.endpoint = self.clerk._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.clerk.run, args=(self.stop,))
        self.thread.start()

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1

    def peer(self, kind: int, own: Pair | None = None, server: bytes = b"") -> "zmq.Socket[bytes]":
        """A socket that is yet to connect."""
        made = peer(self.peers, kind, own, server)
        made.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        self._made.append(made)
        return made

    def asker(self, kind: int = zmq.REQ, own: Pair | None = None, server: bytes = b"") -> "zmq.Socket[bytes]":
        made = self.peer(kind, own, server)
        made.connect(self.endpoint)
        return made

    def close(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        assert self.clerk._socket.closed
        if self.keeper is not None:
            self.keeper.close()
        self.peers.destroy(0)
        self.context.destroy(0)


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def test_req_and_dealer_sockets_are_answered_in_their_own_way(place: Place) -> None:
    asking = place.asker(zmq.REQ)
    for body in (b"", b"{}", b'{"v":1,"state":"active"}'):
        asking.send(body)
        assert json.loads(asking.recv()) == SHOWN
    asking.setsockopt(zmq.REQ_CORRELATE, 1)
    asking.send(b"{}")
    assert json.loads(asking.recv()) == SHOWN
    dealer = place.asker(zmq.DEALER)
    for parts, envelope in (([b"{}"], []), ([b""], []), ([b"", b"{}"], [b""]), ([b"7", b"", b""], [b"7", b""])):
        dealer.send_multipart(parts)
        *before, body = dealer.recv_multipart()
        assert (before, json.loads(body)) == (envelope, SHOWN)
    assert place.counts == {"answered": 8}


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_who_reads_each_answer_before_it_asks_again_gets_all_however_fast_it_is(place: Place, kind: int) -> None:
    asking = place.asker(kind)
    for _ in range(500):
        asking.send(b"{}")
        assert json.loads(asking.recv()) == SHOWN
    assert place.counts == {"answered": 500}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b"{"], "malformed"),
        ([b'{"v":9}'], "version"),
        ([b"x" * (BYTES_MAX + 1)], "size"),
        ([b"{}", b"{}"], "parts"),
        ([b"x"] * 5000, "parts"),
        ([b'{"camera":"other"}'], "camera"),
    ],
)
def test_a_bad_request_gets_one_clear_answer_and_is_counted(place: Place, parts: list[bytes], reason: str) -> None:
    asking = place.asker()
    asking.send_multipart(parts)
    answer = json.loads(asking.recv())
    assert answer.keys() == {"v", "error"}
    assert len(answer["error"].splitlines()) == 1
    assert place.counts == {reason: 1}
    asking.send(b"{}")
    assert json.loads(asking.recv()) == SHOWN, "the same peer may ask again"


def test_who_sends_far_too_much_is_cut_off_and_the_others_are_not(place: Place) -> None:
    huge = place.peer(zmq.DEALER)
    monitor = huge.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    huge.connect(place.endpoint)
    huge.send(bytes(PART_BYTES_MAX + 1))
    assert monitor.poll(int(PATIENCE_S * 1000))
    asking = place.asker()
    asking.send(b"{}")
    assert json.loads(asking.recv()) == SHOWN
    assert place.counts == {"answered": 1}
    huge.disable_monitor()
    monitor.close(0)


def test_what_speaks_no_zeromq_at_all_disturbs_nobody(place: Place) -> None:
    host, port = place.endpoint.removeprefix("tcp://").split(":")
    with sockets.create_connection((host, int(port))) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        asking = place.asker()
        asking.send(b"{}")
        assert json.loads(asking.recv()) == SHOWN


def test_who_asks_a_thousand_times_and_reads_nothing_makes_nobody_wait_and_loses_the_answers() -> None:
    """Answers of a megabyte: all of them would be a gigabyte."""
    error = "x" * 2**20

    def refuse(request: Request) -> "Future[Snapshot]":
        answer: Future[Snapshot] = Future()
        if request.state == "active":
            answer.set_exception(RequestError("unavailable", error))
        else:
            answer.set_result(HELD)
        return answer

    place = Place(refuse)
    deaf = place.peer(zmq.DEALER)
    deaf.setsockopt(zmq.RCVHWM, 1)
    deaf.setsockopt(zmq.RCVBUF, 4096)
    deaf.setsockopt(zmq.SNDHWM, 2000)
    deaf.connect(place.endpoint)
    for _ in range(1000):
        deaf.send(b'{"state":"active"}')
    asking = place.asker()
    waited_s = []
    before = _resident()
    while place.counts["unavailable"] < 1000:
        begun = time.monotonic()
        asking.send(b"{}")
        assert json.loads(asking.recv()) == SHOWN
        waited_s.append(time.monotonic() - begun)
    assert max(waited_s) < 5.0
    assert _resident() - before < 64 * 2**20
    got = 0
    while deaf.poll(500):
        deaf.recv()
        got += 1
    assert UNREAD <= got < 500, "the rest was thrown away"
    place.close()


def _resident() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_a_desk_that_does_not_get_to_it_is_told_and_the_request_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerks, "ANSWER_S", 0.2)
    left: list[Future[Snapshot]] = []

    def never(request: Request) -> "Future[Snapshot]":
        left.append(Future())
        return left[-1]

    place = Place(never)
    asking = place.asker()
    asking.send(b"{}")
    assert json.loads(asking.recv()) == {"v": 1, "error": "the journal does not answer"}
    assert left[0].cancelled()
    assert place.counts == {"unavailable": 1}
    place.close()


def test_a_stop_waits_for_no_desk() -> None:
    asked = threading.Event()

    def never(request: Request) -> "Future[Snapshot]":
        asked.set()
        return Future()

    place = Place(never)
    place.asker().send(b"{}")
    assert asked.wait(PATIENCE_S)
    begun = time.monotonic()
    place.close()
    assert time.monotonic() - begun < clerks.ANSWER_S / 2


def test_an_address_in_use_is_an_error_that_leaves_nothing_open(place: Place) -> None:
    with pytest.raises(zmq.ZMQError, match="Address already in use"):
        Clerk(place.context, place.endpoint, "melt", at_once, lambda outcome: None, None)


class TestKeys:
    @pytest.fixture
    def ring(self, tmp_path: Path) -> Ring:
        return Ring(tmp_path)

    @pytest.fixture
    def keyed(self, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
        """The folder is looked at, and refused peers are let go, sooner than in earnest."""
        monkeypatch.setattr(doorkeeper, "LOOK_NS", 10_000_000)
        monkeypatch.setattr(doorkeeper, "TURN_MS", 10)
        monkeypatch.setattr(doorkeeper, "HANDSHAKE_MS", 200)
        made = Place(ring=ring)
        yield made
        made.close()

    def test_who_has_a_key_is_answered_and_who_has_none_is_refused_and_counted(self, keyed: Place, ring: Ring) -> None:
        own = ring.admit("plc")
        until(lambda: len(keyed.keeper.allowed) == 1, "sight of the new key")
        stranger, asking = keyed.asker(), keyed.asker(zmq.REQ, own, ring.own.public)
        stranger.send(b"{}")
        asking.send(b"{}")
        assert json.loads(asking.recv()) == SHOWN
        until(lambda: "snapshot" in keyed.refused, "refusal")
        assert not stranger.poll(0)
        assert keyed.counts == {"answered": 1}

    def test_a_revoked_peer_is_cut_off_and_the_one_beside_it_goes_on(self, keyed: Place, ring: Ring) -> None:
        good, bad = ring.admit("plc"), ring.admit("leaked")
        until(lambda: len(keyed.keeper.allowed) == 2, "sight of the new keys")
        plc, thief = (keyed.asker(zmq.DEALER, own, ring.own.public) for own in (good, bad))
        for one in (plc, thief):
            one.send(b"{}")
            assert json.loads(one.recv()) == SHOWN
        ring.revoke("leaked")
        until(lambda: "snapshot" in keyed.refused, "refusal of the revoked key")
        answered = keyed.counts["answered"]
        thief.send(b"{}", zmq.NOBLOCK)
        for _ in range(10):
            plc.send(b"{}")
            assert json.loads(plc.recv()) == SHOWN
        assert keyed.counts["answered"] == answered + 10
        assert not thief.poll(0)

    def test_what_a_revoked_peer_asked_before_is_not_answered(self, ring: Ring, keyed: Place) -> None:
        bad = ring.admit("leaked")
        until(lambda: len(keyed.keeper.allowed) == 1, "sight of the new key")
        thief = keyed.asker(zmq.DEALER, bad, ring.own.public)
        thief.send(b"{}")
        thief.recv()
        keyed.keeper.allowed = frozenset()  # the folder is read in another thread: between two looks at it
        thief.send(b"{}")
        assert not thief.poll(300)
        assert keyed.counts == {"answered": 1}
