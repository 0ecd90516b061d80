"""How kinds of anomaly are found: the section `taxonomy` of the configuration, every key with what it means."""

from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]

# As `models.taxonomy.cut` has them, which the processes that read this section do not load.
Linkage = Literal["single", "complete", "average", "ward"]
Rule = Literal["silhouette", "gap", "share"]


class Taxonomy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which frames of events are kept, and when and how they are grouped into kinds."""

    samples: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 2000
    """Most events of which a frame is kept, fair over kinds and over time; 0: none is, and nothing is grouped. A tree
    of 5,000 is the largest that is grown."""
    mib: Annotated[float, msgspec.Meta(gt=0, le=16384)] = 128.0
    """Most pixels that are kept, in MiB, an eighth of which is for normal frames."""
    normals: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 200
    """Most normal frames kept beside them, for comparison."""
    period_s: Positive | None = 3600.0
    """Frames are grouped anew after so long, if there are new events; null: by their number alone."""
    every_events: Count | None = 50
    """... and after so many new events; null: by time alone."""
    least_events: Annotated[int, msgspec.Meta(ge=2)] = 20
    """Fewer events are not grouped."""
    limit_s: Annotated[float, msgspec.Meta(ge=1)] = 600.0
    """A grouping that takes longer is ended, and nothing changes."""
    linkage: Linkage = "ward"
    """How the distance of two groups is measured; `single` chains."""
    rule: Rule = "silhouette"
    """How the tree is cut: by the largest stable silhouette or gap, or at a fixed share of its height."""
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7
    """... which share, for the rule of that name."""
    least: Annotated[int, msgspec.Meta(ge=2)] = 4
    """Events that make a kind; groups of fewer are shown by themselves."""
    embedding: str | None = None
    """File that `framewatch taxonomy learn` wrote, by which kinds are told apart; without it, by residuals as they are.
    Events are then named a moment after they are raised, in a process of its own."""

    def beside(self, folder: Path) -> Self:
        """The same, its file relative to *folder*."""
        return self if self.embedding is None else msgspec.structs.replace(self, embedding=str(folder / self.embedding))
