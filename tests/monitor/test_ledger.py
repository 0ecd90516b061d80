"""The account of every frame: resumed after a death, and never seen half-written."""

import threading

import numpy as np
import pytest

from monitor.ledger import COUNT_MAX, Ledger, LedgerSnapshot, read
from monitor.sequence import SequenceState, Verdict
from monitor.shared import Arrays, lay_out, size_of
from monitor.types import TEXT_BYTES, Dropped, Unjudged
from monitor.wire.native import REASONS


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


def test_no_reader_ever_sees_half_a_change() -> None:
    """Each change moves four counters together; a reader beside it must never find them apart."""
    arrays = shared_arrays()
    ledger, changes = Ledger(arrays), 3000
    seen: list[LedgerSnapshot] = []

    def write() -> None:
        for n in range(1, changes + 1):
            ledger.receive(Verdict(True, lost=1, new=3), SequenceState(f"s{n}", n, n, False))
            ledger.judged += 2
            ledger.dropped[Dropped.OVERRUN] += 1
            ledger.publish()

    writer = threading.Thread(target=write)
    writer.start()
    while not seen or seen[-1].received < 3 * changes:
        seen.append(read(arrays))
    writer.join()
    assert all(found.closes and found.in_flight == 0 for found in seen)
    assert all(found.lost_upstream == found.sequence.next_seq for found in seen)
    assert all(found.sequence.stream in (None, f"s{found.sequence.next_seq}") for found in seen)
    assert bool(np.all(np.diff([found.received for found in seen]) >= 0))
