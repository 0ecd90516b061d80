"""What is never still in the microscope's images: lines out of place, the beam's current, and an uneven specimen."""

import math

import numpy as np
import pytest

from monitor.camera.stem.crystal import CRYSTALS
from monitor.camera.stem.images import CURRENT, FRAMES_PER_AREA, LINES_PM, OFFSET, THICKNESS, WAVES_NM, ScanImages

WHITE = 65535


def images(camera: ScanImages, count: int) -> np.ndarray:
    """The next *count* images as shares of full scale, without the dark level."""
    return np.concatenate([shot.pixels for shot, _ in camera.shots(count)]) / WHITE - OFFSET


def test_lines_lie_out_of_place_by_as_much_as_stated() -> None:
    """By the phase of a second order that all columns share; its straight part is rotation and drift."""
    found = []
    for seed in range(4):
        camera = ScanImages(256, 256, seed, dose=1e5, bits=16)
        pixel_pm = camera.pixel_pm * camera.scene.magnification * math.cos(camera.scene.rotation_rad)
        wave = 4 * math.pi / CRYSTALS["SrTiO3"].cell_pm[0]
        waves = np.hanning(256) * np.exp(-1j * wave * pixel_pm * np.arange(256))
        phases = np.unwrap(np.angle(images(camera, 1)[0] @ waves))
        rows = np.arange(256)
        rest = phases - np.polyval(np.polyfit(rows, phases, 1), rows)
        found.append(rest.std() / wave / camera.scene.unrest)
    stated_pm = math.hypot(*(sd for sd, _ in LINES_PM))
    assert np.mean(found) == pytest.approx(stated_pm, rel=0.25)


def test_the_current_wanders_from_image_to_image() -> None:
    """By its steps: over longer times the drift finds thicker and thinner places, which outweigh it."""
    camera = ScanImages(96, 96, 3, pixel_pm=40.0, dose=1e5, bits=16)
    window = np.outer(np.hanning(96), np.hanning(96))
    brightness = np.log((images(camera, FRAMES_PER_AREA) * window).sum(axis=(1, 2)))
    ((sd, memory),) = CURRENT
    step = sd * math.sqrt(2.0 * (1.0 - math.exp(-1.0 / memory)))
    assert np.diff(brightness).std() == pytest.approx(step, rel=0.25)


def test_the_specimen_is_as_uneven_as_stated_and_keeps_its_shape() -> None:
    stated = THICKNESS * math.sqrt(len(WAVES_NM) / 2)
    found = []
    for seed in range(3):
        camera = ScanImages(512, 512, seed, pixel_pm=40.0, dose=1000.0, bits=16)
        one, later = images(camera, 2).reshape(2, 8, 64, 8, 64).mean(axis=(2, 4)).reshape(2, -1)
        found.append(one.std() / one.mean())
        assert np.corrcoef(one, later)[0, 1] > 0.9
    assert np.mean(found) == pytest.approx(stated, rel=0.4)
