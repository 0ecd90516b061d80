"""Plane waves: of their length, in every direction, and the same field whichever way it is asked for."""

import math

import numpy as np
import pytest

from monitor.camera.stem.waves import Waves


def drawn(count: int, length: float, seed: int = 1) -> Waves:
    return Waves.drawn(np.full(count, length), np.random.default_rng(seed))


def test_a_grid_shows_the_sum_of_what_its_places_show() -> None:
    waves = Waves.drawn(np.array([10.0, 23.0, 41.0]), np.random.default_rng(2))
    x, y = np.linspace(-30.0, 20.0, 13), np.linspace(100.0, 140.0, 7)
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(waves.over(x, y), waves.at(places).sum(axis=1).reshape(7, 13), atol=1e-9)


def test_a_wave_repeats_after_its_length_along_its_direction_and_never_changes_across_it() -> None:
    waves = drawn(1, 17.0)
    (along,), across = waves.directions, np.array([-waves.directions[0, 1], waves.directions[0, 0]])
    start = np.random.default_rng(3).uniform(-50.0, 50.0, (40, 2))
    for step in (17.0 * along, 4.0 * across):
        np.testing.assert_allclose(waves.at(start + step), waves.at(start), atol=1e-9)
    np.testing.assert_allclose(waves.at(start + 8.5 * along), -waves.at(start), atol=1e-9)


def test_waves_go_every_way_with_every_phase_and_have_the_amplitude_1() -> None:
    waves = drawn(4000, 10.0)
    assert np.abs(waves.directions.mean(axis=0)).max() < 0.05
    assert abs(np.exp(1j * waves.phases).mean()) < 0.05
    np.testing.assert_allclose(np.hypot(*waves.directions.T), 1.0)
    assert waves.at(np.zeros((1, 2))).std() == pytest.approx(math.sqrt(0.5), rel=0.03)
