"""Training is repeatable, leaves no trace outside, and learns what normal frames look like."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.training import (
    Trained,
    TrainingSettings,
    bounded_mean,
    latents_and_residuals,
    train,
    turned_anyhow,
)

QUICK = TrainingSettings(latent=4, epochs=3, batch=16)


def blobs(count: int, side: int = 24, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Bright spots that wander over a dim, noisy ground."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side]
    centre = random.uniform(side / 3, 2 * side / 3, (count, 2, 1, 1))
    spot = 180 * np.exp(-((row - centre[:, 0]) ** 2 + (column - centre[:, 1]) ** 2) / 18)
    return (20 + spot + random.normal(0, 4, (count, side, side))).clip(0, 255).astype(np.uint8)


def silent(done: int, steps: int, loss: float) -> None:
    """Progress that nobody watches."""


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    frames = blobs(40)
    one, again = (train(frames, QUICK, silent).network.state_dict() for _ in range(2))
    other = train(frames, QUICK._replace(seed=1), silent).network.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_training_leaves_torchs_random_state_and_the_frames_alone() -> None:
    frames = blobs(20)
    frames.flags.writeable = False
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    train(frames, QUICK, silent)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(frames, blobs(20))


def test_the_loss_falls_well_below_that_of_drawing_the_mean() -> None:
    trained = train(blobs(200), TrainingSettings(latent=8, epochs=30, batch=32), silent)
    unseen = blobs(50, seed=1)
    spread = float(np.var((unseen - unseen.mean(axis=0)) / trained.preparation.scale))
    left = np.concatenate([e for _, e in latents_and_residuals(trained, unseen)])
    assert len(trained.losses) == 30
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    assert float(np.mean(left**2)) < 0.25 * spread


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_all_pixel_types_train_alike(dtype: str) -> None:
    expected = train(blobs(20), QUICK, silent)
    found = train(blobs(20).astype(dtype), QUICK, silent)
    assert found.losses == expected.losses


def test_steps_are_capped_and_progress_counts_them_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    settings = QUICK._replace(epochs=1000, max_steps=25)
    trained = train(blobs(40), settings, lambda done, steps, loss: told.append((done, steps)))
    assert told == [(10, 25), (20, 25), (25, 25)]
    assert len(trained.losses) == 9  # three steps an epoch, the last epoch cut short


def test_a_wild_frame_pulls_no_harder_than_three_ordinary_ones() -> None:
    errors = torch.tensor([1.0, 1.0, 1.0, 1000.0], requires_grad=True)
    bounded_mean(errors).backward()
    assert float(bounded_mean(errors).detach()) == pytest.approx((3 * 1 + 3) / 4)
    assert errors.grad is not None
    assert errors.grad.tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25 * 3 / 1000])


def test_latents_and_residuals_do_not_depend_on_the_chunks() -> None:
    trained = train(blobs(20), QUICK, silent)
    frames = blobs(11, seed=2)
    whole, parts = (
        [np.concatenate(arrays) for arrays in zip(*latents_and_residuals(trained, frames, chunk), strict=True)]
        for chunk in (100, 4)
    )
    assert whole[0].shape == (11, 4)
    assert whole[1].shape == frames.shape
    for one, other in zip(whole, parts, strict=True):
        assert one.dtype == np.float32
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("frames", "settings", "says"),
    [
        (np.zeros((0, 16, 16), np.uint8), QUICK, "m > 0"),
        (np.zeros((16, 16), np.uint8), QUICK, "m > 0"),
        (np.zeros((4, 16, 16), np.int64), QUICK, "not int64"),
        (np.full((4, 16, 16), np.nan, np.float32), QUICK, "not finite"),
        (np.zeros((4, 16, 16), np.uint8), QUICK._replace(epochs=0), "at least 1"),
        (np.zeros((4, 16, 16), np.uint8), QUICK._replace(learning_rate=0.0), "learning_rate"),
        (np.zeros((4, 8, 16), np.uint8), QUICK, "16 to 576"),
    ],
)
def test_unusable_frames_and_settings_are_refused(
    frames: npt.NDArray[Any], settings: TrainingSettings, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        train(frames, settings, silent)


def test_identical_frames_train_to_something_finite() -> None:
    trained: Trained = train(np.full((8, 16, 16), 40, np.uint8), QUICK, silent)
    assert np.isfinite(trained.losses).all()


@pytest.mark.parametrize("settings", [{"binning": 2}, {"orientation": "align"}, {"orientation": "augment"}])
def test_binning_and_orientation_train_as_repeatably(settings: dict[str, Any]) -> None:
    frames = blobs(40, side=34)
    one, again = (train(frames, QUICK._replace(**settings), silent) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), again.network.parameters(), strict=True))
    z, e = next(latents_and_residuals(one, frames))
    assert e.shape == (40, *one.preparation.size)
    assert np.isfinite(z).all()


def test_turned_copies_are_turned_and_lose_no_light() -> None:
    x = torch.zeros(200, 1, 33, 33)
    x[:, :, 16, 24:28] = 1.0
    turned = turned_anyhow(x, torch.Generator().manual_seed(1))
    rows, columns = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    mass = turned.sum(dim=(1, 2, 3))
    assert mass.numpy() == pytest.approx(4.0, rel=0.15)
    middle = torch.stack([(turned[:, 0] * grid).sum(dim=(1, 2)) / mass for grid in (rows, columns)])
    assert torch.hypot(*middle).numpy() == pytest.approx(9.5, abs=0.4)
    assert torch.atan2(*middle).std() > 1.5  # radians: all around
