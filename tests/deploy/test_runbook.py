"""Whoever is called finds what to do: every alert links to its heading, every source of an alarm has its row."""

import re
from pathlib import Path

import yaml

from monitor.alarms.alarm import SOURCES

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/framewatch-alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


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


def test_every_entry_says_what_to_do_or_where_to_look() -> None:
    for heading, text in entries().items():
        assert re.search(r"\*\*(Do|do|Look|Do not)\b|[Aa]s the source|look before", text), heading


def test_every_source_of_an_alarm_has_a_row() -> None:
    table = RUNBOOK.partition("## Alarms of the daemon")[2].partition("## Alerts")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", table, flags=re.MULTILINE)
    assert sorted(source for source, _ in rows) == sorted(SOURCES)
    for source, row in rows:
        assert all(cell.strip() for cell in row.split("|")), source
