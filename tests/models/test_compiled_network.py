"""A network in compiled loops says what it says in torch."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.architecture import Architecture
from models.autoencoder import Convolutional, fresh
from models.compiled.network import pass_through
from models.plan import plan_of
from models.trained import weights_of

Floats = npt.NDArray[np.float32]

ARCHITECTURES = (
    Architecture(),
    Architecture(stem_px=8),
    Architecture(latent=7, channels=(16, 48, 16)),
    Architecture(latent=40, channels=(32, 16)),
)


class Passed(NamedTuple):
    latent: Floats  # (n, p)
    drawn: Floats  # (n, a)


def network_of(height: int, width: int, architecture: Architecture, seed: int = 1) -> Convolutional:
    network = fresh(height, width, architecture, seed)
    assert isinstance(network, Convolutional)
    return network


def patches_of(network: Convolutional, count: int, seed: int = 1) -> Floats:
    shape = (count, network.grid[0] * network.grid[1] * network.stride**2)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def in_loops(network: Convolutional, patches: Floats) -> Passed:
    plan, count = plan_of(network.height, network.width, network.architecture, weights_of(network)), len(patches)
    features, latent, codes = (np.zeros((count, size), np.float32) for size in (plan.features, plan.filled, plan.codes))
    drawn = np.full_like(patches, np.nan)
    tables = plan.down, plan.to_latent, plan.from_latent, plan.up, plan.weights
    pass_through(patches, *tables, np.zeros(plan.scratch, np.float32), features, latent, codes, drawn)
    return Passed(latent[:, : network.latent], drawn)


@torch.inference_mode()
def in_torch(network: Convolutional, patches: Floats) -> Passed:
    exact = network.double()
    x = torch.from_numpy(patches.astype(np.float64)).view(len(patches), *network.grid, -1)
    latent = exact.to_latent(exact.features(x))
    drawn = exact.draw(exact.from_latent(latent)).flatten(1)
    network.float()
    return Passed(latent.numpy(), drawn.numpy())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [(60, 60), (64, 64), (33, 50), (121, 70)])
def test_latents_and_what_is_drawn_are_those_of_the_network(size: tuple[int, int], architecture: Architecture) -> None:
    network = network_of(*size, architecture)
    patches = patches_of(network, 7)
    found, exact = in_loops(network, patches), in_torch(network, patches)
    np.testing.assert_allclose(found.latent, exact.latent, atol=2e-6)
    np.testing.assert_allclose(found.drawn, exact.drawn, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    count=st.integers(1, 14),
    architecture=st.sampled_from(ARCHITECTURES),
    seed=st.integers(0, 2**32 - 1),
)
def test_so_they_are_of_any_size_and_number_of_frames(
    height: int, width: int, count: int, architecture: Architecture, seed: int
) -> None:
    network = network_of(height, width, architecture, seed % 1000)
    patches = patches_of(network, count, seed)
    found, exact = in_loops(network, patches), in_torch(network, patches)
    np.testing.assert_allclose(found.latent, exact.latent, atol=1e-5)
    np.testing.assert_allclose(found.drawn, exact.drawn, atol=1e-5)


def test_what_is_said_of_a_frame_does_not_depend_on_the_frames_beside_it_to_the_last_bit() -> None:
    network = network_of(60, 60, Architecture())
    patches = patches_of(network, 17)
    together = in_loops(network, patches)
    for first, last in ((0, 1), (1, 3), (3, 8), (8, 17)):
        alone = in_loops(network, patches[first:last])
        np.testing.assert_array_equal(alone.latent, together.latent[first:last])
        np.testing.assert_array_equal(alone.drawn, together.drawn[first:last])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_frame_with_a_pixel_that_is_no_number_shows_it_and_leaves_its_neighbours_alone(bad: float) -> None:
    network = network_of(60, 60, Architecture())
    patches = patches_of(network, 5)
    clean = in_loops(network, patches)
    spoilt = patches.copy()
    spoilt[2, 100] = bad
    found = in_loops(network, spoilt)
    assert not np.isfinite(found.latent[2]).all()
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(found.latent[others], clean.latent[others])
    np.testing.assert_array_equal(found.drawn[others], clean.drawn[others])
