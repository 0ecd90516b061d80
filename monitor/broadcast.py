"""A PUB socket that asks its subscribers for keys where the daemon has some."""

import zmq

from monitor.doorkeeper import Doorkeeper


class Broadcast:
    """Bound to *endpoint*; subscribers may lag *hwm* messages behind. Raises zmq.ZMQError where it cannot be bound.

    Not safe for several threads at once. With a *keeper* its door is called *name*.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        hwm: int,
        linger_ms: int,
        name: str,
        keeper: Doorkeeper | None,
    ) -> None:
        # An XPUB socket is a PUB socket that hands out subscriptions, which say whose connection is whose.
        self._socket = context.socket(zmq.PUB if keeper is None else zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, hwm)
        self._socket.setsockopt(zmq.LINGER, linger_ms)
        self._door = keeper.guard(self._socket, name) if keeper is not None else None
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self.close(0)
            raise

    def listen(self) -> None:
        """Take in who has subscribed since: what is sent from now on reaches them.

        And those who are known stay connected when another's key is taken away.
        """
        if self._door is None:
            self._socket.get(zmq.EVENTS)  # while libzmq only sends, it looks but once in a millisecond who has come
            return
        while self._socket.poll(0):
            self._door.admits(self._socket.recv(copy=False))

    def send(self, topic: str, body: bytes) -> None:
        """Publish; it never waits for a subscriber."""
        self.listen()
        self._socket.send_multipart((topic.encode(), body), zmq.NOBLOCK)

    def close(self, linger_ms: int | None = None) -> None:
        """Send what is queued and close."""
        if self._door is not None and not self._socket.closed:
            self._socket.disable_monitor()
        self._socket.close(linger_ms)
