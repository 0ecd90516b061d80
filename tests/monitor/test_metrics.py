import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from daemon_example import beat, count_frames, judge_frames, record, some_config, some_orders
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from monitor import vitals
from monitor.alarms import apply, open_book
from monitor.metrics import Metrics
from monitor.orders import Memory, Orders
from monitor.status import Status, look
from monitor.types import Dropped, State, Unjudged

NOW_NS = 10**12
T_NS = 61_000_000_000  # a minute after the bundle of the example was made

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

PROMISED = [
    "messages_rejected_total",
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
    "permit",
    "state",
    "build_info",
]


class Daemon:
    """Metrics over a small daemon's memory."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self.memory = memory
        self.now_ns = NOW_NS
        self.book = open_book("melt", [])
        self.raised: dict[tuple[str, str], int] = {}

        def status() -> Status:
            return look(given, memory, self.book.active, self.now_ns, T_NS, NOW_NS)

        self.metrics = Metrics(CollectorRegistry(), given, memory.vitals, status, lambda: self.raised)

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


def test_every_metric_has_the_prefix_and_the_camera(daemon: Daemon) -> None:
    for name, labels in daemon.samples():
        assert name.startswith("framewatch_")
        assert ("camera", "melt") in labels


def test_the_names_are_those_that_were_promised(daemon: Daemon) -> None:
    daemon.raised = {("t2", "high"): 1}
    body, _ = daemon.metrics.expose("")
    names = set(re.findall(r"^# TYPE (\S+)", body.decode(), re.MULTILINE))
    assert names == {f"framewatch_{name}" for name in PROMISED}


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
    vitals.observe(daemon.memory.vitals, "age", np.array([0.0004, 0.003, 0.003, 9.0]))
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
