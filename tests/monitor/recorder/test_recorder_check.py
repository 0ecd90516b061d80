import os
from pathlib import Path

import msgspec
import pytest
from daemon_example import some_config

from monitor.config import Config, read
from monitor.recorder.check import examine
from monitor.recorder.config import Recorder
from monitor.recorder.process import extent_of
from monitor.recorder.shelf import Pin, Shelf, name_of
from monitor.yamlfile import ConfigError


def given(folder: Path, **recorder: float) -> Config:
    return msgspec.structs.replace(some_config(folder), recorder=Recorder(**recorder))  # type: ignore[arg-type]  # by name


def test_what_lies_there_is_told(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "journal.db.recordings")
    shelf.folder.mkdir()
    name = name_of(0, "hot-1", 1)
    shelf.put(name, lambda path: path.write_bytes(bytes(2**20)))
    shelf.pin(name, Pin("ann"))
    found = examine(given(tmp_path))
    assert found.grade == "ok"
    assert "1 files (1 pinned), 1 of 1024 MiB" in found.found


def test_a_folder_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    assert examine(given(tmp_path)).grade == "ok"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "journal.db.recordings").write_text("a file")
    found = examine(given(tmp_path))
    assert (found.grade, "recorder.folder" in found.remedy) == ("fault", True)


def test_more_than_the_ring_or_the_disk_holds_is_a_warning(tmp_path: Path) -> None:
    assert "input.buffer_s" in examine(given(tmp_path, before_s=3.5)).remedy
    assert "recorder.mib" in examine(given(tmp_path, mib=2.0**24)).remedy


def test_nothing_is_asked_where_nothing_is_recorded(tmp_path: Path) -> None:
    assert examine(given(tmp_path, mib=0)).grade == "ok"


@pytest.mark.parametrize(
    ("recorder", "before", "after"), [({}, 500, 500), ({"before_frames": 7, "after_s": 0.2}, 7, 200)]
)
def test_seconds_or_frames_say_how_much_is_kept(
    tmp_path: Path, recorder: dict[str, float], before: int, after: int
) -> None:
    extent = extent_of(given(tmp_path, **recorder))
    assert (extent.before, extent.after, extent.longest) == (before, after, 5000)


def test_the_folder_is_taken_from_that_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("recorder: {folder: kept}\n")
    config = read(tmp_path / "c.yaml")
    assert config.recorder.place(config.journal) == tmp_path / "kept"
    (tmp_path / "c.yaml").write_text("journal: alarms.db\n")
    config = read(tmp_path / "c.yaml")
    assert config.recorder.place(config.journal) == tmp_path / "alarms.db.recordings"
    (tmp_path / "c.yaml").write_text("recorder: {mib: -1}\n")
    with pytest.raises(ConfigError, match=r"recorder\.mib"):
        read(tmp_path / "c.yaml")
