"""Which frames of events are kept: the most extreme, while the ring holds it, fair over kinds, whatever the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alarm_example import revisions_of
from taxonomy_example import SIDE, T_NS, kept, kind_row, of_frame, put, ring_of, show, store_of, written

from monitor.ring import Ring
from monitor.taxonomy import collector as collectors
from monitor.taxonomy.collector import NORMAL_NS, PIECE, Collector
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.store import Store
from monitor.types import Kind


@pytest.fixture
def ring() -> Ring:
    return ring_of(64)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(tmp_path)) as made:
        yield made


@pytest.fixture
def collector(ring: Ring, store: Store) -> Collector:
    return Collector(ring, store, Taxonomy())


def shade(store: Store, number: int = 1) -> int:
    """Of all pixels of a sample: the sequence number of its frame."""
    found = store.pixels(number)
    assert found is not None
    assert found.min() == found.max()
    return int(found.max())


def test_the_most_extreme_frame_of_an_event_is_kept_with_what_is_known_of_it(
    ring: Ring, store: Store, collector: Collector
) -> None:
    collector.see([of_frame(ring, 10, job="j", layer=2, xy=(1.5, 2.5), context="c")], T_NS)
    assert collector.write()
    collector.see([of_frame(ring, 20, "grew", ratio=3.0)], T_NS)
    collector.see([of_frame(ring, 20, "ended", ratio=3.0, frames_over=40)], T_NS)
    assert collector.write()
    [sample] = store.samples()
    assert (sample.seq, sample.ratio, sample.frames_over, sample.event) == (20, 3.0, 40, 1)
    assert shade(store) == 20
    assert (collector.counts.events, collector.counts.missed, collector.held(normal=False)) == (1, 0, 1)
    assert not collector.write(), "nothing waits"


def test_a_sample_knows_the_alarm_that_its_event_raised(ring: Ring, store: Store, collector: Collector) -> None:
    began = of_frame(ring, 10)
    collector.see([began], T_NS)
    revisions = revisions_of(began)
    collector.follow(revisions)
    collector.write()
    assert [one.alarm for one in store.samples()] == [revisions[0].alarm.id]


@pytest.mark.parametrize(
    "more", [{"source": "frozen"}, {"source": "stop"}, {"source": "exceedance_rate"}, {"position": -1}]
)
def test_only_what_the_charts_found_is_kept(
    ring: Ring, store: Store, collector: Collector, more: dict[str, Any]
) -> None:
    collector.see([of_frame(ring, 10, **more)], T_NS)
    assert not collector.write()
    assert store.samples() == []


def test_a_frame_that_is_no_more_what_it_was_is_not_kept_and_its_event_counts_as_missed(
    ring: Ring, store: Store, collector: Collector
) -> None:
    gone, other = of_frame(ring, 1, event=1), of_frame(ring, 2, event=2, position=0)
    show(ring, 100, 64)
    collector.see([gone, other, of_frame(ring, 3, "ended", event=1, position=0)], T_NS)
    collector.write(last=True)
    assert store.samples() == []
    assert (collector.counts.events, collector.counts.missed) == (1, 1)


def test_a_flood_of_one_kind_does_not_push_out_the_rare_one(tmp_path: Path, ring: Ring, store: Store) -> None:
    store.write(written([kept(1), kept(2)]))
    put(store, kind_row(7, (1,)), kind_row(8, (2,)))
    collector = Collector(ring, store, Taxonomy(samples=10))
    for number in range(50):
        known = Kind(8, "splash", 0.1)
        collector.see([of_frame(ring, 100 + number, "ended", event=100 + number, kind=known)], T_NS)
        collector.write(last=True)
    assert store.events_held() == {7: 1, 8: 9}
    found = store.kind(8)
    assert found is not None
    assert found.gone == 42, "all are counted"


def test_bytes_are_bounded_too_and_narrower_bounds_take_hold_at_the_next_start(ring: Ring, store: Store) -> None:
    store.write(written([kept(number) for number in range(1, 9)]))
    nbytes = 4 * SIDE * SIDE / (1 - collectors.NORMAL_SHARE)
    collector = Collector(ring, store, Taxonomy(mib=nbytes / 2**20))
    collector.write()
    assert len(store.samples()) == collector.held(normal=False) == 4


def test_many_events_are_written_a_few_at_a_time_and_at_the_last_all_of_them(
    ring: Ring, store: Store, collector: Collector
) -> None:
    collector.see([of_frame(ring, number, event=number) for number in range(1, 61)], T_NS)
    collector.write()
    assert len(store.samples()) == PIECE
    collector.write(last=True)
    assert len(store.samples()) == 60
    assert shade(store, 60) == 60


def test_what_a_disk_refuses_waits_and_is_counted_once(
    ring: Ring, store: Store, collector: Collector, tmp_path: Path
) -> None:
    collector.see([of_frame(ring, 10)], T_NS)
    with closing(sqlite3.connect(tmp_path / "journal.kinds.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            collector.write()
        assert (collector.counts.events, collector.held(normal=False)) == (0, 0)
    assert collector.write()
    assert (collector.counts.events, len(store.samples())) == (1, 1)


def test_it_goes_on_after_a_restart_with_ids_that_were_never_given(
    ring: Ring, store: Store, collector: Collector
) -> None:
    collector.see([of_frame(ring, 10, event=1)], T_NS)
    collector.write()
    after = Collector(ring, store, Taxonomy())
    after.see([of_frame(ring, 11, "ended", event=1, ratio=2.0), of_frame(ring, 12, event=2)], T_NS)
    after.write()
    assert [(one.id, one.event, one.seq) for one in store.samples()] == [(1, 1, 11), (2, 2, 12)]
    assert after.counts.events == 2


def test_now_and_then_the_latest_judged_frame_within_its_limits_is_kept(
    ring: Ring, store: Store, collector: Collector
) -> None:
    collector.look_for_normal(0, T_NS)
    assert not collector.write(), "no frame came yet"
    show(ring, 1, 20, context="hatch")
    batch = ring.view(0, 20)
    batch.judged_ns[:15] = 1
    batch.joint[:15] = [0.5] * 10 + [1.5] * 5
    collector.look_for_normal(NORMAL_NS - 1, T_NS)
    assert not collector.write(), "not so soon"
    collector.look_for_normal(NORMAL_NS, T_NS)
    collector.write()
    [sample] = store.samples()
    assert (sample.seq, sample.normal, sample.context, sample.x, sample.event) == (10, True, "hatch", None, None)
    assert shade(store) == 10
    assert (collector.counts.events, collector.held(normal=True)) == (0, 1)


def test_what_waits_to_be_written_is_found_by_its_alarm_and_by_its_frame(ring: Ring, collector: Collector) -> None:
    began = of_frame(ring, 10)
    collector.see([began, of_frame(ring, 20, event=2)], T_NS)
    alarm = revisions_of(began)
    collector.follow(alarm)

    def found(alarm: str, seq: int) -> int | None:
        one = collector.waiting(alarm, "s", seq)
        return None if one is None else one.sample.seq

    assert found(alarm[0].alarm.id, 10) == 10
    assert found(alarm[0].alarm.id, 9) == 10, "its most extreme so far"
    assert found("another", 20) == 20
    assert found("another", 9) is None
    collector.write(last=True)
    assert found(alarm[0].alarm.id, 10) is None
