"""The lens: light is spread, not made, and spread as wide as it says."""

import numpy as np
import pytest

from monitor.camera.meltpool.lens import Lens


def seen(height: int, width: int, lens: Lens, defocus_px: float = 0.0) -> np.ndarray:
    """A single point of light in the middle."""
    light = np.zeros((1, height, width), np.float32)
    light[0, height // 2, width // 2] = 1000.0
    return lens(light, defocus_px)[0]


def width_px(picture: np.ndarray, axis: int) -> float:
    """Standard deviation along *axis*."""
    profile = picture.sum(axis=1 - axis)
    places = np.arange(len(profile))
    middle = (profile * places).sum() / profile.sum()
    return float(np.sqrt((profile * (places - middle) ** 2).sum() / profile.sum()))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (120, 120), (48, 97)])
@pytest.mark.parametrize("veil", [0.0, 0.2])
def test_light_far_from_the_edge_is_kept(height: int, width: int, veil: float) -> None:
    assert seen(height, width, Lens(height, width, 1.2, veil, 4.0)).sum() == pytest.approx(1000.0, rel=0.01)


@pytest.mark.parametrize(("sharp_px", "defocus_px", "wide"), [(1.2, 0.0, 1.2), (1.2, 1.6, 2.0), (3.0, 4.0, 5.0)])
def test_blurs_add_in_squares(sharp_px: float, defocus_px: float, wide: float) -> None:
    picture = seen(121, 101, Lens(121, 101, sharp_px, 0.0, 5.0), defocus_px)
    for axis in (0, 1):
        assert width_px(picture, axis) == pytest.approx(wide, rel=0.02)


def test_the_veil_has_its_share_and_width() -> None:
    veiled = seen(121, 121, Lens(121, 121, 0.01, 0.2, 5.0))
    assert veiled[60, 60] == pytest.approx(800.0, rel=0.01)
    veiled[60, 60] = 0.0
    assert veiled.sum() == pytest.approx(200.0, rel=0.02)
    assert width_px(veiled, 0) == pytest.approx(5.0, rel=0.06)


def test_what_is_spread_out_of_the_frame_is_lost() -> None:
    light = np.zeros((1, 40, 40), np.float32)
    light[0, 0, 20] = 1000.0
    assert Lens(40, 40, 2.0, 0.0, 5.0)(light).sum() == pytest.approx(
        1000.0 * 0.6, rel=0.02
    )  # half, and the edge's own row


def test_small_frames_have_small_lenses() -> None:
    assert seen(16, 16, Lens(16, 16, 0.15, 0.2, 0.7)).sum() == pytest.approx(1000.0, rel=0.1)
