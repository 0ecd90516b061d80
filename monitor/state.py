"""Which state the daemon is in, and why: a pure function of what is known at a moment.

Several things may be wrong at once. The state is the gravest of them; `why` names them all; each condition that
deserves an alarm is listed under the alarm's source.
"""

from collections.abc import Mapping
from typing import NamedTuple

from monitor.types import State

ENGINE_HUNG_NS = 500_000_000
"""The engine turns at least ten times a second, whatever the camera does."""

DROPPED_MEMORY_NS = 5_000_000_000
"""The state stays `degraded` for so long after a frame was dropped, so that a person can see it."""


class Facts(NamedTuple):
    """What the hot process knows of itself at *now_ns* (monotonic, as all times here)."""

    now_ns: int
    listening_ns: int  # since when the camera could be heard
    stopping: bool
    ready: bool  # network loaded and warmed up, sockets open
    engine_beat_ns: int
    last_heard_ns: int | None
    silence_ns: int
    idle: bool  # the camera says that the process is off
    camera_fault: str | None
    mismatch: str | None  # why frames are not judged
    expired: str | None
    dropped_ns: int | None  # when a frame was last dropped
    side_lost: bool
    side_why: str  # what the side process complains of


class Decision(NamedTuple):
    """The state, why it is so, and for each alarm source that holds, the reason."""

    state: State
    why: str
    conditions: Mapping[str, str]


def decide(facts: Facts) -> Decision:
    """The state at one moment, the gravest of what holds."""
    found = _conditions(facts)
    fault = f"camera fault: {facts.camera_fault}" if facts.camera_fault else None
    hung = facts.now_ns - facts.engine_beat_ns > ENGINE_HUNG_NS
    ranked: list[tuple[State, str | None]] = [
        (State.STOPPING, "told to stop" if facts.stopping else None),
        (State.STARTING, None if facts.ready else "loading"),
        (State.DEGRADED, found.get("degraded") if hung else None),
        (State.BLIND, "; ".join(filter(None, (found.get("blind"), fault)))),
        (State.UNCALIBRATED, found.get("uncalibrated")),
        (State.STALE, found.get("stale")),
        (State.DEGRADED, None if hung else found.get("degraded")),
        (State.IDLE, "the camera says that the process is off" if facts.idle else None),
    ]
    holding = [(state, why) for state, why in ranked if why]
    if not holding:
        return Decision(State.OK, "", found)
    why = "; ".join(why for _, why in holding) if holding[0][0] is not State.STOPPING else holding[0][1]
    return Decision(holding[0][0], why, found)


def _conditions(facts: Facts) -> dict[str, str]:
    """Alarm source -> reason, for what is wrong with the service. Nothing is claimed before the daemon is ready."""
    found: dict[str, str] = {}
    if not facts.ready or facts.stopping:
        return found
    silent_ns = facts.now_ns - max(facts.listening_ns, facts.last_heard_ns or 0)
    if silent_ns > facts.silence_ns:
        heard = "since the start" if facts.last_heard_ns is None else f"for {silent_ns / 1e9:.0f} s"
        found["blind"] = f"no frame and no keep-alive {heard}"
    if facts.mismatch:
        found["uncalibrated"] = facts.mismatch
    if facts.expired:
        found["stale"] = facts.expired
    degraded = []
    if facts.now_ns - facts.engine_beat_ns > ENGINE_HUNG_NS:
        degraded.append(f"the engine has not moved for {(facts.now_ns - facts.engine_beat_ns) / 1e9:.1f} s")
    if facts.side_lost:
        degraded.append("the side process does not answer: alarms are kept until it is back")
    if facts.side_why:
        degraded.append(facts.side_why)
    if facts.dropped_ns is not None and facts.now_ns - facts.dropped_ns < DROPPED_MEMORY_NS:
        degraded.append("frames were dropped: they come faster than they can be judged")
    if degraded:
        found["degraded"] = "; ".join(degraded)
    return found
