"""Who may speak, and what was lost: scenarios, and an account that follows each position by itself."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from monitor.sequence import REMEMBERED_REFUSALS, SequenceState, Verdict, step
from monitor.types import Header

SILENCE_NS = 100


def header(stream: str, seq: int, count: int, end: bool = False) -> Header:
    return Header(
        camera="cam",
        stream=stream,
        seq=seq,
        count=count,
        height=4,
        width=4,
        dtype="uint8",
        t_ns=0,
        dt_ns=0,
        active=True,
        context="",
        settings="",
        job="",
        layer=None,
        xy=None,
        end=end,
    )


class Said(NamedTuple):
    now_ns: int
    stream: str
    seq: int
    count: int
    end: bool = False


def verdicts(*messages: Said) -> list[Verdict]:
    state, found = SequenceState(), []
    for now_ns, *what in messages:
        state, verdict = step(state, header(*what), now_ns, SILENCE_NS)
        found.append(verdict)
    return found


def test_joining_in_the_middle_starts_the_count() -> None:
    assert verdicts(Said(0, "a", 500, 3)) == [Verdict(True, new=3)]


def test_joining_by_a_keep_alive_starts_the_count() -> None:
    assert verdicts(Said(0, "a", 500, 0), Said(1, "a", 502, 1))[1] == Verdict(True, lost=2, new=1)


def test_a_missed_position_is_lost_upstream() -> None:
    assert verdicts(Said(0, "a", 0, 2), Said(1, "a", 5, 2))[1] == Verdict(True, lost=3, new=2)


def test_a_keep_alive_reveals_loss_at_the_tail() -> None:
    assert verdicts(Said(0, "a", 0, 2), Said(1, "a", 5, 0), Said(2, "a", 5, 1))[1:] == [
        Verdict(True, lost=3),
        Verdict(True, new=1),
    ]


def test_a_keep_alive_that_steps_back_says_nothing() -> None:
    assert verdicts(Said(0, "a", 5, 2), Said(1, "a", 3, 0), Said(2, "a", 7, 1))[1:] == [
        Verdict(True),
        Verdict(True, new=1),
    ]


def test_a_repeat_is_out_of_order() -> None:
    assert verdicts(Said(0, "a", 0, 4), Said(1, "a", 1, 2))[1] == Verdict(True, out_of_order=2)


def test_a_message_may_straddle_what_was_passed() -> None:
    assert verdicts(Said(0, "a", 0, 4), Said(1, "a", 2, 5))[1] == Verdict(True, out_of_order=2, new=3)


def test_a_frame_that_comes_late_stays_lost() -> None:
    late = verdicts(Said(0, "a", 0, 1), Said(1, "a", 2, 1), Said(2, "a", 1, 1), Said(3, "a", 3, 1))
    assert late[1:] == [Verdict(True, lost=1, new=1), Verdict(True, out_of_order=1), Verdict(True, new=1)]


def test_a_restarted_camera_is_not_a_gap() -> None:
    assert verdicts(Said(0, "a", 90, 5), Said(100, "b", 0, 2))[1] == Verdict(True, new=2, restarted=True)


def test_a_stream_that_said_end_makes_way_at_once() -> None:
    assert verdicts(Said(0, "a", 90, 5, True), Said(1, "b", 0, 2))[1] == Verdict(True, new=2, restarted=True)


def test_a_stream_that_goes_on_after_its_end_is_alive() -> None:
    found = verdicts(Said(0, "a", 0, 1, True), Said(1, "a", 1, 1), Said(2, "b", 0, 1))
    assert [verdict.accepted for verdict in found] == [True, True, False]


def test_a_second_stream_is_refused_while_the_first_is_alive() -> None:
    found = verdicts(Said(0, "a", 0, 1), Said(99, "b", 0, 1), Said(100, "a", 1, 1), Said(199, "b", 1, 1))
    assert found == [Verdict(True, new=1), Verdict(False), Verdict(True, new=1), Verdict(False)]


def test_what_a_refused_stream_sent_in_vain_is_lost_upstream() -> None:
    found = verdicts(Said(0, "a", 7, 1), Said(1, "b", 10, 5), Said(2, "b", 15, 5), Said(101, "b", 20, 5))
    assert found[3] == Verdict(True, lost=10, new=5, restarted=True)


def test_streams_that_were_refused_in_turn_each_keep_their_place() -> None:
    messages = [Said(0, "a", 0, 1), Said(1, "b", 10, 1), Said(2, "c", 20, 1), Said(3, "b", 11, 1), Said(4, "c", 21, 1)]
    assert verdicts(*messages, Said(200, "b", 12, 1))[-1].lost == 2
    assert verdicts(*messages, Said(200, "c", 22, 1))[-1].lost == 2


def test_a_flood_of_names_does_not_grow_the_state() -> None:
    state, _ = step(SequenceState(), header("a", 0, 1), 0, SILENCE_NS)
    for n in range(1000):
        state, verdict = step(state, header(f"s{n}", n, 1), 1, SILENCE_NS)
        assert not verdict.accepted
    assert len(state.refused) == REMEMBERED_REFUSALS
    assert state.refused[-1] == ("s999", 999)


def test_being_refused_does_not_keep_anyone_alive() -> None:
    assert verdicts(Said(0, "a", 0, 1), Said(99, "b", 0, 1), Said(100, "b", 1, 1))[2].accepted


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), min_size=1, max_size=30))
def test_every_position_is_announced_once_when_it_is_first_passed(messages: list[tuple[int, int]]) -> None:
    state, passed, arrived = SequenceState(), set[int](), set[int]()
    frontier = messages[0][0]
    lost = out_of_order = received = 0
    for seq, count in messages:
        state, verdict = step(state, header("a", seq, count), 0, SILENCE_NS)
        lost, received = lost + verdict.lost, received + count
        out_of_order += verdict.out_of_order
        arrived |= set(range(max(seq, frontier), seq + count))
        passed |= set(range(frontier, seq + count))
        frontier = max(frontier, seq + count)
        assert verdict.new + verdict.out_of_order == count
        assert lost == len(passed - arrived)
        assert len(passed) == lost + received - out_of_order
