"""When frames that nobody sent are scored: in pauses only, and never for much of a core."""

from itertools import pairwise

import numpy as np
import pytest

from monitor.warmth import EVERY, LONGEST_NS, PAUSE_NS, REST, Warmth, idle_frames, sizes

MS = 1_000_000


def test_while_frames_come_nothing_keeps_warm() -> None:
    warmth = Warmth(0)
    for now_ns in range(0, 10 * PAUSE_NS, PAUSE_NS // 2):
        assert not warmth.due(now_ns)
        warmth.worked(now_ns)


def test_in_a_pause_batches_follow_each_other_at_rest() -> None:
    warmth = Warmth(0)
    assert not warmth.due(PAUSE_NS - 1)
    assert warmth.due(PAUSE_NS)
    warmth.kept(PAUSE_NS, PAUSE_NS + MS)
    assert not warmth.due(2 * PAUSE_NS + MS - 1)
    assert warmth.due(2 * PAUSE_NS + MS)


@pytest.mark.parametrize("took_ns", [10_000, MS, 5 * MS, LONGEST_NS])
def test_it_takes_no_more_than_a_two_hundredth_of_a_core(took_ns: int) -> None:
    warmth, now_ns, spent_ns = Warmth(0), 0, 0
    while now_ns < 100_000 * MS:
        now_ns += MS
        if warmth.due(now_ns):
            warmth.kept(now_ns, now_ns + took_ns)
            now_ns, spent_ns = now_ns + took_ns, spent_ns + took_ns
    assert 0 < spent_ns <= now_ns / REST + took_ns


def test_a_batch_that_takes_long_is_not_run_again() -> None:
    warmth = Warmth(0)
    warmth.kept(0, LONGEST_NS + 1)
    assert not warmth.due(10**15)


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("most", [1, 2, 32, EVERY, EVERY + 1, 128, 1000, 4096])
def test_one_frame_most_frames_and_sizes_between_are_tried(most: int, every: bool) -> None:
    found = sizes(most, every=every)
    assert (found[0], found[-1]) == (1, most)
    assert list(found) == sorted(set(found))
    assert all(after <= 2 * before for before, after in pairwise(found))
    if every:
        assert set(range(1, min(most, EVERY) + 1)) <= set(found)
    else:
        assert len(found) <= most.bit_length() + 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_to_keep_warm_with_are_of_the_camera_s_kind(dtype: str) -> None:
    frames = idle_frames(3, 4, 5, dtype)  # type: ignore[arg-type]  # one of the three
    assert (frames.shape, frames.dtype.name) == ((3, 4, 5), dtype)
    assert len(np.unique(frames)) > 10
