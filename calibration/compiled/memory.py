"""How rare scores are, of one chart or several, and what the memory chart remembers: frame by frame.

The formulas stand in `calibration.tails`, `calibration.mewma` and `calibration.memory`. Tails are handed over as
`tails.Tables`.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.compiled import compiled, inlined

Array = npt.NDArray[Any]

LN10: Final = math.log(10.0)


@compiled
def rarities(scores: Array, bodies: Array, known: Array, laws: Array, rare: Array) -> None:
    """How rare *scores* (m, c) of c charts are, into *rare* (m, c)."""
    for index in range(len(scores)):
        for chart in range(len(laws)):
            rare[index, chart] = _rarity(scores[index, chart], bodies[chart], known[chart], laws[chart])


@compiled
def joint_scores(
    scores: Array,
    limits: Array,
    at_limit: Array,
    above_one: float,
    bodies: Array,
    known: Array,
    laws: Array,
    joint: Array,
    source: Array,
) -> None:
    """The largest rarity of *scores* (m, c) over that of its chart's limit, into *joint* (m,); which, into *source*.

    *limits* (c,) are as rare as *at_limit*. Rounding must not make the two ways of asking, joint score and chart by
    chart, disagree: over its limit a score is at least *above_one*, and up to it at most 1.
    """
    for index in range(len(scores)):
        joint[index], source[index] = -math.inf, 0
        for chart in range(len(limits)):
            score = scores[index, chart]
            scaled = _rarity(score, bodies[chart], known[chart], laws[chart]) / at_limit[chart]
            scaled = min(1.0, scaled) if score <= limits[chart] else max(above_one, scaled)
            if scaled > joint[index]:
                joint[index], source[index] = scaled, chart


@compiled
def follow(
    latents: Array,
    skip: Array,
    begin: Array,
    weights: Array,
    exact_start: bool,
    memory: Array,
    taken: int,
    statistics: Array,
) -> int:
    """`mewma.step` on *memory* (k, p), in place, of *taken* frames; returns of how many it is then."""
    for index in range(len(latents)):
        latent = latents[index]
        if begin[index]:
            memory[:] = 0.0
            taken = 0
        finite = _finite(latent)
        if finite and not skip[index]:
            _remember(latent, weights, memory)
            taken += 1
        for one in range(len(weights)):
            statistic = _length(memory[one]) / _variance(weights[one], taken, exact_start)
            statistics[index, one] = statistic if finite else math.inf
    return taken


@compiled
def remember(
    q: Array,
    t2: Array,
    center: Array,
    strange: float,
    weights: Array,
    exact_start: bool,
    bodies: Array,
    known: Array,
    laws: Array,
    memory: Array,
    taken: int,
    scores: Array,
) -> int:
    """`memory.step` of frames of one context, whose *memory* (k, p) changes in place, into *scores* (n,).

    Latents *q* (n, p) enter about *center* (p,), and as if their squared lengths *t2* (n,) were *strange* at most.
    Returns how many frames were taken in, *taken* with them.
    """
    latent = np.empty(q.shape[1])
    for index in range(len(q)):
        # What is no number stays none: the chart leaves it out.
        shrink = math.sqrt(strange / max(strange, np.float64(t2[index]))) if math.isfinite(t2[index]) else math.nan
        for place in range(len(latent)):
            latent[place] = shrink * (q[index, place] - center[place])
        finite, rarest = _finite(latent), -math.inf
        if finite:
            _remember(latent, weights, memory)
            taken += 1
        for one in range(len(weights)):
            statistic = _length(memory[one]) / _variance(weights[one], taken, exact_start) if finite else math.inf
            rarest = max(rarest, _rarity(statistic, bodies[one], known[one], laws[one]))
        scores[index] = rarest
    return taken


@inlined
def _remember(latent: Any, weights: Any, memory: Any) -> None:
    """Frame by frame: a product with powers of 1 - l would round by the length of the batch."""
    for one in range(len(weights)):
        weight = weights[one]
        for place in range(len(latent)):
            memory[one, place] = weight * latent[place] + (1.0 - weight) * memory[one, place]


@inlined
def _length(memory: Any) -> Any:
    """Squared."""
    total = 0.0
    for place in range(len(memory)):
        total += memory[place] * memory[place]
    return total


@inlined
def _variance(weight: Any, taken: Any, exact_start: Any) -> Any:
    """Of each coordinate of Z after as many frames as *taken*; of an empty memory any will do."""
    variance = weight / (2.0 - weight)
    if exact_start:
        variance *= 1.0 - (1.0 - weight) ** (2.0 * max(taken, 1))
    return variance


@inlined
def _finite(latent: Any) -> Any:
    others = 0
    for place in range(len(latent)):
        others += not math.isfinite(latent[place])
    return others == 0


@inlined
def _rarity(score: Any, body: Any, known: Any, law: Any) -> Any:
    """-log10 of the share of in-control frames that score higher; what is not a number is infinitely rare."""
    if score != score:
        return math.inf
    begin, scale, shape, end, slope = law[0], law[1], law[2], law[3], law[4]
    beyond = max(0.0, score - begin) / scale
    if shape != 0.0:
        excess = beyond
        beyond = math.log1p(shape * min(excess, end)) / shape
        if excess > end:
            beyond += (excess - end) * slope
    return _interpolated(score, body, known) + beyond / LN10


@inlined
def _interpolated(x: Any, body: Any, known: Any) -> Any:
    """*known* at *x*, between the rising values of *body*: constant outside."""
    if x < body[0]:
        return known[0]
    low, high = 0, len(body)  # body[low] <= x < body[high]
    while high - low > 1:
        middle = (low + high) // 2
        if body[middle] <= x:
            low = middle
        else:
            high = middle
    if high == len(body) or body[low] == x:
        return known[low]
    return (known[high] - known[low]) / (body[high] - body[low]) * (x - body[low]) + known[low]
