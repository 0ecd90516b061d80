"""`framewatch alarms`, with a daemon that runs and with one that does not."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import old_journal
import pytest
from alarm_example import changes_of, written
from daemon_example import record

from monitor import cli
from monitor.journal.store import Journal
from monitor.operators.parser import duration


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a daemon that has stopped and left a journal with one alarm that is open."""
    path = tmp_path / "framewatch.yaml"
    path.write_text("camera: melt\nhttp: {port: 1}\n")  # nobody listens there
    journal = Journal(tmp_path / "framewatch.db", "melt")
    told = [record("ended", job="=cmd()"), record("began", event=2, source="frozen", t_ns=10**18)]
    journal.commit(written(changes_of(*told), 7))
    journal.close()
    return path


def run(config: Path, *arguments: str) -> int:
    command, *rest = arguments
    return cli.main(["alarms", command, "--config", str(config), *rest])


@pytest.fixture
def ids(config: Path) -> list[str]:
    """Of the alarms, oldest first."""
    journal = Journal(config.parent / "framewatch.db", "melt")
    found = [alarm.id for alarm in reversed(journal.alarms(10))]
    journal.close()
    return found


@pytest.fixture
def journal(config: Path) -> Iterator[Journal]:
    opened = Journal(config.parent / "framewatch.db", "melt")
    yield opened
    opened.close()


def test_alarms_are_listed_as_a_table_or_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "list") == 0
    assert "active, unacknowledged" in capsys.readouterr().out
    assert run(config, "list", "--json", "--state", "cleared") == 0
    assert [alarm["source"] for alarm in json.loads(capsys.readouterr().out)] == ["t2"]


def test_without_a_daemon_an_alarm_is_acknowledged_in_the_journal(
    config: Path, ids: list[str], journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "ack", ids[0], "--by", "ann", "--verdict", "false", "--reason", "dust") == 0
    last = journal.changes(ids[0])[-1]
    assert (last.what, last.by, last.reason, last.alarm.verdict) == ("acknowledged", "ann", "dust", "false")
    assert journal.read() == ("boot-1", 7, 0), "the daemon goes on where it stopped"
    assert run(config, "history", ids[0]) == 0
    assert "acknowledged by ann (dust)" in capsys.readouterr().out


def test_without_a_daemon_a_source_is_shelved_and_put_back(
    config: Path, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "shelve", "frozen", "--for", "10m", "--by", "ann") == 0
    assert journal.alarms(1)[0].shelved
    assert run(config, "sources") == 0
    assert "frozen is shelved until" in capsys.readouterr().out
    assert run(config, "back", "frozen", "--from", "shelved") == 0
    assert not journal.alarms(1)[0].shelved


def test_what_people_say_does_nothing_to_a_terminal(
    config: Path, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "ack", ids[0], "--by", "ann", "--reason", "\x1b]0;title\x07dust\nrev 9") == 0
    assert run(config, "out", "dark", "--by", "\x9b2J", "--reason", "\x1b[31mlamp") == 0
    assert run(config, "history", ids[0]) == 0
    assert run(config, "sources") == 0
    shown = capsys.readouterr().out
    assert "(\\x1b]0;title\\x07dust\\nrev 9)" in shown
    assert "by \\x9b2J since" in shown
    assert not {"\x1b", "\x07", "\x9b"}.intersection(shown)


def test_a_program_suppresses_and_a_person_takes_out_of_service(config: Path, journal: Journal) -> None:
    assert run(config, "suppress", "frozen", "--for", "90s", "--reason", "calibration is running") == 0
    assert journal.alarms(1)[0].suppressed_why == "calibration is running"
    assert run(config, "out", "frozen", "--reason", "broken") == 0
    assert journal.alarms(1)[0].out_of_service


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("ack", "nothing"), 1, "there is no alarm 'nothing'"),
        (("history", "nothing"), 1, "there is no alarm 'nothing'"),
        (("back", "t2", "--from", "shelved"), 1, "t2 is not shelved"),
        (("shelve", "t2", "--for", "10"), 2, "no duration such as"),
        (("export", "--out", "x.xls"), 2, "must end with .csv or .json"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, told: str
) -> None:
    try:
        found = run(config, *arguments)
    except SystemExit as left:
        found = int(left.code or 0)
    line = capsys.readouterr().err
    assert (found, line.count("\n")) == (status, 1)
    assert told in line


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("history", "ID"), ("sources",), ("figures",), ("export", "--out", "OUT.csv")],
    ids=lambda arguments: str(arguments[0]),
)
def test_who_only_reads_changes_nothing_of_a_journal_even_of_an_older_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "kept").mkdir()
    config, path = tmp_path / "framewatch.yaml", tmp_path / "kept" / "journal.db"
    config.write_text("camera: melt\njournal: kept/journal.db\n")
    told = old_journal.make(path)
    before = path.read_bytes()
    given = [one.replace("ID", told[0].id).replace("OUT", str(tmp_path / "out")) for one in arguments]
    assert run(config, *given) == 0
    assert capsys.readouterr().out
    assert [one.name for one in path.parent.iterdir()] == ["journal.db"]
    assert path.read_bytes() == before


def test_a_journal_that_is_not_there_yet_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "framewatch.yaml"
    path.write_text("camera: melt\n")
    assert run(path, "list") == 1
    assert "there is no journal yet" in capsys.readouterr().err


def test_a_daemon_that_holds_the_journal_and_does_not_answer_is_told(
    config: Path, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    held = Journal(config.parent / "framewatch.db", "melt", hold=True)
    assert run(config, "ack", ids[0]) == 1
    assert "held by a daemon that runs" in capsys.readouterr().err
    held.close()


def test_every_revision_is_exported(config: Path, tmp_path: Path) -> None:
    assert run(config, "export", "--out", str(tmp_path / "all.csv")) == 0
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["source"], row["what"], row["rev"]) for row in rows] == [
        ("t2", "raised", "1"),
        ("t2", "cleared", "2"),
        ("frozen", "raised", "1"),
    ]
    assert rows[0]["job"] == "'=cmd()", "no formula to a spreadsheet"
    assert run(config, "export", "--out", str(tmp_path / "all.json")) == 0
    assert len(json.loads((tmp_path / "all.json").read_bytes())) == 3


def test_figures_are_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "figures", "--hours", "1") == 0
    assert "ISA-18.2 asks for" in capsys.readouterr().out
    assert run(config, "figures", "--json") == 0
    assert json.loads(capsys.readouterr().out)["hours"] == pytest.approx(24)
    assert run(config, "figures", "--hours", "1e9", "--json") == 0
    assert json.loads(capsys.readouterr().out)["alarms"] == 2


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172_800)])
def test_durations_have_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds
