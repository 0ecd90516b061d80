"""Every network keeps every frame size it promises, and refuses the others by name."""

import pytest
import torch
from torch import nn

from models.architecture import Architecture
from models.autoencoder import Convolutional, Linear, build, fresh, lean, operations

SIZES = [(16, 16), (17, 31), (31, 33), (33, 32), (64, 64), (61, 127), (120, 120), (16, 576), (576, 191)]

ARCHITECTURES = [
    Architecture(),
    Architecture(group=16),
    Architecture(group=8),
    Architecture(group=1),
    Architecture(stem_px=1, channels=(4, 8)),
    Architecture(stem_px=2, channels=(8, 8, 16)),
    Architecture(stem_px=8),
    Architecture(stem_px=3, channels=(12, 24, 36), group=4),
    Architecture(linear=True),
]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("architecture", [Architecture(latent=5), Architecture(latent=5, linear=True)])
def test_a_frame_comes_back_in_its_own_size(architecture: Architecture, height: int, width: int) -> None:
    network = fresh(height, width, architecture, seed=0)
    x = torch.randn(2, 1, height, width)
    assert network.encode(x).shape == (2, 5)
    assert network(x).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 64)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_pixel_reaches_the_latent_and_is_drawn_from_it(
    architecture: Architecture, height: int, width: int
) -> None:
    network = fresh(height, width, architecture._replace(latent=64), seed=1).double()
    random = torch.Generator().manual_seed(1)
    x = torch.randn(1, 1, height, width, generator=random, dtype=torch.float64, requires_grad=True)
    network.encode(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).double().mean() > 0.99  # but for the few whose every path is cut by a ReLU
    z = torch.randn(1, 64, generator=random, dtype=torch.float64)
    assert ((network.decode(z) - network.decode(2 * z)) != 0).double().mean() > 0.99


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_first_and_last_layers_of_the_latent_are_all_between_features_and_drawing(
    architecture: Architecture,
) -> None:
    network = fresh(33, 47, architecture, seed=0)
    x = torch.randn(3, 1, 33, 47)
    z = network.to_latent(network.features(network.patches(x)))
    assert torch.equal(network.encode(x), z)
    assert torch.equal(network(x), network.pixels(network.draw(network.from_latent(z))))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_memory_format_does_not_change_what_is_computed(architecture: Architecture) -> None:
    network = fresh(48, 64, architecture, seed=0)
    x = torch.randn(4, 1, 48, 64)
    plain = network(x)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    torch.testing.assert_close(network(x), plain, rtol=1e-4, atol=1e-5)


def test_a_linear_network_is_one_affine_map() -> None:
    network = fresh(17, 21, Architecture(latent=6, linear=True), seed=0).double()
    one, other = torch.randn(2, 3, 1, 17, 21, dtype=torch.float64)
    mixed = 0.3 * network(one) + 0.7 * network(other)
    torch.testing.assert_close(network(0.3 * one + 0.7 * other), mixed)
    assert isinstance(network, Linear)


@pytest.mark.parametrize("group", [1, 8, 16])
def test_each_large_convolution_sees_a_group_of_channels(group: int) -> None:
    network = build(64, 64, Architecture(group=group))
    assert isinstance(network, Convolutional)
    down = [one for one in network.down.modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)]
    up = [one for one in network.up.modules() if isinstance(one, nn.ConvTranspose2d)]
    assert len(down) == len(up) > 0
    assert {one.weight.shape[1] for one in (*down, *up)} == {group}


@pytest.mark.parametrize(
    ("height", "stem_px", "grids"),
    [
        (16, None, [(8, 8), (4, 4)]),  # small frames get a finer stem
        (64, None, [(16, 16), (8, 8)]),
        (64, 2, [(32, 32), (16, 16), (8, 8)]),
        (64, 8, [(8, 8), (4, 4)]),
        (65, None, [(17, 17), (9, 9), (5, 5)]),
        (64, 1, [(64, 64), (32, 32), (16, 16)]),  # as many stages as there are channels for
    ],
)
def test_stages_halve_the_grid_until_it_is_small(height: int, stem_px: int | None, grids: list[object]) -> None:
    network = build(height, height, Architecture(channels=(4, 8, 8), stem_px=stem_px))
    assert isinstance(network, Convolutional)
    assert network.sizes == grids


@pytest.mark.parametrize(
    ("height", "width", "architecture", "says"),
    [
        (15, 64, Architecture(), "16 to 576 pixels a side, not 15 x 64"),
        (64, 577, Architecture(linear=True), "16 to 576 pixels a side, not 64 x 577"),
        (64, 64, Architecture(latent=0), "latent must be at least 1, not 0"),
        (64, 64, Architecture(latent=-1, linear=True), "latent must be at least 1, not -1"),
        (64, 64, Architecture(channels=(16,)), r"channels must be at least two numbers above 0, not \[16\]"),
        (64, 64, Architecture(channels=(16, 0)), r"above 0, not \[16, 0\]"),
        (64, 64, Architecture(stem_px=0), "stem_px must be 1 to 16 for 64 x 64 frames, not 0"),
        (32, 64, Architecture(stem_px=9), "stem_px must be 1 to 8 for 32 x 64 frames, not 9"),
        (64, 64, Architecture(group=3), "group must divide every number of channels .*; 3 does not"),
        (64, 64, Architecture(group=32), "group must divide every number of channels .*; 32 does not"),
        (64, 64, Architecture(group=0), "group must divide every number of channels .*; 0 does not"),
    ],
)
def test_what_it_cannot_take_is_refused_in_one_line(
    height: int, width: int, architecture: Architecture, says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        fresh(height, width, architecture, seed=0)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("stem_px", [2, 4, 8])
def test_patches_are_torchs_pixel_unshuffle_and_pixels_its_shuffle(stem_px: int) -> None:
    network = build(64, 96, Architecture(stem_px=stem_px))
    x = torch.randn(3, 1, 64, 96)
    patches = network.patches(x)
    assert torch.equal(patches.permute(0, 3, 1, 2), nn.functional.pixel_unshuffle(x, stem_px))
    assert torch.equal(network.pixels(patches), x)


def test_patches_beyond_the_frame_repeat_its_last_row_and_column() -> None:
    network = build(17, 18, Architecture(stem_px=4))
    x = torch.randn(2, 1, 17, 18)
    full = nn.functional.pixel_shuffle(network.patches(x).permute(0, 3, 1, 2), 4)
    assert full.shape == (2, 1, 20, 20)
    assert torch.equal(full[:, :, 17:, :18], x[:, :, -1:].expand(-1, -1, 3, -1))
    assert torch.equal(full[:, :, :, 18:], full[:, :, :, 17:18].expand(-1, -1, -1, 2))
    assert torch.equal(network.pixels(network.patches(x)), x)


@pytest.mark.parametrize(
    ("side", "given", "rate_hz", "stem_px"),
    [
        (60, Architecture(), 5_000.0, None),
        (60, Architecture(), 10_000.0, 8),  # a melt pool of 120 px, binned: 15 thousand million operations a second
        (64, Architecture(), 25_000.0, 8),
        (64, Architecture(), None, None),  # how fast they come is not known
        (55, Architecture(), 1e6, None),  # patches of 8 would leave too small a grid
        (64, Architecture(stem_px=4), 1e6, 4),  # a person's choice stands
        (64, Architecture(linear=True), 1e6, None),
    ],
)
def test_high_rates_get_larger_patches(
    side: int, given: Architecture, rate_hz: float | None, stem_px: int | None
) -> None:
    assert lean(side, side + 1, given, rate_hz) == given._replace(stem_px=stem_px)


@pytest.mark.parametrize("architecture", [Architecture(latent=2), Architecture(latent=2, linear=True)])
def test_fresh_weights_depend_on_the_seed_alone_and_leave_the_global_state(architecture: Architecture) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again, other = (fresh(16, 16, architecture, seed).to_latent.weight for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


SMALL = Architecture(latent=3, channels=(2, 4), stem_px=2)  # on 16 x 16 px: a grid of 8 x 8, then one of 4 x 4


@pytest.mark.parametrize(
    ("architecture", "there", "back"),
    [
        (
            SMALL,
            8 * 8 * (2 * 2 * 2) + 4 * 4 * (9 * 2 * 4) + 64 * 3,  # stem, stage, latent
            64 * 3 + 4 * 4 * (16 * 4 * 2) + 8 * 8 * (9 * 2 * 4),  # latent, stage, phases
        ),
        (
            SMALL._replace(group=1),
            8 * 8 * (2 * 2 * 2) + 4 * 4 * (9 * 2) + 4 * 4 * (2 * 4) + 64 * 3,
            64 * 3 + 4 * 4 * (4 * 2) + 4 * 4 * (16 * 2) + 8 * 8 * (9 * 2 * 4),
        ),
        (Architecture(latent=3, linear=True), 256 * 3, 3 * 256),
    ],
)
def test_operations_are_those_counted_by_hand(architecture: Architecture, there: int, back: int) -> None:
    assert operations(fresh(16, 16, architecture, seed=0)) == there + back


def test_counting_operations_leaves_the_network_as_it_was() -> None:
    network = fresh(32, 32, Architecture(latent=4), seed=0).train()
    once = operations(network)
    assert operations(network) == once
    assert network.training
    assert not any(layer._forward_hooks for layer in network.modules())


def test_it_is_lean_enough_for_two_thousand_frames_a_second() -> None:
    """Multiply-adds a frame, not seconds: 2,000 frames/s at 120 px leave a core of 60 G/s some 30 million each."""
    assert operations(fresh(120, 120, Architecture(), seed=0)) < 12e6
