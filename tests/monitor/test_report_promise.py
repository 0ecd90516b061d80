"""The promise is told first and in words that are true of it, with what it does not promise and what was seen."""

import math
import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from report_examples import BUDGET, DATA, DELAYS, PROMISE, PROMISED, RATES, SHIFT, median

from calibration.evaluation import Estimate
from calibration.shifted import ALL
from monitor.budget import FittedBudget, FittedStops
from monitor.report import render
from monitor.report.evidence import soonest
from monitor.report.promise import events_between, exceptions, footing, headline, rates_seen, stops, terms
from monitor.report.units import duration, one_in, per_frame
from tests.monitor.test_report import Page


def changed(**fields: Any) -> FittedBudget:
    return msgspec.structs.replace(BUDGET, **fields)


# Units


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (0.0, "no time"),
        (4.56e-5, "164 ms"),
        (1 / 3600, "1 second"),
        (23 / 3600, "23 seconds"),
        (1 / 60, "60 seconds"),
        (0.5, "30 minutes"),
        (2.1, "2.1 hours"),
        (4.0, "4 hours"),
        (100.0, "4.2 days"),
        (math.inf, "an unknown time"),
    ],
)
def test_a_time_is_told_in_its_unit(hours: float, told: str) -> None:
    assert duration(hours) == told


@pytest.mark.parametrize(
    ("per_hour", "told"),
    [
        (0.0, "none"),
        (0.25, "one in 4 hours"),
        (1.0, "one an hour"),
        (6.0, "one in 10 minutes"),
        (60.0, "one a minute"),
        (3600.0, "one a second"),
        (12_000.0, "3.3 a second"),
        (math.nan, "an unknown number"),
    ],
)
def test_a_rate_is_told_as_the_time_that_one_comes_in(per_hour: float, told: str) -> None:
    assert one_in(per_hour) == told


def test_a_small_share_of_frames_is_told_as_one_of_many() -> None:
    assert [per_frame(share) for share in (0.02, 0.001, 4.1e-5)] == ["2 %", "1 in 1,000", "1 in 24,000"]


# The promise in words


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "At most one false alarm in 4 hours, on average."),
        ({"per_hour": 60.0}, "At most one false alarm a minute, on average."),
        ({"per_hour": 7200.0}, "At most 2 false alarms a second, on average."),
        ({"conservative": True}, "At most one false alarm in 4 hours, with 90 % confidence."),
    ],
)
def test_the_headline_is_the_promise(fields: dict[str, Any], told: str) -> None:
    assert headline(changed(**fields)) == told


def test_what_it_is_measured_on_is_told_with_how_far_it_is_extrapolated() -> None:
    told = "Extrapolated by a factor of 1.9: measured on 2.1 hours of clean stream; 4 hours would support it."
    assert footing(BUDGET) == told
    assert "by a factor of 623:" in footing(changed(extrapolated_by=623.0))
    assert footing(changed(extrapolated_by=1.0)) == "Measured on 2.1 hours of clean stream, enough to support it."


def test_the_terms_name_rule_dead_time_judged_hours_interval_and_warning_limit() -> None:
    told = " ".join(terms(PROMISE))
    for part in (
        "2 of 3 judged frames in a row are over the action limit",
        "within 500 ms of such a frame (500 judged frames, the dead time)",
        "Hours are judged hours, at 1,000 judged frames a second",
        "the extremes of 15,120 blocks of stream, which say as much as 12,000 independent ones",
        "between 0.95 and 1.10 times the one that was set",
        "rests on a tail that falls exponentially",
        "1 in 1,000 of single frames exceed the warning limit, about one a second",
    ):
        assert part in told
    assert "Asked for was" not in told
    assert "chart of rates" not in told


def test_a_limit_that_promises_fewer_than_asked_for_says_so_and_why() -> None:
    told = terms(replace(PROMISE, budget=changed(asked_per_hour=60.0, per_hour=12.0)))[0]
    assert told.startswith("Asked for was one a minute. The limit promises fewer alarms")


def test_false_alarms_that_the_budget_does_not_hold_are_told() -> None:
    assert "one false alarm in 40 hours besides these" in " ".join(terms(replace(PROMISE, rates_per_hour=0.025)))


def test_the_interval_in_events_is_as_wide_as_that_of_the_limit() -> None:
    few, many = events_between(BUDGET)
    assert few < 0.25 < many
    assert math.log(many / 0.25) == pytest.approx(2 * math.log(0.25 / few))  # 0.6 and 0.3 decades away
    alike = changed(extremes=(2.0,) * 40)
    assert "may come between" not in " ".join(terms(replace(PROMISE, budget=alike)))


@pytest.mark.parametrize(
    ("shift", "told"),
    [
        (
            SHIFT,
            "in the mean over new ones, not in each: as 9 runs, layers or sessions differ, the limits were raised by "
            "5.0% of the joint limit. For nine new ones in ten it would take 10.0%. What nine in ten rest on: assumed",
        ),
        (msgspec.structs.replace(SHIFT, by=0.0, high=0.0), "the limits were raised by nothing, for theirs together"),
        (None, "no allowance for a new run, layer or session"),
    ],
)
def test_what_is_not_promised_begins_with_runs_never_seen(shift: Any, told: str) -> None:
    first, *others = exceptions(changed(shift=shift))
    assert told in first
    assert len(others) == 2


def test_careful_limits_hold_for_nine_new_runs_in_ten() -> None:
    first, *_ = exceptions(changed(shift=SHIFT, conservative=True))
    assert (
        "it holds in nine cases of ten: as 9 runs, layers or sessions differ, the limits were raised by 10.0%" in first
    )
    assert "it would take" not in first


# The page


def test_the_promise_is_the_first_thing_on_the_page_and_warnings_come_next() -> None:
    text = Page(render(PROMISED)).text
    order = [
        text.index(part)
        for part in (
            "At most one false alarm in 4 hours",
            "What this does not promise",
            DATA.warnings[0],
            "The network learned",
            "Promised, and seen",
            "Blocks of the clean stream",
            "Held-out frames that stand out",
            "Charts on held-out frames",
            "Memory of the stream",
            "How soon a lasting shift is seen",
        )
    ]
    assert order == sorted(order)
    assert "nan" not in text.lower()


def test_limits_per_frame_promise_nothing() -> None:
    text = Page(render(replace(DATA, settings={}))).text
    for part in ("false alarm", "action limit", "warning limit", "clean stream", "lasting shift"):
        assert part not in text


def test_statements_about_frames_are_true_of_a_budget() -> None:
    warned = replace(PROMISED, charts=(replace(PROMISED.charts[0], warning=0.5), *PROMISED.charts[1:]))
    text = Page(render(warned)).text
    over = int((warned.charts[0].scores > 0.5).sum())
    assert f"and {over} of 200 held-out frames ({over / 2:.3g} %) over the warning limit, for which 1 %" in text
    assert "with a warning limit set by the others alone" in text
    assert "asked for was 1 %. These frames set the limit" not in text
    assert "over warning over joint over t2" in text


def test_the_rates_that_were_seen_stand_beside_those_that_were_meant() -> None:
    text = Page("".join(rates_seen(PROMISE))).text
    assert "single frames over the warning limit 0.1 % 9,300 of 9,450,000: 0.0984 % 0.07 % to 0.12 %" in text
    assert "single frames over the action limit 1 in 1,000,000 a chart 2 of 9,450,000: under 0.01 %" in text
    assert "blocks of 500 ms with a frame that raises an event under 0.01 % 1 of 18,900" in text
    assert "events an hour 0.25 1 in 2.6 hours: 0.38 0.01 to 2.1" in text


def test_more_events_than_promised_are_red_only_beyond_their_interval() -> None:
    def red(low: float) -> list[str]:
        seen = RATES._replace(per_hour=Estimate(0.381, low, 2.12))
        return re.findall(r'number over">([^<]*)<', "".join(rates_seen(replace(PROMISE, rates=seen))))

    assert red(0.01) == []
    assert red(0.26) == ["1 in 2.6 hours: 0.38"]


def test_frames_that_stand_out_are_named_as_they_are_left_out() -> None:
    text = Page(render(DATA)).text
    assert "They set the limits unless a person excludes them" in text
    assert "runs/run8 17 41 20 25 % t2 9.5 1.25" in text
    many = Page(render(replace(DATA, segments=DATA.segments * 100))).text
    assert "The 60 most extreme of 100 segments are shown; the others hold 800 frames" in many
    assert "52 more" in many


# How soon a shift is seen


def told_of(*medians: float, charts: tuple[str, ...] = (ALL,)) -> str:
    found = [median(frames, unseen=60 if math.isinf(frames) else 0) for frames in medians]
    return soonest(replace(DELAYS, measured=dict.fromkeys(charts, found)))


@pytest.mark.parametrize(
    ("medians", "told"),
    [
        (
            (900.0, 90.0, 9.0),
            "by 0.5 standard deviations raises an event within 900 ms in half of cases; one of 3 takes",
        ),
        ((math.inf, 90.0, 9.0), "by 1 standard deviations raises an event within 90 ms in half of cases; of smaller"),
        ((math.inf, 90.0, math.inf), "But of shifts of 3 most went unseen, though smaller ones are seen"),
        ((math.inf,) * 3, "by up to 3 standard deviations raises no event in most runs"),
    ],
)
def test_one_sentence_says_how_soon_a_shift_is_seen(medians: tuple[float, ...], told: str) -> None:
    assert told in told_of(*medians)


def test_the_numbers_of_the_picture_are_there_with_what_was_not_seen() -> None:
    text = Page(render(PROMISED)).text
    assert "0.5 - - to - 97 of 100 - - to - 100 of 100" in text
    assert "3 0.02 0.018 to 0.024 0 of 100" in text


def test_what_the_warning_limit_rests_on_is_told() -> None:
    told = " ".join(terms(PROMISE))
    for part in ("That limit comes by the method conformal (an order statistic);", "between 0.95 and 1.05 times it"):
        assert part in told


# Stops


def stopping(**fields: Any) -> FittedBudget:
    same = {name: getattr(BUDGET, name) for name in FittedStops.__struct_fields__}
    given = {"per_hour": 0.01, "asked_per_hour": 0.01, "k": 5, "n": 8, "action": 9.0, "extrapolated_by": 48.0}
    return changed(stops=FittedStops(**same | given | fields))


def test_without_a_budget_of_stops_the_report_says_that_each_false_alarm_may_stop_the_machine() -> None:
    [told] = stops(BUDGET)
    assert "there is no budget of false stops" in told


def test_the_promise_of_stops_is_told_with_its_rule_its_limit_and_how_far_it_is_extrapolated() -> None:
    promised, rule, sure = stops(stopping())
    assert promised.startswith("At most one false stop in 4.2 days, on average. Extrapolated by a factor of 48: ")
    assert "5 of 8 judged frames in a row are over the stop limit, 1.50 times the action limit" in rule
    assert "0.63 and 0.73 times" in sure
    assert stops(stopping(asked_per_hour=0.02))[-1] == "Asked for was one in 2.1 days."
