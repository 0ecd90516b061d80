"""Whoever is connected and never reads, on every way out of the daemon: nobody else waits, and memory stays bounded."""

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import zmq
from asyncua import Client, ua
from daemon import Camera, Daemon, Lateness, Stream, p99_ms
from daemon_example import free_port
from frames import normal
from receivers import Receiver

from monitor.bundle import Bundle

RATE_HZ, PER_MESSAGE = 1000, 10
BURST, CALM = PER_MESSAGE, 50  # frames of which one is dark: 100 alarms a second, and 20
ALARMS = 400  # raised while nobody of the deaf reads
EACH = 5  # deaf subscribers of each socket, and panels
BROWSERS, REQUESTS = 80, 20  # deaf browsers, and how often each asks for a thousand alarms
ANSWER_S = 5.0  # that somebody else may have to wait for the page, while what all of these ask for is put together
P99_MS = 50.0  # no frame in a hundred may have waited for longer, unless everybody on this machine does
GROWTH_MIB = {"side": 90, "hot": 30}
PATIENCE_S = 120.0


def cycle(length: int) -> np.ndarray:
    """So many frames, the first of which is dark."""
    frames = normal(length, 1)
    frames[0] = 0
    return frames


def deaf_subscriber(context: "zmq.Context[Any]", endpoint: str) -> "zmq.Socket[bytes]":
    made = context.socket(zmq.SUB)
    made.setsockopt(zmq.RCVHWM, 1)
    made.setsockopt(zmq.RCVBUF, 4096)
    made.subscribe(b"")
    made.connect(endpoint)
    return made


def deaf_browser(port: int) -> socket.socket:
    """A connection on which many large answers were asked for."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(b"GET /api/v1/alarms?limit=1000 HTTP/1.1\r\nHost: here\r\n\r\n" * REQUESTS)
    return made


@contextlib.contextmanager
def mute_peer() -> Iterator[int]:
    """The port of something that lets everybody connect, and neither reads nor says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


class DeafPanels(threading.Thread):
    """OPC UA clients that subscribe to the permit, ask for much, and read nothing of it."""

    def __init__(self, port: int, count: int) -> None:
        super().__init__()
        self._url, self._count = f"opc.tcp://127.0.0.1:{port}/framewatch", count
        self._done = threading.Event()

    def run(self) -> None:
        asyncio.run(self._stay())

    async def _stay(self) -> None:
        transports = [await self._subscribed() for _ in range(self._count)]
        while not self._done.is_set():
            await asyncio.sleep(0.05)
        for transport in transports:
            transport.abort()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _subscribed(self) -> asyncio.Transport:
        client = Client(self._url, timeout=300)
        await client.connect()
        subscription = await client.create_subscription(50, self)
        permit = client.get_node(ua.NodeId("cam.Permit", 2))
        await subscription.subscribe_data_change([permit])
        transport: asyncio.Transport = client.uaclient.protocol.transport
        transport.pause_reading()
        for _ in range(5):
            asked = client.read_attributes([permit] * 1000, ua.AttributeIds.Description)
            asyncio.ensure_future(asked).add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.sleep(0)
        return transport

    def datachange_notification(self, *_: object) -> None:
        pass

    def status_change_notification(self, *_: object) -> None:
        pass

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) / 256


def taken_s(what: Callable[[], object]) -> float:
    begun_s = time.monotonic()
    what()
    return time.monotonic() - begun_s


async def permit_over_opc_ua(port: int) -> bool:
    async with Client(f"opc.tcp://127.0.0.1:{port}/framewatch") as client:
        value = await client.get_node(ua.NodeId("cam.Permit", 2)).read_data_value(raise_on_bad_status=False)
        return bool(value.StatusCode.is_good())


def surround(stack: ExitStack, daemon: Daemon, panel: int) -> "list[zmq.Socket[bytes]]":
    """All who are deaf; the subscribers among them."""
    context: zmq.Context[Any] = zmq.Context()
    stack.callback(context.destroy, 0)
    stack.enter_context(DeafPanels(panel, EACH))
    for _ in range(BROWSERS):
        stack.enter_context(deaf_browser(int(daemon.url.rpartition(":")[2])))
    return [deaf_subscriber(context, endpoint) for endpoint in daemon._outputs for _ in range(EACH)]


def sections(well: Receiver, mute: int, panel: int) -> dict[str, Any]:
    """Sinks, one of which is heard, and alarms of single frames."""
    hooks = [
        {"name": "well", "url": well.url},
        {"name": "mute-hook", "url": f"http://127.0.0.1:{mute}/", "timeout_s": 1},
    ]
    broker = {"name": "mute-broker", "host": "127.0.0.1", "port": mute, "timeout_s": 1}
    return {
        "events": {"k": 1, "n": 1, "clear_frames": 1},
        "alarms": {"flood": None},
        "log": {"level": "error"},
        "sinks": {"webhooks": hooks, "mqtt": [broker]},
        "opcua": {"port": panel},
        "recorder": {"mib": 0},  # a recording is one revision more of each alarm, of which this is not about
    }


def test_nobody_waits_for_those_who_never_read(small_bundle: Bundle, tmp_path: Path) -> None:
    panel = free_port()
    with ExitStack() as stack:
        well, mute = stack.enter_context(Receiver(free_port())), stack.enter_context(mute_peer())
        daemon = stack.enter_context(Daemon(tmp_path, small_bundle.path, **sections(well, mute, panel)))
        daemon.wait_until_listening()
        camera = stack.enter_context(Camera(daemon.endpoint))

        def raised() -> int:
            return len({one.id for one in daemon.alarms})

        with Stream(camera, cycle(BURST), RATE_HZ, PER_MESSAGE):
            daemon.wait_until(lambda: raised() > 1000, "a thousand alarms")
        daemon.wait_until(lambda: daemon.metrics()["framewatch_sink_pending", "well"] == 0, "deliveries", PATIENCE_S)
        stack.enter_context(Stream(camera, cycle(CALM), RATE_HZ, PER_MESSAGE))
        before, begun = daemon.ages(), raised()
        daemon.wait_until(lambda: raised() > begun + ALARMS // 4, "alarms without the deaf")
        usual, begun, first = daemon.ages(), raised(), len(daemon.permits)
        limits = {name: resident_mib(daemon.child(name)) + growth for name, growth in GROWTH_MIB.items()}
        deaf, late = surround(stack, daemon, panel), stack.enter_context(Lateness())
        waits_s, most = [0.0], dict.fromkeys(limits, 0.0)

        def enough() -> bool:
            waits_s.append(taken_s(lambda: daemon.get("/api/v1/status")))
            for name in most:
                most[name] = max(most[name], resident_mib(daemon.child(name)))
            return raised() > begun + ALARMS

        daemon.wait_until(enough, "alarms beside the deaf", PATIENCE_S)
        ages_ms = p99_ms(before, usual), p99_ms(usual, daemon.ages())
        late_ms = late.p99_ms
        sys.stdout.write(f"\npage {max(waits_s):.2f} s, MiB {most} of {limits}, p99 {ages_ms}, {late_ms:.1f} ms\n")
        assert asyncio.run(asyncio.wait_for(permit_over_opc_ua(panel), PATIENCE_S))
        assert ages_ms[1] <= max(P99_MS, ages_ms[0], 10 * late_ms)
        assert max(waits_s) < ANSWER_S
        assert daemon.metrics()["framewatch_sink_pending", "well"] < ALARMS / 10
        assert all(one.poll(0) for one in deaf), "they are there, and have not read"
        assert all(most[name] < limit for name, limit in limits.items())
        assert daemon.stop() == 0
    numbers = [one.n for one in daemon.permits[first:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    for alarm_id in {one.id for one in daemon.alarms}:
        revisions = [one.rev for one in daemon.alarms if one.id == alarm_id]
        assert revisions == list(range(1, len(revisions) + 1))
