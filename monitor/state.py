"""Which state the daemon is in, and why: a pure function of what is known at a moment.

Several things may be wrong at once. The state is the gravest of them; `why` names them all; each condition that
deserves an alarm is listed under the alarm's source.
"""

from collections.abc import Mapping
from typing import NamedTuple

from monitor.types import State

ENGINE_HUNG_NS = 500_000_000
"""The engine turns at least ten times a second, whatever the camera does."""


WAITING = "waiting"
"""How the reason of a state begins in which all is ready but the camera."""

LOADING = "loading"
STOPPING_WHY = "told to stop"


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
    camera_faults: tuple[str, ...]  # whose events are open
    mismatch: str | None  # why frames are not judged
    expired: str | None
    dropped: str | None  # why frames were dropped of late
    futile: str | None  # why none of the frames that arrive is judged, where none should be left out
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
    # Idle is never blind: a laser that went off before its flag fell leaves a dark frame, and nothing can end it.
    faulty = bool(facts.camera_faults) and not facts.idle
    fault = f"camera fault: {', '.join(facts.camera_faults)}" if faulty else None
    unheard = facts.ready and facts.last_heard_ns is None
    hung = facts.now_ns - facts.engine_beat_ns > ENGINE_HUNG_NS
    ranked: list[tuple[State, str | None]] = [
        (State.STOPPING, STOPPING_WHY if facts.stopping else None),
        (State.STARTING, None if facts.ready else LOADING),
        (State.DEGRADED, found.get("degraded") if hung else None),
        (State.BLIND, "; ".join(filter(None, (found.get("blind"), fault)))),
        (State.UNCALIBRATED, found.get("uncalibrated")),
        (State.STALE, found.get("stale")),
        (State.DEGRADED, None if hung else found.get("degraded")),
        (State.STARTING, f"{WAITING} for the first frame" if unheard and "blind" not in found else None),
        (State.IDLE, "the process is off: no active frame" if facts.idle and "blind" not in found else None),
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
    degraded += [reason for reason in (facts.dropped, facts.futile) if reason]
    if degraded:
        found["degraded"] = "; ".join(degraded)
    return found
