"""The rule for stops, which the judge runs beside that for alarms."""

import numpy as np
from frames import normal, with_spot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_judge import batch_of, ended, judge_all, judge_of, stream_with_everything

from calibration.events import EventRule
from calibration.scale import times
from monitor.bundle import Bundle
from monitor.judge import STOP_RULE, Stops


def stops_of(bundle: Bundle, ratio: float) -> Stops:
    return Stops(EventRule(k=3, n=4, clear_frames=20, limit=ratio), times(bundle.context_limits, ratio))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 163), max_size=12).map(sorted))
def test_the_rule_for_stops_finds_its_own_events_and_leaves_the_others_as_they_are(
    small_bundle: Bundle, cuts: list[int]
) -> None:
    frames = stream_with_everything()
    found = judge_all(judge_of(small_bundle, stops_of(small_bundle, 1.0)), frames, cuts)
    stops = [one for one in ended(found) if one[0] == STOP_RULE]
    without = judge_all(judge_of(small_bundle), frames, cuts)
    assert [one for one in ended(found) if one[0] != STOP_RULE] == ended(without)
    assert len(stops) == 2, "each spot lasts for three frames at least"
    assert all(one.source == STOP_RULE for one in found if one.rule == STOP_RULE)


def test_a_stop_is_told_with_the_limit_for_stops_of_the_chart_that_was_furthest_over(small_bundle: Bundle) -> None:
    frames = np.concatenate([normal(20, 1), with_spot(normal(4, 2), row=6, column=25), normal(40, 3)])
    lenient = stops_of(small_bundle, 1.01)
    changes = judge_all(judge_of(small_bundle, lenient), frames, [])
    [began] = [one for one in changes if one.rule == STOP_RULE and one.change.phase == "began"]
    assert began.peak is not None
    local = small_bundle.manifest.charts.index("local")
    assert began.peak.limit == lenient.limits.pooled[local].value > small_bundle.limits[local].value
    assert began.peak.score > began.peak.limit
    assert began.why == "3 of 4 judged frames over the stop limit, furthest on local"


def test_a_limit_for_stops_that_nothing_exceeds_stops_nothing(small_bundle: Bundle) -> None:
    never = stops_of(small_bundle, 1.0)._replace(rule=EventRule(k=3, n=4, clear_frames=20, limit=1e6))
    changes = judge_all(judge_of(small_bundle, never), stream_with_everything(), [])
    assert {one.rule for one in changes} == {"charts", "frozen", "dark"}


def test_another_stream_ends_a_stop(small_bundle: Bundle) -> None:
    judge = judge_of(small_bundle, stops_of(small_bundle, 1.0))
    judge_all(judge, np.concatenate([normal(20, 1), with_spot(normal(4, 2))]), [])
    batch = batch_of(normal(5, 3), stream=b"two")
    changes = judge.judge(batch.pixels, batch, np.arange(24, 29)).changes
    assert [(one.rule, one.change.phase) for one in changes] == [("charts", "ended"), (STOP_RULE, "ended")]


def test_frames_that_are_given_back_leave_no_trace_in_the_rule_for_stops(small_bundle: Bundle) -> None:
    judge = judge_of(small_bundle, stops_of(small_bundle, 1.0))
    before, spot = judge.snapshot(), with_spot(normal(4, 2))
    judge.judge(spot, batch_of(spot), np.arange(4))
    judge.restore(before)
    assert ended(judge_all(judge, normal(60, 3), [])) == []
