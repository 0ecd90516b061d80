"""Embeddings and ways to group them, side by side, on the same events; nothing that is kept is changed.

Each embedding makes points of all frames, and each way groups them by itself. Labels, where there are any, are held
against what was found at last. One thread; at most `events.EVENTS_MAX` events, of whose distances k-medoids and trees
hold all pairs.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from models.points import PIXEL_CELLS, Points, latents_by, pixels, points_by
from models.scorer import Scorer
from models.taxonomy.cut import LEFT_OUT, CutSettings
from models.taxonomy.embedding import components
from models.taxonomy.ways import NAMES, Held, Numbers, Way, against, group
from monitor.bundle import Bundle
from monitor.taxonomy import embedding as embeddings
from monitor.taxonomy.events import CompareError, Event, Frames, Pieces
from monitor.taxonomy.labels import Labelled, Source, label
from monitor.taxonomy.telling import small

PIXEL_COMPONENTS: Final = 16

Floats = npt.NDArray[np.floating[Any]]


class Maker(NamedTuple):
    """What makes points of frames."""

    name: str
    about: str
    points: Points
    most: int | None = None  # principal components that are kept; None: points as they are
    again: bool = True  # kinds are split again where they are two, as `CutSettings` has it


class Grouped(NamedTuple):
    """What one way found among the points of one embedding."""

    way: Way
    held: Held | None  # against labels, where there are any
    seconds: float


class Embedded(NamedTuple):
    """All events by one embedding, grouped in every way."""

    name: str
    about: str
    points: Floats  # (n, d)
    ways: tuple[Grouped, ...]

    @property
    def left_out(self) -> int:
        return int((self.ways[0].way.labels == LEFT_OUT).sum())


class Comparison(NamedTuple):
    """What was found."""

    camera: str
    bundle: str  # sha256
    t_ns: int  # Unix, when it was made
    events: tuple[Event, ...]  # n
    pictures: Frames  # (n, h, w), small
    left_out: str  # events that were not looked at, in words
    labelled: Labelled | None
    settings: CutSettings
    numbers: Numbers
    embeddings: tuple[Embedded, ...]
    seconds: float


BY_DAEMON: Final = "as the daemon groups events"


def makers(bundle: Bundle, scorer: Scorer, files: Sequence[Path], configured: Path | None = None) -> list[Maker]:
    """The embeddings that are always there, and those of *files*, which load torch. Raises EmbeddingError.

    The one that is *configured* for the daemon is among them, named or not.
    """
    held = bundle.manifest
    usual = BY_DAEMON if configured is None else f"{BY_DAEMON} where no embedding is configured"
    found = [
        Maker("residual and latent", usual, points_by(scorer)),
        Maker("latent", "the autoencoder's own latent, whitened", latents_by(scorer)),
        Maker(
            "pixels",
            f"{PIXEL_COMPONENTS} principal components of pixels, averaged over {PIXEL_CELLS} x {PIXEL_CELLS} cells",
            pixels,
            PIXEL_COMPONENTS,
        ),
    ]
    ours = [] if configured is None else [configured]
    for path in [*ours, *(one for one in files if one.resolve() not in {mine.resolve() for mine in ours})]:
        said, _ = embeddings.about(path)
        embeddings.require_fit(path, said, (held.height, held.width), held.dtype)
        embedding = embeddings.read(path).embedding
        about = f"{said.what}, {embedding.size} numbers, from {path}"
        if embedding.of_residuals and said.bundle != bundle.sha256:
            about += ": learned from the residuals of another bundle"
        if path == configured:
            about = f"{BY_DAEMON}: {about}"
        found.append(Maker(_unused(path.stem, found), about, points_by(scorer, embedding), again=False))
    return found


def _unused(name: str, others: Sequence[Maker]) -> str:
    taken = {one.name for one in others}
    return next(one for one in (name, *(f"{name} {number}" for number in range(2, 1000))) if one not in taken)


def compare(
    camera: str,
    bundle: Bundle,
    given: Pieces,
    made_by: Sequence[Maker],
    labels: Source,
    settings: CutSettings,
    numbers: Numbers,
    clock: Callable[[], float],
    t_ns: int,
) -> Comparison:
    """Group the events that are *given* in every way. Raises CompareError where there are too few, or no labels fit."""
    began_s = clock()
    events, pictures, points = _embedded(given, made_by)
    if len(events) < 2 * settings.least:
        raise CompareError(
            f"{len(events)} event{'s' * (len(events) != 1)}: two kinds of {settings.least} take {2 * settings.least}"
        )
    if numbers.told is not None and numbers.told > len(events):
        raise CompareError(f"{len(events)} events cannot be in {numbers.told} groups")
    labelled = label(events, labels)
    found = [
        _grouped(maker, own, labelled, settings, numbers, clock) for maker, own in zip(made_by, points, strict=True)
    ]
    left = f"{given.left_out:,} {given.why_left}" if given.left_out else ""
    return Comparison(
        camera, bundle.sha256, t_ns, tuple(events), pictures, left, labelled, settings, numbers, tuple(found),
        clock() - began_s,
    )  # fmt: skip


def _embedded(given: Pieces, made_by: Sequence[Maker]) -> tuple[list[Event], Frames, list[Floats]]:
    """Events, small pictures of them, and their points by each of *made_by*."""
    events: list[Event] = []
    pictures: list[Frames] = []
    parts: list[list[Floats]] = [[] for _ in made_by]
    for some, frames in given.pieces:
        events += some
        pictures.append(small(frames).copy())
        for part, maker in zip(parts, made_by, strict=True):
            part.append(maker.points(frames))
    if not events:
        return [], np.empty((0, 1, 1), np.uint8), [np.empty((0, 1)) for _ in made_by]
    whole = [np.concatenate(part) for part in parts]
    return events, np.concatenate(pictures), [_at_most(one, by.most) for one, by in zip(whole, made_by, strict=True)]


def _at_most(points: Floats, most: int | None) -> Floats:
    """*points* (n, d), or so many of their principal components."""
    if most is None:
        return points
    finite = np.isfinite(points).all(axis=1)
    found = components(points[finite], 1.0)[:, :most]
    whole = np.full((len(points), found.shape[1]), np.nan)
    whole[finite] = found
    return whole


def _grouped(
    maker: Maker,
    points: Floats,
    labelled: Labelled | None,
    settings: CutSettings,
    numbers: Numbers,
    clock: Callable[[], float],
) -> Embedded:
    finite = int(np.isfinite(points).all(axis=1).sum())
    if finite < max(2 * settings.least, numbers.told or 0):
        raise CompareError(f"{maker.name}: only {finite} of {len(points)} events have points that are finite")
    found = []
    for name in NAMES:
        began_s = clock()
        way = group(points, name, settings._replace(again=maker.again), numbers)
        seconds = clock() - began_s
        found.append(Grouped(way, against(way.labels, labelled.labels) if labelled else None, seconds))
    return Embedded(maker.name, maker.about, points, tuple(found))


def to_json(given: Comparison) -> dict[str, Any]:
    """All that was found, version 1; `null` where there is no such number."""
    return {
        "v": 1,
        "camera": given.camera,
        "bundle": given.bundle,
        "t_ns": given.t_ns,
        "seconds": given.seconds,
        "settings": {**given.settings._asdict(), **given.numbers._asdict()},
        "left_out": given.left_out,
        "labels": None if given.labelled is None else {"from": given.labelled.source, "count": given.labelled.known},
        "events": [
            {**one._asdict(), "label": (given.labelled.labels[row] if given.labelled else "") or None}
            for row, one in enumerate(given.events)
        ],
        "embeddings": [
            {
                "name": one.name,
                "about": one.about,
                "dimensions": one.points.shape[1],
                "left_out": one.left_out,
                "ways": [_way(grouped) for grouped in one.ways],
            }
            for one in given.embeddings
        ],
    }


def _way(given: Grouped) -> dict[str, Any]:
    way, held, curve = given.way, given.held, given.way.curve
    bics = () if curve is None or math.isnan(curve.bics[0]) else zip(curve.counts, curve.bics, strict=True)
    return {
        "way": way.name,
        "groups": way.groups,
        "few": way.few,
        "discrete": way.discrete,
        "silhouette": way.silhouette,
        "by": way.by,
        "why": way.why,
        "elbow": None if curve is None else curve.at_elbow,
        "ari": None if held is None else held.agreement.ari,
        "nmi": None if held is None else held.agreement.nmi,
        "labelled": None if held is None else held.labelled,
        "seconds": given.seconds,
        "silhouettes": way.silhouettes,
        "costs": None if curve is None else list(zip(curve.counts, curve.costs, strict=True)),
        "bics": list(bics) or None,
        "labels": way.labels.tolist(),
    }


def as_bytes(given: Comparison) -> bytes:
    """As one JSON document."""
    return msgspec.json.format(msgspec.json.encode(to_json(given)), indent=2)
