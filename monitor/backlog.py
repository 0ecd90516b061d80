"""What waits to be judged, between the ingest thread and the engine thread, with the ledger under the same lock.

Positions of the ring: the engine has settled or claimed everything below *tail*, frames from *tail* to *ready* wait.
No pixel is copied while the lock is held.
"""

import threading
from collections.abc import Mapping

import numpy as np

from monitor.ledger import Ledger
from monitor.ring import Codes, Ring
from monitor.sequence import SequenceState, Verdict
from monitor.types import Dropped, Message, Unjudged

HEADWAY = 32
"""The part of the ring by which the next batch lies ahead of the writer, once that has overtaken the engine."""


def is_due(pending: int, oldest_received_ns: int, now_ns: int, batch: int, max_wait_ns: int) -> bool:
    """Whether a batch is to be taken: it is full, or its oldest frame has waited long enough."""
    return pending >= batch or (pending > 0 and now_ns - oldest_received_ns >= max_wait_ns)


def tally(codes: Codes, count: int) -> dict[int, int]:
    """How many of *count* frames have each code that occurs."""
    if isinstance(codes, int):
        return {codes: count} if count else {}
    if count == 1:
        return {int(codes[0]): 1}
    found = np.bincount(codes, minlength=len(Unjudged) + 1).tolist()
    return {code: n for code, n in enumerate(found) if n}


class Backlog:
    """Frames on their way from the socket to the engine: one thread offers, one claims and settles."""

    def __init__(self, ring: Ring, ledger: Ledger, batch: int, max_wait_ns: int) -> None:
        if not 1 <= batch <= ring.slots:
            raise ValueError(f"a batch of {batch} frames does not fit a ring of {ring.slots} slots")
        self.ring = ring
        self.ledger = ledger
        self._batch = batch
        self._max_wait_ns = max_wait_ns
        self._lock = threading.Lock()  # entered by itself: cheaper than through the condition
        self._condition = threading.Condition(self._lock)
        self._tail = self._ready = ring.written
        self._claims: dict[int, int] = {}  # lo -> hi
        self._until_due_ns = max_wait_ns  # as of the last claim that came too early
        self._least_headway = min(max(ring.slots // HEADWAY, batch), ring.slots // 2)
        self._headway = self._least_headway
        self._overtaken = False  # since the last claim
        self._accepting = True
        self._abandoned = False

    @property
    def pending(self) -> int:
        """Frames that wait and that nobody has claimed."""
        with self._lock:
            return self._ready - self._tail

    # The ingest thread's side

    def offer(
        self,
        message: Message,
        verdict: Verdict,
        sequence: SequenceState,
        codes: Codes,
        received_ns: int,
        *,
        enters: bool = True,
    ) -> None:
        """Account for an accepted message and let its new frames into the ring, or settle them here and now.

        *codes* says why frames are not to be judged (see `Codes`); where the frames do not enter (*enters* is
        false, or they have another size than the ring's), a frame without a code counts as uncalibrated.
        """
        first, new = verdict.out_of_order, verdict.new
        with self._lock:
            self.ledger.receive(verdict, sequence)
            enters = new > 0 and enters and self._accepting and self.ring.fits(message.header)
            if enters:
                first, new = self._leave_out(codes, first, new)
                lo, hi = self._make_room(new)
            else:
                otherwise = Unjudged.UNCALIBRATED if self._accepting else Dropped.STOPPING
                self._account(_part(codes, first, new), new, otherwise)
            self.ledger.publish()
        if enters:
            self.ring.fill(lo, message, first, new, codes, received_ns)
            self._make_ready(hi)

    def reject(self, reason: str) -> None:
        """Count one message that broke the protocol or came from the wrong peer."""
        with self._lock:
            self.ledger.rejected[reason] += 1
            self.ledger.publish()

    def _leave_out(self, codes: Codes, first: int, new: int) -> tuple[int, int]:
        """Of a message larger than the ring, only the newest frames enter; returns which."""
        surplus = max(0, new - self.ring.slots)
        if surplus:
            self._account(_part(codes, first, surplus), surplus, Dropped.OVERRUN)
        return first + surplus, new - surplus

    def _make_room(self, new: int) -> tuple[int, int]:
        """Reserve slots; frames that wait in them are given up before their pixels vanish."""
        lo, hi = self.ring.reserve(new)
        end = min(hi - self.ring.slots, self._ready)
        if end > self._tail:
            self._overtaken = True
            self._give_up(end, Dropped.OVERRUN)
        return lo, hi

    def _make_ready(self, hi: int) -> None:
        with self._lock:
            self.ring.commit(hi)
            before, self._ready = self._ready - self._tail, hi
            if self._abandoned:
                self._tail = hi  # it was being copied while the rest was given up, and counted with it
            # Once the engine knows of the first frame it wakes by its own deadline: no need to tell it of each.
            elif before == 0 or before < self._batch <= hi - self._tail:
                self._condition.notify()

    # The engine thread's side

    def claim(self, now_ns: int) -> tuple[int, int] | None:
        """The next batch, if one is due: positions that lie in one piece, at most the batch size.

        While the backlog stops, whatever is left is due at once.
        """
        with self._lock:
            self._shed()
            lo, pending = self._tail, self._ready - self._tail
            if pending == 0:
                self._until_due_ns = self._max_wait_ns
                return None
            oldest_ns = self.ring.received_ns(lo)
            if self._accepting and not is_due(pending, oldest_ns, now_ns, self._batch, self._max_wait_ns):
                self._until_due_ns = oldest_ns + self._max_wait_ns - now_ns
                return None
            hi = self.ring.until_wrap(lo, lo + min(pending, self._batch))
            self._tail = self._claims[lo] = hi
            return lo, hi

    def _shed(self) -> None:
        """Where the writer has caught up, give up so many more frames that the next batches are not overtaken.

        Taken at its heels, each would be overwritten while it is judged: an overloaded monitor would judge nothing.
        After a stall they are few, and twice as many each time that it happens again before the backlog is worked off.
        """
        if not self._overtaken:
            if self._ready - self._tail < self.ring.slots // 4:
                self._headway = self._least_headway
            return
        self._overtaken = False
        self._give_up(min(self.ring.oldest_intact() + self._headway, self._ready), Dropped.OVERRUN)
        self._headway = min(2 * self._headway, self.ring.slots // 2)
        self.ledger.publish()

    def wait(self, timeout_s: float) -> None:
        """Block until a batch may be due, at most *timeout_s*. To be called when `claim` returned None."""
        with self._lock:
            pending = self._ready - self._tail
            if pending >= self._batch or not self._accepting:
                return
            if pending:
                timeout_s = min(timeout_s, self._until_due_ns / 1e9)
            self._condition.wait(timeout_s)

    def settle(self, lo: int, hi: int, judged: int, unjudged: Mapping[Unjudged, int], overrun: int = 0) -> None:
        """Close the account of a claimed batch; *overrun* were overwritten before the engine had copied them.

        Raises ValueError where the batch is not claimed or the numbers do not add up to it: a bug.
        """
        with self._lock:
            if self._abandoned:
                return  # counted as dropped already, while the engine was at it
            if self._claims.get(lo) != hi:
                raise ValueError(f"positions {lo} to {hi} are not claimed")
            if judged + sum(unjudged.values()) + overrun != hi - lo:
                raise ValueError(f"{judged} judged, {unjudged} not and {overrun} overrun are not {hi - lo} frames")
            del self._claims[lo]
            self.ledger.judged += judged
            for reason, count in unjudged.items():
                self.ledger.unjudged[reason] += count
            if overrun:
                self.ledger.dropped[Dropped.OVERRUN] += overrun
                self._overtaken = True
            self.ledger.publish()

    # Stopping

    def stop_accepting(self) -> None:
        """From now on new frames are counted as dropped; the engine may finish what is here."""
        with self._lock:
            self._accepting = False
            self._condition.notify()

    def abandon(self) -> None:
        """Give up all that is left, claimed or not: nothing is in flight afterwards."""
        with self._lock:
            self._accepting = False
            self._abandoned = True
            self._give_up(self._ready, Dropped.STOPPING)
            # Claimed batches, and frames that the ingest thread is copying at this moment.
            self.ledger.dropped[Dropped.STOPPING] += self.ledger.in_flight
            self._claims.clear()
            self.ledger.publish()
            self._condition.notify()

    def _give_up(self, end: int, reason: Dropped) -> None:
        """Move the tail to *end*; frames that were not to be judged anyway keep their own reason."""
        while self._tail < end:
            hi = self.ring.until_wrap(self._tail, end)
            self._account(self.ring.codes(self._tail, hi), hi - self._tail, reason)
            self._tail = hi

    def _account(self, codes: Codes, count: int, otherwise: Unjudged | Dropped) -> None:
        """Settle frames by their codes, those with none as *otherwise*."""
        for code, n in tally(codes, count).items():
            reason = Unjudged(code) if code else otherwise
            if isinstance(reason, Unjudged):
                self.ledger.unjudged[reason] += n
            else:
                self.ledger.dropped[reason] += n


def _part(codes: Codes, first: int, count: int) -> Codes:
    return codes if isinstance(codes, int) else codes[first : first + count]
