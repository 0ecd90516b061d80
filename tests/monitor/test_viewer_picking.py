"""Which frame is shown: the worst since the last, whole, and whatever the writer does meanwhile."""

from typing import Any

import numpy as np
import pytest
from taxonomy_example import ring_of, show

from monitor.ring import Ring
from monitor.viewer import picking
from monitor.viewer.picking import Picked, Picker, find


@pytest.fixture
def ring() -> Ring:
    return ring_of(16)


def judged(ring: Ring, seq: int, *joint: float) -> None:
    """Frames from *seq* on come in, and have these joint scores."""
    first = show(ring, seq, len(joint))
    for index, score in enumerate(joint):
        judge(ring, first + index, score)


def judge(ring: Ring, position: int, score: float) -> None:
    frame = ring.view(position, position + 1)
    frame.judged_ns[:], frame.joint[:], frame.where[:] = 5, score, (1, 2)


def seq_of(picked: Picked | None) -> int:
    assert picked is not None
    assert np.all(picked.frame.pixels == int(picked.frame.seq[0])), "record and pixels are of one frame"
    return int(picked.frame.seq[0])


def test_it_is_the_worst_since_the_last_one(ring: Ring) -> None:
    picker = Picker(ring)
    judged(ring, 0, 0.5, 3.0, 0.7)
    assert seq_of(picker.pick()) == 1
    judged(ring, 3, 0.2, 0.4)
    assert seq_of(picker.pick()) == 4, "the worse one was shown"
    assert picker.pick() is None, "nothing was judged since"


def test_of_equally_bad_ones_it_is_the_newest(ring: Ring) -> None:
    judged(ring, 0, 2.0, 2.0, 1.0)
    assert seq_of(Picker(ring).pick()) == 1


def test_a_score_that_is_no_number_is_the_worst(ring: Ring) -> None:
    judged(ring, 0, 2.0, float("nan"), 1.0)
    assert seq_of(Picker(ring).pick()) == 1


def test_frames_that_are_not_judged_yet_come_in_their_turn(ring: Ring) -> None:
    picker = Picker(ring)
    judged(ring, 0, 0.5)
    position = show(ring, 1)
    show(ring, 2)
    assert seq_of(picker.pick()) == 0
    assert picker.pick() is None
    judge(ring, position, 0.1)
    assert seq_of(picker.pick()) == 1


def test_the_end_of_the_ring_is_no_end(ring: Ring) -> None:
    picker = Picker(ring)
    judged(ring, 0, *[0.1] * 12)
    assert seq_of(picker.pick()) == 11
    judged(ring, 12, 0.1, 0.9, 0.1, 0.1, 0.2, 0.1)
    assert seq_of(picker.pick()) == 13


def test_who_comes_anew_sees_the_latest_and_not_the_past(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picking, "LOOKED_BACK", 4)
    judged(ring, 0, 9.0, 0.1, 0.2, 0.3, 0.1)
    assert seq_of(Picker(ring).pick(anew=True)) == 3


class Hasty(Ring):
    """A ring whose writer comes with new frames whenever one is copied, as often as it is told."""

    def __init__(self, ring: Ring, times: int, count: int) -> None:
        self.__dict__.update(ring.__dict__)
        self.times, self.count = times, count

    def view(self, lo: int, hi: int) -> Any:
        found = super().view(lo, hi)
        if hi - lo == 1 and self.times:
            self.times -= 1
            show(self, 100, self.count)
        return found


def test_a_frame_that_is_overwritten_gives_way_to_the_worst_that_is_left(ring: Ring) -> None:
    judged(ring, 0, *[0.1] * 4, 9.0, 8.0, 7.0, *[0.1] * 7, 0.3, 0.2)
    hasty = Hasty(ring, times=1, count=6)  # positions up to 5 go
    assert seq_of(Picker(hasty).pick()) == 6


def test_where_all_are_overwritten_none_is_shown(ring: Ring) -> None:
    judged(ring, 0, *[1.0] * 16)
    assert Picker(Hasty(ring, times=1, count=16)).pick() is None


def test_a_frame_is_found_by_its_number_while_the_ring_holds_it(ring: Ring) -> None:
    show(ring, 0, 20)
    assert seq_of(find(ring, "s", 19)) == 19
    assert seq_of(find(ring, "s", 4)) == 4
    assert find(ring, "s", 3) is None, "overwritten"
    assert find(ring, "another", 19) is None
    assert find(Hasty(ring, times=1, count=16), "s", 19) is None


def test_nothing_is_found_before_the_first_frame(ring: Ring) -> None:
    assert Picker(ring).pick(anew=True) is None
    assert find(ring, "s", 0) is None
