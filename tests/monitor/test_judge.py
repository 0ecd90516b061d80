import msgspec
import numpy as np
import pytest
from frames import normal, with_spot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.camera import FAULTS
from calibration.events import EventRule
from models.scorer import CHARTS
from monitor.bundle import Bundle
from monitor.judge import ROW, Judge, SourcedChange
from monitor.ring import FrameBatch
from monitor.score import load_scorer

RULE = EventRule(k=2, n=3, clear_frames=10)


def batch_of(frames: np.ndarray, first_seq: int = 0, stream: bytes = b"one") -> FrameBatch:
    count = len(frames)
    nothing = np.full(count, np.nan, np.float32)
    return FrameBatch(
        pixels=frames,
        stream=np.full(count, stream, "S128"),
        job=np.full(count, b"job", "S128"),
        context=np.full(count, b"hatch", "S128"),
        seq=np.arange(first_seq, first_seq + count),
        t_ns=np.arange(count),
        received_ns=np.arange(count),
        layer=np.full(count, 3),
        xy=np.zeros((count, 2), np.float32),
        active=np.ones(count, np.uint8),
        unjudged=np.zeros(count, np.uint8),
        fault=np.zeros(count, np.uint8),
        t2=nothing,
        s2=nothing,
        offset=nothing,
        local=nothing,
        joint=nothing,
        where=np.zeros((count, 2), np.int16),
    )


def judge_all(judge: Judge, frames: np.ndarray, cuts: list[int]) -> list[SourcedChange]:
    changes: list[SourcedChange] = []
    for lo, hi in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        if lo < hi:
            batch = batch_of(frames[lo:hi], lo)
            changes += judge.judge(batch.pixels, batch, np.arange(lo, hi)).changes
    return changes


def ended(changes: list[SourcedChange]) -> list[tuple[str, int, int, int]]:
    events = [(one.rule, one.change) for one in changes if one.change.phase == "ended"]
    return [
        (rule, int(one.event.first["seq"]), int(one.event.last["seq"]), one.event.frames_over) for rule, one in events
    ]


def judge_of(bundle: Bundle) -> Judge:
    return Judge(load_scorer(bundle), bundle.context_limits, bundle.camera_limits, RULE)


@pytest.fixture
def judge(small_bundle: Bundle) -> Judge:
    return judge_of(small_bundle)


def stream_with_everything() -> np.ndarray:
    """Two spots, a frozen camera and a dark frame among normal frames."""
    quiet = [normal(30, seed) for seed in range(5)]
    stuck = np.repeat(normal(1, 9), 5, axis=0)
    dark = np.zeros((1, 32, 32), np.uint8)
    spots = with_spot(normal(4, 7)), with_spot(normal(3, 8))
    return np.concatenate([quiet[0], spots[0], quiet[1], stuck, quiet[2], spots[1], quiet[3], dark, quiet[4]])


def test_normal_frames_are_judged_and_raise_nothing(judge: Judge) -> None:
    frames = normal(64, 50)
    batch = batch_of(frames)
    verdicts = judge.judge(frames, batch, np.arange(64))
    assert verdicts.judged.tolist() == list(range(64))
    assert (verdicts.joint < 1).mean() > 0.95
    assert not verdicts.fault.any()


def test_a_spot_is_an_event_of_the_local_chart_that_says_where(judge: Judge) -> None:
    frames = np.concatenate([normal(20, 1), with_spot(normal(4, 2), row=6, column=25), normal(20, 3)])
    changes = judge_all(judge, frames, [])
    began = next(one for one in changes if one.change.phase == "began")
    assert began.source == "local"
    assert int(began.change.event.first["seq"]) == 20
    row, column = began.change.event.peak["where"].tolist()
    assert (abs(row - 6) <= 3, abs(column - 25) <= 3) == (True, True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 163), max_size=12).map(sorted))
def test_a_stream_cut_into_any_batches_gives_the_same_events(small_bundle: Bundle, cuts: list[int]) -> None:
    frames = stream_with_everything()
    judges = [judge_of(small_bundle) for _ in range(2)]
    whole, pieces = ended(judge_all(judges[0], frames, [])), ended(judge_all(judges[1], frames, cuts))
    assert sorted(pieces) == sorted(whole)
    assert {rule for rule, *_ in whole} == {"charts", "frozen", "dark"}


def test_faulty_frames_are_not_scored(judge: Judge) -> None:
    frames = np.concatenate([normal(5, 1), np.zeros((3, 32, 32), np.uint8), normal(5, 2)])
    verdicts = judge.judge(frames, batch_of(frames), np.arange(13))
    assert verdicts.fault[5:8].tolist() == [FAULTS.index("dark") + 1] * 3
    assert verdicts.judged.tolist() == [*range(5), *range(8, 13)]
    assert len(verdicts.joint) == 10


def test_a_new_stream_ends_what_was_open_and_continues_nothing(judge: Judge) -> None:
    first = np.concatenate([normal(20, 1), with_spot(normal(4, 2))])
    changes = judge_all(judge, first, [])
    assert [one.change.phase for one in changes] == ["began"]
    batch = batch_of(normal(5, 3), stream=b"two")
    changes = list(judge.judge(batch.pixels, batch, np.arange(24, 29)).changes)
    assert [one.change.phase for one in changes] == ["ended"]


def test_a_stream_that_begins_within_a_batch_is_not_compared_with_the_one_before(judge: Judge) -> None:
    frames = np.repeat(normal(1, 5), 6, axis=0)
    first, second = batch_of(frames[:2]), batch_of(frames[2:4], stream=b"two")
    both = FrameBatch._make(np.concatenate(columns) for columns in zip(first, second, strict=True))
    assert judge.judge(both.pixels, both, np.arange(4)).fault.tolist() == [0, 0, 0, 0]
    third = batch_of(frames[4:], stream=b"two")
    frozen = FAULTS.index("frozen") + 1
    assert judge.judge(third.pixels, third, np.arange(4, 6)).fault.tolist() == [frozen, frozen]


def test_a_snapshot_gives_the_judge_back_as_it_was(judge: Judge) -> None:
    judge_all(judge, normal(10, 1), [])
    before = judge.snapshot()
    spots = with_spot(normal(4, 2))
    judge.judge(spots, batch_of(spots, 10), np.arange(10, 14))
    judge.restore(before)
    changes = judge.judge(spots, batch_of(spots, 10), np.arange(10, 14)).changes
    assert [int(one.change.event.number) for one in changes] == [0]


def test_frames_that_are_not_finite_are_told_apart(small_bundle: Bundle) -> None:
    judge = judge_of(small_bundle)
    frames = normal(6, 1).astype(np.float32)
    frames[2, 3, 4] = np.nan
    frames[4, 0, 0] = np.inf
    verdicts = judge.judge(frames, batch_of(frames), np.arange(6))
    assert verdicts.finite.tolist() == [True, True, False, True, False, True]
    assert verdicts.judged.tolist() == [0, 1, 3, 5]
    assert np.isfinite(verdicts.joint).all()


def test_rows_carry_every_chart_and_all_that_an_alarm_says() -> None:
    assert ROW["scores"].shape == (len(CHARTS),)
    assert {"seq", "t_ns", "received_ns", "position", "where", "xy", "layer", "job", "context"} <= set(ROW.names or ())


# Contexts


def strict_in_contour(bundle: Bundle) -> Bundle:
    """*bundle* with limits of its own in contour, which half of the normal frames exceed on each chart."""
    held = bundle.manifest
    own = {chart: msgspec.structs.replace(limit, value=limit.center) for chart, limit in held.limits.items()}
    return bundle._replace(manifest=msgspec.structs.replace(held, context_limits={"contour": own, "hatch": {}}))


def test_each_frame_is_held_to_the_limits_of_its_context(small_bundle: Bundle) -> None:
    bundle = strict_in_contour(small_bundle)
    frames = normal(40, 50)
    batch = batch_of(frames)
    contour = np.arange(40) % 2 == 1
    batch.context[contour] = b"contour"
    verdicts = judge_of(bundle).judge(frames, batch, np.arange(40))
    plain = judge_of(small_bundle).judge(frames, batch_of(frames), np.arange(40))
    scores = verdicts.scores.values
    own = [limit.value for limit in bundle.context_limits.of("contour")]
    np.testing.assert_array_equal(verdicts.over[contour], scores[contour] > own)
    assert verdicts.over[contour].mean() > 0.2
    np.testing.assert_array_equal(verdicts.over[~contour], plain.over[~contour])
    np.testing.assert_array_equal(verdicts.joint > 1, verdicts.over.any(axis=1))


def test_an_events_peak_carries_the_limits_that_held_for_it(small_bundle: Bundle) -> None:
    bundle = strict_in_contour(small_bundle)
    frames = normal(40, 50)
    batch = batch_of(frames)
    batch.context[20:] = b"contour"
    changes = judge_of(bundle).judge(frames, batch, np.arange(40)).changes
    peak = changes[0].change.event.peak
    assert bytes(peak["context"]) == b"contour"
    assert peak["limits"].tolist() == [limit.value for limit in bundle.context_limits.of("contour")]
