"""Alarms, heartbeat and permit to an MQTT 5 broker: [docs/sinks.md](../../docs/sinks.md) has the topics.

Nothing is said without being acknowledged before the next of its kind, so that no queue can build up anywhere on our
side: what the broker does not take now is, but for alarms, never sent.
"""

import asyncio
import logging
import math
import random
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import aiomqtt
import msgspec

from monitor.alarms.alarm import Alarm
from monitor.sinks import retry
from monitor.sinks.feed import Entry
from monitor.sinks.link import Link
from monitor.sinks.pump import STANDING_MAX, Clock
from monitor.sinks.retry import Policy
from monitor.sinks.sink import DeliveryError, RefusedError, Sink, body_of
from monitor.voice import Heartbeat, Permit

KEEPALIVE_S: Final = 10
"""A connection on which the broker is silent for one and a half times so long is taken for dead, on both sides."""

CONNECTING: Final = Policy(first_s=0.5, most_s=15.0)

STEADY_S: Final = 30.0
"""A connection that has lasted so long was a good one."""

HEARTBEAT_TTL_NS: Final = 2_000_000_000
"""A heartbeat comes every second: one that is older was overtaken."""

_log = logging.getLogger(__name__)


class Broker(NamedTuple):
    """Where the broker is, and who we are there."""

    host: str
    port: int
    client_id: str
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


class Told(NamedTuple):
    """What is true for a while."""

    body: bytes
    until_ns: int  # Unix nanoseconds; afterwards it is not sent any more
    expiry_s: int | None  # after so many seconds the broker gives it to nobody


class MqttSink(Sink):
    """One broker. Topics are `<prefix>/<camera>/alarm/<id>`, `.../heartbeat` and `.../permit`."""

    retains = True

    def __init__(self, name: str, broker: Broker, prefix: str, camera: str, timeout_s: float, clock: Clock) -> None:
        super().__init__(name)
        self._broker = broker
        self._root = f"{prefix}/{camera}"
        self._camera = camera
        self._timeout_s = timeout_s
        self._clock = clock
        self._link: Link | None = None
        self._linked = asyncio.Event()
        self._heartbeat: asyncio.Queue[Told] = asyncio.Queue(1)
        self._permit: asyncio.Queue[Told] = asyncio.Queue(1)
        self._last_heartbeat: Told | None = None
        self._open: dict[str, Alarm] = {}  # what the broker should retain, as delivered; the latest change last
        self._resumed = asyncio.Event()
        self._closed = False

    async def deliver(self, entry: Entry) -> None:
        """An open alarm is retained; of one that is over the change is sent, and what was retained is emptied."""
        alarm, topic = entry.alarm, self._topic(entry.alarm)
        link = await self._connected()
        is_open = alarm.state == "active"
        self._remember(alarm)  # before: what may have arrived must not give way to an older revision
        await link.send(topic, body_of(alarm), retain=is_open)
        if not is_open:
            await link.send(topic, b"", retain=True)

    def resume(self, standing: Sequence[Alarm]) -> None:
        """These the broker should retain."""
        self._open = {alarm.id: alarm for alarm in standing}
        self._resumed.set()

    async def run(self, back: Callable[[], None]) -> None:
        """Keep a connection."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_connected(back))
            tasks.create_task(self._speak(self._heartbeat, f"{self._root}/heartbeat", retain=True))
            tasks.create_task(self._speak(self._permit, f"{self._root}/permit", retain=False))

    def say(self, message: Heartbeat | Permit) -> None:
        """The newest wins, and what cannot leave while it is true is never sent."""
        body = msgspec.json.encode(message)
        if isinstance(message, Heartbeat):
            self._last_heartbeat = Told(body, message.t_ns + HEARTBEAT_TTL_NS, None)
            _replace(self._heartbeat, self._last_heartbeat)
        elif self._link is not None:
            until_ns = message.t_ns + message.ttl_ms * 1_000_000
            _replace(self._permit, Told(body, until_ns, math.ceil(message.ttl_ms / 1000)))

    async def close(self) -> None:
        """Say that nobody is here any more: of an orderly goodbye the broker does not publish the last will."""
        self._closed = True
        if self._link is not None:
            await self._link.send(f"{self._root}/heartbeat", self._offline("the daemon was stopped"), retain=True)

    async def _keep_connected(self, back: Callable[[], None]) -> None:
        failures = 0
        while True:
            began_s = self._clock.mono_s()
            try:
                async with self._new_link() as link, asyncio.TaskGroup() as tasks:
                    self._link = link
                    _log.info("sink %s: connected to %s", self.name, self._broker.host)
                    giving = tasks.create_task(self._give_again(link, back))
                    why = await link.lost()
                    giving.cancel()
            except (aiomqtt.MqttError, OSError) as error:
                why = str(error)
            finally:
                self._link = None
                self._linked.clear()
            # A connection that ends at once, as when two of the same name cut each other off, is a failure too.
            failures = failures + 1 if self._clock.mono_s() - began_s < STEADY_S else 1
            pause_s = retry.delay_s(CONNECTING, failures, random.random())
            level = logging.WARNING if failures <= CONNECTING.open_after else logging.DEBUG
            _log.log(level, "sink %s: no connection to %s: %s", self.name, self._broker.host, why)
            await self._clock.sleep(pause_s)

    async def _give_again(self, link: Link, back: Callable[[], None]) -> None:
        """What the broker should retain, which may have lost it; only then deliveries go on from there."""
        if self._last_heartbeat is not None:
            _replace(self._heartbeat, self._last_heartbeat)
        await self._resumed.wait()
        for alarm in list(self._open.values()):
            try:
                await link.send(self._topic(alarm), body_of(alarm), retain=True)
            except RefusedError as error:
                _log.debug("sink %s: %s is not given again: %s", self.name, alarm.id, error)
            except DeliveryError as error:
                if link.is_lost:
                    return
                # It would say the same of the others, and each delivery will tell of it.
                _log.warning("sink %s: open alarms are not given again: %s", self.name, error)
                break
        self._linked.set()
        back()

    def _remember(self, alarm: Alarm) -> None:
        self._open.pop(alarm.id, None)
        if alarm.state == "active":
            self._open[alarm.id] = alarm
        while len(self._open) > STANDING_MAX:
            del self._open[next(iter(self._open))]

    def _topic(self, alarm: Alarm) -> str:
        return f"{self._root}/alarm/{alarm.id}"

    def _new_link(self) -> Link:
        broker = self._broker
        return Link(
            broker.host,
            broker.port,
            identifier=broker.client_id,
            username=broker.user,
            password=broker.password,
            tls_context=broker.tls,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE_S,
            timeout=self._timeout_s,
            will=aiomqtt.Will(
                f"{self._root}/heartbeat", self._offline("the connection to the daemon was lost"), qos=1, retain=True
            ),
        )

    def _offline(self, why: str) -> bytes:
        return msgspec.json.encode({"v": 1, "camera": self._camera, "state": "offline", "why": why})

    async def _connected(self) -> Link:
        """The connection, waited for as long as a delivery may take. Raises DeliveryError."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._linked.wait(), self._timeout_s)
        if self._link is None or not self._linked.is_set():
            raise DeliveryError("there is no connection to the broker")
        return self._link

    async def _speak(self, newest: asyncio.Queue[Told], topic: str, retain: bool) -> None:
        while True:
            told = await newest.get()
            link = self._link
            if link is None or self._closed or self._clock.unix_ns() > told.until_ns:
                continue
            try:
                await link.send(topic, told.body, retain, told.expiry_s)
            except (DeliveryError, RefusedError) as error:
                _log.debug("sink %s: %s was not sent: %s", self.name, topic, error)


def _replace(newest: asyncio.Queue[Told], told: Told) -> None:
    """Let *told* take the place of what still waits."""
    if newest.full():
        newest.get_nowait()
    newest.put_nowait(told)
