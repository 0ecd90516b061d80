"""The permit: whether the process may go on, as this monitor sees it. A process interlock, not a safety function.

Pure: the rule takes what withholds the permit now and says whether it is given; time is an argument.
"""

from collections.abc import Sequence
from typing import NamedTuple

from monitor.config import Permit as PermitConfig
from monitor.types import State


class PermitState(NamedTuple):
    """Whether the permit is given and, where not, since when nothing withholds it any more."""

    given: bool = False
    quiet_since_ns: int | None = None
    why: str = "starting"
    idle_since_ns: int | None = None


def step(
    config: PermitConfig, before: PermitState, state: State, open_priorities: Sequence[str], now_ns: int
) -> PermitState:
    """The permit at *now_ns* (monotonic). It falls at once and comes back after `quiet_s` without a reason to withhold.

    `idle` withholds nothing by itself, or a laser that waits for the permit could never start. An event that was open
    when the process went off stays open, since nothing is judged; it goes on withholding the permit unless
    `idle_release_s` says for how long.
    """
    idle_since_ns = (before.idle_since_ns or now_ns) if state is State.IDLE else None
    reason = _withheld(config, state, open_priorities, idle_since_ns, now_ns)
    if reason is not None:
        return PermitState(False, None, reason, idle_since_ns)
    if before.given:
        return PermitState(True, None, "", idle_since_ns)
    quiet_since_ns = now_ns if before.quiet_since_ns is None else before.quiet_since_ns
    if now_ns - quiet_since_ns >= config.quiet_s * 1e9:
        return PermitState(True, None, "", idle_since_ns)
    return PermitState(False, quiet_since_ns, f"waiting for {config.quiet_s:g} s of quiet", idle_since_ns)


def _withheld(
    config: PermitConfig, state: State, open_priorities: Sequence[str], idle_since_ns: int | None, now_ns: int
) -> str | None:
    if state in config.withhold_states:
        return f"state {state.value}"
    release_s = config.idle_release_s
    if idle_since_ns is not None and release_s is not None and now_ns - idle_since_ns >= release_s * 1e9:
        return None
    held = [priority for priority in open_priorities if priority in config.withhold_priorities]
    return f"open event of priority {held[0]}" if held else None
