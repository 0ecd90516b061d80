"""What is kept of kinds of anomaly, as values: samples, kinds, runs, and what people said."""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.taxonomy.embedding import space
from monitor.types import Pixels, Priority

Key = tuple[str, int]
"""Epoch of the hot process, and the number of the event within it."""

State = Literal["alive", "dormant", "merged"]

NAME_MOST: Final = 60
NOTE_MOST: Final = 500


class Sample(NamedTuple):
    """The most extreme frame of an event, or a normal one."""

    id: int  # never given twice
    epoch: str  # with `event`, which event it is of; of a normal frame empty
    event: int | None
    alarm: str | None  # that the event raised; None: of no alarm
    normal: bool
    kind: int | None  # None: of none that is known
    nearest: int | None  # the kind of whose radius its distance is the smallest share, at the last grouping
    distance: float | None  # from that kind's centre, in radii of it
    t_ns: int  # Unix, when it was kept
    stream: str
    seq: int
    job: str
    layer: int | None
    context: str
    x: float | None
    y: float | None
    source: str
    ratio: float
    frames_over: int
    height: int
    width: int
    dtype: str
    nbytes: int


SAMPLE_COLUMNS: Final = ", ".join(Sample._fields)


class Kept(NamedTuple):
    """A sample with its pixels (h, w)."""

    sample: Sample
    pixels: Pixels


class KindRow(NamedTuple):
    """A kind as it is kept: all that `models.taxonomy.identity.Kind` has, and when it was seen."""

    id: int
    state: State
    name: str
    notes: tuple[str, ...]
    priority: str | None
    parent: int | None
    merged_into: int | None
    space: str  # in which centre and radius are: `monitor.taxonomy.embedding.space`
    centre: npt.NDArray[np.float64]  # (d,)
    radius: float
    members: frozenset[int]  # ids of samples, of which some may be gone
    born_t_ns: int  # Unix, of the run that found it
    first_t_ns: int  # of its first event
    last_t_ns: int
    gone: int  # its events whose samples were dropped
    told: bool  # an alarm has told that it is new


class ChangeRow(NamedTuple):
    """What became of a kind at a run."""

    run: int
    what: str
    id: int
    others: tuple[int, ...]


class Run(NamedTuple):
    """One grouping."""

    number: int
    t_ns: int  # Unix, when it was written
    seconds: float
    bundle: str  # sha256
    points: int
    left_out: int  # samples that no longer fit the bundle, or that are not finite
    events: int  # that there had ever been when it read the samples
    upto: int  # the last sample that it read
    kinds: int  # alive after it
    discrete: bool
    silhouette: float
    why: str
    settings: dict[str, Any]
    candidates: list[dict[str, Any]]  # cuts that were looked at, with their silhouettes
    embedding: str = ""  # sha256; empty: residuals as they are

    @property
    def space(self) -> str:
        """In which its points are."""
        return space(self.bundle, self.embedding or None)


class Act(NamedTuple):
    """What someone said of a kind; None: nothing of that."""

    t_ns: int
    kind: int
    by: str
    name: str | None
    note: str | None
    priority: str | None  # empty: it was taken away


class Counts(NamedTuple):
    """How many there have ever been."""

    next_id: int
    events: int
    missed: int  # events of which no frame could be kept


def in_one_line(name: str) -> bool:
    """Whether a *name* shows something, in one line, wherever it is printed."""
    return bool(name.strip()) and name.isprintable()


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What someone asks to have said of a kind. Raises ValueError for a name that nobody could read."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MOST)] | None = None
    note: Annotated[str, msgspec.Meta(max_length=NOTE_MOST)] = ""
    priority: Priority | Literal["none"] | None = None
    """`none` takes it away; None leaves it."""

    def __post_init__(self) -> None:
        if self.name is not None and not in_one_line(self.name):
            raise ValueError(f"a name has 1 to {NAME_MOST} letters in one line")
