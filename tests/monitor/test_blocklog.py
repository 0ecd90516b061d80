"""Blocks in shared memory: they come back whole, with what their log knows of all of them."""

import numpy as np
import pytest
from promise_example import SCALE, block

from monitor import blocklog
from monitor.blocklog import SLOTS, START, append, begin, fields, read
from monitor.blockstore import Block
from monitor.shared import Arrays, lay_out, size_of
from monitor.types import TEXT_BYTES


@pytest.fixture
def log() -> Arrays:
    [log] = lay_out(bytearray(size_of(fields())), fields())
    begin(log, "hot-1")
    return log


def blocks(count: int, first: int = 0, epoch: str = "hot-1") -> list[Block]:
    return [block(number, epoch) for number in range(first, first + count)]


def test_blocks_come_back_as_they_were_written_and_only_once(log: Arrays) -> None:
    append(log, blocks(3))
    found, position = read(log, START, SCALE)
    assert found == blocks(3)
    assert read(log, position, SCALE) == ([], position)
    append(log, blocks(2, 3))
    assert read(log, position, SCALE)[0] == blocks(2, 3)


def test_who_reads_too_late_finds_the_newest(log: Arrays) -> None:
    append(log, blocks(SLOTS + 50))
    assert read(log, START, SCALE)[0] == blocks(SLOTS - 1, 51)


def test_blocks_are_those_of_the_process_that_finished_them(log: Arrays) -> None:
    append(log, blocks(5))
    _, position = read(log, START, SCALE)
    begin(log, "hot-2")
    append(log, blocks(2, epoch="hot-2"))
    assert read(log, position, SCALE)[0] == blocks(2, epoch="hot-2")


def test_a_name_of_any_bytes_is_told(log: Arrays) -> None:
    long = "ä" * TEXT_BYTES
    append(log, [block(stream=long, job="")])
    log["records"][0]["stream"] = b"\xff" + bytes(log["records"][0]["stream"])[1:]
    [found] = read(log, START, SCALE)[0]
    assert found.stream.startswith("\N{REPLACEMENT CHARACTER}")
    assert found.job == ""


def test_a_record_holds_a_block_but_for_what_all_have_in_common() -> None:
    assert set(blocklog.RECORD.names or ()) == set(Block._fields) - {"epoch", "scale"}
    assert blocklog.RECORD["extreme"] == np.float64


def test_what_stops_a_machine_goes_along_where_there_is_a_rule_for_it(log: Arrays) -> None:
    stopping, not_stopping = block(0, stop=2.5, rule="5 of 8"), block(1)
    append(log, [stopping, not_stopping])
    assert read(log, START, SCALE)[0] == [stopping, not_stopping]
