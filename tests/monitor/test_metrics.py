import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemon_example import beat, count_frames, judge_frames, record, some_config, some_orders
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from test_keeping import PROMISE

from calibration.realised import JobEvents, poisson_interval, realised
from monitor import vitals
from monitor.alarms.book import apply, open_book
from monitor.alarms.figures import Figures, Lived, figures
from monitor.journal.room import JournalStatus
from monitor.keeping import PromiseStatus, StopStatus, _of_job
from monitor.metrics import Metrics
from monitor.orders import Memory, Orders, StopPromise
from monitor.recorder import board
from monitor.sinks.pump import Statistics
from monitor.status import Status, look
from monitor.types import Dropped, State, Unjudged

NOW_NS = 10**12
T_NS = 61_000_000_000  # a minute after the bundle of the example was made

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

PROMISED = [
    *(f"alarms_{name}" for name in ("per_hour", "in_ten_minutes_most", "flood_share", "chattering", "stale")),
    "alarms_unacknowledged",
    "messages_rejected_total",
    "peers_refused_total",
    "snapshots_answered_total",
    "snapshots_refused_total",
    "frames_announced_total",
    "frames_lost_upstream_total",
    "frames_received_total",
    "frames_judged_total",
    "frames_unjudged_total",
    "frames_dropped_total",
    "frames_in_flight",
    "frame_age_seconds",
    "frame_delay_seconds",
    "batch_frames",
    "score_seconds",
    "permit_fall_seconds",
    "chart_exceedances_total",
    "chart_score",
    "chart_limit",
    "alarms_total",
    "alarms_active",
    "calibration_age_seconds",
    "calibration_extrapolated",
    "judged_seconds_total",
    "sink_pending",
    "sink_sent_total",
    "sink_failures_total",
    "sink_refused_total",
    "sink_shed_total",
    "sink_circuit",
    "journal_refused",
    "journal_unwritten",
    "journal_bytes",
    "journal_disk_free_bytes",
    "journal_disk_bytes",
    "recordings",
    "recordings_bytes",
    "recordings_pinned",
    "recordings_pinned_bytes",
    "recordings_budget_bytes",
    "recordings_disk_free_bytes",
    "recordings_disk_bytes",
    "recordings_failed_total",
    "recordings_written_total",
    "recorder_frames_missing_total",
    "recorder_frames_archived_total",
    "recorder_archive_missing_total",
    "recorder_archive_bytes",
    "recorder_restarts_total",
    "permit",
    "state",
    "build_info",
]

OF_A_BUDGET = [
    "drift_evidence",
    "drift_shift_decades",
    "false_alarm_budget_per_hour",
    "calibration_extrapolated_by",
    "false_alarms_per_hour",
    "events",
    "promised_hours",
    "frames_per_second",
    "kept_blocks",
]


class Daemon:
    """Metrics over a small daemon's memory."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self.given, self.memory = given, memory
        self.now_ns = NOW_NS
        self.book = open_book("melt", [])
        self.raised: dict[tuple[str, str], int] = {}
        self.promise: PromiseStatus | None = None
        self.sinks: list[Statistics] = []
        self.figures: Figures | None = figures([], 0, 1)
        self.journal = JournalStatus(False, 0, 4096, 2**30, 2**31)

        def status() -> Status:
            return look(given, memory, self.book.active, self.now_ns, T_NS, NOW_NS, self.promise)

        self.metrics = Metrics(
            CollectorRegistry(),
            given,
            memory.vitals,
            status,
            lambda: self.raised,
            lambda: self.sinks,
            lambda: self.figures,
            journal=lambda: self.journal,
            recorder=lambda: board.counts(memory.recorder),
        )

    def samples(self) -> Samples:
        body, _ = self.metrics.expose("")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples()["framewatch_" + name, frozenset({"camera": "melt", **labels}.items())]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, NOW_NS)
        yield Daemon(given, memory)


@pytest.fixture
def promising(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose bundle keeps to a budget."""
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, NOW_NS)
        assert given.bundle is not None
        facts = msgspec.structs.replace(given.bundle, promise=PROMISE)
        made = Daemon(msgspec.structs.replace(given, bundle=facts), memory)
        made.promise = kept_promise(true=4, false=1, unknown=2, hours=10.0)
        yield made


def kept_promise(hours: float, **events: int) -> PromiseStatus:
    overall = _of_job(realised(JobEvents(None, hours, **events), PROMISE.per_hour))
    return PromiseStatus(1.0, True, 2.5, 1.5, 0.3, 100.0, 102.0, False, "it is well", 36, overall, [])


def test_a_budget_of_stops_has_metrics_of_its_own(promising: Daemon) -> None:
    assert not any("stop" in name for name, _ in promising.samples())
    stops = StopPromise(per_hour=0.1, rule="5 of 8", hours=2.5, extrapolated_by=4.0, dead_time_s=0.5, why="too short")
    assert promising.given.bundle is not None
    facts = msgspec.structs.replace(promising.given.bundle, stops=stops)
    daemon = Daemon(msgspec.structs.replace(promising.given, bundle=facts), promising.memory)
    assert daemon.value("false_stop_budget_per_hour") == 0.1
    assert daemon.value("stops_extrapolated_by") == 4.0
    overall = _of_job(realised(JobEvents(None, 40.0, true=1, false=2), 0.1))
    told = StopStatus(0.1, "5 of 8", 2.5, 4.0, 0.5, "too short", overall)
    daemon.promise = msgspec.structs.replace(kept_promise(hours=40.0), stops=told)
    assert daemon.value("false_stops_per_hour", unknown="true", end="rate") == 2 / 40.0


def test_every_metric_has_the_prefix_and_the_camera(daemon: Daemon) -> None:
    for name, labels in daemon.samples():
        assert name.startswith("framewatch_")
        assert ("camera", "melt") in labels


def test_the_names_are_those_that_were_promised(daemon: Daemon) -> None:
    daemon.raised = {("t2", "high"): 1}
    body, _ = daemon.metrics.expose("")
    names = set(re.findall(r"^# TYPE (\S+)", body.decode(), re.MULTILINE))
    assert names == {f"framewatch_{name}" for name in PROMISED}


def test_the_names_of_a_budget_are_those_that_were_promised(promising: Daemon) -> None:
    names = {name.removeprefix("framewatch_") for name, _ in promising.samples()}
    assert set(OF_A_BUDGET) <= names
    promising.promise = None  # nothing is known of the first second
    before = {name.removeprefix("framewatch_") for name, _ in promising.samples()}
    assert names - before == {"false_alarms_per_hour", "events", "promised_hours", "frames_per_second", "kept_blocks"}


def test_a_budget_is_told_beside_what_came_true_of_it(promising: Daemon) -> None:
    promising.memory.vitals["judged_s"][0] = 36_000.5
    assert promising.value("judged_seconds_total") == 36_000.5
    assert promising.value("false_alarm_budget_per_hour") == 1.0
    assert promising.value("calibration_extrapolated_by") == 1.5
    assert promising.value("promised_hours") == 10.0
    assert promising.value("kept_blocks") == 36
    assert [promising.value("frames_per_second", by=by) for by in ("promised", "judged")] == [100.0, 102.0]
    assert [promising.value("events", verdict=one) for one in ("true", "false", "unknown")] == [4, 1, 2]


def test_unknown_events_give_a_rate_where_they_are_true_and_one_where_they_are_not(promising: Daemon) -> None:
    found = {
        unknown: [promising.value("false_alarms_per_hour", unknown=unknown, end=end) for end in ("low", "rate", "high")]
        for unknown in ("true", "false")
    }
    assert (found["true"][1], found["false"][1]) == (0.1, 0.3)
    assert found["true"][0] == pytest.approx(poisson_interval(1)[0] / 10)
    assert found["false"][2] == pytest.approx(poisson_interval(3)[1] / 10)
    assert all(low < rate < high for low, rate, high in found.values())


def test_before_an_hour_is_judged_a_rate_has_neither_value_nor_upper_end(promising: Daemon) -> None:
    promising.promise = kept_promise(0.0)
    ends = {dict(labels)["end"] for name, labels in promising.samples() if name == "framewatch_false_alarms_per_hour"}
    assert ends == {"low"}


def test_a_drift_is_told_in_evidence_and_decades(promising: Daemon) -> None:
    promising.memory.vitals["drift_evidence"][0], promising.memory.vitals["drift_shift"][0] = 0.25, -0.5
    assert (promising.value("drift_evidence"), promising.value("drift_shift_decades")) == (0.25, -0.5)


def test_the_frame_counters_close(daemon: Daemon) -> None:
    count_frames(daemon.memory)
    unjudged = sum(daemon.value("frames_unjudged_total", reason=reason.label) for reason in Unjudged)
    dropped = sum(daemon.value("frames_dropped_total", reason=reason.value) for reason in Dropped)
    received = daemon.value("frames_received_total")
    assert received == daemon.value("frames_judged_total") + unjudged + dropped + daemon.value("frames_in_flight")
    assert daemon.value("frames_announced_total") == daemon.value("frames_lost_upstream_total") + received
    assert (received, unjudged, dropped, daemon.value("frames_in_flight")) == (90, 12, 3, 5)
    assert daemon.value("messages_rejected_total", reason="parts") == 2


def test_histograms_are_cumulative(daemon: Daemon) -> None:
    for seconds in (0.0004, 0.003, 0.003, 9.0):
        vitals.observe_one(daemon.memory.vitals, "age", seconds)
    assert daemon.value("frame_age_seconds_bucket", le="0.0005") == 1
    assert daemon.value("frame_age_seconds_bucket", le="0.005") == 3
    assert daemon.value("frame_age_seconds_bucket", le="5.0") == 3
    assert daemon.value("frame_age_seconds_bucket", le="+Inf") == 4
    assert daemon.value("frame_age_seconds_count") == 4
    assert daemon.value("frame_age_seconds_sum") == pytest.approx(9.0064)


def test_charts_show_score_limit_and_exceedances(daemon: Daemon) -> None:
    judge_frames(daemon.memory)
    assert daemon.value("chart_score", chart="t2") == 12.5
    assert daemon.value("chart_limit", chart="s2") == 3.0
    assert daemon.value("chart_exceedances_total", chart="t2") == 7


def test_a_score_that_is_no_number_is_left_out(daemon: Daemon) -> None:
    daemon.memory.vitals["chart_score"][:] = [np.nan, 1.0]
    with pytest.raises(KeyError):
        daemon.value("chart_score", chart="t2")
    assert daemon.value("chart_score", chart="s2") == 1.0


def test_alarms_by_priority_and_source(daemon: Daemon) -> None:
    daemon.book, _ = apply(daemon.book, record("began", source="frozen"))
    daemon.raised = {("frozen", "high"): 4}
    assert daemon.value("alarms_active", priority="high") == 1
    assert daemon.value("alarms_active", priority="critical") == 0
    assert daemon.value("alarms_total", source="frozen", priority="high") == 4


def test_each_sink_tells_what_it_has_done(daemon: Daemon) -> None:
    daemon.sinks = [Statistics("office", 7, 6, 5, 4, 3, "open"), Statistics("hall", 0, 9, 0, 0, 0, "closed")]
    assert daemon.value("sink_pending", sink="office") == 7
    counts = [daemon.value(f"sink_{one}_total", sink="office") for one in ("sent", "failures", "refused", "shed")]
    assert counts == [6, 5, 4, 3]
    assert [daemon.value("sink_circuit", sink=sink) for sink in ("office", "hall")] == [2, 0]


def test_exactly_one_state_is_one(daemon: Daemon) -> None:
    beat(daemon.memory, NOW_NS, State.BLIND)
    states = {state: daemon.value("state", state=state.value) for state in State}
    assert [state for state, value in states.items() if value == 1] == [State.BLIND]
    assert sum(states.values()) == 1


def test_a_hot_process_that_does_not_answer_is_degraded_without_permit(daemon: Daemon) -> None:
    assert (daemon.value("permit"), daemon.value("state", state="ok")) == (1, 1)
    daemon.now_ns = NOW_NS + vitals.LOST_NS + 1
    assert (daemon.value("permit"), daemon.value("state", state="ok")) == (0, 0)
    assert daemon.value("state", state="degraded") == 1


def test_the_age_of_the_calibration(daemon: Daemon) -> None:
    assert daemon.value("calibration_age_seconds") == 60
    assert daemon.value("calibration_extrapolated") == 0


def test_without_a_bundle_there_is_no_calibration_and_no_chart(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path), bundle=False) as (given, memory):
        names = {name for name, _ in Daemon(given, memory).samples()}
    assert not {name for name in names if "calibration" in name or "chart" in name}


def test_prometheus_may_ask_for_openmetrics(daemon: Daemon) -> None:
    body, content_type = daemon.metrics.expose("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_torch_is_named_but_not_imported() -> None:
    script = "import sys, monitor.metrics as m; m.torch_version(); print('torch' in sys.modules, m.torch_version())"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert answer[0] == "False"
    assert re.match(r"none|\d+\.\d+", answer[1])


def test_the_figures_of_the_last_day_are_there(daemon: Daemon) -> None:
    daemon.figures = figures([Lived("t2", "medium", 5, None, 9)] * 12, 0, 3_600_000_000_000)
    assert daemon.value("alarms_per_hour") == 12.0
    assert daemon.value("alarms_in_ten_minutes_most") == 12.0
    assert daemon.value("alarms_unacknowledged") == 12.0
    assert daemon.value("alarms_chattering") == 1.0


def test_figures_that_cannot_be_read_are_left_out_and_all_else_is_there(daemon: Daemon) -> None:
    daemon.figures = None
    names = {name for name, _ in daemon.samples()}
    assert "framewatch_alarms_per_hour" not in names
    assert {"framewatch_alarms_active", "framewatch_permit"} <= names


def test_refused_peers_are_counted_by_socket(daemon: Daemon) -> None:
    for door, count in (("input", 3), ("alarms", 1), ("permit", 2), ("snapshot", 4)):
        daemon.memory.vitals[f"refused_{door}"][0] = count
    assert [daemon.value("peers_refused_total", socket=door) for door in vitals.DOORS] == [3, 1, 2, 4]


def test_requests_for_a_snapshot_are_counted_by_what_became_of_them(daemon: Daemon) -> None:
    daemon.memory.vitals["snapshots"][:] = np.arange(len(vitals.SNAPSHOTS)) + 5
    assert daemon.value("snapshots_answered_total") == 5
    refused = [daemon.value("snapshots_refused_total", reason=reason) for reason in vitals.SNAPSHOTS[1:]]
    assert refused == [6, 7, 8, 9, 10, 11]


def test_a_disk_that_refuses_the_journal_is_told_with_what_waits_and_what_room_there_is(daemon: Daemon) -> None:
    told = ("refused", "unwritten", "bytes", "disk_free_bytes", "disk_bytes")
    assert [daemon.value(f"journal_{name}") for name in told] == [0, 0, 4096, 2**30, 2**31]
    daemon.journal = JournalStatus(True, 12, 8192, 0, 2**31)
    assert [daemon.value(f"journal_{name}") for name in told] == [1, 12, 8192, 0, 2**31]


def test_a_file_system_that_does_not_tell_its_room_leaves_only_that_out(daemon: Daemon) -> None:
    daemon.journal = JournalStatus(True, 12, None, None, None)
    names = {name for name, _ in daemon.samples() if name.startswith("framewatch_journal")}
    assert names == {"framewatch_journal_refused", "framewatch_journal_unwritten"}


def test_a_recorder_that_says_nothing_any_more_is_told_and_one_that_there_never_was_is_not(daemon: Daemon) -> None:
    assert ("framewatch_recorder_silent_seconds", frozenset({("camera", "melt")})) not in daemon.samples()
    daemon.memory.recorder["beat_ns"][0] = time.monotonic_ns() - 90_000_000_000
    assert daemon.value("recorder_silent_seconds") == pytest.approx(90.0, abs=5.0)
    daemon.memory.recorder["failed"][board.REASONS.index("disk")] = 3
    assert daemon.value("recordings_failed_total", reason="disk") == 3


def test_restarts_of_the_recorder_and_what_pins_leave_of_its_budget_are_told(daemon: Daemon) -> None:
    daemon.memory.recorder["restarts"][0], daemon.memory.recorder["pinned_bytes"][0] = 4, 5 * 2**20
    assert daemon.value("recorder_restarts_total") == 4
    assert daemon.value("recordings_pinned_bytes") == 5 * 2**20
    assert daemon.value("recordings_budget_bytes") == 1024 * 2**20
