"""A measurement as one SVG picture: rates beside what bounds them, and the delays."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from monitor.bench.delays import Quantiles
from monitor.bench.report import Figure, Report, beside, figures, is_told, told_delays
from monitor.bench.svg import BLUE, FONT_PX, GRID, INK, ORANGE, PALE, line, picture

WIDTH: Final = 900
LABEL_PX: Final = 300
RIGHT_PX: Final = 90
ROW_PX: Final = 17
GAP_PX: Final = 9
HEAD_PX: Final = 84
PANEL_GAP_PX: Final = 84
BOTTOM_PX: Final = 40
PARTS: Final = (
    ("median", "p50_ms", math.inf),
    ("99 %", "p99_ms", 0.01),
    ("99.9 %", "p999_ms", 0.001),
    ("longest", "max_ms", math.inf),
)
"""Of delays: name, field, and the share that lies beyond."""

DOT_PX: Final = 4.5
COLOURS: Final = (BLUE, ORANGE)
"""Of the conditions, in turn."""


class Axis(NamedTuple):
    """A logarithmic axis from *low* to *high*, both powers of ten."""

    low: int
    high: int

    def across(self, value: float) -> float:
        """Where *value* stands, in pixels from the left."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LABEL_PX + min(max(share, 0.0), 1.0) * (WIDTH - LABEL_PX - RIGHT_PX)


class Row(NamedTuple):
    """One name with a value for each condition."""

    name: str
    values: Sequence[float | None]
    is_bound: bool = False  # what nothing passes: drawn hollow


def picture_of(report: Report) -> str:
    """The whole picture."""
    frames, conditions = report.frames, report.conditions
    words = [beside(condition.competing) for condition in conditions]
    parts = [
        _text(12, 24, "framewatch bench", size=16, weight="bold"),
        _text(12, 44, f"{report.machine.processor}, {report.machine.cores} cores; {frames.height} x {frames.width} "
                      f"{frames.dtype} {frames.told}"),
        *_legend(words),
    ]  # fmt: skip
    rates = _rate_rows([figures(report, condition) for condition in conditions])
    drawn, bottom = _panel("frames a second", rates, HEAD_PX + 44, "{:,.0f}")
    parts += drawn
    delays = _delay_rows(report)
    if delays:
        drawn, bottom = _panel(_delay_title(report), delays, bottom + PANEL_GAP_PX, "{:.2f}")
        parts += drawn
    return picture(WIDTH, round(bottom + BOTTOM_PX), parts)


def _rate_rows(shown: Sequence[Sequence[Figure]]) -> list[Row]:
    return [
        Row(row[0].name, [one.frames_per_s for one in row], row[0].kind == "ceiling")
        for row in zip(*shown, strict=True)
    ]


def _delay_rows(report: Report) -> list[Row]:
    """Each delay's median, 99 %, 99.9 % and longest."""
    told = [told_delays(one.delays) if one.delays else [] for one in report.conditions]
    names = next(([name for name, _ in one] for one in told if one), [])
    rows = []
    for index, name in enumerate(names):
        found = [one[index][1] if one else None for one in told]
        for part, field, beyond in PARTS:
            if not any(one and is_told(one, beyond) for one in found):
                continue
            rows.append(Row(f"{name}, {part}", [_value(one, field) for one in found]))
    return rows


def _value(found: Quantiles | None, field: str) -> float | None:
    return None if found is None else float(getattr(found, field))


def _delay_title(report: Report) -> str:
    rates = ", ".join(
        f"{one.delays.rate_hz:,.0f} {beside(one.competing)}" for one in report.conditions if one.delays is not None
    )
    return f"delay in milliseconds, at {rates} (frames/s)"


def _legend(words: Sequence[str]) -> list[str]:
    parts, x = [], 12.0
    for word, colour in zip(words, COLOURS, strict=False):
        parts.append(f'<rect x="{x:.1f}" y="56" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 18, 66, word))
        x += 40 + 7.0 * len(word)
    return parts


def _panel(title: str, rows: Sequence[Row], top: float, form: str) -> tuple[list[str], float]:
    """Dots on a logarithmic axis below *title*; also where they end."""
    axis = _axis([value for row in rows for value in row.values if value])
    count = max(len(row.values) for row in rows)
    height = sum(ROW_PX * count + GAP_PX for _ in rows)
    parts = [_text(12, top - 24, title, weight="bold")]
    for power in range(axis.low, axis.high + 1):
        x = axis.across(10.0**power)
        parts.append(line(x, top - 6, x, top + height, GRID))
        parts.append(
            _text(
                x, top - 10, f"{10.0**power:,.0f}" if power >= 0 else f"{10.0**power:g}", anchor="middle", colour=PALE
            )
        )
    y = top
    for row in rows:
        middle = y + ROW_PX * count / 2
        parts.append(_text(LABEL_PX - 10, middle + FONT_PX / 3, row.name, anchor="end"))
        for index, value in enumerate(row.values):
            parts += _dot(axis, value, y + ROW_PX * index, index, row.is_bound, form)
        y += ROW_PX * count + GAP_PX
    return parts, y


def _dot(axis: Axis, value: float | None, y: float, index: int, is_bound: bool, form: str) -> list[str]:
    """A dot, since the length of a bar says nothing on a logarithmic axis; hollow where it is a bound."""
    if not value:
        return [_text(LABEL_PX + 4, y + ROW_PX - 5, "none", colour=PALE)]
    colour, x, middle = COLOURS[index % len(COLOURS)], axis.across(value), y + ROW_PX / 2
    fill = "#ffffff" if is_bound else colour
    return [
        line(LABEL_PX, middle, x, middle, GRID),
        f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="{DOT_PX}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>',
        _text(x + 10, middle + FONT_PX / 3, form.format(value)),
    ]


def _axis(values: Sequence[float]) -> Axis:
    """Whole decades that hold *values*, one of them below the least."""
    if not values:
        return Axis(0, 1)
    low = math.floor(math.log10(min(values)))
    return Axis(low, max(math.ceil(math.log10(max(values))), low + 1))


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    colour: str = INK,
    size: int = FONT_PX,
    weight: str = "normal",
) -> str:
    styled = f' font-size="{size}" font-weight="{weight}"' if (size, weight) != (FONT_PX, "normal") else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{styled}>{escape(words)}</text>'
