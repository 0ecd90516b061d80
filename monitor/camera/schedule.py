"""When anomalies begin and end in a simulated camera's frames, and the truth about them. Pure; seeded."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np

GAP_FRAMES: Final = 60
"""At least this many normal frames between two anomalies, so that each can be found or missed by itself."""

Durations = Mapping[str, tuple[int, int]]
"""Kind of anomaly -> its shortest and longest duration, in frames with the process on."""


class Truth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One anomaly as it was simulated: frames *first_seq* to *last_seq*, both included, and all between them."""

    kind: str
    first_seq: int
    last_seq: int
    strength: float  # about 1; 0.6 is slight, 1.4 is violent
    layer: int | None = None
    xy: tuple[float, float] | None = None  # where the process was when it began, as the frames say it
    context: str = ""
    first_t_ns: int | None = None  # exposure of its first frame by the sender's clock, once it was sent


class Place(NamedTuple):
    """Where the process was at a frame, as the frame says it."""

    layer: int | None = None
    xy: tuple[float, float] | None = None
    context: str = ""


NOWHERE: Final = Place()


@dataclass(frozen=True)
class Event:
    """One anomaly: what it is, when, and where the process was when it began.

    How exactly it looks follows from *seed*, the same in each of its frames.
    """

    kind: str
    first_seq: int
    last_seq: int
    settles_seq: int  # from here on it does nothing new to the process: what it did is still seen
    strength: float
    seed: int
    place: Place = NOWHERE

    def draws(self) -> np.random.Generator:
        """The event's own random numbers: the same ones at every call."""
        return np.random.default_rng(self.seed)

    def until(self, last_seq: int) -> Self:
        """The same anomaly, ending at *last_seq* at the latest."""
        return replace(self, last_seq=min(self.last_seq, last_seq))

    def prolonged(self, first_seq: int, count: int) -> Self:
        """The same anomaly, with *count* frames from *first_seq* on that do not count."""
        settles_seq = self.settles_seq + (count if self.settles_seq > first_seq else 0)
        return replace(self, last_seq=self.last_seq + count, settles_seq=settles_seq)

    def frames(self, first_seq: int, count: int) -> slice:
        """Which of the *count* frames from *first_seq* on the event holds: an empty slice, if none."""
        return slice(max(self.first_seq - first_seq, 0), max(min(self.last_seq + 1 - first_seq, count), 0))

    @property
    def truth(self) -> Truth:
        """What a camera tells of it."""
        return Truth(self.kind, self.first_seq, self.last_seq, self.strength, *self.place)


class Schedule:
    """Draws anomalies of *kinds*, each frame of normal operation with the chance *rate* to begin one.

    *settling* says of some kinds how many frames the process needs to forget them: in its last so many frames (but not
    in its first) such an anomaly does nothing new, so that all that is seen of it lies within its frames.

    Raises ValueError for a rate that is no probability, for kinds that *durations* does not know, and for none at all.
    """

    def __init__(
        self,
        durations: Durations,
        rate: float,
        rng: np.random.Generator,
        kinds: tuple[str, ...] | None = None,
        *,
        settling: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        if not 0.0 <= rate <= 1.0:  # NaN too
            raise ValueError(f"an anomaly rate of {rate} a frame: 0 to 1 is possible")
        self._kinds = tuple(durations) if kinds is None else kinds
        if not self._kinds:
            raise ValueError(f"no kinds of anomaly: name some of {', '.join(durations)}")
        if unknown := set(self._kinds) - set(durations):
            raise ValueError(f"no such anomaly: {', '.join(sorted(unknown))}; there are {', '.join(durations)}")
        self._durations, self._rate, self._rng, self._settling = durations, rate, rng, settling
        self._event: Event | None = None
        self._free_from = GAP_FRAMES

    def over(
        self,
        first: int,
        count: int,
        place: Callable[[int], Place] = lambda frame: NOWHERE,
        *,
        begin: bool = True,
        quiet: bool = False,
    ) -> tuple[list[Event], tuple[Truth, ...]]:
        """The anomalies within the *count* frames from *first* on, and the truth of those that are over by their end.

        Calls must follow each other without a gap. *place* says where the process is at each of these frames, counted
        from 0. Without *begin* the process is off for a moment (between two scan vectors): none begins here, and one
        that runs goes on behind them for as long as it still had, so that durations count frames with the process on.
        While *quiet* (the process is off for long) a running one has ended.
        """
        stop = first + count
        held: list[Event] = []
        told: list[Truth] = []
        begin = begin and not quiet
        if self._event is None:
            self._event = self._next(first, stop, place) if begin else None
        elif quiet:
            self._event = self._event.until(first - 1)
        elif not begin:
            self._event = self._event.prolonged(first, count)
        while (event := self._event) is not None:
            if event.last_seq >= first:
                held.append(event)
            if event.last_seq >= stop:
                break
            told.append(event.truth)
            self._free_from = event.last_seq + 1 + GAP_FRAMES
            self._event = self._next(first, stop, place) if begin else None
        return held, tuple(told)

    def begun(self, seq: int) -> Truth | None:
        """The anomaly that runs on behind all frames asked for, if it begins before frame *seq*: with all it had."""
        return self._event.truth if self._event is not None and self._event.first_seq < seq else None

    def _next(self, first: int, stop: int, place: Callable[[int], Place]) -> Event | None:
        """The anomaly that begins in frames *first* to *stop*, if any does."""
        free = max(first, self._free_from)
        if free >= stop or self._rate == 0.0:
            return None
        wait = int(self._rng.geometric(self._rate))  # one draw, however many frames are asked for at a time
        begins = free + wait - 1
        return self._draw(begins, place(begins - first)) if begins < stop else None

    def _draw(self, first_seq: int, place: Place) -> Event:
        kind = self._kinds[int(self._rng.integers(len(self._kinds)))]
        shortest, longest = self._durations[kind]
        frames = min(int(math.exp(self._rng.uniform(math.log(shortest), math.log(longest + 1)))), longest)
        return Event(
            kind=kind,
            first_seq=first_seq,
            last_seq=first_seq + frames - 1,
            settles_seq=first_seq + max(frames - self._settling.get(kind, 0), 1),
            strength=round(float(self._rng.uniform(0.6, 1.4)), 3),
            seed=int(self._rng.integers(2**63)),
            place=place,
        )
