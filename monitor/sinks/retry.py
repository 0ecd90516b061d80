"""When to try again, and what to give up: pure functions; time and chance are arguments."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from monitor.sinks.feed import Entry

CircuitState = Literal["closed", "half_open", "open"]
"""closed: deliveries succeed, or failed only lately; open: they keep failing; half_open: one is being tried anyway."""

RETRY_AFTER_MAX_S: Final = 300.0
"""A receiver may ask for a longer pause than the growing delay, but not for one that nobody would notice ending."""


class Policy(NamedTuple):
    """How patient a sink is."""

    first_s: float = 1.0  # delay after the first failure; it doubles with each further one
    most_s: float = 60.0  # ... up to this
    open_after: int = 5  # failures in a row that open the circuit: one is chance, five are an outage
    max_age_s: float = 86_400.0  # older changes are shed where a newer revision of the same alarm follows


class Circuit(NamedTuple):
    """What is known of the other side. A value: `failed` gives a new one."""

    state: CircuitState = "closed"
    failures: int = 0  # in a row
    due_s: float = 0.0  # monotonic; nothing is tried before


WORKING: Final = Circuit()


def delay_s(policy: Policy, failures: int, draw: float) -> float:
    """Seconds to wait after so many *failures* in a row (from 1). *draw*, from [0, 1), spreads many senders out."""
    doublings = min(failures - 1, 60)  # beyond, floats would overflow before they are bounded
    return min(policy.first_s * 2.0**doublings, policy.most_s) * (0.5 + 0.5 * draw)


def trying(circuit: Circuit) -> Circuit:
    """The circuit while a delivery is tried."""
    return circuit._replace(state="half_open") if circuit.state == "open" else circuit


def failed(circuit: Circuit, policy: Policy, now_s: float, draw: float, after_s: float | None = None) -> Circuit:
    """The circuit after a failure at *now_s*; *after_s*: the pause that the other side asked for, in seconds."""
    failures = circuit.failures + 1
    pause_s = delay_s(policy, failures, draw)
    if after_s is not None:
        pause_s = max(pause_s, min(after_s, RETRY_AFTER_MAX_S))
    return Circuit("open" if failures >= policy.open_after else "closed", failures, now_s + pause_s)


def sheddable(entries: Sequence[Entry], now_ns: int, max_age_s: float) -> frozenset[int]:
    """Rows of those *entries* that need not go any more at *now_ns* (Unix).

    These are older than *max_age_s* and followed, among *entries*, by a newer revision of the same alarm. The newest
    revision of an alarm says all that the older ones said, so it always goes, however old.
    """
    newest = {entry.alarm.id: entry.row for entry in entries}
    oldest_ns = now_ns - round(max_age_s * 1e9)
    return frozenset(entry.row for entry in entries if entry.t_ns < oldest_ns and entry.row != newest[entry.alarm.id])
