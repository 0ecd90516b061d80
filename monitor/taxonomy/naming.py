"""Of what kind an event is, the moment it is raised: in the engine's thread, by the kinds in shared memory."""

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from models.scorer import Scorer
from models.taxonomy.embedding import embed
from models.taxonomy.naming import Extent, Namer
from monitor.shared import Arrays
from monitor.taxonomy import table as tables
from monitor.taxonomy.table import Table, shown_name
from monitor.types import Kind, Pixels, Place, Priority

_log: Final = logging.getLogger("framewatch.hot")


def namer_of(held: Table) -> Namer:
    """What finds the nearest of the kinds of *held*."""
    extents = zip(held.centres.astype(float), held.radii.tolist(), strict=True)
    return Namer([Extent(centre, radius) for centre, radius in extents])


def kind_at(point: npt.NDArray[np.float32], held: Table, namer: Namer) -> Kind | None:
    """The kind of *held* that one *point* (1, d) is of, by its *namer*; None where it is of none that is known."""
    named = namer(point)
    if not named.known[0]:
        return None
    index = int(named.kind[0])
    return Kind(held.ids[index], shown_name(held.ids[index], held.names[index]), float(named.distance[0]))


class EventNamer:
    """Names frames by the kinds of one bundle. For the thread that scores: the scorer's scratch memory is one.

    Whatever goes wrong here, an event is told of: it then has no kind, and the log says once why.
    """

    def __init__(self, scorer: Scorer, kinds: Arrays, bundle: str) -> None:
        """*kinds*: the table in shared memory; *bundle*: sha256 of the bundle that *scorer* is of."""
        self._scorer = scorer
        self._placed = scorer.parts.preparation.alignment is not None
        self._kinds = kinds
        self._bundle = bundle
        self._version = 0
        self._table: Table | None = None  # None: there is none, or it is of another space
        self._namer = Namer([])
        self._failed = False
        self._priorities: Mapping[str, Priority] = {}

    @property
    def priorities(self) -> Mapping[str, Priority]:
        """What operators said of kinds, by name, as of now."""
        try:
            self._renew()
        except Exception:
            self._tell()
        return self._priorities

    def __call__(self, frame: Pixels, where: Place | None = None) -> Kind | None:
        """The kind of *frame* (h, w); None where it is of none that is known, or nothing can be said.

        *where*: of its local score; in an image that is seen as tiles, it spares a look at all of them.
        """
        try:
            self._renew()
            return self._nearest(frame, self._table, where) if self._table is not None else None
        except Exception:
            self._tell()
            return None

    def warm(self, frame: Pixels) -> None:
        """Go the way of *frame* (h, w) once, so that the first event does not wait for first calls."""
        try:
            self._namer(self._points(frame))
        except Exception:
            self._tell()

    def _tell(self) -> None:
        if not self._failed:
            _log.exception("an event cannot be named; it and others like it are told of without a kind")
        self._failed = True

    def _renew(self) -> None:
        found = tables.read(self._kinds, self._version)
        if found is None:
            return
        self._version, held = found
        if held.space != self._bundle or not held.ids:  # centres in another space mean nothing to this network
            self._table, self._priorities = None, {}
            return
        self._namer = namer_of(held)
        self._table, self._priorities = held, held.priority_of

    def _points(self, frame: Pixels, where: Place | None = None) -> npt.NDArray[np.float32]:
        deviations = self._scorer.deviations(frame[None], None if where is None else where[None])
        return embed(deviations.latent, deviations.residual, placed=self._placed)

    def _nearest(self, frame: Pixels, held: Table, where: Place | None) -> Kind | None:
        return kind_at(self._points(frame, where), held, self._namer)
