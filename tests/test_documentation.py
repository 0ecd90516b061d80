"""What the documents say is held against the program."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
import yaml
import zmq
from daemon_example import record, some_config, some_orders
from side_example import Side

from monitor import cli
from monitor.alarms.alarm import SOURCES
from monitor.camera.meltpool import anomalies
from monitor.camera.stem import defects, diffraction
from monitor.config import Config, read
from monitor.sinks.opcua.settings import Opcua
from monitor.wire.native import WireLimits, decode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def keys_of(struct: msgspec.Struct, above: str = "") -> set[str]:
    found = set()
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        found |= keys_of(value, f"{above}{name}.") if isinstance(value, msgspec.Struct) else {above + name}
    return found


BY_NAME = {"opcua", "permit.back", "permit.fall", "alarms.priorities.kinds"} | {
    f"alarms.{key}" for key in ("on_delay_s", "off_delay_s", "suppress")
}
"""Keys that hold a mapping of their own."""


def flat(document: dict[str, object], above: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in document.items():
        whole = above + name
        found |= flat(value, f"{whole}.") if isinstance(value, dict) and whole not in BY_NAME else {whole}
    return found


def test_the_example_configuration_is_the_defaults(tmp_path: Path) -> None:
    example = ROOT / "deploy" / "framewatch.yaml"
    empty = ROOT / "deploy" / "nothing.yaml"
    copy = tmp_path / "framewatch.yaml"
    copy.write_text(example.read_text())
    nothing = tmp_path / empty.name
    nothing.write_text("")
    assert read(copy) == read(nothing)


def test_the_example_configuration_names_every_key() -> None:
    text = (ROOT / "deploy" / "framewatch.yaml").read_text()
    optional = (
        "opcua|bundle|calibration_expires_days|idle_release_s|critical_ratio|stem_px|group|tile_px|"
        "token_file|secret|clients|camera_key|false_stops_per_hour|embedding"
    )
    uncommented = re.sub(rf"^( *)# ({optional}):", r"\1\2:", text, flags=re.MULTILINE)
    assert flat(yaml.safe_load(uncommented)) == keys_of(Config())


def test_the_example_configuration_names_every_key_of_each_sink(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "framewatch.yaml").read_text()
    before, section, after = text.partition("\nsinks:")
    uncommented = before + section + re.sub(r"^  #  ", "     ", after.replace(": []", ":  "), flags=re.MULTILINE)
    copy = tmp_path / "framewatch.yaml"
    copy.write_text(uncommented)
    named = yaml.safe_load(uncommented)["sinks"]
    found = read(copy).sinks
    for kind in found.__struct_fields__:
        [sink] = getattr(found, kind)
        assert flat(named[kind][0]) == keys_of(sink), kind


def test_the_example_configuration_has_an_opc_ua_server_when_it_is_written_as_it_says(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "framewatch.yaml").read_text()
    before, found, rest = text.partition("# opcua: {} ")
    section, end, after = rest.partition("\n\n")
    assert "To have it, take off the sign; to change its keys {} too, and the signs before those" in section
    copy = tmp_path / "framewatch.yaml"
    copy.write_text(before + found.removeprefix("# ") + rest)
    assert read(copy).opcua == Opcua()
    copy.write_text(f"{before}opcua:" + re.sub("^#  ", "  ", section, flags=re.MULTILINE) + end + after)
    changed = read(copy).opcua
    assert changed is not None
    assert changed.certificate == str(tmp_path / "opcua.pem")


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"framewatch (\w+)", README))
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    known = {
        "demo",
        "calibrate",
        "score",
        "evaluate",
        "replay",
        "simulate",
        "run",
        "doctor",
        "bench",
        "keys",
        "recordings",
        "taxonomy",
    }
    assert named & known == known
    for command in known:
        with pytest.raises(SystemExit) as done:
            cli.main([command, "--help"])
        assert done.value.code == 0


def test_the_path_to_an_own_camera_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    section = README.partition("## From the demonstration to your own camera")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    ours = [words[1:] for words in lines if words and words[0] == "framewatch"]
    names = [words[0] for words in ours]
    for name in ("simulate", "keys", "calibrate", "doctor", "run", "alarms", "recordings", "score", "replay"):
        assert name in names
    (text,) = re.findall(r"<<'END'\n(.*?)END\n", section, flags=re.DOTALL)
    (tmp_path / "framewatch.yaml").write_text(text)
    config = read(tmp_path / "framewatch.yaml")
    for words in ours:
        given = cli._parser().parse_args(words)
        if getattr(given, "camera", None) is not None:
            assert (given.camera, given.endpoint) == (config.camera, config.input.endpoint), words
        if words[0] == "simulate":
            assert given.rate == config.input.rate_hz


def test_every_picture_of_the_readme_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert [Path(one).name for one in pictures] == ["page.png", "report.png", "dashboards.png"]
    assert all((ROOT / one).exists() for one in pictures)


def test_the_camera_of_the_readme_speaks_the_protocol(tmp_path: Path) -> None:
    """The ten lines are run as they stand, but for the endless loop and the address."""
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    endpoint = f"ipc://{tmp_path}/camera"
    script = block.replace("tcp://127.0.0.1:5555", endpoint).replace("while True:", "for _ in range(1000):")
    assert script != block
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = context.socket(zmq.SUB)
    listener.subscribe(b"")
    listener.connect(endpoint)
    with subprocess.Popen([sys.executable, "-c", script], env={**os.environ}) as camera:
        try:
            assert listener.poll(20_000), "nothing came"
            message = decode(listener.recv_multipart(), WireLimits())
            follower = decode(listener.recv_multipart(), WireLimits())
        finally:
            camera.kill()
    context.destroy(linger=0)
    assert message.header.count == 1
    assert follower.header.seq == message.header.seq + 1
    assert follower.header.stream == message.header.stream


def test_the_subscriber_of_the_page_about_alarms_knows_what_is_open_before_and_after_a_restart(tmp_path: Path) -> None:
    """The client is run as it stands, but for its addresses, the camera's name, and that it prints what it knows."""
    config = some_config(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alarms.md").read_text(), flags=re.DOTALL)
    for ours, theirs in (
        ("tcp://127.0.0.1:5571", config.outputs.alarms),
        ("tcp://127.0.0.1:5573", str(config.outputs.snapshot)),
        ("alarm.camera", f"alarm.{config.camera}"),
        ("while True:", "while not print([(one['rev'], one['state']) for one in table.values()], flush=True):"),
    ):
        assert ours in block
        block = block.replace(ours, theirs)
    with (
        some_orders(config) as (given, memory),
        contextlib.closing(Side(given, memory)) as side,
        subprocess.Popen([sys.executable, "-c", block], stdout=subprocess.PIPE) as client,
    ):
        assert client.stdout is not None
        too_long = threading.Timer(60.0, client.kill)
        too_long.start()

        def knows(*alarms: tuple[int, str]) -> bool:
            return any(line.decode() == f"{[*alarms]}\n" for line in client.stdout)

        try:
            side.start()
            side.tell(record("began", event=1))
            assert knows((1, "active"))
            side.kill()
            side.tell(record("ended", event=1, last_seq=20))
            side.start()
            assert knows((2, "cleared"))
            side.tell(record("began", event=2, source="frozen"))
            assert knows((2, "cleared"), (1, "active"))
        finally:
            too_long.cancel()
            client.kill()


def test_no_document_names_what_is_not_there() -> None:
    for document in (
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/alarms.md",
        "docs/cameras.md",
        "docs/deploy.md",
        "docs/runbook.md",
        "docs/recorder.md",
        "docs/sinks.md",
        "docs/taxonomy_compare.md",
        "docs/taxonomy_running.md",
    ):
        text = (ROOT / document).read_text()
        for name in re.findall(r"`((?:monitor|models|calibration|tests|deploy)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{document} names {name}"


def files_named(document: str) -> set[str]:
    """Paths that *document* names whole, or by a bare name on a line that names something of the same folder."""
    found = set()
    for line in document.splitlines():
        paths = re.findall(r"`((?:monitor|models|calibration)/[\w./]*)`", line)
        folders = {path if path.endswith("/") else path.rpartition("/")[0] + "/" for path in paths}
        names = re.findall(r"`(\w+\.(?:py|js|css|html))`", line)
        found |= {*paths, *(folder + name for folder in folders for name in names)}
    return found


def test_a_newcomer_finds_every_file_of_the_program_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert "a `config.py` in folders that have a section" in text
    files = {
        path.relative_to(ROOT).as_posix()
        for room in ("monitor", "models", "calibration")
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".js", ".css", ".html"} and path.name not in {"__init__.py", "config.py"}
    }
    assert len(files) > 200
    assert not sorted(files - files_named(text))


def test_a_bare_name_is_that_of_a_file_in_a_folder_of_its_own_line() -> None:
    text = "| a | `monitor/web/`: `page.py`, not `models/x.py` |\n| b | `draw.py` |\n"
    assert files_named(text) == {"monitor/web/", "monitor/web/page.py", "models/x.py", "models/page.py"}


def test_the_readme_leads_to_every_document() -> None:
    documents = README.partition("\n## Documents\n")[2]
    linked = set(re.findall(r"\]\(docs/(\w+\.md)\)", documents))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_the_readme_explains_every_source_of_an_alarm() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| the next word |"))
    rest = [line for line in README.splitlines() if re.match(r"\| `\w+` \| ", line)]
    explained = set(re.findall(r"`(\w+)`", row)) | {line.split("`")[1] for line in rest}
    assert set(SOURCES) <= explained


def test_the_page_about_cameras_tells_how_long_each_anomaly_lasts_and_shows_its_pictures() -> None:
    text = (ROOT / "docs" / "cameras.md").read_text()
    for durations in (anomalies.DURATIONS_FRAMES, defects.DURATIONS_FRAMES, diffraction.DURATIONS_FRAMES):
        for kind, (shortest, longest) in durations.items():
            assert re.search(rf"^\| `{kind}` .* \| {shortest} to {longest} \|$", text, flags=re.MULTILINE), kind
    pictures = re.findall(r"\]\((pictures/[\w.]+)\)", text)
    assert len(pictures) == 3
    assert all((ROOT / "docs" / picture).exists() for picture in pictures)
