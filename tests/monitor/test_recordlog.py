"""Records in shared memory: each is read once, whole, of whichever process wrote it, and the newest are held."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.recordlog import START, append, begin, fields, read
from monitor.shared import Arrays, lay_out, size_of

SLOTS = 64
RECORD = np.dtype([("number", "<i8"), ("name", "S8"), ("score", "<f8")])
FIELDS = fields(RECORD, SLOTS)

Values = list[Any]


def a_log(epoch: str = "hot-1") -> Arrays:
    [log] = lay_out(bytearray(size_of(FIELDS)), FIELDS)
    begin(log, epoch)
    return log


@pytest.fixture
def log() -> Arrays:
    return a_log()


def records(count: int, first: int = 0, name: str = "hot-1") -> list[Values]:
    return [[number, name, number / 8] for number in range(first, first + count)]


def write(log: Arrays, new: list[Values]) -> None:
    for values in new:
        append(log, values)


def test_a_log_that_nobody_has_begun_holds_nothing() -> None:
    [log] = lay_out(bytearray(size_of(FIELDS)), FIELDS)
    assert read(log, START) == ([], START)


def test_records_come_back_as_they_were_written_and_only_once(log: Arrays) -> None:
    write(log, records(3))
    found, position = read(log, START)
    assert found == records(3)
    assert position == ("hot-1", 3)
    assert read(log, position) == ([], position)
    write(log, records(2, 3))
    assert read(log, position)[0] == records(2, 3)


@given(sizes=st.lists(st.integers(0, SLOTS - 1), max_size=12))
def test_who_reads_often_enough_reads_every_record(sizes: list[int]) -> None:
    log, position, found = a_log(), START, list[Values]()
    for size in sizes:
        write(log, records(size, len(found)))
        new, position = read(log, position)
        found += new
    assert found == records(sum(sizes))


def test_who_reads_too_late_finds_the_newest(log: Arrays) -> None:
    write(log, records(SLOTS + 50))
    found, position = read(log, START)
    assert found == records(SLOTS - 1, 51), "all but the slot that the next record would be written to"
    write(log, records(1, SLOTS + 50))
    assert read(log, position)[0] == records(1, SLOTS + 50)


@pytest.mark.parametrize("written", [0, 2, 5, 8])
def test_a_restarted_process_is_read_from_its_first_record(log: Arrays, written: int) -> None:
    write(log, records(5))
    _, position = read(log, START)
    begin(log, "hot-2")
    write(log, records(written, name="hot-2"))
    found, position = read(log, position)
    assert found == records(written, name="hot-2")
    assert position == ("hot-2", written)
    write(log, records(1, written, "hot-2"))
    assert read(log, position)[0] == records(1, written, "hot-2")


def test_a_restarted_reader_reads_what_is_held_again(log: Arrays) -> None:
    write(log, records(4))
    read(log, START)
    assert read(log, START)[0] == records(4)


class Busy(dict[str, Any]):
    """A log whose writer goes on at the moment at which records are read."""

    def __init__(self, log: Arrays, meanwhile: Any) -> None:
        super().__init__(log)
        self._meanwhile = meanwhile

    def __getitem__(self, name: str) -> Any:
        if name == "records" and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return super().__getitem__(name)


def test_records_that_are_overwritten_while_they_are_read_are_not_told(log: Arrays) -> None:
    write(log, records(SLOTS))
    found, position = read(Busy(log, lambda: write(log, records(20, SLOTS))), START)
    assert found == records(SLOTS - 21, 21)
    assert read(log, position)[0] == records(20, SLOTS)


def test_a_process_that_begins_while_another_is_read_is_not_mixed_with_it(log: Arrays) -> None:
    write(log, records(5))

    def restart() -> None:
        begin(log, "hot-2")
        write(log, records(2, name="hot-2"))

    found, position = read(Busy(log, restart), START)
    assert (found, position) == ([], START)
    assert read(log, position)[0] == records(2, name="hot-2")


@pytest.mark.parametrize(
    ("name", "told"),
    [("", ""), ("twelve bytes", "twelve b"), ("äääää", "ääää"), ("aäääää", "aäää\N{REPLACEMENT CHARACTER}")],
)
def test_a_text_that_is_too_long_is_cut_even_within_a_character(log: Arrays, name: str, told: str) -> None:
    append(log, [1, name, 0.5])
    assert read(log, START)[0] == [[1, told, 0.5]]
