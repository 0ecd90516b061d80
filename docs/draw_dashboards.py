"""Draws what panels of the dashboards hold, from what a running Prometheus answers to their own queries.

    python -m docs.draw_dashboards http://127.0.0.1:9090 melt

It shows the content, not Grafana's looks: lines as they would be drawn, single values as they would be read.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

ROOT: Final = Path(__file__).parents[1]
BOARDS: Final = ROOT / "deploy" / "grafana" / "dashboards"
OUT: Final = ROOT / "docs" / "pictures" / "dashboards.png"

SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "framewatch-operators": ("Open alarms, as they were", "Alarms of the last hour", "Coverage"),
    "framewatch-engineers": (
        *("Scores over their limits", "Exceedances", "Frames a second"),
        *("Age and delay of frames", "False alarms an hour", "Bytes of recordings"),
    ),
}
SPAN_S: Final = 120
STEP_S: Final = 2
WINDOW: Final = "10s"  # for $__rate_interval
COLUMNS: Final = 3
WIDTH: Final = 330
HEIGHT: Final = 210
MOST: Final = 8  # lines of a legend
GROUND, TEXT, FAINT = (24, 27, 31), (220, 222, 226), (120, 124, 130)
COLOURS: Final = (
    *((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167), (160, 160, 160)),
)
"""Of Okabe and Ito: told apart by people who see red, green or blue badly."""


class Line(NamedTuple):
    """A series: what it is called, and (seconds, value)."""

    name: str
    points: list[tuple[float, float]]


def ask(url: str, camera: str, panel: Mapping[str, Any], now_s: float) -> list[Line]:
    """What Prometheus at *url* answers to the queries of *panel* for the last SPAN_S."""
    lines = []
    for target in panel["targets"]:
        expr = target["expr"].replace("$camera", camera).replace("$__rate_interval", WINDOW)
        span = {"query": expr, "start": now_s - SPAN_S, "end": now_s, "step": STEP_S}
        with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(span)}", timeout=10) as answer:
            series = json.load(answer)["data"]["result"]
        for one in series:
            labels = {"camera": camera, **one["metric"]}
            name = target["legendFormat"]
            for label, value in labels.items():
                name = name.replace("{{" + label + "}}", value)
            points = [(float(t), float(value)) for t, value in one["values"] if value not in ("NaN", "+Inf")]
            if points:
                lines.append(Line(name.removeprefix(camera).strip() or camera, points))
    return lines


def draw(picture: ImageDraw.ImageDraw, at: tuple[int, int], title: str, lines: list[Line], now_s: float) -> None:
    """One panel: its title, its lines from the least to the most value, and the last value of each beside its name."""
    font = ImageFont.load_default(11)
    left, top = at
    picture.rectangle((left, top, left + WIDTH - 8, top + HEIGHT - 8), outline=FAINT)
    picture.text((left + 8, top + 5), title, TEXT, ImageFont.load_default(13))
    values = [value for line in lines for _, value in line.points]
    low, high = min(values, default=0.0), max(values, default=1.0)
    high = high if high > low else low + 1.0
    x0, x1, y0, y1 = left + 44, left + 190, top + HEIGHT - 28, top + 32
    for value, y in ((low, y0), (high, y1)):
        picture.text((left + 6, y - 6), f"{value:.3g}", FAINT, font)
        picture.line((x0, y, x1, y), (60, 64, 70))
    picture.text((x0, y0 + 4), f"{SPAN_S} s ago", FAINT, font)
    picture.text((x1 - 20, y0 + 4), "now", FAINT, font)
    for order, (line, colour) in enumerate(zip(lines, COLOURS, strict=False)):
        found = [
            (x0 + (t - now_s + SPAN_S) / SPAN_S * (x1 - x0), y0 + (value - low) / (high - low) * (y1 - y0))
            for t, value in line.points
        ]
        picture.line(found, colour, 2)
        if order < MOST:
            told = f"{line.name[:15]} {line.points[-1][1]:.3g}"
            picture.text((x1 + 8, y1 - 4 + 18 * order), told, colour, font)


def main(url: str, camera: str) -> int:
    """Every panel of SHOWN, in rows."""
    now_s = time.time()
    asked = [
        (panel["title"], ask(url, camera, panel, now_s))
        for board, titles in SHOWN.items()
        for title in titles
        for panel in json.loads((BOARDS / f"{board}.json").read_text())["panels"]
        if panel["title"] == title
    ]
    rows = -(-len(asked) // COLUMNS)
    image = Image.new("RGB", (COLUMNS * WIDTH, rows * HEIGHT), GROUND)
    for order, (title, lines) in enumerate(asked):
        place = (order % COLUMNS * WIDTH + 4, order // COLUMNS * HEIGHT + 4)
        draw(ImageDraw.Draw(image), place, title, lines, now_s)
    image.quantize(64, dither=Image.Dither.NONE).save(OUT, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
