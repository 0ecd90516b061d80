"""Frames that no monitor may call normal: some chart fires on each of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from calibration import charts
from calibration.limits import fit_limits
from calibration.scale import JointScale
from models.architecture import Architecture
from models.scorer import Scorer
from models.scores import CHARTS, Scores
from models.tensors import ChartParameters
from models.trained import scorer_of
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


def learned(frames: Frames, held: Frames, shown: Frames) -> Camera:
    """Trained on normal *frames*, with limits from *held* ones."""
    settings = TrainingSettings(Architecture(16), max_steps=250, binning="auto", orientation="auto")
    trained = train(frames, settings, lambda *_: None)
    fit = charts.fit(lambda: latents_and_residuals(trained, frames))
    scorer = scorer_of(trained, ChartParameters(*fit[:7]))
    return Camera(scorer, JointScale(fit_limits(values_of(scorer(held)), RATE, resamples=1)), shown)


def melt_pool() -> Camera:
    """Each run is a machine of its own: brightness, focus and noise differ."""

    def runs(count: int, seeds: range) -> Frames:
        return np.concatenate([meltpool.normal_frames(count, seed, 64, 64, 7) for seed in seeds])

    return learned(runs(60, range(20)), runs(45, range(20, 40)), runs(4, range(40, 50)))


def micrograph() -> Camera:
    """One session: from one to the next, dose and thickness change more than some of these alterations."""
    frames = images.normal_frames(1440, 5, 64, 64, 1)
    return learned(frames[:800], frames[800:1400], frames[1400:])


def uint8(frames: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    return frames.clip(0, 255).astype(np.uint8)


def shifted_out(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """*frames* (n, h, w) moved by three quarters of a side both ways; what comes in is drawn from their edges."""
    away = 3 * frames.shape[1] // 4
    edges = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1)
    drawn = np.random.default_rng(0).integers(0, edges.shape[1], (len(frames), frames[0].size))
    moved = np.take_along_axis(edges, drawn, axis=1).reshape(frames.shape)
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


@pytest.mark.parametrize("camera", [melt_pool, micrograph])
def test_every_altered_frame_is_over_a_limit_and_the_same_unaltered_pass(camera: Callable[[], Camera]) -> None:
    shown = camera()
    frames = shown.frames.astype(float)
    assert {name: shown.flagged(alter(frames)) for name, alter in ALTERATIONS.items()} == dict.fromkeys(
        ALTERATIONS, 1.0
    )
    assert shown.flagged(shown.frames) <= 0.15
