"""Permit and state as variables, which turn Bad when nobody keeps them alive: at every read, and by a timer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from asyncua import ua
from asyncua.server.internal_server import InternalServer

from monitor.sinks.opcua.values import moment, status
from monitor.voice import Heartbeat, Permit

HEARTBEAT_TTL_MS: Final = 3000
"""A heartbeat comes every second: two late ones are an outage."""

WATCH_MS: Final = 20
"""The timer looks at least so often, and at the very moment at which something that is alive runs out."""

NEVER: Final = ua.StatusCodes.BadWaitingForInitialData
STALE: Final = ua.StatusCodes.BadNoCommunication


class Variable(NamedTuple):
    """One variable of the camera's object."""

    kind: ua.VariantType
    data_type: int  # its DataType: a number of ua.ObjectIds
    description: str


PERMIT: Final[Mapping[str, Variable]] = {
    "Permit": Variable(
        ua.VariantType.Boolean,
        ua.ObjectIds.Boolean,
        "Whether the process may go on: a process interlock, not a safety function; no SIL or PL is claimed. "
        "Bad quality, or PermitCount standing still, is to be read as false.",
    ),
    "PermitMode": Variable(
        ua.VariantType.String, ua.ObjectIds.String, "advisory (for display) or interlock (a controller acts on it)."
    ),
    "PermitCount": Variable(
        ua.VariantType.UInt64, ua.ObjectIds.UInt64, "Counts up with each permit; where it stands still, read false."
    ),
    "PermitEpoch": Variable(
        ua.VariantType.String, ua.ObjectIds.String, "New at each start of the daemon; PermitCount begins anew with it."
    ),
    "PermitWhy": Variable(ua.VariantType.String, ua.ObjectIds.String, "What withholds the permit; empty: nothing."),
}

HEARTBEAT: Final[Mapping[str, Variable]] = {
    "State": Variable(
        ua.VariantType.String,
        ua.ObjectIds.String,
        "starting, uncalibrated, ok, idle, degraded, blind, stale or stopping.",
    ),
    "StateWhy": Variable(ua.VariantType.String, ua.ObjectIds.String, "Why the state is not ok."),
    "Coverage": Variable(
        ua.VariantType.Double, ua.ObjectIds.Double, "Share of the frames announced in the last 10 s that was judged."
    ),
    "FrameAgeP99": Variable(
        ua.VariantType.Double, ua.ObjectIds.Duration, "Received to judged in milliseconds: 99 % of frames are quicker."
    ),
    "ActiveAlarms": Variable(ua.VariantType.UInt32, ua.ObjectIds.UInt32, "Alarms that are active."),
}


class _Alive:
    """Variables that one kind of message keeps alive."""

    def __init__(self, nodes: Mapping[str, ua.NodeId]) -> None:
        self.nodes = nodes
        self.due_ns: int | None = None  # monotonic; None: Bad already


class Readings:
    """The variables of *nodes* (by name, all of PERMIT and HEARTBEAT). Two clocks: monotonic, and Unix, nanoseconds."""

    def __init__(
        self,
        iserver: InternalServer,
        nodes: Mapping[str, ua.NodeId],
        mono_ns: Callable[[], int] = time.monotonic_ns,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._iserver = iserver
        self._permit = _Alive({name: nodes[name] for name in PERMIT})
        self._heartbeat = _Alive({name: nodes[name] for name in HEARTBEAT})
        self._mono_ns = mono_ns
        self._unix_ns = unix_ns

    async def begin(self) -> None:
        """All Bad: nothing was said yet."""
        for group in (self._permit, self._heartbeat):
            await self._kill(group, NEVER)

    async def say(self, message: Heartbeat | Permit) -> None:
        """Show *message* for as long as it is young enough; one that is too old already makes its variables Bad."""
        alive, values, ttl_ms = self._read(message)
        # The message's own age counts, but a clock that was set back must not lengthen its life.
        age_ns = max(0, self._unix_ns() - message.t_ns)
        alive.due_ns = self._mono_ns() + ttl_ms * 1_000_000 - age_ns
        if self._mono_ns() >= alive.due_ns:
            await self._kill(alive, STALE)
            return
        kinds = {**PERMIT, **HEARTBEAT}
        at = moment(message.t_ns)
        for name, value in values.items():
            await self._write(alive.nodes[name], ua.DataValue(ua.Variant(value, kinds[name].kind), SourceTimestamp=at))

    async def freshen(self) -> None:
        """Make Bad what is too old now. Called before every read."""
        now_ns = self._mono_ns()
        for alive in (self._permit, self._heartbeat):
            if alive.due_ns is not None and now_ns >= alive.due_ns:
                await self._kill(alive, STALE)

    async def watch(self) -> None:
        """Freshen for ever: subscribers are told though nobody reads."""
        while True:
            await self.freshen()
            due_ns = [alive.due_ns for alive in (self._permit, self._heartbeat) if alive.due_ns is not None]
            left_ns = min([*due_ns, self._mono_ns() + WATCH_MS * 1_000_000]) - self._mono_ns()
            await asyncio.sleep(max(0, left_ns) / 1e9)

    def _read(self, message: Heartbeat | Permit) -> tuple[_Alive, dict[str, object], int]:
        if isinstance(message, Permit):
            permit: dict[str, object] = {
                "Permit": message.permit,
                "PermitMode": message.mode,
                "PermitCount": message.n,
                "PermitEpoch": message.epoch,
                "PermitWhy": message.why,
            }
            return self._permit, permit, message.ttl_ms
        heartbeat: dict[str, object] = {
            "State": message.state.value,
            "StateWhy": message.why,
            "Coverage": float(message.coverage),
            "FrameAgeP99": float(message.frame_age_p99_ms),
            "ActiveAlarms": message.active_alarms,
        }
        return self._heartbeat, heartbeat, HEARTBEAT_TTL_MS

    async def _kill(self, alive: _Alive, code: int) -> None:
        alive.due_ns = None
        now = moment(self._unix_ns())
        for node in alive.nodes.values():
            await self._write(node, ua.DataValue(StatusCode=status(code), SourceTimestamp=now))

    async def _write(self, node: ua.NodeId, value: ua.DataValue) -> None:
        (await self._iserver.aspace.write_attribute_value(node, ua.AttributeIds.Value, value)).check()
