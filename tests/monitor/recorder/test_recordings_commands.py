"""`framewatch recordings`, with a daemon that runs and with one that does not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from daemon_example import some_config, some_orders
from frames import normal, with_spot
from recorder_example import plant
from side_example import Side

from monitor import cli
from monitor.bundle import Bundle
from monitor.config import read
from monitor.recorder.shelf import Shelf
from monitor.web import token


@pytest.fixture
def config(tmp_path: Path) -> Path:
    given = some_config(tmp_path)
    path = tmp_path / "framewatch.yaml"
    token.write(tmp_path / "http.token")
    outputs = {"alarms": given.outputs.alarms, "permit": given.outputs.permit, "snapshot": given.outputs.snapshot}
    document = {
        "camera": given.camera,
        "journal": given.journal,
        "http": {"port": given.http.port, "token_file": "http.token"},
        "outputs": outputs,
        "recorder": {"folder": "kept"},
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def name(config: Path, small_bundle: Bundle) -> str:
    """Of a recording in the folder of that configuration."""
    folder = Path(read(config).recorder.place("x"))
    assert folder == config.parent / "kept"
    with plant(small_bundle, folder) as works:
        works.send(normal(30, 1), context="", job="part 7", layer=3)
        works.send(with_spot(normal(4, 2)), context="", job="part 7", layer=3)
        works.seq += 5
        works.send(normal(40, 3), context="", job="part 7", layer=3)
        (found,) = works.record()
    return found


@pytest.fixture
def side(config: Path) -> Iterator[Side]:
    with some_orders(read(config)) as (given, memory):
        made = Side(given, memory)
        made.start()
        yield made
        made.close()


def run(config: Path, *arguments: str) -> int:
    command, *rest = arguments
    return cli.main(["recordings", command, *rest, "--config", str(config)])


def test_the_list_says_what_there_is(config: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "list", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["job"], found["layer"], found["gaps"]) == (name, "part 7", 3, 1)
    assert run(config, "list") == 0
    assert name in capsys.readouterr().out


def test_one_is_shown_with_its_events_and_what_is_missing(
    config: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "show", name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [gap["why"] for gap in found["tables"]["gaps"]] == ["not_in_ring"]
    assert [event["first_seq"] for event in found["tables"]["events"]] == [30]
    assert run(config, "show", str(config.parent / "kept" / name)) == 0
    assert "missing: frames 34 to 38 of one" in capsys.readouterr().out


def test_pins_are_set_where_no_daemon_runs(config: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "pin", name, "--by", "ann", "--reason", "for the report") == 0
    pin = Shelf(config.parent / "kept").pin_of(name)
    assert pin is not None
    assert (pin.by, pin.reason) == ("ann", "for the report")
    capsys.readouterr()
    assert run(config, "unpin", name, "--by", "ann", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pinned"] is None


@pytest.mark.usefixtures("side")
def test_a_daemon_that_runs_is_asked_with_its_token(config: Path, name: str) -> None:
    assert run(config, "pin", name, "--by", "ann") == 0
    assert Shelf(config.parent / "kept").pin_of(name) is not None
    assert run(config, "unpin", name, "--by", "ann") == 0
    assert Shelf(config.parent / "kept").pin_of(name) is None


def test_what_is_not_there_is_said_in_one_line(config: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("show", "pin", "unpin"):
        assert run(config, command, "nothing.h5") == 1
        assert capsys.readouterr().err == "framewatch: there is no recording 'nothing.h5'\n"
    (config.parent / "kept" / name).write_bytes(b"damaged")
    assert run(config, "show", name) == 1
    assert "damaged" in capsys.readouterr().err
    config.write_text("recorder: {mib: 0}\n")
    assert run(config, "list") == 1
    assert "nothing is recorded" in capsys.readouterr().err
