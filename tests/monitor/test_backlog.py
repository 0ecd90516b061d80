"""What waits between socket and engine: when a batch is due, who loses when the ring is full, and how it stops."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from backlog_example import BATCH, MAX_WAIT_NS, SLOTS, Bench

from monitor.backlog import Backlog, is_due, tally
from monitor.ring import Codes
from monitor.types import Dropped, Unjudged

PATIENCE_S = 20.0  # how long a thread may take that should return at once


def codes(*values: int) -> Codes:
    return np.array(values, np.uint8)


@pytest.mark.parametrize(
    ("pending", "oldest_ns", "now_ns", "due"),
    [
        (0, 0, 10**9, False),
        (1, 100, 1099, False),
        (1, 100, 1100, True),
        (2, 100, 100, False),
        (3, 100, 100, True),
        (9, 100, 100, True),
    ],
)
def test_a_batch_is_due_when_full_or_when_its_oldest_frame_has_waited(
    pending: int, oldest_ns: int, now_ns: int, due: bool
) -> None:
    assert is_due(pending, oldest_ns, now_ns, BATCH, MAX_WAIT_NS) == due


def test_a_tally_counts_frames_by_code() -> None:
    assert tally(2, 5) == {2: 5}
    assert tally(0, 0) == {}
    assert tally(codes(4), 1) == {4: 1}
    assert tally(codes(0, 3, 0, 6), 4) == {0: 2, 3: 1, 6: 1}


def test_frames_are_in_flight_until_they_are_settled() -> None:
    bench = Bench()
    bench.offer(3)
    assert (bench.read().received, bench.read().in_flight, bench.backlog.pending) == (3, 3, 3)
    assert bench.backlog.claim(0) == (0, 3)
    assert (bench.read().in_flight, bench.backlog.pending) == (3, 0)
    bench.backlog.settle(0, 3, 1, {Unjudged.NOT_FINITE: 1}, overrun=1)
    found = bench.read()
    assert (found.judged, found.unjudged[Unjudged.NOT_FINITE], found.dropped[Dropped.OVERRUN]) == (1, 1, 1)
    assert found.in_flight == 0


def test_a_part_of_a_batch_waits_for_its_deadline() -> None:
    bench = Bench()
    bench.offer(1, now_ns=100)
    bench.offer(1, now_ns=900)
    assert bench.backlog.claim(1099) is None
    assert bench.backlog.claim(1100) == (0, 2)
    assert bench.backlog.claim(9999) is None


def test_no_batch_is_larger_than_asked_for_nor_wraps_around() -> None:
    bench = Bench()
    claimed = []
    for count in (4, 4, 6):
        bench.offer(count)
        while (batch := bench.backlog.claim(0)) is not None:
            assert len(bench.ring.view(*batch).seq) <= BATCH
            claimed.append(batch)
            bench.backlog.settle(*batch, batch[1] - batch[0], {})
    assert claimed == [(0, 3), (3, 6), (6, 8), (8, 11), (11, 14)]


def test_frames_that_cannot_enter_the_ring_are_settled_at_once() -> None:
    bench = Bench()
    bench.offer(2, codes=Unjudged.UNCALIBRATED.value, enters=False)
    bench.offer(3, codes=codes(2, 1, 0), side=5)
    found = bench.read()
    assert (found.received, found.in_flight, bench.ring.written) == (5, 0, 0)
    assert found.unjudged[Unjudged.INACTIVE] == 1
    assert found.unjudged[Unjudged.UNCALIBRATED] == 4


def test_frames_out_of_order_are_settled_at_once_and_the_rest_enters() -> None:
    bench = Bench()
    bench.offer(3, seq=10)
    bench.offer(4, seq=11, codes=codes(1, 1, 3, 0))
    found = bench.read()
    assert (found.announced, found.received, found.unjudged[Unjudged.OUT_OF_ORDER]) == (5, 7, 2)
    assert (found.in_flight, bench.ring.written) == (5, 5)
    assert bench.ring.view(3, 5).seq.tolist() == [13, 14]
    assert bench.ring.codes(3, 5).tolist() == [3, 0]


def test_when_the_ring_is_full_the_oldest_frames_are_dropped_and_counted() -> None:
    bench = Bench()
    bench.offer(6)
    bench.offer(5)
    assert bench.read().dropped[Dropped.OVERRUN] == 3
    assert (bench.read().in_flight, bench.backlog.pending) == (8, 8)


def test_an_engine_that_was_overtaken_begins_anew_ahead_of_the_writer() -> None:
    bench = Bench()
    bench.offer(6)
    bench.offer(5, codes=codes(1, 0, 0, 0, 0))
    assert bench.backlog.claim(0) == (6, 8), "a batch ahead of slot 3, which is written next"
    found = bench.read()
    assert (found.dropped[Dropped.OVERRUN], found.unjudged[Unjudged.INACTIVE], found.in_flight) == (6, 0, 5)
    bench.offer(1)
    assert bench.backlog.claim(0) == (8, 11)
    assert bench.read().dropped[Dropped.OVERRUN] == 6


def test_the_headway_grows_while_the_engine_is_overtaken_again_and_again() -> None:
    bench = Bench(slots=256)

    def given_up() -> int:
        for count in (256, 1):
            bench.offer(count)
        before = bench.read().dropped[Dropped.OVERRUN]
        assert bench.backlog.claim(0) is not None
        return bench.read().dropped[Dropped.OVERRUN] - before

    assert [given_up() for _ in range(6)] == [8, 16, 32, 64, 128, 128]
    while bench.backlog.claim(0):
        pass
    assert given_up() == 8, "it has caught up meanwhile"


def test_a_full_ring_that_nobody_overwrote_is_judged_to_the_last_frame() -> None:
    bench = Bench()
    bench.offer(SLOTS)
    assert bench.backlog.claim(0) == (0, 3)
    assert bench.read().dropped[Dropped.OVERRUN] == 0


def test_frames_that_come_faster_than_they_are_judged_leave_some_that_are() -> None:
    """A batch takes as long as four frames to come: without headway each would be overtaken."""
    bench, judged = Bench(), 0
    bench.offer(SLOTS)
    for _ in range(50):
        claimed = bench.backlog.claim(0)
        assert claimed is not None
        bench.offer(4)
        lo, hi = claimed
        overrun = min(max(0, bench.ring.oldest_intact() - lo), hi - lo)
        bench.backlog.settle(lo, hi, hi - lo - overrun, {}, overrun)
        judged += hi - lo - overrun
    assert judged >= 50
    assert bench.read().judged == judged


def test_a_frame_that_was_not_to_be_judged_keeps_its_reason_when_it_is_overwritten() -> None:
    bench = Bench()
    bench.offer(3, codes=codes(1, 0, 3))
    bench.offer(SLOTS)
    found = bench.read()
    assert found.dropped[Dropped.OVERRUN] == 1
    assert found.unjudged[Unjudged.INACTIVE] == found.unjudged[Unjudged.CONTEXT_UNKNOWN] == 1


def test_of_a_message_larger_than_the_ring_the_newest_frames_wait() -> None:
    bench = Bench()
    bench.offer(2)
    bench.offer(SLOTS + 3, codes=codes(0, 1, 0, *[0] * SLOTS))
    found = bench.read()
    assert found.dropped[Dropped.OVERRUN] == 4
    assert found.unjudged[Unjudged.INACTIVE] == 1
    assert (found.in_flight, bench.backlog.pending) == (SLOTS, SLOTS)
    assert bench.ring.view(2, 3).seq[0] == 5


def test_a_claimed_batch_that_is_overwritten_stays_in_flight_until_the_engine_says_so() -> None:
    bench = Bench()
    bench.offer(3)
    assert bench.backlog.claim(0) == (0, 3)
    bench.offer(7)
    assert bench.ring.oldest_intact() == 2
    assert (bench.read().dropped[Dropped.OVERRUN], bench.read().in_flight) == (0, 10)
    bench.backlog.settle(0, 3, 1, {}, overrun=2)
    assert (bench.read().dropped[Dropped.OVERRUN], bench.read().in_flight) == (2, 7)


def test_two_batches_may_be_claimed_at_a_time() -> None:
    bench = Bench()
    bench.offer(6)
    assert [bench.backlog.claim(0), bench.backlog.claim(0)] == [(0, 3), (3, 6)]
    bench.backlog.settle(3, 6, 3, {})
    bench.backlog.settle(0, 3, 3, {})
    assert bench.read().judged == 6


@pytest.mark.parametrize(
    ("lo", "hi", "judged", "unjudged"),
    [(0, 2, 2, {}), (1, 3, 2, {}), (0, 3, 2, {}), (0, 3, 3, {Unjudged.NOT_FINITE: 1}), (3, 6, 3, {})],
)
def test_an_account_that_does_not_add_up_is_a_bug(lo: int, hi: int, judged: int, unjudged: dict[Unjudged, int]) -> None:
    bench = Bench()
    bench.offer(6)
    bench.backlog.claim(0)
    with pytest.raises(ValueError, match="are not"):
        bench.backlog.settle(lo, hi, judged, unjudged)
    assert bench.read().in_flight == 6


def test_a_batch_is_settled_once() -> None:
    bench = Bench()
    bench.offer(3)
    bench.backlog.claim(0)
    bench.backlog.settle(0, 3, 3, {})
    with pytest.raises(ValueError, match="not claimed"):
        bench.backlog.settle(0, 3, 3, {})


def test_a_batch_larger_than_the_ring_is_refused() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="does not fit"):
        Backlog(bench.ring, bench.backlog.ledger, SLOTS + 1, MAX_WAIT_NS)


# Stopping


def test_while_it_stops_what_is_here_is_due_and_what_comes_is_dropped() -> None:
    bench = Bench()
    bench.offer(1)
    bench.backlog.stop_accepting()
    bench.offer(3, codes=codes(0, 0, 1))
    assert bench.read().dropped[Dropped.STOPPING] == 2
    assert bench.read().unjudged[Unjudged.INACTIVE] == 1
    assert bench.backlog.claim(0) == (0, 1)
    assert bench.backlog.claim(0) is None


def test_what_is_abandoned_is_counted_claimed_or_not() -> None:
    bench = Bench()
    bench.offer(3)
    bench.offer(2, codes=codes(0, 1))
    bench.backlog.claim(0)
    bench.backlog.abandon()
    found = bench.read()
    assert (found.dropped[Dropped.STOPPING], found.unjudged[Unjudged.INACTIVE], found.in_flight) == (4, 1, 0)
    bench.backlog.settle(0, 3, 3, {})
    bench.offer(1)
    bench.backlog.abandon()
    found = bench.read()
    assert (found.judged, found.dropped[Dropped.STOPPING], found.in_flight) == (0, 5, 0)
    assert bench.backlog.claim(10**9) is None


def test_frames_that_are_being_copied_when_all_is_abandoned_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.offer(1)
    fill = bench.ring.fill

    def abandoned_meanwhile(*arguments: object) -> None:
        bench.backlog.abandon()
        fill(*arguments)

    monkeypatch.setattr(bench.ring, "fill", abandoned_meanwhile)
    bench.offer(2)
    assert (bench.read().dropped[Dropped.STOPPING], bench.read().in_flight, bench.backlog.pending) == (3, 0, 0)
    assert bench.backlog.claim(10**9) is None


def test_the_lock_is_free_while_pixels_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.offer(3)
    fill = bench.ring.fill

    def claimed_meanwhile(*arguments: object) -> None:
        assert bench.backlog.claim(0) == (0, 3)  # would never return if the lock were held
        assert bench.backlog.claim(10**9) is None, "frames wait that are not copied yet"
        fill(*arguments)

    monkeypatch.setattr(bench.ring, "fill", claimed_meanwhile)
    bench.offer(1)
    assert bench.backlog.pending == 1


# A process that takes over


def test_frames_that_waited_in_a_process_that_died_are_stale_and_judging_goes_on() -> None:
    first = Bench()
    first.offer(5)
    first.backlog.claim(0)
    second = Bench(first.memory)
    assert (second.read().dropped[Dropped.STALE], second.read().in_flight, second.backlog.pending) == (5, 0, 0)
    second.offer(3, seq=7)
    assert second.read().lost_upstream == 2
    assert second.backlog.claim(0) == (5, 8)


# Waiting


@pytest.mark.parametrize(
    "wakes",
    [
        lambda bench: bench.offer(1),
        lambda bench: bench.backlog.stop_accepting(),
        lambda bench: bench.backlog.abandon(),
    ],
)
def test_the_engine_wakes_when_something_may_be_due(wakes: Callable[[Bench], None]) -> None:
    bench = Bench()
    notified = count_notifications(bench)
    wakes(bench)
    assert notified == [1]


def test_the_engine_is_told_of_the_first_frame_and_of_the_full_batch_only() -> None:
    bench = Bench()
    notified = count_notifications(bench)
    told = []
    for _ in range(6):
        bench.offer(1)
        told.append(len(notified))
    assert told == [1, 1, 2, 2, 2, 2]
    while bench.backlog.claim(0):
        pass
    bench.offer(1)
    assert len(notified) == 3


def count_notifications(bench: Bench) -> list[int]:
    notified: list[int] = []
    condition = bench.backlog._condition
    condition.notify = lambda n=1: notified.append(n)
    return notified


def test_waiting_ends_with_the_first_frame() -> None:
    bench = Bench()
    assert bench.backlog.claim(0) is None
    thread = threading.Thread(target=bench.backlog.wait, args=(PATIENCE_S,))
    thread.start()
    bench.offer(BATCH)
    thread.join(PATIENCE_S / 2)
    assert not thread.is_alive()


def test_a_full_batch_is_not_waited_for() -> None:
    bench = Bench()
    bench.offer(BATCH)
    bench.backlog.wait(PATIENCE_S)
    assert bench.backlog.claim(0) == (0, 3)


def test_waiting_ends_when_the_oldest_frame_is_due() -> None:
    bench = Bench()
    asked: list[float | None] = []
    bench.backlog._condition.wait = lambda timeout=None: bool(asked.append(timeout))
    bench.offer(1, now_ns=100)
    assert bench.backlog.claim(400) is None
    bench.backlog.wait(PATIENCE_S)
    assert asked == [pytest.approx(700e-9)]
