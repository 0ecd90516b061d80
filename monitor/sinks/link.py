"""One connection to an MQTT 5 broker, on which whatever is sent is answered for."""

import asyncio
from typing import Any, Final, Self

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.sinks.sink import DeliveryError, RefusedError

REFUSED_FOR_GOOD: Final = frozenset({0x90, 0x95, 0x99})
"""Topic name invalid, packet too large, payload format invalid: these speak of the message itself."""

AT_LEAST_ONCE: Final = 1

CONNECT_S: Final = 3.0
"""Connecting blocks a thread, for which a process that ends has to wait."""


class Link(aiomqtt.Client):
    """aiomqtt takes every answer of the broker for a yes; since MQTT 5 some say no. Used for one connection only."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._client.connect_timeout = CONNECT_S
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._client.disconnect()  # a late answer would make a connection that nobody knows of
            raise

    async def send(self, topic: str, body: bytes, retain: bool, expiry_s: int | None = None) -> None:
        """Publish and wait for the broker's answer. Raises DeliveryError or RefusedError.

        *expiry_s*: the broker hands the message to nobody later than so many seconds after it has come.
        """
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho left it without
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        sent = self._client.publish(topic, body, AT_LEAST_ONCE, retain, properties)
        if sent.rc != MQTT_ERR_SUCCESS:
            raise DeliveryError("the connection to the broker was lost")
        answer = asyncio.get_running_loop().create_future()
        self._answers[sent.mid] = answer
        try:
            await asyncio.wait({answer, self._disconnected}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._answers.pop(sent.mid, None)
        if answer.done():
            _judge(answer.result())
        elif self._disconnected.done():
            raise DeliveryError("the connection to the broker was lost")
        else:
            self._drop()
            raise DeliveryError(f"the broker did not answer within {self.timeout:g} s")

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._disconnected.done()

    async def lost(self) -> str:
        """Wait until the connection has ended, and say why."""
        await asyncio.wait({self._disconnected})
        return str(self._disconnected.exception() or "it was closed")

    def _drop(self) -> None:
        """End a connection that does not answer: what waits on it would otherwise be sent late."""
        with_will = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
        self._client.disconnect(with_will)
        if not self._disconnected.done():
            self._disconnected.set_exception(aiomqtt.MqttError("the broker does not answer"))

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)


def _judge(answer: ReasonCode) -> None:
    if not answer.is_failure:
        return
    why = f"the broker says: {answer}"
    raise RefusedError(why) if answer.value in REFUSED_FOR_GOOD else DeliveryError(why)
