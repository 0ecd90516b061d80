"""Delays of frames in a ring that is filled and judged by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.bench.delays import Delays, Watcher, growth, quantiles
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.wire.native import WireLimits, decode, encode

SLOTS = 8


class Hand:
    """Writes and judges frames one by one: frame *n* is sent at 1000 n, received 10 and judged 100 + n later."""

    def __init__(self) -> None:
        fields = Ring.fields(SLOTS, 2, 2, "uint8")
        (arrays,) = lay_out(bytearray(size_of(fields)), fields)
        self.ring = Ring(arrays)
        self.sent = self.settled = 0
        self.watcher = Watcher(self.ring, lambda: self.sent - self.settled)

    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            at_ns = 1000 * self.sent
            parts = encode("cam", "s", self.sent, at_ns, np.zeros((1, 2, 2), np.uint8))
            self.ring.write(decode(parts, WireLimits()), 0, 1, 0, at_ns + 10)

    def settle(self, count: int, *, judged: bool = True) -> None:
        for _ in range(count):
            batch = self.ring.view(self.settled, self.settled + 1)
            self.settled += 1
            if judged:
                batch.judged_ns[0] = 1000 * self.settled + 100 + self.settled


def test_every_judged_frame_is_told_once_with_its_own_times() -> None:
    hand = Hand()
    seen: list[int] = []
    for sent, settled in ((5, 2), (1, 4), (6, 0), (0, 6)):  # around the end of the ring
        hand.send(sent)
        hand.settle(settled)
        hand.watcher.look()
        delays = hand.watcher.take()
        seen += (delays.sent_ns // 1000).tolist()
        np.testing.assert_array_equal(delays.sent_to_judged, 100 + delays.sent_ns // 1000)
        np.testing.assert_array_equal(delays.received_to_judged, 90 + delays.sent_ns // 1000)
    assert seen == list(range(1, 13))
    assert hand.watcher.missed == 0


def test_frames_that_wait_are_told_later_and_those_never_judged_not_at_all() -> None:
    hand = Hand()
    hand.send(6)
    hand.settle(2, judged=False)
    hand.settle(1)
    hand.watcher.look()
    assert hand.watcher.take().sent_ns.tolist() == [3000]
    hand.settle(3)
    hand.watcher.look()
    assert hand.watcher.take().sent_ns.tolist() == [4000, 5000, 6000]


def test_what_was_overwritten_before_it_was_looked_at_is_counted() -> None:
    hand = Hand()
    for _ in range(SLOTS + 3):
        hand.send(1)
        hand.settle(1)
    hand.watcher.look()
    assert hand.watcher.take().sent_ns.tolist() == [1000 * one for one in range(4, SLOTS + 4)]
    assert hand.watcher.missed == 3


def test_a_watcher_begins_with_the_frames_to_come() -> None:
    hand = Hand()
    hand.send(3)
    hand.settle(3)
    later = Watcher(hand.ring, lambda: hand.sent - hand.settled)
    hand.send(1)
    hand.settle(1)
    later.look()
    assert later.take().sent_ns.tolist() == [4000]
    assert len(later.take().sent_ns) == 0


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_quantiles_are_delays_that_occurred_in_order(delays: list[int]) -> None:
    found = quantiles(np.array(delays))
    assert found is not None
    told = [found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms]
    assert told == sorted(told)
    assert {round(one * 1e6) for one in told} <= set(delays)
    assert (found.count, found.max_ms) == (len(delays), max(delays) / 1e6)


def test_of_no_frames_there_are_no_quantiles() -> None:
    assert quantiles(np.empty(0, np.int64)) is None


def test_a_queue_that_grows_shows_in_the_last_third() -> None:
    sent_ns = np.arange(300) * 10_000_000  # three seconds
    steady = Delays(sent_ns, sent_ns, sent_ns + 4_000_000)
    growing = Delays(sent_ns, sent_ns, sent_ns + 4_000_000 + sent_ns // 10)
    assert growth(steady) == (0.0, 0.0, 2.0)
    assert np.allclose(growth(growing), (0.2, 0.2, 2.0))
    assert growth(Delays(*(column[:5] for column in growing))) == (0.0, 0.0, 0.0)
