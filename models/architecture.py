"""What a network is made of, and what follows from it for frames of a size: grids, and the shapes of its weights."""

import itertools
from typing import Final, NamedTuple

SIDE_MIN_PX: Final = 16
SIDE_MAX_PX: Final = 576
CODE_SIDE: Final = 8  # stages halve the grid until its smaller side is at most this

Size = tuple[int, int]
Shapes = dict[str, tuple[int, ...]]


class Architecture(NamedTuple):
    """What a network is made of."""

    latent: int = 32
    channels: tuple[int, ...] = (16, 32, 64, 64, 64)  # of the stem and of each stage: few at full resolution
    stem_px: int | None = None  # a side of the stem's patches; None: 4, for frames under 32 px 2
    group: int | None = None  # channels that each 3 x 3 convolution sees; 1: depthwise; None: all of them
    linear: bool = False  # one matrix down and one up: what it learns spans the principal components


def require(height: int, width: int, architecture: Architecture) -> None:
    """Raises ValueError for a side or an *architecture* that makes no network."""
    if not (SIDE_MIN_PX <= height <= SIDE_MAX_PX and SIDE_MIN_PX <= width <= SIDE_MAX_PX):
        raise ValueError(
            f"frames must be {SIDE_MIN_PX} to {SIDE_MAX_PX} pixels a side, not {height} x {width}: crop or bin them"
        )
    latent, channels, stem_px, group, linear = architecture
    if latent < 1:
        raise ValueError(f"latent must be at least 1, not {latent}")
    if linear:
        return
    if len(channels) < 2 or min(channels) < 1:
        raise ValueError(f"channels must be at least two numbers above 0, not {list(channels)}")
    if stem_px is not None and not 1 <= stem_px <= min(height, width) // 4:
        raise ValueError(f"stem_px must be 1 to {min(height, width) // 4} for {height} x {width} frames, not {stem_px}")
    if group is not None and (group < 1 or any(count % group for count in channels)):
        raise ValueError(f"group must divide every number of channels in {list(channels)}; {group} does not")


def patch_px(height: int, width: int, architecture: Architecture) -> int:
    """A side of the patches that the network works on, pixels."""
    if architecture.linear:
        return 1
    return architecture.stem_px or (4 if min(height, width) >= 32 else 2)


def grid_sizes(height: int, width: int, architecture: Architecture) -> list[Size]:
    """Rows and columns of the grid of patches, and of what each stage makes of it."""
    stride, stages_max = patch_px(height, width, architecture), len(architecture.channels) - 1
    sizes = [(-(-height // stride), -(-width // stride))]
    if architecture.linear:
        return sizes
    while len(sizes) == 1 or (min(sizes[-1]) > CODE_SIDE and len(sizes) <= stages_max):
        rows, columns = sizes[-1]
        sizes.append(((rows + 1) // 2, (columns + 1) // 2))
    return sizes


def weight_shapes(height: int, width: int, architecture: Architecture) -> Shapes:
    """Name -> shape of every weight and bias, as a bundle holds them: out before in, but for transposed convolutions.

    Raises ValueError as `require` does.
    """
    require(height, width, architecture)
    p, group = architecture.latent, architecture.group
    if architecture.linear:
        return _layer("to_latent", p, height * width) | _layer("from_latent", height * width, p)
    sizes, patch = grid_sizes(height, width, architecture), patch_px(height, width, architecture) ** 2
    channels = architecture.channels[: len(sizes)]
    code = channels[-1] * sizes[-1][0] * sizes[-1][1]
    shapes = _layer("stem", channels[0], patch)
    for index, (wide, deep) in enumerate(itertools.pairwise(channels)):
        down, up = f"down.{index}", f"up.{len(channels) - 2 - index}"
        if group is None:
            shapes |= _layer(down, deep, wide, 3, 3) | _layer(up, deep, wide, 4, 4, biases=wide)
        else:
            shapes |= _layer(f"{down}.0", wide, group, 3, 3) | _layer(f"{down}.1", deep, wide, 1, 1)
            shapes |= _layer(f"{up}.0", wide, deep, 1, 1) | _layer(f"{up}.1", wide, group, 4, 4)
    shapes |= _layer("to_latent", p, code) | _layer("from_latent", code, p)
    return shapes | _layer("phases", patch, channels[0], 3, 3)


def _layer(name: str, *shape: int, biases: int | None = None) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (biases or shape[0],)}
