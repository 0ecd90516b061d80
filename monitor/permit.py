"""The permit: whether the process may go on, as this monitor sees it. A process interlock, not a safety function.

Pure: the rule takes what withholds the permit now and says whether it is given; time is an argument. Each cause, a
state, the priority of an open event or a stop, has a way in which it falls, at once or at the layer's end, and a way
back: by quiet, once its alarms are acknowledged, or at the end of the layer in which it went.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from monitor.alarms.alarm import STOP
from monitor.config import Permit as PermitConfig
from monitor.types import State
from monitor.vitals import PRIORITIES

STATES = frozenset(state.value for state in State)


class Seen(NamedTuple):
    """What the rule looks at, at *now_ns* (monotonic)."""

    state: State
    open_causes: Sequence[str]  # priorities of open events, and `stop` where the rule for stops has found one
    now_ns: int
    layer_ends: int = 0  # that were seen since the start: counts up
    logged: int = 0  # events told to the side process so far
    heard: int = 0  # of these, those whose alarms *unacknowledged* knows
    unacknowledged: frozenset[str] = frozenset()  # causes of which an alarm waits for a person
    alarms_known: bool = True  # False: nobody has said yet what is open since before this start, and what waits


class Cause(NamedTuple):
    """A cause that withholds the permit, or waits for the layer's end to do so."""

    since_ns: int
    layer_ends: int  # when it came, and as long as it holds when it was last seen
    logged: int = 0


class PermitState(NamedTuple):
    """Whether the permit is given and, where not, since when nothing withholds it any more."""

    given: bool = False
    quiet_since_ns: int | None = None
    why: str = "starting"
    idle_since_ns: int | None = None
    coming: Mapping[str, Cause] = MappingProxyType({})  # that wait for the layer's end to withhold it
    held: Mapping[str, Cause] = MappingProxyType({})  # that are over, or hold, and whose way back is not quiet alone


def step(config: PermitConfig, before: PermitState, seen: Seen) -> PermitState:
    """The permit now. It falls with the first cause, and comes back after `quiet_s` without any.

    `idle` withholds nothing by itself, or a laser that waits for the permit could never start. An event that was open
    when the process went off stays open, since nothing is judged; it goes on withholding the permit unless
    `idle_release_s` says for how long.
    """
    now_ns = seen.now_ns
    idle_since_ns = (before.idle_since_ns or now_ns) if seen.state is State.IDLE else None
    causes = _causes(config, seen, idle_since_ns)
    coming = {
        cause: before.coming.get(cause, Cause(now_ns, seen.layer_ends))
        for cause in causes
        if _way(config.fall, cause) == "layer_end"
    }
    holding = [
        cause for cause in causes if not (before.given and cause in coming and _waits(config, coming[cause], seen))
    ]
    held = {cause: how for cause, how in before.held.items() if not _is_back(config, cause, how, seen)}
    held |= {cause: Cause(now_ns, seen.layer_ends, seen.logged) for cause in holding if cause in config.back}
    if not before.given:  # what a judging process before this one withheld, and nobody has acknowledged since
        waits = [cause for cause, way in config.back.items() if way == "acknowledged" and _is_awaited(cause, seen)]
        held |= {cause: Cause(now_ns, seen.layer_ends) for cause in sorted({*waits} - held.keys())}
    after = PermitState(idle_since_ns=idle_since_ns, coming=coming, held=held)
    if holding:
        return after._replace(why=_named(holding[0]))
    if held:
        return after._replace(why=_waiting(config, next(iter(held))))
    if not seen.alarms_known:
        return after._replace(why="waiting for the process that keeps the alarms")
    if before.given:
        return after._replace(given=True, why="")
    quiet_since_ns = now_ns if before.quiet_since_ns is None else before.quiet_since_ns
    if now_ns - quiet_since_ns >= config.quiet_s * 1e9:
        return after._replace(given=True, why="")
    return after._replace(quiet_since_ns=quiet_since_ns, why=f"waiting for {config.quiet_s:g} s of quiet")


def awaited(config: PermitConfig) -> frozenset[str]:
    """The causes whose alarms a person must acknowledge before the permit comes back."""
    ways = [cause for cause, way in config.back.items() if way == "acknowledged"]
    return frozenset(grave for cause in ways for grave in _as_grave(cause))


def _causes(config: PermitConfig, seen: Seen, idle_since_ns: int | None) -> list[str]:
    """States, stops and priorities that are to withhold the permit, the state first."""
    causes = [seen.state.value] if seen.state in config.withhold_states else []
    release_s = config.idle_release_s
    if idle_since_ns is not None and release_s is not None and seen.now_ns - idle_since_ns >= release_s * 1e9:
        return causes
    opened = [one for one in seen.open_causes if one == STOP or one in config.withhold_priorities]
    return list(dict.fromkeys([*causes, *sorted(opened, key=lambda one: one != STOP)]))


def _waits(config: PermitConfig, cause: Cause, seen: Seen) -> bool:
    """Whether the layer in which *cause* came goes on, and it has not waited for too long."""
    return seen.layer_ends == cause.layer_ends and seen.now_ns - cause.since_ns < config.layer_end_s * 1e9


def _is_back(config: PermitConfig, cause: str, held: Cause, seen: Seen) -> bool:
    if _way(config.back, cause) == "layer_end":
        return seen.layer_ends > held.layer_ends or seen.now_ns - held.since_ns >= config.layer_end_s * 1e9
    # What the side process has not heard of yet, it cannot know to be acknowledged.
    return seen.heard >= held.logged and not _is_awaited(cause, seen)


def _is_awaited(cause: str, seen: Seen) -> bool:
    """Whether an alarm that *cause* may have begun as waits for a person."""
    return not seen.unacknowledged.isdisjoint(_as_grave(cause))


def _as_grave(cause: str) -> list[str]:
    """*cause*, and of priorities those above: while an alarm lives it may have risen."""
    priorities: list[str] = [*PRIORITIES]
    return priorities[priorities.index(cause) :] if cause in priorities else [cause]


def _way(ways: Mapping[Any, str], cause: str) -> str | None:
    """Of any cause; that a camera's state `starting` has none, its type does not say."""
    return ways.get(cause)


def _named(cause: str) -> str:
    if cause == STOP:
        return "scores over the stop limit"
    return f"state {cause}" if cause in STATES else f"open event of priority {cause}"


def _waiting(config: PermitConfig, cause: str) -> str:
    if _way(config.back, cause) == "layer_end":
        return f"waiting for the layer's end after {_named(cause)}"
    return f"waiting for someone to acknowledge: {_named(cause)}"
