"""Draws the pictures of docs/cameras.md, the same each time: `python -m docs.draw_cameras`."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from monitor.camera.meltpool import anomalies
from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.publisher import Shot
from monitor.camera.schedule import Truth
from monitor.camera.simulate import Simulated
from monitor.camera.stem import defects, diffraction
from monitor.camera.stem.diffraction import Diffraction
from monitor.camera.stem.images import ScanImages

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[Any]
Frames = npt.NDArray[Any]
Strip = tuple[str, Sequence[Bytes]]

PICTURES: Final = Path(__file__).parent / "pictures"

SEED: Final = 5
RATE: Final = 0.02  # so that an example comes soon
MIDDLING: Final = (0.9, 1.1)  # of strength
SHOWN: Final = 7  # frames of an anomaly, after the one before it
LONGEST: Final = 1000  # frames that are remembered: more than an anomaly and what comes before it
WARM_FRAMES: Final = 10  # into a hatch vector: by then the pool has its length
AGES: Final = (0, 1, 2, 3, 5, 10, 25)  # of a pool, in frames since its vector began
SUMMED: Final = 60  # diffraction patterns in one

GAMMA: Final = 0.6  # of melt pools, which are dark but for the pool
SPARSE_GAMMA: Final = 0.5  # of diffraction, whose discs are much brighter than what lies between them
GAP_PX: Final = 2
LABEL_PX: Final = 20
PAPER: Final = 255


class Example(NamedTuple):
    """An anomaly of middling strength: its truth, and frames around it by their numbers."""

    truth: Truth
    frames: dict[int, Frames]
    steady: frozenset[int]  # those that are like their neighbours, but for the anomaly


def example(camera: Simulated, steady: Callable[[Shot], slice], least: int) -> Example:
    """The first anomaly of *camera* that has *least* steady frames, after as many normal ones as it takes."""
    seen: deque[tuple[int, Frames, bool]] = deque(maxlen=LONGEST)
    following = 0
    for shot, truths in camera.shots():
        like = set(range(len(shot.pixels))[steady(shot)])
        seen.extend((following + index, frame, index in like) for index, frame in enumerate(shot.pixels))
        following += len(shot.pixels)
        for truth in truths:
            steadies = frozenset(number for number, _, is_steady in seen if is_steady)
            during = sum(truth.first_seq <= number <= truth.last_seq for number in steadies)
            if MIDDLING[0] < truth.strength < MIDDLING[1] and during >= least and truth.first_seq - 1 in steadies:
                return Example(truth, {number: frame for number, frame, _ in seen}, steadies)
    raise AssertionError("a camera without end has ended")


def before_and_during(found: Example) -> list[Frames]:
    """The frame before an anomaly, and SHOWN steady ones from its first to its last."""
    during = sorted(number for number in found.steady if found.truth.first_seq <= number <= found.truth.last_seq)
    spread = np.linspace(0, len(during) - 1, SHOWN).round().astype(int)
    return [found.frames[number] for number in (found.truth.first_seq - 1, *(during[at] for at in spread))]


def melt_pools() -> Iterator[Strip]:
    """Normal pools of every age and of a contour; then each kind of anomaly."""
    yield "normal: a hatch vector from its first frame on, and a contour", [bright(frame) for frame in ages()]
    for kind in anomalies.KINDS:
        camera = MeltPool(120, 120, SEED, RATE, (kind,))
        found = example(camera, well_into_a_hatch_vector, SHOWN)
        yield labelled(found.truth), [bright(frame) for frame in before_and_during(found)]


def ages() -> list[Frames]:
    """One hatch vector's pool at AGES, and the first contour's."""
    shots = [shot for shot, _ in MeltPool(120, 120, SEED).shots(6000) if shot.active]
    hatch = next(shot for shot in shots if shot.context == "hatch" and len(shot.pixels) > AGES[-1])
    contour = next(shot for shot in shots if shot.context == "contour")
    return [*hatch.pixels[list(AGES)], contour.pixels[len(contour.pixels) // 2]]


def scan_images() -> Iterator[Strip]:
    """Each kind of defect."""
    for kind in defects.KINDS:
        found = example(ScanImages(seed=SEED, anomaly_rate=RATE, kinds=(kind,)), active, SHOWN)
        yield labelled(found.truth), [twice(frame) for frame in before_and_during(found)]


def diffraction_patterns() -> Iterator[Strip]:
    """Each kind of anomaly: one frame and the sum of SUMMED, before it and during it."""
    for kind in diffraction.KINDS:
        found = example(Diffraction(seed=SEED, anomaly_rate=RATE, kinds=(kind,)), active, SUMMED)
        first = found.truth.first_seq
        before, during = (np.stack([found.frames[at + n] for n in range(SUMMED)]) for at in (first - SUMMED, first))
        panels = [counted(part) for film in (before, during) for part in (film[-1], film.sum(axis=0))]
        yield labelled(found.truth), [twice(panel) for panel in panels]


def well_into_a_hatch_vector(shot: Shot) -> slice:
    return slice(WARM_FRAMES if shot.active and shot.context == "hatch" else LONGEST, None)


def active(shot: Shot) -> slice:
    return slice(0 if shot.active else LONGEST, None)


def labelled(truth: Truth) -> str:
    return f"{truth.kind}:  {truth.last_seq - truth.first_seq + 1} frames,  strength {truth.strength:.2f}"


def bright(frame: Frames) -> Bytes:
    """*frame* with a mild gamma."""
    shown: Bytes = np.rint(255 * (frame / 255) ** GAMMA).astype(np.uint8)
    return shown


def counted(pattern: Counts) -> Bytes:
    """*pattern* from nought to what one pixel in a thousand exceeds, with a gamma."""
    full = max(float(np.quantile(pattern, 0.999)), 2.0)
    shown: Bytes = np.rint(255 * np.clip(pattern / full, 0, 1) ** SPARSE_GAMMA).astype(np.uint8)
    return shown


def twice(frame: Bytes) -> Bytes:
    """*frame* with every pixel two by two."""
    return np.kron(frame, np.ones((2, 2), np.uint8))


def picture(strips: Sequence[Strip]) -> Image.Image:
    """*strips* below each other, each under its label."""
    height, width = strips[0][1][0].shape
    across, down = width + GAP_PX, height + LABEL_PX + GAP_PX
    sheet = Image.new("L", (max(len(frames) for _, frames in strips) * across - GAP_PX, len(strips) * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (label, frames) in enumerate(strips):
        draw.text((0, row * down + 2), label, fill=0, font=ImageFont.load_default(LABEL_PX - 5))
        for column, frame in enumerate(frames):
            sheet.paste(Image.fromarray(frame), (column * across, row * down + LABEL_PX))
    return sheet


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for strips in (melt_pools, scan_images, diffraction_patterns):
        path = PICTURES / f"{strips.__name__}.png"
        picture(list(strips())).save(path, optimize=True)
        sys.stdout.write(f"{path} {path.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
