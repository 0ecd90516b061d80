"""The fast path gives what the reference formulas give, whatever the batches, types and memory layouts."""

import itertools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import torch

from calibration import charts, evaluation
from models import cpu
from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparation import Preparation
from models.scorer import Scorer
from models.scores import CHARTS, Precision, Scores
from models.tensors import ChartParameters
from models.trained import Trained, scorer_of
from models.training import TrainingSettings, latents_and_residuals, train

HEIGHT, WIDTH, LATENT = 37, 50, 6  # neither is a multiple of the stem's stride, nor of the window's


def frames_of(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(0, 200, (count, HEIGHT, WIDTH), dtype=np.uint8)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(fresh(HEIGHT, WIDTH, Architecture(LATENT), seed=0), Preparation(HEIGHT, WIDTH, 100.0, 57.0), ())


@pytest.fixture(scope="module")
def parameters(trained: Trained) -> ChartParameters:
    fit = charts.fit(lambda: latents_and_residuals(trained, frames_of(80), chunk=32))
    random = np.random.default_rng(1)
    uneven = fit.residual_scale * random.uniform(0.5, 2.0, (HEIGHT, WIDTH))
    return ChartParameters(fit.latent_mean, fit.whitening, uneven, 0.02, 0.1, window=8, stride=4)


@pytest.fixture(scope="module")
def scorer(trained: Trained, parameters: ChartParameters) -> Scorer:
    return scorer_of(trained, parameters)


def assert_alike(found: Scores, expected: Scores) -> None:
    """To the tolerance that the scorer promises over different batches."""
    assert found.latent == pytest.approx(expected.latent, rel=1e-4, abs=1e-4)
    for chart in CHARTS:
        assert getattr(found, chart) == pytest.approx(getattr(expected, chart), rel=1e-4, abs=1e-4), chart
    assert np.array_equal(found.where, expected.where)


def test_the_fast_path_gives_the_reference_formulas(
    trained: Trained, parameters: ChartParameters, scorer: Scorer
) -> None:
    frames = frames_of(20, seed=5)
    frames[3, 30:, 44:] = 255  # a spot in the corner, where windows are cut by the edge
    z, e = next(latents_and_residuals(trained, frames))
    scaled = e.astype(np.float64) / parameters.residual_scale
    local, where = charts.local(scaled, parameters.window, parameters.stride)
    found = scorer(frames)
    expected_t2 = charts.t2(z.astype(np.float64), parameters.whitening, parameters.latent_mean)
    assert found.t2 == pytest.approx(expected_t2, rel=1e-3)
    assert found.latent == pytest.approx((z - parameters.latent_mean) @ parameters.whitening.T, rel=1e-3, abs=1e-3)
    assert found.s2 == pytest.approx(charts.s2(scaled), rel=1e-4)
    expected_offset = charts.offset(scaled, parameters.offset_mean, parameters.offset_sd)
    assert found.offset == pytest.approx(expected_offset, rel=1e-3, abs=1e-3)
    assert found.local == pytest.approx(local, rel=1e-4)
    assert np.array_equal(found.where, where)
    assert found.where[3].tolist() == [34, 47]


def test_scores_do_not_depend_on_how_the_stream_is_cut(scorer: Scorer) -> None:
    frames = frames_of(70, seed=2)
    whole = scorer(frames)
    for cuts in ([0, 1, 2, 70], [0, 33, 70], list(range(0, 71, 7))):
        parts = [scorer(frames[first:last]) for first, last in itertools.pairwise(cuts)]
        assert_alike(Scores(*map(np.concatenate, zip(*parts, strict=True))), whole)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_several_threads_give_the_same_scores(
    trained: Trained, parameters: ChartParameters, precision: Precision
) -> None:
    one = scorer_of(trained, parameters, precision=precision)
    several = scorer_of(trained, parameters, precision=precision, threads=3)
    for count in (1, 16, 17, 40, 300, 900):
        frames = frames_of(count, seed=count)
        found, expected = several(frames), one(frames)
        if precision == "float32":
            assert_alike(found, expected)
        assert found.t2 == pytest.approx(expected.t2, rel=1e-4, abs=1e-4)
        assert found.s2 == pytest.approx(expected.s2, rel=1e-2)


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_scores_are_the_same_to_the_last_bit_however_the_stream_is_cut(
    trained: Trained, parameters: ChartParameters, threads: int
) -> None:
    frames, scorer = frames_of(150, seed=7), scorer_of(trained, parameters, threads=threads)
    assert scorer.is_compiled
    together = scorer(frames)
    pieces = [scorer(frames[first:last]) for first, last in itertools.pairwise((0, 1, 6, 23, 88, 150))]
    for found, expected in zip(map(np.concatenate, zip(*pieces, strict=True)), together, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_batch_with_pixels_that_are_no_numbers_leaves_no_trace_in_the_next(scorer: Scorer, bad: float) -> None:
    clean = frames_of(10).astype(np.float32)
    spoilt = clean.copy()
    spoilt[[0, 4, 9], :, 11] = bad
    before, found, after = scorer(clean), scorer(spoilt), scorer(clean)
    assert not np.isfinite(found.s2[[0, 4, 9]]).any()
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)


def test_a_decoder_in_bfloat16_moves_no_score_far(trained: Trained, parameters: ChartParameters) -> None:
    frames = frames_of(60, seed=1)
    exact, rounded = scorer_of(trained, parameters), scorer_of(trained, parameters, precision="bfloat16")
    expected, found = exact(frames), rounded(frames)
    assert found.t2 == pytest.approx(expected.t2, rel=1e-5)  # the encoder is in float32, by another engine
    assert found.s2 == pytest.approx(expected.s2, rel=2e-3)
    assert found.local == pytest.approx(expected.local, rel=1e-2)
    assert not np.array_equal(found.s2, expected.s2)
    assert exact.in_precision("bfloat16")(frames).s2.tolist() == found.s2.tolist()


@pytest.mark.parametrize(
    ("architecture", "has", "gains"),
    [
        (Architecture(), True, False),  # compiled loops in float32 take less time
        (Architecture(group=8), True, True),
        (Architecture(group=8), False, False),
    ],
)
def test_bfloat16_is_a_gain_where_torch_scores_on_a_processor_that_has_it(
    trained: Trained,
    parameters: ChartParameters,
    monkeypatch: pytest.MonkeyPatch,
    architecture: Architecture,
    has: bool,
    gains: bool,
) -> None:
    monkeypatch.setattr(cpu, "has_bfloat16", lambda: has)
    architecture = architecture._replace(latent=trained.network.latent)
    other = trained._replace(network=fresh(*trained.preparation.size, architecture, 0))
    assert scorer_of(other, parameters).gains_by_bfloat16 is gains


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixel_types_and_views_score_alike(scorer: Scorer, dtype: str) -> None:
    frames = frames_of(6)
    wide = np.zeros((12, HEIGHT + 3, WIDTH + 5), dtype)
    wide[::2, 3:, :WIDTH] = frames
    view = wide[::2, 3:, :WIDTH]
    view.flags.writeable = False
    assert_alike(scorer(view), scorer(frames))


def test_scores_outlive_the_frames_and_later_scores(scorer: Scorer) -> None:
    for dtype in ("uint8", "uint16", "float32"):
        frames = frames_of(4).astype(dtype)
        untouched = frames.copy()
        scores = scorer(frames)
        assert np.array_equal(frames, untouched)
        kept = Scores(*(one.copy() for one in scores))
        frames[:] = 7
        scorer(frames)
        for one, other in zip(scores, kept, strict=True):
            assert np.array_equal(one, other)


def test_no_frames_give_empty_scores(scorer: Scorer) -> None:
    scores = scorer(frames_of(0))
    assert scores.latent.shape == (0, LATENT)
    assert scores.where.shape == (0, 2)
    assert all(len(getattr(scores, chart)) == 0 for chart in CHARTS)


def test_values_are_the_scores_side_by_side(scorer: Scorer) -> None:
    for scores in (scorer(frames_of(3)), scorer(frames_of(0))):
        assert scores.values.shape == (len(scores.t2), len(CHARTS))
        for index, chart in enumerate(CHARTS):
            np.testing.assert_array_equal(scores.values[:, index], getattr(scores, chart))


def test_scores_have_the_promised_types(scorer: Scorer) -> None:
    for scores in (scorer(frames_of(3)), scorer(frames_of(0))):
        assert {getattr(scores, chart).dtype for chart in CHARTS} == {np.dtype(np.float32)}
        assert scores.latent.dtype == np.float32
        assert scores.where.dtype == np.int16


def test_t2_is_the_squared_length_of_the_latent(scorer: Scorer) -> None:
    scores = scorer(frames_of(9))
    assert scores.t2 == pytest.approx(np.square(scores.latent).sum(axis=1), rel=1e-5)


def test_stored_tensors_make_the_same_scorer_to_the_last_bit(scorer: Scorer, tmp_path: Path) -> None:
    safetensors.numpy.save_file(scorer.tensors(), tmp_path / "scorer.safetensors")
    stored = safetensors.numpy.load_file(tmp_path / "scorer.safetensors")
    again = Scorer(stored, HEIGHT, WIDTH)
    frames = frames_of(5, seed=3)
    for one, other in zip(scorer(frames), again(frames), strict=True):
        assert np.array_equal(one, other)
    for name, tensor in scorer.tensors().items():
        assert np.array_equal(again.tensors()[name], tensor)
        assert again.tensors()[name].dtype == tensor.dtype


def test_tensors_that_do_not_fit_are_refused_by_name(scorer: Scorer) -> None:
    short = scorer.tensors()
    del short["charts.whitening"]
    with pytest.raises(ValueError, match=r"charts\.whitening"):
        Scorer(short, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="64 x 64"):
        Scorer(scorer.tensors(), 64, 64)


def test_frames_of_another_size_or_type_are_refused(scorer: Scorer) -> None:
    for wrong in (np.zeros((1, HEIGHT, WIDTH + 1), np.uint8), np.zeros((1, HEIGHT, WIDTH), np.float64)):
        with pytest.raises(ValueError, match="this scorer takes"):
            scorer(wrong)


def test_a_frame_that_is_not_finite_leaves_its_neighbours_alone(scorer: Scorer) -> None:
    frames = frames_of(5).astype(np.float32)
    expected = scorer(frames)
    frames[2, 4, 4] = np.nan
    found = scorer(frames)
    others = [0, 1, 3, 4]
    assert not np.isfinite(found.s2[2])
    assert_alike(Scores(*(array[others] for array in found)), Scores(*(array[others] for array in expected)))


def test_each_chart_sees_what_it_is_for() -> None:
    """Trained on wandering spots: an even change of brightness, a small spot, noise everywhere."""
    row, column = np.mgrid[:48, :48]
    random = np.random.default_rng(0)

    def normal(count: int) -> npt.NDArray[np.float64]:
        centre = random.uniform(16, 32, (count, 2, 1, 1))
        spot = 120 * np.exp(-((row - centre[:, 0]) ** 2 + (column - centre[:, 1]) ** 2) / 60)
        return 40 + spot + random.normal(0, 5, (count, 48, 48))

    def pixels(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        return frames.clip(0, 255).astype(np.uint8)

    trained = train(pixels(normal(300)), TrainingSettings(Architecture(latent=8), epochs=20, batch=32), lambda *_: None)
    held_out = pixels(normal(200))
    scorer = scorer_of(trained, ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, held_out))[:7]))
    spotted = normal(50)
    spotted[:, 6:9, 40:43] += 40
    shown = {
        "offset": pixels(normal(50) + 12),
        "s2": pixels(normal(50) + random.normal(0, 5, (50, 48, 48))),
        "local": pixels(spotted),
    }
    usual = scorer(pixels(normal(200)))
    for chart, frames in shown.items():
        scores = scorer(frames)
        assert evaluation.auroc(getattr(usual, chart), getattr(scores, chart)).value == pytest.approx(1, abs=0.02)
    assert np.abs(np.median(scorer(shown["local"]).where, axis=0) - [7, 41]).max() <= 2


@pytest.mark.skipif("FRAMEWATCH_DATA" not in os.environ, reason="FRAMEWATCH_DATA is not set: no real frames")
def test_pasted_defects_in_real_micrographs_stand_out() -> None:
    """A short training on every second frame: a floor well below what full training reaches."""
    folder = Path(os.environ["FRAMEWATCH_DATA"]) / "stem-sto"
    frames = np.load(folder / "train.npy")[::2]
    trained = train(frames, TrainingSettings(max_steps=200), lambda *_: None)
    scorer = scorer_of(trained, ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, frames))[:7]))
    normal, defective = (scorer(np.load(folder / name)[::2]) for name in ("test.npy", "defect_SrVacancy.npy"))
    area = evaluation.auroc(normal.local, defective.local).value
    assert area is not None
    assert area > 0.9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_gpu_gives_the_scores_of_the_cpu(trained: Trained, parameters: ChartParameters, dtype: str) -> None:
    frames = frames_of(40).astype(dtype)
    expected, found = scorer_of(trained, parameters)(frames), scorer_of(trained, parameters, "cuda")(frames)
    for chart in CHARTS:  # reduced-precision convolutions, where the device has them
        assert getattr(found, chart) == pytest.approx(getattr(expected, chart), rel=0.02, abs=0.02)
