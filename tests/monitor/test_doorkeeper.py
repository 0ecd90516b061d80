"""Who may connect to a socket, on real sockets: who has no key, a wrong one, or one that is taken away."""

import logging
import os
import socket as sockets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from key_examples import Ring, peer, until

from monitor import doorkeeper, keys
from monitor.broadcast import Broadcast
from monitor.doorkeeper import Doorkeeper
from monitor.keys import KeyFileError, Pair


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is looked at, and refused peers are let go, sooner than in earnest."""
    monkeypatch.setattr(doorkeeper, "LOOK_NS", 10_000_000)
    monkeypatch.setattr(doorkeeper, "TURN_MS", 10)
    monkeypatch.setattr(doorkeeper, "HANDSHAKE_MS", 200)


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


class House:
    """A PULL socket and a PUB socket with a keeper, and a context for peers."""

    def __init__(self, ring: Ring) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.peers: zmq.Context[Any] = zmq.Context()
        self.refused: list[str] = []
        self.keeper = Doorkeeper(self.context, ring.own, ring.clients, self.refused.append)
        self.input: zmq.Socket[bytes] = self.context.socket(zmq.PULL)
        self.door = self.keeper.guard(self.input, "input")
        self.input.bind("tcp://127.0.0.1:*")
        self.broadcast = Broadcast(self.context, "tcp://127.0.0.1:*", 100, 0, "permit", self.keeper)
        self.heard: list[bytes] = []
        self._made: list[zmq.Socket[bytes]] = []

    def peer(self, kind: int, own: Pair | None, server: bytes) -> "zmq.Socket[bytes]":
        self._made.append(peer(self.peers, kind, own, server))
        return self._made[-1]

    @property
    def endpoint(self) -> str:
        return self.input.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def stage(self) -> str:
        return self.broadcast._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def hear(self) -> list[bytes]:
        """Everything that came in from who may speak, as the ingest thread takes it."""
        while self.input.poll(5):
            frame = self.input.recv(copy=False)
            if self.door.admits(frame):
                self.heard.append(frame.bytes)
        return self.heard

    def close(self) -> None:
        self.broadcast.close(0)
        self.keeper.close()
        self.context.destroy(0)
        self.peers.destroy(0)


@pytest.fixture
def house(ring: Ring) -> Iterator[House]:
    made = House(ring)
    yield made
    made.close()
    assert not made.keeper._thread.is_alive()


def test_who_has_a_key_is_heard(house: House, ring: Ring) -> None:
    camera = house.peer(zmq.PUSH, ring.admit("camera"), ring.own.public)
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    camera.connect(house.endpoint)
    camera.send(b"frame")
    until(lambda: house.hear() == [b"frame"])
    assert house.refused == []


@pytest.mark.parametrize("wrong", ["none", "unknown", "of another daemon"])
def test_who_has_no_key_or_a_wrong_one_sends_nothing_gets_nothing_and_is_counted(
    house: House, ring: Ring, wrong: str, tmp_path: Path
) -> None:
    good = ring.admit("camera")
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    stranger = keys.read_secret(keys.make("stranger", tmp_path)[0])
    own, server = {
        "none": (None, b""),
        "unknown": (stranger, ring.own.public),
        "of another daemon": (good, stranger.public),
    }[wrong]
    camera = house.peer(zmq.PUSH, good, ring.own.public)
    intruder, eavesdropper = (house.peer(kind, own, server) for kind in (zmq.PUSH, zmq.SUB))
    listener = house.peer(zmq.SUB, good, ring.own.public)
    intruder.connect(house.endpoint)
    camera.connect(house.endpoint)
    for one in (eavesdropper, listener):
        one.connect(house.stage)
    for n in range(20):
        intruder.send(b"forged", zmq.NOBLOCK)
        camera.send(b"%d" % n)

    def both() -> bool:
        house.broadcast.send("permit.cam", b"x")
        return bool(listener.poll(5)) and {"input", "permit"} <= set(house.refused)

    until(both, "refusal")
    until(lambda: len(house.hear()) == 20)
    assert house.heard == [b"%d" % n for n in range(20)]
    assert not eavesdropper.poll(0)


def test_a_revoked_key_is_cut_off_and_counted_and_the_camera_beside_it_loses_nothing(house: House, ring: Ring) -> None:
    good, bad = ring.admit("camera"), ring.admit("leaked")
    until(lambda: len(house.keeper.allowed) == 2, "sight of the new keys")
    camera, thief = (house.peer(zmq.PUSH, own, ring.own.public) for own in (good, bad))
    for one in (camera, thief):
        one.connect(house.endpoint)
        one.send(b"hello")
    until(lambda: house.hear() == [b"hello", b"hello"])
    before = set(house.door.open.items())
    sent = 0

    def go_on() -> None:
        nonlocal sent
        camera.send(b"%d" % sent)
        sent += 1

    def cut() -> bool:
        go_on()
        house.hear()
        return "input" in house.refused

    ring.revoke("leaked")
    until(cut, "refusal of the revoked key")
    forged_before = house.heard.count(b"forged")
    thief.send(b"forged", zmq.NOBLOCK)
    for _ in range(50):
        go_on()
    until(lambda: house.hear()[-1] == b"%d" % (sent - 1))
    assert house.heard[2:] == [b"%d" % n for n in range(sent)], "every frame, once, in order"
    assert forged_before == 0
    assert before & set(house.door.open.items()), "the camera's connection is the one that it had"


def test_what_a_revoked_peer_had_sent_before_is_refused_where_it_still_waits(house: House, ring: Ring) -> None:
    bad = ring.admit("leaked")
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    thief = house.peer(zmq.PUSH, bad, ring.own.public)
    thief.connect(house.endpoint)
    thief.send(b"late")
    assert house.input.poll(20_000)
    ring.revoke("leaked")
    until(lambda: not house.keeper.allowed, "sight of the revocation")
    assert house.hear() == []


def test_a_revoked_subscriber_hears_no_more_and_the_one_beside_it_misses_nothing(house: House, ring: Ring) -> None:
    good, bad = ring.admit("plc"), ring.admit("leaked")
    until(lambda: len(house.keeper.allowed) == 2, "sight of the new keys")
    plc, thief = (house.peer(zmq.SUB, own, ring.own.public) for own in (good, bad))
    for one in (thief, plc):  # the second to ask for a topic is to be known as well as the first

        def hears(one: "zmq.Socket[bytes]" = one) -> bool:
            house.broadcast.send("permit.cam", b"early")
            return bool(one.poll(5))

        one.connect(house.stage)
        until(hears)
    ring.revoke("leaked")
    until(lambda: not house.keeper.allowed & {bad.public.decode()}, "sight of the revocation")
    until(lambda: "permit" in house.refused or (thief.poll(1) and not thief.recv_multipart()), "refusal")
    while thief.poll(0):
        thief.recv_multipart()
    for n in range(50):
        house.broadcast.send("permit.cam", b"%d" % n)
    got: list[bytes] = []
    while not got or got[-1] != b"49":
        assert plc.poll(20_000)
        got.append(plc.recv_multipart()[1])
    assert [one for one in got if one != b"early"] == [b"%d" % n for n in range(50)]
    assert not thief.poll(50)


def test_a_refused_peer_comes_in_by_itself_once_its_key_is_there(house: House, ring: Ring, tmp_path: Path) -> None:
    secret, public = keys.make("late", tmp_path)
    camera = house.peer(zmq.PUSH, keys.read_secret(secret), ring.own.public)
    camera.connect(house.endpoint)
    camera.send(b"frame")
    until(lambda: "input" in house.refused)
    assert house.hear() == []
    os.replace(public, ring.clients / public.name)
    until(lambda: house.hear() == [b"frame"])


def test_a_revoked_peer_comes_back_by_itself_when_its_key_does(house: House, ring: Ring) -> None:
    own = ring.admit("camera")
    text = (ring.clients / "camera.public").read_text()
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    camera = house.peer(zmq.PUSH, own, ring.own.public)
    camera.connect(house.endpoint)
    ring.revoke("camera")
    until(lambda: "input" in house.refused)
    (ring.clients / "camera.public").write_text(text)
    camera.send(b"back")
    until(lambda: house.hear() == [b"back"])


@pytest.mark.parametrize("harm", ["damaged", "folder gone"])
def test_what_cannot_be_read_is_not_allowed(house: House, ring: Ring, harm: str) -> None:
    ring.admit("camera")
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    if harm == "damaged":
        (ring.clients / "camera.public").write_text("no key")
    else:
        ring.clients.rename(ring.folder / "elsewhere")
    until(lambda: not house.keeper.allowed)


def test_the_log_is_told_of_refusals_at_a_bounded_rate_and_never_in_a_peers_words(
    house: House, ring: Ring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = keys.read_secret(keys.make("stranger", tmp_path)[0])
    with caplog.at_level(logging.INFO, "framewatch.keys"):
        for _ in range(5):
            house.peer(zmq.PUSH, own, ring.own.public).connect(house.endpoint)
        until(lambda: len(house.refused) >= 5)
        until(lambda: caplog.messages)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("input: ")
    assert "unknown key" in caplog.messages[0]
    assert not any(key.decode() in caplog.text for key in (*own, *ring.own))


def test_a_connection_that_says_nothing_is_dropped_and_counted(house: House) -> None:
    with sockets.create_connection(("127.0.0.1", int(house.endpoint.rpartition(":")[2]))) as silent:
        silent.settimeout(20)
        while silent.recv(100):
            pass
    until(lambda: house.refused == ["input"])


def test_noise_is_no_frame_and_harms_nobody(house: House, ring: Ring) -> None:
    own = ring.admit("camera")
    until(lambda: len(house.keeper.allowed) == 1, "sight of the new key")
    with sockets.create_connection(("127.0.0.1", int(house.endpoint.rpartition(":")[2]))) as noise:
        noise.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        camera = house.peer(zmq.PUSH, own, ring.own.public)
        camera.connect(house.endpoint)
        camera.send(b"frame")
        until(lambda: house.hear() == [b"frame"])


def test_without_its_keeper_a_door_is_shut_to_everybody(ring: Ring) -> None:
    own = ring.admit("camera")
    house = House(ring)
    house.input.disable_monitor()
    house.broadcast.close(0)
    house.keeper.close()
    camera = house.peer(zmq.PUSH, own, ring.own.public)
    monitor = camera.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    camera.connect(house.endpoint)
    assert monitor.poll(20_000)
    assert int.from_bytes(monitor.recv_multipart()[0][:2], "little") == zmq.EVENT_DISCONNECTED
    camera.disable_monitor()
    monitor.close(0)
    house.close()


def test_only_the_connection_that_was_meant_is_shut() -> None:
    one, other = sockets.socketpair()
    wrong = doorkeeper._place(other.fileno())
    doorkeeper._shut(one.fileno(), wrong)
    one.sendall(b"still there")
    assert other.recv(100) == b"still there"
    doorkeeper._shut(one.fileno(), doorkeeper._place(one.fileno()))
    assert other.recv(100) == b""
    one.close()
    other.close()


def test_an_unfit_folder_is_refused_at_the_start(ring: Ring) -> None:
    context: zmq.Context[Any] = zmq.Context()
    (ring.clients / "odd.public").write_text("odd")
    with pytest.raises(KeyFileError, match=r"odd\.public: holds no key"):
        Doorkeeper(context, ring.own, ring.clients)
    context.term()


def test_a_keeper_whose_sockets_go_while_it_closes_takes_no_process_with_it(
    ring: Ring, caplog: pytest.LogCaptureFixture
) -> None:
    context: zmq.Context[Any] = zmq.Context()
    keeper = Doorkeeper(context, ring.own, ring.clients)
    keeper.guard(context.socket(zmq.PULL), "input")
    keeper._closing.set()  # as `close` does, and the doors are still there
    context.destroy(0)
    keeper._thread.join(5.0)
    assert not keeper._thread.is_alive()
    assert "while it closed" in caplog.text
