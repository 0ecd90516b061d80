"""Which networks have a plan for compiled loops, and how much memory it asks for."""

import pytest

from models.architecture import Architecture
from models.autoencoder import fresh, operations
from models.compiled.network import WIDE
from models.plan import fits, plan_of
from models.trained import weights_of


@pytest.mark.parametrize(
    ("side", "architecture", "expected"),
    [
        (60, Architecture(), True),
        (576, Architecture(), True),
        (60, Architecture(latent=5), True),  # a latent is filled up
        (60, Architecture(channels=(16, 48)), True),
        (60, Architecture(channels=(8, 32)), False),
        (60, Architecture(stem_px=6), False),  # patches of 36 pixels
        (16, Architecture(), False),  # of 4
        (60, Architecture(group=1), False),
        (60, Architecture(linear=True), False),
    ],
)
def test_a_network_whose_layers_see_whole_blocks_of_channels_has_a_plan(
    side: int, architecture: Architecture, expected: bool
) -> None:
    assert fits(side, side, architecture) is expected


@pytest.mark.parametrize(("height", "width", "stem_px"), [(60, 60, 4), (120, 97, 4), (64, 64, 8)])
def test_the_products_of_a_plan_are_the_operations_of_its_network(height: int, width: int, stem_px: int) -> None:
    network = fresh(height, width, Architecture(stem_px=stem_px), 1)
    plan = plan_of(height, width, network.architecture, weights_of(network))
    planned = 0
    for part in (plan.down, plan.to_latent, plan.from_latent, plan.up):
        for rows, columns, blocks, segments, _, run in part[:, 8:14].tolist():
            planned += rows * columns * blocks * WIDE * segments * run
    # A transposed convolution's outputs beyond the mirror's edge are not worked out.
    assert 0.8 * operations(network) < planned <= operations(network)
