"""Who may connect: answers libzmq's questions about keys, counts whom it refused, cuts off whose key is taken away.

libzmq asks (by ZAP, RFC 27) once for each new connection and never again. So when a key vanishes from the folder, the
connections that are not known to belong to another allowed key are shut at the system's level: libzmq sees a peer that
hung up, and whoever still has a key is back within a fifth of a second. Who owns a connection is learned from what
comes in on it (`Door.admits`); see docs/security.md for what was tried.
"""

import logging
import os
import socket as sockets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from monitor.config import Security
from monitor.keys import Credentials, Pair, of_daemon, read_folder, use_as_client
from monitor.shared import Arrays

ZAP: Final = "inproc://zeromq.zap.01"
LOOK_NS: Final = 1_000_000_000
"""The folder is looked at so often."""
TURN_MS: Final = 100
HANDSHAKE_MS: Final = 2000
"""A peer that has not proved itself by then is dropped. A refused one waits for so long: it knocks no sooner."""
TELL_NS: Final = 10_000_000_000
CLOSE_S: Final = 2.0
EVENTS_A_TURN: Final = 1000

ADMITTED, LATER = b"200", b"300"
"""`LATER` and not 400: after that one libzmq's clients never try again, not even when their key is there."""

REFUSALS: Final = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "unknown key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "no key, or it knows another server's",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "no key, or it left before it proved itself",
}
WATCHED: Final = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED | sum(REFUSALS)

Place = tuple[int, int]
"""Device and inode of an open file: no other has the same at the same time."""

log = logging.getLogger("framewatch.keys")


class Door:
    """One socket that asks for keys. The thread that reads the socket calls `admits`, the rest is the keeper's.

    - `open`: file descriptor -> device and inode, of every connection
    - `owners`: file descriptor -> key, as far as something came in on it
    """

    def __init__(self, keeper: "Doorkeeper", socket: "zmq.Socket[bytes]", name: str) -> None:
        self._keeper = keeper
        self.socket = socket
        self.name = name
        self.monitor: zmq.Socket[bytes] = socket.get_monitor_socket(WATCHED)
        self.open: dict[int, Place] = {}
        self.owners: dict[int, str] = {}
        self.refused = self._told = 0
        self._why = ""
        self._told_ns: int | None = None

    def admits(self, frame: zmq.Frame) -> bool:
        """Whether who sent *frame* is allowed by now: a revoked peer's messages may still wait at the socket."""
        try:
            key, handle = str(frame.get("User-Id")), int(frame.get(zmq.SRCFD))  # libzmq says both, not the peer
        except zmq.ZMQError:  # what a socket makes up itself, when a subscriber goes, comes from nobody
            return False
        self.owners[handle] = key
        return key in self._keeper.allowed

    def drain(self) -> bool:
        """Take in what happened at this socket; False once it is closed and nothing will happen any more."""
        for _ in range(EVENTS_A_TURN):  # a flood of peers must not keep the others waiting for an answer
            if not self.monitor.poll(0):
                break
            told = recv_monitor_message(self.monitor)
            event, handle = zmq.Event(told["event"]), told["value"]
            if event == zmq.EVENT_ACCEPTED:
                with suppress(OSError):  # it is gone already, and its end is the next event
                    self.open[handle] = _place(handle)
            elif event == zmq.EVENT_DISCONNECTED:
                self.open.pop(handle, None)
                self.owners.pop(handle, None)
            elif event == zmq.EVENT_MONITOR_STOPPED:
                return False
            else:
                self.refused += 1
                self._why = REFUSALS[event]
                self._keeper.refused(self.name)
        return True

    def cut(self) -> int:
        """Shut every connection that is not known to be an allowed key's; how many they were."""
        strangers = [one for one in self.open.items() if self.owners.get(one[0]) not in self._keeper.allowed]
        for handle, place in strangers:
            with suppress(OSError):
                _shut(handle, place)
        return len(strangers)

    def tell(self, now_ns: int) -> None:
        """A line for the first refusal, then one every ten seconds at most: each is counted, not each told."""
        new = self.refused - self._told
        if new and (self._told_ns is None or now_ns - self._told_ns >= TELL_NS):
            self._told, self._told_ns = self.refused, now_ns
            log.warning("%s: %d peer(s) refused, the last one: %s; %d so far", self.name, new, self._why, self.refused)


class Doorkeeper:
    """A thread that keeps the doors of one ZeroMQ context. *refused* is told the name of the door each time.

    *clients* is the folder of those who may connect. Raises KeyFileError where it cannot be read as a whole.
    """

    def __init__(
        self, context: "zmq.Context[Any]", own: Pair, clients: Path, refused: Callable[[str], None] = lambda name: None
    ) -> None:
        self._own = own
        self._clients = clients
        self._seen = _signature(clients)
        keys, faults = read_folder(clients)
        if faults:
            raise faults[0]
        self.allowed = frozenset(key.decode() for key in keys)
        self.refused = refused
        self._doors: list[Door] = []
        self._closing = threading.Event()
        self._zap = context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP)
        self._thread = threading.Thread(target=self._run, name="doorkeeper", daemon=True)
        self._thread.start()

    def guard(self, socket: "zmq.Socket[bytes]", name: str) -> Door:
        """Let only allowed keys connect to *socket*, which is not bound yet."""
        socket.curve_server = True
        socket.curve_secretkey = self._own.secret
        socket.zap_domain = name.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a keeper nobody comes in, instead of everybody
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        if socket.type == zmq.XPUB:
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every subscriber makes itself known, not only the first of a topic
        door = Door(self, socket, name)
        self._doors.append(door)
        return door

    def close(self) -> None:
        """Let go of the sockets, which may be closed already or after this, and end the thread."""
        for door in list(self._doors):
            if not door.socket.closed:
                door.socket.disable_monitor()
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            looked_ns = time.monotonic_ns()
            while self._doors or not self._closing.is_set():
                self._turn()
                now_ns = time.monotonic_ns()
                for door in self._doors:
                    door.tell(now_ns)
                if now_ns - looked_ns >= LOOK_NS and not self._closing.is_set():
                    looked_ns = now_ns
                    self._look()
            self._zap.close()
        except BaseException:
            if self._closing.is_set():  # all doors are shut or being shut: there is nobody whom this keeps out
                log.warning("the doorkeeper failed while it closed", exc_info=True)
                return
            log.critical("the doorkeeper failed; the process ends", exc_info=True)
            logging.shutdown()
            os._exit(70)  # EX_SOFTWARE: a door without its keeper would be shut to everybody, in silence

    def _turn(self) -> None:
        """Wait for what happens, and take it in."""
        poller = zmq.Poller()
        for socket in (self._zap, *(door.monitor for door in self._doors)):
            poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(TURN_MS))
        if self._zap in ready:
            self._answer()
        for door in list(self._doors):
            if not door.drain():
                self._doors.remove(door)
                door.monitor.close(0)

    def _answer(self) -> None:
        """Answer one question of libzmq's: version, request, domain, address, identity, mechanism, key."""
        version, request, _, _, _, mechanism, *credentials = self._zap.recv_multipart()
        key = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" else ""
        admitted = key in self.allowed
        user = key.encode() if admitted else b""
        self._zap.send_multipart([version, request, ADMITTED if admitted else LATER, b"", user, b""])

    def _look(self) -> None:
        """Read the folder anew where it has changed. What cannot be read is not allowed."""
        signature = _signature(self._clients)
        if signature == self._seen:
            return
        self._seen = signature
        keys, faults = read_folder(self._clients)
        for fault in faults:
            log.error("%s", fault)
        before, self.allowed = self.allowed, frozenset(key.decode() for key in keys)
        log.info("%s: %d key(s) may connect", self._clients, len(self.allowed))
        if before - self.allowed:
            for door in self._doors:
                door.drain()  # what has ended is not cut: its descriptor may be another file's by now
                log.warning("%s: a key was taken away, %d connection(s) are cut", door.name, door.cut())


def hire(
    context: "zmq.Context[Any]", credentials: Credentials | None, refused: Callable[[str], None] = lambda name: None
) -> Doorkeeper | None:
    """The keeper of the sockets that *credentials* ask keys for; None: for none. Raises KeyFileError."""
    if credentials is None or credentials.clients is None:
        return None
    return Doorkeeper(context, credentials.own, credentials.clients, refused)


def hire_for_daemon(security: Security, context: "zmq.Context[Any]", vitals: Arrays) -> Doorkeeper | None:
    """The same for what a process of the daemon binds; whom it refuses is counted in *vitals*."""

    def count(name: str) -> None:
        vitals[f"refused_{name}"][0] += 1

    return hire(context, of_daemon(security), count)


def lock(
    socket: "zmq.Socket[bytes]", credentials: Credentials | None, keeper: Doorkeeper | None, name: str
) -> Door | None:
    """Give *socket*, which is not open yet, its keys: a server's where there is a *keeper*, else a client's, if any."""
    if keeper is not None:
        return keeper.guard(socket, name)
    if credentials is not None and credentials.server is not None:
        use_as_client(socket, credentials.own, credentials.server)
    return None


def _place(handle: int) -> Place:
    seen = os.fstat(handle)
    return seen.st_dev, seen.st_ino


def _shut(handle: int, place: Place) -> None:
    """End the connection at *handle*, if it still is the one at *place*: libzmq closes its own at any moment."""
    pinned = os.dup(handle)
    if _place(pinned) != place:
        os.close(pinned)
        return
    with sockets.socket(fileno=pinned) as peer:
        peer.shutdown(sockets.SHUT_RDWR)


def _signature(folder: Path) -> frozenset[tuple[str, int, int, int]]:
    """Changes whenever a file in *folder* comes, goes or is written."""
    with suppress(OSError), os.scandir(folder) as entries:
        found = [(entry.name, entry.stat()) for entry in entries]
        return frozenset((name, seen.st_ino, seen.st_size, seen.st_mtime_ns) for name, seen in found)
    return frozenset()
