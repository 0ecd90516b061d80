"""Kinds in shared memory: read whole or not at all, whenever the writer is interrupted, and however fast it writes."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kind_examples import BUNDLE, same, shared_kinds, some_table

from monitor.shared import lay_out, size_of
from monitor.taxonomy import table as tables
from monitor.taxonomy.table import COORDINATES_MAX, KINDS_MAX, NAME_BYTES, Table, fields, shown_name


@pytest.mark.parametrize("shape", [(0, 0), (0, 300), (1, 1), (7, 282), (KINDS_MAX, COORDINATES_MAX)])
def test_kinds_come_back_as_they_were_written(shape: tuple[int, int]) -> None:
    arrays = shared_kinds()
    assert tables.read(arrays, 0) is None, "nothing was written yet"
    tables.write(arrays, some_table(*shape))
    found = tables.read(arrays, 0)
    assert found is not None
    assert (found[0], same(found[1], some_table(*shape))) == (1, True)
    assert tables.read(arrays, 1) is None, "it is known"


def test_the_latest_table_is_read_whatever_was_skipped() -> None:
    arrays = shared_kinds()
    for fill in range(1, 6):
        tables.write(arrays, some_table(fill, 9, float(fill)))
    found = tables.read(arrays, 1)
    assert found is not None
    assert (found[0], found[1].ids, tables.version_of(arrays)) == (5, (1, 2, 3, 4, 5), 5)


def test_a_writer_that_starts_anew_goes_on_counting() -> None:
    memory = bytearray(size_of(fields()))
    for fill in (1.0, 2.0):
        tables.write(lay_out(memory, fields())[0], some_table(fill=fill))
    found = tables.read(lay_out(memory, fields())[0], 1)
    assert found is not None
    assert found[0] == 2


SIZE = size_of(fields())
PIECE = 64


@given(st.data())
def test_whatever_part_of_a_write_is_seen_no_torn_table_is_taken_for_whole(data: st.DataObject) -> None:
    memory = bytearray(SIZE)
    (arrays,) = lay_out(memory, fields())
    tables_given = [some_table(3, 40, fill) for fill in (1.0, 2.0, 3.0)]
    for one in tables_given[:2]:
        tables.write(arrays, one)
    before = bytes(memory)
    tables.write(arrays, tables_given[2])
    changed = [at for at in range(0, SIZE, PIECE) if memory[at : at + PIECE] != before[at : at + PIECE]]
    for at in data.draw(st.sets(st.sampled_from(changed))):  # not seen yet, in any order
        memory[at : at + PIECE] = before[at : at + PIECE]
    found = tables.read(arrays, 1)
    assert found is None or any(same(found[1], one) for one in tables_given[1:])


def test_a_reader_beside_a_busy_writer_sees_whole_tables_only_and_newer_ones_each_time() -> None:
    arrays, latest = shared_kinds(), 500

    def write() -> None:
        for fill in range(1, latest + 1):
            tables.write(arrays, some_table(1 + fill % 5, 600, float(fill)))

    writer = threading.Thread(target=write)
    writer.start()
    version, found = 0, list[Table]()
    while version < latest:
        seen = tables.read(arrays, version)
        if seen is not None:
            assert seen[0] > version
            version = seen[0]
            found.append(seen[1])
    writer.join()
    for one in found:
        fill = float(one.radii[0])
        assert same(one, some_table(1 + int(fill) % 5, 600, fill))


@pytest.mark.parametrize(
    ("given_table", "why"),
    [
        (some_table(1, COORDINATES_MAX + 1), "centres of 1025 coordinates"),
        (some_table()._replace(names=("splash",)), "each kind has an id, a name"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_table_stays(given_table: Table, why: str) -> None:
    arrays = shared_kinds()
    tables.write(arrays, some_table())
    with pytest.raises(ValueError, match=why):
        tables.write(arrays, given_table)
    found = tables.read(arrays, 0)
    assert found is not None
    assert same(found[1], some_table())


def test_of_too_many_kinds_the_first_are_held() -> None:
    arrays = shared_kinds()
    tables.write(arrays, some_table(KINDS_MAX + 3))
    found = tables.read(arrays, 0)
    assert found is not None
    assert same(found[1], some_table(KINDS_MAX))


def test_a_long_name_is_cut_between_letters() -> None:
    name = "x" + "ü" * NAME_BYTES
    assert shown_name(7, name) == "x" + "ü" * ((NAME_BYTES - 1) // 2)
    arrays = shared_kinds()
    tables.write(arrays, some_table(1)._replace(names=(name,)))
    found = tables.read(arrays, 0)
    assert found is not None
    assert found[1].names == (shown_name(1, name),)


def test_who_has_no_name_is_called_by_its_id() -> None:
    assert shown_name(7, "") == "kind 7"


def test_of_two_kinds_of_one_name_the_more_urgent_priority_holds() -> None:
    one = Table(
        BUNDLE,
        (1, 2, 3, 4),
        ("splash", "splash", "", ""),
        ("low", "critical", "medium", None),
        np.zeros((4, 1), np.float32),
        np.ones(4),
    )
    assert one.priority_of == {"splash": "critical", "kind 3": "medium"}
