"""What the supervisor tells systemd (sd_notify): that the daemon is ready, its state, and that it still works.

The watchdog is fed only while the judging goes on: both processes beat, the engine turns, and frames that wait are
judged. Where nothing waits, because the camera is off or silent, there is nothing to judge, and that is known, not
guessed: the ledger says so. A daemon that hangs is then ended and started anew by systemd.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from monitor import ledger, vitals
from monitor.orders import Memory
from monitor.state import ENGINE_HUNG_NS
from monitor.types import State

DIED_NS: Final = 1
"""The beat that the supervisor gives to a process which has died."""

UNJUDGED_NS: Final = 5_000_000_000
"""Frames may wait so long without any being judged: a batch of the largest images takes a second."""


class Pulse(NamedTuple):
    """How far the judging had come, and since when it has stood there (monotonic)."""

    judged: int
    since_ns: int


def works(memory: Memory, pulse: Pulse, now_ns: int) -> tuple[bool, Pulse]:
    """Whether the judging goes on at *now_ns*, after *pulse*; and the next pulse."""
    board, account = memory.vitals, ledger.read(memory.ledger)
    settled = account.received - account.in_flight
    if account.in_flight == 0 or settled != pulse.judged:
        pulse = Pulse(settled, now_ns)
    beats = [("hot_beat_ns", vitals.LOST_NS), ("side_beat_ns", vitals.LOST_NS)]
    if vitals.STATES[int(board["state"][0])] is not State.STARTING:  # its engine does not turn yet
        beats.append(("engine_beat_ns", ENGINE_HUNG_NS))
    # A process that died is being started anew, which the supervisor does itself.
    alive = all(now_ns - int(board[name][0]) <= most_ns or int(board[name][0]) == DIED_NS for name, most_ns in beats)
    return alive and now_ns - pulse.since_ns <= UNJUDGED_NS, pulse


class Notifier:
    """Speaks to systemd where it listens; elsewhere all of this does nothing."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        """*environment* as systemd sets it: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        watched = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        period_us = environment.get("WATCHDOG_USEC", "") if watched else ""
        # Fed at a third of the time, so that one late turn is no reason to end the daemon.
        self._period_ns = int(period_us) * 1000 // 3 if period_us.isdecimal() else None
        self._fed_ns: int | None = None
        self._pulse = Pulse(-1, 0)
        self._status = ""

    def ready(self) -> None:
        """Frames are taken and judged, or would be."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The daemon ends in order."""
        self._send("STOPPING=1")

    def turn(self, memory: Memory, now_ns: int) -> None:
        """Say the state where it changed, and feed the watchdog where it is due and the judging goes on."""
        if not self._address:
            return
        state = vitals.STATES[int(memory.vitals["state"][0])]
        why = vitals.read_text(memory.vitals, "why")
        status = f"{state.value}: {why}" if why and state is not State.OK else state.value
        if status != self._status:
            self._status = status
            self._send(f"STATUS={' '.join(status.split())}")
        good, self._pulse = works(memory, self._pulse, now_ns)
        due = self._period_ns is not None and (self._fed_ns is None or now_ns - self._fed_ns >= self._period_ns)
        if good and due:
            self._fed_ns = now_ns
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # Where nobody listens any more, or the queue is full, nothing of ours depends on it.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.sendto(message.encode(), socket.MSG_DONTWAIT, address)


def of_this_process() -> Notifier:
    """From this process's environment, out of which the children do not inherit it."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    environment = {name: os.environ.pop(name) for name in names if name in os.environ}
    return Notifier(environment, os.getpid())
