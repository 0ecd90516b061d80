"""A bundle whose limits keep to a false-alarm budget, made of another one's network, and frames to go with it."""

from pathlib import Path

import msgspec
from frames import normal

from monitor import bundle as bundles
from monitor.budget import FittedStops
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Config, Events
from monitor.limits import by_chart, set_limits
from monitor.score import load_scorer

RATE_HZ = 100.0
PER_HOUR = 60.0  # a share of 0.005 of blocks of 0.3 s: of the 56 blocks that set the limits too few by three times
EVENTS = Events(k=2, n=3)
SETTINGS = Calibration(false_alarms_per_hour=PER_HOUR, false_alarm_rate=0.01, memories_s=(0.1,))
CONFIG = Config(events=EVENTS, calibration=SETTINGS)


def stretches(count: int = 3, frames: int = 700, seed: int = 40) -> list[Recording]:
    """Clean stretches of so many *frames*, each a run of its own."""
    return [Recording(f"stretch {number}", normal(frames, seed + number)) for number in range(count)]


def with_budget(bundle: Bundle, out: Path) -> Bundle:
    """*bundle* at *out* with limits that keep to PER_HOUR by EVENTS at RATE_HZ, by three stretches of their own."""
    found, _held, _scores = set_limits(stretches(), load_scorer(bundle), {}, SETTINGS, EVENTS, RATE_HZ)
    manifest = msgspec.structs.replace(
        bundle.manifest,
        budget=found.budget,
        memory=found.memory,
        rates=found.rates,
        drift=found.drift,
        limits=by_chart(found.charts, found.limits.pooled),
        warnings=found.warnings,
    )
    return bundles.write(out, manifest, bundle.tensors, None)


def with_stops(bundle: Bundle, out: Path, times: float) -> Bundle:
    """*bundle* at *out*, with a limit for stops so many times the action limit."""
    held = with_budget(bundle, out / "alarms")
    budget = held.manifest.budget
    assert budget is not None
    same = {name: getattr(budget, name) for name in FittedStops.__struct_fields__}
    stops = FittedStops(**same | {"action": times * budget.action, "k": 3, "n": 4, "asked_per_hour": 6.0})
    manifest = msgspec.structs.replace(held.manifest, budget=msgspec.structs.replace(budget, stops=stops))
    return bundles.write(out / "stops", manifest, held.tensors, None)
