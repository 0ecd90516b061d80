"""The network keeps every frame size it promises, and refuses the others by name."""

import pytest
import torch

from models.autoencoder import Autoencoder, fresh

SIZES = [(16, 16), (17, 31), (31, 33), (33, 32), (64, 64), (61, 127), (120, 120), (16, 576), (576, 191)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_frame_comes_back_in_its_own_size(height: int, width: int) -> None:
    network = fresh(height, width, latent=5, seed=0)
    x = torch.randn(2, 1, height, width)
    assert network.encode(x).shape == (2, 5)
    assert network(x).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 64)])
def test_every_pixel_reaches_the_latent_and_is_drawn_from_it(height: int, width: int) -> None:
    network = fresh(height, width, latent=64, seed=1).double()
    x = torch.randn(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    network.encode(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.99  # but for the few whose every path is cut by a ReLU
    z = torch.randn(1, 64, dtype=torch.float64)
    assert ((network.decode(z) - network.decode(2 * z)) != 0).all()


@pytest.mark.parametrize(
    ("height", "width", "latent", "says"),
    [
        (15, 64, 8, "16 to 576 pixels a side, not 15 x 64"),
        (64, 577, 8, "16 to 576 pixels a side, not 64 x 577"),
        (64, 64, 0, "latent must be at least 1"),
    ],
)
def test_what_it_cannot_take_is_refused_in_one_line(height: int, width: int, latent: int, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        Autoencoder(height, width, latent)
    assert "\n" not in str(refusal.value)


def test_the_shuffle_is_torchs_pixel_shuffle() -> None:
    network = fresh(64, 96, latent=4, seed=0)
    phases = torch.randn(3, 16, 16, 24).to(memory_format=torch.channels_last)
    assert torch.equal(network._shuffle(phases), torch.nn.functional.pixel_shuffle(phases, 4))


def test_memory_format_does_not_change_what_is_computed() -> None:
    network = fresh(48, 64, latent=8, seed=0)
    x = torch.randn(4, 1, 48, 64)
    plain = network(x)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x), plain, rtol=1e-4, atol=1e-5)


def test_fresh_weights_depend_on_the_seed_alone_and_leave_the_global_state() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again, other = (fresh(16, 16, 2, seed).stem.weight for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_it_is_lean_enough_for_two_thousand_frames_a_second() -> None:
    """Multiply-adds a frame, not seconds: 2,000 frames/s at 120 px leave a core of 60 G/s some 30 million each."""
    network = fresh(120, 120, latent=32, seed=0)
    operations = 0

    def add(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal operations
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        # a transposed convolution of stride 2 uses each weight on every fourth of its outputs
        sparsity = 4 if isinstance(module, torch.nn.ConvTranspose2d) else 1
        operations += weight.numel() * (out[0, 0].numel() if out.ndim == 4 else 1) // sparsity

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
            module.register_forward_hook(add)
    network(torch.zeros(1, 1, 120, 120))
    assert operations < 12e6
