"""The account of every frame: resumed after a death, never seen half-written, and right whatever happens."""

import subprocess
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitor.backlog import Backlog
from monitor.ingest import Ingest
from monitor.ledger import COUNT_MAX, Ledger, LedgerSnapshot, read
from monitor.ring import Ring
from monitor.sequence import SequenceState, Verdict
from monitor.shared import Arrays, attach, create, lay_out, size_of
from monitor.types import TEXT_BYTES, Admission, Dropped, Unjudged
from monitor.wire.native import PLACE, REASONS, WireLimits, encode


def shared_arrays() -> Arrays:
    (arrays,) = lay_out(bytearray(size_of(Ledger.fields())), Ledger.fields())
    return arrays


def follow(ledger: Ledger, *, new: int, lost: int = 0, out_of_order: int = 0, stream: str = "s") -> None:
    next_seq = ledger.sequence.next_seq + lost + new
    ledger.receive(Verdict(True, lost, out_of_order, new), SequenceState(stream, next_seq, 5, False))
    ledger.publish()


def test_before_the_first_writer_everything_is_zero() -> None:
    found = read(shared_arrays())
    assert (found.announced, found.received, found.in_flight, found.sequence) == (0, 0, 0, SequenceState())
    assert found.closes
    assert set(found.unjudged) == set(Unjudged)
    assert set(found.dropped) == set(Dropped)
    assert set(found.rejected) == set(REASONS)


def test_a_reader_sees_what_was_published_and_nothing_else() -> None:
    arrays = shared_arrays()
    ledger = Ledger(arrays)
    follow(ledger, new=10, lost=3, out_of_order=2)
    ledger.judged += 4
    ledger.unjudged[Unjudged.NOT_FINITE] += 1
    ledger.rejected["seq"] += 7
    assert (read(arrays).judged, read(arrays).received) == (0, 12)
    ledger.publish()
    found = read(arrays)
    assert (found.announced, found.lost_upstream, found.received) == (13, 3, 12)
    assert (found.judged, found.in_flight, found.rejected["seq"]) == (4, 5, 7)
    assert found.unjudged[Unjudged.OUT_OF_ORDER] == 2
    assert found.closes


@pytest.mark.parametrize(
    "changes",
    [{"judged": 11}, {"announced": 12}, {"lost_upstream": 1}, {"received": 11}],
)
def test_an_account_that_does_not_close_says_so(changes: dict[str, int]) -> None:
    ledger = Ledger(arrays := shared_arrays())
    follow(ledger, new=10)
    assert read(arrays).closes
    assert not read(arrays)._replace(**changes).closes


def test_frames_in_flight_when_the_process_died_are_stale() -> None:
    arrays = shared_arrays()
    first = Ledger(arrays)
    follow(first, new=10)
    first.judged += 4
    first.publish()
    before = read(arrays)
    Ledger(arrays)
    after = read(arrays)
    assert (after.dropped[Dropped.STALE], after.in_flight) == (6, 0)
    assert after._replace(dropped=before.dropped) == before


@pytest.mark.parametrize(
    "sequence",
    [
        SequenceState(),
        SequenceState("", 0, 0, False),
        SequenceState("é" * (TEXT_BYTES // 2), 2**63 - 1, 2**62, True),
    ],
)
def test_a_restarted_process_knows_the_stream_and_where_it_was(sequence: SequenceState) -> None:
    arrays = shared_arrays()
    ledger = Ledger(arrays)
    ledger.receive(Verdict(True), sequence)
    ledger.publish()
    assert Ledger(arrays).sequence == sequence


def test_who_was_refused_is_not_shared() -> None:
    arrays = shared_arrays()
    ledger = Ledger(arrays)
    ledger.receive(Verdict(True), SequenceState("s", 1, 1, False, (("other", 3),)))
    ledger.publish()
    assert read(arrays).sequence == SequenceState("s", 1, 1, False)


@pytest.mark.parametrize("written_bytes", [0, 1, 8, 100, 10_000])
def test_a_writer_killed_half_way_leaves_the_last_row_whole(written_bytes: int) -> None:
    arrays = shared_arrays()
    follow(Ledger(arrays), new=10)
    before = read(arrays)
    next_row = arrays["rows"][(int(arrays["version"][0]) + 1) % 2]
    next_row[:written_bytes] = 0xAA
    assert read(arrays) == before
    resumed = Ledger(arrays)
    follow(resumed, new=1)
    assert read(arrays).received == 11


def test_memory_that_something_else_wrote_to_is_refused() -> None:
    arrays = shared_arrays()
    follow(Ledger(arrays), new=10)
    arrays["rows"][:, 16] ^= 1
    with pytest.raises(RuntimeError, match="no whole row"):
        read(arrays)


def test_a_peer_that_jumps_to_the_end_of_numbers_does_not_break_the_row() -> None:
    ledger = Ledger(arrays := shared_arrays())
    for _ in range(5):
        ledger.receive(Verdict(True, lost=2**63 - 2, new=1), SequenceState("s", 2**63 - 1, 0, False))
        ledger.publish()
    found = read(arrays)
    assert (found.lost_upstream, found.received) == (COUNT_MAX, 5)
    assert found.closes


WRITER = """
import sys
from monitor.ledger import Ledger
from monitor.sequence import SequenceState, Verdict
from monitor.shared import attach
from monitor.types import Dropped

fd, changes = int(sys.argv[1]), int(sys.argv[2])
(arrays,) = attach(fd, Ledger.fields())
ledger = Ledger(arrays)
for n in range(1, changes + 1):
    ledger.receive(Verdict(True, lost=1, new=3), SequenceState(f"s{n}", n, n, False))
    ledger.judged += 2
    ledger.dropped[Dropped.OVERRUN] += 1
    ledger.publish()
"""


def test_no_reader_in_another_process_ever_sees_half_a_change() -> None:
    """Each change moves many values together; a reader beside it must never find them apart."""
    changes = 20_000
    fd = create(size_of(Ledger.fields()))
    (arrays,) = attach(fd, Ledger.fields())
    seen: list[LedgerSnapshot] = []
    with subprocess.Popen([sys.executable, "-c", WRITER, str(fd), str(changes)], pass_fds=[fd]) as writer:
        while writer.poll() is None:
            found = read(arrays)
            if not seen or found != seen[-1]:
                seen.append(found)
    assert writer.returncode == 0
    assert read(arrays).received == 3 * changes
    assert all(found.closes and found.in_flight == 0 for found in seen)
    assert all(found.lost_upstream == found.sequence.next_seq for found in seen)
    assert all(found.sequence.stream in (None, f"s{found.sequence.next_seq}") for found in seen)
    assert bool(np.all(np.diff([found.received for found in seen]) > 0))


# Any sequence of messages, claims, deaths and stops, against a model that follows each frame by itself

SLOTS, BATCH, MAX_WAIT_NS, SILENCE_NS = 6, 3, 30, 100
ADMISSION = Admission(2, 2, "uint8", "e1", frozenset({"hatch"}))
KINDS: dict[str, dict[str, Any]] = {
    "judge": {},
    "context_unknown": {"context": "skin"},
    "uncalibrated": {"settings": "e2"},
    "other_size": {},
    "inactive": {"active": False},
}


@dataclass
class Sender:
    """Who speaks, worked out anew; *frontier* is the position that nobody has passed yet."""

    stream: str | None = None
    frontier: int = 0
    heard_ns: int = 0
    ended: bool = False
    refused: dict[str, int] = field(default_factory=dict)

    def is_alive(self, now_ns: int) -> bool:
        return self.stream is not None and not self.ended and now_ns < self.heard_ns + SILENCE_NS


@dataclass
class Frame:
    """One frame in the ring: where, since when, and what becomes of it ("judge": what the engine makes of it)."""

    position: int
    received_ns: int
    fate: str


class EveryFrame(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        layout = Ring.fields(SLOTS, 2, 2, "uint8"), Ledger.fields()
        self.memory = lay_out(bytearray(size_of(*layout)), *layout)
        self.now_ns, self.written = 0, 0
        self.sender = Sender()
        self.counts: Counter[str] = Counter()  # received, announced, lost, restarts, each fate and each rejection
        self.start()

    def start(self) -> None:
        self.backlog = Backlog(Ring(self.memory[0]), Ledger(self.memory[1]), BATCH, MAX_WAIT_NS)
        self.ingest = Ingest("cam", ADMISSION, WireLimits(), SILENCE_NS, self.backlog)
        self.waiting: deque[Frame] = deque()
        self.claims: dict[tuple[int, int], list[Frame]] = {}
        self.accepting, self.abandoned = True, False
        self.overtaken = False  # by the writer, once

    # What happens

    @rule(
        stream=st.sampled_from("aaaabc"),
        jump=st.sampled_from([0, 0, 0, 0, 1, 3, -1, -2, -9]),
        active=st.lists(st.sampled_from([True, True, True, False]), max_size=2 * SLOTS),
        kind=st.sampled_from(["judge", "judge", *KINDS]),
        end=st.sampled_from([False] * 7 + [True]),
    )
    def a_message_comes(self, stream: str, jump: int, active: list[bool], kind: str, end: bool) -> None:
        seq = max(0, (self.sender.frontier if stream == self.sender.stream else 100) + jump)
        side = 3 if kind == "other_size" else 2
        places = np.zeros(len(active), PLACE)
        places["active"] = active
        more = {"settings": "e1", "context": "hatch", "places": places, "end": end} | KINDS[kind]
        pixels = np.zeros((len(active), side, side), np.uint8)
        self.ingest.take(encode("cam", stream, seq, 0, pixels, **more), self.now_ns)
        if stream != self.sender.stream and self.sender.is_alive(self.now_ns):
            self.sender.refused.setdefault(stream, seq)
            self.counts["second_stream"] += 1
            return
        self.hear(stream, seq, end)
        in_order = [kind if on else "inactive" for n, on in enumerate(active) if self.is_first_pass(seq + n)]
        self.pass_by(seq + len(active))
        for left, fate in zip(range(len(in_order), 0, -1), in_order, strict=True):
            self.receive(fate, enters=side == 2, newer=left - 1)

    @rule(parts=st.sampled_from([[], [b"cam", b"{}", b""], [b"dog"] * 3]))
    def nonsense_comes(self, parts: list[bytes]) -> None:
        self.ingest.take(parts, self.now_ns)
        self.counts[{0: "parts"}.get(len(parts), "version" if parts and parts[0] == b"cam" else "header")] += 1

    @rule(passed_ns=st.sampled_from([1, 10, MAX_WAIT_NS, SILENCE_NS]))
    def time_passes(self, passed_ns: int) -> None:
        self.now_ns += passed_ns

    @rule()
    def the_engine_claims(self) -> None:
        claimed = self.backlog.claim(self.now_ns)
        self.shed(len(self.waiting) - self.backlog.pending - (claimed[1] - claimed[0] if claimed else 0))
        waited_ns = self.now_ns - self.waiting[0].received_ns if self.waiting else -1
        due = len(self.waiting) >= BATCH or waited_ns >= MAX_WAIT_NS or (self.waiting and not self.accepting)
        assert (claimed is not None) == bool(due)
        if claimed is None:
            return
        taken = [self.waiting.popleft()]
        while self.waiting and len(taken) < BATCH and self.waiting[0].position % SLOTS:
            taken.append(self.waiting.popleft())
        assert claimed == (taken[0].position, taken[-1].position + 1)
        self.claims[claimed] = taken

    def shed(self, count: int) -> None:
        """The engine gave up *count* frames before it claimed: the writer had overtaken it."""
        assert 0 <= count <= SLOTS // 2
        assert count == 0 or self.overtaken
        for _ in range(count):
            self.end(self.waiting.popleft().fate, "overrun")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def the_engine_settles(self, data: st.DataObject) -> None:
        claimed = data.draw(st.sampled_from(sorted(self.claims)))
        oldest = self.backlog.ring.oldest_intact()
        fates = Counter(
            "overrun" if frame.position < oldest else {"judge": "judged"}.get(frame.fate, frame.fate)
            for frame in self.claims.pop(claimed)
        )
        unjudged = {reason: fates[reason.label] for reason in Unjudged}
        self.backlog.settle(*claimed, fates["judged"], unjudged, fates["overrun"])
        self.overtaken |= fates["overrun"] > 0
        self.counts += fates

    @rule()
    def the_process_dies_and_another_takes_over(self) -> None:
        self.counts["stale"] += self.in_flight()
        self.sender.refused.clear()
        self.start()

    @precondition(lambda self: self.accepting)
    @rule()
    def no_more_is_accepted(self) -> None:
        self.backlog.stop_accepting()
        self.accepting = False

    @precondition(lambda self: not self.accepting)
    @rule()
    def what_is_left_is_abandoned(self) -> None:
        self.backlog.abandon()
        for frame in self.waiting:
            self.end(frame.fate, "stopping")
        self.counts["stopping"] += sum(map(len, self.claims.values()))
        self.waiting.clear()
        self.claims.clear()

    # What becomes of each frame

    def hear(self, stream: str, seq: int, end: bool) -> None:
        if stream != self.sender.stream:
            self.counts["restarts"] += self.sender.stream is not None
            self.sender.stream = stream
            self.sender.frontier = min(seq, self.sender.refused.pop(stream, seq))
        self.sender.heard_ns, self.sender.ended = self.now_ns, end

    def is_first_pass(self, seq: int) -> bool:
        """Count a frame's arrival; false where its position was passed before."""
        self.counts["received"] += 1
        if seq < self.sender.frontier:
            self.counts["out_of_order"] += 1
            return False
        self.pass_by(seq)
        self.sender.frontier += 1
        self.counts["announced"] += 1
        return True

    def receive(self, kind: str, *, enters: bool, newer: int) -> None:
        fate = "uncalibrated" if kind == "other_size" else kind
        if not self.accepting:
            self.end(fate, "stopping")
        elif not enters:
            self.counts[fate] += 1
        elif newer >= SLOTS:
            self.end(fate, "overrun")  # its own message overruns it: it never gets a slot
        else:
            self.waiting.append(Frame(self.written, self.now_ns, fate))
            self.written += 1
            while self.waiting[0].position < self.written - SLOTS:
                self.overtaken = True
                self.end(self.waiting.popleft().fate, "overrun")

    def end(self, fate: str, if_to_be_judged: str) -> None:
        self.counts[if_to_be_judged if fate == "judge" else fate] += 1

    def pass_by(self, seq: int) -> None:
        while self.sender.frontier < seq:
            self.sender.frontier += 1
            self.counts["announced"] += 1
            self.counts["lost"] += 1

    def in_flight(self) -> int:
        return len(self.waiting) + sum(map(len, self.claims.values()))

    @invariant()
    def the_ledger_says_the_same(self) -> None:
        found, counts = read(self.memory[1]), self.counts
        assert found.closes
        assert (found.received, found.announced, found.lost_upstream, found.restarts, found.judged) == (
            counts["received"],
            counts["announced"],
            counts["lost"],
            counts["restarts"],
            counts["judged"],
        )
        assert found.unjudged == {reason: counts[reason.label] for reason in Unjudged}
        assert found.dropped == {reason: counts[reason.value] for reason in Dropped}
        assert found.rejected == {reason: counts[reason] for reason in REASONS}
        assert found.in_flight == self.in_flight()
        assert self.backlog.pending == len(self.waiting)


EveryFrame.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestEveryFrame = EveryFrame.TestCase
