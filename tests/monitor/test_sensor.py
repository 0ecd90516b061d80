"""The sensor: grey levels as many electrons say, with the noise that they say; saturation; a pattern of its own."""

import numpy as np
import pytest

from monitor.camera.sensor import Exposed, Sensor, read_out

GAIN = 10.0


def plain(**given: float) -> Sensor:
    """A sensor without pattern and offset."""
    quiet = {"offset_grey": 0.0, "rows_grey": 0.0, "columns_grey": 0.0, "pixels_grey": 0.0, "read_noise_grey": 0.0}
    return Sensor(64, 64, electrons_per_grey=GAIN, **(quiet | given))


def frames(sensor: Sensor, electrons: float, count: int = 60, noisier: float = 1.0) -> np.ndarray:
    exposed = sensor.expose(np.full((count, 64, 64), electrons, np.float32), noisier)
    return read_out(exposed, np.random.default_rng(1)).astype(float)


@pytest.mark.parametrize("electrons", [300.0, 1000.0, 2000.0])
def test_the_mean_is_the_signal_and_the_variance_is_poissons(electrons: float) -> None:
    read = frames(plain(), electrons)
    assert read.mean() * GAIN == pytest.approx(electrons, rel=2e-3)
    rounding = 1 / 12
    assert (read.var() - rounding) * GAIN**2 == pytest.approx(electrons, rel=0.02)


def test_read_noise_is_there_in_the_dark_and_grows_as_asked() -> None:
    for noisier in (1.0, 2.0):
        read = frames(plain(offset_grey=20.0, read_noise_grey=1.5), 0.0, noisier=noisier)
        assert read.mean() == pytest.approx(20.0, abs=0.01)
        assert read.std() == pytest.approx(np.hypot(1.5 * noisier, 12**-0.5), rel=0.02)


def test_too_much_light_saturates_and_never_wraps() -> None:
    for electrons in (2600.0, 1e5, 1e9):
        assert frames(plain(), electrons, 5).min() >= (230 if electrons < 3000 else 255)
    assert frames(plain(read_noise_grey=5.0), 0.0, 5).min() == 0


def test_noise_is_fresh_in_every_frame_and_pixel() -> None:
    read = frames(plain(offset_grey=50.0, read_noise_grey=4.0), 0.0, 200)
    again = read_out(
        Exposed(*plain(offset_grey=50.0, read_noise_grey=4.0).expose(np.zeros((200, 64, 64), np.float32))),
        np.random.default_rng(2),
    )
    for other in (np.roll(read, 1, axis=0), np.roll(read, 1, axis=1), np.roll(read, 1, axis=2), again):
        assert abs(np.corrcoef(read.ravel(), other.ravel())[0, 1]) < 0.01
    assert np.abs(read.mean(axis=0) - 50.0).max() < 6 * 4.0 / np.sqrt(200)


def test_the_pattern_belongs_to_the_sensor() -> None:
    def dark(serial: int) -> np.ndarray:
        sensor = Sensor(64, 64, serial=serial)
        return read_out(sensor.expose(np.zeros((50, 64, 64), np.float32)), np.random.default_rng(3)).mean(axis=0)

    assert np.std(dark(1).mean(axis=1)) > 1.0
    assert np.abs(dark(1) - dark(1)).max() == 0
    assert np.abs(dark(1) - dark(2)).mean() > 1.0
