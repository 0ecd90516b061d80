"""A real mosquitto on a port of its own, and what a subscriber hears there."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
from daemon_example import free_port
from sink_examples import Journal, dispatching, route, run, some_journal, until

from monitor.sinks.dispatch import Dispatch
from monitor.sinks.mqtt import Broker, MqttSink
from monitor.sinks.pump import SystemClock
from monitor.types import State
from monitor.voice import Heartbeat, Permit

PROGRAM = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """A broker that can be stopped, started and held still. *lines* of configuration are added to the usual ones."""

    def __init__(self, folder: Path, *lines: str) -> None:
        assert PROGRAM, "these tests need mosquitto; on Debian and Ubuntu: apt-get install mosquitto"
        self.port = free_port()
        usual = [f"listener {self.port} 127.0.0.1", "persistence false", "log_dest stderr", "user root"]
        if not any(line.startswith("allow_anonymous") for line in lines):
            usual.append("allow_anonymous true")
        self._file = folder / "mosquitto.conf"
        self._file.write_text("\n".join([*usual, *lines]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._file)], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait()
            self._process = None

    def hold(self, held: bool) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if held else signal.SIGCONT)

    async def until_up(self) -> None:
        def is_up() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return True
            return False

        await until(is_up, "the broker's start")


@contextlib.contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(folder, *lines)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


class Heard(NamedTuple):
    topic: str
    body: Any  # None where it is empty
    retained: bool  # it lay at the broker before we asked
    expiry_s: int | None


class Listener:
    """All that a subscriber hears."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def of(self, topic: str) -> list[Any]:
        return [one.body for one in self.heard if one.topic == topic]

    async def listen(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in client.messages:
                payload = bytes(message.payload) if isinstance(message.payload, bytes | bytearray) else b""
                expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
                body = json.loads(payload) if payload else None
                self.heard.append(Heard(str(message.topic), body, bool(message.retain), expiry_s))


@contextlib.asynccontextmanager
async def listening(port: int, **options: Any) -> AsyncIterator[Listener]:
    listener = Listener()
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, **options) as client:
        await client.subscribe("#", qos=1)
        task = asyncio.create_task(listener.listen(client))
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.wait([task])


async def retained(port: int, mark: str = "mark") -> dict[str, Any]:
    """What lies at the broker for whoever comes anew, by topic."""
    async with listening(port) as listener, aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(mark, b"1", qos=1)  # what was retained is handed out before what comes now
        await until(lambda: bool(listener.of(mark)))
        return {one.topic: one.body for one in listener.heard if one.retained}


def sink(port: int, timeout_s: float = 5.0, clock: Any = None, **more: Any) -> MqttSink:
    place = Broker("127.0.0.1", port, "melt-monitor", **more)
    return MqttSink("hall", place, "plant", "melt", timeout_s, clock or SystemClock())


@contextlib.asynccontextmanager
async def connected(mqtt: MqttSink, journal: Journal) -> AsyncIterator[Dispatch]:
    async with dispatching(journal, route(mqtt)) as dispatch:
        await until(mqtt._linked.is_set, "the connection")
        yield dispatch


def with_broker(folder: Path, main: Callable[[Mosquitto, Journal], Any], *lines: str) -> None:
    async def work() -> None:
        with broker(folder, *lines) as mosquitto, some_journal() as journal:
            await mosquitto.until_up()
            await main(mosquitto, journal)

    run(work)


def heartbeat(**more: Any) -> Heartbeat:
    told: dict[str, Any] = {"camera": "melt", "t_ns": SystemClock().unix_ns(), "state": State.OK, "why": "", "seq": 7}
    return Heartbeat(**{**told, "coverage": 1.0, "frame_age_p99_ms": 2.0, "active_alarms": 0, **more})


def permit(n: int, **more: Any) -> Permit:
    told: dict[str, Any] = {"camera": "melt", "epoch": "e", "n": n, "t_ns": SystemClock().unix_ns(), "ttl_ms": 60_000}
    return Permit(**{**told, "permit": True, "why": "", "mode": "interlock", **more})
