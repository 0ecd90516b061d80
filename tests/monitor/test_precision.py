"""bfloat16 where the processor has it and scores hardly tell; limits are set on the scores of what will score."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from frames import normal

from models.scorer import Scorer
from models.scores import CHARTS
from monitor import precision as precisions
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.precision import errors
from monitor.score import load_scorer
from monitor.types import Precision

RUNS = [Recording(f"run {seed}", normal(40, seed, 16, 16)) for seed in range(4)]


def test_errors_are_shares_of_the_way_from_the_mean_to_the_limit() -> None:
    exact = np.tile(np.arange(1000.0)[:, None] / 1000, (1, len(CHARTS)))  # means of 0.4995
    rounded = exact.copy()
    rounded[:, 1] += 0.01
    rounded[5, 2] += 100.0  # one frame in a thousand is rarer than what is told
    found = errors(exact, rounded, [1.4995] * len(CHARTS))
    assert found == pytest.approx({"t2": 0.0, "s2": 0.01, "offset": 0.0, "local": 0.0})


@pytest.mark.parametrize(
    ("wanted", "gains", "tolerated", "taken"),
    [
        ("auto", True, 1.0, "bfloat16"),
        ("auto", True, 0.0, "float32"),  # rounding moves some score
        ("auto", False, 1.0, "float32"),
        ("float32", True, 1.0, "float32"),
        ("bfloat16", False, 0.0, "bfloat16"),  # a person may insist
    ],
)
def test_the_bundle_says_what_was_taken_and_what_it_costs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Literal["auto"] | Precision,
    gains: bool,
    tolerated: float,
    taken: Precision,
) -> None:
    monkeypatch.setattr(Scorer, "gains_by_bfloat16", property(lambda self: gains))
    monkeypatch.setattr(precisions, "TOLERATED", tolerated)
    settings = Calibration(latent=2, max_steps=15, false_alarm_rate=0.01, precision=wanted)
    bundle = calibrate(RUNS, settings, tmp_path / "bundle")
    manifest = bundle.manifest
    assert (manifest.precision, load_scorer(bundle).precision) == (taken, taken)
    if taken == "float32":
        assert manifest.precision_error == {}
    else:
        assert set(manifest.precision_error) == set(CHARTS)
        assert manifest.precision_error["t2"] == 0.0  # of the encoder, which is in float32
        assert 0 < manifest.precision_error["s2"] < 0.05


def test_limits_are_set_on_the_scores_of_the_precision_that_will_score(tmp_path: Path) -> None:
    bundles = {
        precision: calibrate(
            RUNS,
            Calibration(latent=2, max_steps=15, false_alarm_rate=0.01, precision=precision),
            tmp_path / precision,
        )
        for precision in ("float32", "bfloat16")
    }
    exact, rounded = bundles["float32"].manifest.limits, bundles["bfloat16"].manifest.limits
    assert exact["t2"].value == pytest.approx(rounded["t2"].value, rel=0.2)
    assert exact["s2"].center != rounded["s2"].center
    kept = {group.name for group in bundles["bfloat16"].manifest.groups if group.role == "limits"}
    held = np.concatenate([one.frames for one in RUNS if one.name in kept])
    assert rounded["s2"].center == pytest.approx(float(np.median(load_scorer(bundles["bfloat16"])(held).s2)), rel=1e-6)
