"""What clients find when they browse: one object a camera with its variables, and one condition a source of alarms.

Nodes have readable identifiers that do not change, so that a controller may be given them by hand:
`ns=2;s=camera.Permit`, `ns=2;s=camera.t2.ActiveState.Id`.
"""

from collections.abc import Mapping
from typing import Final

from asyncua import Node, ua
from asyncua.common.instantiate_util import instantiate
from asyncua.server.server import Server

from monitor.sinks.opcua import readings
from monitor.sinks.opcua.events import OWN_FIELDS, Fields, Place, resting_fields
from monitor.sinks.opcua.pattern import Pattern
from monitor.sinks.opcua.values import node_id

NAMESPACE: Final = "urn:framewatch"

_OPTIONAL_STATES: Final = ("SuppressedState", "OutOfServiceState", "LatchedState")


class Nodes:
    """The part of the address space that is ours. `build` makes it."""

    def __init__(self, server: Server, index: int, camera: str) -> None:
        self._server = server
        self._aspace = server.iserver.aspace
        self.index = index
        self.root = self._id("Framewatch")
        self.camera = self._id(camera)
        self.alarm_type = self._id("FramewatchAlarmType")
        self._name = camera
        self._pattern: Pattern | None = None  # the first condition; the others are like it
        self.variables: Mapping[str, ua.NodeId] = {
            name: self._id(f"{camera}.{name}") for name in (*readings.PERMIT, *readings.HEARTBEAT)
        }

    @property
    def notifiers(self) -> tuple[ua.NodeId, ...]:
        """Where a client may subscribe to events."""
        return node_id(ua.ObjectIds.Server), self.root, self.camera

    async def build(self) -> None:
        """Add the type of our alarms, the objects and the variables."""
        await self._add_type()
        objects, server = self._server.nodes.objects, self._server.nodes.server
        root = await objects.add_object(self.root, self._qualified("Framewatch"), ua.ObjectIds.BaseObjectType)
        camera = await root.add_object(self.camera, self._qualified(self._name), ua.ObjectIds.BaseObjectType)
        for above, below in ((server, root), (root, camera)):
            await below.set_event_notifier([ua.EventNotifier.SubscribeToEvents])
            await above.add_reference(below, ua.ObjectIds.HasNotifier)
        await server.set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        for name, variable in {**readings.PERMIT, **readings.HEARTBEAT}.items():
            node = await camera.add_variable(
                self.variables[name],
                self._qualified(name),
                ua.get_default_value(variable.kind),
                variable.kind,
                node_id(variable.data_type),
            )
            await self._describe(node, variable.description)

    async def add_condition(self, source: str, max_shelve_s: float) -> Place:
        """Add the condition of *source*: what is mandatory in its type, and what of the rest is kept up to date."""
        where = self._id(f"{self._name}.{source}")
        if self._pattern is None:
            await self._build_condition(source, where, max_shelve_s)
            self._pattern = Pattern(self._aspace, self.camera, where)
        else:
            await self._pattern.repeat(where, self._qualified(source))
        place = Place(where, source, self.alarm_type, self.camera)
        await self.show(place, resting_fields(place, self._name))
        return place

    async def _build_condition(self, source: str, where: ua.NodeId, max_shelve_s: float) -> None:
        camera = self._server.get_node(self.camera)
        made = await instantiate(
            camera,
            self._server.get_node(self.alarm_type),
            where,
            self._qualified(source),
            ua.LocalizedText(source),
            instantiate_optional=False,
        )
        condition = made[0]
        await camera.add_reference(condition, ua.ObjectIds.HasCondition)
        for name in _OPTIONAL_STATES:
            await self._add_part(condition, name, ua.ObjectIds.TwoStateVariableType)
        await self._add_part(condition, "ShelvingState", ua.ObjectIds.ShelvedStateMachineType)
        await condition.add_property(
            self.part(where, "MaxTimeShelved"),
            ua.QualifiedName("MaxTimeShelved"),
            max_shelve_s * 1000,
            ua.VariantType.Double,
            node_id(ua.ObjectIds.Duration),
        )

    async def show(self, place: Place, fields: Fields) -> None:
        """Write the condition's own state into its nodes: for clients that read, or subscribe to values."""
        for path, value in fields.items():
            node = self.part(place.condition, path)
            if path and node in self._aspace:
                written = await self._aspace.write_attribute_value(node, ua.AttributeIds.Value, ua.DataValue(value))
                written.check()

    def part(self, condition: ua.NodeId, path: str) -> ua.NodeId:
        """The node under *condition* at a *path* of browse names."""
        return self._id(f"{condition.Identifier!s}.{path.replace('/', '.')}")

    async def _add_type(self) -> None:
        base = self._server.get_node(ua.ObjectIds.AlarmConditionType)
        ours = await base.add_object_type(self.alarm_type, self._qualified("FramewatchAlarmType"))
        for name, kind in OWN_FIELDS.items():
            field = await ours.add_property(
                self._id(f"FramewatchAlarmType.{name}"), self._qualified(name), ua.get_default_value(kind), kind
            )
            await field.set_modelling_rule(True)

    async def _add_part(self, condition: Node, name: str, kind: int) -> None:
        await instantiate(
            condition,
            self._server.get_node(kind),
            self.part(condition.nodeid, name),
            ua.QualifiedName(name),
            ua.LocalizedText(name),
            instantiate_optional=False,
        )

    async def _describe(self, node: Node, text: str) -> None:
        value = ua.DataValue(ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText))
        await node.write_attribute(ua.AttributeIds.Description, value)

    def _id(self, name: str) -> ua.NodeId:
        return node_id(name, self.index)

    def _qualified(self, name: str) -> ua.QualifiedName:
        return ua.QualifiedName(name, self.index)
