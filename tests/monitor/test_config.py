"""The file becomes frozen values; whatever is wrong in it is told in one line that names the file and the key."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config, Events, Permit, read
from monitor.types import State
from monitor.yamlfile import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "framewatch.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert len(line.splitlines()) == 1
    return line.removeprefix(f"{path}: ")


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    found = read(written(tmp_path, ""))
    assert msgspec.structs.replace(found, journal=Config().journal) == Config()


def test_values_reach_their_sections(tmp_path: Path) -> None:
    found = read(
        written(
            tmp_path,
            "camera: laser-1\n"
            "input: {endpoint: 'tcp://10.0.0.7:6000', socket: pull, bind: true, rate_hz: 1e4}\n"
            "events: {k: 2, n: 3}\n"
            "permit: {mode: interlock, withhold_states: [blind, stopping], withhold_priorities: []}\n"
            "calibration_expires_days: 30\n",
        )
    )
    assert found.camera == "laser-1"
    assert (found.input.endpoint, found.input.socket, found.input.bind) == ("tcp://10.0.0.7:6000", "pull", True)
    assert found.input.rate_hz == 10_000.0
    assert found.events == Events(k=2, n=3, clear_frames="auto")
    assert found.permit.withhold_states == (State.BLIND, State.STOPPING)
    assert found.permit.withhold_priorities == ()
    assert found.calibration_expires_days == 30


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    found = read(written(folder, "bundle: ../bundles/steel\njournal: alarms.db\n"))
    assert Path(found.journal) == folder / "alarms.db"
    assert found.bundle is not None
    assert Path(found.bundle).resolve() == tmp_path / "bundles" / "steel"


def test_paths_of_keys_and_of_the_token_are_relative_to_the_file_too(tmp_path: Path) -> None:
    text = "security: {secret: k/own.secret, clients: k, camera_key: /c.public}\nhttp: {token_file: token}\n"
    found = read(written(tmp_path, text))
    kept = found.security
    assert (kept.secret, kept.clients, kept.camera_key) == (f"{tmp_path}/k/own.secret", f"{tmp_path}/k", "/c.public")
    assert found.http.token_file == f"{tmp_path}/token"


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    found = read(written(tmp_path, "bundle: /srv/bundle\njournal: /var/lib/alarms.db\n"))
    assert (found.bundle, found.journal) == ("/srv/bundle", "/var/lib/alarms.db")


def test_values_are_frozen(tmp_path: Path) -> None:
    found: Any = read(written(tmp_path, ""))
    with pytest.raises(AttributeError):
        found.camera = "other"
    with pytest.raises(AttributeError):
        found.input.rate_hz = 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("camra: melt", "camra: unknown key; did you mean 'camera'?"),
        ("input: {rate: 5}", "input.rate: unknown key; did you mean 'rate_hz'?"),
        ("engine: {zzz: 5}", "engine.zzz: unknown key; known here: batch, max_wait_ms, threads, device"),
        ('"new\\nline": 1', "new line: unknown key"),
        ("input: {rate_hz: fast}", "input.rate_hz: Expected `float`, got `str`"),
        ("input: {rate_hz: 0}", "input.rate_hz: Expected `float` > 0.0"),
        ("input: {rate_hz: 1e300}", "input.rate_hz: Expected `float` <= 1"),
        ("input: {buffer_s: 1e300}", "input.buffer_s: Expected `float` <= 3600"),
        ("input: {bind: on}", "input.bind: Expected `bool`, got `str`"),
        ("input: {bind: 1}", "input.bind: Expected `bool`, got `int`"),
        ("input: {socket: dealer}", "input.socket: Invalid enum value 'dealer'"),
        ("input: [1]", "input: Expected `object`, got `array`"),
        ("input:", "input: Expected `object`, got `null`"),
        ("engine: {batch: 2.5}", "engine.batch: Expected `int`, got `float`"),
        ("engine: {batch: 99999999999999999999}", "engine.batch: "),
        ("engine: {device: tpu}", "engine.device: must be cpu, cuda or cuda:N"),
        ("camera: two words", "camera: must be a name of 1 to 64 of A-Z a-z 0-9 . _ -"),
        ("camera: ''", "camera: must be a name"),
        ('camera: "melt\\n"', "camera: must be a name"),
        ("camera: 7", "camera: Expected `str`, got `int`"),
        ("events: {k: 6}", "events: k is 6 but n is only 5"),
        ("permit: {ttl_ms: 150}", "permit: ttl_ms is 150 but must be at least twice period_ms (100)"),
        ("permit: {withhold_states: [tired]}", "permit.withhold_states[0]: Invalid enum value 'tired'"),
        ("permit: {quiet_s: -1}", "permit.quiet_s: Expected `float` >= 0.0"),
        ("http: {port: 65536}", "http.port: Expected `int` <= 65535"),
        ("calibration: {false_alarm_rate: 0.5}", "calibration.false_alarm_rate: Expected `float` <= 0.1"),
        ("calibration: {held_out: 1}", "calibration.held_out: Expected `float` < 1.0"),
        ("calibration: {stop_k: 9}", "calibration: stop_k is 9 but stop_n is only 8"),
        (
            "calibration: {false_stops_per_hour: 2}",
            "calibration: false_stops_per_hour is 2, false_alarms_per_hour 1: a machine is to stop no more often than",
        ),
        (
            "calibration: {false_stops_per_hour: 2, false_alarms_per_hour: null}",
            "calibration: false_stops_per_hour is 2, false_alarms_per_hour null",
        ),
        ("permit: {back: {stop: quiet}}", "permit.back[...]: Invalid enum value 'quiet'"),
        ("security: {secrets: a}", "security.secrets: unknown key; did you mean 'secret'?"),
        ("security: {insecure: 1}", "security.insecure: Expected `bool`, got `int`"),
        ("security: {clients: c}", "security: clients and camera_key need secret, the daemon's own key"),
        ("security: {secret: s}", "security: secret needs clients (who may connect) or camera_key"),
        (
            "input: {bind: true}\nsecurity: {secret: s, camera_key: k}",
            "security.camera_key is for a camera that the daemon connects to",
        ),
        ("calibration_expires_days: 0", "calibration_expires_days: Expected `float` > 0.0"),
        (
            "outputs: {alarms: 'tcp://127.0.0.1:5555'}",
            "input.endpoint, outputs.alarms, outputs.permit and outputs.snapshot must differ",
        ),
        ("outputs: {snapshot: 'tcp://127.0.0.1:5572'}", "input.endpoint, outputs.alarms, outputs.permit and outputs."),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    assert refusal(tmp_path, text).startswith(says)


def test_there_may_be_no_snapshot_socket(tmp_path: Path) -> None:
    outputs = read(written(tmp_path, "outputs: {snapshot: null}")).outputs
    assert list(outputs.bound) == ["outputs.alarms", "outputs.permit"]


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5555", "tcp://*:1", "tcp://cam.local:65535", "tcp://[::1]:80", "ipc:///run/camera"]
)
def test_endpoints_that_zeromq_knows_are_taken(tmp_path: Path, endpoint: str) -> None:
    assert read(written(tmp_path, f"input: {{endpoint: '{endpoint}'}}")).input.endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:5555",
        "http://127.0.0.1:80",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:port",
        "tcp://:5555",
        "tcp://a b:5555",
        "tcp://::1:80",
        "ipc://",
        "inproc://camera",
    ],
)
def test_a_malformed_endpoint_is_told_how_one_looks(tmp_path: Path, endpoint: str) -> None:
    said = refusal(tmp_path, f"input: {{endpoint: '{endpoint}'}}")
    assert said == "input.endpoint: must be an address such as tcp://127.0.0.1:5555 or ipc:///run/camera"


def test_a_file_nested_too_deep_is_refused(tmp_path: Path) -> None:
    assert "nested too deep" in refusal(tmp_path, "camera: " + "{a: " * 4000)


def test_the_defaults_keep_their_own_rules() -> None:
    assert Permit().ttl_ms >= 2 * Permit().period_ms
    assert State.OK not in Permit().withhold_states
    assert State.IDLE not in Permit().withhold_states


KEYS = [
    *Config().__struct_fields__,
    *(
        f"{section}.{key}"
        for section in ("input", "engine", "permit", "security")
        for key in getattr(Config(), section).__struct_fields__
    ),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_of_any_key_gives_a_configuration_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    section, _, name = key.rpartition(".")
    document = {section: {name: value}} if section else {name: value}
    path = written(tmp_path_factory.getbasetemp(), yaml.safe_dump(document, allow_unicode=False))
    try:
        found = read(path)
    except ConfigError as error:
        said = str(error)
    else:
        assert isinstance(found, Config)
        return
    assert said.startswith(f"{path}: ")
    assert len(said.splitlines()) == 1
