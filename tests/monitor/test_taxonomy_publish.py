"""Which kinds name events, and in which order where there is no room for all."""

from typing import Any

import numpy as np
from kind_examples import shared_kinds
from taxonomy_example import T_NS, kind_row

from monitor.taxonomy import table
from monitor.taxonomy.publish import publish
from monitor.taxonomy.records import KindRow
from monitor.taxonomy.table import KINDS_MAX

BUNDLE = "ab" * 32


def handed_on(*kinds: KindRow) -> table.Table:
    told: list[table.Table] = []
    publish(kinds, BUNDLE, lambda *columns: told.append(table.Table(*columns)))  # type: ignore[arg-type]
    return told[0]


def gone(number: int, seen_s: int, **more: Any) -> KindRow:
    return kind_row(number, state="dormant", last_t_ns=T_NS + seen_s, **more)


def test_dormant_kinds_come_after_living_ones_those_first_that_were_seen_last() -> None:
    found = handed_on(gone(1, 5), gone(2, 9, name="flash", priority="low", radius=3.0), kind_row(3), kind_row(4))
    assert (found.ids, found.names, found.priorities) == (
        (3, 4, 2, 1), ("", "", "flash", ""), (None, None, "low", None)
    )  # fmt: skip
    assert found.radii.tolist() == [0.5, 0.5, 3.0, 0.5]
    assert found.centres.shape == (4, 2)


def test_neither_what_went_into_another_kind_nor_what_died_by_another_network_names_events() -> None:
    other = gone(2, 0, space="cd" * 32, centre=np.zeros(3))
    assert handed_on(kind_row(1, state="merged", merged_into=3), other, kind_row(3)).ids == (3,)
    assert handed_on(other).centres.shape == (0, 0)


def test_where_there_is_no_room_for_all_what_was_gone_for_longest_is_left_out() -> None:
    arrays = shared_kinds()
    dormant = [gone(number, number) for number in range(1, KINDS_MAX + 1)]
    table.write(arrays, handed_on(*dormant, kind_row(100), kind_row(101)))
    found = table.read(arrays, 0)
    assert found is not None
    assert found[1].ids == (100, 101, *range(KINDS_MAX, 2, -1))
