"""What the sinks that carry it are told of this moment: heartbeat and permit, as shared memory shows them.

Changes come as soon as the judging process rings, a millisecond or two after what it says on its own socket.
"""

from typing import Final

import numpy as np

from monitor import vitals
from monitor.orders import Memory, Orders
from monitor.status import LOST_WHY, state_of
from monitor.vitals import read_text
from monitor.voice import Heartbeat, Permit

HEARTBEAT_NS: Final = 1_000_000_000


class Live:
    """Knows what was told last; one caller at a time."""

    def __init__(self, orders: Orders, memory: Memory) -> None:
        self._config, self._board = orders.config, memory.vitals
        self._permit: bool | None = None
        self._number: int | None = None  # of the permit that the judging process said last
        self._number_ns = 0  # since when it stands there
        self._permit_ns = self._heartbeat_ns = -HEARTBEAT_NS
        self._state: tuple[str, str] = "", ""
        self._started_ns: int | None = None

    def step(self, now_ns: int, t_ns: int) -> list[Heartbeat | Permit]:
        """What is to be told at *now_ns* (monotonic), which is *t_ns* (Unix): changes, and what is due.

        A judging process that does not answer gives no permit, and its `n` stands still: one that has stood for
        `ttl_ms` is not said to be given any more, whatever time of day it is said at.
        """
        board, config = self._board, self._config
        number = int(board["permit_n"][0])  # read first: a newer permit may go with it, never an older one
        fresh = now_ns - int(board["hot_beat_ns"][0]) <= vitals.LOST_NS
        if number != self._number:
            self._number, self._number_ns = number, now_ns
        holds = fresh and now_ns - self._number_ns <= config.permit.ttl_ms * 1_000_000
        given = holds and bool(board["permit"][0])
        told: list[Heartbeat | Permit] = []
        if given != self._permit or now_ns - self._permit_ns >= config.permit.period_ms * 1_000_000:
            self._permit, self._permit_ns = given, now_ns
            told.append(
                Permit(
                    camera=config.camera,
                    epoch=read_text(board, "epoch"),
                    n=number,
                    t_ns=t_ns,
                    ttl_ms=config.permit.ttl_ms,
                    permit=given,
                    why=read_text(board, "permit_why") if holds else LOST_WHY,
                    mode=config.permit.mode,
                )
            )
        if self._started_ns is None:
            self._started_ns = now_ns
        state, why = state_of(board, now_ns, self._started_ns)
        if (state.value, why) != self._state or now_ns - self._heartbeat_ns >= HEARTBEAT_NS:
            self._state, self._heartbeat_ns = (state.value, why), now_ns
            told.append(
                Heartbeat(
                    camera=config.camera,
                    t_ns=t_ns,
                    state=state,
                    why=why,
                    seq=int(board["last_seq"][0]),
                    coverage=float(np.nan_to_num(board["coverage"][0])) if fresh else 0.0,
                    frame_age_p99_ms=float(np.nan_to_num(board["age_p99_ms"][0])),
                    active_alarms=int(board["active_alarms"][0]),
                )
            )
        return told
