"""Kinds that last: what becomes of them from run to run, and what never may."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.taxonomy.identity import (
    Change,
    Cluster,
    Kind,
    Kinds,
    called,
    clusters_of,
    match,
    noted,
    prioritised,
)


def cluster(members: Sequence[int], at: float = 0.0, radius: float = 1.0) -> Cluster:
    return Cluster(frozenset(members), np.array([at, 0.0]), radius)


def found(*clusters: Cluster) -> Kinds:
    return match(Kinds(), clusters)[0]


A, B = range(100, 110), range(200, 210)


def test_what_is_found_first_is_born() -> None:
    kinds, changes = match(Kinds(), [cluster(B, 9), cluster(A)])
    assert changes == [Change("born", 1), Change("born", 2)]
    assert [kind.members for kind in kinds.kinds] == [frozenset(A), frozenset(B)]
    assert kinds.next_id == 3


def test_a_kind_survives_while_its_members_come_and_go() -> None:
    kinds, changes = match(found(cluster(A)), [cluster([*range(106, 110), *range(300, 320)], 0.3)])
    assert changes == [Change("survived", 1)]
    assert kinds.of(1).centre[0] == 0.3
    assert kinds.of(1).members == {*range(106, 110), *range(300, 320)}


def test_a_kind_whose_members_have_all_left_survives_by_where_it_lies() -> None:
    kinds, changes = match(found(cluster(A), cluster(B, 9)), [cluster(range(300, 310), 0.4), cluster(B, 9)])
    assert changes == [Change("survived", 1), Change("survived", 2)]
    assert kinds.of(1).members == frozenset(range(300, 310))


def test_new_points_beyond_its_reach_are_another_kind() -> None:
    _, changes = match(found(cluster(A)), [cluster(range(300, 310), 1.1)])
    assert changes == [Change("died", 1), Change("born", 2)]


def test_the_larger_part_of_a_split_keeps_id_and_name() -> None:
    before = called(found(cluster(A)), 1, "spatter")
    kinds, changes = match(before, [cluster(range(100, 104)), cluster(range(104, 110))])
    assert changes == [Change("split", 1, (2,)), Change("born", 2, (1,))]
    assert kinds.of(1).members == frozenset(range(104, 110))
    assert (kinds.of(1).name, kinds.of(2).name) == ("spatter", "")
    assert kinds.of(2).parent == 1


def test_a_split_in_three_has_no_majority_and_keeps_the_id_all_the_same() -> None:
    _, changes = match(
        found(cluster(A)), [cluster(part) for part in (range(100, 104), (104, 105, 106), (107, 108, 109))]
    )
    assert changes == [Change("split", 1, (2, 3)), Change("born", 2, (1,)), Change("born", 3, (1,))]


def test_a_few_strays_of_a_kind_do_not_make_it_a_parent() -> None:
    _, changes = match(found(cluster(A)), [cluster(range(100, 109)), cluster([109, *range(300, 310)], 5)])
    assert changes == [Change("survived", 1), Change("born", 2)]


def test_the_larger_kind_survives_a_merge_and_the_other_is_remembered() -> None:
    before = found(cluster(A), cluster([*B, 210, 211], 9))
    kinds, changes = match(before, [cluster([*A, *B, 210, 211])])
    assert changes == [Change("merged", 2, (1,))]
    assert (kinds.of(1).state, kinds.of(1).merged_into) == ("merged", 2)
    assert [kind.id for kind in kinds.alive] == [2]


def test_a_named_kind_survives_a_merge_before_a_larger_one_without_a_name() -> None:
    before = called(found(cluster(A), cluster([*B, 210, 211], 9)), 1, "plume")
    kinds, changes = match(before, [cluster([*A, *B, 210, 211])])
    assert changes == [Change("merged", 1, (2,))]
    assert kinds.of(1).name == "plume"


def test_names_and_notes_of_what_was_merged_are_kept_as_notes() -> None:
    before = called(called(found(cluster(A), cluster([*B, 210], 9)), 1, "plume"), 2, "splash")
    before = prioritised(noted(noted(before, 1, "seen on Monday"), 2, "harmless"), 1, "high")
    kinds, _ = match(before, [cluster([*A, *B, 210])])
    survivor = kinds.of(2)
    assert survivor.name == "splash"
    assert survivor.notes == ("harmless", "was plume", "seen on Monday")
    assert survivor.priority == "high"
    assert kinds.of(1).name == "plume"


@pytest.mark.parametrize(
    ("survives", "goes", "then"),
    [
        ("low", "critical", "critical"),
        ("high", "low", "high"),
        (None, "low", None),
        (None, "high", "high"),
        ("medium", None, "medium"),
        ("low", None, "low"),
    ],
)
def test_what_survives_a_merge_is_as_urgent_as_anybody_had_called_either(
    survives: str | None, goes: str | None, then: str | None
) -> None:
    before = called(called(found(cluster(A), cluster([*B, 210], 9)), 1, "plume"), 2, "splash")
    before = prioritised(prioritised(before, 1, goes), 2, survives)
    kinds, _ = match(before, [cluster([*A, *B, 210])])
    assert (kinds.of(2).priority, kinds.of(1).priority) == (then, goes)


def test_kinds_that_part_again_have_their_old_ids_and_names() -> None:
    before = called(called(found(cluster(A), cluster([*B, 210], 9)), 1, "plume"), 2, "splash")
    merged, _ = match(before, [cluster([*A, *B, 210])])
    kinds, changes = match(merged, [cluster(A), cluster([*B, 210], 9)])
    assert changes == [Change("returned", 1, (2,)), Change("split", 2, (1,))]
    assert [(kind.id, kind.name, kind.state) for kind in kinds.kinds] == [(1, "plume", "alive"), (2, "splash", "alive")]
    assert kinds.of(1).merged_into is None


def test_a_kind_that_vanishes_is_dormant_and_comes_back_under_its_old_id() -> None:
    before = called(found(cluster(A), cluster(B, 9)), 1, "plume")
    without, changes = match(before, [cluster(B, 9)])
    assert changes == [Change("died", 1), Change("survived", 2)]
    assert (without.of(1).state, without.of(1).name, without.of(1).radius) == ("dormant", "plume", 1.0)
    for _ in range(3):
        without, changes = match(without, [cluster(B, 9)])
        assert changes == [Change("survived", 2)]
    kinds, changes = match(without, [cluster(B, 9), cluster(range(300, 306), 0.9)])
    assert changes == [Change("returned", 1), Change("survived", 2)]
    assert (kinds.of(1).state, kinds.of(1).name) == ("alive", "plume")


def test_a_cluster_beyond_the_reach_of_a_dormant_kind_is_a_new_one() -> None:
    without, _ = match(found(cluster(A), cluster(B, 9)), [cluster(B, 9)])
    _, changes = match(without, [cluster(B, 9), cluster(range(300, 306), 1.2)])
    assert changes == [Change("survived", 2), Change("born", 3)]


def test_a_dormant_kind_comes_back_by_its_last_members_wherever_they_lie() -> None:
    without, _ = match(found(cluster(A), cluster(B, 9)), [cluster(B, 9)])
    _, changes = match(without, [cluster(B, 9), cluster(A, 5)])
    assert changes == [Change("returned", 1), Change("survived", 2)]


def test_a_kind_with_one_stray_in_another_has_died_and_was_not_merged() -> None:
    kinds, changes = match(found(cluster(A), cluster(B, 9)), [cluster([*B, 100], 9)])
    assert changes == [Change("died", 1), Change("survived", 2)]
    assert kinds.of(1).state == "dormant"


def test_two_kinds_that_swap_some_members_stay_who_they_are() -> None:
    before = found(cluster(A), cluster(B, 9))
    _, changes = match(before, [cluster([*A[:7], *B[:3]], 9), cluster([*B[3:], *A[7:]], 0)])
    assert changes == [Change("survived", 1), Change("survived", 2)]


def test_without_clusters_all_die_and_without_kinds_all_are_born() -> None:
    kinds, changes = match(found(cluster(A), cluster(B, 9)), [])
    assert changes == [Change("died", 1), Change("died", 2)]
    assert kinds.alive == ()
    assert match(Kinds(), []) == (Kinds(), [])


@pytest.mark.parametrize("clusters", [[cluster(A), cluster([100, 300])], [cluster([])]])
def test_clusters_that_share_points_or_have_none_are_refused(clusters: list[Cluster]) -> None:
    with pytest.raises(ValueError, match="each point is in one cluster"):
        match(Kinds(), clusters)


def test_what_people_say_of_a_kind_is_kept_and_an_unknown_one_is_refused() -> None:
    kinds = prioritised(noted(called(found(cluster(A)), 1, "spatter"), 1, "gas flow"), 1, "low")
    assert (kinds.of(1).name, kinds.of(1).notes, kinds.of(1).priority) == ("spatter", ("gas flow",), "low")
    for change in (lambda: called(kinds, 7, "x"), lambda: noted(kinds, 7, "x"), lambda: prioritised(kinds, 7, None)):
        with pytest.raises(KeyError, match="no kind 7"):
            change()


def test_clusters_are_made_of_labels_ids_and_points() -> None:
    points = np.array([[0.0, 0], [0, 1], [5, 5], [9, 9], [0, 2]])
    [one] = clusters_of([0, 0, -1, -2, 0], [7, 8, 9, 10, 11], points)
    assert one.members == {7, 8, 11}
    np.testing.assert_allclose(one.centre, [0, 1])
    assert one.radius > 1


# What always holds

Run = list[tuple[int, ...]]


@st.composite
def runs(draw: st.DrawFn) -> list[Run]:
    """Some runs: each groups some of forty points in some way."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        labels = draw(st.lists(st.integers(-1, 5), min_size=40, max_size=40))
        groups = [tuple(point for point, label in enumerate(labels) if label == kind) for kind in range(6)]
        found.append([group for group in groups if group])
    return found


def as_clusters(run: Run) -> list[Cluster]:
    return [cluster(members, float(np.mean(members)), 2.0) for members in run]


def plain(kind: Kind) -> tuple[object, ...]:
    return (*kind[:1], kind.centre.tolist(), *kind[2:])


def through(all_runs: list[Run]) -> list[Kinds]:
    """The kinds after each run; every second kind is named as soon as it is there."""
    kinds, after = Kinds(), []
    for run in all_runs:
        kinds, _ = match(kinds, as_clusters(run))
        for kind in kinds.kinds:
            if kind.id % 2 == 0 and not kind.name:
                kinds = called(kinds, kind.id, f"name {kind.id}")
        after.append(kinds)
    return after


@given(runs(), st.randoms())
def test_the_order_of_clusters_changes_nothing(all_runs: list[Run], random: object) -> None:
    before = through(all_runs[:-1])[-1] if len(all_runs) > 1 else Kinds()
    clusters = as_clusters(all_runs[-1])
    shuffled = list(clusters)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    (one, changes), (other, others) = match(before, clusters), match(before, shuffled)
    assert list(map(plain, one.kinds)) == list(map(plain, other.kinds))
    assert changes == others


@given(runs())
def test_the_same_run_a_second_time_changes_nothing(all_runs: list[Run]) -> None:
    kinds = through(all_runs)[-1]
    again, changes = match(kinds, as_clusters(all_runs[-1]))
    assert list(map(plain, again.kinds)) == list(map(plain, kinds.kinds))
    assert {change.what for change in changes} <= {"survived"}


@given(runs())
def test_ids_are_never_used_again_and_names_never_lost(all_runs: list[Run]) -> None:
    known: dict[int, str] = {}
    highest = 0
    for kinds in through(all_runs):
        ids = [kind.id for kind in kinds.kinds]
        assert len(set(ids)) == len(ids)
        assert set(known) <= set(ids)
        assert all(number > highest for number in set(ids) - set(known))
        assert all(kinds.of(number).name == name for number, name in known.items() if name)
        known = {kind.id: kind.name for kind in kinds.kinds}
        highest = max(ids, default=highest)
        assert kinds.next_id > highest


@given(runs())
def test_every_cluster_is_one_living_kind_and_every_change_is_accounted_for(all_runs: list[Run]) -> None:
    kinds = Kinds()
    for run in all_runs:
        before = {kind.id: kind.state for kind in kinds.kinds}
        kinds, changes = match(kinds, as_clusters(run))
        assert sorted(sorted(kind.members) for kind in kinds.alive) == sorted(sorted(members) for members in run)
        told = {change.id for change in changes} | {
            number for change in changes if change.what == "merged" for number in change.others
        }
        assert told == {kind.id for kind in kinds.alive} | {one for one, state in before.items() if state == "alive"}


def test_identities_last_over_fifty_runs_while_the_points_change_and_one_kind_comes_and_goes() -> None:
    rng = np.random.default_rng(0)
    centres = {"plume": 0.0, "splash": 10.0, "spatter": 20.0, "stripes": 30.0}
    held: dict[str, list[tuple[int, float]]] = {name: [] for name in centres}
    kinds, ids, next_point = Kinds(), {}, 0
    for run in range(50):
        for name, centre in centres.items():
            gone = name == "stripes" and 15 <= run < 30
            for _ in range(0 if gone else 10):
                held[name].append((next_point, centre + rng.normal(0, 1)))
                next_point += 1
            held[name] = [] if gone else [held[name][i] for i in sorted(rng.permutation(len(held[name]))[:40])]
        labels = [name for name in centres for _ in held[name]]
        points = np.array([[where, 0.0] for name in centres for _, where in held[name]])
        numbers = [point for name in centres for point, _ in held[name]]
        groups = np.unique(labels, return_inverse=True)[1]
        kinds, changes = match(kinds, clusters_of(rng.permutation(4)[groups], numbers, points))
        for name in centres:
            if held[name]:
                [kind] = [one for one in kinds.alive if held[name][-1][0] in one.members]
                assert ids.setdefault(name, kind.id) == kind.id, f"{name} in run {run}"
        if run == 2:
            kinds = called(kinds, ids["stripes"], "stripes")
        assert {change.what for change in changes} <= {"born", "survived", "died", "returned"}
    assert kinds.next_id == 5
    assert kinds.of(ids["stripes"]).name == "stripes"
