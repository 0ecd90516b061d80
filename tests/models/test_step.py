"""The step in operations of torch gives the scores of the compiled loops, and those of the formulas in float64."""

from typing import Any

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.scores import CHARTS, Precision, Scores
from models.step import POSE, Step
from tests.models.step_examples import Example, Frames, example, in_float64

EXAMPLES: dict[str, dict[str, Any]] = {
    "no multiple of patch or window": {},
    "other windows": {"window": (7, 3)},
    "a window as large as the frame": {"window": (50, 50)},
    "one pixel a window": {"window": (1, 1)},
    "binned": {"size": (75, 101), "binning": 2},
    "aligned": {"align": True},
    "aligned and binned": {"align": True, "binning": 2, "window": (4, 2)},
    "large patches": {"size": (96, 64), "architecture": Architecture(4, stem_px=8)},
    "depthwise": {"architecture": Architecture(4, group=1)},
    "linear": {"size": (20, 24), "architecture": Architecture(3, linear=True)},
}


@pytest.fixture(scope="module", params=EXAMPLES)
def shown(request: pytest.FixtureRequest) -> Example:
    return example(**EXAMPLES[request.param])


def scored(shown: Example, frames: Frames, precision: Precision = "float32") -> Scores:
    step = Step(*shown.folded, precision)
    packed = step(torch.from_numpy(frames))
    assert packed.shape == (len(frames), step.columns)
    return step.scores(packed.numpy())


def assert_near(found: Scores, expected: Scores, rel: float) -> None:
    assert found.latent == pytest.approx(expected.latent, rel=1e-4, abs=1e-4)
    assert found.t2 == pytest.approx(expected.t2, rel=1e-4, abs=1e-4)
    for chart in CHARTS[1:]:
        assert getattr(found, chart) == pytest.approx(getattr(expected, chart), rel=rel, abs=rel), chart


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_scores_are_those_of_the_compiled_loops(shown: Example, dtype: str) -> None:
    frames = shown.frames.astype(dtype)
    untouched = frames.copy()
    found, expected = scored(shown, frames), shown.scorer(frames)
    if shown.trained.preparation.alignment is None:
        assert_near(found, expected, 1e-4)
        assert np.array_equal(found.where, expected.where)
    else:  # a pixel half-way between two may be picked from either side, as the last bit of the angle falls
        picked_alike = (np.abs(found.s2 / expected.s2 - 1) < 1e-4) & (np.abs(found.t2 - expected.t2) < 1e-4)
        assert picked_alike.mean() > 0.8
        assert_near(
            Scores(*(one[picked_alike] for one in found)), Scores(*(one[picked_alike] for one in expected)), 2e-3
        )
        assert (np.abs(found.where - expected.where)[picked_alike].max(axis=1) <= 1).mean() > 0.95
    assert np.array_equal(frames, untouched)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)


def test_scores_are_the_formulas_of_float64(shown: Example) -> None:
    expected, found = in_float64(shown, shown.frames), scored(shown, shown.frames)
    assert found.latent == pytest.approx(expected["latent"], rel=1e-4, abs=1e-4)
    for chart in CHARTS:
        assert getattr(found, chart) == pytest.approx(expected[chart], rel=1e-4, abs=1e-4), chart
    if shown.trained.preparation.size == shown.frames.shape[1:] and shown.trained.preparation.alignment is None:
        assert np.array_equal(found.where, expected["where"])


def test_a_decoder_in_bfloat16_moves_the_residuals_alone(shown: Example) -> None:
    exact, found = scored(shown, shown.frames), scored(shown, shown.frames, "bfloat16")
    assert np.array_equal(found.latent, exact.latent)
    assert np.array_equal(found.t2, exact.t2)
    linear = shown.trained.network.architecture.linear  # a single product, which stays in float32
    assert np.array_equal(found.s2, exact.s2) == linear
    assert_near(found, exact, 5e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_no_step_asks_the_host_or_leaves_the_device(shown: Example, precision: Precision, dtype: torch.dtype) -> None:
    """On a device without data whatever looks at a value, or mixes devices, fails: so would the capture of a graph."""
    step = Step(*shown.folded, precision, "meta")
    packed = step(torch.empty((8, *shown.frames.shape[1:]), dtype=dtype, device="meta"))
    assert (packed.shape, packed.dtype, packed.device.type) == ((8, step.columns), torch.float32, "meta")


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so_and_spoils_no_other_frame(align: bool, spoilt: float) -> None:
    shown = example(align=align, count=12)
    frames = shown.frames.astype(np.float32)
    expected = scored(shown, frames)
    frames[2, 20, 21] = spoilt
    found = scored(shown, frames)
    assert not np.isfinite(found.s2[2])
    assert not np.isfinite(found.local[2])
    others = np.delete(np.arange(len(frames)), 2)
    assert_near(Scores(*(one[others] for one in found)), Scores(*(one[others] for one in expected)), 1e-4)
    assert ((found.where >= 0) & (found.where < frames.shape[1:])).all()


def test_a_pose_travels_only_where_frames_are_turned() -> None:
    plain, turned = (Step(*example(align=align, count=12).folded) for align in (False, True))
    assert plain.columns == 6 + len(CHARTS) + 1
    assert turned.columns == plain.columns + POSE


def test_scores_outlive_what_they_were_unpacked_from() -> None:
    shown = example()
    step = Step(*shown.folded)
    packed = step(torch.from_numpy(shown.frames)).numpy()
    scores = step.scores(packed)
    kept = Scores(*(one.copy() for one in scores))
    packed[:] = 0
    for one, other in zip(scores, kept, strict=True):
        assert np.array_equal(one, other)
