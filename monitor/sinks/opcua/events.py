"""What clients are told of an alarm: the fields of a condition event after Part 9, by their path of browse names."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from asyncua import ua

from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.config import Priority
from monitor.sinks.opcua.conditions import Notice
from monitor.sinks.opcua.values import moment, node_id

Fields = Mapping[str, ua.Variant]

CONDITION_ID: Final = ""
"""Key of the field that has no path: the condition's own node, asked for by the attribute NodeId."""

SEVERITIES: Final[Mapping[Priority, int]] = {"low": 200, "medium": 500, "high": 750, "critical": 950}
"""Part 5, 6.4.2: 1 to 1000, in which 1 to 333 is low and 667 to 1000 high."""

OWN_FIELDS: Final[Mapping[str, ua.VariantType]] = {
    "AlarmId": ua.VariantType.String,  # the alarm's `id`
    "Revision": ua.VariantType.UInt32,  # its `rev`
    "Source": ua.VariantType.String,  # its `source` now: a chart may give way to another one
    "FramesOver": ua.VariantType.UInt64,
    "PeakRatio": ua.VariantType.Double,  # score over limit at the peak; 0 where no frame was judged
    "Job": ua.VariantType.String,
}
"""Fields that the alarm's type has beyond AlarmConditionType; names of the namespace of this server."""

STATES: Final[Mapping[str, tuple[str, str]]] = {
    "EnabledState": ("Disabled", "Enabled"),
    "ActiveState": ("Inactive", "Active"),
    "AckedState": ("Unacknowledged", "Acknowledged"),
    "SuppressedState": ("Unsuppressed", "Suppressed"),
    "OutOfServiceState": ("In Service", "Out of Service"),
    "LatchedState": ("Unlatched", "Latched"),
}
"""Two-state variables and what they are called when false and when true."""

SHELVING: Final = {
    False: ("Unshelved", node_id(ua.ObjectIds.ShelvedStateMachineType_Unshelved)),
    True: ("TimedShelved", node_id(ua.ObjectIds.ShelvedStateMachineType_TimedShelved)),
}


class Place(NamedTuple):
    """Where a condition stands in the address space."""

    condition: ua.NodeId
    name: str  # the source
    alarm_type: ua.NodeId
    camera: ua.NodeId


class Note(NamedTuple):
    """What an operator last said of an alarm."""

    text: str = ""
    by: str = ""
    t_ns: int = 0  # Unix nanoseconds; 0: nothing was said


class Telling(NamedTuple):
    """What is known of a notification beside the alarm itself."""

    event_id: bytes
    received_ns: int  # Unix nanoseconds
    last_severity: int
    note: Note = Note()


def condition_fields(place: Place, notice: Notice, telling: Telling) -> Fields:
    """All fields of the event that tells *notice*."""
    alarm = notice.alarm
    branch = node_id(alarm.id, place.condition.NamespaceIndex) if notice.branch else ua.NodeId()
    fields = {
        **_base(place, alarm, telling),
        CONDITION_ID: _variant(place.condition, ua.VariantType.NodeId),
        "ConditionName": _text(place.name),
        **_condition_class(alarm),
        "BranchId": _variant(branch, ua.VariantType.NodeId),
        "Retain": _flag(notice.retain),
        "Quality": _variant(ua.StatusCode(), ua.VariantType.StatusCode),
        "Quality/SourceTimestamp": _time(telling.received_ns),
        "LastSeverity": _variant(telling.last_severity, ua.VariantType.UInt16),
        "LastSeverity/SourceTimestamp": _time(telling.received_ns),
        "Comment": _local(telling.note.text),
        "Comment/SourceTimestamp": _time(telling.note.t_ns or telling.received_ns),
        "ClientUserId": _text(telling.note.by),
        "InputNode": _variant(ua.NodeId(), ua.VariantType.NodeId),
        "SuppressedOrShelved": _flag(alarm.shelved or alarm.suppressed or alarm.out_of_service),
        **_shelving(alarm.shelved),
        **_own(alarm),
    }
    for name, value in _states(alarm).items():
        fields.update(_two_state(name, value))
    return fields


def resting_fields(place: Place, camera: str) -> Fields:
    """What a condition's nodes show before its first alarm."""
    fields = {
        "EventType": _variant(place.alarm_type, ua.VariantType.NodeId),
        "SourceNode": _variant(place.camera, ua.VariantType.NodeId),
        "SourceName": _text(camera),
        "ConditionName": _text(place.name),
        "Retain": _flag(False),
        "Quality": _variant(ua.StatusCode(), ua.VariantType.StatusCode),
        "SuppressedOrShelved": _flag(False),
        **_shelving(False),
    }
    for name in STATES:
        fields.update(_two_state(name, name in ("EnabledState", "AckedState")))
    return fields


def system_fields(event_type: int, event_id: bytes, t_ns: int) -> Fields:
    """Fields of an event of the server itself, such as the beginning of a refresh."""
    return {
        "EventId": _variant(event_id, ua.VariantType.ByteString),
        "EventType": _variant(node_id(event_type), ua.VariantType.NodeId),
        "SourceNode": _variant(node_id(ua.ObjectIds.Server), ua.VariantType.NodeId),
        "SourceName": _text("Server"),
        "Time": _time(t_ns),
        "ReceiveTime": _time(t_ns),
        "Message": _local(ua.ObjectIdNames[event_type]),
        "Severity": _variant(100, ua.VariantType.UInt16),
    }


def message_of(alarm: Alarm) -> str:
    """The alarm in words, for an operator's list."""
    if alarm.why:
        return f"{alarm.source}: {alarm.why}"
    if alarm.peak is None:
        return alarm.source
    return f"{alarm.source}: {alarm.peak.ratio:.2f} times its limit, {alarm.frames_over} frames over it"


def _base(place: Place, alarm: Alarm, telling: Telling) -> dict[str, ua.Variant]:
    return {
        "EventId": _variant(telling.event_id, ua.VariantType.ByteString),
        "EventType": _variant(place.alarm_type, ua.VariantType.NodeId),
        "SourceNode": _variant(place.camera, ua.VariantType.NodeId),
        "SourceName": _text(alarm.camera),
        "Time": _time(alarm.raised_t_ns),
        "ReceiveTime": _time(telling.received_ns),
        "Message": _local(message_of(alarm)),
        "Severity": _variant(SEVERITIES[alarm.priority], ua.VariantType.UInt16),
    }


def _condition_class(alarm: Alarm) -> dict[str, ua.Variant]:
    """Whether it is about the process or about the monitoring of it."""
    name = "System" if alarm.source in SERVICE_SOURCES else "Process"
    node = node_id(getattr(ua.ObjectIds, f"{name}ConditionClassType"))
    return {
        "ConditionClassId": _variant(node, ua.VariantType.NodeId),
        "ConditionClassName": _local(f"{name}ConditionClassType"),
    }


def _states(alarm: Alarm) -> dict[str, bool]:
    return {
        "EnabledState": True,  # no source can be switched off from here
        "ActiveState": alarm.state == "active",
        "AckedState": alarm.acked,
        "SuppressedState": alarm.suppressed,
        "OutOfServiceState": alarm.out_of_service,
        "LatchedState": alarm.latched,
    }


def _two_state(name: str, value: bool) -> dict[str, ua.Variant]:
    return {name: _local(STATES[name][value]), f"{name}/Id": _flag(value)}


def _shelving(shelved: bool) -> dict[str, ua.Variant]:
    name, node = SHELVING[shelved]
    return {
        "ShelvingState/CurrentState": _local(name),
        "ShelvingState/CurrentState/Id": _variant(node, ua.VariantType.NodeId),
    }


def _own(alarm: Alarm) -> dict[str, ua.Variant]:
    values = {
        "AlarmId": alarm.id,
        "Revision": alarm.rev,
        "Source": alarm.source,
        "FramesOver": alarm.frames_over,
        "PeakRatio": 0.0 if alarm.peak is None else float(alarm.peak.ratio),
        "Job": alarm.job,
    }
    return {name: _variant(values[name], kind) for name, kind in OWN_FIELDS.items()}


def _variant(value: object, kind: ua.VariantType) -> ua.Variant:
    return ua.Variant(value, kind)


def _text(value: str) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.String)


def _local(value: str) -> ua.Variant:
    return ua.Variant(ua.LocalizedText(value), ua.VariantType.LocalizedText)


def _flag(value: bool) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Boolean)


def _time(t_ns: int) -> ua.Variant:
    return ua.Variant(moment(t_ns), ua.VariantType.DateTime)
