"""The page of a grouping, beside the file of kinds: made by who has just grouped, since its points are at hand."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.taxonomy.cut import Cut
from models.taxonomy.identity import Change, Kind, Kinds
from monitor.taxonomy import found, report
from monitor.taxonomy.found import Happened
from monitor.taxonomy.records import KindRow, Run, Sample
from monitor.taxonomy.store import RUNS_MOST, Store

SIDE_PX: Final = 128
"""Longest side of a small picture: of larger frames every so-manieth pixel is taken."""


class Told(NamedTuple):
    """A grouping as it has just been made."""

    camera: str
    run: Run
    cut: Cut
    samples: list[Sample]  # n events
    points: npt.NDArray[Any]  # (n, d)
    normals: npt.NDArray[Any]  # (k, d) of normal frames


def write_page(path: Path, store: Store, told: Told) -> None:
    """Write the page of a grouping to *path*, and the same as JSON beside it: each whole, or not at all.

    Where another grouping has been written since, its page stays.
    """
    taxonomy = _taxonomy(store, told)
    as_json, page = report.to_json(taxonomy), report.render(taxonomy).encode()
    with store.transaction():  # groupings write one after the other
        if any(later.number > told.run.number for later in store.runs()):
            return
        write(path.with_suffix(".json"), as_json)
        write(path, page)


def write(path: Path, data: bytes) -> None:
    """Write *data* to *path*, whole or not at all. Raises OSError, which names *path*."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(data)
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):  # a part of it would take room where there is none
            scratch.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def _taxonomy(store: Store, told: Told) -> found.Taxonomy:
    samples = told.samples
    pictures = [_small(store.pixels(one.id), one) for one in samples]
    return found.Taxonomy(
        camera=told.camera,
        bundle=told.run.bundle,
        t_ns=told.run.t_ns,
        kinds=Kinds(tuple(_kind(row, told) for row in store.kinds()), store.next_kind()),
        cut=told.cut,
        ids=np.array([one.id for one in samples], np.int64),
        points=told.points,
        seen_ns=np.array([one.t_ns for one in samples], np.int64),
        pixels=np.stack(pictures) if pictures else np.empty((0, 1, 1), np.uint8),
        changes=_changes(store),
        normals=told.normals if len(told.normals) else None,
        embedding=told.run.embedding,
    )


def _small(pixels: npt.NDArray[Any] | None, sample: Sample) -> npt.NDArray[Any]:
    if pixels is None:  # dropped meanwhile
        pixels = np.zeros((sample.height, sample.width), sample.dtype)
    return small(pixels)


def small(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Small pictures of frames (..., h, w)."""
    step = max(1, -(-max(frames.shape[-2:]) // SIDE_PX))
    return frames[..., ::step, ::step]


def _kind(row: KindRow, told: Told) -> Kind:
    """As `models.taxonomy.identity` has it; one that is in another space is nowhere among these points."""
    centre = row.centre if row.space == told.run.space else np.full(told.points.shape[1], np.nan)
    return Kind(
        row.id, centre, row.radius, row.members, row.state, row.name, row.notes, row.priority, row.parent,
        row.merged_into,
    )  # fmt: skip


def _changes(store: Store) -> tuple[Happened, ...]:
    when = {run.number: run.t_ns for run in store.runs(RUNS_MOST)}
    told = [one for kind in store.kinds() for one in store.changes(kind.id)]
    happened = (
        Happened(when[one.run], Change(one.what, one.id, one.others))  # type: ignore[arg-type]  # as it was written
        for one in sorted(told, key=lambda one: one.run)
        if one.run in when
    )
    return tuple(happened)
