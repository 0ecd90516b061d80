"""A receiver of webhooks, in threads of its own: it can be gone, hang, answer 500 or close half-way, and be mended."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, Self

Fault = Literal["gone", "hangs", "answers 500", "closes half-way"]
FAULTS: tuple[Fault, ...] = ("gone", "hangs", "answers 500", "closes half-way")


class Receiver:
    """Use as a context manager. What it has said yes to is in `got`, oldest first."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/alarms"
        self.fault: Fault | None = None
        self.mended = threading.Event()
        self.got: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.mended.set()
        self._leave()

    def fail(self, fault: Fault) -> None:
        """From now on."""
        self.mended.clear()
        self.fault = fault
        if fault == "gone":
            self._leave()

    def mend(self) -> None:
        """As if nothing had been; who hangs is let go without an answer."""
        gone, self.fault = self.fault == "gone", None
        self.mended.set()
        if gone:
            self._listen()

    def wait_until(self, holds: Callable[[list[dict[str, Any]]], bool], patience_s: float = 20.0) -> None:
        """Until *holds* of what it has got; fails where it never does."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: holds(self.got), patience_s), self.got

    def _listen(self) -> None:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _leave(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            for connection in self._server.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._server = None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", receiver.port), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.connections.append(self.connection)
        with contextlib.suppress(OSError):
            while (body := _request(self.rfile)) is not None and self._answer(body):
                pass

    def _answer(self, body: bytes) -> bool:
        """Whether the connection goes on."""
        receiver = self.server.receiver
        if receiver.fault in ("hangs", "gone"):
            receiver.mended.wait()
            return False
        if receiver.fault == "closes half-way":
            self.wfile.write(b"HTTP/1.1 2")
            return False
        if receiver.fault == "answers 500":
            self.wfile.write(b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n")
            return True
        with receiver.arrived:
            receiver.got.append(json.loads(body))
            receiver.arrived.notify_all()
        self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True


def _request(stream: BinaryIO) -> bytes | None:
    """The body of the next request; None where the other side has gone."""
    length = 0
    while line := stream.readline():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if line == b"\r\n":
            return stream.read(length)
    return None
