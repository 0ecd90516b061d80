"""Drawing in bfloat16 around the in-control mean: the same function, rounded to a share of the deviation from it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.autoencoder import Network, fresh
from models.drawing import Drawing, TensorDrawing
from models.scores import Precision

Way = Callable[[Network, Precision, torch.Tensor], np.ndarray]

ARCHITECTURES = [
    Architecture(6),
    Architecture(6, stem_px=8),
    Architecture(6, channels=(8, 16, 24), stem_px=2),
    Architecture(6, group=8),
    Architecture(6, linear=True),
]


def drawn_by(network: Network, precision: Precision, q: torch.Tensor) -> np.ndarray:
    drawing = Drawing(network, precision, most=len(q))
    bits = drawing(q)
    wide = bits if bits.dtype == np.uint32 else bits.astype(np.uint32) << 16
    return wide.view(np.float32) + drawing.center


def drawn_by_tensors(network: Network, precision: Precision, q: torch.Tensor) -> np.ndarray:
    drawing = TensorDrawing(network, precision)
    drawn: np.ndarray = (drawing(q).float() + drawing.center).numpy()
    return drawn


WAYS = [drawn_by, drawn_by_tensors]


@torch.inference_mode()
def reference(network: Network, q: torch.Tensor) -> np.ndarray:
    drawn: np.ndarray = network.draw(network.from_latent(q)).contiguous().numpy()
    return drawn


def latents(scale: float) -> torch.Tensor:
    return scale * torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("drawn_by", WAYS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.inference_mode()
def test_in_float32_it_is_the_network(architecture: Architecture, drawn_by: Way) -> None:
    network = fresh(37, 50, architecture, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    np.testing.assert_allclose(drawn_by(network, "float32", latents(1.0)), reference(network, latents(1.0)), atol=1e-6)


@pytest.mark.parametrize("drawn_by", WAYS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.inference_mode()
def test_in_bfloat16_errors_shrink_with_the_deviation_from_the_mean(architecture: Architecture, drawn_by: Way) -> None:
    network = fresh(37, 50, architecture, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    at_mean = reference(network, latents(0.0))
    for scale in (1.0, 0.1, 0.0):
        expected = reference(network, latents(scale))
        error = np.abs(drawn_by(network, "bfloat16", latents(scale)) - expected).max()
        assert error <= 0.02 * np.abs(expected - at_mean).max() + 1e-6


@torch.inference_mode()
def test_fewer_frames_than_there_is_room_for_are_drawn_alike() -> None:
    network = fresh(64, 64, Architecture(6), seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    drawing = Drawing(network, "bfloat16", most=32)
    whole = drawing(latents(1.0)).copy()
    np.testing.assert_array_equal(drawing(latents(1.0)[:1])[0], whole[0])
