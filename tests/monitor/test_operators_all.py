"""`framewatch alarms` where there are many: what a person sees of them, and acknowledging them at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alarm_example import changes_of, written
from daemon_example import record, some_config, some_orders
from side_example import Side, Subscriber, wait_for

from monitor import cli
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Rules
from monitor.config import Config
from monitor.journal.reader import Reader
from monitor.journal.store import Journal
from monitor.operators import show
from monitor.web import token

FLOODED = Rules(flood=FloodRule(begins_above=2, ends_below=1))
SOURCES = ("t2", "dark", "frozen", "degraded")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a daemon that has stopped and left seven alarms that are over, five of them in a flood."""
    path = tmp_path / "framewatch.yaml"
    path.write_text("camera: melt\nhttp: {port: 1}\n")  # nobody listens there
    journal = Journal(tmp_path / "framewatch.db", "melt")
    told = [record("ended", event=i, source=SOURCES[i % 4], t_ns=i + 1) for i in range(7)]
    journal.commit(written(changes_of(*told, rules=FLOODED), 7))
    journal.close()
    return path


def run(config: Path, *arguments: str) -> int:
    command, *rest = arguments
    return cli.main(["alarms", command, "--config", str(config), *rest])


def unseen(config: Path) -> list[str]:
    """The sources of alarms that nobody has acknowledged, oldest first."""
    reader = Reader(config.parent / "framewatch.db", "melt")
    found = [alarm.source for alarm in reversed(reader.alarms(100, "unacknowledged"))]
    reader.close()
    return found


def ids(config: Path) -> list[str]:
    """All alarms, oldest first."""
    reader = Reader(config.parent / "framewatch.db", "melt")
    found = [alarm.id for alarm in reversed(reader.alarms(100))]
    reader.close()
    return found


def test_a_list_says_how_many_there_are_which_are_shown_and_what_flood_they_belong_to(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "list", "--limit", "3") == 0
    first, headings, *rows = capsys.readouterr().out.splitlines()
    assert first == "8 alarms, 8 unacknowledged; the latest 3, newest first"
    assert "behind flood alarm" in headings
    flood = ids(config)[2]
    assert [(row.split()[0], row.split()[-1]) for row in rows if row] == [(one, flood) for one in ids(config)[:-4:-1]]
    assert run(config, "list", "--source", "t2") == 0
    first, headings, *_ = capsys.readouterr().out.splitlines()
    assert first == "2 alarms, 2 unacknowledged; newest first"
    assert run(config, "list", "--group", flood, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 6


def test_a_list_without_a_flood_has_no_column_for_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "list", "--source", "dark") == 0
    assert run(config, "ack", "--all", "--until", ids(config)[0], "--reason", "seen") == 0
    capsys.readouterr()
    assert run(config, "list", "--state", "cleared", "--source", "t2") == 0
    assert "2 alarms, 1 unacknowledged; newest first" in capsys.readouterr().out
    assert run(config, "list", "--state", "active") == 0
    assert capsys.readouterr().out.startswith("1 alarm, 1 unacknowledged; newest first"), "of those, and not of all"


def test_a_list_names_the_files_of_those_that_were_recorded(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = Reader(config.parent / "framewatch.db", "melt")
    first, second = reader.alarms(2)
    reader.close()
    show.alarms([msgspec.structs.replace(first, recording="/somewhere/else/peak.h5"), second], 2, 2)
    _, headings, *rows = capsys.readouterr().out.splitlines()
    assert "recording" in headings
    assert [("peak.h5" in row, "somewhere" in row) for row in rows if row] == [(True, False), (False, False)]


class TestWithoutADaemon:
    def test_all_are_acknowledged_after_it_was_said_how_many_they_are(
        self, config: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        newest = ids(config)[-1]
        assert run(config, "ack", "--all", "--verdict", "false", "--reason", "dust", "--by", "ann") == 0
        assert capsys.readouterr().out.splitlines() == [
            f"8 alarms wait, the one raised last is {newest}",
            "8 alarms acknowledged",
        ]
        assert unseen(config) == []
        journal = Journal(config.parent / "framewatch.db", "melt")
        last = journal.changes(newest)[-1]
        assert (last.what, last.by, last.reason, last.alarm.verdict) == ("acknowledged", "ann", "dust", "false")
        assert journal.read() == ("boot-1", 7, 0), "the daemon goes on where it stopped, and tells of it then"
        journal.close()

    @pytest.mark.parametrize(
        ("which", "left"),
        [
            (("--source", "dark"), ["t2", "flood", "frozen", "degraded", "t2", "frozen"]),
            (("--group", "2"), ["t2", "dark"]),
            (("--group", "2", "--source", "t2"), ["t2", "dark", "flood", "frozen", "degraded", "dark", "frozen"]),
            (("--until", "3"), ["degraded", "t2", "dark", "frozen"]),
            (("--before", "3"), ["frozen", "degraded", "t2", "dark", "frozen"]),
            (("--before", "0"), ["t2", "dark", "flood", "frozen", "degraded", "t2", "dark", "frozen"]),
        ],
    )
    def test_those_that_are_named(self, config: Path, which: tuple[str, ...], left: list[str]) -> None:
        named = [ids(config)[int(one)] if one.isdigit() else one for one in which]
        assert run(config, "ack", "--all", *named, "--reason", "seen") == 0
        assert unseen(config) == left

    def test_where_none_waits_nothing_is_done(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(config, "ack", "--all", "--reason", "seen") == 0
        before = (config.parent / "framewatch.db").read_bytes()
        capsys.readouterr()
        assert run(config, "ack", "--all", "--reason", "seen", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"waited": 0, "until": None, "acknowledged": 0, "ids": [], "journaled": True}
        assert (config.parent / "framewatch.db").read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "status", "told"),
        [
            (("--all",), 1, "--reason"),
            (("--all", "--reason", "seen", "--until", "nothing"), 1, "there is no alarm 'nothing'"),
            (("--all", "--reason", "seen", "--source", "nothing"), 1, "there is no source 'nothing'; there are t2,"),
            (("--all", "--reason", "seen", "--until", "x", "--before", "x"), 2, "not allowed with"),
            (("x", "--all", "--reason", "seen"), 2, "not allowed with"),
            (("--reason", "seen"), 2, "required"),
            (("x", "--source", "t2"), 1, "belong to --all"),
        ],
    )
    def test_what_makes_no_sense_is_told_in_one_line_and_changes_nothing(
        self, config: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, told: str
    ) -> None:
        try:
            found = run(config, "ack", *arguments)
        except SystemExit as left:
            found = int(left.code or 0)
        line = capsys.readouterr().err
        assert (found, line.count("\n")) == (status, 1)
        assert told in line
        assert len(unseen(config)) == 8


class TestWithADaemon:
    @pytest.fixture
    def running(self, tmp_path: Path) -> Config:
        token.write(tmp_path / "token")
        config = some_config(tmp_path)
        http = msgspec.structs.replace(config.http, token_file=str(tmp_path / "token"))
        (tmp_path / "framewatch.yaml").write_text(
            f"camera: melt\njournal: journal.db\nhttp: {{port: {http.port}, token_file: token}}\n"
        )
        return msgspec.structs.replace(config, http=http)

    @pytest.fixture
    def side(self, running: Config) -> Iterator[Side]:
        with some_orders(running) as (given, memory):
            made = Side(given, memory)
            yield made
            made.close()

    def test_all_are_acknowledged_over_http_with_the_token_and_published(
        self, side: Side, running: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        side.start()
        subscriber = Subscriber(running.outputs.alarms)
        subscriber.joined()
        for event in range(4):
            side.tell(record("ended", event=event, source=SOURCES[event]))
        wait_for(lambda: int(side.memory.vitals["heard"][0]) == 4)
        assert run(tmp_path / "framewatch.yaml", "ack", "--all", "--reason", "seen", "--by", "ann") == 0
        assert capsys.readouterr().out.splitlines()[-1] == "4 alarms acknowledged"
        assert subscriber.alarm(rev=3)["acked"]
        reader = Reader(Path(running.journal), "melt")
        assert reader.alarms(10, "unacknowledged") == []
        reader.close()
        assert side.stop() == (0, "", "")
        assert [alarm["rev"] for alarm in subscriber.rest() if alarm["source"] == "t2"] == [1, 2, 3]
        subscriber.close()
        (tmp_path / "token").unlink()

    def test_without_the_token_nothing_is_acknowledged(
        self, side: Side, running: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        side.start()
        side.tell(record("ended"))
        wait_for(lambda: int(side.memory.vitals["heard"][0]) == 1)
        (tmp_path / "framewatch.yaml").write_text(
            f"camera: melt\njournal: journal.db\nhttp: {{port: {running.http.port}}}\n"
        )
        assert run(tmp_path / "framewatch.yaml", "ack", "--all", "--reason", "seen") == 1
        assert capsys.readouterr().err == "framewatch: the token is missing or wrong\n"
