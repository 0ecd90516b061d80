"""A real Prometheus scrapes a running daemon: every rule gets an answer, and every panel of the dashboards data."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from budget import EVENTS, RATE_HZ, with_stops
from daemon import CAMERA, Camera, Daemon, Stream
from daemon_example import free_port
from dashboards import OF_PROMETHEUS, Query, filled_in, metrics_of, queries
from frames import normal, with_spot
from programs import program
from prometheus import RULES, Prometheus
from receivers import Receiver

from monitor.bundle import Bundle

WINDOW = "10s"  # for $__rate_interval


class Hall(NamedTuple):
    """A daemon at work and the Prometheus that watches it."""

    daemon: Daemon
    prometheus: Prometheus


@pytest.fixture(scope="module")
def hall(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """Every part that has metrics is there: budgets of alarms and of stops, a webhook, an OPC UA server."""
    program("prometheus", "prometheus")  # before anything is made for it
    folder = tmp_path_factory.mktemp("hall")
    # Every second a bright spot, which is an event and a stop: alarms come and go, and the permit falls.
    cycle = np.concatenate([normal(90, 70), with_spot(normal(10, 71))])
    with Receiver(free_port()) as office:
        sections = {
            "events": {"k": EVENTS.k, "n": EVENTS.n},
            "input": {"rate_hz": RATE_HZ},
            "permit": {"quiet_s": 0.0},
            "sinks": {"webhooks": [{"name": "office", "url": office.url}]},
            "opcua": {"port": free_port()},
        }
        bundle = with_stops(small_bundle, folder / "bundle", 2.0)
        with (
            Daemon(folder, bundle.path, **sections) as daemon,
            Prometheus(folder, daemon.url.removeprefix("http://")) as prometheus,
            Camera(daemon.endpoint) as camera,
        ):
            daemon.wait_until_listening()
            daemon.wait_until(prometheus.is_ready, "Prometheus")
            with Stream(camera, cycle, RATE_HZ, 1):
                daemon.wait_until(lambda: bool(daemon.raised()), "an alarm")
                yield Hall(daemon, prometheus)


def asked(query: Query) -> str:
    return filled_in(query.expr, CAMERA, WINDOW)


def test_every_panel_shows_something(hall: Hall) -> None:
    waiting = {asked(query): query for query in queries()}
    assert len(waiting) > 50

    def all_have_answered() -> bool:
        for expr in list(waiting):
            error, series = hall.prometheus.ask(expr)
            assert not error, f"{waiting[expr]}: {error}"
            if any(one["value"][1] != "NaN" for one in series):
                del waiting[expr]
        return not waiting

    try:
        hall.daemon.wait_until(all_have_answered, "data", patience_s=30.0)
    except pytest.fail.Exception:
        pytest.fail("\n".join(f"no data: {query}" for query in waiting.values()))


def test_every_metric_of_a_panel_is_one_that_the_daemon_shows(hall: Hall) -> None:
    shown = {key[0] for key in hall.daemon.metrics()}
    for query in queries():
        assert metrics_of(query.expr) <= shown | OF_PROMETHEUS, query


def test_every_rule_is_loaded_and_evaluates(hall: Hall) -> None:
    expected = set()
    for name in ("framewatch-rules.yml", "framewatch-alerts.yml"):
        for group in yaml.safe_load((RULES / name).read_text())["groups"]:
            expected |= {rule.get("alert") or rule["record"] for rule in group["rules"]}
    hall.daemon.wait_until(lambda: all(rule["health"] == "ok" for rule in hall.prometheus.rules()), "healthy rules")
    loaded = hall.prometheus.rules()
    assert {rule["name"] for rule in loaded} == expected
    for rule in loaded:
        assert not hall.prometheus.ask(rule["query"]).error, rule["name"]


def test_every_recording_rule_gives_a_series(hall: Hall) -> None:
    names = {rule["name"] for rule in hall.prometheus.rules() if rule["type"] == "recording"}
    hall.daemon.wait_until(
        lambda: all(hall.prometheus.ask(name).series for name in names), "series of each rule", patience_s=30.0
    )


def test_the_account_of_frames_has_closed_in_every_scrape(hall: Hall) -> None:
    scrapes = "count_over_time(framewatch_frames_received_total[1h])"
    hall.daemon.wait_until(lambda: float(hall.prometheus.ask(scrapes).series[0]["value"][1]) > 10, "ten scrapes")
    [residual_ever] = hall.prometheus.ask("max_over_time(camera:framewatch_ledger_residual:frames[1h])").series
    assert residual_ever["value"][1] == "0"


def test_of_an_event_an_alert_fires_with_its_camera_and_where_to_read_on(hall: Hall) -> None:
    firing = 'ALERTS{alertname="FramewatchAlarmOpen",alertstate="firing"}'
    hall.daemon.wait_until(lambda: bool(hall.prometheus.ask(firing).series), "an alert")
    alerts = next(rule for rule in hall.prometheus.rules() if rule["name"] == "FramewatchAlarmOpen")
    hall.daemon.wait_until(
        lambda: any(hall.prometheus.ask(f"max_over_time({firing}[1m])").series), "what fired of late"
    )
    [*series] = hall.prometheus.ask(f"max_over_time({firing}[1m])").series
    assert {one["metric"]["camera"] for one in series} == {CAMERA}
    assert alerts["annotations"]["runbook_url"].endswith("#framewatchalarmopen")
