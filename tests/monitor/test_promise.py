"""What the hot process keeps of all judged time: seconds, block extremes and evidence of a drift, in any batches."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from budget import CONFIG, with_budget
from hypothesis import example, given
from hypothesis import strategies as st
from promise_example import BUDGET, PERIOD_NS, RATE_HZ, SCALE, T_NS, budget, rows, unit_log
from test_watch import Bench

from calibration.blocks import event_statistic
from calibration.drift import Drift
from calibration.drift_fit import fit_drift
from monitor import blocklog, unitlog, vitals
from monitor.blockstore import Block
from monitor.budget import FittedStops
from monitor.bundle import Bundle
from monitor.manifest import FittedDrift
from monitor.promise import (
    BLOCK_S,
    GATHERED,
    GATHERED_NS,
    SHARE_MOST,
    BlockKeeper,
    DriftWatch,
    JudgedTime,
    Witness,
    kept_block_frames,
    witness_of,
)
from monitor.shared import Arrays, lay_out, size_of
from monitor.vitals import read_text

Rows = npt.NDArray[np.void]
PERIOD_S = 1 / RATE_HZ
CUTS = st.lists(st.integers(0, 200), max_size=8).map(sorted)


def cut(frames: Rows, cuts: list[int]) -> list[Rows]:
    return [frames[lo:hi] for lo, hi in pairwise([0, *cuts, len(frames)]) if hi > lo]


# Judged time


def seconds_of(*batches: Rows) -> float:
    time = JudgedTime(RATE_HZ)
    return sum(time.take(batch) for batch in batches)


def timed(periods: npt.ArrayLike, seq: npt.ArrayLike | None = None, **columns: Any) -> Rows:
    """Frames so many *periods* after the first of all."""
    t_ns = T_NS + (np.asarray(periods) * PERIOD_NS).astype(np.int64)
    made = rows(np.zeros(len(t_ns)), t_ns=t_ns, **columns)
    made["seq"] = made["seq"] if seq is None else seq
    return made


def test_frames_that_follow_each_other_take_what_their_clock_says() -> None:
    assert seconds_of(timed(np.arange(50))) == pytest.approx(50 * PERIOD_S)
    assert seconds_of(timed(2.0 * np.arange(50))) == pytest.approx(99 * PERIOD_S), "half as fast as the rate says"


@pytest.mark.parametrize("after", [[50, 51, 52], [10**6, 10**6 + 1, 10**6 + 2]])
def test_a_frame_after_a_gap_takes_a_period_whoever_was_lost_or_not_active(after: list[int]) -> None:
    assert seconds_of(timed([0, 1, 2, *after], [0, 1, 2, *after])) == pytest.approx(6 * PERIOD_S)


def test_while_the_process_is_off_nothing_is_judged() -> None:
    hour = 3600 * RATE_HZ
    assert seconds_of(timed([0, 1, 2, hour, hour + 1])) == pytest.approx(5 * PERIOD_S), "no seq is lost by a pause"


def test_frames_of_one_message_may_have_one_time_in_common() -> None:
    messages = np.repeat(np.arange(6) * 16, 16)
    assert seconds_of(timed(messages), timed([96], [96])) == pytest.approx(97 * PERIOD_S)
    pause = np.repeat([0, 16, 10**5, 10**5 + 16, 10**5 + 32], 16)
    assert seconds_of(timed(pause)) == pytest.approx(65 * PERIOD_S), "the last message's time is known with the next"


def test_a_clock_that_is_set_back_takes_no_time_away() -> None:
    assert seconds_of(timed([0, 1, 2, -500, -499])) == pytest.approx(5 * PERIOD_S)


def test_another_stream_has_a_clock_of_its_own() -> None:
    one, two = timed(np.arange(10)), timed(np.arange(20) + 9.5, stream="two")
    assert seconds_of(one, two, one) == pytest.approx(40 * PERIOD_S)


STEPS = st.sampled_from([0.0, 0.0, 1.0, 1.0, 1.0, 3.0, -7.0, 400.0])


@given(steps=st.lists(st.tuples(STEPS, st.sampled_from([1, 1, 1, 5])), min_size=200, max_size=200), cuts=CUTS)
def test_judged_time_is_the_same_in_any_batches_and_never_falls(
    steps: list[tuple[float, int]], cuts: list[int]
) -> None:
    periods, gaps = np.array(steps).T
    frames = timed(periods.cumsum(), gaps.cumsum().astype(np.int64))
    time = JudgedTime(RATE_HZ)
    taken = [time.take(part) for part in cut(frames, cuts)]
    assert sum(taken) == pytest.approx(seconds_of(frames))
    assert min(taken) >= 0


# Blocks


def keep(batches: list[Rows], **changes: Any) -> list[Block]:
    """The blocks that the frames of *batches* finish, each frame of which takes a second."""
    keeper = BlockKeeper(budget(**changes), SCALE, "hot-1")
    return [block for batch in batches for block in keeper.take(batch, float(len(batch)), T_NS)]


def scores(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Joint scores in times the limit."""
    return np.random.default_rng(seed).exponential(0.2, count)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (3, 5)])
@given(cuts=CUTS)
@example(cuts=[30, 60, 90])
@example(cuts=[29, 31, 150])
def test_any_batches_give_the_same_extremes(k: int, n: int, cuts: list[int]) -> None:
    joint = scores(200)
    expected = event_statistic(joint * BUDGET.action, k, n)[:180].reshape(6, 30).max(axis=1)
    found = keep(cut(rows(joint), cuts), k=k, n=n)
    assert [block.extreme for block in found] == expected.tolist()


@given(cuts=CUTS)
def test_blocks_are_numbered_and_hold_their_frames_and_all_judged_time(cuts: list[int]) -> None:
    batches = cut(rows(scores(200), first_seq=1000), cuts)
    found = keep(batches)
    assert [block.number for block in found] == list(range(6))
    assert {(block.stream, block.job, block.scale, block.epoch, block.frames) for block in found} == {
        ("one", "part 7", SCALE, "hot-1", 30)
    }
    assert [(block.first_seq, block.last_seq) for block in found] == [
        (1000 + 30 * index, 1000 + 30 * index + 29) for index in range(6)
    ]
    judged = next(at for at in np.cumsum([len(batch) for batch in batches]).tolist() if at >= 180)
    assert sum(block.judged_s for block in found) == pytest.approx(judged)


@given(cuts=CUTS)
def test_with_a_rule_for_stops_each_block_keeps_the_extreme_of_that_too(cuts: list[int]) -> None:
    joint = scores(200)
    stops = FittedStops(**{name: getattr(BUDGET, name) for name in FittedStops.__struct_fields__} | {"k": 3, "n": 5})
    keeper = BlockKeeper(budget(stops=stops), SCALE, "hot-1")
    found = [block for batch in cut(rows(joint), cuts) for block in keeper.take(batch, float(len(batch)), T_NS)]
    found += keeper.finish(T_NS)
    expected = event_statistic(joint * BUDGET.action, 3, 5)
    assert [block.stop for block in found] == [expected[at : at + 30].max() for at in range(0, 200, 30)]
    assert {block.rule for block in found} == {"3 of 5"}
    assert [block.extreme for block in found][:6] == [block.extreme for block in keep([rows(joint)])]


def test_a_block_whose_frames_raised_an_alarm_stays() -> None:
    joint = scores(90)
    joint[40:50] = 12.5
    assert [block.extreme > BUDGET.action for block in keep([rows(joint)])] == [False, True, False]
    assert keep([rows(joint)])[1].extreme == 50.0


def test_another_stream_ends_the_block_and_continues_no_window() -> None:
    quiet, high = np.full(20, 0.1), np.append(np.full(19, 0.1), 9.0)
    batches = [rows(high), rows(high[::-1], stream="two", job=b"part 8"), rows(quiet, 20, "two", job=b"part 8")]
    first, second = keep(batches)
    assert (first.stream, first.job, first.first_seq, first.last_seq, first.frames) == ("one", "part 7", 0, 19, 20)
    assert (second.stream, second.job, second.first_seq, second.last_seq, second.frames) == ("two", "part 8", 0, 29, 30)
    assert (first.judged_s, second.judged_s) == (20.0, 40.0)
    assert max(first.extreme, second.extreme) == pytest.approx(0.4), "two high frames of two streams are no event"
    one = rows(np.concatenate((high, high[::-1])))
    assert keep([one])[0].extreme == 36.0, "of one stream they are"


def test_a_stream_that_ends_with_its_block_leaves_none_over() -> None:
    found = keep([rows(scores(30)), rows(scores(30), stream="two"), rows(scores(5), stream="three")])
    assert [(block.stream, block.frames) for block in found] == [("one", 30), ("two", 30)]


def test_at_the_end_the_unfinished_block_is_kept_too() -> None:
    """It may hold the very event that ended it."""
    keeper = BlockKeeper(BUDGET, SCALE, "hot-1")
    assert len(keeper.take(rows(scores(40)), 0.4, T_NS)) == 1
    [last] = keeper.finish(T_NS)
    assert (last.frames, last.last_seq) == (10, 39)
    assert keeper.finish(T_NS) == []


@pytest.mark.parametrize(
    ("per_hour", "block_frames", "frames"),
    [
        (1.0, 30, 960),  # nearly ten seconds of a hundred frames a second
        (36.0, 30, 120),  # less than a fiftieth of all blocks, 36 times an hour: two seconds
        (240.0, 30, 30),
        (3600.0, 30, 30),  # never shorter than the dead time
        (1.0, 5000, 5000),
    ],
)
def test_kept_blocks_are_as_long_as_can_be_and_dead_times_doubled(
    per_hour: float, block_frames: int, frames: int
) -> None:
    found = kept_block_frames(budget(per_hour=per_hour, block_frames=block_frames))
    assert found == frames
    seconds = found / RATE_HZ
    assert found == block_frames or (seconds <= BLOCK_S and per_hour * seconds / 3600 <= SHARE_MOST)


# Drift


@pytest.fixture(scope="module")
def fitted() -> FittedDrift:
    in_control = np.random.default_rng(3).exponential(1 / np.log(10), 6000)  # on a perfect scale, in decades
    joint = in_control[in_control <= BUDGET.action]
    found = fit_drift(joint, np.zeros(len(joint), np.int64), np.zeros(len(joint), np.int64))
    assert found is not None
    return FittedDrift.of(found)


def fresh(count: int, seed: int, rarer: npt.ArrayLike = 0.0) -> npt.NDArray[np.float64]:
    """Joint scores in times the limit, *rarer* by so many decades than at calibration."""
    return (np.random.default_rng(seed).exponential(1 / np.log(10), count) + rarer) / BUDGET.action


def drifted(fitted: FittedDrift, joint: npt.NDArray[np.float64], batch: int = 64) -> Drift:
    watch = DriftWatch(fitted, BUDGET, 1.0)
    for first in range(0, len(joint), batch):
        watch.take(joint[first : first + batch])
    return watch.drift


def test_scores_that_stay_as_they_were_do_not_drift(fitted: FittedDrift) -> None:
    drift = drifted(fitted, fresh(6000, 8))
    assert drift.judged > 150
    assert not drift.stale
    assert abs(drift.shift) < 0.1


def test_a_ramp_of_the_scores_is_found(fitted: FittedDrift) -> None:
    drift = drifted(fitted, fresh(6000, 8, np.linspace(0, 0.6, 6000)))
    assert drift.stale
    assert drift.shift > 0.2


def test_frames_over_the_limit_say_nothing_of_a_drift(fitted: FittedDrift) -> None:
    joint = np.minimum(fresh(3000, 9), 1.0)
    with_alarms = np.insert(joint, np.repeat(np.arange(10, 3000, 100), 15), 7.5)
    ignored, without = drifted(fitted, with_alarms), drifted(fitted, joint)
    assert (ignored.judged, ignored.evidence, ignored.shift) == (without.judged, without.evidence, without.shift)


# All of it


def memory() -> tuple[Arrays, Arrays]:
    fields = vitals.fields(4), blocklog.fields()
    board, log = lay_out(bytearray(size_of(*fields)), *fields)
    return board, log


def witness(fitted: FittedDrift | None, board: Arrays, log: Arrays) -> Witness:
    blocklog.begin(log, "hot-1")
    watched = None if fitted is None else DriftWatch(fitted, BUDGET, 1.0)
    return Witness(JudgedTime(RATE_HZ), BlockKeeper(BUDGET, SCALE, "hot-1"), watched, None, board, log)


def seen(frames: Rows, fitted: FittedDrift | None, batch: int = 50) -> tuple[Arrays, list[Block]]:
    board, log = memory()
    watching = witness(fitted, board, log)
    for first in range(0, len(frames), batch):
        watching.take(frames[first : first + batch], T_NS)
    return board, blocklog.read(log, blocklog.START, SCALE)[0]


def test_a_witness_tells_judged_time_blocks_and_evidence(fitted: FittedDrift) -> None:
    board, blocks = seen(rows(fresh(3000, 8)), fitted)
    assert board["judged_s"][0] == pytest.approx(30.0)
    assert len(blocks) == 100
    assert sum(block.judged_s for block in blocks) == pytest.approx(30.0)
    assert 0 < board["drift_evidence"][0] < 1
    assert abs(board["drift_shift"][0]) < 0.2
    assert read_text(board, "drift_why") == ""


def test_a_drift_is_told_in_words(fitted: FittedDrift) -> None:
    board, _ = seen(rows(fresh(6000, 8, np.linspace(0, 0.6, 6000))), fitted)
    assert board["drift_evidence"][0] >= 1
    assert "calibrate anew" in read_text(board, "drift_why")


def test_streams_within_a_batch_are_told_apart() -> None:
    both = np.concatenate((rows(fresh(70, 1)), rows(fresh(40, 2), stream="two"), rows(fresh(70, 1))))
    whole, apart = seen(both, None, 1000), seen(both, None, 10)
    assert [(one.stream, one.frames, one.extreme) for one in whole[1]] == [
        (one.stream, one.frames, one.extreme) for one in apart[1]
    ]
    assert [block.frames for block in whole[1]] == [30, 30, 10, 30, 10, 30, 30]
    assert whole[0]["judged_s"][0] == pytest.approx(apart[0]["judged_s"][0]) == pytest.approx(1.8)


def test_a_batch_of_which_nothing_was_judged_changes_nothing(fitted: FittedDrift) -> None:
    board, blocks = seen(rows([]), fitted, 1)
    watching = witness(fitted, board, memory()[1])
    watching.take(rows([]), T_NS)
    assert (board["judged_s"][0], blocks) == (0.0, [])


@pytest.fixture(scope="module")
def budgeted(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_budget(small_bundle, Path(tmp_path_factory.mktemp("budget")) / "bundle")


def test_a_restarted_process_goes_on_with_time_and_begins_anew_with_the_rest(budgeted: Bundle) -> None:
    board, log = memory()
    units, windows = unit_log(), list[int]()
    held = budgeted.manifest
    assert held.budget is not None
    frames = kept_block_frames(held.budget)
    found = []
    for epoch in ("hot-1", "hot-2"):
        board["drift_why"][0], board["drift_evidence"][0] = b"they have drifted", 7.0
        watching = witness_of(CONFIG, held, epoch, board, log, units)
        assert (read_text(board, "drift_why"), board["drift_evidence"][0]) == ("", 0.0)
        watching.take(rows(np.full(2 * frames + 5, 0.1)), T_NS)
        found += blocklog.read(log, blocklog.START, held.scale)[0]
        assert watching.rates is not None
        watching.rates.judge()
        told, position = unitlog.read(units, blocklog.START)
        assert position.epoch == epoch
        assert sum(unit.frames for unit in told) <= 2 * frames + 5
        assert [unit.why for unit in told] == [""] * len(told)
        windows.append(len(told))
    assert [(block.epoch, block.number, block.scale) for block in found] == [
        (epoch, number, held.scale) for epoch in ("hot-1", "hot-2") for number in range(2)
    ]
    assert board["judged_s"][0] == pytest.approx(2 * (2 * frames + 5) * PERIOD_S)
    assert held.rates is not None
    assert windows == [(2 * frames + 5) // held.rates.window] * 2


def test_limits_per_frame_keep_no_blocks_but_count_time_at_the_configured_rate(small_bundle: Bundle) -> None:
    board, log = memory()
    config = msgspec.structs.replace(CONFIG, input=msgspec.structs.replace(CONFIG.input, rate_hz=50.0))
    watching = witness_of(config, small_bundle.manifest, "hot-1", board, log, unit_log())
    watching.take(rows(np.zeros(1)), T_NS)
    assert (board["judged_s"][0], int(log["count"][0]), watching.rates) == (0.02, 0, None)


def test_what_has_drifted_is_stale_until_a_new_calibration(small_bundle: Bundle, fitted: FittedDrift) -> None:
    bench = Bench(small_bundle)
    bench.ready()
    watching = witness(fitted, bench.memory.vitals, bench.memory.blocks)
    watching.take(rows(fresh(3000, 8)), T_NS)
    bench.pass_time(0.4, frames=True)
    assert bench.said.state == "ok"
    watching.take(rows(fresh(6000, 9, 0.6)), T_NS)
    bench.pass_time(0.4, frames=True)
    assert bench.said.state == "stale"
    assert "they have drifted" in bench.said.why
    assert ("began", "stale") in bench.records()
    watching.take(rows(fresh(3000, 10)), T_NS)
    bench.pass_time(0.4, frames=True)
    assert bench.said.state == "stale"


def test_frames_that_are_gathered_are_taken_in_when_they_are_many_or_have_waited() -> None:
    frames = rows(fresh(GATHERED + 100, 3))
    board, log = memory()
    watching = witness(None, board, log)
    watching.turn(10**12, T_NS)
    watching.gather(frames[:10])
    watching.turn(10**12, T_NS)
    assert board["judged_s"][0] == pytest.approx(0.1), "the first has waited since for ever"
    watching.gather(frames[10:20])
    watching.turn(10**12 + GATHERED_NS - 1, T_NS)
    assert board["judged_s"][0] == pytest.approx(0.1)
    watching.turn(10**12 + GATHERED_NS, T_NS)
    assert board["judged_s"][0] == pytest.approx(0.2)
    for first in range(20, 20 + GATHERED, 64):
        watching.gather(frames[first : first + 64])
    watching.turn(10**12 + GATHERED_NS, T_NS)
    assert board["judged_s"][0] == pytest.approx((20 + GATHERED) / RATE_HZ)
    watching.gather(frames[20 + GATHERED :])
    watching.finish(T_NS)
    assert board["judged_s"][0] == pytest.approx(len(frames) / RATE_HZ)
    found, expected = (
        [(one.first_seq, one.last_seq, one.frames, one.extreme) for one in blocks]
        for blocks in (blocklog.read(log, blocklog.START, SCALE)[0], seen(frames, None, 7)[1])
    )
    assert found[: len(expected)] == expected
