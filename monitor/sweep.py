"""Acknowledging many alarms at once: a piece at each step, so that no new alarm waits until thousands are written."""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple, Protocol

from monitor.alarms import acts
from monitor.alarms.acts import AcknowledgeAll, Refused
from monitor.alarms.life import Entry, Life, Moment, Revision, Rules
from monitor.journal.reading import Wanted

PIECE: Final = 1000
"""Alarms acknowledged in one step and one transaction: a tenth of a second, for which a raised alarm may wait."""

IDS_MOST: Final = 100
"""So many ids of those that were acknowledged are told."""


class Swept(NamedTuple):
    """What came of it."""

    refused: Refused | None  # why nothing, or nothing more, was acknowledged
    acknowledged: int = 0
    ids: Sequence[str] = ()  # of the first IDS_MOST of them, in the order in which they were raised
    journaled: bool = True  # false: the disk refused the last of them; they hold all the same


class Listed(Protocol):
    """Where the alarms are found; a journal."""

    def place(self, alarm_id: str) -> int | None: ...
    def entries(self, most: int, wanted: Wanted) -> list[tuple[int, Entry]]: ...


class Sweep:
    """One such act, from its first piece to its last.

    Each piece goes on behind the last one in the order in which alarms were raised, so that it ends whatever the disk
    does; what it has done holds if the process is killed, and asked again it does the rest.
    """

    def __init__(self, asked: AcknowledgeAll) -> None:
        self.asked = asked
        self.over = False
        self._wanted = Wanted("unacknowledged", source=asked.source, group=asked.group)
        self._refused: Refused | None = None
        self._acknowledged = 0
        self._ids: list[str] = []

    @property
    def swept(self) -> Swept:
        return Swept(self._refused, self._acknowledged, self._ids)

    def refuse(self, why: str) -> None:
        """It ends here."""
        done = f"; {self._acknowledged} are acknowledged" if self._acknowledged else ""
        self._end(Refused(f"{why}{done}: ask again for the rest", "wrong"))

    def step(
        self, journal: Listed, rules: Rules, life: Life, latest: Mapping[str, Entry], at: Moment
    ) -> tuple[Life, list[Revision]]:
        """The next piece. *latest*: entries by id that are newer than those in the *journal*.

        Raises sqlite3.Error where the journal cannot be read.
        """
        if self._wanted.until is None:
            self._wanted = self._wanted._replace(until=journal.place(self.asked.until))
            if self._wanted.until is None:
                self._end(Refused(f"there is no alarm {self.asked.until!r}", "unknown"))
                return life, []
        found = journal.entries(PIECE, self._wanted)
        entries = [life.entries.get(_id(entry)) or latest.get(_id(entry)) or entry for _, entry in found]
        life, revisions, done = acts.acknowledge_each(rules, life, entries, self.asked, at)
        self._acknowledged += len(done)
        self._ids += done[: IDS_MOST - len(self._ids)]
        if len(found) < PIECE:
            self._end(None)
        else:
            self._wanted = self._wanted._replace(after=found[-1][0])
        return life, revisions

    def _end(self, refused: Refused | None) -> None:
        self.over, self._refused = True, refused


class Sweeps:
    """Those that wait for the desk, done one after the other."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Sweep, Future[Swept]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def ask(self, asked: AcknowledgeAll) -> "Future[Swept]":
        """Of any thread."""
        answer: Future[Swept] = Future()
        self._waiting.append((Sweep(asked), answer))
        return answer

    @property
    def current(self) -> Sweep | None:
        return self._waiting[0][0] if self._waiting else None

    def answer(self, journaled: bool) -> None:
        """Tell whoever asked for the current one, if it is over, once that is in the journal or was refused there."""
        if self._waiting and self._waiting[0][0].over:
            sweep, answer = self._waiting.popleft()
            if answer.set_running_or_notify_cancel():  # whoever asked may have gone
                answer.set_result(sweep.swept._replace(journaled=journaled))


def _id(entry: Entry) -> str:
    return entry.seen.id if entry.told is None else entry.told.id
