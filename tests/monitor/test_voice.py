"""Heartbeats and the permit as subscribers get them."""

import threading
from collections.abc import Iterator

import msgspec
import pytest
import zmq
from daemon_example import free_port

from monitor.types import State
from monitor.voice import Heartbeat, Permit, Voice

PATIENCE_MS = 5000
BEAT = Heartbeat(
    camera="melt", t_ns=5, state=State.BLIND, why="dark", seq=9, coverage=0.5, frame_age_p99_ms=1.5, active_alarms=2
)
PERMIT = Permit(camera="melt", epoch="e", n=3, t_ns=6, ttl_ms=500, permit=False, why="state blind", mode="advisory")


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def voice(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> Iterator[Voice]:
    made = Voice(context, endpoint, "melt")
    yield made
    made.close()


@pytest.fixture
def listener(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, voice: Voice) -> "zmq.Socket[bytes]":
    """A subscriber that has been heard: what comes from now on reaches it."""
    made = context.socket(zmq.SUB)
    made.subscribe(b"")
    made.connect(endpoint)
    for _ in range(PATIENCE_MS // 10):
        voice.say(PERMIT)
        if made.poll(10):
            break
    while made.poll(50):
        made.recv_multipart()
    return made


def heard(listener: "zmq.Socket[bytes]") -> tuple[bytes, dict[str, object]]:
    assert listener.poll(PATIENCE_MS), "nothing came"
    topic, body = listener.recv_multipart()
    return topic, msgspec.json.decode(body)


def test_a_heartbeat_says_all_that_the_contract_names(voice: Voice, listener: "zmq.Socket[bytes]") -> None:
    voice.say(BEAT)
    assert heard(listener) == (
        b"heartbeat.melt",
        {
            "v": 1,
            "camera": "melt",
            "t_ns": 5,
            "state": "blind",
            "why": "dark",
            "seq": 9,
            "coverage": 0.5,
            "frame_age_p99_ms": 1.5,
            "active_alarms": 2,
        },
    )


def test_a_permit_says_all_that_the_contract_names(voice: Voice, listener: "zmq.Socket[bytes]") -> None:
    voice.say(PERMIT)
    assert heard(listener) == (
        b"permit.melt",
        {
            "v": 1,
            "camera": "melt",
            "epoch": "e",
            "n": 3,
            "t_ns": 6,
            "ttl_ms": 500,
            "permit": False,
            "why": "state blind",
            "mode": "advisory",
        },
    )


def test_several_threads_speak_without_mixing_their_messages(voice: Voice, listener: "zmq.Socket[bytes]") -> None:
    def speak(name: int) -> None:
        for n in range(50):
            voice.say(msgspec.structs.replace(PERMIT, epoch=str(name), n=n))

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [heard(listener)[1] for _ in range(150)]
    for name in range(3):
        assert [one["n"] for one in told if one["epoch"] == str(name)] == list(range(50))


def test_it_never_waits_for_a_subscriber(voice: Voice) -> None:
    for _ in range(5000):
        voice.say(PERMIT)


def test_a_taken_endpoint_is_named(context: "zmq.Context[zmq.Socket[bytes]]", voice: Voice, endpoint: str) -> None:
    with pytest.raises(OSError, match=f"cannot bind to {endpoint}: Address already in use"):
        Voice(context, endpoint, "melt")


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://203.0.113.1:5555"])
def test_an_impossible_endpoint_is_named(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
    with pytest.raises(OSError, match=f"cannot bind to {endpoint}: "):
        Voice(context, endpoint, "melt")
