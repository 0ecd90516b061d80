"""How frames deviate from normal, without torch where compiled loops score: latents and residuals as torch has them."""

import numpy as np
import pytest

from models.architecture import Architecture
from models.cpu import in_patches, of_patches
from models.reconstruction import reconstruct
from models.tiles import Tiling
from models.trained import scorer_of
from tests.models.step_examples import SMALL, example

LOOPS, TORCH = SMALL, Architecture(latent=6, channels=(6, 10))


@pytest.mark.parametrize("options", [{}, {"binning": 2}, {"align": True}])
@pytest.mark.parametrize("architecture", [LOOPS, TORCH], ids=["in loops", "in torch"])
def test_residuals_are_those_of_the_reconstruction_and_latents_those_of_the_scores(
    architecture: Architecture, options: dict[str, int]
) -> None:
    shown = example((64, 70), count=70, architecture=architecture, **options)
    assert shown.scorer.is_compiled == (architecture is LOOPS)
    found = shown.scorer.deviations(shown.frames)
    apart = np.abs(found.residual - reconstruct(shown.scorer, shown.frames).residual)
    assert np.mean(apart < 2e-3) > 0.9999, "rounding decides which pixel a turned frame takes where two are as near"
    assert np.array_equal(found.latent, shown.scorer(shown.frames).latent)


def test_a_decoder_in_bfloat16_does_not_blur_the_residual() -> None:
    shown = example(count=5)
    coarse = shown.scorer.in_precision("bfloat16")
    assert coarse.deviations(shown.frames).residual == pytest.approx(
        shown.scorer.deviations(shown.frames).residual, abs=2e-3
    )


def test_an_image_deviates_as_its_most_local_tile_does() -> None:
    shown = example((50, 50), count=4)
    scorer = scorer_of(shown.trained, shown.parameters, tiling=Tiling(90, 121, 50, 8))
    images = np.random.default_rng(0).integers(90, 110, (2, 90, 121)).astype(np.uint8)
    images[1, 70:73, 100:103] = 255
    found = scorer.deviations(images)
    assert found.residual.shape == (2, 50, 50)
    assert scorer.tiling is not None
    last = scorer.tiling.cut(images, 2 * scorer.tiling.count - 1, 2 * scorer.tiling.count)
    assert found.latent[1] == pytest.approx(shown.scorer.deviations(last).latent[0], rel=1e-5)


def test_who_knows_where_an_image_is_worst_gets_the_same_from_a_look_at_the_tiles_around() -> None:
    shown = example((50, 50), count=4)
    scorer = scorer_of(shown.trained, shown.parameters, tiling=Tiling(150, 160, 50, 8))
    images = np.random.default_rng(0).integers(90, 110, (12, 150, 160)).astype(np.uint8)
    for index, image in enumerate(images[:-2]):
        image[13 * index : 13 * index + 3, 14 * index : 14 * index + 3] = 255  # in one tile, or where several meet
    expected, places = scorer.deviations(images), scorer(images).where
    found = scorer.deviations(images, places)
    assert np.array_equal(found.latent, expected.latent)
    assert np.array_equal(found.residual, expected.residual)
    places[3:] = -1
    assert np.array_equal(scorer.deviations(images, places).latent, expected.latent), "where nobody knows, all are seen"


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (13, 5)])
def test_patches_are_put_together_as_they_were_taken_apart(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).normal(size=size).astype(np.float32)
    grid = -(-size[0] // 4), -(-size[1] // 4)
    assert np.array_equal(of_patches(in_patches(grid, 4, pixels)[None], 4, size)[0], pixels)
