"""Frames that no monitor may call normal: each makes some chart exceed what it shows of normal frames."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from calibration import charts
from models.autoencoder import Architecture
from models.scorer import CHARTS, Scorer
from models.tensors import ChartParameters
from models.training import TrainingSettings, latents_and_residuals, train
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.stem import images

Frames = npt.NDArray[Any]


class Camera(NamedTuple):
    """A scorer that learned a camera's normal frames, the largest score of each chart on others, and yet others."""

    scorer: Scorer
    largest: npt.NDArray[np.float64]  # (charts,)
    frames: Frames


def learned(normal: Callable[[int, int], Frames]) -> Camera:
    """Trained on two runs; *normal* gives so many frames of a run."""
    frames = np.concatenate([normal(400, seed) for seed in (1, 2)])
    settings = TrainingSettings(Architecture(16), max_steps=250, binning="auto", orientation="auto")
    trained = train(frames, settings, lambda *_: None)
    fit = charts.fit(lambda: latents_and_residuals(trained, frames))
    scorer = Scorer(trained, ChartParameters(*fit[:7]))
    held = scorer(np.concatenate([normal(300, seed) for seed in (3, 4)]))
    largest = np.array([getattr(held, chart).max() for chart in CHARTS])
    return Camera(scorer, largest, normal(40, 5))


@pytest.fixture(scope="module")
def melt_pool() -> Camera:
    return learned(lambda count, seed: meltpool.normal_frames(count, seed, 64, 64, 7))


@pytest.fixture(scope="module")
def micrograph() -> Camera:
    return learned(lambda count, seed: images.normal_frames(count, seed, 64, 64, 1))


def uint8(frames: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    return frames.clip(0, 255).astype(np.uint8)


ALTERATIONS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.uint8]]] = {
    "brighter by half": lambda x: uint8(1.5 * x),
    "half as bright": lambda x: uint8(0.5 * x),
    "inverted": lambda x: uint8(255 - x),
    "uniformly offset": lambda x: uint8(x + 20),
    "far-field": lambda x: uint8(np.roll(x, (24, 24), axis=(1, 2))),
    "all dark": lambda x: uint8(0 * x),
    "all white": lambda x: uint8(0 * x + 255),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("camera", ["melt_pool", "micrograph"])
def test_some_chart_fires_on_every_altered_frame(camera: str, alteration: str, request: pytest.FixtureRequest) -> None:
    shown: Camera = request.getfixturevalue(camera)
    scores = shown.scorer(ALTERATIONS[alteration](shown.frames.astype(float)))
    over = np.stack([getattr(scores, chart) for chart in CHARTS], axis=1) > shown.largest
    assert over.any(axis=1).mean() >= 0.95, dict(zip(CHARTS, over.mean(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("camera", ["melt_pool", "micrograph"])
def test_the_same_frames_unaltered_pass(camera: str, request: pytest.FixtureRequest) -> None:
    shown: Camera = request.getfixturevalue(camera)
    scores = shown.scorer(shown.frames)
    over = np.stack([getattr(scores, chart) for chart in CHARTS], axis=1) > shown.largest
    assert over.any(axis=1).mean() <= 0.2
