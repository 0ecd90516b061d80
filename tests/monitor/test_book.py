import msgspec
import pytest
from daemon_example import record
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.alarm import PRIORITIES, Alarm, Case, priority_of
from monitor.alarms.book import CLOSED_MAX, SIDE_EPOCH, Book, apply, open_book, watch_hot
from monitor.eventlog import EventRecord, Phase
from monitor.types import Kind, Peak, Pool

EMPTY = open_book("melt", [])


def follow(book: Book, *records: EventRecord) -> tuple[Book, list[Alarm]]:
    changes: list[Case] = []
    for told in records:
        book, changed = apply(book, told)
        changes += changed
    return book, [case.alarm for case in changes]


def seen(alarms: list[Alarm]) -> list[tuple[int, str]]:
    return [(alarm.rev, alarm.state) for alarm in alarms]


def test_an_event_is_raised_grows_and_is_cleared_as_one_alarm() -> None:
    grown = record("grew", last_seq=20, frames_over=9, peak=Peak(18, 80.0, 50.0, 1.6))
    book, alarms = follow(EMPTY, record("began"), grown, record("ended", last_seq=25, frames_over=10, peak=grown.peak))

    assert seen(alarms) == [(1, "active"), (2, "active"), (3, "cleared")]
    assert len({alarm.id for alarm in alarms}) == 1
    assert [alarm.frames_over for alarm in alarms] == [3, 9, 10]
    assert [alarm.last_seq for alarm in alarms] == [12, 20, 25]
    assert alarms[-1].peak == Peak(18, 80.0, 50.0, 1.6)
    assert book.active == []


def test_a_raised_alarm_tells_all_that_the_record_knows() -> None:
    told = record(
        "began",
        pool=Pool(40, 10.5, 200.0),
        where=(3, 4),
        kind=Kind(2, "spatter", 0.5),
        job="part 7",
        layer=12,
        context="hatch",
        xy=(1.5, 2.5),
        bundle="ab" * 32,
        first_t_ns=77,
    )
    _, [alarm] = follow(EMPTY, told)

    assert msgspec.to_builtins(alarm) == {
        "v": 1,
        "id": alarm.id,
        "rev": 1,
        "camera": "melt",
        "stream": "s",
        "state": "active",
        "acked": False,
        "verdict": None,
        "shelved": False,
        "suppressed": False,
        "latched": False,
        "priority": "medium",
        "source": "t2",
        "first_seq": 10,
        "last_seq": 12,
        "first_t_ns": 77,
        "raised_t_ns": told.t_ns,
        "frames_over": 3,
        "peak": {"seq": 11, "score": 60.0, "limit": 50.0, "ratio": 1.2},
        "pool": {"area_px": 40, "mean": 10.5, "peak": 200.0},
        "where": (3, 4),
        "kind": {"id": 2, "name": "spatter", "distance": 0.5},
        "job": "part 7",
        "layer": 12,
        "context": "hatch",
        "xy": (1.5, 2.5),
        "bundle": "ab" * 32,
        "recording": None,
        "journaled": True,
        "why": "",
        "out_of_service": False,
        "suppressed_why": "",
        "group": None,
    }


def test_ids_sort_by_time_and_differ_at_the_same_time() -> None:
    _, alarms = follow(
        EMPTY,
        *(record("began", event=i, t_ns=t_ns) for i, t_ns in enumerate([9, 10, 11, 11, 2**40, 1_795_000_000 * 10**9])),
    )
    ids = [alarm.id for alarm in alarms]
    assert [i[:16] for i in ids] == sorted(i[:16] for i in ids)
    assert len(set(ids)) == 6


def test_the_same_records_give_the_same_alarms() -> None:
    records = [record("began"), record("grew", last_seq=13, frames_over=4), record("ended", last_seq=14)]
    assert follow(EMPTY, *records) == follow(EMPTY, *records)


@pytest.mark.parametrize("phase", ["began", "grew", "ended"])
def test_a_record_seen_twice_changes_nothing(phase: Phase) -> None:
    told = record(phase)
    book, _ = follow(EMPTY, record("began"), told)
    assert apply(book, told) == (book, [])


def test_an_old_record_that_comes_again_takes_nothing_back() -> None:
    book, _ = follow(EMPTY, record("began"), record("grew", last_seq=30, frames_over=20))
    assert apply(book, record("grew", last_seq=15, frames_over=5)) == (book, [])


def test_an_event_that_is_over_is_never_raised_again() -> None:
    _, alarms = follow(EMPTY, record("began"), record("ended"), record("began"), record("grew", last_seq=90))
    assert seen(alarms) == [(1, "active"), (2, "cleared")]


def test_an_event_whose_beginning_was_lost_is_raised_by_its_growth() -> None:
    _, alarms = follow(EMPTY, record("grew", frames_over=8), record("ended", frames_over=9))
    assert seen(alarms) == [(1, "active"), (2, "cleared")]


def test_an_event_of_which_only_the_end_was_seen_is_raised_and_cleared() -> None:
    book, alarms = follow(EMPTY, record("ended", frames_over=9))
    assert seen(alarms) == [(1, "active"), (2, "cleared")]
    assert book.active == []


def test_the_peak_and_what_is_told_of_its_frame_stay_with_the_most_extreme_frame() -> None:
    high = record("began", peak=Peak(11, 150.0, 50.0, 3.0), pool=Pool(1, 1.0, 1.0), layer=4)
    low = record("grew", source="s2", last_seq=20, peak=Peak(19, 4.0, 3.0, 1.33), pool=Pool(2, 2.0, 2.0), layer=5)
    _, alarms = follow(EMPTY, high, low)
    last = alarms[-1]
    assert (last.source, last.peak, last.pool, last.layer) == ("t2", high.peak, high.pool, 4)
    assert last.last_seq == 20


def test_the_source_follows_the_most_extreme_chart() -> None:
    _, alarms = follow(EMPTY, record("began"), record("grew", source="s2", peak=Peak(19, 9.0, 3.0, 3.0)))
    assert [(alarm.source, alarm.priority) for alarm in alarms] == [("t2", "medium"), ("s2", "high")]


@pytest.mark.parametrize(
    ("source", "ratio", "priority"),
    [
        ("t2", 1.0, "medium"),
        ("local", 1.99, "medium"),
        ("s2", 2.0, "high"),
        ("exceedance_rate", 0.0, "medium"),
        ("frozen", 0.0, "high"),
        ("rows_missing", 0.0, "high"),
        ("blind", 0.0, "high"),
        ("degraded", 0.0, "medium"),
        ("uncalibrated", 0.0, "low"),
        ("stale", 5.0, "low"),
    ],
)
def test_priority_by_source(source: str, ratio: float, priority: str) -> None:
    assert priority_of(source, ratio) == priority


def test_the_kind_is_that_of_the_peak_frame_which_may_be_unknown() -> None:
    splash = Kind(2, "splash", 0.5)
    low, high = Peak(11, 60.0, 50.0, 1.2), Peak(18, 80.0, 50.0, 1.6)
    _, alarms = follow(
        EMPTY,
        record("began", peak=low, kind=splash),
        record("grew", peak=high, last_seq=20, frames_over=9),
        record("grew", peak=low, last_seq=30, frames_over=19, kind=splash),
    )
    assert [alarm.kind for alarm in alarms] == [splash, None, None]


class TestOrphans:
    def test_the_same_source_in_a_new_epoch_goes_on_with_the_open_alarm(self) -> None:
        _, alarms = follow(EMPTY, record("began", frames_over=5), record("began", event=1, epoch="hot-2", last_seq=40))
        assert seen(alarms) == [(1, "active"), (2, "active")]
        assert len({alarm.id for alarm in alarms}) == 1
        assert alarms[-1].first_seq == 10
        assert alarms[-1].last_seq == 40

    def test_frames_over_add_up_over_epochs(self) -> None:
        _, alarms = follow(
            EMPTY,
            record("began", frames_over=5),
            record("began", epoch="hot-2", last_seq=40, frames_over=3),
            record("grew", epoch="hot-2", last_seq=50, frames_over=7),
        )
        assert [alarm.frames_over for alarm in alarms] == [5, 8, 12]

    def test_another_chart_in_a_new_epoch_goes_on_with_the_open_alarm(self) -> None:
        _, alarms = follow(EMPTY, record("began", source="t2"), record("began", epoch="hot-2", source="local"))
        assert len({alarm.id for alarm in alarms}) == 1

    def test_another_source_raises_its_own_alarm(self) -> None:
        book, alarms = follow(EMPTY, record("began"), record("began", epoch="hot-2", source="frozen"))
        assert seen(alarms) == [(1, "active"), (1, "active")]
        assert len(book.active) == 2

    def test_one_orphan_is_adopted_once_and_the_oldest_first(self) -> None:
        book, alarms = follow(
            EMPTY,
            record("began", event=1),
            record("began", event=2),
            record("began", event=1, epoch="hot-2"),
            record("began", event=2, epoch="hot-2"),
            record("began", event=3, epoch="hot-2"),
        )
        ids = [alarm.id for alarm in alarms]
        assert ids[2:4] == ids[:2]
        assert ids[4] not in ids[:4]
        assert len(book.active) == 3

    def test_settled_clears_what_the_new_epoch_has_not_seen_again(self) -> None:
        book, alarms = follow(
            EMPTY,
            record("began", event=1, source="t2"),
            record("began", event=2, source="frozen"),
            record("began", event=1, epoch="hot-2", source="t2"),
            record("settled", epoch="hot-2"),
        )
        assert [(alarm.source, alarm.state) for alarm in alarms[3:]] == [("frozen", "cleared")]
        assert [alarm.source for alarm in book.active] == ["t2"]

    def test_the_service_settles_without_the_charts(self) -> None:
        book, _ = follow(EMPTY, record("began", event=1, source="blind"), record("began", event=2, source="t2"))
        book, alarms = follow(book, record("settled", epoch="hot-2", source="service"))
        assert [(alarm.source, alarm.state) for alarm in alarms] == [("blind", "cleared")]
        assert [alarm.source for alarm in book.active] == ["t2"]

    def test_a_later_event_shows_that_one_whose_end_was_lost_is_over(self) -> None:
        book, _ = follow(EMPTY, record("began", event=1, source="t2"))
        book, cases = apply(book, record("began", event=5, source="local"), lossy=True)
        assert [(case.alarm.source, case.alarm.state) for case in cases] == [("t2", "cleared"), ("local", "active")]
        assert [alarm.source for alarm in book.active] == ["local"]

    def test_settled_leaves_its_own_epoch_and_the_side_process_alone(self) -> None:
        side = watch_hot(EMPTY, lost=True, t_ns=7)
        assert side is not None
        book, _ = follow(EMPTY, record("began"), side)
        assert apply(book, record("settled", epoch="hot-1")) == (book, [])

    def test_the_old_epoch_has_no_say_in_an_adopted_alarm(self) -> None:
        book, _ = follow(EMPTY, record("began"), record("began", epoch="hot-2"))
        assert apply(book, record("ended")) == (book, [])

    def test_sequence_numbers_of_two_streams_are_not_mixed(self) -> None:
        _, alarms = follow(
            EMPTY,
            record("began", first_seq=5000, last_seq=5010),
            record("began", epoch="hot-2", stream="new", first_seq=3, last_seq=6),
        )
        assert (alarms[-1].stream, alarms[-1].first_seq, alarms[-1].last_seq) == ("new", 3, 6)


class TestWatch:
    def test_a_lost_hot_process_is_an_alarm_until_it_is_back(self) -> None:
        lost = watch_hot(EMPTY, lost=True, t_ns=100)
        assert lost is not None
        book, [raised] = follow(EMPTY, lost)
        assert (raised.source, raised.priority, raised.raised_t_ns) == ("degraded", "medium", 100)
        assert watch_hot(book, lost=True, t_ns=200) is None
        back = watch_hot(book, lost=False, t_ns=300)
        assert back is not None
        book, [cleared] = follow(book, back)
        assert (cleared.id, cleared.rev, cleared.state) == (raised.id, 2, "cleared")
        assert watch_hot(book, lost=False, t_ns=400) is None

    def test_a_hot_process_that_reports_degraded_has_an_alarm_of_its_own(self) -> None:
        lost = watch_hot(EMPTY, lost=True, t_ns=100)
        assert lost is not None
        book, alarms = follow(EMPTY, lost, record("began", source="degraded"))
        assert seen(alarms) == [(1, "active"), (1, "active")]
        assert {case.epoch for case in book.cases.values()} == {SIDE_EPOCH, "hot-1"}


def test_closed_events_are_not_kept_for_ever() -> None:
    book = EMPTY
    for event in range(CLOSED_MAX + 5):
        book, _ = apply(book, record("ended", event=event))
    assert len(book.closed) == CLOSED_MAX
    assert book.cases == {}


some_peaks = st.none() | st.builds(
    lambda seq, ratio: Peak(seq, ratio * 50.0, 50.0, ratio), st.integers(0, 99), st.sampled_from([0.5, 1.0, 1.5, 2.5])
)
some_records = st.builds(
    record,
    phase=st.sampled_from(["began", "grew", "ended", "settled"]),
    event=st.integers(0, 3),
    epoch=st.sampled_from(["hot-1", "hot-2", "hot-3", SIDE_EPOCH]),
    source=st.sampled_from(["t2", "s2", "frozen", "degraded"]),
    stream=st.sampled_from(["s", "r"]),
    last_seq=st.integers(0, 50),
    frames_over=st.integers(0, 50),
    peak=some_peaks,
)


@given(st.lists(some_records, max_size=40))
def test_whatever_is_told_each_alarm_lives_once_and_forward(records: list[EventRecord]) -> None:
    book, latest = EMPTY, dict[str, Alarm]()
    for told in records:
        book, changes = apply(book, told)
        for alarm in (case.alarm for case in changes):
            before = latest.get(alarm.id)
            if before is None:
                assert alarm.rev == 1
                assert alarm.state == "active"
            else:
                assert alarm.rev == before.rev + 1
                assert before.state == "active", "cleared is final"
                assert alarm.frames_over >= before.frames_over
                assert PRIORITIES.index(alarm.priority) >= PRIORITIES.index(before.priority)
                assert alarm.raised_t_ns == before.raised_t_ns
            latest[alarm.id] = alarm
        assert apply(book, told) == (book, []), "a record seen twice changes nothing"
    assert {alarm.id for alarm in book.active} == {i for i, alarm in latest.items() if alarm.state == "active"}


@given(st.lists(some_records, max_size=20))
def test_every_alarm_comes_back_whole_from_json(records: list[EventRecord]) -> None:
    _, alarms = follow(EMPTY, *records)
    for alarm in alarms:
        assert msgspec.json.decode(msgspec.json.encode(alarm), type=Alarm) == alarm
