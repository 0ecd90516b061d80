"""Frames as PNG in grey, and residuals in colours, small enough to be sent several times a second. Pure."""

import base64
import io
from collections.abc import Iterator
from functools import reduce
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.scores import Pictures
from monitor.types import Pixels

SIDE_MOST: Final = 256  # pixels of a picture

USUAL: Final = 0.002, 0.995
"""Quantiles of what is seen that are to lie within the scale: a spot of a few pixels does not darken the rest."""

DRAWN: Final = 0.0005, 0.9995
"""... and of what is drawn, which has no noise: the core of a small pool is a few pixels, and is to keep its shape."""

ABOVE: Final = 0.2
"""Of the scale, above all these: what is saturated is white, and stands out of what is merely bright."""

RESIDUAL_LEAST: Final = 8.0
"""Standard units at the ends of the colours, at least: the noise of a normal frame is to look calm ..."""

RESIDUAL_MOST: Final = 24.0
"""... and at most: beside a blinding spot, what is far from normal too is to be seen."""

COMPRESSION: Final = 1
"""Of zlib: noise grows no smaller by more, it only takes longer."""

STOPS: Final = (
    (-1.0, (214, 238, 255)),
    (-0.7, (108, 188, 250)),
    (-0.35, (36, 104, 186)),
    (0.0, (22, 27, 32)),
    (0.35, (176, 84, 14)),
    (0.7, (250, 164, 58)),
    (1.0, (255, 240, 208)),
)
"""Blue is darker than drawn, orange brighter: told apart with any colour vision. Zero is the page's own dark grey."""

LARGEST: Final = 1e30
"""What is larger, or infinite, counts as this: differences stay finite."""

Float32s = npt.NDArray[np.float32]


class Drawn(NamedTuple):
    """The pictures of one frame as data URIs, and what they are to be read by; None: of a frame alone there is none."""

    height: int
    width: int
    seen: str
    drawn: str | None
    residual: str | None
    scale: tuple[float, float]  # black and white, pixel units
    residual_most: float | None
    where: tuple[int, int] | None


def draw(pictures: Pictures) -> Drawn:
    """The pictures of the first frame, at most SIDE_MOST pixels a side."""
    times = shrinking(*pictures.seen.shape[1:])
    seen, drawn = (means(_numbers(one[0]), times) for one in (pictures.seen, pictures.drawn))
    residual = extremes(_numbers(pictures.residual[0]), times)
    black, white = scale_of(seen, drawn)
    most = float(np.clip(np.abs(residual).max(), RESIDUAL_LEAST, RESIDUAL_MOST))
    row, column = (int(one) // times for one in pictures.scores.where[0])
    return Drawn(
        height=seen.shape[0],
        width=seen.shape[1],
        seen=grey_png(seen, black, white),
        drawn=grey_png(drawn, black, white),
        residual=signed_png(residual, most),
        scale=(black, white),
        residual_most=most,
        where=(row, column),
    )


def draw_alone(frame: Pixels, spread: float, level: float) -> Drawn:
    """A *frame* (h, w) as it is. Its scale spans no less than *spread*, from dark to bright as is usual, and pixels at
    *level*, where the camera clips, are white: a dark frame looks dark, a saturated one white.
    """
    seen = means(_numbers(frame.astype(np.float32)), shrinking(*frame.shape))
    low, high = (float(np.quantile(seen, share)) for share in USUAL)
    room = max(high - low, spread)
    black = min(low, level - room)
    return Drawn(
        height=seen.shape[0],
        width=seen.shape[1],
        seen=grey_png(seen, black, black + room),
        drawn=None,
        residual=None,
        scale=(black, black + room),
        residual_most=None,
        where=None,
    )


def _numbers(image: Float32s) -> Float32s:
    return np.nan_to_num(image, nan=0.0, posinf=LARGEST, neginf=-LARGEST).clip(-LARGEST, LARGEST)


def shrinking(height: int, width: int) -> int:
    """How many pixels a side become one."""
    return -(-max(height, width) // SIDE_MOST)


def means(image: Float32s, times: int) -> Float32s:
    """Of cells of *times* pixels a side, the last of which may be cut by the edge."""
    if times == 1:
        return image
    total = reduce(np.add, _cells(image, times, 0.0))
    inside = reduce(np.add, _cells(np.ones_like(image), times, 0.0))
    found: Float32s = total / inside
    return found


def extremes(image: Float32s, times: int) -> Float32s:
    """Of such cells what is furthest from zero: no spot vanishes."""
    if times == 1:
        return image
    high = reduce(np.maximum, _cells(image, times, -np.inf))
    low = reduce(np.minimum, _cells(image, times, np.inf))
    found: Float32s = np.where(high >= -low, high, low)
    return found


def scale_of(seen: Float32s, drawn: Float32s) -> tuple[float, float]:
    """Black and white, common to both."""
    black = min(float(np.quantile(seen, USUAL[0])), float(np.quantile(drawn, DRAWN[0])))
    usual = max(float(np.quantile(seen, USUAL[1])), float(np.quantile(drawn, DRAWN[1])))
    room = max(usual - black, 1e-6 * max(abs(black), 1.0))
    return black, min(black + room * (1 + ABOVE), max(float(seen.max()), float(drawn.max()), black + room))


def grey_png(image: Float32s, black: float, white: float) -> str:
    """*image* between *black* and *white*, as a data URI."""
    return _uri(_levels((image - black) / (white - black)), None)


def signed_png(image: Float32s, most: float) -> str:
    """*image* from -*most* to *most* in the colours of STOPS."""
    return _uri(_levels((image / most + 1) / 2), PALETTE)


def _levels(shares: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    levels: npt.NDArray[np.uint8] = np.rint(shares.clip(0.0, 1.0) * 255).astype(np.uint8)
    return levels


def _uri(levels: npt.NDArray[np.uint8], palette: bytes | None) -> str:
    height, width = levels.shape
    image = Image.frombytes("L" if palette is None else "P", (width, height), levels.tobytes())
    if palette is not None:
        image.putpalette(palette)
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=COMPRESSION)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def _cells(image: Float32s, times: int, beyond: float) -> Iterator[Float32s]:
    """Of every cell its first pixel, then of every cell the next; *beyond* the edge there is that."""
    below, right = -image.shape[0] % times, -image.shape[1] % times
    whole = np.pad(image, ((0, below), (0, right)), constant_values=beyond)
    for row, column in product(range(times), repeat=2):
        yield whole[row::times, column::times]


def _palette() -> bytes:
    at, shades = zip(*STOPS, strict=True)
    steps = np.arange(256) / 127.5 - 1
    channels = [np.interp(steps, at, channel) for channel in zip(*shades, strict=True)]
    colours: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colours.tobytes()


PALETTE: Final = _palette()
