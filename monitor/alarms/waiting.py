"""How many alarms wait for a person, by what may withhold the permit. Pure.

Counted from what changes, so that it costs nothing to let ten thousand wait, and none of them is ever left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.alarms.life import UNTOLD, Revision
from monitor.vitals import CAUSES

NOT_COUNTED: Final = ""


def cause_of(source: str, priority: str) -> str:
    """The state or priority for which alarms withhold the permit; NOT_COUNTED of those that never do."""
    cause = source if source in SERVICE_SOURCES else priority
    return cause if cause in CAUSES else NOT_COUNTED


class Waiting:
    """The count of alarms that nobody has acknowledged. Beside it only causes of open ones are kept: they may rise."""

    def __init__(self, unacknowledged: Mapping[tuple[str, str], int], active: Iterable[Alarm]) -> None:
        """*unacknowledged*: how many there are, by source and priority; those that are *active* among them."""
        self._counts: Counter[str] = Counter()
        for (source, priority), count in unacknowledged.items():
            self._counts[cause_of(source, priority)] += count
        self._open = {one.id: cause_of(one.source, one.priority) for one in active if not one.acked}

    @property
    def by_cause(self) -> Counter[str]:
        """A new one each time: how many wait, by cause, without causes of which none does."""
        return Counter({cause: count for cause, count in self._counts.items() if count and cause != NOT_COUNTED})

    def follow(self, revisions: Iterable[Revision]) -> None:
        """Count *revisions*, in their order, each once."""
        for revision in revisions:
            if revision.what not in UNTOLD:
                self._follow(revision)

    def forget(self, source: str, priority: str) -> None:
        """An alarm that is over was removed, and nobody can acknowledge it any more."""
        self._counts[cause_of(source, priority)] -= 1

    def _follow(self, revision: Revision) -> None:
        alarm, cause = revision.alarm, cause_of(revision.alarm.source, revision.alarm.priority)
        before = self._open.pop(alarm.id, None)
        if revision.what == "acknowledged" and before is None:  # it was over before: only its cause at the end counts
            before = cause
        if before is not None:
            self._counts[before] -= 1
        if alarm.acked:
            return
        self._counts[cause] += 1
        if alarm.state == "active":
            self._open[alarm.id] = cause
