"""What an alarm log says of a stream whose truth is known: events found and missed, false alarms, delay. Pure."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from calibration.evaluation import Estimate, proportion
from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.camera.schedule import Truth


class KindTally(NamedTuple):
    """How many anomalies of one kind there were, how many an alarm spoke of, and how soon."""

    kind: str
    shown: int
    found: int
    delays_s: tuple[float, ...]  # first anomalous exposure to alarm, of those found that have one

    @property
    def median_s(self) -> float | None:
        """The middle delay, None where there is none."""
        return statistics.median(self.delays_s) if self.delays_s else None

    @property
    def longest_s(self) -> float | None:
        """The longest delay, None where there is none."""
        return max(self.delays_s, default=None)

    @property
    def sensitivity(self) -> Estimate:
        """Of the anomalies shown, the share found."""
        return proportion(self.found, self.shown)


class Comparison(NamedTuple):
    """Alarms against truth."""

    kinds: tuple[KindTally, ...]  # by name
    right_alarms: tuple[Alarm, ...]  # on frames of an anomaly
    false_alarms: tuple[Alarm, ...]  # on frames in which nothing was wrong

    @property
    def overall(self) -> KindTally:
        """All kinds as one."""
        return KindTally(
            "all",
            sum(tally.shown for tally in self.kinds),
            sum(tally.found for tally in self.kinds),
            tuple(delay for tally in self.kinds for delay in tally.delays_s),
        )

    @property
    def precision(self) -> Estimate:
        """Of the alarms, the share that found something; it depends on how much there was to find."""
        right = len(self.right_alarms)
        return proportion(right, right + len(self.false_alarms))


def compare(alarms: Sequence[Alarm], truths: Sequence[Truth]) -> Comparison:
    """Join *alarms* to *truths* by their frames, and count by kind of truth. All must be about one stream.

    Alarms about the service do not count. What this join can and cannot say:

    - An alarm has found an anomaly if its first, its most extreme or its last frame lies in it, without the time after
      which it clears. One alarm may find several; one that it goes on through, and that holds none of the three frames,
      counts as missed, though frames of it may have exceeded.
    - An alarm is false if no frame from its first to its last is of an anomaly.
    - Several alarms on one anomaly are one find, and each of them is right. So sensitivity counts anomalies, precision
      alarms, and their intervals take each as independent of the others.
    - What an alarm says about the kind is not looked at: a fault of the camera that a chart finds is found.
    - Chance finds as well: where alarms and anomalies fill much of the stream, some overlap without a reason.
    - Anomalies in frames that were lost or not judged count as missed.
    - A delay is the first alarm's `raised_t_ns` less the truth's `first_t_ns`, so both clocks must be one. An alarm
      that was raised before the anomaly began has none, nor has a truth whose exposure is not known.
    """
    judged = [alarm for alarm in alarms if alarm.source not in SERVICE_SOURCES]
    return Comparison(
        tuple(
            _tally(kind, judged, [truth for truth in truths if truth.kind == kind])
            for kind in sorted({truth.kind for truth in truths})
        ),
        tuple(alarm for alarm in judged if any(_overlaps(alarm, truth) for truth in truths)),
        tuple(alarm for alarm in judged if not any(_overlaps(alarm, truth) for truth in truths)),
    )


def _tally(kind: str, alarms: Sequence[Alarm], truths: Sequence[Truth]) -> KindTally:
    """*alarms* against *truths* of one *kind*."""
    raised_ns = [[alarm.raised_t_ns for alarm in alarms if _finds(alarm, truth)] for truth in truths]
    delays_s = tuple(
        (min(times) - truth.first_t_ns) / 1e9
        for truth, times in zip(truths, raised_ns, strict=True)
        if times and truth.first_t_ns is not None and min(times) >= truth.first_t_ns
    )
    return KindTally(kind, len(truths), sum(map(bool, raised_ns)), delays_s)


def _finds(alarm: Alarm, truth: Truth) -> bool:
    marks = (alarm.first_seq, alarm.last_seq, *([alarm.peak.seq] if alarm.peak else []))
    return any(truth.first_seq <= mark <= truth.last_seq for mark in marks)


def _overlaps(alarm: Alarm, truth: Truth) -> bool:
    return alarm.first_seq <= truth.last_seq and alarm.last_seq >= truth.first_seq
