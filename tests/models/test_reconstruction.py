"""What is shown of a frame is what the network sees and draws, in the frame's own units."""

import numpy as np
import pytest

from calibration import charts
from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparation import Preparation
from models.reconstruction import reconstruct
from models.tensors import ChartParameters
from models.tiles import Tiling, random_tiles
from models.trained import Trained, scorer_of
from models.training import latents_and_residuals
from tests.models.step_examples import example

LATENT = 6


def test_what_is_drawn_and_the_residual_add_up_to_the_frame() -> None:
    shown = example(count=4)
    seen, drawn, residual = reconstruct(shown.scorer, shown.frames)
    scale = shown.parameters.residual_scale * shown.trained.preparation.scale
    assert seen == pytest.approx(shown.frames.astype(np.float64), abs=1e-2)
    assert drawn + residual * scale == pytest.approx(seen, abs=1e-2)


def test_the_residual_is_that_of_the_scores() -> None:
    shown = example(binning=2, count=5)
    assert charts.s2(reconstruct(shown.scorer, shown.frames).residual) == pytest.approx(
        shown.scorer(shown.frames).s2, rel=1e-4
    )


@pytest.mark.parametrize("tiling", [None, Tiling(90, 121, 50, 8)])
def test_of_no_frames_nothing_is_shown(tiling: Tiling | None) -> None:
    shown = example((50, 50), count=4)
    scorer = scorer_of(shown.trained, shown.parameters, tiling=tiling)
    found = reconstruct(scorer, np.empty((0, scorer.height, scorer.width), np.uint8))
    assert {one.shape for one in found} == {(0, scorer.height, scorer.width)}


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="this scorer takes"):
        reconstruct(example(count=4).scorer, np.empty((1, 8, 8), np.uint8))


@pytest.mark.parametrize("binning", [1, 3])
def test_a_reconstruction_is_in_the_pixels_of_the_image(binning: int) -> None:
    side = 50
    trained = Trained(
        fresh(-(-side // binning), -(-side // binning), Architecture(LATENT), 0),
        Preparation(side, side, 100.0, 23.0, binning),
        (),
    )
    tiles = random_tiles(np.random.default_rng(0).integers(60, 140, (20, 90, 90), dtype=np.uint8), side, 100)
    parameters = ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, tiles))[:7])
    scorer = scorer_of(trained, parameters, tiling=Tiling(90, 121, side, 8))
    images = np.full((2, 90, 121), 100, np.uint8)
    images[1, :, 60:] = 130
    seen, drawn, residual = reconstruct(scorer, images)
    assert seen.shape == drawn.shape == residual.shape == images.shape
    assert seen == pytest.approx(images, abs=30 if binning > 1 else 1e-3)
    assert seen[:, :, :50] == pytest.approx(images[:, :, :50], abs=1e-3)
