"""Revisions as a file: whole or not at all, whatever interrupts it, and however many there are."""

import csv
import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from alarm_example import changes_of, written
from daemon_example import record

from monitor.journal.reading import Told
from monitor.journal.store import Journal
from monitor.operators import table

FILES = ["all.csv", "all.json"]


@pytest.fixture
def page(tmp_path: Path) -> list[Told]:
    """The revisions of two alarms."""
    journal = Journal(tmp_path / "journal.db", "melt")
    journal.commit(written(changes_of(record("ended", job="=cmd()"), record("began", event=2, source="frozen")), 7))
    found = journal.changes_after(0, 10)
    journal.close()
    return found


def read(path: Path) -> list[tuple[str, str]]:
    """Source and word of each revision."""
    with path.open(newline="") as file:
        if path.suffix == ".csv":
            return [(row["source"], row["what"]) for row in csv.DictReader(file)]
        return [(one["alarm"]["source"], one["what"]) for one in json.load(file)]


@pytest.mark.parametrize("name", FILES)
def test_pages_follow_each_other_in_one_file(tmp_path: Path, page: list[Told], name: str) -> None:
    assert table.write(tmp_path / name, [page, page[:1]]) == 4
    told = [("t2", "raised"), ("t2", "cleared"), ("frozen", "raised"), ("t2", "raised")]
    assert read(tmp_path / name) == told


@pytest.mark.parametrize("name", FILES)
def test_without_a_revision_it_is_an_empty_table(tmp_path: Path, name: str) -> None:
    assert table.write(tmp_path / name, []) == 0
    assert read(tmp_path / name) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_is_interrupted_leaves_what_lay_there(
    tmp_path: Path, page: list[Told], name: str, error: type[BaseException]
) -> None:
    def broken() -> Iterator[list[Told]]:
        yield page
        raise error

    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / name
    for before in (None, b"of yesterday"):
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(error):
            table.write(path, broken())
        assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == (
            {} if before is None else {name: before}
        )


def test_a_folder_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        table.write(tmp_path / "no" / "all.csv", [])


def test_told_to_end_it_leaves_nothing_half_written(tmp_path: Path, page: list[Told]) -> None:
    """The command itself, held up by a journal that goes on for ever."""
    (tmp_path / "framewatch.yaml").write_text("camera: melt\njournal: journal.db\n")
    (tmp_path / "out").mkdir()
    script = (
        "import itertools, sys\nfrom monitor import cli\nfrom monitor.operators import table\n"
        "def endless(journal, since_t_ns):\n"
        "    for number, page in enumerate(itertools.repeat(journal.changes_after(0, 10))):\n"
        "        yield page\n"
        "        number or print('writing', flush=True)\n"
        "table.pages = endless\n"
        f"sys.exit(cli.main(['alarms', 'export', '--config', {str(tmp_path / 'framewatch.yaml')!r}, "
        f"'--out', {str(tmp_path / 'out' / 'all.csv')!r}]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, b"framewatch: interrupted\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_a_page_is_all_that_is_kept_in_memory(tmp_path: Path, page: list[Told], name: str) -> None:
    tracemalloc.start()
    table.write(tmp_path / name, (page * 10 for _ in range(200)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (tmp_path / name).stat().st_size / 4, "of a file of 6,000 revisions"
