"""What every drawn picture of a benchmark is made of: one paper, one ink, and colours that nobody mistakes."""

from collections.abc import Sequence
from typing import Final

INK, PALE, GRID = "#1f2933", "#9aa5b1", "#e4e7eb"
BLUE, ORANGE = "#1d5fa8", "#d9570b"  # apart in every common kind of colour blindness, and in grey
FONT_PX: Final = 12


def picture(width: float, height: float, parts: Sequence[str]) -> str:
    """An SVG picture of *parts* on white."""
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="{FONT_PX}" fill="{INK}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{inside}\n</svg>\n'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    thick = "" if width == 1 else f' stroke-width="{width}"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{thick}/>'
