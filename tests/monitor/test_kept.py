"""Blocks that a daemon kept: only those of true alarms are left out, and what is short is joined, not lost."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from alarm_example import revisions_of, written
from budget import with_budget
from daemon_example import record
from promise_example import block

from calibration.charts import CalibrationError
from monitor.alarms.alarm import Verdict
from monitor.blockstore import BlockStore, BlockStoreError, beside
from monitor.bundle import Bundle
from monitor.journal.store import Change, Journal
from monitor.kept import judged_blocks, unjudged_alarms


@pytest.fixture(scope="module")
def budgeted(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_budget(small_bundle, tmp_path_factory.mktemp("budget") / "bundle")


@pytest.fixture
def journal(tmp_path: Path, budgeted: Bundle) -> Path:
    """Ten blocks of a hundred frames, and alarms in frames 150 to 160, 390 to 410, 550 and 750."""
    path = tmp_path / "journal.db"
    scale = budgeted.manifest.scale
    with closing(BlockStore(beside(path))) as store:
        store.add([block(number, scale=scale, extreme=9.0) for number in range(10)])
        store.add([block(0, "hot-2", stream="two", scale=scale, extreme=9.0, first_seq=100, last_seq=199)])
        store.add([block(1, "hot-2", scale="ef" * 32)])
    return path


def alarms(path: Path, *verdicts: Verdict | None, source: str = "t2") -> list[str]:
    """Writes the alarms of *source* with these *verdicts*: their names."""
    ids = []
    with closing(Journal(path, "melt")) as opened:
        for event, (verdict, first, last) in enumerate(
            zip(verdicts, (150, 390, 550, 750), (160, 410, 550, 750), strict=True)
        ):
            given = record("began", event, source=source, stream="one", first_seq=first, last_seq=last)
            [raised] = revisions_of(given)
            judged = msgspec.structs.replace(raised.alarm, verdict=verdict)
            entry = msgspec.structs.replace(raised.entry, told=judged)
            opened.commit(written([Change(raised._replace(entry=entry), given.t_ns)], event))
            ids.append(judged.id)
    return ids


def left_out(bundle: Bundle, path: Path, true: Sequence[str] = ()) -> set[tuple[str, int]]:
    found = {(one.epoch, one.number) for one in judged_blocks(bundle, path, "melt", true)}
    return {*(("hot-1", number) for number in range(10)), ("hot-2", 0)} - found


def test_only_blocks_of_alarms_that_a_person_judged_true_are_left_out(budgeted: Bundle, journal: Path) -> None:
    alarms(journal, "true", "false", "unknown", None)
    assert left_out(budgeted, journal) == {("hot-1", 1)}


def test_an_alarm_may_be_named_as_true(budgeted: Bundle, journal: Path) -> None:
    names = alarms(journal, None, None, None, None)
    assert left_out(budgeted, journal) == set()
    assert left_out(budgeted, journal, [names[1]]) == {("hot-1", 3), ("hot-1", 4)}, "it lies in two blocks"
    assert left_out(budgeted, journal, names) == {("hot-1", number) for number in (1, 3, 4, 5, 7)}


def test_a_stop_that_a_person_judged_true_leaves_its_block_out_as_an_alarm_does(
    budgeted: Bundle, journal: Path
) -> None:
    """Or the limit for stops would rise until the defect that it has stopped for passes."""
    names = alarms(journal, "true", "false", None, None, source="stop")
    assert left_out(budgeted, journal) == {("hot-1", 1)}
    assert left_out(budgeted, journal, names[2:3]) == {("hot-1", 1), ("hot-1", 5)}
    blocks = judged_blocks(budgeted, journal, "melt", [])
    assert [alarm.id for alarm in unjudged_alarms(budgeted, journal, "melt", blocks)] == names[2:]


def test_the_journal_of_a_daemon_is_only_read(budgeted: Bundle, journal: Path) -> None:
    alarms(journal, "true", None, None, None)
    before = {path.name: path.read_bytes() for path in journal.parent.iterdir()}
    unjudged_alarms(budgeted, journal, "melt", judged_blocks(budgeted, journal, "melt", []))
    after = {path.name: path.read_bytes() for path in journal.parent.iterdir()}
    assert after[journal.name] == before[journal.name]
    assert {name for name in after if name.startswith("journal.db")} == {"journal.db"}


def test_events_in_the_blocks_that_nobody_judged_are_told(budgeted: Bundle, journal: Path) -> None:
    names = alarms(journal, "true", "false", "unknown", None)
    blocks = judged_blocks(budgeted, journal, "melt", [])
    assert [alarm.id for alarm in unjudged_alarms(budgeted, journal, "melt", blocks)] == names[2:]
    assert unjudged_alarms(budgeted, journal, "melt", judged_blocks(budgeted, journal, "melt", names)) == []


def test_a_name_that_no_alarm_has_is_refused(budgeted: Bundle, journal: Path) -> None:
    names = alarms(journal, "true", None, None, None)
    with pytest.raises(CalibrationError, match=r"--true 0123: no alarm of a chart has this name in .*journal.db"):
        judged_blocks(budgeted, journal, "melt", [names[0], "0123"])


def test_where_no_daemon_has_run_there_are_no_blocks_and_no_journal_is_made(budgeted: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BlockStoreError, match="is not there; a daemon writes it"):
        judged_blocks(budgeted, tmp_path / "none.db", "melt", [])
    assert list(tmp_path.iterdir()) == []
