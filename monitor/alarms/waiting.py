"""How many alarms wait for a person, by what may withhold the permit. Pure.

Counted from what changes, so that it costs nothing to let ten thousand wait, and none of them is ever left out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from monitor.alarms.alarm import Alarm, cause_of
from monitor.alarms.life import UNTOLD, Revision


class Waiting:
    """The count of alarms that nobody has acknowledged. Beside it only causes of open ones are kept: they may rise."""

    def __init__(
        self,
        unacknowledged: Mapping[tuple[str, str], int],
        active: Iterable[Alarm],
        charts: Collection[str] = (),
    ) -> None:
        """*unacknowledged*: how many there are, by source and priority; those that are *active* among them.

        *charts*: sources for which nothing waits, see `cause_of`.
        """
        self._charts = charts
        self._counts: Counter[str | None] = Counter()
        for (source, priority), count in unacknowledged.items():
            self._counts[cause_of(source, priority, charts)] += count
        self._open = {one.id: self._cause_of(one) for one in active if not one.acked}

    @property
    def by_cause(self) -> Counter[str]:
        """A new one each time: how many wait, by cause, without causes of which none does."""
        return Counter({cause: count for cause, count in self._counts.items() if count and cause is not None})

    def follow(self, revisions: Iterable[Revision]) -> None:
        """Count *revisions*, in their order, each once."""
        for revision in revisions:
            if revision.what not in UNTOLD:
                self._follow(revision)

    def forget(self, source: str, priority: str) -> None:
        """An alarm that is over was removed, and nobody can acknowledge it any more."""
        self._counts[cause_of(source, priority, self._charts)] -= 1

    def _follow(self, revision: Revision) -> None:
        alarm, cause = revision.alarm, self._cause_of(revision.alarm)
        counted = alarm.id in self._open
        if counted:
            self._counts[self._open.pop(alarm.id)] -= 1
        elif revision.was is not None and not alarm.acked:  # it was over before, and is more urgent than it was then
            self._counts[cause_of(alarm.source, revision.was, self._charts)] -= 1
            self._counts[cause] += 1
        elif revision.what == "acknowledged":  # it was over before, and its cause is what it was at the end
            self._counts[cause] -= 1
        if alarm.acked or not (counted or revision.what == "raised"):  # or it is over, and was counted when it was open
            return
        self._counts[cause] += 1
        if alarm.state == "active":
            self._open[alarm.id] = cause

    def _cause_of(self, alarm: Alarm) -> str | None:
        return cause_of(alarm.source, alarm.priority, self._charts)
