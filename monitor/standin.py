"""What the side process says in the place of a hot process that is lost: state and permit, which is withheld."""

from collections.abc import Callable
from typing import Final

from monitor.config import Config
from monitor.shared import Arrays
from monitor.status import LOST_WHY, Status
from monitor.vitals import read_text
from monitor.voice import Heartbeat, Permit

TELL_NS: Final = 1_000_000_000
"""While the hot process is lost, its heartbeat and permit are spoken so often."""

Said = tuple[str, Heartbeat | Permit]
"""Under which topic, and what."""


class StandIn:
    """Knows when it was told last; one caller at a time."""

    def __init__(self, config: Config, vitals: Arrays) -> None:
        self._config = config
        self._vitals = vitals
        self._told_ns: int | None = None  # None: the hot process is not lost

    def step(
        self, lost: bool, look: Callable[[], Status], mono_ns: int, t_ns: int
    ) -> list[tuple[str, Heartbeat | Permit]]:
        """Topics and what is to be told under them at *mono_ns* (monotonic), which is *t_ns* (Unix)."""
        if not lost:
            self._told_ns = None
            return []
        if self._told_ns is not None and mono_ns - self._told_ns < TELL_NS:
            return []
        self._told_ns = mono_ns
        camera = self._config.camera
        return [(f"heartbeat.{camera}", self._heartbeat(look(), t_ns)), (f"permit.{camera}", self._permit(t_ns))]

    def _heartbeat(self, status: Status, t_ns: int) -> Heartbeat:
        return Heartbeat(
            camera=self._config.camera,
            t_ns=t_ns,
            state=status.state,
            why=status.why,
            seq=status.last_seq,
            coverage=status.coverage,
            frame_age_p99_ms=status.frame_age_p99_ms,
            active_alarms=len(status.alarms),
        )

    def _permit(self, t_ns: int) -> Permit:
        return Permit(
            camera=self._config.camera,
            epoch=read_text(self._vitals, "epoch"),
            n=0,  # it stands still: that alone reads as false
            t_ns=t_ns,
            ttl_ms=self._config.permit.ttl_ms,
            permit=False,
            why=LOST_WHY,
            mode=self._config.permit.mode,
        )
