"""What a disk has refused, until it takes it: bounded, however long that lasts.

Beyond a soft bound what an alarm went through goes: of each its first and last revision stay, and what people said of
it. Beyond a hard bound that goes too, and then whole alarms that are cleared. What is active always stays.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from monitor.alarms.life import UNTOLD, What
from monitor.journal.store import Change

HARD: Final = 5
"""The hard bound, in soft ones."""

GROWN_BY: Final = 2
"""It is shortened again once it has grown by the soft bound over this, and is that much longer at most: all of it is
looked at each time, which takes some tenths of a second at the hard bound of 50,000."""

PIECE: Final = 1000
"""Most that is written in one transaction, if what came with one reading of the event log allows it."""

_SAID: Final[frozenset[What]] = frozenset({"acknowledged", "judged", "commented"})
"""Revisions that say who and why: no later one says it again."""


class Waiting(NamedTuple):
    """A change that waits for the disk, and up to where the event log was read with it."""

    change: Change
    position: int


class Piece(NamedTuple):
    """What is written in one transaction: with it, all that the event log said up to *position* is."""

    changes: list[Change]
    position: int


class Backlog:
    """Changes in their order, oldest first. *lost*: alarms given up since the disk took all of it."""

    def __init__(self, most: int) -> None:
        """*most*: the soft bound."""
        self._most = most
        self._held: list[Waiting] = []
        self._shorten_at = most  # longer than this, it is shortened
        self.lost = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Change]:
        return (one.change for one in self._held)

    def __reversed__(self) -> Iterator[Change]:
        return (one.change for one in reversed(self._held))

    def add(self, changes: Sequence[Change], position: int) -> None:
        """Wait with *changes*, which come of the event log up to *position*."""
        self._held += [Waiting(change, position) for change in changes]

    def written(self, count: int) -> None:
        """The disk has taken the oldest so many."""
        del self._held[:count]
        if not self._held:
            self._shorten_at, self.lost = self._most, 0

    def shorten(self) -> int:
        """Keep to the bounds. Returns how many alarms were given up for that."""
        if len(self._held) <= self._shorten_at:
            return 0
        self._held, lost = shortened(self._held, self._most)
        self._shorten_at = max(self._most, len(self._held) + self._most // GROWN_BY)
        self.lost += lost
        return lost

    def pieces(self, position: int) -> Iterator[Piece]:
        """All of it, oldest first; the last piece, which may be empty, is of *position*.

        Cut only where the position changes: after a crash between two of them, events are neither lost nor applied
        again to alarms that show them already.
        """
        begin, held = 0, self._held
        ends = [i for i, (one, other) in enumerate(pairwise(held), 1) if one.position != other.position]
        for end, following in pairwise([*ends, len(held)]):
            if following - begin > PIECE:
                yield Piece([one.change for one in held[begin:end]], held[end - 1].position)
                begin = end
        yield Piece([one.change for one in held[begin:]], position)


class _About(NamedTuple):
    """One alarm in a backlog, by the places of its changes."""

    places: list[int]
    told: list[int]
    over: bool  # and the disk does not hold it as active
    acked: bool


def shortened(held: Sequence[Waiting], most: int) -> tuple[list[Waiting], int]:
    """No more than *most* of those *held* where that can be, and how many alarms were given up whole.

    What goes first: what a later change says as well; what cleared alarms went through, acknowledged ones before
    others; what active ones went through. Then, beyond the hard bound, what was said of them, in the same order; and
    cleared alarms of which the disk knows nothing. The oldest first of each.
    """
    whats = [one.change.revision.what for one in held]
    alarms = _alarms(held, whats)
    gone = {i for about in alarms for i in about.places[:-1] if whats[i] in UNTOLD}
    between = [(about, i) for about in alarms for i in about.told[1:-1]]
    said = [(about, i) for about, i in between if whats[i] in _SAID]
    passed = [(about, i) for about, i in between if whats[i] not in _SAID]
    for some, bound in ((passed, most), (said, HARD * most)):
        order = sorted((_rank(about), i) for about, i in some)
        gone |= {i for _, i in order[: max(0, len(held) - len(gone) - bound)]}
    lost = 0
    for about in sorted((one for one in alarms if one.over), key=lambda one: (_rank(one), one.places[0])):
        if len(held) - len(gone) <= HARD * most:
            break
        gone |= set(about.places)
        lost += bool(about.told)
    return [one for i, one in enumerate(held) if i not in gone], lost


def _rank(about: _About) -> int:
    return 0 if about.over and about.acked else 1 if about.over else 2


def _alarms(held: Sequence[Waiting], whats: Sequence[What]) -> list[_About]:
    places: dict[str, list[int]] = {}
    for i, one in enumerate(held):
        places.setdefault(one.change.revision.alarm.id, []).append(i)
    return [_about(held[of_one[-1]].change, whats, of_one) for of_one in places.values()]


def _about(last: Change, whats: Sequence[What], places: list[int]) -> _About:
    told, alarm = [i for i in places if whats[i] not in UNTOLD], last.revision.alarm
    new = bool(told) and whats[told[0]] == "raised"
    # An alarm that the disk holds as active would come back as that, if its end were given up.
    over = last.revision.what == "given_up" or (new and alarm.state == "cleared")
    return _About(places, told, over, alarm.acked)
