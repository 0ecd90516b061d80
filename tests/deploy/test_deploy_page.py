"""What docs/deploy.md tells people to type is held against the program."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import yaml
from alarm_example import changes_of
from daemon_example import record
from typed import blocks, given, inline, lines

from monitor import cli, exposure
from monitor.config import Config, read
from monitor.journal.store import Journal, Written

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()


def test_every_command_is_one_that_the_program_knows() -> None:
    ours = [arguments for words in lines(PAGE) if (arguments := given(words)) is not None]
    assert {arguments[0] for arguments in ours} == {"keys", "calibrate", "alarms"}
    for arguments in [*ours, *inline(PAGE)]:
        cli._parser().parse_args(arguments)


def test_every_file_that_is_copied_is_there() -> None:
    for words in lines(PAGE):
        if words[0] == "cp":
            assert all((ROOT / source).exists() for source in words[1:-1]), words
    for name in re.findall(r"`(deploy/[\w./@-]+)`", PAGE):
        assert (ROOT / name).exists(), name


def test_two_cameras_as_they_are_told_there_share_neither_a_port_nor_a_file(tmp_path: Path) -> None:
    found: list[Config] = []
    for number, block in enumerate(blocks(PAGE, "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        exposure.refuse(read(path), path.name)
        found.append(read(path))
    melt, weld = found
    assert not {melt.input.endpoint, *melt.outputs.bound.values()} & {weld.input.endpoint, *weld.outputs.bound.values()}
    assert melt.http.port != weld.http.port
    assert (melt.journal, melt.http.token_file) != (weld.journal, weld.http.token_file)
    for config in found:
        assert config.journal == f"/var/lib/framewatch/{config.camera}/framewatch.db"
        assert config.http.token_file == f"/run/credentials/framewatch@{config.camera}.service/http.token"


def test_the_unit_loads_the_credential_that_the_configuration_names() -> None:
    unit = (ROOT / "deploy" / "systemd" / "framewatch@.service").read_text()
    config = yaml.safe_load(blocks(PAGE, "yaml")[0])
    name = Path(config["http"]["token_file"]).name
    assert f"\nLoadCredential={name}:/etc/framewatch/%i.token\n" in unit


def test_of_a_file_that_is_not_there_no_copy_is_made_and_none_left_in_its_place(tmp_path: Path) -> None:
    [command] = [words for words in lines(PAGE) if "backup(" in " ".join(words)]
    paths = tmp_path / "framewatch.kinds.db", tmp_path / "copy.db"
    done = subprocess.run([sys.executable, *command[1:3], *map(str, paths)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "unable to open database file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_copy_made_while_the_journal_is_written_holds_all_that_was_committed(tmp_path: Path) -> None:
    [command] = [words for words in lines(PAGE) if "backup(" in " ".join(words)]
    path, copy = tmp_path / "framewatch.db", tmp_path / "copy.db"
    with closing(Journal(path, "melt", hold=True)) as journal:
        changes = changes_of(record("began"), record("ended", last_seq=20))
        journal.commit(Written(changes, "boot-1", 2, 0))
        assert path.with_name("framewatch.db-wal").stat().st_size, "what was committed is not in the file itself yet"
        subprocess.run([sys.executable, *command[1:3], str(path), str(copy)], check=True)
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(Journal(copy, "melt")) as opened:
        assert len(opened.changes_after(0, 10)) == len(changes)
