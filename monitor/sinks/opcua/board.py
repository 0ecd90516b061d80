"""All conditions as clients see them: takes revisions of alarms, tells events, knows which alarm each event told."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Final, NamedTuple

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription

from monitor.alarms.alarm import Alarm
from monitor.sinks.opcua.conditions import Condition, Notice, follow
from monitor.sinks.opcua.delivery import Delivery
from monitor.sinks.opcua.events import SEVERITIES, Fields, Note, Place, Telling, condition_fields
from monitor.sinks.opcua.nodes import Nodes

EVENT_IDS_MAX: Final = 64
"""An alarm that grows is told each second, and the operator acknowledges what the screen showed: so many of an alarm's
last events stand for it, as long as they told the same state."""


class Shown(NamedTuple):
    """An alarm as it was last told."""

    alarm: Alarm
    event_ids: tuple[bytes, ...]  # those that told its present state, newest last
    fields: Fields
    note: Note


class _Kept:
    """A source: its place, its condition, and what of it was told, by the alarm's id."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.condition = Condition()
        self.shown: dict[str, Shown] = {}
        self.unshelve_ns: int | None = None  # monotonic, where it was shelved from here


class Board:
    """The conditions of one camera. *nodes* are built already."""

    def __init__(
        self, nodes: Nodes, delivery: Delivery, max_shelve_s: float, unix_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._nodes = nodes
        self._delivery = delivery
        self._max_shelve_s = max_shelve_s
        self._unix_ns = unix_ns
        self._kept: dict[str, _Kept] = {}
        self._lock = asyncio.Lock()  # events leave in the order in which revisions came, and no refresh lies between
        self.on_condition: Callable[[Place], None] = lambda place: None
        """Told of each new condition."""

    async def add(self, source: str) -> None:
        """Make the condition of *source*."""
        place = await self._nodes.add_condition(source, self._max_shelve_s)
        self._kept[source] = _Kept(place)
        self.on_condition(place)

    async def show(self, alarm: Alarm) -> None:
        """Tell this revision of *alarm*. It stays with the condition under which it was first shown."""
        async with self._lock:
            source = next((known for known, kept in self._kept.items() if kept.condition.knows(alarm.id)), alarm.source)
            if source not in self._kept:
                await self.add(source)
            kept = self._kept[source]
            kept.condition, notices = follow(kept.condition, alarm)
            for notice in notices:
                await self._tell(kept, notice)
            current = {notice.alarm.id for notice in kept.condition.notices}
            kept.shown = {known: shown for known, shown in kept.shown.items() if known in current}

    async def refresh(self, subscription: InternalSubscription, only_item: int | None = None) -> None:
        """Tell all that is retained to *subscription* alone. Raises ua.uaerrors.BadMonitoredItemIdInvalid."""
        async with self._lock:
            retained = [
                kept.shown[notice.alarm.id].fields
                for kept in self._kept.values()
                for notice in kept.condition.notices
                if notice.retain
            ]
            await self._delivery.refresh(subscription, retained, only_item)

    def find(self, condition: ua.NodeId, event_id: bytes) -> Shown:
        """The alarm whose present state that event told. Raises ua.uaerrors.BadNodeIdUnknown, BadEventIdUnknown."""
        kept = self._at(condition)
        for shown in kept.shown.values():
            if event_id in shown.event_ids:
                return shown
        raise ua.uaerrors.BadEventIdUnknown

    def newest(self, condition: ua.NodeId) -> Alarm | None:
        """The condition's own alarm. Raises ua.uaerrors.BadNodeIdUnknown."""
        return self._at(condition).condition.trunk

    def note(self, condition: ua.NodeId, alarm_id: str, note: Note) -> None:
        """Let the alarm's events from now on bear *note*."""
        kept = self._at(condition)
        if alarm_id in kept.shown:
            kept.shown[alarm_id] = kept.shown[alarm_id]._replace(note=note)

    def shelve_until(self, condition: ua.NodeId, mono_ns: int | None) -> None:
        """Remember until when the condition was shelved from here."""
        self._at(condition).unshelve_ns = mono_ns

    def left_ms(self, condition: ua.NodeId, mono_ns: int) -> float | None:
        """How long the condition stays shelved, in milliseconds; None: it was shelved elsewhere."""
        kept = self._at(condition)
        if kept.condition.trunk is None or not kept.condition.trunk.shelved:
            return 0.0
        return None if kept.unshelve_ns is None else max(0, kept.unshelve_ns - mono_ns) / 1e6

    def _at(self, node: ua.NodeId) -> _Kept:
        for kept in self._kept.values():
            if node in (kept.place.condition, self._nodes.part(kept.place.condition, "ShelvingState")):
                return kept
        raise ua.uaerrors.BadNodeIdUnknown

    async def _tell(self, kept: _Kept, notice: Notice) -> None:
        alarm, before = notice.alarm, kept.shown.get(notice.alarm.id)
        note = Note() if before is None else before.note
        last = alarm if before is None else before.alarm
        telling = Telling(uuid.uuid4().bytes, self._unix_ns(), SEVERITIES[last.priority], note)
        fields = condition_fields(kept.place, notice, telling)
        same = before is not None and _state(before.alarm) == _state(alarm)
        earlier = before.event_ids if before is not None and same else ()
        kept.shown[alarm.id] = Shown(alarm, (*earlier, telling.event_id)[-EVENT_IDS_MAX:], fields, note)
        if not notice.branch:
            await self._nodes.show(kept.place, fields)
        await self._delivery.tell(fields)


def _state(alarm: Alarm) -> tuple[str, bool, str]:
    """What an operator acknowledges: an event that told another state is an old one."""
    return alarm.state, alarm.acked, alarm.priority
