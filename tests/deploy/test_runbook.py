"""Whoever is called finds what to do: every alert links to its heading, every source of an alarm has its row."""

import io
import logging
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typed import blocks, inline

from monitor import cli, logs
from monitor.alarms.alarm import SOURCES
from monitor.config import Log, Permit
from monitor.types import State

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/framewatch-alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]

LINES_OF_A_PAGE, WIDTHS_OF_A_PAGE = 52, (32, 64)
"""What an A4 sheet takes of a table of two columns at 9 points, without a line that breaks."""


def entries() -> dict[str, str]:
    """Heading of an alert -> what stands under it."""
    _, *parts = re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)
    return {
        heading: re.split(r"^#", rest, flags=re.MULTILINE)[0] for heading, _, rest in (p.partition("\n") for p in parts)
    }


def test_every_alert_has_an_entry_and_every_entry_an_alert() -> None:
    assert sorted(entries()) == sorted(rule["alert"] for rule in ALERTS)


def test_every_alert_links_to_its_own_entry() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in entries()}
    for rule in ALERTS:
        _, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert anchor in anchors
        assert anchor == rule["alert"].lower()


def section(heading: str) -> str:
    """What stands under a heading of the second level."""
    return RUNBOOK.partition(f"\n## {heading}")[2].partition("\n## ")[0]


def rows(heading: str) -> dict[str, list[str]]:
    """What a table under *heading* says, cell by cell, of each `name` in its first column."""
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", section(heading), flags=re.MULTILINE)
    return {name: [cell.strip() for cell in row.split("|")] for name, row in found}


def deeds(text: str) -> set[str]:
    """Where *text* says what to do: in its own words, or in the rows of sources that it refers to."""
    sources = re.search(r"[Aa]s the sources? ((?:`\w+`(?:,\s| and )?)+)", text)
    own = re.findall(r"\*\*([Dd]o)\b(?! not)", text)
    return {*own, *re.findall(r"`(\w+)`", sources[1] if sources else "")}


def test_every_entry_says_what_to_do_or_as_which_source() -> None:
    known = {source for source, cells in rows("Alarms of the daemon").items() if cells[-1]}
    for heading, text in entries().items():
        found = deeds(text)
        assert found, f"{heading} says nowhere what to do"
        assert found <= known | {"Do", "do"}, heading


def test_where_to_look_and_what_not_to_do_is_not_yet_what_to_do() -> None:
    assert not deeds("Not all is seen. **Look:** the log. **Do not** delete it.")
    assert deeds("**Look:** the log. **Do:** make room.") == {"Do"}
    assert deeds("As the source `stale`. **Do not** recalibrate.") == {"stale"}
    assert deeds("**Look** and **do** as the sources `dark`,\n`frozen` above.") == {"do", "dark", "frozen"}


def test_every_source_of_an_alarm_has_a_row() -> None:
    table = rows("Alarms of the daemon")
    assert sorted(table) == sorted(SOURCES)
    for source, cells in table.items():
        assert all(cells), source


def test_every_state_has_a_row_that_says_whether_the_permit_is_withheld() -> None:
    table = rows("States of the daemon")
    assert sorted(table) == sorted(State)
    withheld = {state for state, cells in table.items() if cells[0].startswith("withheld")}
    assert withheld == set(Permit().withhold_states)
    for state, cells in table.items():
        assert all(cells), state


def shown(markdown: str) -> str:
    """What is left of it on paper."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "")


def test_all_that_one_may_see_stands_on_one_printed_page() -> None:
    glance = section("At a glance")
    assert RUNBOOK.index("\n## ") == RUNBOOK.index("\n## At a glance")
    linked = re.findall(r"\[`?(\w+)`?\]\(#([\w-]+)\)", glance)
    assert {name for name, _ in linked} == {*SOURCES, *State, *(name.removeprefix("Framewatch") for name in entries())}
    for name, anchor in linked:
        assert name[0].islower() or anchor == f"framewatch{name.lower()}", name
    lines = [shown(line).strip("| ").split(" | ") for line in glance.splitlines() if line.startswith("| ")]
    assert len(lines) <= LINES_OF_A_PAGE
    for seen, deed in lines:
        assert len(seen) <= WIDTHS_OF_A_PAGE[0], seen
        assert len(deed) <= WIDTHS_OF_A_PAGE[1], deed


def test_every_link_within_the_runbook_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", RUNBOOK, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors


def test_the_runbook_says_for_containers_what_it_says_for_systemd() -> None:
    table = section("Before you begin")
    for command in ("ps daemon", "logs --tail 50 daemon", "start daemon", "exec daemon framewatch COMMAND"):
        assert f"| `docker compose {command}`" in table, command
    for name in ("compose.yaml", "compose.camera.yaml"):
        daemon = yaml.safe_load((ROOT / "deploy/containers" / name).read_text())["services"]["daemon"]
        assert {"state:/var/lib/framewatch", "cache:/var/cache/framewatch"} <= set(daemon["volumes"])


FILLED_IN = {"ID": "17"}
"""What a person puts in the place of a word, where the word itself will not do."""

WITHOUT_CONFIGURATION = {"replay", "bench"}


def variants(arguments: list[str]) -> list[list[str]]:
    """The command with each of `one|another` in turn."""
    found: list[list[str]] = [[]]
    for word in arguments:
        found = [[*before, one] for before in found for one in FILLED_IN.get(word, word).split("|")]
    return found


COMMANDS = [one for arguments in inline(RUNBOOK) if arguments != ["COMMAND"] for one in variants(arguments)]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_gets_as_far_as_its_configuration(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] in WITHOUT_CONFIGURATION:
        cli._parser().parse_args(arguments)
        return
    nothing = str(tmp_path / "nothing.yaml")
    named = arguments[:-2] if arguments[-2:] == ["--config", "FILE"] else arguments
    assert cli.main([*named, "--config", nothing]) != 0
    assert capsys.readouterr().err.startswith(f"framewatch: {nothing}: cannot be read")


def test_in_containers_warnings_are_found_among_all_other_lines() -> None:
    [command] = [line for block in blocks(RUNBOOK, "sh") for line in block.splitlines() if "grep" in line]
    log = io.StringIO()
    form = logs.form_of(Log(), "side")
    for level in (logging.INFO, logging.WARNING, logging.INFO, logging.ERROR, *[logging.INFO] * 100):
        log.write(
            form.format(logging.makeLogRecord({"levelno": level, "levelname": logging.getLevelName(level)})) + "\n"
        )
    pipeline = command.replace("docker compose logs daemon", "cat")
    done = subprocess.run(pipeline, shell=True, input=log.getvalue(), capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["WARNING", "ERROR"]
