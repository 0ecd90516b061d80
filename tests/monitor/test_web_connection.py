"""Clients of the page that do not read or do not finish asking, at a real server."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn
from daemon_example import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.web.connection import Connection

DEADLINE_S = 20.0
LARGE = b"x" * (16 << 20)  # more than the system's buffers take up for a client that does not read


class Hasty(Connection):
    """Waits for nobody for long."""

    patience_s = 0.5


class Patient(Connection):
    """Has all the time of the world, but not room for many."""

    most, fresh_s = 4, 0.0
    most_unread = 10 * len(LARGE)
    patience_s = 10 * DEADLINE_S


class Narrow(Patient):
    """Has little room for what nobody reads."""

    most_unread = len(LARGE)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


asked: list[str] = []


async def large(_: Request) -> Response:
    asked.append("large")
    return Response(LARGE)


async def slow(request: Request) -> Response:
    """Answers when it has what was sent, after longer than anybody is waited for."""
    asked.append("slow")
    await request.body()
    await asyncio.sleep(3 * Hasty.patience_s)
    return PlainTextResponse("done")


@contextlib.contextmanager
def served(protocol: type[Connection]) -> Iterator[int]:
    """The port of a server with such connections."""
    asked.clear()
    found = free_port()
    app = Starlette(routes=[Route("/large", large), Route("/slow", slow, methods=["GET", "POST"])])
    server = Server(uvicorn.Config(app, port=found, http=protocol, log_config=None, lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield found
    finally:
        server.should_exit = server.force_exit = True
        thread.join(DEADLINE_S)


@pytest.fixture
def port() -> Iterator[int]:
    with served(Hasty) as found:
        yield found


def until(holds: Callable[[], bool]) -> None:
    never, deadline = threading.Event(), time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        never.wait(0.005)


def client(port: int, *said: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    for one in said:
        made.sendall(one)
    return made


def is_cut_off(one: socket.socket) -> bool:
    """Whether nothing can be sent any more, though nothing was read."""
    try:
        one.send(b"\r\n")
    except OSError:
        return True
    return False


def is_ended(one: socket.socket) -> bool:
    """Whether the server has nothing to say any more, in some time."""
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


ASKS = b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /large HT", b"POST /slow HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf"],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_does_not_finish_asking_is_cut_off(port: int, said: bytes) -> None:
    with client(port, said) as one, contextlib.suppress(ConnectionError):
        assert one.recv(1) == b""


def test_who_does_not_read_is_cut_off_and_what_lay_there_is_gone(port: int) -> None:
    with client(port, ASKS) as one:
        until(lambda: is_cut_off(one))


def test_who_reads_slowly_gets_everything(port: int) -> None:
    with client(port, ASKS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as one:
        got, begun_s, pause = 0, time.monotonic(), threading.Event()
        while piece := one.recv(1 << 18):
            got += len(piece)
            pause.wait(0.02)
        assert got > len(LARGE)
        assert time.monotonic() - begun_s > Hasty.patience_s


def test_a_request_is_looked_at_when_the_answer_before_it_was_taken_up(port: int) -> None:
    more = b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    with client(port, ASKS, more) as one:
        until(lambda: asked == ["large"])
        got = b"".join(iter(lambda: one.recv(1 << 20), b""))
        assert got.endswith(b"done")
        assert asked == ["large", "slow"]


def test_who_waits_for_an_answer_is_not_cut_off(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/slow", timeout=DEADLINE_S, trust_env=False).text == "done"


def test_where_there_are_too_many_one_that_is_waited_for_makes_room() -> None:
    with served(Patient) as port, contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(client(port, ASKS)) for _ in range(Patient.most)]
        until(lambda: len(asked) == Patient.most)
        answer = httpx.get(f"http://127.0.0.1:{port}/large", timeout=DEADLINE_S, trust_env=False)
        assert len(answer.content) == len(LARGE)
        until(lambda: any(is_cut_off(one) for one in deaf))
        assert [is_cut_off(one) for one in deaf].count(True) == 1


def test_where_too_much_lies_unread_some_of_those_who_do_not_read_make_room() -> None:
    with served(Narrow) as port, contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(client(port, ASKS)) for _ in range(Narrow.most)]
        until(lambda: any(is_cut_off(one) for one in deaf))
        assert not all(is_cut_off(one) for one in deaf)


def test_where_all_are_fresh_one_too_many_is_refused() -> None:
    class Few(Patient):
        most, fresh_s = 2, 10 * DEADLINE_S

    with served(Few) as port, client(port), client(port), client(port) as third:
        assert is_ended(third)
