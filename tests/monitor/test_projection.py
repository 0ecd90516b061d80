"""Columns as a scan shows them: Gaussians where they are, however the picture is cut, shaken and sheared."""

import numpy as np
import pytest

from monitor.camera.stem.projection import Scan, project


def still(images: int, lines: int) -> Scan:
    return Scan(np.zeros((images, 2)), np.zeros((images, 2)), np.zeros((images, lines)))


def test_columns_are_gaussians_where_they_are_across_the_seams_of_the_tiles() -> None:
    rng = np.random.default_rng(1)
    count, shape, pixel_pm = 60, (150, 130), 20.0
    places = rng.uniform(-1600.0, 1600.0, (2, count, 2))
    peaks, widths = rng.uniform(0.2, 1.0, (2, count)), rng.uniform(40.0, 80.0, (2, count))
    images = project(places, peaks, widths, still(2, shape[0]), shape, pixel_pm)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    y, x = pixel_pm * (rows - (shape[0] - 1) / 2), pixel_pm * (columns - (shape[1] - 1) / 2)
    for image, place, peak, width in zip(images, places, peaks, widths, strict=True):
        squared = (x[..., None] - place[:, 0]) ** 2 + (y[..., None] - place[:, 1]) ** 2
        np.testing.assert_allclose(image, (peak * np.exp(-squared / (2 * width**2))).sum(axis=-1), atol=1e-3)


def test_a_line_out_of_place_shows_what_lies_there() -> None:
    lines = np.random.default_rng(2).normal(0.0, 8.0, (1, 64))
    scan = still(1, 64)._replace(lines_pm=lines)
    image = project(np.zeros((1, 1, 2)), np.ones((1, 1)), np.full((1, 1), 60.0), scan, (64, 64), 20.0)[0]
    at = 20.0 * (np.arange(64) - 31.5)
    exact = np.exp(-((at + lines[0][:, None]) ** 2 + at[:, None] ** 2) / (2 * 60.0**2))
    np.testing.assert_allclose(image, exact, atol=0.01)


def test_drift_within_an_image_shears_and_stretches_it() -> None:
    drift = np.array([[256.0, -128.0]])
    places = np.array([[[0.0, y] for y in (-480.0, 0.0, 480.0)]])
    scan = still(1, 64)._replace(drift_pm=drift)
    image = project(places, np.ones((1, 3)), np.full((1, 3), 40.0), scan, (64, 64), 20.0)[0]
    pitch = 20.0 - 128.0 / 64
    for y in (-480.0, 0.0, 480.0):
        row, column = 31.5 + y / pitch, 31.5 - 256.0 * (y / pitch / 64) / 20.0
        part = image[round(row) - 5 : round(row) + 6]
        rows, columns = np.mgrid[round(row) - 5 : round(row) + 6, :64]
        assert (part * rows).sum() / part.sum() == pytest.approx(row, abs=0.1)
        assert (part * columns).sum() / part.sum() == pytest.approx(column, abs=0.1)
