"""Kinds through the real file over many groupings: events come by the ring, are named, kept, dropped and grouped."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest
from daemon_example import some_config, some_orders
from frames import brighter, normal, with_spot
from kind_examples import shared_kinds
from taxonomy_example import T_NS, of_frame

from monitor.bundle import Bundle
from monitor.orders import BundleFacts, Memory, Orders
from monitor.ring import Ring
from monitor.score import load_scorer
from monitor.shared import lay_out, size_of
from monitor.taxonomy import group, table
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.naming import EventNamer
from monitor.taxonomy.records import KindRow, Naming
from monitor.taxonomy.store import Store, Writing, beside
from monitor.taxonomy.taxonomist import Taxonomist
from monitor.types import Kind, Pixels
from monitor.wire.native import WireLimits, decode, encode

S: Final = 10**9
SIDE: Final = 32
ROOM: Final = 60
"""Events that are kept; of more, some are dropped at each run."""

EACH: Final = 2
"""Events of each kind between two groupings: too few for a kind to come back by the first of them."""


def with_snow(frames: Pixels) -> Pixels:
    spoilt = frames.copy()
    spoilt[np.random.default_rng(int(frames.sum())).random(frames.shape) < 0.06] = 255
    return spoilt


SHOWN: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "spatter": with_spot,
    "flash": brighter,
    "dim": lambda frames: frames // 2,
    "snow": with_snow,
}
SAID: Final = Naming("ann", "gas flash", "from the nozzle", "critical")


class Plant:
    """What the engine and the side process do with events and kinds, on one ring, one table and one file."""

    def __init__(self, orders: Orders, memory: Memory, bundle: Bundle) -> None:
        fields = Ring.fields(64, SIDE, SIDE, "uint8")
        (arrays,) = lay_out(bytearray(size_of(fields)), fields)
        self._orders, self._memory, self._ring = orders, memory._replace(ring=arrays), Ring(arrays)
        config = orders.config
        self._path = beside(Path(config.journal))
        self._task = Task(str(self._path), config.camera, str(bundle.path), config.taxonomy, 0)
        self._kinds = shared_kinds()
        self.namer = EventNamer(load_scorer(bundle), self._kinds, bundle.sha256)
        self._events = self._mono_s = 0
        self._truth: dict[int, str] = {}  # by event
        self._open()

    def _open(self) -> None:
        given = self._orders, self._memory, lambda sources, t_ns: [], self._mono_s * S, T_NS
        self.taxonomist = Taxonomist(*given, lambda *kinds: table.write(self._kinds, table.Table(*kinds)))
        self.store = Store(self._path, self._orders.config.camera)

    def close(self) -> None:
        self.taxonomist.close()
        self.store.close()

    def restart(self) -> None:
        """Both processes anew, on the file that there is; the table of kinds is in memory that is gone."""
        self.close()
        self._kinds["version"][0] = 0
        self._open()

    def raise_events(self, kinds: Iterable[str], each: int = EACH) -> dict[str, list[Kind | None]]:
        """Show events of *kinds*; what each was named."""
        named: dict[str, list[Kind | None]] = {}
        for truth in sorted([*kinds] * each):
            self._events += 1
            frame = SHOWN[truth](normal(1, 1000 + self._events))[0]
            message = decode(encode("melt", "s", self._events, 1000, frame[None]), WireLimits())
            at = self._ring.write(message, 0, 1, 0, 77)[0]
            kind = self.namer(frame)
            self._truth[self._events] = truth
            named.setdefault(truth, []).append(kind)
            record = of_frame(self._ring, self._events, "ended", self._events, position=at, kind=kind)
            self.taxonomist.see([record], T_NS)
        self.taxonomist.tend(self._mono_s * S, T_NS, journaled=True, last=True)
        return named

    def group(self) -> None:
        group.group(self._task)
        self._mono_s += 2
        self.taxonomist.tend(self._mono_s * S, T_NS, journaled=True)

    def take_away(self, truth: str) -> None:
        """Drop all samples of a kind, as a long flood of others would where it is narrow."""
        gone = [one.id for one in self.store.samples() if self._truth[one.event or 0] == truth]
        self.store.write(Writing([], [], [], gone, self.store.counts()))
        self._mono_s += 2
        self.taxonomist.tend(self._mono_s * S, T_NS, journaled=True)

    def ids(self) -> dict[str, int]:
        """What is shown -> the kind that most of its samples are of, and that is mostly of it."""
        pairs = Counter((self._truth[one.event or 0], one.kind) for one in self.store.samples())
        found = {}
        for (truth, kind), count in pairs.items():
            of_truth = sum(many for (other, _), many in pairs.items() if other == truth)
            of_kind = sum(many for (_, other), many in pairs.items() if other == kind)
            if kind is not None and 2 * count > of_truth and 2 * count > of_kind:
                found[truth] = kind
        return found

    def kind(self, number: int) -> KindRow:
        found = self.store.kind(number)
        assert found is not None
        return found


@pytest.fixture
def plant(tmp_path: Path, small_bundle: Bundle) -> Iterator[Plant]:
    settings = Taxonomy(samples=ROOM, normals=0, period_s=None, every_events=None)
    config = msgspec.structs.replace(some_config(tmp_path), bundle=str(small_bundle.path), taxonomy=settings)
    facts = BundleFacts(small_bundle.sha256, {"t2": 50.0, "s2": 3.0}, extrapolated=False, created_ns=10**9)
    with some_orders(config) as (orders, memory):
        made = Plant(msgspec.structs.replace(orders, bundle=facts), memory, small_bundle)
        with closing(made):
            yield made


def test_fifty_groupings_two_restarts_and_a_long_absence_change_no_id_and_lose_nothing_that_was_said(
    plant: Plant,
) -> None:
    away, restarts = range(20, 35), (27, 42)
    first: dict[str, int] = {}
    ever: set[int] = set()
    for run in range(50):
        if run == away.start:
            plant.take_away("flash")
        shown = {"spatter", "dim"} | ({"flash"} if run not in away else set())
        shown |= {"snow"} if run > away.start else set()  # a new kind, while that one's place is empty
        named = plant.raise_events(shown, 10 if run == 0 else EACH)
        if run == away.stop:
            assert [kind and (kind.id, kind.name) for kind in named["flash"]] == [(first["flash"], "gas flash")] * EACH
        plant.group()
        if run == 2:
            plant.taxonomist.name(first["flash"], SAID, T_NS)
        if run in restarts:
            plant.restart()
        for truth, number in plant.ids().items():
            assert first.setdefault(truth, number) == number, f"{truth} after run {run}"
        numbers = {kind.id for kind in plant.store.kinds()}
        assert ever <= numbers, "none is forgotten"
        assert min(numbers - ever, default=99) > max(ever, default=0), "none is given twice"
        ever = numbers
        if run > 2:
            flash = plant.kind(first["flash"])
            assert (flash.name, flash.notes, flash.priority) == ("gas flash", ("from the nozzle",), "critical")
            assert (flash.state == "dormant") == (away.start <= run <= away.stop), f"{flash.state} after run {run}"
            assert plant.namer.priorities == {"gas flash": "critical"}
    assert set(first) == set(SHOWN)
    assert plant.store.next_kind() == max(ever) + 1
    found = plant.taxonomist.kind(first["flash"])
    assert found is not None
    assert [one.what for one in found.changes] == ["born", "died", "returned"]
    assert [(act.by, act.name, act.note, act.priority) for act in found.acts] == [
        ("ann", "gas flash", "from the nozzle", "critical")
    ]


def test_an_event_of_a_dormant_kind_is_named_counts_for_it_and_is_kept_until_it_is_grouped(plant: Plant) -> None:
    plant.raise_events(("spatter", "dim", "flash"), 12)
    plant.group()
    number = plant.ids()["flash"]
    plant.take_away("flash")
    plant.raise_events(("spatter", "dim"))
    plant.group()
    before = plant.kind(number)
    assert before.state == "dormant"
    named = plant.raise_events(("flash",), 5)["flash"]
    assert [kind.id for kind in named if kind is not None].count(number) >= 4
    held = plant.store.events_held()
    assert held[number] >= 4
    assert plant.kind(number).state == "dormant", "the next grouping brings it back"
    plant.group()
    assert plant.kind(number).state == "alive"
    assert plant.ids()["flash"] == number
