"""Frames that no monitor may call normal: some chart fires on each of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from calibration import charts
from calibration.limits import JointScale, fit_limits
from models.autoencoder import Architecture
from models.scorer import CHARTS, Scorer, Scores
from models.tensors import ChartParameters
from models.training import TrainingSettings, latents_and_residuals, train
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.stem import images

Frames = npt.NDArray[Any]


RATE = 0.01


class Camera(NamedTuple):
    """A scorer that learned a camera's normal frames, the joint scale of limits on others, and yet others."""

    scorer: Scorer
    joint: JointScale
    frames: Frames

    def flagged(self, frames: Frames) -> float:
        """The share of *frames* over a limit."""
        return float((self.joint(values_of(self.scorer(frames)))[0] > 1).mean())


def values_of(scores: Scores) -> npt.NDArray[np.float64]:
    return np.stack([getattr(scores, chart) for chart in CHARTS], axis=1).astype(np.float64)


def learned(normal: Callable[[int, int], Frames]) -> Camera:
    """Trained on two runs; *normal* gives so many frames of a run."""
    frames = np.concatenate([normal(400, seed) for seed in (1, 2)])
    settings = TrainingSettings(Architecture(16), max_steps=250, binning="auto", orientation="auto")
    trained = train(frames, settings, lambda *_: None)
    fit = charts.fit(lambda: latents_and_residuals(trained, frames))
    scorer = Scorer(trained, ChartParameters(*fit[:7]))
    held = scorer(np.concatenate([normal(300, seed) for seed in (3, 4)]))
    return Camera(scorer, JointScale(fit_limits(values_of(held), RATE, resamples=1)), normal(40, 5))


@pytest.fixture(scope="module")
def melt_pool() -> Camera:
    return learned(lambda count, seed: meltpool.normal_frames(count, seed, 64, 64, 7))


@pytest.fixture(scope="module")
def micrograph() -> Camera:
    return learned(lambda count, seed: images.normal_frames(count, seed, 64, 64, 1))


def uint8(frames: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    return frames.clip(0, 255).astype(np.uint8)


def shifted_out(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """*frames* (n, h, w) moved by three quarters of a side both ways; what comes in is as bright as their edges."""
    away = 3 * frames.shape[1] // 4
    edges = np.median(np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1), axis=1)
    moved = np.broadcast_to(edges[:, None, None], frames.shape).copy()
    moved[:, away:, away:] = frames[:, :-away, :-away]
    return moved


ALTERATIONS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.uint8]]] = {
    "brighter by half": lambda x: uint8(1.5 * x),
    "half as bright": lambda x: uint8(0.5 * x),
    "inverted": lambda x: uint8(255 - x),
    "uniformly offset": lambda x: uint8(x + 20),
    "far-field": lambda x: uint8(shifted_out(x)),
    "all dark": lambda x: uint8(0 * x),
    "all white": lambda x: uint8(0 * x + 255),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("camera", ["melt_pool", "micrograph"])
def test_every_altered_frame_is_over_a_limit(camera: str, alteration: str, request: pytest.FixtureRequest) -> None:
    shown: Camera = request.getfixturevalue(camera)
    assert shown.flagged(ALTERATIONS[alteration](shown.frames.astype(float))) == 1.0


@pytest.mark.parametrize("camera", ["melt_pool", "micrograph"])
def test_the_same_frames_unaltered_pass(camera: str, request: pytest.FixtureRequest) -> None:
    shown: Camera = request.getfixturevalue(camera)
    assert shown.flagged(shown.frames) <= 0.15
