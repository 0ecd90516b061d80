"""The foil under the probe: how much and how smoothly its thickness and tilt vary."""

import math

import numpy as np
import pytest

from monitor.camera.stem.specimen import BEND_MRAD, SHORTEST_WAVE, THICKNESS_SPREAD, Specimen


def test_the_foil_varies_as_much_as_stated_and_slowly() -> None:
    spots = np.random.default_rng(0).uniform(0.0, 3e5, (20_000, 2))
    local = Specimen(12.0, np.random.default_rng(5)).at(spots)
    assert np.log(local.thickness_nm / 12.0).std() == pytest.approx(THICKNESS_SPREAD, rel=0.1)
    assert np.log(local.thickness_nm / 12.0).mean() == pytest.approx(0.0, abs=0.01)
    assert 1e6 * np.square(local.tilt_rad).sum(axis=1).mean() == pytest.approx(2 * BEND_MRAD**2, rel=0.1)
    beside = Specimen(12.0, np.random.default_rng(5)).at(spots + np.array([1.0, 0.0]))
    steepest = 2 * math.pi / SHORTEST_WAVE
    assert np.log(beside.thickness_nm / local.thickness_nm).std() < steepest * THICKNESS_SPREAD
    assert 1e3 * (beside.tilt_rad - local.tilt_rad).std() < steepest * BEND_MRAD


def test_the_tilt_is_the_slope_of_a_surface() -> None:
    foil = Specimen(12.0, np.random.default_rng(5))
    spots = np.random.default_rng(1).uniform(0.0, 1000.0, (50, 2))
    right, down = 0.5 * np.eye(2)
    along = (foil.at(spots + right).tilt_rad - foil.at(spots - right).tilt_rad)[:, 1]
    across = (foil.at(spots + down).tilt_rad - foil.at(spots - down).tilt_rad)[:, 0]
    np.testing.assert_allclose(along, across, atol=1e-3 * np.abs(along).max())


def test_two_foils_differ() -> None:
    spots = np.zeros((1, 2))
    one, other = (Specimen(12.0, np.random.default_rng(seed)).at(spots) for seed in (1, 2))
    assert one.thickness_nm != other.thickness_nm
