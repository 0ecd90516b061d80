"""Keys, peers and a keeper on real sockets, for the tests of who may speak."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from monitor import keys
from monitor.keys import Pair

PATIENCE_S = 20.0


class Ring:
    """A folder of keys: the daemon's own, and those of who may connect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clients = folder / "clients"
        self.clients.mkdir()
        self.secret, self.public = keys.make("daemon", folder)
        self.own = keys.read_secret(self.secret)

    def admit(self, name: str) -> Pair:
        """A new pair whose public key is in the folder of clients; its secret is beside it."""
        secret, public = keys.make(name, self.folder)
        os.replace(public, self.clients / public.name)
        return keys.read_secret(secret)

    def revoke(self, name: str) -> None:
        (self.clients / f"{name}.public").unlink()

    def document(self) -> dict[str, str]:
        """The section `security` of a daemon with these keys."""
        return {"secret": str(self.secret), "clients": str(self.clients)}


def peer(context: "zmq.Context[Any]", kind: int, own: Pair | None, server: bytes) -> "zmq.Socket[bytes]":
    """A socket that is yet to connect; without *own* it has no key."""
    made: zmq.Socket[bytes] = context.socket(kind)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.RECONNECT_IVL, 20)
    made.setsockopt(zmq.SNDTIMEO, int(PATIENCE_S * 1000))
    if kind == zmq.SUB:
        made.subscribe(b"")
    if own is not None:
        keys.use_as_client(made, own, server)
    return made


def until(holds: Callable[[], object], what: str = "it") -> None:
    """Look again and again until *holds*: other threads and processes bring it about."""
    never, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come about"
        never.wait(0.005)
