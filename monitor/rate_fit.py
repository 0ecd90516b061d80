"""The chart of rates, from the joint scores of held-out frames."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.action import Demand
from calibration.charts import CalibrationError
from calibration.exceedance_rate import Unit, UnitRule, count_limit, rate_limit, share_of, start, step, why_uncharted
from monitor.manifest import FittedRates

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

PART: Final = 0.1
"""False alarms of this chart, of those of the budget, and besides them."""

UNITS_WANTED: Final = 30
LONGEST_S: Final = 10.0
SHORTEST: Final = 200  # judged frames of a window: in fewer a doubled rate cannot be told from chance

_ROW: Final = np.dtype([("seq", "<i8"), ("layer", "<i8"), ("job", "<i8"), ("joint", "<f8")])


def rates_of(
    joint: Floats, groups: Indices, runs: Indices, warning: float, demand: Demand
) -> tuple[FittedRates | None, list[str]]:
    """The chart that in-control *joint* scores (m,) of stretches *groups* (m,), parts of *runs* (m,), support.

    Units are windows within runs: recorded frames do not say their layers. With what a person should know of it; None
    where there are too few frames.
    """
    window = int(np.clip(len(joint) // UNITS_WANTED, SHORTEST, max(SHORTEST, LONGEST_S * demand.rate_hz)))
    rule = UnitRule(window, max(1, window // 2))
    units = _units(rule, joint, groups, runs, warning)
    exceedances, frames = [unit.exceedances for unit in units], [unit.frames for unit in units]
    share = share_of(PART * demand.per_hour, window / demand.rate_hz / 3600)
    try:
        found = rate_limit(exceedances, frames, share)
        found = found._replace(limit=found.conservative) if demand.conservative else found
    except CalibrationError as error:
        return None, [f"there is no chart of rates: {error}"]
    fitted = FittedRates(
        window=window,
        frames_min=rule.frames_min,
        exceedances=tuple(exceedances),
        frames=tuple(frames),
        share=share,
        conservative=demand.conservative,
        per_hour=share / (window / demand.rate_hz / 3600),
        most=count_limit(found, window).most,
        extrapolated_by=found.extrapolated_by,
        why=found.why,
    )
    notes = [f"the chart of rates does not hold {len(found.suspects)} of its units: look at them"]
    return fitted, notes if found.suspects else []


def _units(rule: UnitRule, joint: Floats, groups: Indices, runs: Indices, warning: float) -> list[Unit]:
    rows = np.zeros(len(joint), _ROW)
    rows["seq"], rows["layer"], rows["job"], rows["joint"] = np.arange(len(joint)), -1, runs, joint
    _, found = step(rule, start(rule), rows, joint > warning)
    return [unit for unit in found if why_uncharted(rule, unit) is None]
