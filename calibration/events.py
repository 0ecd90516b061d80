"""The event rule: which exceedances make an event, where it begins and where it ends.

A frame is *over* when the k-th largest joint score of the last n judged frames, itself included, exceeds the rule's
limit l, 1 unless it is another. An event begins at the first over frame, and ends when `clear_frames` judged frames
have followed the last over one: the dead time, within which all is one event. With a *deadband* d frames are over from
l (1 - d) on while an event is open, so that scores that hover about the limit make one event. Its members are the
exceeding rows (joint above l, or l (1 - d)) in the window of any of its over frames, so an event may begin with frames
from before it was recognised. A row is a member of one event at most.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]
"""(m,) judged frames in order: a structured array with at least `seq` and `joint`; other fields are carried along."""

Row = Any
"""One element of Rows, copied out of it."""


class EventRule(NamedTuple):
    """*k* exceedances in *n* frames raise an event; *clear_frames* without an over frame end it."""

    k: int
    n: int
    clear_frames: int
    deadband: float = 0.0  # share of the limit, of which scores must fall below it before an event can end
    limit: float = 1.0  # joint scores above it are exceedances

    @property
    def stays(self) -> float:
        """Joint scores above it are exceedances while an event is open."""
        return self.limit * (1 - self.deadband)


class Event(NamedTuple):
    """An event so far: its earliest, latest and most extreme member, and how many members it has."""

    number: int
    first: Row
    last: Row
    peak: Row
    frames_over: int


class Change(NamedTuple):
    phase: Literal["began", "grew", "ended"]
    event: Event


class Exceedance(NamedTuple):
    position: int  # of the frame among those judged
    row: Row
    taken: bool  # already a member of an event


class EventState(NamedTuple):
    """What the rule remembers between batches; O(k) of it. `start(rule)` makes the first."""

    judged: int = 0
    recent: tuple[Exceedance, ...] = ()  # the latest k
    event: Event | None = None
    over_until: int = -1  # position of the event's last over frame, were nothing more to exceed
    next_number: int = 0


def start(rule: EventRule) -> EventState:
    """The state before the first frame. Raises ValueError where the rule can never fire or never end."""
    if not (1 <= rule.k <= rule.n and rule.clear_frames >= 1 and 0 <= rule.deadband < 1):
        raise ValueError(f"an event rule needs 1 <= k <= n, clear_frames >= 1 and 0 <= deadband < 1, not {rule}")
    return EventState()


def step(rule: EventRule, state: EventState, rows: Rows) -> tuple[EventState, list[Change]]:
    """Judges the next *rows* of a stream: (state, changes in order), however the stream is cut into batches.

    An event that begins, or grows, is told once a call, with all its members up to the call's end.
    """
    joint = rows["joint"]
    exceeding = (joint > (rule.limit if state.event is None else rule.stays)).nonzero()[0]
    if state.event is None and len(exceeding) == 0:  # nearly always
        return state._replace(judged=state.judged + len(rows)), []
    if state.event is None and rule.deadband > 0:  # one begins
        exceeding = (joint > rule.stays).nonzero()[0]
    changes: list[Change] = []
    told = state.event  # as the caller knows it
    for index in exceeding.tolist():
        position = state.judged + index
        lasts = state.event is not None and position <= state.over_until + rule.clear_frames
        if not (lasts or joint[index] > rule.limit):
            continue  # within the deadband, and nothing to go on with
        before = state.recent if lasts else tuple(one for one in state.recent if one.row["joint"] > rule.limit)
        recent = (*before, Exceedance(position, rows[index].copy(), taken=False))[-rule.k :]
        state = state._replace(recent=recent)
        if len(recent) < rule.k or recent[0].position <= position - rule.n:
            continue  # an exceedance, but its frame is not over
        if state.event is not None and position > state.over_until + rule.clear_frames:
            changes += _news(told, state.event)
            changes.append(Change("ended", state.event))
            state, told = state._replace(event=None), None
        state = _with_members(rule, state)
    state = state._replace(judged=state.judged + len(rows))
    if state.event is not None:
        changes += _news(told, state.event)
        if state.judged > state.over_until + rule.clear_frames:
            changes.append(Change("ended", state.event))
            state = state._replace(event=None)
    return state, changes


def reset(rule: EventRule, state: EventState) -> tuple[EventState, list[Change]]:
    """Ends an open event and forgets the frames seen: what follows is another stream. Numbers go on counting."""
    changes = [] if state.event is None else [Change("ended", state.event)]
    return start(rule)._replace(next_number=state.next_number), changes


def _with_members(rule: EventRule, state: EventState) -> EventState:
    """*state* after an over frame: the exceedances in its window are members of the open event, or begin one.

    Those of the window that are not members yet are among the latest k: more would have been over before.
    """
    event = state.event
    for exceedance in state.recent:
        if not exceedance.taken:
            event = _joined(event, state.next_number, exceedance.row)
    return state._replace(
        recent=tuple(exceedance._replace(taken=True) for exceedance in state.recent),
        event=event,
        over_until=state.recent[0].position + rule.n - 1,
        next_number=state.next_number + (state.event is None),
    )


def _joined(event: Event | None, number: int, row: Row) -> Event:
    if event is None:
        return Event(number, row, row, row, 1)
    peak = row if row["joint"] > event.peak["joint"] else event.peak
    return event._replace(last=row, peak=peak, frames_over=event.frames_over + 1)


def _news(told: Event | None, event: Event) -> list[Change]:
    if told is None:
        return [Change("began", event)]
    return [Change("grew", event)] if event.frames_over > told.frames_over else []
