"""Whether a budget of false events is kept: what operators said of the events of judged hours.

False events are counted over judged hours. If they come at a steady rate and singly, as events apart by a dead time
do, their number is Poisson, and the interval of the rate is exact (Garwood 1936). An event of which nobody can say or
has said yet whether it was true is unknown: the rate lies between none of those being false and all of them. The
interval holds at a moment that does not depend on the events; who looks again after every one of them will find a
budget that is kept broken more often than said.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from scipy.special import gammaincinv

Verdict = Literal["true", "false", "unknown"]
Judgement = Literal["kept", "broken", "not yet known"]

CONFIDENCE: Final = 0.90
"""Of the interval; each of its ends alone holds with 95 %."""


class JobEvents(NamedTuple):
    """The events of *hours* judged hours of a job, by what operators said of them; *job* is None over all jobs."""

    job: str | None
    hours: float
    true: int = 0
    false: int = 0
    unknown: int = 0


class Rate(NamedTuple):
    """*events* an hour: the rate, None where no hour was judged, and the interval that holds the true one."""

    events: int
    per_hour: float | None
    low: float
    high: float  # infinite where no hour was judged


class Realised(NamedTuple):
    """False events an hour against the budget *per_hour*, and what may be said of it."""

    events: JobEvents
    per_hour: float
    fewest: Rate  # none of the unknown events is false
    most: Rate  # all of them are
    judgement: Judgement
    hours_to_know: float  # judged hours without a false event that would still show the budget kept; 0 where known
    why: str  # one sentence


def tally(verdicts: Iterable[tuple[str, Verdict | None, int]], hours: Mapping[str, float]) -> list[JobEvents]:
    """The events of each job, from (job, verdict, how many) and judged *hours* of every job, in that order.

    No verdict yet is unknown. Events that are no judgement of a chart are to be left out before: faults of the camera,
    conditions of the service. Raises ValueError for an event of a job without hours and for a word that is no verdict.
    """
    found = {job: JobEvents(job, time) for job, time in hours.items()}
    for job, verdict, count in verdicts:
        if job not in found:
            raise ValueError(f"an event of job {job!r}, of which no judged hours are given: give its hours too")
        found[job] = _with_verdict(found[job], verdict or "unknown", count)
    return list(found.values())


def over_all(jobs: Iterable[JobEvents]) -> JobEvents:
    """The events of all *jobs* together."""
    known = list(jobs)
    return JobEvents(
        job=None,
        hours=math.fsum(job.hours for job in known),
        true=sum(job.true for job in known),
        false=sum(job.false for job in known),
        unknown=sum(job.unknown for job in known),
    )


def realised(events: JobEvents, per_hour: float) -> Realised:
    """What the *events* say of the promise of at most *per_hour* false ones in a judged hour.

    Broken, where even the fewest that were false are too many for the budget at the lower end of their interval; kept,
    where even the most are not at the upper end: each is wrong in at most one case in twenty. Raises ValueError for a
    budget that is not above 0, and for hours or counts below 0.
    """
    if not 0 < per_hour < math.inf:
        raise ValueError(f"a budget needs events an hour above 0, not {per_hour}")
    if min(events.true, events.false, events.unknown) < 0:
        raise ValueError(f"numbers of events are not below 0: {events}")
    fewest, most = _rate(events.false, events.hours), _rate(events.false + events.unknown, events.hours)
    judgement = _judgement(fewest, most, per_hour)
    wait = hours_needed(per_hour, most.events) - events.hours if judgement == "not yet known" else 0.0
    return Realised(
        events, per_hour, fewest, most, judgement, wait, _why(events, per_hour, fewest, most, judgement, wait)
    )


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The means for which *count* events lie in neither tail of (1 - confidence) / 2 of the Poisson law.

    Garwood 1936: half the quantiles of chi-square with 2 count and 2 count + 2 degrees of freedom, that is, quantiles
    of Gamma(count) and Gamma(count + 1). The lower end of no events is 0. Raises ValueError for a count below 0, and
    for a confidence outside (0, 1).
    """
    if count < 0 or not 0 < confidence < 1:
        raise ValueError(f"an interval needs a count from 0 and a confidence in (0, 1), not {count} and {confidence}")
    tail = (1 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def hours_needed(per_hour: float, count: int = 0) -> float:
    """Judged hours that show a budget of *per_hour* kept with 95 % confidence, with *count* false events in them.

    Without an event 3.0 / per_hour: exp(-3.0) is 5 %, the rule of three (Hanley and Lippman-Hand 1983).
    """
    return poisson_interval(count)[1] / per_hour


def _with_verdict(events: JobEvents, verdict: str, count: int) -> JobEvents:
    if verdict == "true":
        return events._replace(true=events.true + count)
    if verdict == "false":
        return events._replace(false=events.false + count)
    if verdict == "unknown":
        return events._replace(unknown=events.unknown + count)
    raise ValueError(f"a verdict is true, false or unknown, not {verdict!r}")


def _rate(count: int, hours: float) -> Rate:
    if not 0 <= hours < math.inf:
        raise ValueError(f"judged hours are a finite number from 0, not {hours}")
    if hours == 0:
        return Rate(count, None, 0.0, math.inf)
    low, high = poisson_interval(count)
    return Rate(count, count / hours, low / hours, high / hours)


def _judgement(fewest: Rate, most: Rate, per_hour: float) -> Judgement:
    if fewest.low > per_hour:
        return "broken"
    return "kept" if most.high <= per_hour else "not yet known"


def _why(
    events: JobEvents, per_hour: float, fewest: Rate, most: Rate, judgement: Judgement, hours_to_know: float
) -> str:
    """What a person should know of the promise, in one sentence."""
    told = f"{_counted(events)} in {events.hours:.3g} judged hours"
    if most.per_hour is not None:
        told += f", between {fewest.low:.3g} and {most.high:.3g} an hour,"
    told += f" for a budget of {per_hour:.3g} an hour: {judgement}"
    if judgement == "not yet known":
        told += f"; {hours_to_know:.3g} more without a false event would show it kept"
    return told


def _counted(events: JobEvents) -> str:
    told = f"{events.false or 'no'} false event{'' if events.false == 1 else 's'}"
    return f"{told} and {events.unknown} unknown" if events.unknown else told
