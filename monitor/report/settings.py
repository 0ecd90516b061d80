"""The settings of a calibration in words that need no source code, with their units."""

from collections.abc import Mapping
from typing import Final

Value = bool | int | float | str

TRAINING: Final[Mapping[str, tuple[str, str]]] = {
    "latent": ("size of the latent", "numbers a frame"),
    "channels": ("channels of the network's stem and of each stage", ""),
    "stem_px": ("side of the patches that the stem takes together", "px"),
    "group": ("channels that each 3 x 3 convolution sees", ""),
    "linear": ("linear network (one matrix down, one up)", ""),
    "operations": ("multiply-adds of the network", "a frame"),
    "epochs": ("passes over the training frames, at most", ""),
    "batch": ("training frames a step", ""),
    "learning_rate": ("learning rate at the beginning", ""),
    "loss": ("loss that the training minimises", ""),
    "noise": ("noise added in training, which the network is to undo", "standard deviations of a frame's pixels"),
    "dimming": ("largest change of light in training, which the network is to undo", "of the light"),
    "brightness": (
        "largest change of brightness in training, to count as normal",
        "standard deviations of a frame's pixels",
    ),
    "contrast": ("largest change of contrast in training, to count as normal", "of the contrast"),
    "sparsity": ("weight of the penalty on latents that are all used in every frame", ""),
    "variational": ("variational autoencoder", ""),
    "seed": ("seed of all random numbers", ""),
    "max_steps": ("steps of the training, at most", ""),
    "binning": ("side of the squares of pixels that are averaged to one before the network", "px"),
    "orientation": ("what is done about objects that turn", ""),
    "tile_px": ("side of the tiles that images are judged as", "px"),
    "tile_overlap_px": ("overlap of neighbouring tiles", "px"),
    "tiles": ("tiles of an image", ""),
    "held_out": ("groups kept from training to set the limits (of a single group: frames)", "of them"),
    "threads": ("threads of torch in training", ""),
    "steps": ("step whose weights were kept", ""),
    "final_loss": ("loss in training at that step", ""),
    "window_px": ("side of the window of the chart local, in what the network sees", "px"),
    "stride_px": ("distance of such windows", "px"),
}
"""Name of each setting as the manifest holds it -> what it is, and its unit."""

SHARES: Final = ("dimming", "contrast", "held_out")

WORDS: Final[Mapping[tuple[str, Value], str]] = {
    ("stem_px", "by size"): "by the size of the frames: 4 px, under 32 px 2 px",
    ("orientation", "align"): "each pool is turned to one direction and moved to the middle",
    ("orientation", "augment"): "training on turned copies",
    ("orientation", "none"): "nothing",
    ("loss", "squared"): "squared error",
    ("loss", "poisson"): "Poisson, for detectors that count",
    ("binning", 1): "1 px: none are averaged",
}
"""Values that say more in words."""

LEVELS: Final[Mapping[str, tuple[str, str]]] = {
    "dark_spread": ("dark: brightest less darkest pixel below", "pixel values"),
    "saturated_level": ("saturated: pixels clipped at", "pixel values"),
    "saturated_fraction": ("saturated: such pixels, more than", "of a frame's pixels"),
    "row_contrast": ("rows missing: contrast of a row beside constant rows above", "of the frame's spread"),
    "frozen_repeats": ("frozen: repeats of one frame in a row, at least", ""),
}
"""The same for the levels of the camera check."""


def in_words(training: Mapping[str, Value]) -> dict[str, str]:
    """*training* as the manifest holds it, name -> value, in words and with units, in its order."""
    return {
        _known(TRAINING, name)[0]: _told(name, value, _known(TRAINING, name)[1]) for name, value in training.items()
    }


def camera_levels(levels: Mapping[str, float]) -> dict[str, str]:
    """The *levels* beyond which a frame tells of the camera, in words and with units."""
    return {
        f"camera fault, {_known(LEVELS, name)[0]}": _told(name, value, _known(LEVELS, name)[1])
        for name, value in levels.items()
    }


def _known(table: Mapping[str, tuple[str, str]], name: str) -> tuple[str, str]:
    return table.get(name, (name.replace("_", " "), ""))


def _told(name: str, value: Value, unit: str) -> str:
    if (name, value) in WORDS:
        return WORDS[name, value]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if name in SHARES:
        return f"{100 * value:.4g} % {unit}"
    number = f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if unit else str(value)
    return f"{number} {unit}".rstrip()
