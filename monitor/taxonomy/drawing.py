"""What the pictures of the taxonomy are made of: colours and marks of kinds, lines, words, times, small frames."""

import base64
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from monitor.taxonomy.found import NO_KIND

INK, QUIET, GRID, RULE = "#2d3338", "#5d666e", "#e1e4e7", "#b4483f"
WIDTH: Final = 1000
FONT_PX: Final = 12

COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1")
"""Okabe and Ito 2008, without yellow, which is lost on white, and with a violet for black."""

NO_COLOUR: Final = "#7d868e"
SHAPES: Final = ("circle", "square", "diamond", "triangle")

CLIPPED: Final = (0.2, 99.8)  # per cent of all pixels between black and white

STEPS_S: Final = (
    1,
    5,
    15,
    60,
    300,
    900,
    3600,
    3 * 3600,
    6 * 3600,
    43_200,
    86_400,
    2 * 86_400,
    7 * 86_400,
    30 * 86_400,
    365 * 86_400,
)
TICKS: Final = 8  # of a time axis, at most


def colour_of(kind: int) -> str:
    """Of a kind by its id: it keeps it for ever; grey of what is of none, or of several."""
    return NO_COLOUR if kind < 0 else COLOURS[(kind - 1) % len(COLOURS)]


def mark(x: float, y: float, kind: int, size: float = 4.0) -> str:
    """What stands for an event of *kind* at a place: kinds of one colour differ in shape, those in none are rings."""
    if kind == NO_KIND:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="none" stroke="{NO_COLOUR}"/>'
    colour, shape = colour_of(kind), SHAPES[(kind - 1) // len(COLOURS) % len(SHAPES)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="{colour}"/>'
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
    }[shape]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'


def svg(height: float, parts: Sequence[str], title: str) -> str:
    """A picture as wide as the page, for those who see it and, by its *title*, for those who hear it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="100%" role="img" font-size="{FONT_PX}" fill="{INK}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def words(x: float, y: float, told: str, anchor: str = "start", colour: str = INK, *, bold: bool = False) -> str:
    """*told*, with a pale rim that keeps it readable on whatever lies below."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight} stroke="#ffffff" '
        f'stroke-width="3" paint-order="stroke">{escape(told)}</text>'
    )


def moment(t_ns: float) -> str:
    """A time in UTC, for people."""
    return f"{datetime.fromtimestamp(t_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def time_ticks(first_ns: float, last_ns: float) -> list[tuple[float, str]]:
    """Times and their words, at round ones."""
    span_s = (last_ns - first_ns) / 1e9
    step_s = next((step for step in STEPS_S if span_s / step <= TICKS), STEPS_S[-1])
    form = "%H:%M:%S" if step_s < 60 else "%H:%M" if step_s < 86_400 else "%Y-%m-%d"
    if step_s < 86_400 < span_s:
        form = "%m-%d %H:%M"
    first = -(-first_ns // (step_s * 1e9)) * step_s
    times = np.arange(first, last_ns / 1e9, step_s)
    return [(t_s * 1e9, f"{datetime.fromtimestamp(t_s, UTC):{form}}") for t_s in times.tolist()]


def grey_range(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Black and white of all pictures: on a scale of its own, a dark frame would shine."""
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, CLIPPED)
    return float(low), max(float(high), float(low) + 1e-6)


def png(frame: npt.NDArray[Any], grey: tuple[float, float]) -> str:
    """*frame* (h, w) between black and white of *grey*, as an address that holds the picture itself."""
    low, high = grey
    scaled = np.nan_to_num((frame.astype(np.float64) - low) / (high - low))
    with io.BytesIO() as written:
        Image.fromarray((np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)).save(written, "PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
