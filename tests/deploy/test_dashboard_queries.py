"""What queries of the dashboards answer on series that a daemon at work does not give: promtool works them out."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import FILES, filled_in, queries
from programs import program

LABELS = '{job="framewatch",instance="melt:8090",camera="melt"}'
BOARDS = [path.stem for path in FILES]
INTERVAL_S = 5

Answer = Sequence[tuple[str, float]]
"""Labels, and the value that goes with them."""


def of(more: str) -> str:
    return LABELS.replace("}", f",{more}}}")


def query(board: str, panel: str) -> str:
    [expr] = [one.expr for one in queries() if (one.board, one.panel) == (board, panel)]
    return filled_in(expr, "melt", "1m")


def hold(tmp_path: Path, series: Mapping[str, str], answers: Sequence[tuple[str, str, Answer]]) -> None:
    """Each query at each moment gives its answer. *series* are in promtool's notation, a value each INTERVAL_S."""
    test: dict[str, Any] = {
        "interval": f"{INTERVAL_S}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": moment,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in answer],
            }
            for expr, moment, answer in answers
        ],
    }
    path = tmp_path / "dashboards_test.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": f"{INTERVAL_S}s", "tests": [test]}))
    tool = program("prometheus", "promtool")
    done = subprocess.run([tool, "test", "rules", str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def frames(judged: str, inactive: str, lost: str = "0x60", dropped: str = "0x60") -> dict[str, str]:
    """The counters of frames: 1,000 a second are announced."""
    return {
        f"framewatch_frames_announced_total{LABELS}": "0+5000x60",
        f"framewatch_frames_judged_total{LABELS}": judged,
        f"framewatch_frames_lost_upstream_total{LABELS}": lost,
        "framewatch_frames_dropped_total" + of('reason="overrun"'): dropped,
        "framewatch_frames_unjudged_total" + of('reason="inactive"'): inactive,
        "framewatch_frames_unjudged_total" + of('reason="camera_fault"'): "0x60",
        "framewatch_frames_unjudged_total" + of('reason="out_of_order"'): "0+1x60",
    }


def jittered(step: int) -> str:
    """Counts that follow those announced by what is in flight, which is never the same."""
    return " ".join(str(max(0, step * i - (37 * i) % 101)) for i in range(61))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("counters", "answer"),
    [
        (frames(judged="7x60", inactive=jittered(5000)), []),
        (frames(judged="7x60", inactive=jittered(5000), lost="0+1x60", dropped="0+1x60"), []),
        (frames(judged=jittered(5000), inactive="9x60"), [(LABELS, 1)]),
        (frames(judged="0+3600x60", inactive="0+900x60", lost="0+500x60"), [(LABELS, 0.9)]),
        (frames(judged="7x60", inactive="9x60", dropped="0+5000x60"), [(LABELS, 0)]),
    ],
    ids=["off", "off and frames lost", "on", "on, off and frames lost", "all dropped"],
)
def test_coverage_is_of_the_frames_with_the_process_on(
    tmp_path: Path, board: str, counters: dict[str, str], answer: Answer
) -> None:
    expr = f"round(1e6 * ({query(board, 'Coverage')})) / 1e6 >= 0"  # 0/0 equals nothing, and is drawn as nothing
    hold(tmp_path, counters, [(expr, "5m", answer)])


def test_the_time_since_a_daemon_was_heard_grows_when_it_is_heard_no_more(tmp_path: Path) -> None:
    expr = query("framewatch-operators", "Last heard of the daemon")
    answers = [
        (expr, "10m", [(LABELS, 0)]),
        (expr, "10m7s", [(LABELS, 7)]),
        (expr, "12m", [(LABELS, 120)]),
        (expr, "1h5m", [(LABELS, 3300)]),
        (expr, "1h20m", []),
    ]
    hold(tmp_path, {f"framewatch_permit{LABELS}": "1x120 stale"}, answers)


def test_alerts_without_a_camera_are_shown_and_those_of_other_cameras_and_programs_are_not(tmp_path: Path) -> None:
    names = {
        "melt": 'ALERTS{alertname="FramewatchBlind",alertstate="firing",camera="melt"}',
        "none": 'ALERTS{alertname="FramewatchNotScraped",alertstate="firing",instance="melt:8090"}',
        "weld": 'ALERTS{alertname="FramewatchBlind",alertstate="firing",camera="weld"}',
        "waits": 'ALERTS{alertname="FramewatchUnsteady",alertstate="pending",instance="melt:8090"}',
        "always": 'ALERTS{alertname="FramewatchWatchdog",alertstate="firing"}',
        "other": 'ALERTS{alertname="DiskFull",alertstate="firing",instance="melt:9100"}',
    }
    expr = query("framewatch-operators", "Alerts that fire")
    hold(tmp_path, dict.fromkeys(names.values(), "1x60"), [(expr, "1m", [(names["melt"], 1), (names["none"], 1)])])


def test_the_first_alarm_of_a_source_is_counted_and_those_before_the_first_scrape_are_not(tmp_path: Path) -> None:
    series = {
        f"framewatch_permit{LABELS}": "1x1500",
        "framewatch_alarms_total" + of('priority="high",source="t2"'): "500x1500",
        "framewatch_alarms_total" + of('priority="high",source="local"'): "_x1300 2x200",
    }
    raised = '{camera="melt",priority="high",source="%s"}'
    expr = query("framewatch-operators", "Alarms of the last hour")
    answers = [
        (expr, "30m", [(raised % "t2", 0)]),
        (expr, "1h55m", [(raised % "local", 2), (raised % "t2", 0)]),
    ]
    hold(tmp_path, series, answers)
    other = query("framewatch-engineers", "Alarms raised, by source")
    hold(tmp_path, series, [(f"{other} > 0", "1h55m", [('{camera="melt",source="local"}', 2)])])
