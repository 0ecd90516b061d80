"""What the benchmark of the taxonomy measures."""

import msgspec


class OnEvents(msgspec.Struct, frozen=True, kw_only=True):
    """One grouping of the events of one stream, held against the truth."""

    seed: int
    events: int  # without false alarms, which are grouped too but have no kind
    kinds: int  # that have five events or more
    found: int  # of these: matched with a cluster that has most of its events, and is mostly it
    told: int  # clusters
    spurious: int  # clusters that are matched with no kind
    ari: float
    nmi: float
    few: int  # events kept apart


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way of grouping, on several streams of one make."""

    scene: str
    way: str
    results: list[OnEvents]


class Lasting(msgspec.Struct, frozen=True, kw_only=True):
    """Identities over many runs while events come and go."""

    seed: int
    runs: int
    events: int
    vanished: str  # the kind whose events were taken away for some of the runs
    looked_for: int  # kinds with five events or more, summed over runs
    found: int  # of these
    kept: int  # of the found, under the id that the kind had first
    ids: int  # given in all
    back: bool  # the kind that came back has its old id


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """Events named by kinds that were found among earlier ones. Shares of events."""

    seed: int
    right: float
    unknown: float
    wrong: float
    strangers: dict[str, float]  # of a kind that nobody had seen: told to be unknown


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one core, and memory at the most, of 5,000 points of 32 coordinates."""

    what: str
    seconds: float
    mib: float
    of_which_before: float  # MiB that the process takes with its libraries


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    session_frames: int = 0
    shown: dict[str, list[int]] = {}  # kind -> anomalies shown in each session
    sessions: list[Way] = []
    scenes: list[Way] = []
    lasting: list[Lasting] = []
    naming: list[Naming] = []
    cost: list[Cost] = []
    naming_us: float = 0.0  # one event, 20 kinds
    embedding_ms: float = 0.0  # one frame of 64 x 64
