"""What an alarm log says of a stream whose truth is known: events found and missed, false alarms, delay. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from monitor.alarms import SERVICE_SOURCES, Alarm
from monitor.camera.schedule import Truth


class KindTally(NamedTuple):
    """How many anomalies of one kind there were, and how many an alarm spoke of."""

    kind: str
    shown: int
    found: int


class Comparison(NamedTuple):
    """Alarms against truth."""

    kinds: tuple[KindTally, ...]
    false_alarms: tuple[Alarm, ...]  # on frames in which nothing was wrong
    delays_s: tuple[float, ...]  # first anomalous exposure to alarm, of each anomaly found; both clocks are one

    @property
    def found(self) -> int:
        return sum(tally.found for tally in self.kinds)

    @property
    def shown(self) -> int:
        return sum(tally.shown for tally in self.kinds)


def compare(alarms: Sequence[Alarm], truths: Sequence[Truth], exposed_ns: Sequence[int]) -> Comparison:
    """Join *alarms* to *truths* by their frames; *exposed_ns* is when each truth's first frame was exposed.

    An alarm whose frames overlap an anomaly has found it; one that overlaps none is false. Alarms about the service
    do not count.
    """
    judged = [alarm for alarm in alarms if alarm.source not in SERVICE_SOURCES]
    found: list[Alarm | None] = [
        min((alarm for alarm in judged if _overlaps(alarm, truth)), key=lambda one: one.raised_t_ns, default=None)
        for truth in truths
    ]
    kinds = sorted({truth.kind for truth in truths})
    tallies = tuple(
        KindTally(
            kind,
            sum(truth.kind == kind for truth in truths),
            sum(truth.kind == kind and alarm is not None for truth, alarm in zip(truths, found, strict=True)),
        )
        for kind in kinds
    )
    false = tuple(alarm for alarm in judged if not any(_overlaps(alarm, truth) for truth in truths))
    delays = tuple(
        (alarm.raised_t_ns - exposed) / 1e9
        for alarm, exposed in zip(found, exposed_ns, strict=True)
        # An alarm that was already open when the anomaly began has no delay to speak of.
        if alarm is not None and alarm.raised_t_ns >= exposed
    )
    return Comparison(tallies, false, delays)


def _overlaps(alarm: Alarm, truth: Truth) -> bool:
    return alarm.first_seq <= truth.last_seq and alarm.last_seq >= truth.first_seq
