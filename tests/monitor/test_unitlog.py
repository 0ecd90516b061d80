"""Finished units in shared memory: as they were written, and as many as the side process keeps."""

import math

from promise_example import unit, unit_log

from monitor import unitlog
from monitor.layers import UNITS_KEPT
from monitor.recordlog import START
from monitor.unitlog import RECORD, SLOTS, FinishedUnit


def test_units_come_back_as_they_were_written_and_only_once() -> None:
    log = unit_log()
    written = [unit(0), unit(1, layer=-1, job="Düse"), unit(2, score=7.5)]
    for one in written:
        unitlog.append(log, one)
    found, position = unitlog.read(log, START)
    assert found == written
    assert [one.over for one in found] == [False, False, True]
    assert unitlog.read(log, position) == ([], position)


def test_a_unit_that_is_not_charted_has_no_score_but_a_reason() -> None:
    log = unit_log()
    unitlog.append(log, unit(0, score=math.nan, why="few_frames"))
    [found] = unitlog.read(log, START)[0]
    assert (math.isnan(found.score), found.why, found.over) == (True, "few_frames", False)


def test_a_record_holds_a_unit_and_the_log_what_a_restarted_side_process_keeps() -> None:
    assert RECORD.names == FinishedUnit._fields
    assert SLOTS > UNITS_KEPT
