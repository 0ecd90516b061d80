"""The figures that ISA-18.2 asks for."""

import pytest

from monitor.alarms.figures import STALE_NS, Lived, figures

MINUTE_NS, HOUR_NS = 60 * 10**9, 3600 * 10**9
START_NS = 1_795_000_000 * 10**9


def raised(minute: float, source: str = "t2", acked_after_s: float | None = None, lasts_s: float | None = 5.0) -> Lived:
    at = START_NS + round(minute * MINUTE_NS)
    acked = None if acked_after_s is None else at + round(acked_after_s * 1e9)
    return Lived(source, "medium", at, acked, None if lasts_s is None else at + round(lasts_s * 1e9))


def test_alarms_are_counted_by_the_hour_and_by_ten_minutes() -> None:
    found = figures([raised(minute) for minute in (1, 2, 3, 35, 119)], START_NS, START_NS + 2 * HOUR_NS)
    assert (found.alarms, found.per_hour, found.hours) == (5, 2.5, 2.0)
    assert found.per_ten_minutes == pytest.approx(5 / 12)
    assert (found.most_in_ten_minutes, found.flood_share) == (3, 0.0)
    assert found.by_priority == {"medium": 5}


def test_a_window_with_more_than_ten_is_in_flood() -> None:
    alarms = [raised(20 + minute / 2) for minute in range(11)]
    found = figures(alarms, START_NS, START_NS + HOUR_NS)
    assert (found.most_in_ten_minutes, found.flood_share) == (11, pytest.approx(1 / 6))


def test_a_source_chatters_that_raises_three_within_a_minute() -> None:
    alarms = [*(raised(m, "t2") for m in (1, 1.4, 1.9)), *(raised(m, "s2") for m in (1, 1.5, 2.1))]
    assert figures(alarms, START_NS, START_NS + HOUR_NS).chattering == ["t2"]


def test_an_alarm_is_stale_that_is_active_for_more_than_a_day() -> None:
    alarms = [raised(0, lasts_s=None), raised(0, lasts_s=STALE_NS / 1e9), raised(60, lasts_s=None)]
    assert figures(alarms, START_NS, START_NS + STALE_NS + 1).stale == 1


def test_how_long_people_take_and_what_they_have_not_seen() -> None:
    alarms = [raised(1, acked_after_s=5), raised(2, acked_after_s=9), raised(3, acked_after_s=100), raised(4)]
    found = figures(alarms, START_NS, START_NS + HOUR_NS)
    assert (found.median_ack_s, found.unacknowledged) == (9.0, 1)


def test_the_most_frequent_sources_come_first_with_their_share() -> None:
    alarms = [raised(m, "t2") for m in range(3)] + [raised(9, "frozen")]
    found = figures(alarms, START_NS, START_NS + HOUR_NS)
    assert [(one.source, one.alarms, one.share) for one in found.frequent] == [("t2", 3, 0.75), ("frozen", 1, 0.25)]


def test_only_alarms_of_the_period_are_new_in_it() -> None:
    found = figures([raised(-5), raised(5), raised(65)], START_NS, START_NS + HOUR_NS)
    assert found.alarms == 1


def test_a_period_without_alarms_has_figures_too() -> None:
    found = figures([], START_NS, START_NS + HOUR_NS)
    assert (found.alarms, found.median_ack_s, found.frequent) == (0, None, [])


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="end after"):
        figures([], START_NS, START_NS)
