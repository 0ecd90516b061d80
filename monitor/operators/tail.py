"""`framewatch alarms tail`: which alarms are open, then each change as it is published, each once.

Subscribe, ask for a snapshot, go on with the changes by id and revision; all over again after a lost connection.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec
import zmq

from monitor.alarms.alarm import Alarm
from monitor.operators.reach import AlarmError

ANSWER_S: Final = 5.0
"""So long the changes wait for a snapshot; where none comes they are told without."""

WAITING: Final = 10_000  # changes that wait meanwhile, as many as the daemon keeps
SEEN_MOST: Final = 100_000
"""Alarms of which the last revision told is known."""

Lock = Callable[["zmq.Socket[bytes]"], None]


class SnapshotError(ValueError):
    """There is no snapshot to be had: one line."""


class Seen:
    """What was told already: a daemon that starts again sends its last second anew, and a snapshot shows all."""

    def __init__(self, most: int = SEEN_MOST) -> None:
        self._revisions: dict[str, int] = {}  # by id, the one told last at the end
        self._most = most

    def takes(self, alarm: Alarm) -> bool:
        """Whether *alarm* is to be told; then it is known from here on."""
        if alarm.rev <= self._revisions.get(alarm.id, 0):
            return False
        self._revisions.pop(alarm.id, None)
        self._revisions[alarm.id] = alarm.rev
        if len(self._revisions) > self._most:
            del self._revisions[next(iter(self._revisions))]
        return True


class _Answer(msgspec.Struct):
    """Of the snapshot socket: alarms, or an error."""

    alarms: list[Alarm] = []
    more: bool = False
    error: str = ""


class Tail:
    """Follows the alarms of *camera*, published at *alarms*; *snapshot* is where to ask what is open, None: nowhere.

    *lock* gives a socket its keys. Addresses are as the daemon binds them. The context is the caller's to destroy.
    """

    def __init__(
        self, context: "zmq.Context[Any]", camera: str, alarms: str, snapshot: str | None, lock: Lock = lambda _: None
    ) -> None:
        self._context = context
        self._camera = camera
        self._alarms = alarms
        self._snapshot = snapshot
        self._lock = lock
        self._seen = Seen()

    def follow(
        self, tell_open: Callable[[Alarm], None], tell_change: Callable[[Alarm], None], warn: Callable[[str], None]
    ) -> NoReturn:
        """Tell what is open, then every change, until interrupted. Raises AlarmError where an address is none."""
        changes = self._socket(zmq.SUB)
        connected = changes.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        changes.setsockopt(zmq.RCVHWM, WAITING)
        changes.subscribe(f"alarm.{self._camera}")
        first = True
        try:
            _connect(changes, self._alarms)
            while True:
                ready, _, _ = zmq.select([changes, connected], [], [])
                if connected in ready:  # subscriptions go out with the handshake, before anything can be asked
                    connected.recv_multipart()
                    if not first:  # what came before the connection was lost goes before what a snapshot shows
                        self._tell_changes(changes, tell_change)
                    first = False
                    self._tell_open(tell_open, warn)
                if changes in ready:
                    self._tell_changes(changes, tell_change)
        finally:
            changes.disable_monitor()
            connected.close(0)
            changes.close(0)

    def _tell_changes(self, changes: "zmq.Socket[bytes]", tell: Callable[[Alarm], None]) -> None:
        while changes.poll(0):
            alarm = msgspec.json.decode(changes.recv_multipart()[1], type=Alarm)
            if self._seen.takes(alarm):
                tell(alarm)

    def _tell_open(self, tell: Callable[[Alarm], None], warn: Callable[[str], None]) -> None:
        if self._snapshot is None:
            return
        try:
            found = self._ask(self._snapshot)
        except SnapshotError as error:
            warn(f"what is open already is not known: {error}")
            return
        for alarm in found:
            if self._seen.takes(alarm):
                tell(alarm)

    def _ask(self, endpoint: str) -> list[Alarm]:
        """What is open, oldest first. Raises SnapshotError."""
        socket = self._socket(zmq.REQ)  # a new one each time: one that waits for a lost answer could ask no more
        socket.setsockopt(zmq.RCVTIMEO, round(ANSWER_S * 1000))
        _connect(socket, endpoint)
        found, request = list[Alarm](), {"v": 1, "camera": self._camera}
        try:
            while True:
                socket.send(msgspec.json.encode(request))
                answer = msgspec.json.decode(socket.recv(), type=_Answer)
                if answer.error:
                    raise SnapshotError(answer.error)
                found += answer.alarms
                if not (answer.more and answer.alarms):
                    return found[::-1]
                request["before"] = answer.alarms[-1].id
        except zmq.Again:
            raise SnapshotError(f"no answer from {endpoint} (outputs.snapshot)") from None
        finally:
            socket.close(0)

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        self._lock(made)
        return made


def _connect(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """To where the daemon binds: at every address of this machine it is reached at this one."""
    try:
        socket.connect(endpoint.replace("://*:", "://127.0.0.1:"))
    except zmq.ZMQError as error:
        raise AlarmError(f"{endpoint} is no address to connect to ({error.strerror})") from None
