"""Frames as PNG: one scale for what is seen and drawn, no spot vanishes, and colours that everybody can tell apart."""

import numpy as np
import pytest
from viewer_example import pixels_of

from models.scores import Pictures, no_scores
from monitor.viewer.drawing import (
    PALETTE,
    RESIDUAL_LEAST,
    RESIDUAL_MOST,
    SIDE_MOST,
    Drawn,
    draw,
    extremes,
    means,
    scale_of,
)


def drawn_of(
    seen: np.ndarray, drawn: np.ndarray | None = None, residual: np.ndarray | None = None, at: tuple[int, int] = (3, 4)
) -> Drawn:
    images = [np.zeros_like(seen) if one is None else one for one in (seen, drawn, residual)]
    scores = no_scores(1)._replace(where=np.array([at], np.int16))
    return draw(Pictures(*(np.float32(one)[None] for one in images), scores))  # type: ignore[call-arg, arg-type]


def noise(side: int = 64, level: float = 100.0, sd: float = 3.0) -> np.ndarray:
    return np.random.default_rng(0).normal(level, sd, (side, side)).astype(np.float32)


def test_what_is_seen_and_drawn_have_one_scale() -> None:
    seen, drawn = noise(), np.full((64, 64), 120.0, np.float32)
    found = drawn_of(seen, drawn)
    black, white = found.scale
    for uri, image in ((found.seen, seen), (found.drawn, drawn)):
        expected = np.clip((image - black) / (white - black), 0, 1) * 255
        assert pixels_of(uri)[..., 0] == pytest.approx(expected, abs=0.51)


def test_a_saturated_spot_is_white_and_the_rest_keeps_its_shades() -> None:
    seen, drawn = noise(), noise(sd=0.0)
    calm = drawn_of(seen, drawn)
    seen[10:13, 20:23] = 65535
    spotted = drawn_of(seen, drawn)
    shades = pixels_of(spotted.seen)[..., 0]
    assert shades[10:13, 20:23].min() == 255
    assert np.quantile(np.delete(shades, np.s_[10:13], axis=0), 0.99) < 225, "it stands out of the brightest noise"
    assert spotted.scale == pytest.approx(calm.scale, abs=3)


def test_the_core_of_a_small_pool_keeps_its_shape() -> None:
    row, column = np.mgrid[:192, :192]
    pool = 200 * np.exp(-((row - 90) ** 2 + (column - 90) ** 2) / 50)
    found = drawn_of(noise(192, 5, 1) + pool, 5 + pool)
    core = pixels_of(found.drawn)[86:95, 86:95, 0]
    assert core.min() < 220
    assert len(np.unique(core)) > 5


def test_an_even_frame_has_a_scale_too() -> None:
    for level in (0.0, 7.0, -3.0, 1e6):
        even = np.full((8, 8), level, np.float32)
        black, white = scale_of(even, even)
        assert white > black


@pytest.mark.parametrize("shape", [(512, 512), (300, 700), (257, 100)])
def test_no_spot_vanishes_from_a_large_residual(shape: tuple[int, int]) -> None:
    residual = np.zeros(shape, np.float32)
    residual[shape[0] - 1, shape[1] - 1], residual[5, 7] = -20.0, 12.0
    found = drawn_of(np.ones(shape, np.float32), None, residual, at=(shape[0] - 1, shape[1] - 1))
    assert max(found.height, found.width) <= SIDE_MOST
    colours = pixels_of(found.residual)
    assert colours.shape[:2] == (found.height, found.width)
    assert found.where == (found.height - 1, found.width - 1)
    times = -(-max(shape) // SIDE_MOST)
    blue, orange = colours[found.where], colours[5 // times, 7 // times]
    assert blue[2] > blue[0] + 20
    assert orange[0] > orange[2] + 20


def test_cells_at_the_edge_are_the_mean_and_the_extreme_of_what_they_hold() -> None:
    image = np.arange(25, dtype=np.float32).reshape(5, 5) - 12
    assert means(image, 2)[2].tolist() == [8.5, 10.5, 12.0]
    assert means(image, 2)[0, 0] == image[:2, :2].mean()
    assert extremes(image, 2)[0].tolist() == [-12.0, -10.0, -8.0]
    assert extremes(image, 2)[2].tolist() == [9.0, 11.0, 12.0]


def test_noise_is_calm_and_a_blinding_spot_hides_nothing_else() -> None:
    assert drawn_of(noise(), None, noise(level=0, sd=0.5)).residual_most == RESIDUAL_LEAST
    residual = np.zeros((64, 64), np.float32)
    residual[:3, :3], residual[20, 20] = 4000.0, 12.0
    found = drawn_of(noise(), None, residual)
    assert found.residual_most == RESIDUAL_MOST
    assert pixels_of(found.residual)[20, 20].max() > 120


def test_no_number_in_a_frame_stops_the_drawing() -> None:
    odd = noise()
    odd[3, 3], odd[4, 4], odd[5, 5] = np.nan, np.inf, -np.inf
    found = drawn_of(odd, odd, odd)
    assert pixels_of(found.seen).shape == (64, 64, 3)
    assert np.isfinite((*found.scale, found.residual_most)).all()


def test_the_colours_grow_lighter_both_ways_from_the_dark_of_the_page() -> None:
    colours = np.frombuffer(PALETTE, np.uint8).reshape(256, 3).astype(float)
    light = colours @ (0.2126, 0.7152, 0.0722)
    assert np.all(np.diff(light[:128]) <= 0.5)
    assert np.all(np.diff(light[128:]) >= -0.5)
    assert colours[127:129].max() < 40
    assert np.all(colours[:100, 2] > colours[:100, 0]), "blue is less than drawn"
    assert np.all(colours[156:, 0] > colours[156:, 2]), "orange is more"
