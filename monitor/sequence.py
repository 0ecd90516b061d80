"""Who may speak for a camera, and which frames were lost on the way. Pure functions of a state and a header."""

from functools import lru_cache
from typing import NamedTuple

from monitor.types import Header

REMEMBERED_REFUSALS = 8  # a site has one sender and perhaps a forgotten one; a flood of names must not grow the state


class SequenceState(NamedTuple):
    """The stream that speaks now; *refused* holds (stream, first seq refused) of others, the latest last."""

    stream: str | None = None  # None until a first message was accepted
    next_seq: int = 0
    last_heard_ns: int = 0  # monotonic clock of the machine
    ended: bool = False  # the last message said `end`
    refused: tuple[tuple[str, int], ...] = ()


class Verdict(NamedTuple):
    """What one message means for the count: its first *out_of_order* frames were passed before, *new* follow.

    It announces `lost + new` positions of the sequence.
    """

    accepted: bool
    lost: int = 0
    out_of_order: int = 0
    new: int = 0
    restarted: bool = False


def step(state: SequenceState, header: Header, now_ns: int, silence_ns: int) -> tuple[SequenceState, Verdict]:
    """Account for one message at *now_ns*; a stream is silent once nothing was heard of it for *silence_ns*.

    A new stream takes over where the old one is silent or said `end`, else it is refused. If it was refused before,
    its count starts there: what it sent in vain is lost upstream.
    """
    seq, count = header.seq, header.count
    expected, refused, restarted = state.next_seq, state.refused, False
    if header.stream == state.stream and seq == expected:  # nearly always
        return SequenceState(state.stream, seq + count, now_ns, header.end, refused), _in_order(count)
    if header.stream != state.stream:
        if state.stream is not None and not state.ended and now_ns - state.last_heard_ns < silence_ns:
            return state._replace(refused=_remember(refused, header)), Verdict(accepted=False)
        expected = min(seq, dict(refused).get(header.stream, seq))
        refused = tuple(one for one in refused if one[0] != header.stream)
        restarted = state.stream is not None
    end = seq + count
    if seq >= expected:
        verdict = Verdict(True, seq - expected, 0, count, restarted)
    else:
        passed = min(count, expected - seq)
        verdict = Verdict(True, 0, passed, count - passed, restarted)
        end = max(end, expected)
    return SequenceState(header.stream, end, now_ns, header.end, refused), verdict


@lru_cache(maxsize=64)
def _in_order(count: int) -> Verdict:
    """Of *count* frames where they were awaited: senders use few sizes of messages."""
    return Verdict(accepted=True, new=count)


def _remember(refused: tuple[tuple[str, int], ...], header: Header) -> tuple[tuple[str, int], ...]:
    first = dict(refused).get(header.stream, header.seq)
    others = tuple(one for one in refused if one[0] != header.stream)
    return (*others, (header.stream, first))[-REMEMBERED_REFUSALS:]
