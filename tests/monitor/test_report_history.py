"""Limits that others took the place of are told with who did it, when and why, and a renewed report leads with them."""

from dataclasses import replace

import msgspec
import pytest
from report_examples import BUDGET, DATA

from monitor.bundle import Bundle
from monitor.manifest import Earlier, Manifest
from monitor.report import render
from monitor.report.history import FROM, TO, earlier_limits, moment, renewed

DAY_NS = 24 * 3600 * 10**9
FIRST = Earlier(0, DAY_NS, "A. Person", "first <optic>", {"t2": 4.25}, None, None, None, None)
SECOND = Earlier(DAY_NS, 2 * DAY_NS, "B. Person", "more hours", {"t2": 5.5, "mewma": 6.0}, 3.5, 1.0, 0.5, 2.0)


@pytest.fixture
def manifest(small_bundle: Bundle) -> Manifest:
    return msgspec.structs.replace(small_bundle.manifest, budget=BUDGET, history=(FIRST, SECOND))


def test_a_moment_is_written_as_people_do() -> None:
    assert moment(1_700_000_000 * 10**9) == "2023-11-14 22:13:20 UTC"


def test_limits_before_are_told_with_who_replaced_them_when_and_why() -> None:
    [heading, table] = earlier_limits([FIRST, SECOND])
    assert heading == "<h2>Limits before</h2>"
    rows = [row.split("</td>") for row in table.split("<tr>")[2:]]
    told = [[cell.rpartition(">")[2] for cell in row] for row in rows]
    assert told[0][:7] == [
        *("1970-01-01 00:00:00 UTC", "1970-01-02 00:00:00 UTC by A. Person", "first &lt;optic&gt;"),
        *("a share of single frames", "-", "-", "4.25"),
    ]
    assert told[0][7] == "-", "there was no such chart"
    assert told[1][3:8] == ["one an hour", "30 minutes, extrapolated 2 times", "3.500", "5.5", "6"]


def test_without_any_there_is_no_section() -> None:
    assert list(earlier_limits([])) == []
    assert "Limits before" not in render(DATA)
    assert "Limits before" in render(replace(DATA, earlier=(FIRST,)))


def test_a_renewed_report_leads_with_what_holds_now(manifest: Manifest) -> None:
    report = renewed(render(DATA), manifest)
    lead, _, rest = report.partition(TO)
    assert lead.index("</h1>") < lead.index(FROM)
    for told in (
        "Set anew by B. Person on 1970-01-03 00:00:00 UTC (more hours)",
        f"{BUDGET.blocks:,} blocks",
        BUDGET.why,
    ):
        assert told in lead
    assert rest == render(DATA).partition("</h1>")[2]


def test_renewed_again_it_leads_with_the_latest_alone(manifest: Manifest) -> None:
    once = renewed(render(DATA), msgspec.structs.replace(manifest, history=(FIRST,)))
    assert renewed(once, manifest) == renewed(render(DATA), manifest)


def test_limits_per_frame_are_not_renewed_by_blocks(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="keep to a budget"):
        renewed(render(DATA), msgspec.structs.replace(manifest, budget=None))
