"""One trial: frames at one rate into the running daemon, and whether it held it."""

import time
from typing import Final, NamedTuple

import msgspec

from monitor.bench.children import Camera
from monitor.bench.daemon import Daemon, Use
from monitor.bench.delays import Delays, Growth, Watcher, growth
from monitor.bench.producer import Order, Sent
from monitor.ledger import LedgerSnapshot

LEAST_FRAMES: Final = 60
"""In no trial fewer: of a slow camera's frames it then takes longer."""

DRAIN_S: Final = 10.0
HELD_DRAIN_S: Final = 0.5
"""A rate that is held leaves no more than so much work behind."""

GROWTH_S: Final = 0.010
GROWTH_SHARE: Final = 0.005
"""Of the time between the first and the last third: a queue that grows more than this is one that frames fill faster
than they are judged. With the allowance above it, since the neighbours' turns come and go."""

P90_TIMES: Final = 4.0
"""The 90 % age may grow so many times as much as the median: it tells of a queue that comes and goes."""

PACE: Final = 0.98
"""A camera process that sent at less of the rate than this did not keep up itself."""

CAMERA: Final = "camera"


class Trial(msgspec.Struct, frozen=True):
    """What became of the frames of one trial. Every frame sent was judged, settled without a judgement, or lost."""

    rate_hz: float  # asked for
    sent_hz: float
    frames: int
    judged: int
    unjudged: int
    dropped: int
    lost_upstream: int
    drained_s: float | None  # after the last frame until nothing waited; None: longer than anybody waits
    median_growth_ms: float  # of the delay from sent to judged, last third over first
    p90_growth_ms: float
    camera_late_ms: float  # how far the camera process was behind its schedule at the most
    cores_hot: float  # processor time a second
    cores_side: float
    cores_recorder: float
    cores_camera: float
    held: bool
    why: str  # not; empty where it was held
    limited_by: str = "daemon"  # or "camera": the camera process could not send at that rate

    @property
    def is_close(self) -> bool:
        """Whether all was done soon after the end: another trial may well hold the rate."""
        return not self.held and self.drained_s is not None and self.drained_s < HELD_DRAIN_S and not self.dropped


class Outcome(NamedTuple):
    """A trial with all its delays."""

    trial: Trial
    delays: Delays
    dark: list[tuple[int, int]]  # (seq, sent_ns) of the black frames
    missed: int  # delays that were overwritten before they were read


class Account(NamedTuple):
    """What a trial added to the ledger."""

    announced: int
    judged: int
    unjudged: int
    dropped: int
    lost_upstream: int


def run_trial(daemon: Daemon, camera: Camera, rate_hz: float, seconds: float, dark_every: int = 0) -> Outcome:
    """Send at *rate_hz* for *seconds*, at least LEAST_FRAMES, and wait until all is settled."""
    frames = max(round(rate_hz * seconds), LEAST_FRAMES)
    watcher = Watcher(daemon.ring, lambda: daemon.ledger().in_flight)
    before, used, begun = daemon.ledger(), daemon.cpu_s(), time.monotonic()

    def look() -> None:
        daemon.look()
        watcher.look()

    sent = camera.send(Order(rate_hz, frames, dark_every), look)
    drained_s = daemon.wait_until(lambda: _settled(before, daemon.ledger(), sent.frames), DRAIN_S)
    watcher.look()
    elapsed_s, after = time.monotonic() - begun, daemon.cpu_s()
    cores = Use(*((now - then) / elapsed_s for now, then in zip(after, used, strict=True)))
    delays = watcher.take()
    trial = decide(rate_hz, sent, account(before, daemon.ledger()), drained_s, growth(delays), cores)
    return Outcome(trial, delays, sent.dark, watcher.missed)


def account(before: LedgerSnapshot, after: LedgerSnapshot) -> Account:
    """What came between two snapshots."""
    return Account(
        after.announced - before.announced,
        after.judged - before.judged,
        sum(after.unjudged.values()) - sum(before.unjudged.values()),
        sum(after.dropped.values()) - sum(before.dropped.values()),
        after.lost_upstream - before.lost_upstream,
    )


def decide(rate_hz: float, sent: Sent, found: Account, drained_s: float | None, grown: Growth, cores: Use) -> Trial:
    """Whether the rate was held: all that was sent is accounted for, nothing lost, and the queue did not grow."""
    reasons = _reasons(sent, found, drained_s, grown)
    sent_hz = sent.frames / sent.seconds if sent.seconds else rate_hz
    limited_by = "daemon"
    if sent_hz < PACE * rate_hz:
        reasons.insert(0, f"the camera process sent only {sent_hz:,.0f} frames/s")
        limited_by = CAMERA
    return Trial(
        rate_hz=rate_hz,
        sent_hz=sent_hz,
        frames=sent.frames,
        judged=found.judged,
        unjudged=found.unjudged,
        dropped=found.dropped,
        lost_upstream=found.lost_upstream,
        drained_s=drained_s,
        median_growth_ms=grown.median_s * 1e3,
        p90_growth_ms=grown.p90_s * 1e3,
        camera_late_ms=sent.late_s * 1e3,
        cores_hot=cores.hot,
        cores_side=cores.side,
        cores_recorder=cores.recorder,
        cores_camera=sent.cpu_s / sent.seconds if sent.seconds else 0.0,
        held=not reasons,
        why="; ".join(reasons),
        limited_by=limited_by,
    )


def _reasons(sent: Sent, found: Account, drained_s: float | None, grown: Growth) -> list[str]:
    reasons = []
    if found.dropped:
        reasons.append(f"{found.dropped} frames dropped")
    if found.lost_upstream:
        reasons.append(f"{found.lost_upstream} frames lost in the sockets")
    missing = sent.frames - found.judged - found.unjudged - found.dropped - found.lost_upstream
    if missing:
        reasons.append(f"{missing} frames not accounted for")
    if drained_s is None or drained_s > HELD_DRAIN_S:
        told = "over " + f"{DRAIN_S:g}" if drained_s is None else f"{drained_s:.1f}"
        reasons.append(f"{told} s of work left at the end")
    allowed_s = GROWTH_S + GROWTH_SHARE * grown.span_s
    if grown.median_s > allowed_s or grown.p90_s > P90_TIMES * allowed_s:
        reasons.append(f"the queue grew by {grown.median_s * 1e3:.0f} ms")
    return reasons


def _settled(before: LedgerSnapshot, now: LedgerSnapshot, frames: int) -> bool:
    return now.announced - before.announced >= frames and now.in_flight == 0
