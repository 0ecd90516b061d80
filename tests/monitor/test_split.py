"""Which groups train, which say when to stop and which set limits, where frames are of several contexts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.charts import CalibrationError
from monitor.camera.recordings import Recording
from monitor.split import GROUPS_ENOUGH, STOPPING_FRAMES_MIN, runs_of, split, stopping_frames, with_stretches


def group(name: str, context: str, frames: int = 4) -> Recording:
    """Frames of which each is told by its value."""
    return Recording(name, np.full((frames, 16, 16), len(name), np.uint8), context)


def names(recordings: tuple[Recording, ...]) -> list[str]:
    return [recording.name for recording in recordings]


BY_RUN = [group(f"{context} {run}", context) for run in range(6) for context in ("hatch", "contour")]


def test_the_last_groups_of_each_context_are_held_out() -> None:
    parts = split(BY_RUN, 0.34)
    assert sorted(names(parts.limits)) == ["contour 4", "contour 5", "hatch 4", "hatch 5"]
    assert len(parts.train) == 8


def test_the_order_of_the_contexts_does_not_say_which_groups_are_held_out() -> None:
    sorted_by_context = sorted(BY_RUN, key=lambda one: one.context)
    assert set(names(split(sorted_by_context, 0.34).limits)) == set(names(split(BY_RUN, 0.34).limits))


def test_a_context_of_one_group_is_cut_in_two_and_told_by_name() -> None:
    parts = split([*BY_RUN, group("skin 0", "skin", 10)], 0.5)
    assert [len(one.frames) for one in (*parts.train, *parts.limits) if one.context == "skin"] == [5, 5]
    assert any("there is one group of context skin only (skin 0)" in warning for warning in parts.warnings)
    assert any("the limits of context hatch rest on 3 held-out groups" in warning for warning in parts.warnings)


def test_frames_without_context_are_held_out_for_themselves() -> None:
    parts = split([*BY_RUN, *(group(f"any {run}", "") for run in range(4))], 0.5)
    assert {"any 2", "any 3"} <= set(names(parts.limits))
    assert any("the limits of frames without context rest on 2" in warning for warning in parts.warnings)


@given(st.lists(st.sampled_from(["hatch", "contour", "skin", ""]), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_every_frame_has_one_role_and_every_context_both(contexts: list[str], held_out: float) -> None:
    recordings = [group(str(index), context, 9) for index, context in enumerate(contexts)]
    parts = split(recordings, held_out)
    for context in set(contexts):
        train, limits = ([one for one in part if one.context == context] for part in (parts.train, parts.limits))
        assert sum(len(one.frames) for one in train)
        assert sum(len(one.frames) for one in limits)
        assert sum(len(one.frames) for one in (*train, *limits)) == 9 * contexts.count(context)


STRETCHES = [group(f"clean {context} {run}", context) for run in range(3) for context in ("hatch", "contour")]


def test_with_stretches_all_recordings_train_and_only_the_stretches_set_limits() -> None:
    parts = with_stretches(BY_RUN, STRETCHES)
    assert parts.train == tuple(BY_RUN)
    assert parts.limits == tuple(STRETCHES)


def test_too_few_stretches_are_told_and_one_run_in_two_contexts_is_one() -> None:
    def told(count: int) -> tuple[str, ...]:
        path = "{context}/run{run}.npy"
        return with_stretches(
            BY_RUN, [*runs("hatch", path, range(count)), *runs("contour", path, range(count))]
        ).warnings

    [warning] = told(GROUPS_ENOUGH - 1)
    assert warning.startswith("the limits rest on 8 held-out groups")
    assert told(GROUPS_ENOUGH) == ()


@pytest.mark.parametrize(
    ("learned", "clean", "odd"),
    [
        (BY_RUN, [one for one in STRETCHES if one.context == "hatch"], "context contour"),
        ([one for one in BY_RUN if one.context == "contour"], STRETCHES, "context hatch"),
        (BY_RUN, [*STRETCHES, group("any", "")], "frames without context"),
    ],
)
def test_stretches_that_do_not_show_what_the_network_learns_are_refused(
    learned: list[Recording], clean: list[Recording], odd: str
) -> None:
    with pytest.raises(CalibrationError, match=f"must show the same contexts: {odd} is in one of them only"):
        with_stretches(learned, clean)


def runs(context: str, path: str, numbers: range) -> list[Recording]:
    return [group(path.format(context=context, run=run), context) for run in numbers]


NAMED = [
    "{context}/run{run}.npy",
    "data/run{run}/{context}.tif",
    "run{run}.h5:/{context}",
    "stream a, layer {run}, {context}",
]


@pytest.mark.parametrize("path", NAMED)
def test_a_run_that_sets_limits_in_one_context_trains_in_none(path: str) -> None:
    recordings = [*runs("hatch", path, range(1, 10)), *runs("contour", path, range(4, 10))]
    parts = split(recordings, 0.34)
    assert len({runs_of(recordings)[index] for index in (6, 7, 8, 12, 13, 14)}) == 3, "runs 7 to 9 of both"
    assert names(parts.limits) == names((*recordings[6:9], *recordings[12:15]))
    assert not any("one run" in warning or "its run" in warning for warning in parts.warnings)


def test_the_order_of_the_runs_may_differ_between_contexts() -> None:
    hatch, contour = (runs(context, "{context}/run{run}.npy", range(1, 7)) for context in ("hatch", "contour"))
    parts = split([*hatch, *contour[::-1]], 0.34)
    assert set(runs_of(parts.train)) == {"run3", "run4"}
    assert set(runs_of(parts.limits)) == {"run1", "run2", "run5", "run6"}


def test_a_context_whose_runs_are_all_held_out_elsewhere_trains_all_the_same_and_is_told() -> None:
    recordings = [
        *runs("hatch", "{context}/run{run}.npy", range(1, 7)),
        *runs("skin", "{context}/run{run}.npy", range(5, 7)),
    ]
    parts = split(recordings, 0.34)
    assert "skin/run5.npy" in names(parts.train)
    assert any(one.startswith("skin/run5.npy trains the network, though its run sets limits") for one in parts.warnings)


@pytest.mark.parametrize(("contours", "told"), [(6, False), (4, True)])
def test_names_that_say_nothing_of_runs_are_told_where_counts_differ(contours: int, told: bool) -> None:
    recordings = [*runs("hatch", "h{run}.npy", range(6)), *runs("contour", "c{run}.npy", range(contours))]
    assert any("no names say which are of one run" in one for one in split(recordings, 0.34).warnings) == told


def test_a_name_that_all_groups_share_tells_no_run() -> None:
    recordings = [group(f"day{day}/frames.npy", "hatch") for day in range(3)]
    assert len(set(runs_of(recordings))) == 3


@pytest.mark.parametrize("held_out", [0.01, 0.34, 0.67, 0.99])
def test_a_group_of_two_frames_gives_both_parts_one(held_out: float) -> None:
    parts = split([group("only", "", 2)], held_out)
    assert [len(one.frames) for one in (*parts.train, *parts.limits)] == [1, 1]


@pytest.mark.parametrize(
    ("recordings", "told"),
    [
        ([group("single.npy", "", 1)], "there is one frame only (single.npy): it cannot both train"),
        ([*BY_RUN, group("a/0.npy", "skin", 1)], "there is one frame of context skin only (a/0.npy)"),
    ],
)
def test_a_single_frame_is_refused_where_it_would_have_both_roles(recordings: list[Recording], told: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        split(recordings, 0.67)
    assert told in str(caught.value)


def test_frames_of_one_file_are_learned_from_where_they_lie() -> None:
    only = group("only", "", 400)
    assert all(np.shares_memory(part, only.frames) for part in stopping_frames([only]))


def test_each_context_says_when_to_stop() -> None:
    count = STOPPING_FRAMES_MIN
    recordings = [group("x" * (run + 1), context, count) for context in ("hatch", "contour") for run in range(10)]
    learned, stopping = stopping_frames(recordings)
    assert stopping[:, 0, 0].tolist() == [10] * 2 * count, "the last group of both"
    assert sorted(set(learned[:, 0, 0].tolist())) == list(range(1, 10))
    assert len(learned) == 18 * count


def test_many_small_groups_give_a_tenth_of_themselves() -> None:
    recordings = [group("x" * (run + 1), "", 20) for run in range(40)]
    learned, stopping = stopping_frames(recordings)
    assert sorted(set(stopping[:, 0, 0].tolist())) == [37, 38, 39, 40]
    assert (len(learned), len(stopping)) == (720, 80)


def test_a_context_of_few_groups_gives_the_end_of_its_last_one() -> None:
    recordings = [group("hatch", "hatch", 400), group("contours", "contour", 400)]
    learned, stopping = stopping_frames(recordings)
    assert np.unique(stopping[:, 0, 0], return_counts=True)[1].tolist() == [40, 40]
    assert len(learned) == 720
