"""When anomalies begin and end in a simulated camera's frames, and the truth about them. Pure; seeded."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np

GAP_FRAMES: Final = 60
"""At least this many normal frames between two anomalies, so that each can be found or missed by itself."""

Durations = Mapping[str, tuple[int, int]]
"""Kind of anomaly -> its shortest and longest duration in frames."""


class Truth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One anomaly as it was simulated: frames *first_seq* to *last_seq*, both included."""

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
    strength: float
    seed: int
    place: Place = NOWHERE

    def draws(self) -> np.random.Generator:
        """The event's own random numbers: the same ones at every call."""
        return np.random.default_rng(self.seed)

    def until(self, last_seq: int) -> Self:
        """The same anomaly, ending at *last_seq* at the latest."""
        return replace(self, last_seq=min(self.last_seq, last_seq))

    def frames(self, first_seq: int, count: int) -> slice:
        """Which of the *count* frames from *first_seq* on the event holds: an empty slice, if none."""
        return slice(max(self.first_seq - first_seq, 0), max(min(self.last_seq + 1 - first_seq, count), 0))

    @property
    def truth(self) -> Truth:
        """What a camera tells of it."""
        return Truth(self.kind, self.first_seq, self.last_seq, self.strength, *self.place)


class Schedule:
    """Draws anomalies of *kinds*, each frame of normal operation with the chance *rate* to begin one.

    Raises ValueError for a rate that is no probability, for kinds that *durations* does not know, and for none at all.
    """

    def __init__(
        self, durations: Durations, rate: float, rng: np.random.Generator, kinds: tuple[str, ...] | None = None
    ) -> None:
        if not 0.0 <= rate <= 1.0:  # NaN too
            raise ValueError(f"an anomaly rate of {rate} a frame: 0 to 1 is possible")
        self._kinds = tuple(durations) if kinds is None else kinds
        if not self._kinds:
            raise ValueError(f"no kinds of anomaly: name some of {', '.join(durations)}")
        if unknown := set(self._kinds) - set(durations):
            raise ValueError(f"no such anomaly: {', '.join(sorted(unknown))}; there are {', '.join(durations)}")
        self._durations, self._rate, self._rng = durations, rate, rng
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
        last: bool = False,
    ) -> tuple[list[Event], list[Event]]:
        """The anomalies within the *count* frames from *first* on, and those that end there or have ended before them.

        Calls must follow each other without a gap. *place* says where the process is at each of these frames, counted
        from 0. Without *begin* none begins here (between two scan vectors); while *quiet* (the process is off) a
        running one ends, too; *last* ends it with these frames: no more will come.
        """
        stop = first + count
        held: list[Event] = []
        ended: list[Event] = []
        begin = begin and not quiet
        if self._event is None and begin:
            self._event = self._next(first, stop, place)
        while self._event is not None and self._event.first_seq < stop:
            event = self._event
            if quiet:
                event = event.until(first - 1)
            elif last:
                event = event.until(stop - 1)
            if event.last_seq >= first:
                held.append(event)
            if event.last_seq >= stop:
                break
            ended.append(event)
            self._free_from = event.last_seq + GAP_FRAMES
            self._event = self._next(first, stop, place) if begin else None
        return held, ended

    def begun(self, seq: int) -> Event | None:
        """The anomaly that was going on before frame *seq*, as long as it would have lasted."""
        return self._event if self._event is not None and self._event.first_seq < seq else None

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
        frames = math.exp(self._rng.uniform(math.log(shortest), math.log(longest + 1)))
        return Event(
            kind=kind,
            first_seq=first_seq,
            last_seq=first_seq + min(int(frames), longest) - 1,
            strength=round(float(self._rng.uniform(0.6, 1.4)), 3),
            seed=int(self._rng.integers(2**63)),
            place=place,
        )
