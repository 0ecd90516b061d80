"""Limits that raise alarms: a budget of false events an hour, widened for runs, layers or sessions never seen.

Joint limits come from the same held-out frames, two or three. The *action* limit keeps to the budget on the very
statistic that raises events (`calibration.budget`); the *warning* limit is one that a stated share of single frames
exceeds (`calibration.family`): nobody is called for it, but how often it is exceeded is charted. Where groups differ
more than their own frames explain, both move outwards by as much as a new group may lie above the groups at hand
(`calibration.groups`): groups are taken to differ by a shift of the joint scale.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from calibration.autocorrelation import borders_of
from calibration.blocks import BLOCKS_MIN, WINDOWS, BlockExtremes, block_extremes, block_frames
from calibration.bootstrap import RESAMPLES, Refits
from calibration.budget import CONSERVATIVE, BudgetLimit, budget_limit, event_levels, joint_limit, joint_score
from calibration.charts import t2
from calibration.family import ControlLimit, Method, Sample, control_limit
from calibration.groups import RATE_MAX, GroupLimit, limit_for_new_group, mean_limit, own_limits
from calibration.kde import EXCEEDANCES_MIN
from calibration.limits import ContextLimits, Limit, context_frames_needed
from calibration.pot import pot_quantile
from calibration.tails import FRAMES_MIN, Tail, far_tail, score_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

LOWEST: Final = -float(np.log10(0.5))
"""A joint limit is never below it: half of all frames are not rare."""

SHIFT_RATE: Final = 0.01
"""Share of single frames at which runs are compared, where their frames support it."""

REFITS: Final = 50
"""Resamples of mean and covariance that bounds are widened by: their standard deviation is known to a tenth."""


class StopDemand(NamedTuple):
    """What someone who lets events stop a machine asks for, and the event rule that it is to hold for."""

    per_hour: float  # false stops a judged hour
    k: int
    n: int


class Demand(NamedTuple):
    """What an operator asks for, and the event rule that it is to hold for."""

    per_hour: float  # false events a judged hour
    rate_hz: float  # judged frames a second
    k: int
    n: int
    warning_rate: float  # share of single in-control frames above the warning limit
    method: Method = "auto"  # of the warning limit
    conservative: bool = False  # the upper 90 % bound in place of the limit
    stops: StopDemand | None = None  # None: nothing is to stop by a budget of its own
    resamples: int = RESAMPLES  # for the interval of the warning limit

    @property
    def of_stops(self) -> "Demand | None":
        """The same, for stops."""
        stops = self.stops
        return stops and self._replace(per_hour=stops.per_hour, k=stops.k, n=stops.n, stops=None)


class ContextTails(NamedTuple):
    """In-control tails of c charts by context: *own* where it has some, *pooled* for any other."""

    pooled: tuple[Tail, ...]
    own: Mapping[str, tuple[Tail, ...]]

    def of(self, context: str) -> tuple[Tail, ...]:
        return self.own.get(context, self.pooled)


class GroupShift(NamedTuple):
    """How far the limit of a new group lies beyond that of the groups at hand, in decades; 0: no more is shown."""

    by: float  # so that new groups keep the rate in the mean
    high: float  # so that nine in ten of them keep it
    rate: float  # share of single frames at which own limits were compared
    limit: GroupLimit


class EventLimit(NamedTuple):
    """A joint limit that the events of one rule exceed as often as a budget says, for groups never seen too."""

    limit: float
    low: float  # the two bound it with 90 % confidence
    high: float
    budget: BudgetLimit  # of the groups at hand
    record: BlockExtremes


class ActionLimits(NamedTuple):
    """Joint limits on the scale of `tails.rarity`, and what they rest on."""

    action: float
    low: float  # the two bound the action limit with 90 % confidence
    high: float
    warning: float  # of single frames: it may lie above the action limit, which k of n have to exceed
    single: ControlLimit  # what the warning limit rests on: that of the groups at hand
    budget: BudgetLimit  # of the groups at hand
    shift: GroupShift | None  # both limits hold it already; None where it cannot be known
    tails: ContextTails
    record: BlockExtremes
    frames: int
    stops: EventLimit | None = None  # None: not asked for, or too few frames for a rule as long as that


class _Held(NamedTuple):
    """Held-out frames that set limits."""

    joint: Float64s  # (m,)
    borders: Indices  # of their stretches
    layer_frames: int
    again: Callable[[], Iterable[Float64s]]  # joint scores, had mean and covariance come out otherwise


def fit_tails(scores: Floats, contexts: npt.NDArray[np.str_], warning_rate: float) -> ContextTails:
    """The tails of c charts from held-out *scores* (m, c) of frames that show *contexts* (m,).

    A context has its own where its frames support *warning_rate*. Raises CalibrationError as `far_tail` does.
    """
    names, counts = np.unique(contexts, return_counts=True)
    needed = context_frames_needed(warning_rate)
    own = [str(name) for name, count in zip(names, counts, strict=True) if name and count >= needed and len(names) > 1]
    return ContextTails(
        tuple(far_tail(chart) for chart in scores.T),
        {name: tuple(far_tail(chart) for chart in scores[contexts == name].T) for name in own},
    )


def fit_action_limits(
    scores: Floats,
    contexts: npt.NDArray[np.str_],
    groups: Indices,
    runs: Indices,
    tails: ContextTails,
    for_tails: Flags,
    demand: Demand,
    layer_frames: int = 1,
    seed: int = 0,
    latents: Floats | None = None,
    refits: Refits | None = None,
) -> ActionLimits:
    """The joint limits for *demand*, from held-out in-control *scores* (m, c), T2 first, in the stream's order.

    *contexts* (m,), *groups* (m,) and *runs* (m,) say what each frame shows, which stretch it is of, and which run,
    layer or session: a new one of them is what the limits are widened for. Blocks hold at least *layer_frames* where
    that leaves twenty. Frames in *for_tails* (m,) have fitted *tails* and set no limit. With whitened *latents* (m, p)
    and *refits* of those that trained, the interval holds the chance in mean and covariance too, but for charts that
    remember. Raises CalibrationError where too few frames are left for twenty blocks.
    """
    kept = ~for_tails
    joint = joint_scores(scores, contexts, tails)[kept]

    def again() -> Iterable[Float64s]:
        if latents is None or refits is None:
            return ()
        return _refitted(scores[kept], contexts[kept], tails, latents[kept], refits)

    held = _Held(joint, borders_of(groups[kept]), layer_frames, again)
    shift = group_shift(joint, runs[kept], SHIFT_RATE, seed)
    alarms, of_stops = _event_limit(held, demand, shift), demand.of_stops
    single = control_limit(
        Sample(joint, groups=groups[kept]), demand.warning_rate, demand.method, seed=seed, resamples=demand.resamples
    )
    return ActionLimits(
        action=alarms.limit,
        low=alarms.low,
        high=alarms.high,
        warning=single.value + (0.0 if shift is None else shift.by),
        single=single,
        budget=alarms.budget,
        shift=shift,
        tails=tails,
        record=alarms.record,
        frames=len(joint),
        stops=_event_limit(held, of_stops, shift) if of_stops and len(joint) >= frames_needed(of_stops.n) else None,
    )


def frames_needed(n: int) -> int:
    """Frames that set a limit for events within *n* of them: twenty of the shortest blocks."""
    return BLOCKS_MIN * WINDOWS * n


def _event_limit(held: _Held, demand: Demand, shift: GroupShift | None) -> EventLimit:
    """The limit for the rule and budget of *demand*; *shift* is what new groups are allowed for."""
    joint, borders = held.joint, held.borders
    longest = min(held.layer_frames, len(joint) // BLOCKS_MIN)
    record = block_extremes(
        joint, demand.k, demand.n, block_frames(joint, demand.k, demand.n, borders, longest), borders
    )
    found = _with_chance(budget_limit(record, demand.per_hour, demand.rate_hz), demand, record, borders, held.again())
    by, by_high = (0.0, 0.0) if shift is None else (shift.by, shift.high)
    return EventLimit(*raised(found, by, by_high, conservative=demand.conservative), found, record)


def raised(found: BudgetLimit, by: float, by_high: float, *, conservative: bool) -> tuple[float, float, float]:
    """The action limit and the ends of its interval, with what groups never seen are allowed for.

    That is *by* in the mean over them, and *by_high* for nine in ten.
    """
    action = max(found.conservative, LOWEST) + by_high if conservative else max(found.limit, LOWEST) + by
    return action, min(max(found.low, LOWEST), action), max(found.high + by_high, action)


def _refitted(
    scores: Floats, contexts: npt.NDArray[np.str_], tails: ContextTails, latents: Floats, refits: Refits
) -> Iterator[Float64s]:
    """Joint scores (m,), had mean and covariance come out as other calibrations would have them."""
    anew = np.array(scores, np.float64)
    for mean, whitening in zip(refits.means[:REFITS], refits.whitenings[:REFITS], strict=True):
        anew[:, 0] = t2(latents, whitening, mean)
        yield joint_scores(anew, contexts, tails)


def _with_chance(
    found: BudgetLimit, demand: Demand, record: BlockExtremes, borders: Indices, again: Iterable[Float64s]
) -> BudgetLimit:
    """*found* with bounds that hold what the limits vary by when joint scores come out as in *again*.

    The two sources of chance are independent, and their squares add.
    """
    blocks = (block_extremes(joint, demand.k, demand.n, record.block_frames, borders) for joint in again)
    share = found.per_hour * record.block_frames / demand.rate_hz / 3600
    limits = [joint_limit(np.sort(one.extremes)[::-1], event_levels(one.extremes, merge=True), share) for one in blocks]
    sd = float(np.std(limits, ddof=1)) if len(limits) > 1 else 0.0

    def moved(bound: float, deviations: float) -> float:
        reach = float(np.hypot(bound - found.limit, deviations * sd))
        return found.limit + (reach if deviations > 0 else -reach)

    return found._replace(
        low=moved(found.low, -float(ndtri(0.95))),
        high=moved(found.high, float(ndtri(0.95))),
        conservative=moved(found.conservative, float(ndtri(CONSERVATIVE))),
    )


def group_shift(joint: Float64s, groups: Indices, rate: float, seed: int = 0) -> GroupShift | None:
    """How far the limit of a new group may lie beyond that of all frames of *joint* (m,), which are of *groups* (m,).

    From the groups' own limits at *rate*, or at one that the smallest of them supports, by normal random effects
    (`calibration.groups`): in the mean over new groups and over what the groups at hand leave open of their law, and
    for nine groups in ten. Of few groups the mean hangs on laws that hardly hold; it is then the second. None for fewer
    than two groups of at least 20 frames.
    """
    names, counts = np.unique(groups, return_counts=True)
    names, counts = names[counts >= FRAMES_MIN], counts[counts >= FRAMES_MIN]
    if len(names) < 2:
        return None
    rate = float(min(max(rate, EXCEEDANCES_MIN / counts.min()), RATE_MAX))
    large = np.isin(groups, names)
    own = own_limits(joint[large], groups[large], rate, seed)
    most = limit_for_new_group(own, method="random effects")
    pooled = pot_quantile(joint[large], rate)
    high = max(most.limit - pooled, 0.0)
    return GroupShift(min(max(mean_limit(own) - pooled, 0.0), high), high, rate, most)


def joint_scores(scores: Floats, contexts: npt.NDArray[np.str_], tails: ContextTails) -> Float64s:
    """The rarity (m,) of the most extreme chart of *scores* (m, c), by the tails of each frame's context."""
    if not tails.own:
        return joint_score(scores, tails.pooled)
    joint = np.empty(len(scores))
    for name in np.unique(contexts).tolist():
        rows = contexts == name
        joint[rows] = joint_score(scores[rows], tails.of(name))
    return joint


def chart_limits(found: ActionLimits, scores: Floats, contexts: npt.NDArray[np.str_]) -> ContextLimits:
    """The action limits of c charts, by context: the scores that are as rare as the joint limit.

    *scores* (m, c) and *contexts* (m,) are those of all held-out frames: of them come the medians.
    """
    return ContextLimits(
        _of_charts(found, found.tails.pooled, scores),
        {name: _of_charts(found, own, scores[contexts == name]) for name, own in found.tails.own.items()},
    )


def _of_charts(found: ActionLimits, tails: Sequence[Tail], scores: Floats) -> tuple[Limit, ...]:
    budget = found.budget
    return tuple(
        Limit(
            value=score_of(found.action, tail),
            low=score_of(found.low, tail),
            high=score_of(found.high, tail),
            center=float(np.median(chart)),
            rate=10.0**-found.action,
            method=budget.method,
            frames=found.frames,
            effective_frames=found.single.effective_frames,
            extrapolated=not budget.supported,
            tail=tail,
        )
        for chart, tail in zip(np.asarray(scores, np.float64).T, tails, strict=True)
    )
