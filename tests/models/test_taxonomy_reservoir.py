"""What is kept when not all can be: within bounds, fair over kinds and over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.taxonomy.reservoir import (
    UNNAMED,
    Bounds,
    Item,
    Reservoir,
    add,
    by_kind,
    holding,
    lot,
    renamed,
    usage,
    within_bounds,
    without,
    would_stay,
)
from tests.models.reservoir_reference import Plain, added, bounded

items = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 30)), max_size=60)


def filled(bounds: Bounds, kinds: list[tuple[int, int]], seed: int = 0) -> tuple[Reservoir, set[int]]:
    """A reservoir to which items of (kind, bytes) were added one after the other, and the ids that were dropped."""
    reservoir, dropped = Reservoir(bounds, seed), set()
    for number, (kind, nbytes) in enumerate(kinds):
        reservoir, gone = add(reservoir, Item(number, kind, nbytes))
        dropped |= set(gone)
    return reservoir, dropped


@given(st.data())
def test_what_stays_is_what_the_plain_definition_keeps_through_all_that_happens(data: st.DataObject) -> None:
    bounds = st.builds(Bounds, st.integers(0, 12), st.integers(0, 150))
    seed = data.draw(st.integers(0, 5))
    plain = Plain(data.draw(bounds), seed)
    reservoir = Reservoir(plain.bounds, seed)
    for number in range(data.draw(st.integers(0, 60))):
        did = data.draw(st.sampled_from(["add"] * 12 + ["rename", "take out", "bound"]))
        if did == "add":
            item = Item(7 * number % 61, data.draw(st.integers(-1, 4)), data.draw(st.integers(0, 30)))
            plain, gone = added(plain, item)
            reservoir, dropped = add(reservoir, item)
            assert dropped == gone
        elif did == "rename":
            kinds = {item.id: data.draw(st.integers(0, 3)) for item in plain.items if item.id % 3}
            renewed = [item._replace(kind=kinds.get(item.id, UNNAMED)) for item in plain.items]
            plain, reservoir = plain._replace(items=tuple(renewed)), renamed(reservoir, kinds)
        elif did == "take out":
            out = frozenset(item.id for item in plain.items if item.id % 5 == number % 5)
            plain = plain._replace(items=tuple(item for item in plain.items if item.id not in out))
            reservoir = without(reservoir, out)
        else:
            plain, gone = bounded(plain._replace(bounds=data.draw(bounds)))
            reservoir, dropped = within_bounds(reservoir._replace(bounds=plain.bounds))
            assert dropped == gone
        assert reservoir.items == tuple(sorted(plain.items))
        assert reservoir == holding(plain.bounds, plain.items, seed)
        assert usage(reservoir) == (len(plain.items), sum(item.nbytes for item in plain.items))


@given(items, st.integers(0, 20), st.integers(0, 200), st.integers(0, 5))
def test_bounds_always_hold_and_every_item_is_either_kept_or_dropped(
    kinds: list[tuple[int, int]], most: int, nbytes: int, seed: int
) -> None:
    reservoir, dropped = filled(Bounds(most, nbytes), kinds, seed)
    assert usage(reservoir).items <= most
    assert usage(reservoir).nbytes <= nbytes
    held = {item.id for item in reservoir.items}
    assert held | dropped == set(range(len(kinds)))
    assert not held & dropped


@given(items, st.integers(1, 20), st.integers(0, 5))
def test_nothing_is_dropped_while_there_is_room(kinds: list[tuple[int, int]], most: int, seed: int) -> None:
    reservoir, dropped = filled(Bounds(most, 10_000), kinds, seed)
    assert len(reservoir.items) == min(most, len(kinds))
    assert len(dropped) == max(len(kinds) - most, 0)


@given(st.lists(st.sampled_from([7, 8, 9]), min_size=50, max_size=200), st.integers(1, 10), st.data())
def test_a_flood_of_other_kinds_never_pushes_out_a_kind_within_its_share(
    flood: list[int], rare: int, data: st.DataObject
) -> None:
    bounds = Bounds(40, 10_000)  # four kinds: ten of each
    places = sorted(data.draw(st.lists(st.integers(0, len(flood)), min_size=rare, max_size=rare)))
    kinds = [(kind, 1) for kind in flood]
    for place in reversed(places):
        kinds.insert(place, (1, 1))
    reservoir, _ = filled(bounds, kinds)
    assert by_kind(reservoir)[1].items == rare


@given(st.integers(1, 4), st.integers(0, 100))
def test_the_same_holds_of_bytes(rare: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    flood = [(2, int(size)) for size in rng.integers(5, 40, 60)]
    reservoir, _ = filled(Bounds(1000, 200), [(1, 25)] * rare + flood)
    assert by_kind(reservoir)[1] == (rare, 25 * rare)


def test_many_kinds_share_alike() -> None:
    kinds = [(int(kind), 1) for kind in np.random.default_rng(0).choice(4, 800, p=[0.7, 0.2, 0.07, 0.03])]
    reservoir, _ = filled(Bounds(40, 10_000), kinds)
    assert {kind: one.items for kind, one in by_kind(reservoir).items()} == {0: 10, 1: 10, 2: 10, 3: 10}


def test_what_is_kept_is_spread_over_all_the_time_that_there_was() -> None:
    shares = np.zeros(4)
    for seed in range(30):
        reservoir, _ = filled(Bounds(30, 10_000), [(1, 1)] * 600, seed)
        shares += np.histogram([item.id for item in reservoir.items], bins=4, range=(0, 600))[0] / (30 * 30)
    np.testing.assert_allclose(shares, 0.25, atol=0.06)


def test_what_is_kept_of_a_kind_does_not_depend_on_the_order_in_which_it_came() -> None:
    one, other = Reservoir(Bounds(10, 1000)), Reservoir(Bounds(10, 1000))
    for number in range(50):
        one, _ = add(one, Item(number, 1, 1))
        other, _ = add(other, Item(49 - number, 1, 1))
    assert set(one.items) == set(other.items)


def test_another_seed_keeps_others() -> None:
    kept = [{item.id for item in filled(Bounds(10, 1000), [(1, 1)] * 100, seed)[0].items} for seed in (0, 0, 1)]
    assert kept[0] == kept[1] != kept[2]


def test_lots_are_spread_evenly() -> None:
    lots = np.array([lot(5, number) for number in range(4000)])
    assert ((lots >= 0) & (lots < 1)).all()
    np.testing.assert_allclose(np.histogram(lots, bins=8)[0] / 4000, 1 / 8, atol=0.02)
    assert abs(np.corrcoef(lots[1:], lots[:-1])[0, 1]) < 0.05


def test_an_item_larger_than_the_bound_never_stays_and_drops_nothing_else() -> None:
    reservoir, _ = filled(Bounds(10, 100), [(1, 50)])
    assert add(reservoir, Item(9, 1, 101)) == (reservoir, (9,))


def test_a_large_item_may_cost_several_small_ones() -> None:
    reservoir, dropped = filled(Bounds(10, 100), [(1, 10)] * 10 + [(2, 45)])
    assert len(dropped) == 5
    assert usage(reservoir).nbytes == 95


def test_kinds_that_are_named_anew_share_anew() -> None:
    reservoir, _ = filled(Bounds(8, 1000), [(UNNAMED, 1)] * 8)
    named = renamed(reservoir, {0: 1, 1: 1, 2: 2})
    assert {kind: one.items for kind, one in by_kind(named).items()} == {1: 2, 2: 1, UNNAMED: 5}
    _, dropped = add(named, Item(99, 1, 1))
    assert dropped[0] not in (0, 1, 2, 99)


def test_smaller_bounds_take_effect_at_once() -> None:
    reservoir, _ = filled(Bounds(20, 1000), [(1, 1)] * 15 + [(2, 1)] * 3)
    smaller, dropped = within_bounds(reservoir._replace(bounds=Bounds(6, 1000)))
    assert {kind: one.items for kind, one in by_kind(smaller).items()} == {1: 3, 2: 3}
    assert len(dropped) == 12


def test_it_is_told_beforehand_whether_an_item_would_stay() -> None:
    reservoir, _ = filled(Bounds(10, 1000), [(1, 1)] * 10)
    for number in range(100, 150):
        item = Item(number, 1, 1)
        assert would_stay(reservoir, item) == (number not in add(reservoir, item)[1])


def test_items_that_somebody_took_out_are_gone() -> None:
    reservoir, _ = filled(Bounds(10, 1000), [(1, 1)] * 5)
    assert [item.id for item in without(reservoir, frozenset({1, 3})).items] == [0, 2, 4]


def test_what_makes_no_sense_is_refused() -> None:
    reservoir, _ = filled(Bounds(10, 1000), [(1, 1)])
    for kind, nbytes in ((1, 1), (2, 0), (UNNAMED, 7)):
        with pytest.raises(ValueError, match="is held already"):
            add(reservoir, Item(0, kind, nbytes))
    with pytest.raises(ValueError, match="a size is 0 or more"):
        add(reservoir, Item(1, 1, -1))
