"""A running OPC UA server, an operator who notes what is asked of him, and clients as plants have them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.common.events import Event, get_filter_from_event_type

from monitor.alarms.alarm import Alarm
from monitor.sinks.opcua.settings import Opcua
from monitor.sinks.opcua.sink import OpcuaSink
from monitor.types import Peak, State
from monitor.voice import Heartbeat, Permit

DEADLINE_S = 10.0
RAISED_NS = 1_700_000_000_000_000_000

Result = TypeVar("Result")


def alarm(alarm_id: str, rev: int = 1, source: str = "local", **changed: Any) -> Alarm:
    given: dict[str, Any] = {
        "camera": "camera", "stream": "s", "state": "active", "priority": "medium", "first_seq": 1, "last_seq": 9,
        "first_t_ns": RAISED_NS, "raised_t_ns": RAISED_NS, "frames_over": 3, "peak": Peak(5, 8.0, 2.0, 4.0),
        "pool": None, "where": None, "kind": None, "job": "part 7", "layer": None, "context": "", "xy": None,
        "bundle": "",
    }  # fmt: skip
    return Alarm(id=alarm_id, rev=rev, source=source, **{**given, **changed})


def permit(t_ns: int, ttl_ms: int = 60_000, n: int = 1, **changed: Any) -> Permit:
    given: dict[str, Any] = {"camera": "camera", "epoch": "e", "permit": True, "why": "", "mode": "interlock"}
    return Permit(n=n, t_ns=t_ns, ttl_ms=ttl_ms, **{**given, **changed})


def heartbeat(t_ns: int) -> Heartbeat:
    return Heartbeat(
        camera="camera", t_ns=t_ns, state=State.OK, why="", seq=9, coverage=0.5, frame_age_p99_ms=7.5, active_alarms=2
    )


class Person:
    """Carries out nothing, but notes it; answers `refusal` where it is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.refusal: str | None = None

    async def acknowledge(self, alarm_id: str, by: str, comment: str) -> str | None:
        self.asked.append(("acknowledge", alarm_id, by, comment))
        return self.refusal

    async def comment(self, alarm_id: str, by: str, text: str) -> str | None:
        self.asked.append(("comment", alarm_id, by, text))
        return self.refusal

    async def shelve(self, alarm_id: str, by: str, for_s: float) -> str | None:
        self.asked.append(("shelve", alarm_id, by, for_s))
        return self.refusal

    async def unshelve(self, alarm_id: str, by: str) -> str | None:
        self.asked.append(("unshelve", alarm_id, by))
        return self.refusal


class House:
    """One server in a loop of its own, which runs while a test does."""

    def __init__(self, runner: asyncio.Runner, settings: Opcua) -> None:
        self.runner = runner
        self.person = Person()
        self.sink = OpcuaSink(settings, "camera", self.person)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run *work* within the deadline."""
        return self.runner.run(asyncio.wait_for(work, DEADLINE_S))

    @property
    def url(self) -> str:
        return self.sink.url.replace("0.0.0.0", "127.0.0.1")

    @property
    def listening(self) -> Any:
        """The library's part that listens, for a look behind."""
        assert self.sink._server is not None
        return self.sink._server.bserver

    @asynccontextmanager
    async def client(
        self,
        name: str | None = None,
        password: str = "",
        pair: tuple[str, str] | None = None,
        timeout_s: float = DEADLINE_S,
    ) -> AsyncIterator[Client]:
        """A connected client."""
        client = Client(self.url, timeout=timeout_s)
        if name is not None:
            client.set_user(name)
            client.set_password(password)
        if pair is not None:
            await client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{pair[0]},{pair[1]}")
        async with client:
            yield client

    @asynccontextmanager
    async def listener(self, client: Client, at: ua.NodeId | None = None) -> "AsyncIterator[Listener]":
        """*client* subscribed to the events of a notifier, the server's object if not told otherwise."""
        listener = Listener(client)
        await listener.subscribe(at)
        yield listener


class Listener:
    """What a client's subscription was told, oldest first."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events: list[Event] = []
        self.values: dict[str, list[ua.DataValue]] = {}
        self.subscription: Any = None

    async def subscribe(self, at: ua.NodeId | None = None) -> None:
        self.subscription = await self.client.create_subscription(50, self)
        node = self.client.get_node(ua.NodeId(ua.ObjectIds.Server) if at is None else at)
        alarms = self.client.get_node(ua.NodeId("FramewatchAlarmType", 2))
        wanted = await get_filter_from_event_type([alarms])
        wanted.SelectClauses += [_clause("ShelvingState", "CurrentState")]
        await self.subscription.subscribe_events(node, evfilter=wanted)

    async def watch(self, *names: str) -> None:
        await self.subscription.subscribe_data_change(
            [self.client.get_node(ua.NodeId(f"camera.{name}", 2)) for name in names]
        )

    def event_notification(self, event: Event) -> None:
        self.events.append(event)

    def datachange_notification(self, node: Any, value: object, data: Any) -> None:
        name = node.nodeid.Identifier.removeprefix("camera.")
        self.values.setdefault(name, []).append(data.monitored_item.Value)

    def of(self, alarm_id: str) -> list[Any]:
        return [event for event in self.events if getattr(event, "AlarmId", None) == alarm_id]

    async def told(self, alarm_id: str, count: int = 1) -> list[Any]:
        """The events of that alarm, once there are *count*."""
        await until(lambda: len(self.of(alarm_id)) >= count)
        return self.of(alarm_id)

    async def marks(self, count: int) -> list[str]:
        """What there was, by refresh mark or alarm, once there are *count* events."""
        await until(lambda: len(self.events) >= count)
        names = {ua.ObjectIds.RefreshStartEventType: "start", ua.ObjectIds.RefreshEndEventType: "end"}
        return [names.get(event.EventType.Identifier) or event.AlarmId for event in self.events]  # type: ignore[attr-defined]

    async def refresh(self, item: int | None = None) -> None:
        ids = [ua.Variant(self.subscription.subscription_id, ua.VariantType.UInt32)]
        name = "ConditionType_ConditionRefresh"
        if item is not None:
            ids, name = [*ids, ua.Variant(item, ua.VariantType.UInt32)], f"{name}2"
        await call(self.client, ua.NodeId(ua.ObjectIds.ConditionType), name, *ids)


def _clause(*path: str) -> ua.SimpleAttributeOperand:
    clause = ua.SimpleAttributeOperand()
    clause.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
    clause.BrowsePath = [ua.QualifiedName(name) for name in path]
    clause.AttributeId = ua.AttributeIds.Value
    return clause


async def call(client: Client, node: ua.NodeId, method: str, *arguments: Any) -> None:
    """Call a method by the name of its identifier in the type. Raises ua.uaerrors."""
    await client.get_node(node).call_method(ua.NodeId(getattr(ua.ObjectIds, method)), *arguments)


async def acknowledge(client: Client, event: Any, comment: str = "seen") -> None:
    await call(
        client, event.NodeId, "AcknowledgeableConditionType_Acknowledge", event.EventId, ua.LocalizedText(comment)
    )


async def until(holds: Callable[[], bool]) -> None:
    """Wait for it; the deadline is the test's."""
    while not holds():
        await asyncio.sleep(0.005)


def fields(event: Any) -> dict[str, Any]:
    values = {name: variant.Value for name, variant in event.get_event_props_as_fields_dict().items()}
    return {name: value.Text if isinstance(value, ua.LocalizedText) else value for name, value in values.items()}


async def value(client: Client, path: str) -> Any:
    return await client.get_node(ua.NodeId(f"camera.{path}", 2)).read_value()
