"""The latent sweep: principal components as a yardstick, and which size is large enough."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import sweep as sweeping
from models.architecture import Architecture
from models.sweep import (
    BYTES_MAX,
    CHUNK,
    CHUNK_BYTES,
    FRAMES_MAX,
    STEPS_MIN,
    STEPS_SHARE,
    beside_components,
    chunk_of,
    elbow,
    evenly,
    looked_at,
    mean_square,
    pca_errors,
    sweep_latent,
)
from models.trained import Trained
from models.training import TrainingSettings, latents_and_residuals, train

SIZES = (1, 2, 4, 8, 16)


def frames(count: int, seed: int, rank: int = 4, noise_sd: float = 0.1) -> npt.NDArray[np.float32]:
    """Frames (count, 12, 15) that are mixtures of *rank* pictures, which do not depend on *seed*, with noise."""
    pictures = np.random.default_rng(99).normal(size=(rank, 12 * 15))
    rng = np.random.default_rng(seed)
    flat = 3.0 + rng.normal(size=(count, rank)) @ pictures + rng.normal(0, noise_sd, (count, 12 * 15))
    return flat.reshape(count, 12, 15).astype(np.float32)


# Principal components


def test_errors_are_those_of_an_exact_decomposition() -> None:
    train, held = frames(150, 1), frames(60, 2)
    flat, other = (x.reshape(len(x), -1).astype(np.float64) for x in (train, held))
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0))
    expected = []
    for size in SIZES[:3]:
        centred = other - flat.mean(axis=0)
        expected.append(np.square(centred - centred @ axes[:size].T @ axes[:size]).mean())
    np.testing.assert_allclose(pca_errors(train, held, SIZES[:3]), expected, rtol=1e-3)


def test_components_beyond_the_rank_leave_the_noise_alone() -> None:
    errors = pca_errors(frames(400, 1), frames(200, 2), SIZES)
    assert errors[1] > 10 * errors[2]
    np.testing.assert_allclose(errors[2:], 0.1**2, rtol=0.15)


def test_the_same_frames_give_the_same_errors() -> None:
    assert pca_errors(frames(80, 1), frames(40, 2), SIZES) == pca_errors(frames(80, 1), frames(40, 2), SIZES)


def test_frames_that_are_integers_or_flat_are_taken_as_they_are() -> None:
    whole = (frames(50, 1) * 20 + 100).astype(np.uint8)
    flat = whole.reshape(50, -1).astype(np.float32)
    np.testing.assert_allclose(pca_errors(whole, whole[:20], SIZES), pca_errors(flat, flat[:20], SIZES))


def test_more_components_than_frames_leave_what_all_of_them_leave() -> None:
    train, held = frames(5, 1), frames(30, 2)
    errors = pca_errors(train, held, (4, 64))
    assert errors[0] == pytest.approx(errors[1])
    assert errors[0] > 0


def test_constant_frames_have_no_components() -> None:
    same, other = np.full((40, 6, 6), 7, np.uint8), np.full((10, 6, 6), 9, np.uint8)
    assert pca_errors(same, same, (1, 8)) == (0.0, 0.0)
    assert pca_errors(same, other, (1, 8)) == (4.0, 4.0)


@pytest.mark.parametrize(
    ("train", "held", "sizes", "told"),
    [
        (frames(0, 1), frames(3, 2), (1,), "give some of both"),
        (frames(3, 1), frames(0, 2), (1,), "give some of both"),
        (frames(3, 1), frames(3, 2), (0, 1), "at least one dimension, not 0"),
        (np.full((3, 4, 4), np.nan, np.float32), frames(3, 2), (1,), "remove those frames"),
    ],
)
def test_what_cannot_be_decomposed_is_refused(
    train: npt.NDArray[np.float32], held: npt.NDArray[np.float32], sizes: tuple[int, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        pca_errors(train, held, sizes)


@given(st.integers(1, 100_000), st.integers(1, 3000))
def test_frames_are_picked_from_first_to_last_and_never_twice(count: int, most: int) -> None:
    picked = evenly(count, most)
    assert len(picked) == min(count, most)
    assert picked[0] == 0
    assert picked[-1] == (count - 1 if most > 1 else 0)
    assert (np.diff(picked) > 0).all()


def test_a_long_training_set_is_thinned() -> None:
    small = np.broadcast_to(np.uint8(0), (5 * FRAMES_MAX, 64, 64))
    np.testing.assert_array_equal(looked_at(small), evenly(5 * FRAMES_MAX, FRAMES_MAX))
    assert chunk_of(small) == CHUNK


@pytest.mark.parametrize(("side", "count", "drawn"), [(512, 256, 16), (4096, 4, 1), (20_000, 2, 1)])
def test_large_frames_are_thinned_to_what_memory_allows(side: int, count: int, drawn: int) -> None:
    large = np.broadcast_to(np.uint8(0), (3000, side, side))
    assert len(looked_at(large)) == count
    assert chunk_of(large) == drawn
    if side < 10_000:
        assert count * 4 * side**2 <= BYTES_MAX
        assert drawn == 1 or drawn * 4 * side**2 <= CHUNK_BYTES


def test_components_of_large_frames_are_those_of_the_frames_that_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    train, held = frames(80, 1), frames(20, 2)
    expected = pca_errors(train[evenly(80, 10)], held, SIZES)
    monkeypatch.setattr(sweeping, "BYTES_MAX", 10 * train[0].nbytes)
    assert pca_errors(train, held, SIZES) == expected


def test_frames_that_are_decomposed_are_left_as_they_are() -> None:
    train, held = frames(50, 1), frames(20, 2)
    before = train.copy(), held.copy()
    pca_errors(train, held, SIZES)
    np.testing.assert_array_equal(train, before[0])
    np.testing.assert_array_equal(held, before[1])


# The elbow


@pytest.mark.parametrize(
    ("errors", "size"),
    [
        ((1.0, 0.4, 0.1, 0.0999, 0.0998), 4),  # a sharp bend
        ((1.0, 1.0, 1.0, 1.0, 1.0), 1),  # flat: nothing to gain
        ((1.0, 1.004, 0.996, 1.003, 0.999), 1),  # flat but for noise
        ((1.0, 0.4, 0.1, 0.105, 0.1001), 4),  # noise about the floor
        ((0.53, 0.47, 0.54, 0.40, 0.37), 8),  # so noisy that the last step down may be chance
        ((1.0, 0.1, 0.05, 0.5, 0.6), 4),  # large sizes that fail say nothing of the noise before them
        ((1.0, 0.5, 0.25, 0.125, 0.0625), 16),  # still falling: the sweep has not reached its end
        ((1.10, 1.05, 1.02, 1.001, 1.0), 8),  # most of it is the camera's noise, the fall is small but real
        ((0.1, 0.2, 0.4, 0.8, 1.6), 1),  # larger is worse
        ((math.nan, 0.4, 0.1, math.nan, 0.0999), 4),
        ((math.nan, math.nan, 0.3, math.nan, math.nan), 4),
        ((0.0, 0.0, 0.0, 0.0, 0.0), 1),
        ((1.0, 0.1, 0.0, 0.0, 0.0), 4),
    ],
)
def test_the_elbow_is_the_smallest_size_as_good_as_the_best(errors: tuple[float, ...], size: int) -> None:
    assert elbow(SIZES, errors) == size
    assert elbow(SIZES, [1000.0 * error for error in errors]) == size  # whatever the unit


def test_a_single_point_is_its_own_elbow() -> None:
    assert elbow((32,), (0.5,)) == 32


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_the_elbow_does_not_depend_on_the_order_of_sizes(errors: list[float]) -> None:
    sizes = [2**k for k in range(len(errors))]
    assert elbow(sizes, errors) in sizes
    assert elbow(sizes[::-1], errors[::-1]) == elbow(sizes, errors)


def test_no_finite_error_is_refused() -> None:
    with pytest.raises(ValueError, match="train a network of at least one size"):
        elbow((1, 2), (math.nan, math.inf))


# Networks beside components

SETTINGS = TrainingSettings(Architecture(latent=3, linear=True), epochs=50, max_steps=80, learning_rate=0.01)


def large(count: int, seed: int) -> npt.NDArray[np.float32]:
    """`frames` of 24 x 30 pixels: large enough for a network."""
    return frames(count, seed).repeat(2, axis=1).repeat(2, axis=2)


def silent(done: int, steps: int, loss: float, what: str = "") -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(large(50, 1), SETTINGS, silent)


def normalised(trained: Trained, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (pixels - trained.preparation.shift) / trained.preparation.scale


def test_each_size_is_a_network_of_its_own_and_their_elbow_is_chosen() -> None:
    training, held = large(50, 1), large(20, 2)
    sweep = sweep_latent(training, held, SETTINGS, silent)
    assert sweep.sizes == (2, 4, 8, 16)  # the next would need 64 frames
    assert sweep.chosen == elbow(sweep.sizes, sweep.network)
    short = SETTINGS._replace(max_steps=min(max(int(STEPS_SHARE * SETTINGS.max_steps), STEPS_MIN), SETTINGS.max_steps))
    for size, error in zip(sweep.sizes, sweep.network, strict=True):
        alone = train(training, short._replace(architecture=Architecture(latent=size, linear=True)), silent)
        assert error == pytest.approx(mean_square(alone, held))
    assert sweep == sweep_latent(training, held, SETTINGS, silent)


def test_each_size_tells_its_progress_and_gets_a_share_of_the_steps() -> None:
    told: list[tuple[int, int, str]] = []
    long = SETTINGS._replace(epochs=10_000, max_steps=int((STEPS_MIN + 10) / STEPS_SHARE))
    sweep_latent(large(20, 1), large(5, 2), long, lambda done, steps, loss, what: told.append((done, steps, what)))
    steps = STEPS_MIN + 10
    labels = [f"trying latent {size} ({number} of 3 sizes)" for number, size in enumerate((2, 4, 8), start=1)]
    assert told == [(done, steps, label) for label in labels for done in range(10, steps + 1, 10)]


def test_few_frames_are_enough_for_the_smallest_size_alone() -> None:
    sweep = sweep_latent(large(3, 1), large(3, 2), SETTINGS, silent)
    assert sweep.sizes == (2,)
    assert sweep.chosen == 2


def test_the_last_training_frames_stand_in_where_none_are_held_out(trained: Trained) -> None:
    training, none = large(50, 1), large(0, 2)
    alone, beside = (sweep_latent(training, held, SETTINGS, silent) for held in (none, training[-5:]))
    assert alone == beside._replace(measured_on="last of training")
    found, expected = (beside_components(trained, training, held, seed=0) for held in (none, training[-5:]))
    np.testing.assert_array_equal(found.network, expected.network)
    assert found.pca == expected.pca
    assert found.measured_on == "last of training"


def test_frames_that_chose_the_weights_are_told_from_frames_that_the_network_never_knew(trained: Trained) -> None:
    training, held = large(50, 1), large(20, 2)
    stopped = train(training, SETTINGS._replace(max_steps=20), silent, held=held)
    assert beside_components(stopped, training, held, seed=0).measured_on == "chose the weights"
    assert beside_components(trained, training, held, seed=0).measured_on == "held out"
    short = SETTINGS._replace(max_steps=20)
    assert sweep_latent(large(3, 1), held, short, silent)[-2:] == (False, "held out")


def test_a_single_network_stands_beside_components_of_every_size(trained: Trained) -> None:
    training, held = large(50, 1), large(20, 2)
    beside = beside_components(trained, training, held, seed=0)
    assert beside.sizes == (2, 3, 4, 8, 16)
    assert (beside.chosen, beside.given) == (3, True)
    np.testing.assert_array_equal(beside.network, [math.nan, mean_square(trained, held), *[math.nan] * 3])
    expected = pca_errors(normalised(trained, training), normalised(trained, held), beside.sizes)
    np.testing.assert_allclose(beside.pca, expected, rtol=1e-4)
    assert beside.pca[1] < beside.network[1]  # the best that a linear network can do


def test_the_mean_square_is_that_of_all_residuals(trained: Trained) -> None:
    held = large(300, 2)  # more than are drawn at a time
    _, e = next(latents_and_residuals(trained, held, chunk=300))
    assert mean_square(trained, held) == pytest.approx(float(np.square(e).mean()))


def test_the_mean_square_of_a_long_recording_is_that_of_frames_from_all_of_it(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = np.concatenate((large(40, 2), large(40, 3) + 5))
    monkeypatch.setattr(sweeping, "FRAMES_MAX", 10)
    assert mean_square(trained, held) == mean_square(trained, held[evenly(80, 10)])
    assert mean_square(trained, held[:40]) < mean_square(trained, held) < mean_square(trained, held[40:])
