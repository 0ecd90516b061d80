"""A connection to the page's server: whoever does not read or does not finish asking is cut off, and holds nobody up.

uvicorn by itself keeps such a connection, and the answer that lies there for it, for as long as the peer likes.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX: Final = 64
"""At once. One more takes the place of the one that has been waited for the longest: an answer may have a megabyte."""

PATIENCE_S: Final = 10.0
"""So long is waited for a client that neither takes up what it was sent nor sends what it has begun to."""

LOOK_S: Final = 2.0


class Connection(H11Protocol):
    """One client; the server's other connections are in `connections`."""

    most: int = CONNECTIONS_MAX
    patience_s: float = PATIENCE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._unread = 0
        self.moved_s = self.loop.time()
        self._looking = self.loop.call_later(min(LOOK_S, self.patience_s), self._look)
        if len(self.connections) > self.most:
            others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
            waited_for = [one for one in others if one.is_waited_for]
            min(waited_for or [self], key=lambda one: one.moved_s).cut_off()

    def data_received(self, data: bytes) -> None:
        self.moved_s = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self.moved_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    @property
    def is_waited_for(self) -> bool:
        """Whether it is the client's turn: to read, to ask, or to end what it asks."""
        if self.transport.get_write_buffer_size() or self.cycle is None:
            return True
        return self.cycle.response_complete or self.cycle.more_body

    def cut_off(self) -> None:
        """End it at once; what lies there for the client is thrown away."""
        self.connections.discard(self)
        self.transport.abort()

    def _look(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread:
            self.moved_s = self.loop.time()  # it reads, if slowly
        self._unread = unread
        if self.is_waited_for and self.loop.time() - self.moved_s >= self.patience_s:
            self.cut_off()
            return
        self._looking = self.loop.call_later(min(LOOK_S, self.patience_s), self._look)
