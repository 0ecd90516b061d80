"""Events on their way to clients: to every item that is subscribed to one of our notifiers, through its filter.

The library's own way knows one notifier an event, takes `OfType` for the very type alone, looks a field of several
names up by its first, and filters what must reach everybody who refreshes. Nothing here waits for a client: what is
put in an item's queue is bounded, and its subscription sends it when the client asks.
"""

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemData, WhereClauseEvaluator

from monitor.sinks.opcua.events import CONDITION_ID, Fields, system_fields
from monitor.sinks.opcua.values import node_id

_NULL: Final = ua.Variant(None)


class Delivery:
    """Tells events to whoever subscribed to one of *notifiers*."""

    def __init__(self, iserver: InternalServer, notifiers: Iterable[ua.NodeId]) -> None:
        self._iserver = iserver
        self._notifiers = tuple(notifiers)

    async def tell(self, fields: Fields) -> None:
        """Put an event into the queue of each item whose filter it passes."""
        for subscription in list(self._iserver.subscription_service.subscriptions.values()):
            for item_id, item in self._items(subscription):
                if _passes(self._iserver, item, fields):
                    await _enqueue(subscription, item_id, item, fields)

    async def refresh(
        self, subscription: InternalSubscription, retained: list[Fields], only_item: int | None = None
    ) -> None:
        """Tell *retained* once more to this one subscription, or to one item of it, between a start and an end.

        Start and end pass every filter (Part 9, 4.5). Raises ua.uaerrors.BadMonitoredItemIdInvalid.
        """
        items = [(known, item) for known, item in self._items(subscription) if only_item in (None, known)]
        if only_item is not None and not items:
            raise ua.uaerrors.BadMonitoredItemIdInvalid
        for item_id, item in items:
            await _enqueue(subscription, item_id, item, _mark(ua.ObjectIds.RefreshStartEventType))
            for fields in retained:
                if _passes(self._iserver, item, fields):
                    await _enqueue(subscription, item_id, item, fields)
            await _enqueue(subscription, item_id, item, _mark(ua.ObjectIds.RefreshEndEventType))

    def _items(self, subscription: InternalSubscription) -> Iterator[tuple[int, MonitoredItemData]]:
        service = subscription.monitored_item_srv
        for notifier in self._notifiers:
            for item_id in tuple(service._monitored_events.get(notifier, ())):
                item = service._monitored_items[item_id]
                if item.mode != ua.MonitoringMode.Disabled:
                    yield item_id, item


def _mark(event_type: int) -> Fields:
    return system_fields(event_type, uuid.uuid4().bytes, time.time_ns())


def _passes(iserver: InternalServer, item: MonitoredItemData, fields: Fields) -> bool:
    return _Filter(iserver, item.filter.WhereClause).eval(fields)


async def _enqueue(subscription: InternalSubscription, item_id: int, item: MonitoredItemData, fields: Fields) -> None:
    told = ua.EventFieldList()
    told.ClientHandle = item.client_handle
    told.EventFields = [_selected(fields, clause) for clause in item.filter.SelectClauses]
    await subscription.enqueue_event(item_id, told, item.queue_size)


def _selected(fields: Fields, clause: ua.SimpleAttributeOperand) -> ua.Variant:
    """The field that *clause* asks for; null where the event has none."""
    if not clause.BrowsePath:
        return fields.get(CONDITION_ID, _NULL) if clause.AttributeId == ua.AttributeIds.NodeId else _NULL
    if clause.AttributeId != ua.AttributeIds.Value:
        return _NULL
    return fields.get("/".join(str(name.Name) for name in clause.BrowsePath), _NULL)


class _Filter(WhereClauseEvaluator):
    """The library's filter with subtypes in `OfType` and with fields by their whole path."""

    def __init__(self, iserver: InternalServer, clause: ua.ContentFilter) -> None:
        super().__init__(iserver.logger, iserver.aspace, clause)

    def _eval_el(self, index: int, event: Any) -> Any:
        element = self.elements[index]
        if element.FilterOperator == ua.FilterOperator.OfType:
            wanted = self._eval_op(element.FilterOperands[0], event)
            return wanted in self._types(event["EventType"].Value)
        return super()._eval_el(index, event)

    def _eval_op(self, op: Any, event: Any) -> Any:
        if isinstance(op, ua.SimpleAttributeOperand):
            return _selected(event, op).Value
        return super()._eval_op(op, event)

    def _types(self, node: ua.NodeId) -> Iterator[ua.NodeId]:
        """*node* and the types that it is a subtype of."""
        above: ua.NodeId | None = node
        while above is not None:
            yield above
            data = self._aspace.get(above)
            up = (ref.NodeId for ref in data.references if _is_supertype(ref)) if data is not None else iter(())
            above = next(up, None)


def _is_supertype(reference: ua.ReferenceDescription) -> bool:
    return not reference.IsForward and reference.ReferenceTypeId == node_id(ua.ObjectIds.HasSubtype)
