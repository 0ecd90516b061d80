"""What a person has to know of a calibration, in sentences."""

import math
from collections.abc import Sequence

import numpy as np

from monitor.report.data import JOINT, Chart, Floats, Footing, Group, ReportData
from monitor.report.units import share


def summary(data: ReportData) -> list[str]:
    """What was learned from what, how often the limit is exceeded, how sure it is, and how a new group may fare."""
    trained = [group for group in data.groups if group.role == "train"]
    held = [group for group in data.groups if group.role == "held-out"]
    joint = [chart for chart in data.charts if chart.name == JOINT]
    return [
        f"The network learned from {_counted(trained)}. "
        f"The limits come from {_counted(held)} {_unlike(trained, held)}.",
        *(_rate(chart, data) for chart in joint),
        *map(_sureness, data.footings),
        *_as_new(held, data),
        *_between(data, len(held)),
    ]


def judgement(chart: Chart) -> str:
    """How many frames are over one chart's limit."""
    if not math.isfinite(chart.limit):
        return f"Chart {chart.name} has no limit."
    told = f"Chart {chart.name}: {_over(chart, chart.held)} are over"
    if chart.several_limits:
        return f"{told} the limit of their context, {np.min(chart.held):.4g} to {np.max(chart.held):.4g}."
    told += f" its limit of {chart.limit:.4g}"
    if chart.has_interval:
        told += f" (90 % interval {chart.limit_low:.4g} to {chart.limit_high:.4g})"
    if chart.extrapolated:
        told += ", which is extrapolated"
        told += "" if chart.has_interval else ": how far it may be off cannot be known from so few frames"
    return told + "."


def _rate(chart: Chart, data: ReportData) -> str:
    if data.promise is None:
        return (
            f"{_over(chart, chart.held)} are over the joint limit; asked for was {share(data.false_alarm_rate)}. These "
            "frames set the limit, so their share is near that rate whatever they are like."
        )
    return (
        f"{_over(chart, chart.held)} are over the joint action limit, and {_over(chart, chart.warning)} over the "
        f"warning limit, for which {share(data.false_alarm_rate)} of frames were asked for. These frames set both "
        "limits, so that they exceed them about as often as was meant, whatever they are like; less often where the "
        "limits were raised for runs never seen."
    )


def _sureness(footing: Footing) -> str:
    told = (
        f"{_capital(footing.where)}{': n' if footing.where else 'N'}eighbouring frames resemble each other, and the "
        f"{footing.frames:,} held-out ones say as much as {footing.effective_frames:,.0f} independent ones. "
    )
    if not (math.isfinite(footing.low) and math.isfinite(footing.high)):
        return told + (
            "They are too few for the rate asked for, so the limit is extrapolated beyond them: how far it lies from "
            "the right one cannot be known from so few frames."
        )
    return told + (
        f"With 90 % confidence the right limit lies between {footing.low:.3g} and {footing.high:.3g} times the one "
        "that was set, on the scale of the joint score."
    )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _as_new(held: Sequence[Group], data: ReportData) -> list[str]:
    known = [group for group in held if math.isfinite(group.if_new)]
    if not known:
        return []
    worst = max(known, key=lambda group: group.if_new)
    mean = float(np.mean([group.if_new for group in known]))
    return [
        f"As if each held-out group were new: with a {'' if data.promise is None else 'warning '}limit set by the "
        f"others alone, {share(mean)} of a group's frames would be over it on average, and {share(worst.if_new)} of "
        f"{worst.name}, the worst; asked for was {share(data.false_alarm_rate)}."
    ]


def _between(data: ReportData, groups: int) -> list[str]:
    if groups == 1:
        return [
            "With a single held-out group nothing is known about how much groups differ: a new one may look unlike it."
        ]
    if not (math.isfinite(data.between_sd) and data.within_sd > 0):
        return []
    return [
        f"The groups' medians of the joint score have a standard deviation of {data.between_sd:.3g}, frames within "
        f"their group one of {data.within_sd:.3g}: a ratio of {data.between_sd / data.within_sd:.2g}. The larger it "
        "is, the less a limit pooled over these groups says of a new one."
    ]


def _unlike(trained: Sequence[Group], held: Sequence[Group]) -> str:
    """How far the frames that set the limits are from those that the network learned from."""
    if {group.name for group in trained} & {group.name for group in held}:
        return "that it learned from too: they are other frames, but of the same recording"
    return "that it had never seen"


def _counted(groups: Sequence[Group]) -> str:
    frames = sum(group.frames for group in groups)
    return f"{frames:,} frame{'s' * (frames != 1)} in {len(groups)} group{'s' * (len(groups) != 1)}"


def _over(chart: Chart, limit: Floats | float) -> str:
    known = np.isfinite(chart.scores)
    over, count = int((chart.scores > limit)[known].sum()), int(known.sum())
    return f"{over:,} of {count:,} held-out frames ({share(over / count) if count else 'none'})"
