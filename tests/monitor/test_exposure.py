"""What other machines could reach without a key or a token is refused, unless it is meant."""

import msgspec
import pytest

from monitor import exposure
from monitor.config import Config, Http, Input, Outputs, Security
from monitor.yamlfile import ConfigError

KEYED = Security(secret="s", clients="c")


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.9.1:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://lo:5555", True),
        ("tcp://[::1]:5555", True),
        ("ipc:///run/camera", True),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://10.0.0.7:5555", False),
        ("tcp://127.0.0.1.example.org:5555", False),
    ],
)
def test_an_address_is_local_where_only_this_machine_reaches_it(endpoint: str, local: bool) -> None:
    assert exposure.is_local(endpoint) is local


WIDE = {
    "input.endpoint": Config(input=Input(endpoint="tcp://*:5555", bind=True)),
    "outputs.alarms": Config(outputs=Outputs(alarms="tcp://0.0.0.0:5571")),
    "outputs.permit": Config(outputs=Outputs(permit="tcp://10.0.0.7:5572")),
    "outputs.snapshot": Config(outputs=Outputs(snapshot="tcp://*:5573")),
    "http.host": Config(http=Http(host="0.0.0.0")),
}


@pytest.mark.parametrize("key", WIDE)
def test_an_open_door_is_refused_in_one_line_that_names_its_key_and_the_remedy(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        exposure.refuse(WIDE[key], "framewatch.yaml")
    line = str(caught.value)
    assert line.startswith(f"framewatch.yaml: {key}: ")
    assert "framewatch keys" in line
    assert "security.insecure: true" in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("key", WIDE)
def test_it_is_taken_with_a_lock_or_where_it_is_meant(key: str) -> None:
    lock = {"http": Http(host="0.0.0.0", token_file="t")} if key == "http.host" else {"security": KEYED}
    exposure.refuse(msgspec.structs.replace(WIDE[key], **lock), "f")
    exposure.refuse(msgspec.structs.replace(WIDE[key], security=Security(insecure=True)), "f")


def test_a_camera_that_the_daemon_connects_to_is_no_door() -> None:
    exposure.refuse(Config(input=Input(endpoint="tcp://10.0.0.7:5555")), "f")


def test_the_defaults_are_shut() -> None:
    assert list(exposure.exposed(Config())) == []


def test_a_camera_of_ours_is_held_to_the_same() -> None:
    exposure.refuse_camera("tcp://127.0.0.1:0", keyed=False, insecure=False)
    exposure.refuse_camera("tcp://*:0", keyed=True, insecure=False)
    exposure.refuse_camera("tcp://*:0", keyed=False, insecure=True)
    with pytest.raises(ConfigError, match=r"^--endpoint: tcp://\*:0 can be reached .* or say --insecure$"):
        exposure.refuse_camera("tcp://*:0", keyed=False, insecure=False)


def test_one_address_is_held_to_the_same() -> None:
    exposure.refuse_bind("--endpoint", "tcp://127.0.0.1:5555", Security())
    exposure.refuse_bind("--endpoint", "tcp://*:5555", KEYED)
    with pytest.raises(ConfigError, match=r"^--endpoint: tcp://\*:5555 can be reached"):
        exposure.refuse_bind("--endpoint", "tcp://*:5555", Security())
