"""What the daemon says of itself on its PUB socket: heartbeats and the permit."""

import threading

import msgspec
import zmq

from monitor.broadcast import Broadcast
from monitor.doorkeeper import Doorkeeper
from monitor.types import State

SEND_HWM = 1000
"""Messages that a subscriber may lag behind before it loses some: at ten a second, over a minute."""
LINGER_MS = 500  # the last word still leaves; a dead subscriber does not hold us


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """`heartbeat.<camera>`, version 1: every second and at every change of state."""

    v: int = 1
    camera: str
    t_ns: int  # Unix nanoseconds, the daemon's clock
    state: State
    why: str
    seq: int  # of the last frame judged
    coverage: float  # judged over announced in the last 10 s
    frame_age_p99_ms: float
    active_alarms: int


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """`permit.<camera>`, version 1: at every change and every period."""

    v: int = 1
    camera: str
    epoch: str
    n: int
    t_ns: int  # Unix nanoseconds, the daemon's clock
    ttl_ms: int
    permit: bool
    why: str
    mode: str


class Voice:
    """A PUB socket that several threads of one process may speak through."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        camera: str,
        keeper: Doorkeeper | None = None,
    ) -> None:
        """Raises OSError with one line where *endpoint* is taken or malformed."""
        self._camera = camera
        self._lock = threading.Lock()
        try:
            self._broadcast = Broadcast(context, endpoint, SEND_HWM, LINGER_MS, "permit", keeper)
        except zmq.ZMQError as error:
            raise OSError(f"cannot bind to {endpoint}: {error.strerror}") from None

    def say(self, message: Heartbeat | Permit) -> None:
        """Publish *message*; it never waits for a subscriber."""
        topic = f"{'heartbeat' if isinstance(message, Heartbeat) else 'permit'}.{self._camera}"
        body = msgspec.json.encode(message)
        with self._lock:
            self._broadcast.send(topic, body)

    def close(self) -> None:
        """Send what is queued and close."""
        with self._lock:
            self._broadcast.close()
