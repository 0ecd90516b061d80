"""TIFF files to arrays, without losing pages in silence.

tifffile logs an error and returns the pages it could still find when a file is cut short, and it gives only the
first of several series. Here both are errors or handled.
"""

import logging
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageSequence

DECODED: Final = frozenset({"NONE", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS"})
"""Compressions that tifffile reads by itself; Pillow reads the others."""


def read_tiff(path: str) -> npt.NDArray[Any]:
    """Every page of *path*: (n, h, w) or (h, w), with a last axis of channels where there is colour.

    Raises ValueError where pages are missing or differ in size, and whatever the decoders raise.
    """
    heard = _Heard()
    log = logging.getLogger("tifffile")
    log.addHandler(heard)
    propagate, log.propagate = log.propagate, False  # the error is raised, in one line: it needs no log beside
    try:
        pages = _series(path)
    finally:
        log.removeHandler(heard)
        log.propagate = propagate
    if heard.errors:
        raise ValueError(f"damaged or cut short: {heard.errors[0]}")
    return pages


def _series(path: str) -> npt.NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        if any(
            tifffile.COMPRESSION(page.compression).name not in DECODED
            for page in file.pages
            if isinstance(page, tifffile.TiffPage)
        ):
            return _with_pillow(path)  # LZW and the like: tifffile needs another package for them
        stacks = [_by_frame(np.asarray(one.asarray()), one.axes) for one in file.series]
    if len(stacks) == 1:
        return stacks[0].reshape(stacks[0].shape[1:]) if len(stacks[0]) == 1 else stacks[0]
    if len({stack.shape[1:] for stack in stacks}) > 1:
        sizes = ", ".join(sorted({"x".join(map(str, stack.shape[1:])) for stack in stacks}))
        raise ValueError(f"its pages differ in size: {sizes}")
    return np.concatenate(stacks)


def _by_frame(pixels: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """(n, h, w), or (n, h, w, channels) where there is an axis of samples, which may have come first."""
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
    frame_axes = 3 if "S" in axes else 2
    return pixels.reshape(-1, *pixels.shape[-frame_axes:]) if pixels.ndim <= frame_axes + 1 else pixels


def _with_pillow(path: str) -> npt.NDArray[Any]:
    with Image.open(path) as image:
        return np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)])


class _Heard(logging.Handler):
    """Collects what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(record.getMessage())
