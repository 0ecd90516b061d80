"""Kinds of anomaly at the desk: a new one is told of once, whoever is killed; no broken file stops anything."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from daemon_example import beat, record, some_config, some_orders
from taxonomy_example import T_NS, kept, kind_row, put, show, store_of, written

from monitor import eventlog
from monitor.config import Config
from monitor.desk import SETTLE_NS, Desk
from monitor.journal.store import Journal
from monitor.orders import Memory, Orders
from monitor.ring import Ring
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.records import Naming
from monitor.taxonomy.store import Store, StoreError, beside
from monitor.types import Kind, Peak

NOW_NS = 10**12
S = 10**9


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return msgspec.structs.replace(some_config(tmp_path), bundle=str(tmp_path / "no bundle"))


@pytest.fixture
def daemon(config: Config) -> Iterator[tuple[Orders, Memory]]:
    with some_orders(config) as made:
        beat(made[1], NOW_NS + SETTLE_NS)
        yield made


@pytest.fixture
def journal(config: Config) -> Iterator[Journal]:
    with closing(Journal(Path(config.journal), config.camera)) as opened:
        yield opened


@pytest.fixture
def desk(daemon: tuple[Orders, Memory], journal: Journal) -> Iterator[Desk]:
    with closing(Desk(*daemon, journal, NOW_NS, T_NS)) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        yield made


def work(desk: Desk, after_s: float = 1.0) -> None:
    now_ns = NOW_NS + round(after_s * S)
    desk.step(now_ns, T_NS)
    desk.tend(now_ns, T_NS)


def find_kind(store: Store, **more: object) -> None:
    """As a grouping writes it."""
    store.write(written([kept(1, alarm="a-1"), kept(2)]))
    put(store, kind_row(1, (1, 2), **more))


def told(journal: Journal) -> list[tuple[str, str, int]]:
    found = journal.alarms_since(["new_kind"], 0)
    return [(alarm.state, alarm.priority, alarm.kind.id) for alarm in found if alarm.kind is not None]


def test_the_frame_of_an_event_is_kept_with_its_alarm(desk: Desk, daemon: tuple[Orders, Memory], store: Store) -> None:
    memory = daemon[1]
    at = show(Ring(memory.ring), 11)
    eventlog.append(memory.log, record("ended", peak=Peak(11, 60.0, 50.0, 1.2), position=at))
    work(desk)
    [sample] = store.samples()
    [alarm] = desk._journal.alarms(1)
    assert (sample.seq, sample.alarm, sample.height) == (11, alarm.id, 8)


def test_a_new_kind_is_told_of_once_with_its_exemplar_and_waits_to_be_acknowledged(
    desk: Desk, daemon: tuple[Orders, Memory], journal: Journal, store: Store
) -> None:
    find_kind(store)
    for after_s in (1, 3, 4, 5):
        work(desk, after_s)
    assert told(journal) == [("cleared", "low", 1)]
    [alarm] = journal.alarms(1)
    assert (alarm.acked, alarm.kind, alarm.first_seq, alarm.layer) == (False, Kind(1, "kind 1", 0.0), 11, 3)
    assert alarm.why == "kind 1 is new: 2 events; the most typical is frame 11 of alarm a-1"
    assert all(kind.told for kind in store.kinds())
    with closing(Desk(*daemon, journal, NOW_NS, T_NS)) as again:
        work(again)
    assert len(told(journal)) == 1
    assert desk.causes == [0] * len(desk.causes), "the permit takes no notice"


def test_killed_between_telling_of_a_kind_and_marking_it_the_next_one_does_not_tell_again(
    daemon: tuple[Orders, Memory], journal: Journal, store: Store
) -> None:
    find_kind(store)
    for _ in range(2):
        with closing(Desk(*daemon, journal, NOW_NS, T_NS)) as desk:
            desk.step(NOW_NS + S, T_NS)
            assert not any(kind.told for kind in store.kinds())
    assert told(journal) == [("cleared", "low", 1)]
    with closing(Desk(*daemon, journal, NOW_NS, T_NS)) as desk:
        work(desk)
    assert all(kind.told for kind in store.kinds())


def test_a_name_is_known_at_once_and_shows_who_gave_it(desk: Desk, store: Store) -> None:
    find_kind(store)
    assert desk.taxonomist is not None
    found = desk.taxonomist.name(1, Naming("ann", "splash"), T_NS)
    assert found is not None
    assert (found.kind.name, found.acts[0].by) == ("splash", "ann")
    assert desk.taxonomist.name(2, Naming("ann", "splash"), T_NS) is None
    work(desk)
    assert desk.taxonomist.status().kinds == 1


def test_the_living_kinds_are_handed_on_whenever_they_change(daemon: tuple[Orders, Memory], store: Store) -> None:
    from monitor.taxonomy.taxonomist import Taxonomist

    tables: list[tuple[str, ...]] = []
    given = *daemon, lambda sources, t_ns: [], NOW_NS, T_NS
    with closing(Taxonomist(*given, write=lambda _, ids, names, *rest: tables.append(names))) as made:
        find_kind(store)
        made.tend(NOW_NS, T_NS, journaled=True)
        made.name(1, Naming("ann", "splash"), T_NS)
        made.tend(NOW_NS + 2 * S, T_NS, journaled=True)
    assert tables == [(), ("",), ("splash",)]


def test_a_grouping_that_fails_is_told_in_one_line_and_disturbs_nothing(
    desk: Desk, journal: Journal, daemon: tuple[Orders, Memory], caplog: pytest.LogCaptureFixture
) -> None:
    taxonomist = desk.taxonomist
    assert taxonomist is not None
    taxonomist.ask()
    assert taxonomist.overview().running
    work(desk)
    process = taxonomist._launcher._process
    assert process is not None
    process.wait(60)
    eventlog.append(daemon[1].log, record("began"))
    beat(daemon[1], NOW_NS + 5 * S)
    with caplog.at_level(logging.ERROR):
        work(desk, 3)
        work(desk, 5)
    said = [one.getMessage() for one in caplog.records]
    assert [line.partition(": ")[0] for line in said if "kinds" in line] == ["kinds of anomaly were not grouped"]
    assert "is no bundle" in taxonomist.overview().failed
    assert taxonomist.status().failures == 1
    assert len(journal.alarms(10)) == 1


def test_a_file_that_refuses_holds_up_no_alarm_and_is_told_once(
    desk: Desk, daemon: tuple[Orders, Memory], tmp_path: Path, caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    memory = daemon[1]
    at = show(Ring(memory.ring), 11)
    with closing(sqlite3.connect(tmp_path / "journal.kinds.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        eventlog.append(memory.log, record("began", peak=Peak(11, 60.0, 50.0, 1.2), position=at))
        with caplog.at_level(logging.ERROR):
            assert len(desk.step(NOW_NS + S, T_NS)) == 1
            for after_s in (1, 3, 5):
                desk.tend(NOW_NS + after_s * S, T_NS)
    assert [one.getMessage() for one in caplog.records] == ["the file of kinds refuses: database is locked"]
    work(desk, 7)
    assert len(store.samples()) == 1, "the frame was copied while it was there"


def test_a_grouping_that_writes_for_a_moment_is_no_failure(
    desk: Desk, daemon: tuple[Orders, Memory], tmp_path: Path, store: Store
) -> None:
    memory = daemon[1]
    at = show(Ring(memory.ring), 11)
    with closing(sqlite3.connect(tmp_path / "journal.kinds.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        eventlog.append(memory.log, record("began", peak=Peak(11, 60.0, 50.0, 1.2), position=at))
        desk.step(NOW_NS + S, T_NS)
        desk.tend(NOW_NS + S, T_NS)
    work(desk, 3)
    assert len(store.samples()) == 1
    assert desk.taxonomist is not None
    assert desk.taxonomist.status().failures == 0


def test_a_daemon_whose_file_of_kinds_is_another_programs_does_not_start(
    daemon: tuple[Orders, Memory], journal: Journal, config: Config
) -> None:
    beside(Path(config.journal)).write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match=r"kinds\.db"):
        Desk(*daemon, journal, NOW_NS, T_NS)


def test_kinds_of_another_embedding_are_grouped_anew_at_once(
    daemon: tuple[Orders, Memory], journal: Journal, store: Store
) -> None:
    from test_taxonomy_store import RUN

    given, memory = daemon
    settings = Taxonomy(least_events=2, every_events=None, period_s=None, embedding="turned.safetensors")
    config = msgspec.structs.replace(given.config, taxonomy=settings)
    store.write(written([kept(1), kept(2)]))
    with store.transaction():
        store.put_run(RUN._replace(t_ns=T_NS - 100 * S, events=2, embedding="cd" * 32), [])
    for embedding, is_due in (("cd" * 32, False), ("ef" * 32, True)):
        orders = msgspec.structs.replace(given, config=config, embedding=embedding)
        with closing(Desk(orders, memory, journal, NOW_NS, T_NS)) as desk:
            assert desk.taxonomist is not None
            work(desk)
            assert desk.taxonomist._launcher.running is is_due


def test_it_is_due_by_the_time_of_the_last_grouping_also_after_a_restart(
    daemon: tuple[Orders, Memory], journal: Journal, store: Store
) -> None:
    from test_taxonomy_store import RUN

    given, memory = daemon
    settings = Taxonomy(least_events=2, every_events=None)
    given = msgspec.structs.replace(given, config=msgspec.structs.replace(given.config, taxonomy=settings))
    store.write(written([kept(1), kept(2)]))
    with store.transaction():
        store.put_run(RUN._replace(t_ns=T_NS - 3000 * S, events=1), [])
    with closing(Desk(given, memory, journal, NOW_NS, T_NS)) as desk:
        assert desk.taxonomist is not None
        work(desk, 590)
        assert not desk.taxonomist._launcher.running
        work(desk, 601)
        assert desk.taxonomist._launcher.running


def test_a_frame_is_kept_for_who_asks_before_and_after_it_is_written(desk: Desk, daemon: tuple[Orders, Memory]) -> None:
    memory = daemon[1]
    position = show(Ring(memory.ring), 11)
    eventlog.append(memory.log, record("began", position=position))
    desk.step(NOW_NS + S, T_NS)
    [alarm] = desk.life.active
    assert alarm.peak is not None
    assert desk.taxonomist is not None
    found = []
    for _ in range(2):
        one = desk.taxonomist.kept(alarm.id, alarm.stream, alarm.peak)
        assert one is not None
        found.append((one.sample.seq, int(one.pixels[0, 0])))
        desk.tend(NOW_NS + S, T_NS)
    assert found == [(11, 11), (11, 11)]
    assert desk.taxonomist.kept("another", alarm.stream, Peak(99, 1.0, 1.0, 1.0)) is None


def test_a_frame_of_another_size_is_none_that_can_be_drawn(desk: Desk, store: Store) -> None:
    assert desk.taxonomist is not None
    store.write(written([kept(1, alarm="a-1")]))  # 4 x 4 pixels, and the ring's have 8
    assert desk.taxonomist.kept("a-1", "s", Peak(11, 1.0, 1.0, 1.0)) is None
