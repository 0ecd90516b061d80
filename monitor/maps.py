"""Where in large images something is: for each image a picture of its tiles' joint scores, and one table of all tiles.

Colours run through cividis, which looks the same to people with any kind of colour vision (Nunez, Anderton and Renslow
2018); tiles over the limit are outlined in orange on both panels, so that nothing is told by hue alone.
"""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from calibration.scale import JointScale
from models.scorer import Scorer
from models.scores import CHARTS, Scores, of_images
from models.tiles import Tiling
from monitor.bundle import Bundle, BundleError
from monitor.camera.recordings import Recording
from monitor.score import load_scorer, require_fit, table_of, write_table

Floats = npt.NDArray[np.floating[Any]]
Colours = npt.NDArray[np.uint8]

TABLE: Final = "tiles"
PANEL_PX: Final = 1024
"""Longest side of a panel; larger images are drawn smaller by a whole factor."""

PANEL_MIN_PX: Final = 400
"""Longest side of a panel at least, as nearly as a whole factor allows: smaller images are drawn larger."""

MARGIN_PX, BAR_PX, TEXT_PX, LINE_PX = 24, 16, 15, 20
SCALE_PX: Final = 130  # the bar, its numbers and the margin beside them
BAR_MIN_PX: Final = 80  # so that its three numbers stand apart
WIDTH_MIN_PX: Final = 480
TOP: Final = 2.0  # joint score at the upper end of the colours: the limit, which is 1, lies in their middle
CLIPPED: Final = (0.5, 99.5)  # per cent of an image's pixels between black and white
CIVIDIS: Final = ("#00224e", "#1d3970", "#414d6b", "#61646f", "#7d7c78", "#9d9676", "#bcaf6f", "#dfcb57", "#fee838")
OVER: Final = "#d55e00"  # vermilion of Okabe and Ito 2008
INK: Final = "#2d3338"


def require_tiles(bundle: Bundle) -> None:
    """Raises BundleError where *bundle* judges frames whole: then there is nothing to draw a map of."""
    if "tile_px" not in bundle.manifest.training:
        raise BundleError(f"{bundle.path}: judges frames whole and has no maps; calibrate with calibration.tile_px")


def write_maps(bundle: Bundle, recordings: Sequence[Recording], folder: Path, suffix: str = ".parquet") -> pa.Table:
    """Write a PNG for each image and one table of all tiles to *folder*, which is made; the images' own `score_table`.

    A tile is flagged by the limit of whole images: an image is over its limit where one of its tiles is. Raises as
    `require_fit` and `require_tiles` do, and OSError.
    """
    require_tiles(bundle)
    require_fit(bundle, recordings)
    folder.mkdir(parents=True, exist_ok=True)
    scorer, tables, images = load_scorer(bundle), [], []
    tiling = _tiling(scorer)
    for number, recording in enumerate(recordings):
        scored = []
        for sequence, image in enumerate(recording.frames):
            tiles = scorer.score_tiles(image[None])
            table = tile_table(bundle, tiling, recording, sequence, tiles)
            picture = draw(image, table["joint"].to_numpy(), tiling, f"{recording.name}, image {sequence}")
            picture.save(folder / _file_name(number, recording.name, sequence))
            tables.append(table)
            scored.append(of_images(tiles, tiling.count))
        images.append(table_of(bundle, recording, Scores(*map(np.concatenate, zip(*scored, strict=True)))))
    write_table(pa.concat_tables(tables), folder / f"{TABLE}{suffix}")
    return pa.concat_tables(images)


def tile_table(bundle: Bundle, tiling: Tiling, recording: Recording, sequence: int, scores: Scores) -> pa.Table:
    """One row a tile of image *sequence*: its place in the grid and in the image, every chart, joint score, flag.

    *scores* are those of its tiles.
    """
    values = scores.values
    joint, source = JointScale(bundle.context_limits.of(recording.context))(values)
    number = np.arange(tiling.count)
    return pa.table(
        {
            "group": pa.array([recording.name] * tiling.count),
            "sequence": np.full(tiling.count, sequence, np.int64),
            "tile_row": number // len(tiling.lefts),
            "tile_column": number % len(tiling.lefts),
            "row": tiling.corners[:, 0],
            "column": tiling.corners[:, 1],
            **{chart: values[:, index] for index, chart in enumerate(CHARTS)},
            "local_row": scores.where[:, 0],
            "local_column": scores.where[:, 1],
            "joint": joint,
            "source": pa.array([CHARTS[index] for index in source]),
            "flag": joint > 1,
        }
    )


def draw(image: npt.NDArray[Any], joint: Floats, tiling: Tiling, title: str) -> Image.Image:
    """*image* (h, w) beside the *joint* scores (k,) of its tiles, with a scale that shows the limit."""
    shrink = -(-max(image.shape) // PANEL_PX)
    height, width = (side // shrink for side in image.shape)
    grow = max(1, PANEL_MIN_PX // max(height, width))
    grid = joint.reshape(len(tiling.tops), len(tiling.lefts))
    rows, columns = ((edges // shrink).clip(0, side) for edges, side in zip(tiling.edges, (height, width), strict=True))
    cells = np.repeat(np.repeat(_coloured(grid / TOP), np.diff(rows), axis=0), np.diff(columns), axis=1)
    grey = np.repeat(_grey(image, shrink)[:height, :width, None], 3, axis=2)
    height, width, rows, columns = height * grow, width * grow, rows * grow, columns * grow
    right = MARGIN_PX + width + MARGIN_PX
    bar = right + width + MARGIN_PX
    whole = max(bar + SCALE_PX, WIDTH_MIN_PX)
    over, font = int((~(joint <= 1)).sum()), ImageFont.load_default(TEXT_PX)
    told = f"largest joint score {joint.max():.3g}, {over} of {len(joint)} tiles over the limit"
    lines = [*_wrapped(title, whole - 2 * MARGIN_PX, font), *_wrapped(told, whole - 2 * MARGIN_PX, font)]
    top = MARGIN_PX + LINE_PX * (len(lines) + 2)
    picture = Image.new("RGB", (whole, top + max(height, BAR_MIN_PX) + MARGIN_PX), "white")
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((MARGIN_PX, MARGIN_PX + LINE_PX * number), line, INK, font)
    for left, panel in ((MARGIN_PX, grey), (right, cells)):
        picture.paste(Image.fromarray(panel).resize((width, height), Image.Resampling.NEAREST), (left, top))
        for row, column in np.argwhere(~(grid <= 1)).tolist():
            # Of a tile that has no pixel of its own a line is shown.
            upper, lower = _shown(rows, row)
            first, last = _shown(columns, column)
            pen.rectangle((left + first, top + upper, left + last, top + lower), outline=OVER, width=2)
    pen.text((bar, top - LINE_PX * 3 // 2), "joint score", INK, font)
    _draw_scale(picture, pen, bar, top, max(height, BAR_MIN_PX), font)
    return picture


def _shown(edges: npt.NDArray[np.int64], index: int) -> tuple[int, int]:
    """First and last pixel, within the panel, of what lies between two neighbours of *edges*: one pixel at least."""
    first = min(int(edges[index]), int(edges[-1]) - 1)
    return first, max(first, int(edges[index + 1]) - 1)


def _wrapped(text: str, width: int, font: Any) -> list[str]:
    """*text* in lines of at most *width* pixels."""
    most = max(len(text), 1)
    while most > 1 and any(font.getlength(line) > width for line in textwrap.wrap(text, most)):
        most -= 1
    return textwrap.wrap(text, most)


def _draw_scale(picture: Image.Image, pen: ImageDraw.ImageDraw, left: int, top: int, height: int, font: Any) -> None:
    """The colours from 0 to TOP and above, with the limit."""
    shades = _coloured(np.linspace(1.0, 0.0, height)[:, None])
    picture.paste(Image.fromarray(np.repeat(shades, BAR_PX, axis=1)), (left, top))
    for value, name in ((0.0, "0"), (1.0, "limit"), (TOP, f"{TOP:g} or more")):
        level = top + round((1.0 - value / TOP) * (height - 1))
        colour = OVER if value == 1.0 else INK
        pen.line((left, level, left + BAR_PX + 5, level), colour, 2)
        pen.text((left + BAR_PX + 9, level), name, colour, font, anchor="lm")


def _coloured(share: Floats) -> Colours:
    """Colours (..., 3) of *share* of the scale; what is no number is shown as the most extreme."""
    anchors = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in CIVIDIS], np.float64)
    known = np.clip(np.nan_to_num(share, nan=1.0), 0.0, 1.0)
    at = np.linspace(0.0, 1.0, len(anchors))
    channels = [np.interp(known, at, channel).round().astype(np.uint8) for channel in anchors.T]
    return np.stack(channels, axis=-1)


def _grey(image: npt.NDArray[Any], shrink: int) -> Colours:
    """*image* (h, w) averaged in blocks of *shrink* pixels a side, between black and white."""
    height, width = (side // shrink for side in image.shape)
    blocks = image[: height * shrink, : width * shrink].reshape(height, shrink, width, shrink)
    mean = blocks.mean(axis=(1, 3), dtype=np.float32)
    finite = mean[np.isfinite(mean)]
    low, high = np.percentile(finite, CLIPPED) if len(finite) else (0.0, 0.0)
    shade = (np.nan_to_num(mean, nan=high, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    grey: Colours = (255 * shade.clip(0.0, 1.0)).astype(np.uint8)
    return grey


def _tiling(scorer: Scorer) -> Tiling:
    assert scorer.tiling is not None  # `require_tiles` has been asked
    return scorer.tiling


def _file_name(number: int, group: str, sequence: int) -> str:
    """The number keeps groups apart whose files have one name."""
    plain = re.sub(r"[^\w.-]+", "_", Path(group).stem).strip("._") or "images"
    return f"{number:03d}_{plain}_{sequence:05d}.png"
