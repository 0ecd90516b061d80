"""Training is repeatable, leaves no trace outside, and learns what normal frames look like."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from models.architecture import Architecture
from models.losses import bounded_mean
from models.trained import Trained
from models.training import CHECKPOINTS, PATIENCE, TrainingSettings, dimming_of, latents_and_residuals, train

SMALL = Architecture(latent=8, channels=(8, 16, 16))
QUICK = TrainingSettings(SMALL, epochs=3, batch=16)
LONGER = TrainingSettings(SMALL, epochs=15, batch=25, learning_rate=1e-2)
FORGETFUL = TrainingSettings(
    Architecture(latent=16, linear=True), epochs=100, batch=16, learning_rate=1e-2, noise=0.0, dimming=0.0
)
"""Learns by heart what it is shown: what it makes of other frames soon gets worse."""

LINEAR: dict[str, Any] = {"architecture": SMALL._replace(linear=True), "learning_rate": 0.02, "epochs": 60}
OPTIONS: list[dict[str, Any]] = [
    {"architecture": SMALL._replace(group=1)},
    {"architecture": SMALL._replace(group=8)},
    {"architecture": SMALL._replace(stem_px=2)},
    LINEAR,
    {"loss": "poisson"},
    {"noise": 0.0},
    {"brightness": 0.2, "contrast": 0.2},
    {"sparsity": 0.01},
    {"variational": True},
    {"variational": True, "loss": "poisson"},
    {**LINEAR, "variational": True},
    {"orientation": "augment"},
    {"binning": 2},
]


def blobs(count: int, side: int = 32, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Bright spots that wander over a dim, noisy ground."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side]
    centre = random.uniform(side / 3, 2 * side / 3, (count, 2, 1, 1))
    spot = 180 * np.exp(-((row - centre[:, 0]) ** 2 + (column - centre[:, 1]) ** 2) / 18)
    return (20 + spot + random.normal(0, 4, (count, side, side))).clip(0, 255).astype(np.uint8)


def sized(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Spots in the middle that are brighter the larger they are."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:32, :32] - 15.5
    size = random.uniform(2.0, 6.0, (count, 1, 1))
    spot = 40 * size * np.exp(-(row**2 + column**2) / (2 * size**2))
    return (spot + random.normal(0, 2, (count, 32, 32))).clip(0, 255).astype(np.uint8)


def static(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Frames that have nothing in common."""
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16), dtype=np.uint8)


def silent(done: int, steps: int, loss: float) -> None:
    """Progress that nobody watches."""


def residuals(trained: Trained, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.concatenate([e for _, e in latents_and_residuals(trained, frames)])


def share_left(trained: Trained, unseen: npt.NDArray[Any]) -> float:
    """What *trained* leaves of the variance about the mean frame."""
    about_mean = np.square((unseen - unseen.mean(axis=0)) / trained.preparation.scale).mean()
    return float(np.square(residuals(trained, unseen)).mean() / about_mean)


def same_weights(one: Trained, other: Trained) -> bool:
    pairs = zip(one.network.state_dict().items(), other.network.state_dict().items(), strict=True)
    return all(name == beside and torch.equal(a, b) for (name, a), (beside, b) in pairs)


# What comes out depends on the frames and settings alone


@pytest.mark.parametrize("option", [{}, *OPTIONS, {"orientation": "align"}])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(option: dict[str, Any]) -> None:
    frames = blobs(24, side=34)
    settings = QUICK._replace(**option)._replace(epochs=2)
    one, again = (train(frames, settings, silent) for _ in range(2))
    assert same_weights(one, again)
    assert np.array_equal(one.history, again.history, equal_nan=True)
    assert not same_weights(one, train(frames, settings._replace(seed=1), silent))
    z, e = next(latents_and_residuals(one, frames))
    assert e.shape == (24, *one.preparation.size)
    assert np.isfinite(z).all()
    assert np.isfinite(e).all()


def test_training_leaves_torchs_random_state_and_the_frames_alone() -> None:
    frames = blobs(20)
    frames.flags.writeable = False
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    train(frames, QUICK._replace(variational=True, brightness=0.1, orientation="augment"), silent, held=frames)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(frames, blobs(20))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_all_pixel_types_train_alike(dtype: str) -> None:
    expected = train(blobs(20), QUICK, silent)
    found = train(blobs(20).astype(dtype), QUICK, silent)
    assert same_weights(found, expected)


# What is learned


@pytest.mark.parametrize("option", [{}, *OPTIONS])
def test_every_option_learns_what_frames_have_in_common(option: dict[str, Any]) -> None:
    trained = train(blobs(100), LONGER._replace(**option), silent)
    losses = [one.loss for one in trained.history]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]
    assert not trained.network.training
    if trained.preparation.binning == 1:
        assert share_left(trained, blobs(50, seed=1)) < 0.5


@pytest.mark.parametrize("variational", [False, True])
def test_a_linear_network_spans_the_principal_components(variational: bool) -> None:
    random = np.random.default_rng(0)
    pictures = random.normal(size=(4, 256)) * np.array([4.0, 3.0, 2.5, 2.0])[:, None]
    flat = 50 + random.normal(size=(600, 4)) @ pictures + random.normal(0, 1, (600, 256))
    made_of = Architecture(latent=4, linear=True)
    settings = TrainingSettings(made_of, epochs=100, batch=100, learning_rate=0.02, noise=0.0, variational=variational)
    trained = train(flat.reshape(-1, 16, 16).astype(np.float32), settings, silent)
    drawn = trained.network.from_latent.weight.detach().numpy()
    components = PCA(4).fit(flat).components_
    assert subspace_angles(drawn, components.T).max() < 0.02  # radians


def test_few_counts_are_drawn_close_to_their_expectation() -> None:
    random = np.random.default_rng(0)
    row, column = np.mgrid[:16, :16]
    place = random.uniform(5, 11, (300, 2, 1, 1))
    expected = 0.05 + 6 * np.exp(-((row - place[:, 0]) ** 2 + (column - place[:, 1]) ** 2) / 12)
    counts = random.poisson(expected).astype(np.uint8)
    trained = train(counts, LONGER._replace(loss="poisson"), silent)
    drawn = counts - residuals(trained, counts) * trained.preparation.scale
    assert np.square(drawn - expected).mean() < 0.5 * np.square(expected - expected.mean(axis=0)).mean()


def test_a_variational_network_is_used_at_the_mean_of_its_posterior() -> None:
    frames = blobs(60)
    plain, variational = (train(frames, QUICK._replace(variational=it), silent) for it in (False, True))
    assert variational.network.state_dict().keys() == plain.network.state_dict().keys()
    assert not same_weights(plain, variational)
    (z, e), (again, beside) = (next(latents_and_residuals(variational, frames)) for _ in range(2))
    assert np.array_equal(z, again)
    assert np.array_equal(e, beside)


def test_sparsity_uses_each_latent_for_fewer_frames() -> None:
    def evenness(sparsity: float) -> float:
        trained = train(blobs(100), LONGER._replace(sparsity=sparsity), silent)
        z = np.concatenate([z for z, _ in latents_and_residuals(trained, blobs(100, seed=1))])
        return float((np.abs(z).mean(axis=0) / np.sqrt(np.square(z).mean(axis=0))).mean())

    assert evenness(1.0) < evenness(0.0) - 0.1


def test_brighter_frames_are_drawn_as_well_where_brightness_varied_in_training() -> None:
    plain, varied = (train(blobs(100), LONGER._replace(brightness=it), silent) for it in (0.0, 1.0))
    brighter = blobs(50, seed=1) + np.uint8(30)
    assert np.square(residuals(varied, brighter)).mean() < 0.5 * np.square(residuals(plain, brighter)).mean()


def test_identical_frames_train_to_something_finite() -> None:
    same = np.full((8, 32, 32), 40, np.uint8)
    for option in ({}, *OPTIONS):
        trained = train(same, QUICK._replace(**option)._replace(epochs=5), silent, held=same)
        assert np.isfinite(trained.history).all(), option
        assert np.isfinite(residuals(trained, same)).all(), option


# Steps, checkpoints and stopping


def test_steps_are_capped_and_progress_counts_them_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    settings = QUICK._replace(epochs=1000, max_steps=25)
    train(blobs(40), settings, lambda done, steps, loss: told.append((done, steps)))
    assert told == [(10, 25), (20, 25), (25, 25)]


def test_without_held_frames_training_goes_on_to_the_end() -> None:
    frames = blobs(40)
    trained = train(frames, QUICK._replace(epochs=1000, max_steps=47), silent)
    assert [one.step for one in trained.history] == [*range(2, 48, 2), 47]
    assert len(trained.history) >= CHECKPOINTS
    assert all(math.isnan(one.held) for one in trained.history)
    none = train(frames, QUICK._replace(epochs=1000, max_steps=47), silent, held=frames[:0])
    assert same_weights(none, trained)


def test_the_history_holds_the_mean_loss_since_the_last_checkpoint() -> None:
    told: list[float] = []
    settings = LONGER._replace(epochs=200)  # of one step: a checkpoint every ten, and progress with it
    trained = train(blobs(20), settings, lambda done, steps, loss: told.append(loss))
    means = [one.loss for one in trained.history]
    assert len(means) == len(told) == CHECKPOINTS
    assert means == sorted(means, reverse=True)
    assert all(last < mean for last, mean in zip(told[:5], means[:5], strict=True))  # the loss falls all the time


def test_the_weights_of_the_best_checkpoint_are_kept_and_training_stops() -> None:
    told: list[tuple[int, int]] = []
    held = static(40, seed=1)
    trained = train(static(32, seed=0), FORGETFUL, lambda done, steps, loss: told.append((done, steps)), held=held)
    errors = [one.held for one in trained.history]
    best = int(np.argmin(errors))
    assert len(errors) == best + 1 + PATIENCE < CHECKPOINTS
    assert trained.history[-1].step < 200
    assert told[-1] == (200, 200)
    assert told == sorted(told)
    drawn = torch.from_numpy(np.square(residuals(trained, held)).mean(axis=(1, 2)))
    assert float(bounded_mean(drawn)) == pytest.approx(errors[best], rel=1e-4)
    assert errors[-1] > 1.02 * errors[best]


def test_held_frames_choose_among_weights_and_do_not_change_them() -> None:
    frames, held = blobs(100), blobs(40, seed=1)
    watched, blind = (train(frames, QUICK, silent, held=it) for it in (held, None))
    assert [one.loss for one in watched.history] == [one.loss for one in blind.history]
    assert watched.history[-1].held == min(one.held for one in watched.history)
    assert same_weights(watched, blind)


@pytest.mark.parametrize(
    "option", [{"noise": 1.0}, {"sparsity": 5.0}, {"brightness": 1.0, "contrast": 1.0}, {"variational": True}]
)
def test_held_frames_are_drawn_as_they_are_and_without_penalties(option: dict[str, Any]) -> None:
    held = blobs(40, seed=1)
    trained = train(blobs(60), QUICK._replace(**option), silent, held=held)
    drawn = torch.from_numpy(np.square(residuals(trained, held)).mean(axis=(1, 2)))
    assert float(bounded_mean(drawn)) == pytest.approx(min(one.held for one in trained.history), rel=1e-4)


# Frames and settings


def test_latents_and_residuals_do_not_depend_on_the_chunks() -> None:
    trained = train(blobs(20), QUICK, silent)
    frames = blobs(11, seed=2)
    whole, parts = (
        [np.concatenate(arrays) for arrays in zip(*latents_and_residuals(trained, frames, chunk), strict=True)]
        for chunk in (100, 4)
    )
    assert whole[0].shape == (11, 8)
    assert whole[1].shape == frames.shape
    for one, other in zip(whole, parts, strict=True):
        assert one.dtype == np.float32
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


DARK = np.zeros((4, 16, 16), np.uint8)


def test_few_counts_are_counts() -> None:
    counts = np.random.default_rng(0).poisson(0.02, (40, 16, 16)).astype(np.float32)
    train(counts, QUICK._replace(loss="poisson"), silent)


@pytest.mark.parametrize(
    ("frames", "settings", "says"),
    [
        (DARK[:0], QUICK, "m > 0"),
        (DARK[0], QUICK, "m > 0"),
        (DARK.astype(np.int64), QUICK, "not int64"),
        (np.full((4, 16, 16), np.nan, np.float32), QUICK, "not finite"),
        (DARK[:, :8], QUICK, "16 to 576"),
        (DARK, QUICK._replace(epochs=0), "at least 1"),
        (DARK, QUICK._replace(batch=0), "at least 1"),
        (DARK, QUICK._replace(max_steps=0), "at least 1"),
        (DARK, QUICK._replace(binning=0), "at least 1"),
        (DARK, QUICK._replace(binning=2), "16 to 576"),
        (DARK, QUICK._replace(learning_rate=0.0), "learning_rate must be above 0"),
        (DARK, QUICK._replace(noise=-0.1), "must not be below 0"),
        (DARK, QUICK._replace(dimming=-0.1), "must not be below 0"),
        (DARK, QUICK._replace(brightness=-0.1), "must not be below 0"),
        (DARK, QUICK._replace(contrast=-0.1), "must not be below 0"),
        (DARK, QUICK._replace(sparsity=-0.1), "must not be below 0"),
        (DARK, QUICK._replace(loss="poisson", orientation="align"), "use the squared loss"),
        (np.float32(DARK) - 0.5, QUICK._replace(loss="poisson"), r"a pixel is -0\.5: subtract no dark level"),
        (np.float32(blobs(5)) / 255, QUICK._replace(loss="poisson"), r"half of the lit pixels are below 0\.\d+: give"),
        (DARK, QUICK._replace(architecture=SMALL._replace(group=5)), "group must divide"),
    ],
)
def test_unusable_frames_and_settings_are_refused(
    frames: npt.NDArray[Any], settings: TrainingSettings, says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        train(frames, settings, silent)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("orientation", "given", "expected"), [("align", "auto", 0.2), ("none", "auto", 0.0), ("none", 0.3, 0.3)]
)
def test_light_is_changed_where_pools_are_aligned_or_where_asked_for(
    orientation: Any, given: Any, expected: float
) -> None:
    settings = QUICK._replace(epochs=1, orientation=orientation, dimming=given)
    assert dimming_of(settings, train(blobs(20, side=34), settings, silent).preparation) == expected


def test_a_network_that_learned_how_bright_frames_are_shows_those_that_are_not() -> None:
    """Spots are brighter the larger they are: brightness alone says nothing, brightness for that size does."""
    settings = QUICK._replace(epochs=40, orientation="none")
    plain, wary = (train(sized(300), settings._replace(dimming=share), silent) for share in (0.0, 0.4))
    dim = (0.75 * sized(100, seed=1)).astype(np.uint8)
    ratio = [
        np.square(residuals(one, dim)).mean() / np.square(residuals(one, sized(100, seed=2))).mean()
        for one in (plain, wary)
    ]
    assert ratio[1] > 2 * ratio[0]
