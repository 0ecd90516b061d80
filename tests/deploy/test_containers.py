"""The containers: what can be said of their files without building one. Names that must agree do, commands parse."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import cli, exposure, service
from monitor.config import Config, read

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "containers"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REAL = yaml.safe_load((FOLDER / "compose.camera.yaml").read_text())
FILES = ("Containerfile.cpu", "Containerfile.cuda")

files = pytest.mark.parametrize("name", FILES)


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, its arguments) of a Containerfile, lines joined."""
    lines = [line for line in (FOLDER / name).read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(first, rest) for first, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def said(name: str, instruction: str) -> list[str]:
    return [rest for first, rest in instructions(name) if first == instruction]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    copy = tmp_path / "framewatch.yaml"
    copy.write_text((FOLDER / "framewatch.yaml").read_text())
    return read(copy)


@files
def test_the_base_is_pinned_to_a_patch_release(name: str) -> None:
    [given] = [rest for rest in said(name, "ARG") if rest.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.1[1-3]\.\d+-slim-\w+", given)
    assert {rest.split()[0] for rest in said(name, "FROM")} == {"${PYTHON_IMAGE}"}


@files
def test_it_installs_the_versions_of_the_lock_and_only_what_runs(name: str) -> None:
    installs = " ".join(said(name, "RUN"))
    assert "--constraint requirements.lock '.[mqtt,opcua]'" in installs
    assert "grep '^torch==' requirements.lock" in installs
    assert len(re.findall(r"^torch==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)) == 1
    last = instructions(name)[[first for first, _ in instructions(name)].index("FROM", 2) :]
    assert any("pip uninstall" in rest for _, rest in last), "what installs is not in the image"


@files
def test_it_runs_as_nobody_in_particular_and_says_whether_it_lives(name: str, config: Config) -> None:
    assert said(name, "USER") == ["10001:10001"]
    [check] = said(name, "HEALTHCHECK")
    assert f"http://127.0.0.1:{config.http.port}/healthz" in check
    assert said(name, "EXPOSE") == [str(config.http.port)]
    assert said(name, "ENTRYPOINT") == ['["framewatch"]']
    cli._parser().parse_args(yaml.safe_load(said(name, "CMD")[-1]))


@files
def test_what_it_copies_is_there_and_not_left_out_of_the_context(name: str) -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for rest in said(name, "COPY"):
        if "--from" in rest:
            continue
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists()
            assert source in admitted


def test_both_are_the_same_but_for_what_a_gpu_needs() -> None:
    cpu, cuda = (set(instructions(name)) for name in FILES)
    assert {first for first, _ in cpu - cuda} == {"ENV"}
    assert {first for first, _ in cuda - cpu} == {"ENV", "RUN"}


@pytest.mark.parametrize("name", [name for name, one in SERVICES.items() if "framewatch" in str(one.get("image"))])
def test_commands_are_such_as_the_program_knows(name: str) -> None:
    arguments = SERVICES[name]["command"]
    if arguments:
        cli._parser().parse_args(arguments)
    else:
        assert "prepare.sh" in SERVICES[name]["entrypoint"][-1]


def test_what_prepares_calls_the_program_as_it_is() -> None:
    lines = [line.strip() for line in (FOLDER / "prepare.sh").read_text().splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("framewatch ")]
    assert [command[0] for command in commands] == ["keys", "calibrate"]
    for command in commands:
        cli._parser().parse_args(command)


def test_the_daemon_of_the_composition_starts_as_configured(config: Config) -> None:
    exposure.refuse(config, "framewatch.yaml")
    for path in (config.bundle, config.journal, config.http.token_file):
        assert path is not None
        assert path.startswith("/var/lib/framewatch/")


def test_cameras_speak_where_and_as_they_are_listened_to(config: Config) -> None:
    host, port = config.input.endpoint.removeprefix("tcp://").split(":")
    for name in (host, "practice"):
        given = cli._parser().parse_args(SERVICES[name]["command"])
        assert (given.camera, given.rate) == (config.camera, config.input.rate_hz)
        assert given.endpoint == f"tcp://0.0.0.0:{port}"
    assert f"--endpoint tcp://practice:{port} --camera {config.camera}" in (FOLDER / "prepare.sh").read_text()


@pytest.mark.parametrize("composition", [COMPOSE, REAL], ids=["simulated", "real"])
def test_every_mounted_file_is_there_and_every_name_stands_for_something(composition: dict[str, Any]) -> None:
    services = composition["services"]
    for name, one in services.items():
        for mount in one.get("volumes", []):
            source = mount.replace("${FRAMEWATCH_CONFIG:-./framewatch.yaml}", "./framewatch.yaml").split(":")[0]
            assert source in composition["volumes"] or (FOLDER / source).exists(), f"{name}: {mount}"
        assert set(one["networks"]) <= set(composition["networks"])
        assert set(one.get("depends_on", [])) <= set(services)
        assert ":" in one["image"], "an image without a tag is another one tomorrow"


def test_the_composition_of_a_real_camera_is_the_other_without_the_simulation() -> None:
    simulated = {"practice", "prepare", "camera"}
    assert set(REAL["services"]) == set(SERVICES) - simulated
    for name, one in REAL["services"].items():
        differs = {key for key in {*one, *SERVICES[name]} if one.get(key) != SERVICES[name].get(key)}
        assert differs == ({"depends_on", "networks", "volumes"} if name == "daemon" else set()), name
    theirs, ours = SERVICES["daemon"]["volumes"], REAL["services"]["daemon"]["volumes"]
    assert [one.replace("${FRAMEWATCH_CONFIG:-./framewatch.yaml}", "./framewatch.yaml") for one in ours] == theirs
    assert set(SERVICES["daemon"]["depends_on"]) <= simulated


def test_a_real_camera_finds_nothing_of_what_was_simulated() -> None:
    names = {COMPOSE["name"], REAL["name"]}
    assert len(names) == 2, "one project has one volume of a name"
    for composition in (COMPOSE, REAL):
        assert all(not volume for volume in composition["volumes"].values()), "named by the project alone"
    page = (ROOT / "docs" / "deploy.md").read_text()
    for volume in REAL["volumes"]:
        assert f"| `{volume}` | `{COMPOSE['name']}_{volume}` | `{REAL['name']}_{volume}` |" in page


def test_a_daemon_in_a_container_has_as_long_to_stop_as_it_may_take(config: Config) -> None:
    stop_s = config.drain_s + 10.0 + service.RECORDER_STOP_S + service.SIDE_STOP_S
    assert float(SERVICES["daemon"]["stop_grace_period"].removesuffix("s")) > stop_s


def test_ports_are_published_on_loopback_alone() -> None:
    for one in SERVICES.values():
        for port in one.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_prometheus_is_configured_as_beside_a_daemon_but_for_addresses(config: Config) -> None:
    here = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    there = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    [scraped] = here["scrape_configs"][0]["static_configs"]
    [told] = here["alerting"]["alertmanagers"][0]["static_configs"]
    assert scraped["targets"] == [f"daemon:{config.http.port}"]
    assert told["targets"][0].split(":")[0] in SERVICES
    here["scrape_configs"][0]["static_configs"] = there["scrape_configs"][0]["static_configs"]
    here["alerting"] = there["alerting"]
    assert here == there


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    grafana = SERVICES["grafana"]
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/framewatch.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"../grafana/dashboards:{path}:ro" in grafana["volumes"]
    assert grafana["environment"]["FRAMEWATCH_PROMETHEUS_URL"] == "http://prometheus:9090"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "deploy/grafana/dashboards" / Path(home).name).exists()
    assert Path(home).parent == Path(path)
