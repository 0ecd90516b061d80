"""Batches go to a device in pieces that are captured, and come back as if they had been scored one by one.

Without a GPU the engine takes the same steps on the processor, but for streams and graphs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import cuda
from models.cuda import PIXELS_MOST, SIZES, CudaEngine, cuts, is_there, sizes_for
from models.scorer import Scorer
from models.scores import CHARTS, Precision, Scores
from models.tiles import Tiling
from models.trained import scorer_of
from tests.models.step_examples import Example, example

on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=on_gpu)]
MANY = 2 * SIZES[-1] + 77


@pytest.fixture(scope="module")
def shown() -> Example:
    return example(size=(24, 32), count=MANY)


@pytest.fixture(scope="module", params=DEVICES)
def engine(request: pytest.FixtureRequest, shown: Example) -> CudaEngine:
    return CudaEngine(*shown.folded, device=request.param)


@pytest.fixture(scope="module")
def expected(shown: Example) -> Scores:
    return shown.scorer(shown.frames)


def nothing() -> None:
    pass


def assert_near(found: Scores, expected: Scores, rel: float = 1e-3) -> None:
    assert found.latent == pytest.approx(expected.latent, rel=1e-3, abs=1e-3)
    for chart in CHARTS:
        assert getattr(found, chart) == pytest.approx(getattr(expected, chart), rel=rel, abs=rel), chart


def part(scores: Scores, wanted: slice | npt.NDArray[np.intp]) -> Scores:
    return Scores(*(one[wanted] for one in scores))


@given(st.integers(1, 5000), st.sets(st.integers(1, 700), min_size=1, max_size=5).map(lambda some: tuple(sorted(some))))
def test_every_frame_goes_once_and_in_order(count: int, sizes: tuple[int, ...]) -> None:
    made = cuts(count, sizes)
    assert [frame for first, last, _ in made for frame in range(first, last)] == list(range(count))
    for first, last, size in made:
        assert 0 < last - first <= size
        assert size == min(one for one in sizes if one >= last - first)
    assert all(last - first == sizes[-1] for first, last, _ in made[:-1])


@given(st.integers(1, 4096**2))
def test_captured_batches_fit_into_memory(pixels: int) -> None:
    sizes = sizes_for(pixels)
    assert sizes == SIZES[: len(sizes)]
    assert len(sizes) >= 1
    assert all(size * pixels <= PIXELS_MOST for size in sizes[1:])
    if len(sizes) < len(SIZES):
        assert SIZES[len(sizes)] * pixels > PIXELS_MOST


def test_small_frames_are_captured_in_every_size() -> None:
    assert sizes_for(192 * 192) == SIZES


@pytest.mark.parametrize("count", [1, 7, 8, 9, 32, 100, 512, 513, 600, MANY])
def test_scores_do_not_depend_on_how_many_come_together(
    engine: CudaEngine, shown: Example, expected: Scores, count: int
) -> None:
    calls: list[None] = []
    found = engine(shown.frames[:count], lambda: calls.append(None))
    assert_near(found, part(expected, slice(count)))
    assert np.array_equal(found.where, expected.where[:count])
    assert len(calls) == len(cuts(count, engine.sizes))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">u2", ">f4"])
def test_pixel_types_and_views_score_alike(engine: CudaEngine, shown: Example, expected: Scores, dtype: str) -> None:
    wide = np.zeros((80, 24 + 3, 32 + 5), dtype)
    wide[::2, 3:, :32] = shown.frames[:40]
    view = wide[::2, 3:, :32]
    view.flags.writeable = False
    assert_near(engine(view, nothing), part(expected, slice(40)))


def test_scores_outlive_the_frames_and_later_scores(engine: CudaEngine, shown: Example) -> None:
    frames = shown.frames[:40].copy()
    scores = engine(frames, nothing)
    kept = Scores(*(one.copy() for one in scores))
    frames[:] = 7
    for _ in range(3):
        engine(frames, nothing)
    for one, other in zip(scores, kept, strict=True):
        assert np.array_equal(one, other)


def test_a_frame_that_is_not_finite_leaves_its_neighbours_and_later_batches_alone(
    engine: CudaEngine, shown: Example, expected: Scores
) -> None:
    frames = shown.frames[:20].astype(np.float32)
    frames[2, 4, 4] = np.nan
    found = engine(frames, nothing)
    others = np.delete(np.arange(20), 2)
    assert not np.isfinite(found.s2[2])
    assert_near(part(found, others), part(expected, others))
    # What the bad frame left in memory fills up the next batch.
    frames[:2] = shown.frames[:2]
    assert_near(engine(frames[:2], nothing), part(expected, slice(2)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_scorer_scores_on_its_device(device: str, precision: Precision) -> None:
    shown = example(count=12)
    scorer = scorer_of(shown.trained, shown.parameters, device, precision=precision)
    found, expected = scorer(shown.frames), scorer_of(shown.trained, shown.parameters)(shown.frames)
    assert_near(found, expected, 1e-3 if precision == "float32" else 1e-2)
    other = scorer.in_precision("float32")
    assert (other.device, other.precision) == (device, "float32")
    stored = Scorer(scorer.tensors(), 37, 50, device, precision)
    assert_near(stored(shown.frames), found)


@pytest.mark.parametrize("device", DEVICES)
def test_images_in_tiles_score_on_a_device(device: str) -> None:
    shown = example(size=(24, 24), count=4)
    tiling = Tiling(60, 75, 24, 6)
    images = np.random.default_rng(0).integers(0, 255, (5, 60, 75), dtype=np.uint8)
    expected = scorer_of(shown.trained, shown.parameters, tiling=tiling)(images)
    found = scorer_of(shown.trained, shown.parameters, device, tiling)(images)
    assert_near(found, expected)
    assert np.array_equal(found.where, expected.where)


def test_other_devices_are_refused(shown: Example) -> None:
    with pytest.raises(ValueError, match="cpu or cuda, not meta"):
        scorer_of(shown.trained, shown.parameters, "meta")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_device_is_there_where_torch_sees_none() -> None:
    assert not is_there("cuda")
    assert not is_there("cuda:3")


class TestOnAGpu:
    """What a processor cannot show: graphs, page-locked memory, aligned frames on the device."""

    pytestmark = on_gpu

    @pytest.mark.parametrize("align", [False, True])
    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_graphs_give_what_single_launches_give(self, align: bool, precision: Precision) -> None:
        shown = example(align=align, count=70)
        captured, launched = (
            CudaEngine(*shown.folded, precision, "cuda", captured=captured) for captured in (True, False)
        )
        for count in (1, 8, 30, 70):
            found, expected = (one(shown.frames[:count], nothing) for one in (captured, launched))
            assert_near(found, expected, 1e-3 if precision == "float32" else 1e-2)
            assert np.array_equal(found.where, expected.where)

    @pytest.fixture
    def locked(self, shown: Example) -> Iterator[npt.NDArray[Any]]:
        frames = shown.frames.copy()
        assert cuda.pin(frames)
        yield frames
        cuda.unpin(frames)

    def test_page_locked_frames_are_copied_from_where_they_lie(
        self, shown: Example, locked: npt.NDArray[Any], expected: Scores
    ) -> None:
        assert cuda._page_locked(locked) is not None
        assert cuda._page_locked(locked[100:200]) is not None
        assert cuda._page_locked(shown.frames) is None
        engine = CudaEngine(*shown.folded)
        assert_near(engine(locked, nothing), expected)
        scores = engine(locked[500:], nothing)
        locked[:] = 0  # nothing reads them any more
        assert_near(scores, part(expected, slice(500, None)))

    def test_memory_that_is_locked_already_is_refused_and_scores_go_on(
        self, shown: Example, locked: npt.NDArray[Any], expected: Scores
    ) -> None:
        assert not cuda.pin(locked)
        assert_near(CudaEngine(*shown.folded)(locked, nothing), expected)

    def test_a_device_that_is_not_there(self) -> None:
        assert is_there("cuda")
        assert is_there("cuda:0")
        assert not is_there(f"cuda:{torch.cuda.device_count()}")
