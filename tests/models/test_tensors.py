"""Arrays alone say what a network is, and give its code another form."""

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.tensors import join, split, whitened
from models.trained import network_of, to_tensors, weights_of
from tests.models.step_examples import example

ARCHITECTURES = [Architecture(latent=6), Architecture(latent=6, group=8), Architecture(latent=6, linear=True)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_that_are_split_make_the_same_tensors(architecture: Architecture) -> None:
    shown = example(architecture=architecture, align=True)
    tensors = to_tensors(shown.trained, shown.parameters)
    again = join(split(tensors, *shown.frames.shape[1:]))
    assert again.keys() == tensors.keys()
    for name, array in tensors.items():
        assert again[name].tobytes() == array.tobytes(), name
        assert not np.shares_memory(again[name], array), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_whitened_network_gives_the_whitened_code_and_draws_the_same(architecture: Architecture) -> None:
    shown = example(architecture=architecture)
    parts, parameters = shown.scorer.parts, shown.parameters
    x = torch.randn(5, 1, *shown.trained.preparation.size, dtype=torch.float64)
    plain = shown.trained.network.double()
    folded = network_of(parts, whitened(parts.weights, parameters)).double()
    with torch.inference_mode():
        expected = (plain.encode(x).numpy() - parameters.latent_mean) @ np.asarray(parameters.whitening).T
        assert folded.encode(x).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert folded(x).numpy() == pytest.approx(plain(x).numpy(), rel=1e-4, abs=1e-4)


def test_whitening_leaves_the_weights_that_it_was_given() -> None:
    shown = example()
    weights = weights_of(shown.trained.network)
    before = {name: array.copy() for name, array in weights.items()}
    found = whitened(weights, shown.parameters)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(weights[name], before[name]) for name in before)
    assert all(array.dtype == np.float32 and array.flags["C_CONTIGUOUS"] for array in found.values())


def test_a_whitening_that_cannot_be_undone_is_refused() -> None:
    shown = example()
    singular = shown.parameters._replace(whitening=np.zeros_like(shown.parameters.whitening))
    with pytest.raises(ValueError, match="Singular"):
        whitened(weights_of(shown.trained.network), singular)
