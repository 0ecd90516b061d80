"""Simulated melt pools held against recorded ones, where the recorded ones are there (docs/data.md)."""

import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.beside_real import FEATURES, measured, overlap, real_runs, simulated

LEAST_OVERLAP = {"area px": 0.4, "length px": 0.4, "width px": 0.35, "peak grey": 0.9, "light grey": 0.35}


def test_area_length_width_peak_and_light_are_distributed_as_in_recorded_frames() -> None:
    data = os.environ.get("FRAMEWATCH_DATA")
    if not data:
        pytest.skip("FRAMEWATCH_DATA is not set: no recorded frames")
    real = measured(np.concatenate(real_runs(Path(data))))
    made = measured(simulated(range(12), every=6)[0])
    assert set(LEAST_OVERLAP) == set(FEATURES)
    for column, name in enumerate(FEATURES):
        assert np.median(made[:, column]) == pytest.approx(np.median(real[:, column]), rel=0.12), name
        assert overlap(real[:, column], made[:, column]) > LEAST_OVERLAP[name], name
