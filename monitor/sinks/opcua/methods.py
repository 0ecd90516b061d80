"""What an operator may do from a client: the methods of Part 9, handed on to the life cycle, which lives elsewhere."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_subscription import InternalSubscription

from monitor.sinks.opcua import peers
from monitor.sinks.opcua.board import Board, Shown
from monitor.sinks.opcua.events import Note, Place
from monitor.sinks.opcua.nodes import Nodes
from monitor.sinks.opcua.settings import Opcua
from monitor.sinks.opcua.values import node_id, status

ANSWER_S: Final = 5.0
"""The life cycle writes to disk before it answers; a client is not kept waiting longer."""

COMMENT_MAX: Final = 500  # letters, as the journal takes them

_log = logging.getLogger(__name__)


class Operator(Protocol):
    """Who carries out what an operator asks for. Each returns None where it is accepted, or in words why it is not.

    *by* is the name the client came in with, or `anonymous`. What comes of it is told by new revisions.
    """

    async def acknowledge(self, alarm_id: str, by: str, comment: str) -> str | None: ...

    async def comment(self, alarm_id: str, by: str, text: str) -> str | None: ...

    async def shelve(self, alarm_id: str, by: str, for_s: float) -> str | None: ...

    async def unshelve(self, alarm_id: str, by: str) -> str | None: ...


Work = Callable[..., Awaitable[None]]


class Methods:
    """Answers calls. Each method takes the node that it was called on, then the arguments as Python values.

    They raise ua.uaerrors, whose code is the answer.
    """

    def __init__(
        self, iserver: InternalServer, nodes: Nodes, board: Board, operator: Operator, settings: Opcua
    ) -> None:
        self._iserver = iserver
        self._nodes = nodes
        self._board = board
        self._operator = operator
        self._settings = settings
        types = ua.ObjectIds
        on_condition: dict[str, tuple[Work, tuple[type, ...]]] = {
            "Enable": (self._enable, ()),
            "Disable": (self._disable, ()),
            "AddComment": (self._add_comment, (bytes, ua.LocalizedText)),
            "Acknowledge": (self._acknowledge, (bytes, ua.LocalizedText)),
            "ShelvingState/TimedShelve": (self._timed_shelve, (float,)),
            "ShelvingState/OneShotShelve": (self._one_shot_shelve, ()),
            "ShelvingState/Unshelve": (self._unshelve, ()),
        }
        self._on_condition = {path: _answering(work, kinds) for path, (work, kinds) in on_condition.items()}
        refresh = _answering(self._refresh, (int,))
        refresh_item = _answering(self._refresh, (int, int))
        by_type: dict[int, Callable[..., Any]] = {
            types.ConditionType_ConditionRefresh: refresh,
            types.ConditionType_ConditionRefresh2: refresh_item,
            types.ConditionType_Enable: self._on_condition["Enable"],
            types.ConditionType_Disable: self._on_condition["Disable"],
            types.ConditionType_AddComment: self._on_condition["AddComment"],
            types.AcknowledgeableConditionType_Acknowledge: self._on_condition["Acknowledge"],
        }
        for name in ("TimedShelve", "OneShotShelve", "Unshelve"):  # both identifiers are in use among clients
            for owner in ("ShelvedStateMachineType", "AlarmConditionType_ShelvingState"):
                by_type[getattr(types, f"{owner}_{name}")] = self._on_condition[f"ShelvingState/{name}"]
        for number, answer in by_type.items():
            iserver.isession.add_method_callback(node_id(number), answer)

    def add(self, place: Place) -> None:
        """Answer for the methods of a new condition."""
        for path, answer in self._on_condition.items():
            self._iserver.isession.add_method_callback(self._nodes.part(place.condition, path), answer)
        unshelve_time = self._nodes.part(place.condition, "ShelvingState/UnshelveTime")
        self._iserver.set_attribute_value_callback(unshelve_time, lambda *_: self._unshelve_time(place.condition))

    async def _enable(self, _: ua.NodeId) -> None:
        self._who()
        raise ua.uaerrors.BadConditionAlreadyEnabled

    async def _disable(self, _: ua.NodeId) -> None:
        self._who()
        raise ua.uaerrors.BadNotSupported  # a source is taken out of service where the daemon is configured

    async def _acknowledge(self, condition: ua.NodeId, event_id: bytes, comment: ua.LocalizedText) -> None:
        by, text = self._who(), _text(comment)
        shown = self._board.find(condition, event_id)
        alarm_id = shown.alarm.id
        if shown.alarm.acked:
            raise ua.uaerrors.BadConditionBranchAlreadyAcked
        asked = self._operator.acknowledge(alarm_id, by, text)
        await self._say(condition, shown, Note(text, by, time.time_ns()), asked, f"acknowledge {alarm_id}")

    async def _add_comment(self, condition: ua.NodeId, event_id: bytes, comment: ua.LocalizedText) -> None:
        """Part 9, 5.5.6: an empty text takes a comment back where it has a locale, else it is no comment."""
        by, text = self._who(), comment.Text or ""
        shown = self._board.find(condition, event_id)
        if len(text) > COMMENT_MAX or not (text or comment.Locale):
            raise ua.uaerrors.BadInvalidArgument
        alarm_id = shown.alarm.id
        asked = self._operator.comment(alarm_id, by, text)
        await self._say(condition, shown, Note(text, by, time.time_ns()), asked, f"say something of {alarm_id}")

    async def _say(
        self, condition: ua.NodeId, shown: Shown, note: Note, asked: Awaitable[str | None], what: str
    ) -> None:
        """Have done what was *asked*; the revision that tells of it bears *note*, and may come before the answer."""
        self._board.note(condition, shown.alarm.id, note)
        try:
            await self._ask(asked, what)
        except ua.uaerrors.UaStatusCodeError:
            self._board.note(condition, shown.alarm.id, shown.note)
            raise

    async def _timed_shelve(self, node: ua.NodeId, for_ms: float) -> None:
        by, longest_ms = self._who(), self._settings.max_shelve_s * 1000
        if not 0 < for_ms <= longest_ms:
            raise ua.uaerrors.BadShelvingTimeOutOfRange
        await self._shelve(node, by, for_ms / 1000)

    async def _one_shot_shelve(self, node: ua.NodeId) -> None:
        by, alarm = self._who(), self._board.newest(node)
        if alarm is not None and alarm.shelved:
            raise ua.uaerrors.BadConditionAlreadyShelved
        await self._shelve(node, by, self._settings.max_shelve_s)

    async def _shelve(self, node: ua.NodeId, by: str, for_s: float) -> None:
        alarm = self._board.newest(node)
        if alarm is None:
            raise ua.uaerrors.BadNothingToDo  # the life cycle is asked by an alarm's id
        await self._ask(self._operator.shelve(alarm.id, by, for_s), f"shelve {alarm.id}")
        self._board.shelve_until(node, time.monotonic_ns() + round(for_s * 1e9))

    async def _unshelve(self, node: ua.NodeId) -> None:
        by, alarm = self._who(), self._board.newest(node)
        if alarm is None or not alarm.shelved:
            raise ua.uaerrors.BadConditionNotShelved
        await self._ask(self._operator.unshelve(alarm.id, by), f"unshelve {alarm.id}")
        self._board.shelve_until(node, None)

    async def _refresh(self, _: ua.NodeId, subscription_id: int, item: int | None = None) -> None:
        await self._board.refresh(self._own(subscription_id), item)

    def _own(self, subscription_id: int) -> InternalSubscription:
        """The caller's own subscription; Part 9, 5.5.7 has the errors."""
        subscription = self._iserver.subscription_service.subscriptions.get(subscription_id)
        if subscription is None:
            raise ua.uaerrors.BadSubscriptionIdInvalid
        if subscription.session_id != peers.caller().session_id:
            raise ua.uaerrors.BadUserAccessDenied
        return subscription

    def _who(self) -> str:
        """Who calls, if they may change anything."""
        name = peers.caller().user_name
        if name is None and not self._settings.anonymous_operates:
            raise ua.uaerrors.BadUserAccessDenied
        return name or "anonymous"

    async def _ask(self, asked: Awaitable[str | None], what: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                refusal = await asked
        except TimeoutError:
            raise ua.uaerrors.BadTimeout from None
        if refusal is not None:
            _log.info("a client may not %s: %s", what, refusal)
            raise ua.uaerrors.BadInvalidState

    def _unshelve_time(self, condition: ua.NodeId) -> ua.DataValue:
        left_ms = self._board.left_ms(condition, time.monotonic_ns())
        if left_ms is None:
            return ua.DataValue(StatusCode=status(ua.StatusCodes.BadNotSupported))
        return ua.DataValue(ua.Variant(left_ms, ua.VariantType.Double))


def _answering(work: Work, kinds: tuple[type, ...]) -> Callable[..., Any]:
    """*work* as the library calls it: variants come in, a status goes out."""

    async def answer(parent: ua.NodeId, *arguments: ua.Variant) -> ua.StatusCode:
        try:
            await work(parent, *_values(arguments, kinds))
        except ua.uaerrors.UaStatusCodeError as error:
            return status(error.code)
        except Exception:  # a bug, which the library would hide; it concerns this call alone
            _log.exception("a method call failed")
            return status(ua.StatusCodes.BadInternalError)
        return ua.StatusCode()

    return answer


def _values(arguments: Iterable[ua.Variant], kinds: tuple[type, ...]) -> list[Any]:
    values = [argument.Value for argument in arguments]
    if len(values) < len(kinds):
        raise ua.uaerrors.BadArgumentsMissing
    if len(values) > len(kinds):
        raise ua.uaerrors.BadTooManyArguments
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        raise ua.uaerrors.BadInvalidArgument
    return values


def _text(comment: ua.LocalizedText) -> str:
    return (comment.Text or "")[:COMMENT_MAX]
