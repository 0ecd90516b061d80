"""The library's server with what it lets a peer cost, and do, held within bounds.

What is missing there and added here: a client that does not read its socket, or sends what never becomes a message, is
cut off; a subscription may not ask for more than is sensible; a connection may use only the session that it has
activated itself, and an unsecured one only where those are let in; methods know who called them; and what is read is
fresh.
"""

import asyncio
import contextvars
import math
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager

from monitor.sinks.opcua.values import node_id

UNREAD_BYTES: Final = 4 << 20
"""A client that leaves so much unread is cut off: its socket's buffer must not fill memory."""

MESSAGE_BYTES: Final = 4 << 20
"""Longest message taken or sent."""

UNPARSED_BYTES: Final = 1 << 20
"""So much that is no message yet is no OPC UA: a chunk has 64 KiB at most."""

CHUNK_BYTES: Final = 65535
PENDING_MESSAGES: Final = 100
PUBLISH_MS: Final = (50.0, 60_000.0)
"""Shortest and longest publishing interval: at 0 each event would be sent from within what tells it."""

LIFE_MS: Final = 600_000.0  # longest that a subscription lasts whose client does not ask for what it holds
ITEMS_MAX: Final = 500  # monitored items of a subscription ...
EVENT_ITEMS_MAX: Final = 4  # ... of which so many may be told events
VALUES_MAX: Final = 50  # values waiting for one item
EVENTS_MAX: Final = 4000
"""Events waiting for one item: a refresh must fit in whole, or its start would be the first to be lost."""

UNACKNOWLEDGED_MAX: Final = 100  # messages of a subscription kept for a repeat
SUBSCRIPTIONS_A_CLIENT: Final = 4
SESSION_MS: Final = 120_000.0  # longest that a session lasts whose client is silent
HANDSHAKE_S: Final = 10.0

_CREATE: Final = node_id(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary)
_ACTIVATE: Final = node_id(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_DISCOVERY: Final = frozenset(
    node_id(number)
    for number in (
        ua.ObjectIds.FindServersRequest_Encoding_DefaultBinary,
        ua.ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary,
        ua.ObjectIds.CloseSecureChannelRequest_Encoding_DefaultBinary,
    )
)
"""What anybody may ask on any channel: how else would a client learn which security is wanted."""

_NOBODY: Final = User(role=UserRole.Anonymous)  # who may do nothing yet

_caller: contextvars.ContextVar["Session"] = contextvars.ContextVar("caller")

Freshen = Callable[[], Awaitable[None]]
Knows = Callable[[str, str], bool]
"""Whether a user name and a password belong together."""


def caller() -> "Session":
    """The session whose method call is being answered."""
    return _caller.get()


class Session(InternalSession):
    """What one client does, with what it may ask for clamped."""

    iserver: "BoundedServer"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.external:  # the library counts tokens up, and who guesses one takes the session over
            self.iserver.unregister_external_session(self)
            self.auth_token = node_id(secrets.token_bytes(32), 1)
            self.iserver.register_external_session(self)

    @property
    def user_name(self) -> str | None:
        """None: anonymous."""
        return self.user.name

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        _caller.set(self)  # of this task, which is this connection's own
        return await super().call(params)

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        await self.iserver.freshen()
        return await super().read(params)

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        shortest, longest = PUBLISH_MS
        period_ms = min(max(shortest, params.RequestedPublishingInterval), longest)
        lifetime = int(LIFE_MS / period_ms)
        params.RequestedPublishingInterval = period_ms
        params.RequestedLifetimeCount = min(params.RequestedLifetimeCount or lifetime, lifetime)
        params.RequestedMaxKeepAliveCount = min(params.RequestedMaxKeepAliveCount or lifetime, lifetime // 3)
        return await super().create_subscription(params, callback, request_callback)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        subscription = self.subscription_service.subscriptions.get(params.SubscriptionId)
        if subscription is not None:
            present = subscription.monitored_item_srv._monitored_items.values()
            of_events = [
                item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier for item in params.ItemsToCreate
            ] + [isinstance(item.filter, ua.EventFilter) for item in present]
            if len(of_events) > ITEMS_MAX or sum(of_events) > EVENT_ITEMS_MAX:
                raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
        for item in params.ItemsToCreate:
            _bound_queue(item.RequestedParameters, item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier)
        await self.iserver.freshen()
        return await super().create_monitored_items(params)

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        for item in params.ItemsToModify:
            _bound_queue(item.RequestedParameters, isinstance(item.RequestedParameters.Filter, ua.EventFilter))
        return await super().modify_monitored_items(params)


def _bound_queue(asked: ua.MonitoringParameters, of_events: bool) -> None:
    """Part 4, 7.21: 0 and 1 mean the server's own size for events, and one value for values."""
    if of_events:
        asked.QueueSize = min(asked.QueueSize, EVENTS_MAX) if asked.QueueSize > 1 else EVENTS_MAX
    else:
        asked.QueueSize = min(max(asked.QueueSize, 1), VALUES_MAX)


class BoundedServer(InternalServer):
    """What all sessions share. *open_channels*: whether a channel without security may have one."""

    def __init__(self, doorman: UserManager, max_clients: int, open_channels: bool) -> None:
        super().__init__(user_manager=doorman)
        self.open_channels = open_channels
        self.freshen: Freshen = _nothing
        self.max_connections = max_clients
        self.max_subscriptions = max_clients * SUBSCRIPTIONS_A_CLIENT
        self.max_session_timeout_ms = SESSION_MS
        self.max_monitored_item_queue_size = EVENTS_MAX
        self.max_unacked_messages_per_subscription = UNACKNOWLEDGED_MAX
        self.max_pending_messages_per_connection = PENDING_MESSAGES
        self.max_pending_activation_seconds = HANDSHAKE_S

    def create_session(self, name: str, user: User = _NOBODY, external: bool = False) -> InternalSession:
        return Session(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def register_server(self, server: Any, conf: Any = None) -> None:
        """Refused: this is no discovery server, and the library would remember whatever anybody tells it."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


class Doorman(UserManager):
    """Lets in who knows a password, and anonymous ones where *anonymous* says so. Nobody is an administrator."""

    def __init__(self, knows: Knows, anonymous: bool) -> None:
        self._knows = knows
        self._anonymous = anonymous

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if username is None:
            return User(role=UserRole.User) if self._anonymous else None
        known = self._knows(username, password or "")
        return User(role=UserRole.User, name=username) if known else None


class _Processor(UaProcessor):
    """Answers a connection's requests in the order that the standard asks for: channel, session, activated."""

    iserver: BoundedServer
    _activated = False

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        self._check(typeid)
        answered = await super()._process_message(typeid, requesthdr, seqhdr, body)  # type: ignore[no-untyped-call]  # asyncua's
        if typeid == _ACTIVATE:
            self._activated = True
        return answered

    def _check(self, request: ua.NodeId) -> None:
        """Raises ServiceError where *request* may not come now."""
        if request in _DISCOVERY:
            return
        unsecured = self._connection.security_policy.URI == SecurityPolicyNone.URI
        if unsecured and not self.iserver.open_channels:
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        if request == _CREATE:
            if self.session is not None:
                raise ServiceError(ua.StatusCodes.BadTooManySessions)
        elif request != _ACTIVATE and not self._activated:
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)


class _Protocol(OPCUAProtocol):
    """A connection that is cut off where it would fill memory."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is None:
            return  # refused: there are too many
        self.transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self.processor = _Processor(self.iserver, self.transport, self.limits)
        self.processor.set_policies(self.policies)  # type: ignore[no-untyped-call]  # asyncua's

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > UNPARSED_BYTES:
            self._cut_off()

    def pause_writing(self) -> None:
        """The client has left UNREAD_BYTES unread."""
        self._cut_off()

    def resume_writing(self) -> None:
        """Nothing was paused."""

    def _cut_off(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Listener(BinaryServer):
    def _make_protocol(self) -> OPCUAProtocol:
        return _Protocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)


class Listening(Server):
    """The library's server on those connections."""

    iserver: BoundedServer

    def __init__(self, iserver: BoundedServer) -> None:
        super().__init__(iserver=iserver)
        chunks = math.ceil(MESSAGE_BYTES / CHUNK_BYTES)
        self.limits = TransportLimits(CHUNK_BYTES, CHUNK_BYTES, chunks, MESSAGE_BYTES)

    async def start(self) -> None:
        """Begin to listen. Raises OSError where that is not possible; the server is stopped then."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = _Listener(self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            self.bserver = None
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all connections, those that do not read too, and do not wait for the clock's next tick."""
        for transport in list(self.iserver.asyncio_transports):
            if transport.get_write_buffer_size():
                transport.abort()
        clock, self.iserver.time_task = self.iserver.time_task, None
        if clock is not None:
            clock.cancel()
        subscriptions = list(self.iserver.subscription_service.subscriptions)
        await self.iserver.subscription_service.delete_subscriptions(subscriptions)
        await super().stop()


async def _nothing() -> None:
    pass
