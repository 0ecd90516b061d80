"""The alerts fire when they should and not when they should not: promtool works them out on series of hours."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
TESTS = ("rules_test.yml", "rules_slow_test.yml")
SEVERITIES = {"critical", "warning", "info", "none"}
AT_ONCE = {"FramewatchWatchdog", "FramewatchAlarmOpen", "FramewatchAlarmFlood", "FramewatchFramesDropped"} | {
    f"Framewatch{name}"
    for name in (
        *("PeersRefused", "SinkRefused", "TaxonomyFailing", "EventsUnnamed", "HistoryMissed"),
        *("RecorderRestarts", "RecordingsFailed", "RecordingGaps", "ArchiveGaps"),
    )
}
"""What has happened or is over when it is told: there is nothing to wait for."""


def rules(name: str, kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = rules("framewatch-alerts.yml", "alert")


def promtool(*arguments: str) -> str:
    tool = program("prometheus", "promtool")
    done = subprocess.run([tool, *arguments], cwd=RULES, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_can_read_the_configuration_with_its_rules() -> None:
    said = promtool("check", "config", "prometheus.yml")
    assert f"{len(ALERTS)} rules found" in said


@pytest.mark.parametrize("name", TESTS)
def test_each_alert_fires_when_it_should_and_not_before(name: str) -> None:
    assert "SUCCESS" in promtool("test", "rules", name)


def test_each_alert_has_moments_at_which_it_must_fire_and_at_which_it_must_not() -> None:
    quiet, firing = set(), set()
    for name in TESTS:
        for test in yaml.safe_load((RULES / name).read_text())["tests"]:
            for moment in test["promql_expr_test"]:
                named = set(re.findall(r'alertname="(\w+)"', moment["expr"]))
                (firing if moment["exp_samples"] else quiet).update(named)
    alerts = {alert["alert"] for alert in ALERTS}
    assert firing == alerts
    assert quiet == alerts - {"FramewatchWatchdog"}


def test_each_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names)
    for alert in ALERTS:
        severity = alert["labels"]["severity"]
        assert severity in SEVERITIES or set(re.findall(r"\}\}(\w+)\{\{", severity)) <= SEVERITIES, alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert ("for" in alert) is (alert["alert"] not in AT_ONCE), alert["alert"]


def test_recording_rules_are_named_after_level_metric_and_operation() -> None:
    names = [rule["record"] for rule in rules("framewatch-rules.yml", "record")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"camera:framewatch_\w+:\w+", name) for name in names)


def amtool(*arguments: str) -> str:
    tool = program("prometheus-alertmanager", "amtool")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_alertmanager_can_read_the_example() -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=FramewatchAlarmOpen", "priority=critical", "severity=critical"), "operator"),
        (("alertname=FramewatchAlarmOpen", "priority=high", "severity=warning"), "operator"),
        (("alertname=FramewatchBlind", "severity=critical"), "on-call"),
        (("alertname=FramewatchStale", "severity=warning"), "shift"),
        (("alertname=FramewatchCalibrationOld", "severity=info"), "engineers"),
        (("alertname=FramewatchWatchdog", "severity=none"), "dead-mans-switch"),
    ],
)
def test_alerts_go_to_who_is_to_act(labels: tuple[str, ...], receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels) == receiver


def test_the_example_inhibits_no_alert_that_does_not_exist() -> None:
    known = {alert["alert"] for alert in ALERTS}
    named = set(re.findall(r"Framewatch\w+", ALERTMANAGER.read_text()))
    assert named <= known


INHIBIT = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]


def fits(matchers: list[str], name: str) -> bool:
    """Whether an alert of this *name* fits all *matchers*, as Alertmanager has it: a pattern is of the whole name."""
    for matcher in matchers:
        found = re.fullmatch(r'alertname(=~|!=|=)"(.*)"', matcher)
        assert found is not None, matcher
        how, said = found.groups()
        if not {"=~": bool(re.fullmatch(said, name)), "!=": said != name, "=": said == name}[how]:
            return False
    return True


@pytest.mark.parametrize(
    ("source", "targets"),
    [
        ("FramewatchNotScraped", {alert["alert"] for alert in ALERTS} - {"FramewatchNotScraped"}),
        ("FramewatchBlind", {"FramewatchCoverageLow", "FramewatchFramesLost", "FramewatchPermitWithheld"}),
        ("FramewatchUncalibrated", {"FramewatchCoverageLow", "FramewatchPermitWithheld"}),
        ("FramewatchSinkCircuitOpen", {"FramewatchSinkFailing", "FramewatchSinkPending"}),
        ("FramewatchStale", set()),
    ],
)
def test_what_follows_from_something_graver_is_inhibited(source: str, targets: set[str]) -> None:
    rules_of_it = [rule for rule in INHIBIT if fits(rule["source_matchers"], source)]
    names = [alert["alert"] for alert in ALERTS]
    assert {name for name in names for rule in rules_of_it if fits(rule["target_matchers"], name)} == targets
    assert all({"job", "instance"} <= set(rule["equal"]) for rule in rules_of_it)
