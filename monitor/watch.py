"""The watch: a thread of the hot process that looks at everything twenty times a second and says what it sees.

It decides the state, speaks heartbeat and permit, and logs conditions of the service as events. It touches no frame.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor import permit as permits
from monitor import state as states
from monitor import vitals
from monitor.backlog import Backlog
from monitor.config import Config
from monitor.ingest import Ingest
from monitor.ledger import LedgerSnapshot
from monitor.ledger import read as read_ledger
from monitor.manifest import Manifest, without_budget
from monitor.orders import Memory
from monitor.state import Decision, Facts
from monitor.types import Dropped, State, Unjudged
from monitor.voice import Heartbeat, Permit, Voice

if TYPE_CHECKING:  # these load torch, which takes seconds: the watch speaks before
    from monitor.engine import Engine
    from monitor.handover import Handover
    from monitor.rates import RateWatch

PERIOD_S = 0.05
PAUSED_PERIOD_S = 0.1
PAUSE_NS = 1_000_000_000
HEARTBEAT_NS = 1_000_000_000
COVERAGE_NS = 10_000_000_000
IDLE_TURNS = 3  # one keep-alive between two frames is not a process that is off
REJECTION_LOG_NS = 10_000_000_000
DROPPED_SHOWN_NS = 5_000_000_000  # so long after a frame was dropped the state says so, for a person to see it

DROPPED_WHY = {
    Dropped.OVERRUN: "frames were dropped: they come faster than they can be judged",
    Dropped.STALE: "frames were dropped: the judging process was restarted",
    Dropped.STOPPING: "frames were dropped: the daemon stops",
}

log = logging.getLogger("framewatch.hot")


class Parts(NamedTuple):
    """What the watch looks at, once the network is loaded and the sockets are open."""

    engine: "Engine"
    ingest: Ingest
    backlog: Backlog
    handover: "Handover"
    faults: tuple[str, ...]  # names of the camera faults, by code - 1
    rates: "RateWatch | None" = None


class Second(NamedTuple):
    """The ledger and the frame ages as they were at a moment."""

    at_ns: int
    ledger: LedgerSnapshot
    ages: npt.NDArray[np.int64]


class Engaged(NamedTuple):
    """Until when there was something to judge: frames received by then, and how many were meant to be judged."""

    received: int
    meant: int


def is_idle(before: Engaged | None, ledger: LedgerSnapshot, *, off: bool) -> tuple[bool, Engaged]:
    """Whether the process is off, as far as the *ledger* of this turn shows, and what to compare the next one with.

    *off*: the camera's last message says so. Inactive frames may be in flight, as they are at any moment where a
    camera sends them without pause; but all that came while the process was on has to be settled, and nothing else.
    """
    settled = ledger.received - ledger.in_flight
    # Frames out of order are repeated, and tell nothing of now.
    meant = settled - ledger.unjudged[Unjudged.INACTIVE] - ledger.unjudged[Unjudged.OUT_OF_ORDER]
    if before is None:
        return off and ledger.in_flight == 0, Engaged(ledger.received, meant)
    if not off or meant != before.meant:
        return False, Engaged(ledger.received, meant)
    return settled >= before.received, before


class Watch:
    """Runs on a thread of its own from the first moment; *parts* come when they are built."""

    def __init__(
        self,
        config: Config,
        memory: Memory,
        manifest: Manifest | None,
        epoch: str,
        voice: Voice,
        clock: Callable[[], int],
        wall_clock: Callable[[], int],
        bell: Callable[[], None] = lambda: None,
    ) -> None:
        """*bell* is rung when the permit or the state has changed: the side process tells of it at once, too."""
        self._config = config
        self._memory = memory
        self._board = memory.vitals
        self._manifest = manifest
        rule = manifest.rule_for(config.events) if manifest else without_budget(config.events)
        self._clear_frames = rule.clear_frames
        self._epoch = epoch
        self._voice = voice
        self._clock = clock
        self._wall_clock = wall_clock
        self._bell = bell
        self._started_ns = clock()
        self._lock = threading.Lock()  # the permit is spoken by the engine's thread as well
        self._permit = permits.PermitState()
        self._permit_n = 0
        self._permit_said_ns = 0
        self._decision = Decision(State.STARTING, states.LOADING, {})
        self._heartbeat_said_ns = 0
        self._history: deque[Second] = deque()
        self._dropped = dict(read_ledger(memory.ledger).dropped)  # what an earlier process dropped is no news
        self._dropped_why = ""
        self._dropped_ns = 0
        self._idle_turns = 0
        self._engaged: Engaged | None = None
        self._settled = False
        self._service_settled = False
        self._rejections_told_ns: dict[str, int] = {}
        self._listening_ns: int | None = None  # since when the camera's socket is open
        self.parts: Parts | None = None
        self.stopping = threading.Event()
        self.finished = threading.Event()

    def run(self) -> None:
        """Turn until `finished`; the last words are spoken by `say_goodbye`."""
        while not self.finished.wait(self.period_s):
            self.turn()

    @property
    def period_s(self) -> float:
        """Seconds to the next turn: permits are due at one, and while nothing is to be judged there are no more."""
        heard_ns = self.parts.ingest.last_heard_ns if self.parts is not None else None
        permit_s = self._config.permit.period_ms / 1e3
        if heard_ns is None or (self._clock() - heard_ns < PAUSE_NS and self._idle_turns < IDLE_TURNS):
            return permit_s / math.ceil(permit_s / PERIOD_S)
        return min(PAUSED_PERIOD_S, permit_s)

    def turn(self) -> None:
        """Look at everything once."""
        now_ns = self._clock()
        snapshot = read_ledger(self._memory.ledger)
        self._remember(now_ns, snapshot)
        decision = states.decide(self._facts(now_ns, snapshot))
        changed = (decision.state, decision.why) != (self._decision.state, self._decision.why)
        if decision.state is not self._decision.state:
            log.info("state %s%s", decision.state.value, f": {decision.why}" if decision.why else "")
        self._decision = decision
        self._publish_vitals(now_ns)
        if self.parts is not None:
            self._listening_ns = self._listening_ns or now_ns
            self._log_conditions(self.parts, decision)
            self._log_rejections(self.parts.ingest, snapshot, now_ns)
            self._judge_rates(self.parts, now_ns)
        self.say_permit(now_ns)
        if changed or now_ns - self._heartbeat_said_ns >= HEARTBEAT_NS:
            self._say_heartbeat(now_ns)
        if changed:
            self._bell()

    def event_changed(self, received_ns: int) -> None:
        """The engine has reported an event whose latest frame came in at *received_ns*: the permit may fall now."""
        fell = self.say_permit(self._clock())
        if fell:
            vitals.observe_one(self._board, "fall", (self._clock() - received_ns) / 1e9)

    def say_permit(self, now_ns: int) -> bool:
        """Work the permit out anew and say it where it changed or is due; returns whether it has just fallen."""
        with self._lock:
            before = self._permit
            own = self.parts.handover.take_causes() if self.parts else ()
            # What an earlier process raised and nobody has cleared withholds the permit as well.
            causes = (*own, *vitals.open_causes(self._board))
            seen = permits.Seen(
                self._decision.state,
                causes,
                now_ns,
                self.parts.ingest.layers_ended if self.parts else 0,
                int(self._memory.log["count"][0]),
                int(self._board["heard"][0]),
                vitals.unacknowledged(self._board),
                alarms_known=int(self._board["side_beat_ns"][0]) != 0,
            )
            config = self._config.permit
            # Who listens has taken one that was not said for so long for withheld: it comes back by quiet, as ever.
            expired = now_ns - self._permit_said_ns > config.ttl_ms * 1_000_000
            self._permit = permits.step(config, before._replace(given=before.given and not expired), seen)
            changed = self._permit.given != before.given
            if not changed and now_ns - self._permit_said_ns < config.period_ms * 1_000_000:
                return False
            self._speak_permit(now_ns)
            if changed:
                self._bell()
            return changed and before.given

    def say_goodbye(self) -> None:
        """The last heartbeat and permit of this process: `stopping`."""
        now_ns = self._clock()
        self._decision = Decision(State.STOPPING, states.STOPPING_WHY, {})
        self._publish_vitals(now_ns)
        self._say_heartbeat(now_ns)
        with self._lock:
            self._permit = permits.PermitState(False, None, "state stopping")
            self._speak_permit(now_ns)
        self._bell()

    def _speak_permit(self, now_ns: int) -> None:
        self._permit_said_ns = now_ns
        self._board["permit"][0] = int(self._permit.given)
        self._board["permit_why"][0] = self._permit.why.encode()[:256]
        self._board["permit_n"][0] = self._permit_n
        config = self._config.permit
        self._voice.say(
            Permit(
                camera=self._config.camera,
                epoch=self._epoch,
                n=self._permit_n,
                t_ns=self._wall_clock(),
                ttl_ms=config.ttl_ms,
                permit=self._permit.given,
                why=self._permit.why,
                mode=config.mode,
            )
        )
        self._permit_n += 1

    def _say_heartbeat(self, now_ns: int) -> None:
        self._heartbeat_said_ns = now_ns
        board = self._board
        self._voice.say(
            Heartbeat(
                camera=self._config.camera,
                t_ns=self._wall_clock(),
                state=self._decision.state,
                why=self._decision.why,
                seq=int(board["last_seq"][0]),
                coverage=float(board["coverage"][0]),
                frame_age_p99_ms=float(board["age_p99_ms"][0]),
                active_alarms=int(board["active_alarms"][0]),
            )
        )

    def _remember(self, now_ns: int, snapshot: LedgerSnapshot) -> None:
        for reason, count in snapshot.dropped.items():
            if count > self._dropped[reason]:
                self._dropped_ns, self._dropped_why = now_ns, DROPPED_WHY[reason]
        self._dropped = dict(snapshot.dropped)
        self._history.append(Second(now_ns, snapshot, self._board["age_counts"].copy()))
        while now_ns - self._history[0].at_ns > COVERAGE_NS:
            self._history.popleft()

    def _facts(self, now_ns: int, snapshot: LedgerSnapshot) -> Facts:
        board, parts = self._board, self.parts
        side_lost = now_ns - max(int(board["side_beat_ns"][0]), self._started_ns) > vitals.LOST_NS
        off = parts is not None and parts.ingest.idle
        idle, self._engaged = is_idle(self._engaged, snapshot, off=off)
        self._idle_turns = self._idle_turns + 1 if idle else 0
        return Facts(
            now_ns=now_ns,
            listening_ns=self._listening_ns or now_ns,
            stopping=self.stopping.is_set(),
            ready=parts is not None,
            engine_beat_ns=int(board["engine_beat_ns"][0]) or self._started_ns,
            last_heard_ns=parts.ingest.last_heard_ns if parts else None,
            silence_ns=int(self._config.input.silence_s * 1e9),
            idle=self._idle_turns >= IDLE_TURNS,
            camera_faults=parts.handover.open_sources(parts.faults) if parts else (),
            mismatch=parts.ingest.mismatch if parts else None,
            expired=self._expired(),
            dropped=self._dropped_why if now_ns - self._dropped_ns < DROPPED_SHOWN_NS else None,
            futile=self._futile(now_ns),
            side_lost=side_lost,
            side_why=bytes(board["side_why"][0]).decode(errors="replace"),
        )

    def _futile(self, now_ns: int) -> str | None:
        """Frames have come for as long as silence would take to be told, and each was unfit to be judged."""
        since_ns = now_ns - int(self._config.input.silence_s * 1e9)
        last = self._history[-1]
        first = next((one for one in self._history if one.at_ns >= since_ns), last)
        unfit = {
            reason.label: last.ledger.unjudged[reason] - first.ledger.unjudged[reason]
            for reason in (Unjudged.OUT_OF_ORDER, Unjudged.NOT_FINITE)
        }
        if not any(unfit.values()) or last.ledger.judged > first.ledger.judged or last.ledger.in_flight:
            return None
        told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in unfit.items() if count)
        return f"frames arrive but none can be judged: {told}"

    def _expired(self) -> str | None:
        """Why the calibration no longer holds: its age, or scores that have drifted away from it."""
        told = (self._aged(), vitals.read_text(self._board, "drift_why"))
        return "; ".join(filter(None, told)) or None

    def _aged(self) -> str | None:
        days = self._config.calibration_expires_days
        if days is None or self._manifest is None:
            return None
        age_days = (self._wall_clock() - self._manifest.created_ns) / 86_400e9
        return f"the calibration is {age_days:.0f} days old, {days:g} are allowed" if age_days > days else None

    def _publish_vitals(self, now_ns: int) -> None:
        board, first, last = self._board, self._history[0], self._history[-1]
        announced = last.ledger.announced - first.ledger.announced
        judged = last.ledger.judged - first.ledger.judged
        board["coverage"][0] = min(1.0, judged / announced) if announced else 0.0
        p99_s = vitals.quantile(last.ages - first.ages, vitals.AGE_BOUNDS, 0.99)
        board["age_p99_ms"][0] = p99_s * 1e3
        board["state"][0] = vitals.STATES.index(self._decision.state)
        board["why"][0] = self._decision.why.encode()[:256]
        board["hot_beat_ns"][0] = now_ns

    def _log_conditions(self, parts: Parts, decision: Decision) -> None:
        if decision.state is State.STOPPING:
            return  # what holds now is not over because we stop looking
        for source in ("blind", "uncalibrated", "stale", "degraded"):
            if source in decision.conditions:
                parts.handover.hold(source, decision.conditions[source])
            else:
                parts.handover.release(source)
        if not self._service_settled and parts.ingest.last_heard_ns is not None:
            self._service_settled = True
            parts.handover.settle(service_only=True)
        if not self._settled and parts.engine.judged >= self._clear_frames:
            self._settled = True
            parts.handover.settle(service_only=False)

    def _judge_rates(self, parts: Parts, now_ns: int) -> None:
        changes = parts.rates.judge() if parts.rates is not None else []
        if changes:
            parts.handover.report(changes)

    def _log_rejections(self, ingest: Ingest, snapshot: LedgerSnapshot, now_ns: int) -> None:
        """A line for the first rejection of each reason, then one every ten seconds: each is counted, not each told."""
        for reason, rejection in ingest.rejections.items():
            if rejection is None:
                continue
            told_ns = self._rejections_told_ns.get(reason)
            if told_ns is not None and (rejection.at_ns <= told_ns or now_ns - told_ns < REJECTION_LOG_NS):
                continue
            self._rejections_told_ns[reason] = now_ns
            total = snapshot.rejected[reason]
            log.warning("message rejected (%s): %s; %d so far", reason, rejection.detail, max(total, 1))
