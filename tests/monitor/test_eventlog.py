import msgspec
import numpy as np
import pytest
from daemon_example import record
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import eventlog, shared
from monitor.eventlog import SLOT_BYTES, SLOTS, EventRecord
from monitor.shared import Arrays
from monitor.types import Kind, Peak, Pool


def some_log() -> Arrays:
    fields = eventlog.fields()
    [log] = shared.lay_out(bytearray(shared.size_of(fields)), fields)
    return log


def fill(log: Arrays, count: int) -> None:
    for event in range(count):
        eventlog.append(log, record("began", event=event))


def test_a_record_comes_out_as_it_went_in() -> None:
    log = some_log()
    whole = EventRecord(
        "grew", "e", 3, "local", 5, "s", 1, 2, 3, 4, Peak(2, 9.0, 3.0, 3.0), Pool(5, 1.0, 2.0), (1, 2),
        Kind(1, "spatter", 0.5), "job", 7, "hatch", (1.0, 2.0), "ab", "why", 10**18, 10**17,
    )  # fmt: skip
    eventlog.append(log, whole)
    assert eventlog.read(log, 0) == ([whole], 1, 0)


def test_an_empty_log_has_nothing_to_read() -> None:
    assert eventlog.read(some_log(), 0) == ([], 0, 0)


def test_a_reader_goes_on_where_it_stopped() -> None:
    log = some_log()
    fill(log, 3)
    _, position, _ = eventlog.read(log, 0)
    eventlog.append(log, record("ended", event=2))
    assert eventlog.read(log, position) == ([record("ended", event=2)], 4, 0)
    assert eventlog.read(log, 4) == ([], 4, 0)


def test_a_shorter_record_in_a_used_slot_shows_nothing_of_the_longer_one() -> None:
    log = some_log()
    for event in range(SLOTS):
        eventlog.append(log, record("began", event=event, why="x" * 500))
    eventlog.append(log, record("began", event=SLOTS))
    assert eventlog.read(log, SLOTS)[0] == [record("began", event=SLOTS)]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2 * SLOTS + 50), st.integers(0, 2 * SLOTS + 50))
def test_every_record_is_read_or_counted_as_lost(count: int, start: int) -> None:
    log = some_log()
    fill(log, count)
    position = min(start, count)
    records, end, lost = eventlog.read(log, position)
    assert end == count
    assert len(records) + lost == count - position
    assert [found.event for found in records] == list(range(count - len(records), count))
    # One slot fewer than there are: the writer may be in the midst of the next one.
    assert len(records) == min(count - position, SLOTS - 1)


def test_what_the_writer_overwrites_while_it_is_copied_counts_as_lost() -> None:
    class BusyLog(dict[str, np.ndarray]):
        """The writer adds three records between the reader's first and second look at the count."""

        looks = 0

        def __getitem__(self, name: str) -> np.ndarray:
            if name == "count":
                self.looks += 1
                if self.looks == 2:
                    for event in range(3):
                        eventlog.append(log, record("began", event=SLOTS + event))
            return super().__getitem__(name)

    log = some_log()
    fill(log, SLOTS)
    records, end, lost = eventlog.read(BusyLog(log), 0)
    assert (end, lost) == (SLOTS, 4)
    assert [found.event for found in records] == list(range(4, SLOTS))


def test_a_record_that_does_not_decode_is_lost_and_the_next_one_is_read() -> None:
    log = some_log()
    eventlog.append(log, record("began", event=1, peak=Peak(1, float("nan"), 1.0, 1.0)))  # JSON knows no NaN
    eventlog.append(log, record("began", event=2))
    records, end, lost = eventlog.read(log, 0)
    assert ([found.event for found in records], end, lost) == ([2], 2, 1)


def test_a_record_that_is_too_long_is_a_bug_and_leaves_the_log_as_it_was() -> None:
    log = some_log()
    with pytest.raises(ValueError, match="larger than 4096"):
        eventlog.append(log, record("began", why="x" * SLOT_BYTES))
    assert eventlog.read(log, 0) == ([], 0, 0)


def test_texts_as_long_as_the_wire_allows_fit() -> None:
    log = some_log()
    text = "\N{BELL}" * 128  # the longest escapes
    texts = {"stream": text, "job": text, "context": text, "bundle": "a" * 64, "why": "é" * 128}
    eventlog.append(log, record("began", mono_ns=2**62, began_ns=2**62, **texts))
    assert len(eventlog.read(log, 0)[0]) == 1


def test_what_a_record_does_not_say_takes_no_bytes() -> None:
    assert msgspec.json.encode(EventRecord("settled", "e", -1, "", 5)) == (
        b'{"phase":"settled","epoch":"e","event":-1,"source":"","t_ns":5}'
    )
