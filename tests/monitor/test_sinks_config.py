"""What the section `sinks:` may say, and what becomes of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from sink_examples import some_alarm
from test_config import refusal, written

from monitor.alarms.alarm import SOURCE_PRIORITIES
from monitor.config import read
from monitor.sinks import build
from monitor.sinks.build import Filter, group_of, routes
from monitor.sinks.config import Webhook
from monitor.sinks.sink import SinkError

WHOLE = """
sinks:
  webhooks: [{name: office, url: 'https://example.org/a?b=c', secret_file: keys/secret, max_age_s: 60}]
  mqtt: [{name: hall, host: broker, user: me, password_file: keys/password, tls: {ca_file: ca.pem}}]
  commands: [{name: pager, command: [bin/page, relative/argument]}, {name: mail, command: [sh]}]
"""


def test_paths_of_sinks_are_relative_to_the_file_and_arguments_are_left_alone(tmp_path: Path) -> None:
    found = read(written(tmp_path, WHOLE)).sinks
    assert found.webhooks[0].secret_file == str(tmp_path / "keys/secret")
    assert found.webhooks[0].ca_file is None
    assert found.mqtt[0].password_file == str(tmp_path / "keys/password")
    assert found.mqtt[0].tls is not None
    assert found.mqtt[0].tls.ca_file == str(tmp_path / "ca.pem")
    assert [one.command for one in found.commands] == [(str(tmp_path / "bin/page"), "relative/argument"), ("sh",)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{webhok: []}", "sinks.webhok: unknown key; did you mean 'webhooks'?"),
        ("{webhooks: [{name: a, urll: 'http://x'}]}", "sinks.webhooks[0].urll: unknown key; did you mean 'url'?"),
        ("{mqtt: [{name: a, host: h, tls: {ca: x}}]}", "sinks.mqtt[0].tls.ca: unknown key; known here: ca_file"),
        ("{webhooks: [{url: 'http://x'}]}", "sinks.webhooks[0]: Object missing required field `name`"),
        ("{webhooks: [{name: a b, url: 'http://x'}]}", "sinks.webhooks[0].name: must be a name of 1 to 32 of"),
        ("{webhooks: [{name: a, url: 'ftp://x'}]}", "sinks.webhooks[0].url: must be an address such as https://host"),
        ("{webhooks: [{name: a, url: 'http://u:p@x/'}]}", "sinks.webhooks[0].url: must be an address such as"),
        ("{mqtt: [{name: a, host: h, prefix: a/+}]}", "sinks.mqtt[0].prefix: must be a topic such as"),
        ("{mqtt: [{name: a, host: h, prefix: a/}]}", "sinks.mqtt[0].prefix: must be a topic such as"),
        ("{mqtt: [{name: a, host: h, password_file: p}]}", "sinks.mqtt[0]: password_file needs user"),
        ("{commands: [{name: a, command: ls -l}]}", "sinks.commands[0].command: Expected `array`, got `str`"),
        ("{commands: [{name: a, command: []}]}", "sinks.commands[0].command: Expected `array` of length >= 1"),
        ("{commands: [{name: a, command: [x], sources: [t2]}]}", "sinks.commands[0].sources[0]: Invalid enum value"),
        (
            "{commands: [{name: a, command: [x]}], webhooks: [{name: a, url: 'http://x'}]}",
            "sinks: two sinks are called",
        ),
    ],
)
def test_what_is_wrong_with_a_sink_is_told_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    assert refusal(tmp_path, f"sinks: {text}").startswith(says)


def test_every_sink_of_the_configuration_is_built(tmp_path: Path) -> None:
    text = "sinks: {webhooks: [{name: a, url: 'http://x', max_age_s: 60}], mqtt: [{name: b, host: h}], " + (
        "commands: [{name: c, command: [sh]}]}"
    )
    found = routes(read(written(tmp_path, text)).sinks, "melt")
    assert [one.sink.name for one in found] == ["a", "b", "c"]
    assert [one.policy.max_age_s for one in found] == [60.0, 86_400.0, 86_400.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{webhooks: [{name: a, url: 'http://x', secret_file: s}]}", "sinks.webhooks 'a': secret_file: "),
        ("{webhooks: [{name: a, url: 'http://x:port/'}]}", "sinks.webhooks 'a': url: "),
        ("{mqtt: [{name: a, host: h, user: u, password_file: p}]}", "sinks.mqtt 'a': password_file: "),
        ("{mqtt: [{name: a, host: h, tls: {ca_file: c}}]}", "sinks.mqtt 'a': tls.ca_file: "),
        ("{mqtt: [{name: a, host: h, tls: {cert_file: c}}]}", "sinks.mqtt 'a': tls.cert_file: "),
        ("{commands: [{name: a, command: [./none]}]}", "sinks.commands 'a': command: "),
    ],
)
def test_what_is_not_there_is_told_in_one_line_at_start(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SinkError) as caught:
        routes(read(written(tmp_path, f"sinks: {text}")).sinks, "melt")
    assert str(caught.value).startswith(says)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_extra_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _name: None)
    config = read(written(tmp_path, "sinks: {mqtt: [{name: hall, host: h}]}"))
    with pytest.raises(SinkError, match=r"^sinks\.mqtt 'hall': needs aiomqtt; install it with pip install"):
        routes(config.sinks, "melt")


def test_without_sinks_no_library_of_theirs_is_loaded() -> None:
    script = (
        "import sys; from monitor.sinks.build import routes; from monitor.sinks.config import Sinks\n"
        "routes(Sinks(), 'melt'); print(sorted({'httpx', 'aiomqtt', 'paho', 'torch'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "source", "priority", "wanted"),
    [
        ({}, "t2", "low", True),
        ({"min_priority": "high"}, "t2", "medium", False),
        ({"min_priority": "high"}, "t2", "critical", True),
        ({"sources": ("charts",)}, "mewma", "low", True),
        ({"sources": ("charts",)}, "exceedance_rate", "low", False),
        ({"sources": ("rates", "service")}, "exceedance_rate", "low", True),
        ({"sources": ("camera", "blind")}, "frozen", "low", True),
        ({"sources": ("camera", "blind")}, "blind", "low", True),
        ({"sources": ("camera", "blind")}, "stale", "low", False),
        ({"sources": ()}, "t2", "critical", False),
    ],
)
def test_a_sink_gets_what_it_asks_for(options: dict[str, object], source: str, priority: str, wanted: bool) -> None:
    chosen = Filter(Webhook(name="a", url="http://x", **options))
    assert chosen(some_alarm(source=source, priority=priority)) == wanted


def test_every_source_is_in_one_group() -> None:
    groups = {source: group_of(source) for source in ("t2", "exceedance_rate", *SOURCE_PRIORITIES)}
    assert set(groups.values()) == {"charts", "rates", "camera", "service"}
    assert [source for source, group in groups.items() if group == "camera"] == [
        "frozen",
        "saturated",
        "dark",
        "rows_missing",
    ]
    assert groups["stop"] == "charts"
