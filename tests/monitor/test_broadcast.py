"""A PUB socket with and without keys; who may hear it is tested with the keeper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from key_examples import Ring, until

from monitor.broadcast import Broadcast
from monitor.doorkeeper import Doorkeeper


@pytest.fixture
def context() -> "Iterator[zmq.Context[Any]]":
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture(params=["plain", "keyed"])
def keeper(request: pytest.FixtureRequest, context: "zmq.Context[Any]", tmp_path: Path) -> Iterator[Doorkeeper | None]:
    if request.param == "plain":
        yield None
        return
    made = Doorkeeper(context, Ring(tmp_path).own, tmp_path / "clients")
    yield made
    made.close()


def test_subscribers_get_what_they_asked_for(tmp_path: Path) -> None:
    """With keys as without: an XPUB socket that hands out subscriptions filters as PUB does."""
    ring = Ring(tmp_path)
    own = ring.admit("plc")
    for keyed in (False, True):
        context: zmq.Context[Any] = zmq.Context()
        keeper = Doorkeeper(context, ring.own, ring.clients) if keyed else None
        broadcast = Broadcast(context, "tcp://127.0.0.1:*", 10, 0, "alarms", keeper)
        listener: zmq.Socket[bytes] = context.socket(zmq.SUB)
        if keyed:
            listener.curve_publickey, listener.curve_secretkey = own
            listener.curve_serverkey = ring.own.public
        listener.subscribe(b"alarm.one")
        listener.connect(broadcast._socket.getsockopt_string(zmq.LAST_ENDPOINT))

        def heard(broadcast: Broadcast = broadcast, listener: "zmq.Socket[bytes]" = listener) -> bool:
            broadcast.send("alarm.two", b"not asked for")
            broadcast.send("alarm.one", b"body")
            return bool(listener.poll(5))

        until(heard)
        assert listener.recv_multipart() == [b"alarm.one", b"body"]
        broadcast.close(0)
        if keeper is not None:
            keeper.close()
        context.destroy(linger=0)


def test_it_never_waits_for_subscribers(context: "zmq.Context[Any]", keeper: Doorkeeper | None) -> None:
    broadcast = Broadcast(context, "tcp://127.0.0.1:*", 10, 0, "alarms", keeper)
    for _ in range(1000):
        broadcast.send("alarm.cam", b"x")
    broadcast.close(0)


def test_an_address_in_use_is_an_error_that_leaves_nothing_open(
    context: "zmq.Context[Any]", keeper: Doorkeeper | None
) -> None:
    first = Broadcast(context, "tcp://127.0.0.1:*", 10, 0, "alarms", keeper)
    endpoint = first._socket.getsockopt_string(zmq.LAST_ENDPOINT)
    with pytest.raises(zmq.ZMQError, match="Address already in use"):
        Broadcast(context, endpoint, 10, 0, "alarms", keeper)
    first.close(0)
