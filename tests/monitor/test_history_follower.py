"""Judged frames out of a real ring: every one of them, once, whatever happens around it."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_example import NS, Judged

from monitor.history import follower as module
from monitor.history.follower import Follower
from monitor.types import Unjudged

ALL = (0, 1000 * NS, 100)


def judged(follower: Follower) -> int:
    return int(follower.scores.span(*ALL).judged.sum())


def highest(follower: Follower) -> dict[str, float]:
    high = follower.scores.span(*ALL).high.max(axis=1).tolist()
    return dict(zip(follower.charts, high, strict=True))


def over(follower: Follower) -> dict[str, int]:
    count = follower.scores.span(*ALL).over.sum(axis=1).tolist()
    return dict(zip(follower.charts, count, strict=True))


def test_scores_of_each_chart_are_followed_with_their_limits() -> None:
    ring = Judged()
    ring.show(3, 5 * NS, t2=[10, 60, 10], s2=[1, 2, 1], joint=[0.5, 1.5, 0.5])
    follower = ring.follower()
    follower.step(6 * NS)
    assert follower.charts == ("t2", "s2", "joint")
    assert highest(follower) == {"t2": 60.0, "s2": 2.0, "joint": 1.5}
    assert over(follower) == {"t2": 1, "s2": 0, "joint": 1}
    found = follower.scores.span(5 * NS, 6 * NS, 10)
    assert found.judged.tolist() == [3, *[0] * 9]
    assert found.limit[:, 0].tolist() == [50.0, 3.0, 1.0]


def test_a_frame_that_is_just_over_its_limit_counts_on_the_joint_score_too() -> None:
    """In single precision the smallest joint score above its limit is the limit."""
    ring = Judged()
    ring.show(1, 5 * NS, t2=50.1, joint=np.nextafter(1.0, 2.0))
    follower = ring.follower()
    follower.step(6 * NS)
    assert over(follower) == {"t2": 1, "s2": 0, "joint": 1}


def test_frames_that_wait_are_taken_in_once_they_are_judged() -> None:
    ring = Judged()
    follower = ring.follower()
    lo, hi = ring.send(6)
    follower.step(NS)
    ring.judge(lo, lo + 2, NS)
    follower.step(2 * NS)
    assert judged(follower) == 2
    ring.judge(lo + 2, hi, 2 * NS, t2=77.0)
    follower.step(3 * NS)
    follower.step(4 * NS)
    assert (judged(follower), highest(follower)["t2"], follower.missed) == (6, 77.0, 0)


def test_a_frame_whose_scores_are_half_written_is_left_for_the_next_time() -> None:
    ring = Judged()
    follower = ring.follower()
    lo, hi = ring.send(2)
    batch = ring.ring.view(lo, hi)
    batch.t2[:], batch.judged_ns[:] = 20.0, NS  # s2 and the joint score are still to come
    follower.step(NS)
    assert judged(follower) == 0
    ring.judge(lo, hi, NS, t2=20.0)
    follower.step(2 * NS)
    assert (judged(follower), highest(follower)["s2"]) == (2, 1.0)


@pytest.mark.parametrize("code", [Unjudged.INACTIVE, Unjudged.CONTEXT_UNKNOWN])
def test_frames_that_are_never_judged_hold_nothing_up(code: Unjudged) -> None:
    ring = Judged()
    follower = ring.follower()
    ring.show(2, NS)
    ring.send(5, code=code)
    follower.step(2 * NS)
    assert follower._next == 7
    lo, hi = ring.send(3)
    ring.ring.view(lo, hi).fault[0] = 2  # the camera's, found by the judge
    ring.judge(lo + 2, hi, 2 * NS)  # and the second had a pixel that is no number
    follower.step(3 * NS)
    assert (judged(follower), follower._next, follower.missed) == (3, hi, 0)


def test_after_a_restart_of_the_judging_process_what_was_in_flight_is_passed_over() -> None:
    ring = Judged()
    follower = ring.follower()
    ring.show(2, NS)
    ring.send(30)  # stale: they were held by a process that died
    follower.step(2 * NS)
    ring.show(4, 3 * NS)
    follower.step(4 * NS)
    assert (judged(follower), follower._next, follower.missed) == (6, 36, 0)


def test_a_restart_of_the_following_process_begins_with_what_the_ring_still_holds() -> None:
    ring = Judged(slots=8)
    for second in range(5):
        ring.show(4, second * NS)
    follower = ring.follower()
    follower.step(5 * NS)
    assert (judged(follower), follower.missed) == (8, 0)


def test_judged_frames_that_were_overwritten_unread_are_counted() -> None:
    ring = Judged(slots=8)
    follower = ring.follower()
    ring.show(4, NS)
    follower.step(NS)
    for _ in range(5):
        ring.show(4, 2 * NS)
    follower.step(3 * NS)
    assert (judged(follower), follower.missed) == (12, 12)
    ring.show(4, 4 * NS)
    follower.step(5 * NS)
    assert (judged(follower), follower.missed) == (16, 12)


def test_frames_that_were_dropped_before_they_were_judged_are_not_missed() -> None:
    ring = Judged(slots=8)
    follower = ring.follower()
    ring.show(4, NS)
    follower.step(NS)
    for _ in range(4):
        ring.send(4)
    ring.show(2, 2 * NS)
    follower.step(3 * NS)
    assert (judged(follower), follower.missed) == (6, 0)


def test_scores_that_the_ledger_has_not_counted_yet_make_nothing_missed() -> None:
    ring = Judged(slots=8)
    lo, hi = ring.send(4)
    ring.write_scores(lo, hi, NS)  # a batch as it is being settled
    follower = ring.follower()
    follower.step(NS)
    ring.ledger.judged += 4
    ring.ledger.publish()
    follower.step(2 * NS)
    ring.show(6, 3 * NS)
    ring.show(6, 3 * NS)
    follower.step(4 * NS)
    assert (judged(follower), follower.missed) == (12, 4)


def test_each_context_has_its_own_limits() -> None:
    ring = Judged(own_limits={"hatch": {"t2": 5.0, "s2": 3.0}})
    follower = ring.follower()
    ring.show(2, NS, context="hatch")
    follower.step(NS)
    assert np.nanmax(follower.scores.span(*ALL).limit[0]) == 5.0
    for context in ("", "hatch", "skin"):
        ring.show(2, 200 * NS, context=context)
    follower.step(201 * NS)
    assert over(follower) == {"t2": 4, "s2": 0, "joint": 4}
    assert np.nanmax(follower.scores.span(*ALL).limit[0]) == 50.0


def test_a_frame_stands_as_high_as_its_own_limit_has_it_beside_one_of_another_context() -> None:
    ring = Judged(own_limits={"hatch": {"t2": 5.0, "s2": 3.0}})
    follower = ring.follower()
    ring.show(1, NS, t2=20.0, context="hatch")
    ring.show(1, NS + 1, t2=25.0)
    follower.step(2 * NS)
    found = follower.scores.span(NS, 2 * NS, 10)
    assert found.judged[0] == 2
    assert (found.high[0, 0], found.ratio[0, 0], found.limit[0, 0]) == (25.0, 4.0, 50.0)


def test_what_is_no_number_is_told_as_the_largest_one() -> None:
    ring = Judged()
    follower = ring.follower()
    ring.show(3, NS, t2=[10, np.nan, np.inf], joint=[0.5, np.inf, np.inf])
    follower.step(NS)
    assert highest(follower)["t2"] == pytest.approx(3.4028235e38)
    assert over(follower) == {"t2": 2, "s2": 0, "joint": 2}


def test_frames_lie_on_the_map_of_their_job_and_layer() -> None:
    ring = Judged()
    follower = ring.follower()
    ring.show(2, NS, joint=[0.25, 0.5], job="a", layer=1, xy=[(1, 1), (2, 1)])
    ring.show(2, NS, joint=0.75, job="a", layer=2, xy=[(1, 1), (2, 1)])
    ring.show(2, NS, joint=0.8, job="b", layer=2)
    ring.show(1, NS, joint=2.5, job="a", layer=1, xy=[(1, 1)])
    follower.step(NS)
    first, second, other = (follower.map.show(*which) for which in (("a", 1), ("a", 2), ("b", 2)))
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.jobs == ["a", "b"]  # of one look: jobs come as they were met first in it
    assert (first.layers, first.summary.judged, second.summary.judged, other.summary.judged) == ([1, 2], 3, 2, 2)
    assert first.cells is not None
    assert first.cells.ratio.max() == 2.5
    assert first.job_summary.judged == 5
    assert other.window is None


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.sampled_from("wjjjs")), min_size=1, max_size=40),
    st.integers(0, 99),
)
def test_every_judged_frame_is_seen_once_or_counted_as_missed(turns: list[tuple[int, int, str]], seed: int) -> None:
    """A camera writes, an engine judges in order and gives up what is overwritten, and somebody looks now and then."""
    ring, rng = Judged(slots=12), np.random.default_rng(seed)
    follower = ring.follower()
    follower.step(0)
    tail, scores, now = 0, list[float](), 0
    for count, more, what in turns:
        now += NS
        if what == "w":
            ring.send(count, code=int(rng.random() < 0.2), job="job")
        elif what == "j":
            tail = max(tail, ring.ring.oldest_intact())
            hi = min(tail + more, ring.ring.written)
            while tail < hi:
                if not ring.ring.codes(tail, tail + 1)[0]:
                    scores.append(float(np.float32(rng.random())))
                    ring.judge(tail, tail + 1, now, t2=scores[-1])
                tail += 1
        else:
            follower.step(now)
    follower.step(now)
    seen = follower.scores.span(*ALL)
    assert int(seen.judged.sum()) + follower.missed == len(scores)
    shown = follower.map.show()
    assert (0 if shown is None else shown.summary.judged) == int(seen.judged.sum())
    if scores and not follower.missed:
        assert float(seen.high[0].max()) == max(scores)
        assert float(seen.low[0].min()) == min(scores)


def test_a_writer_that_overtakes_it_while_it_reads_leaves_no_torn_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Judged(slots=8)
    follower = ring.follower()
    for _ in range(2):
        ring.show(4, NS, t2=1.0)
    copied = Follower._copy

    def overtaken(self: Follower, *found: object) -> object:
        monkeypatch.undo()
        ring.show(3, NS, t2=2.0)
        return copied(self, *found)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Follower, "_copy", overtaken)
    follower.step(2 * NS)
    assert judged(follower) == 5, "of the first eight, those that are whole"
    follower.step(3 * NS)
    assert (judged(follower), highest(follower)["t2"]) == (8, 2.0)


def test_it_follows_until_it_is_told_to_stop() -> None:
    ring, closed = Judged(), threading.Event()
    follower = ring.follower()
    ring.show(2, time.monotonic_ns())
    thread = threading.Thread(target=follower.run, args=(closed, time.monotonic_ns))
    thread.start()
    deadline = time.monotonic() + 10
    while not follower._seen and time.monotonic() < deadline:
        closed.wait(0.001)
    closed.set()
    thread.join(10)
    assert not thread.is_alive()
    assert follower._seen == 2
