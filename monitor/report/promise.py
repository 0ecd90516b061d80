"""What the limits promise, in the words of those who bear the alarms, and what they do not promise."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from calibration.evaluation import Estimate
from calibration.seen_rates import times_as_many
from monitor.budget import EventBudget, FittedBudget
from monitor.markup import Cell, card, number, quiet, table, text, word
from monitor.report.data import Promise
from monitor.report.units import duration, one_in, per_frame, share, two_digits

RATES: Final = (
    "Shares of frames have their interval over blocks, since neighbouring frames are alike; all intervals are 95 %. "
    "Most of these frames set the limits, so that they exceed them about as often as they were meant to, whatever they "
    "are like: only what comes later can show the promise kept. Red: more than promised, beyond the interval."
)


def promise(found: Promise) -> str:
    """The card that comes first."""
    budget = found.budget
    return (
        f'<div class="card promise"><p class="headline">{text(headline(budget))}</p>'
        f'<p class="footing">{text(footing(budget))}</p>{_list(terms(found))}'
        f"<h3>What withholds the permit</h3>{_list(stops(budget))}"
        f"<h3>What this does not promise</h3>{_list(exceptions(budget))}</div>"
    )


def rates_seen(found: Promise) -> Iterable[str]:
    """How often the held-out frames exceeded the limits, beside how often they were meant to."""
    yield "<h2>Promised, and seen on the held-out frames</h2>"
    yield quiet([RATES])
    yield card(_rates(found))


def headline(budget: EventBudget, noun: str = "alarm") -> str:
    """The promise in one sentence."""
    rate = one_in(budget.per_hour)
    if budget.conservative:
        return f"At most {_false(rate, noun)}, with 90 % confidence."
    return f"At most {_false(rate, noun)}, on average."


def footing(budget: EventBudget) -> str:
    """What the promise is measured on, in one sentence."""
    told = f"easured on {duration(budget.hours)} of clean stream"
    if budget.extrapolated_by == 1.0:
        return f"M{told}, enough to support it."
    return (
        f"Extrapolated by a factor of {budget.extrapolated_by:.3g}: m{told}; "
        f"{duration(budget.hours * budget.extrapolated_by)} would support it."
    )


def terms(found: Promise) -> list[str]:
    """What is promised exactly."""
    budget = found.budget
    dead_time = duration(budget.block_frames / budget.rate_hz / 3600)
    told = [
        f"An alarm is an event: {_rule(budget)} over the action limit. All that follows within {dead_time} of such a "
        f"frame ({budget.block_frames:,} judged frames, the dead time) is the same event.",
        f"Hours are judged hours, at {budget.rate_hz:,.4g} judged frames a second: time without frames, and with the "
        "process off, does not count. At another frame rate the limits are to be set anew.",
        _sureness(budget),
        f"Besides, {per_frame(budget.warning_rate)} of single frames exceed the warning limit, "
        f"about {one_in(budget.warning_rate * budget.rate_hz * 3600)}: nobody is called for them, but where they "
        f"become more frequent the process drifts. That limit {_rests_on(budget)}.",
    ]
    if budget.per_hour < budget.asked_per_hour:
        told.insert(
            0,
            f"Asked for was {one_in(budget.asked_per_hour)}. The limit promises fewer alarms, since neighbouring "
            f"frames are alike for so long that no more than one block of {dead_time} in ten may hold an event.",
        )
    if found.rates_per_hour > 0:
        told.append(
            f"The chart of rates, which tells when single frames exceed the warning limit too often, may raise "
            f"{_false(one_in(found.rates_per_hour))} besides these."
        )
    return told


def stops(budget: FittedBudget) -> list[str]:
    """When events of the charts withhold the permit, and what is promised of that."""
    found = budget.stops
    if found is None:
        return [
            "Each of these events, as the configuration has it for the priority of its alarm: there is no budget of "
            "false stops (calibration.false_stops_per_hour), and a machine that obeys the permit stops for each."
        ]
    dead_time = duration(found.block_frames / found.rate_hz / 3600)
    told = [
        f"{headline(found, 'stop')} {footing(found)}",
        f"A stop is an event of its own: {_rule(found)} over the stop limit, {found.action / budget.action:.2f} times "
        f"the action limit on the scale of the joint score. All within {dead_time} of such a frame is the same stop. "
        "An alarm alone stops nothing.",
        f"With 90 % confidence the right stop limit lies between {found.low / found.action:.2f} and "
        f"{found.high / found.action:.2f} times the one that was set.",
    ]
    if found.per_hour < found.asked_per_hour:
        told.append(f"Asked for was {one_in(found.asked_per_hour)}.")
    return told


def _rests_on(budget: FittedBudget) -> str:
    """What the warning limit rests on, on the scale of the joint score."""
    single = budget.single
    low, high = single.low / single.value, single.high / single.value
    return (
        f"comes by the method {single.method} ({single.why}); with 90 % confidence the right one lies between "
        f"{low:.2f} and {high:.2f} times it"
    )


def exceptions(budget: FittedBudget) -> list[str]:
    """What is not promised."""
    return [
        _new_groups(budget),
        "It holds while the process goes on as it did in the clean stretch, and if nothing in that was anomalous: what "
        "was, set the limits too.",
        "It says nothing of anomalies: which are found, and how soon, is no part of it.",
    ]


def _false(rate: str, noun: str = "alarm") -> str:
    return (
        f"{rate[:3]} false {noun}{rate[3:]}"
        if rate.startswith("one")
        else f"{rate} false {noun}s".replace(f" a second false {noun}s", f" false {noun}s a second")
    )


def _rule(budget: EventBudget) -> str:
    if budget.n == 1:
        return "a judged frame is"
    return f"{budget.k} of {budget.n} judged frames in a row are"


def _sureness(budget: FittedBudget) -> str:
    """How far the limit may be off, on the joint scale and in events."""
    told = (
        f"The limit rests on the extremes of {budget.blocks:,} blocks of stream, which say as much as "
        f"{budget.effective_blocks:,.0f} independent ones. With 90 % confidence the right limit lies between "
        f"{budget.low / budget.action:.2f} and {budget.high / budget.action:.2f} times the one that was set, on the "
        "scale of the joint score"
    )
    few, many = events_between(budget)
    if math.isfinite(few) and math.isfinite(many):
        told += f": at the one that was set, false alarms may come between {one_in(few)} and {one_in(many)}"
    if budget.extrapolated_by > 1.0:
        told += ". Beyond the highest extreme this rests on a tail that falls exponentially"
    return told + "."


def events_between(budget: FittedBudget) -> tuple[float, float]:
    """Events an hour if the right limit were at one or the other end of its interval."""
    few, many = (
        budget.per_hour * times_as_many(budget.extremes, end - budget.action) for end in (budget.low, budget.high)
    )
    return few, many


def _new_groups(budget: FittedBudget) -> str:
    shift = budget.shift
    if shift is None:
        return (
            "It makes no allowance for a new run, layer or session that is unlike those that set the limits: how much "
            "a new one differs was not known."
        )
    runs = f"{shift.groups} runs, layers or sessions"
    holds = "in nine cases of ten" if budget.conservative else "in the mean over new ones, not in each"
    added = shift.high if budget.conservative else shift.by
    told = f"For a new run, layer or session it holds {holds}: as {runs} differ, the limits were raised by "
    told += f"{added / budget.action:.1%} of the joint limit" if added > 0 else "nothing, for theirs together is enough"
    if not budget.conservative and shift.high > 0:
        told += f". For nine new ones in ten it would take {shift.high / budget.action:.1%}"
    return f"{told}. What nine in ten rest on: {shift.why}."


def _rates(found: Promise) -> str:
    budget, seen = found.budget, found.rates
    block_hours = budget.hours / budget.blocks
    head = [word("what"), number("meant"), number("seen"), number("95 % interval")]
    rows = [
        _rate_row(
            "single frames over the warning limit",
            budget.warning_rate,
            seen.over_warning,
            seen.frames,
            seen.warning,
        ),
        [
            word("single frames over the action limit"),
            number(f"{per_frame(10.0**-budget.action)} a chart"),  # by the tails alone: events are what is promised
            number(f"{seen.over_action:,} of {seen.frames:,}: {share(_value(seen.action))}"),
            _interval(seen.action),
        ],
        _rate_row(
            f"blocks of {duration(block_hours)} with a frame that raises an event",
            budget.per_hour * block_hours,
            seen.blocks_over,
            seen.blocks,
            seen.block,
        ),
        [
            word("events an hour"),
            number(two_digits(budget.per_hour)),
            number(
                f"{seen.events:,} in {duration(seen.hours)}: {two_digits(_value(seen.per_hour))}",
                over=seen.per_hour.low > budget.per_hour,
            ),
            number(f"{two_digits(seen.per_hour.low)} to {two_digits(seen.per_hour.high)}"),
        ],
    ]
    return table(head, rows)


def _rate_row(what: str, meant: float, count: int, of: int, seen: Estimate) -> list[Cell]:
    return [
        word(what),
        number(share(meant)),
        number(f"{count:,} of {of:,}: {share(_value(seen))}", over=seen.low > meant),
        _interval(seen),
    ]


def _interval(seen: Estimate) -> Cell:
    return number(f"{share(seen.low)} to {share(seen.high)}")


def _value(seen: Estimate) -> float:
    return math.nan if seen.value is None else seen.value


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"
