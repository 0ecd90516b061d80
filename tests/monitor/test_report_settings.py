"""Settings in the report are told in words, with units, and none is lost."""

import pytest

from calibration.camera import CameraLimits
from monitor.report.settings import LEVELS, Value, camera_levels, in_words


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("latent", 32, "32 numbers a frame"),
        ("operations", 1526272, "1,526,272 a frame"),
        ("linear", False, "no"),
        ("variational", True, "yes"),
        ("stem_px", "by size", "by the size of the frames: 4 px, under 32 px 2 px"),
        ("stem_px", 8, "8 px"),
        ("held_out", 0.34, "34 % of them"),
        ("binning", 1, "1 px: none are averaged"),
        ("binning", 2, "2 px"),
        ("seed", 20_250_301, "20250301"),
        ("loss", "squared", "squared error"),
        ("final_loss", 0.012345678, "0.0123457"),
        ("learning_rate", 2e-3, "0.002"),
    ],
)
def test_values_are_told_in_words_with_their_units(name: str, value: Value, told: str) -> None:
    [(words, found)] = in_words({name: value}).items()
    assert found == told
    assert "_" not in words
    assert " " in words


def test_a_setting_that_is_not_known_is_told_by_its_name() -> None:
    assert in_words({"some_new_thing": 3}) == {"some new thing": "3"}


def test_two_settings_never_share_a_name_and_their_order_stays() -> None:
    names = ("steps", "max_steps", "loss", "final_loss", "noise", "window_px")
    told = in_words(dict.fromkeys(names, 1))
    assert len(told) == len(names)
    assert next(iter(told)) == "step whose weights were kept"


def test_every_level_of_the_camera_check_is_told() -> None:
    assert set(LEVELS) == set(CameraLimits._fields)
    told = camera_levels({"dark_spread": 3.5, "frozen_repeats": 2})
    assert told == {
        "camera fault, dark: brightest less darkest pixel below": "3.5 pixel values",
        "camera fault, frozen: repeats of one frame in a row, at least": "2",
    }
