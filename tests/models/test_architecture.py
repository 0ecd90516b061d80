"""What follows from an architecture is what its network has."""

import pytest

from models.architecture import Architecture, grid_sizes, patch_px, weight_shapes
from models.autoencoder import Convolutional, build
from tests.models.test_autoencoder import ARCHITECTURES


@pytest.mark.parametrize(("height", "width"), [(32, 41), (33, 47), (120, 120), (191, 64)])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, Architecture(latent=3, channels=(8, 16), group=4)])
def test_shapes_and_grids_are_those_of_the_network(architecture: Architecture, height: int, width: int) -> None:
    network = build(height, width, architecture)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert weight_shapes(height, width, architecture) == shapes
    sizes = grid_sizes(height, width, architecture)
    assert (patch_px(height, width, architecture), sizes[0]) == (network.stride, network.grid)
    assert sizes == (network.sizes if isinstance(network, Convolutional) else [network.grid])


@pytest.mark.parametrize("side", [8, 577])
def test_sides_that_make_no_network_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="16 to 576 pixels a side"):
        weight_shapes(side, 64, Architecture())
