"""A connection to the page's server: whoever does not read or does not finish asking is cut off, and holds nobody up.

uvicorn by itself keeps such a connection, and the answer that lies there for it, for as long as the peer likes.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

UNREAD_BYTES: Final = 32 << 20
"""What may lie there for all clients together. Beyond, those go first that took nothing up for the longest."""

CONNECTIONS_MAX: Final = 512
"""At once. One more takes the place of the one that has been waited for the longest."""

FRESH_S: Final = 1.0
"""A client is not thought to keep anybody waiting before."""

PATIENCE_S: Final = 10.0
"""So long is waited for a client that neither takes up what it was sent nor sends what it has begun to."""

LOOK_S: Final = 2.0


class Connection(H11Protocol):
    """One client; the server's other connections are in `connections`."""

    most: int = CONNECTIONS_MAX
    most_unread: int = UNREAD_BYTES
    fresh_s: float = FRESH_S
    patience_s: float = PATIENCE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._unread, self._unended = 0, False
        self.moved_s = self.loop.time()
        self._looking = self.loop.call_later(min(LOOK_S, self.patience_s), self._look)
        if len(self.connections) > self.most:
            late_s = self.moved_s - self.fresh_s
            waited_for = [one for one in self._all if one.is_waited_for and one.moved_s <= late_s]
            min(waited_for or [self], key=lambda one: one.moved_s).cut_off()

    def pause_writing(self) -> None:
        super().pause_writing()
        unread = {one: one.transport.get_write_buffer_size() for one in self._all}
        for one in sorted(filter(unread.get, unread), key=lambda one: one.moved_s):
            if sum(unread.values()) <= self.most_unread:
                return
            one.cut_off()
            del unread[one]

    def resume_writing(self) -> None:
        self.moved_s = self.loop.time()
        super().resume_writing()
        if self._unended:
            self._unended = False
            super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        self.moved_s = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """The next request, which may lie there already, is looked at once this answer was taken up."""
        self.moved_s = self.loop.time()
        self._unended = self.flow.write_paused
        if not self._unended:
            super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    @property
    def _all(self) -> "list[Connection]":
        return [one for one in self.connections if isinstance(one, Connection)]

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
