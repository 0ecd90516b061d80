"""Changed frames are changed as announced, each in its own way, and repeatably."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.augmentation import dimmed, lit_anyhow, noisy, turned_anyhow

Change = Callable[[Tensor, torch.Generator], Tensor]


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "change",
    [
        turned_anyhow,
        lambda x, random: lit_anyhow(x, 0.3, 0.2, random),
        lambda x, random: dimmed(x, -1.0, 0.2, random),
        lambda x, random: noisy(x, 0.1, random),
    ],
)
def test_changes_depend_on_the_generator_alone_and_leave_the_frames(change: Change) -> None:
    x = torch.randn(6, 1, 12, 17, generator=generator(5))
    before = x.clone()
    state = torch.random.get_rng_state()
    one, again, other = (change(x, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.shape == x.shape
    assert torch.equal(x, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("width", [33, 49])
def test_turned_copies_are_turned_and_lose_no_light(width: int) -> None:
    x = torch.zeros(200, 1, 33, width)
    middle = width // 2
    x[:, :, 16, middle + 8 : middle + 12] = 1.0
    turned = turned_anyhow(x, generator())
    rows, columns = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(float(width)) - middle, indexing="ij")
    mass = turned.sum(dim=(1, 2, 3))
    assert mass.numpy() == pytest.approx(4.0, rel=0.15)
    centre = torch.stack([(turned[:, 0] * grid).sum(dim=(1, 2)) / mass for grid in (rows, columns)])
    assert torch.hypot(*centre).numpy() == pytest.approx(9.5, abs=0.4)
    assert torch.atan2(*centre).std() > 1.5  # radians: all around


def test_what_turns_in_from_outside_is_as_bright_as_the_edge() -> None:
    x = torch.full((20, 1, 16, 40), 3.5)
    assert turned_anyhow(x, generator()).numpy() == pytest.approx(3.5)


def test_brightness_is_added_to_the_whole_frame_within_its_range() -> None:
    x = torch.randn(500, 1, 4, 5, generator=generator(5))
    added = (lit_anyhow(x, 0.3, 0.0, generator()) - x).flatten(1)
    assert added.std(dim=1).max() < 1e-6
    by = added.mean(dim=1)
    assert 0.28 < by.max() <= 0.3 + 1e-6
    assert -0.3 - 1e-6 <= by.min() < -0.28
    assert by.std() == pytest.approx(0.3 / 3**0.5, rel=0.1)  # evenly over the range


def test_contrast_stretches_the_distance_from_the_usual_brightness() -> None:
    x = torch.randn(500, 1, 4, 5, generator=generator(5))
    share = (lit_anyhow(x, 0.0, 0.2, generator()) / x).flatten(1)
    by = share.median(dim=1).values
    assert (share - by[:, None]).abs().max() < 1e-4
    assert 1.18 < by.max() <= 1.2 + 1e-5
    assert 0.8 - 1e-5 <= by.min() < 0.82


def test_brightness_and_contrast_are_drawn_apart() -> None:
    x = torch.stack((torch.zeros(500), torch.ones(500)), 1).reshape(500, 1, 1, 2)
    dark, bright = lit_anyhow(x, 0.3, 0.2, generator()).flatten(1).T
    assert abs(float(torch.corrcoef(torch.stack((dark, bright - dark)))[0, 1])) < 0.15


def test_noise_has_its_strength_and_no_mean() -> None:
    x = torch.randn(100, 1, 20, 20, generator=generator(5))
    noise = noisy(x, 0.25, generator()) - x
    assert noise.std() == pytest.approx(0.25, rel=0.02)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float((noise * x).mean())) < 0.01


def test_without_strength_nothing_changes() -> None:
    x = torch.randn(3, 1, 8, 8, generator=generator(5))
    assert torch.equal(noisy(x, 0.0, generator()), x)
    assert torch.equal(lit_anyhow(x, 0.0, 0.0, generator()), x)


def test_dimmed_frames_keep_their_dark_and_change_their_light_by_one_share() -> None:
    x = torch.rand(400, 1, 5, 6, generator=generator()) + 1.0
    x[:, :, 0, 0] = -2.0
    light = (dimmed(x, -2.0, 0.3, generator()) + 2.0) / (x + 2.0).clamp_min(1e-9)
    assert (light[:, 0, 0, 0] == 0).all()  # what is dark stays so
    shares = light[:, 0].flatten(1)[:, 1:]
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))
    assert 0.7 <= shares.min() < 0.72
    assert 1.28 < shares.max() <= 1.3
