"""Events get their kind a moment after they are raised, from a real process that a learned embedding runs in."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemon_example import beat, some_config
from embedding_example import FLASHES, SPOTS, learned, spots_and_flashes
from frames import brighter, normal, with_spot
from side_example import wait_for
from taxonomy_example import T_NS, store_of, written

from monitor import eventlog, service
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.config import Config, Input
from monitor.desk import SETTLE_NS, Desk
from monitor.eventlog import EventRecord
from monitor.journal.store import Journal
from monitor.orders import Memory, Orders, open_memory
from monitor.ring import Ring
from monitor.taxonomy import group
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.records import Naming
from monitor.taxonomy.store import Store
from monitor.types import Peak, Pixels
from monitor.wire.native import WireLimits, decode, encode

NOW_NS = 10**12
S = 10**9
PATIENCE_S = 60.0

SPOT, BRIGHT = (frames(normal(1, 2000))[0] for frames in (with_spot, brighter))
ELSE = 255 - normal(1, 2001)[0]  # like nothing that was seen


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory, small_bundle: Bundle) -> Path:
    return learned(tmp_path_factory.mktemp("embedding") / "turned.safetensors", small_bundle)


@pytest.fixture
def config(tmp_path: Path, small_bundle: Bundle, embedding: Path) -> Config:
    return msgspec.structs.replace(
        some_config(tmp_path),
        bundle=str(small_bundle.path),
        input=Input(rate_hz=20.0),
        taxonomy=Taxonomy(embedding=str(embedding)),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        yield made


@pytest.fixture
def kinds(config: Config, store: Store, small_bundle: Bundle) -> dict[str, int]:
    """What was found among spots and flashes."""
    store.write(written(spots_and_flashes()))
    run = group.group(
        Task(str(Path(config.journal).with_suffix(".kinds.db")), "melt", str(config.bundle), config.taxonomy, 0)
    )
    assert run.kinds == 2
    of = {one.id: one.kind for one in store.samples("normal = 0")}
    spot, bright = of[1], of[SPOTS + FLASHES]
    assert spot is not None
    assert bright is not None
    return {"spot": spot, "bright": bright}


@pytest.fixture
def daemon(config: Config, small_bundle: Bundle) -> Iterator[tuple[Orders, Memory]]:
    given = service.prepare(config, "framewatch.yaml", small_bundle)
    yield given, open_memory(given)
    os.close(given.memory_fd)
    os.close(given.wake_fd)


class Watched:
    """A desk, and what is shown to it."""

    def __init__(self, desk: Desk, memory: Memory) -> None:
        self.desk, self.memory = desk, memory
        self.told: list[Alarm] = []
        self._seq = 0
        self._steps = 0

    def step(self) -> None:
        self._steps += 1
        now_ns = NOW_NS + SETTLE_NS + self._steps * S // 100
        beat(self.memory, now_ns)
        self.told += [msgspec.json.decode(one.body, type=Alarm) for one in self.desk.step(now_ns, T_NS)]
        self.desk.tend(now_ns, T_NS)

    def show(self, event: int, frame: Pixels, phase: str = "began", ratio: float = 1.2, source: str = "t2") -> None:
        """An event whose peak is *frame*."""
        self._seq += 1
        pixels = np.ascontiguousarray(frame[None])
        shown = decode(encode("melt", "s", self._seq, 0, pixels), WireLimits())
        position = Ring(self.memory.ring).write(shown, 0, 1, 0, 77)[0]
        peak = Peak(self._seq, 50 * ratio, 50.0, ratio)
        eventlog.append(
            self.memory.log,
            EventRecord(
                phase, "hot-1", event, source, T_NS + event, stream="s", first_seq=1, last_seq=self._seq,  # type: ignore[arg-type]
                frames_over=3, peak=peak, position=position,
            ),
        )  # fmt: skip

    def until(self, holds: Callable[[Alarm], bool]) -> Alarm:
        """The first revision that is told from now on and is the one."""

        def found() -> bool:
            self.step()
            return any(map(holds, self.told))

        wait_for(found, PATIENCE_S)
        return next(filter(holds, self.told))


@pytest.fixture
def journal(config: Config) -> Iterator[Journal]:
    with closing(Journal(Path(config.journal), config.camera)) as opened:
        yield opened


@pytest.fixture
def watched(daemon: tuple[Orders, Memory], journal: Journal, kinds: dict[str, int]) -> Iterator[Watched]:
    with closing(Desk(*daemon, journal, NOW_NS, T_NS)) as desk:
        shown = Watched(desk, daemon[1])
        shown.step()
        shown.step()
        shown.told.clear()  # that the kinds are new
        yield shown


def named(alarm: Alarm) -> bool:
    return alarm.source == "t2" and alarm.kind is not None


def pid_of(watched: Watched) -> int:
    taxonomist = watched.desk.taxonomist
    assert taxonomist is not None
    assert taxonomist._feed is not None
    wait_for(lambda: taxonomist._feed is not None and taxonomist._feed._process is not None, PATIENCE_S)
    process = taxonomist._feed._process
    assert process is not None
    return process.pid


def test_an_alarm_is_told_at_once_and_gets_its_kind_and_priority_a_moment_later(
    watched: Watched, kinds: dict[str, int], store: Store
) -> None:
    store.act(kinds["spot"], Naming("ann", "spatter", priority="critical"), 5)
    watched.show(1, SPOT)
    watched.step()
    assert [(one.rev, one.kind, one.priority) for one in watched.told] == [(1, None, "medium")]
    alarm = watched.until(named)
    assert alarm.kind is not None
    assert (alarm.rev, alarm.state, alarm.kind.id, alarm.kind.name) == (2, "active", kinds["spot"], "spatter")
    assert alarm.priority == "critical"


def test_an_event_like_nothing_that_is_known_stays_without_a_kind_and_a_stop_has_one_too(watched: Watched) -> None:
    watched.show(2, SPOT, source="stop")
    watched.show(1, ELSE)  # the newest first
    watched.until(lambda one: one.source == "stop" and one.kind is not None)
    watched.show(3, SPOT)
    watched.until(named)
    assert [one.kind for one in watched.told if one.raised_t_ns == T_NS + 1] == [None]


def test_an_event_that_is_over_is_named_all_the_same_and_waits_for_a_person_as_urgent_as_its_kind(
    watched: Watched, kinds: dict[str, int], store: Store, journal: Journal
) -> None:
    store.act(kinds["bright"], Naming("ann", "flash", priority="critical"), 5)
    watched.show(1, BRIGHT, "ended")
    alarm = watched.until(named)
    assert alarm.kind is not None
    assert (alarm.rev, alarm.state, alarm.kind.id, alarm.priority) == (3, "cleared", kinds["bright"], "critical")
    assert watched.desk.unacknowledged["critical"] == 1
    assert "medium" not in watched.desk.unacknowledged
    assert journal.alarms(1) == [alarm]
    assert [one.what for one in journal.changes(alarm.id)] == ["raised", "cleared", "named"]


def test_a_namer_that_is_killed_is_started_again_and_told_of_in_one_line_while_alarms_go_on(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.show(1, SPOT)
    watched.until(named)
    killed = pid_of(watched)
    with caplog.at_level(logging.ERROR):
        os.kill(killed, signal.SIGKILL)
        watched.show(2, SPOT)
        watched.step()
        assert watched.told[-1].rev == 1, "who tells of alarms waits for nobody"
        watched.told.clear()
        watched.until(named)
    assert pid_of(watched) != killed
    said = [one.getMessage() for one in caplog.records]
    assert said == ["the process that names events ended, and is started again: it ended with status -9"]
    assert watched.desk.taxonomist is not None
    assert watched.desk.taxonomist.status().failures == 1


def test_a_file_that_goes_bad_is_told_of_once_and_events_go_unnamed(
    watched: Watched, embedding: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pid = pid_of(watched)
    whole = embedding.read_bytes()
    taxonomist = watched.desk.taxonomist
    assert taxonomist is not None
    try:
        embedding.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with caplog.at_level(logging.ERROR):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: taxonomist.status().failures >= 3, PATIENCE_S)
        watched.show(1, SPOT)
        watched.step()
    finally:
        embedding.write_bytes(whole)
    assert [one.kind for one in watched.told] == [None]
    said = [one.getMessage() for one in caplog.records]
    assert sum("is damaged" in line for line in said) == 1
