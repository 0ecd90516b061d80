from collections.abc import Callable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from frames import normal, with_spot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.camera import FAULTS, CameraLimits
from calibration.compiled.memory import joint_scores, remember
from calibration.compiled.pixels import find_faults
from calibration.events import EventRule
from calibration.limits import ContextLimits, Limit
from calibration.memory import RARITY_TAIL, fit_memory
from models.scores import CHARTS, Scores
from monitor.bundle import Bundle
from monitor.judge import ROW, Judge, SourcedChange, Stops
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
        judged_ns=np.zeros(count, np.int64),
        layer=np.full(count, 3),
        xy=np.zeros((count, 2), np.float32),
        active=np.ones(count, np.uint8),
        unjudged=np.zeros(count, np.uint8),
        fault=np.zeros(count, np.uint8),
        t2=nothing,
        s2=nothing,
        offset=nothing,
        local=nothing,
        mewma=nothing,
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


def judge_of(bundle: Bundle, stops: Stops | None = None) -> Judge:
    held = bundle.manifest
    return Judge(load_scorer(bundle), held.charts, bundle.context_limits, bundle.camera_limits, RULE, stops=stops)


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
    assert ROW["scores"].shape == (len(CHARTS) + 1,)
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
    assert peak["limits"].tolist()[: len(CHARTS)] == [limit.value for limit in bundle.context_limits.of("contour")]


# Memory

P = 4  # latents
QUIET, LASTING = 1e9, 4.0  # limits that nothing exceeds, and of the memory


class Readout:
    """The scorer of a network that has learnt to read: the first pixels of a frame are its latent."""

    def __call__(self, frames: np.ndarray, beat: Callable[[], None] = lambda: None) -> Scores:
        latent = frames[:, 0, :P].astype(np.float32)
        nothing = np.zeros(len(frames), np.float32)
        where = np.zeros((len(frames), 2), np.int16)
        return Scores(latent, np.square(latent).sum(axis=1), nothing, nothing, nothing, where)


def frames_of(latents: np.ndarray) -> np.ndarray:
    """Frames (n, 8, 8) that show *latents* (n, P)."""
    frames = np.random.default_rng(0).normal(size=(len(latents), 8, 8)).astype(np.float32)
    frames[:, 0, :P] = latents
    return frames


def latents(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, P))


def shifted(count: int = 200, at: int = 100, seed: int = 2) -> np.ndarray:
    """Latents that from frame *at* on lie a little aside for good."""
    return latents(count, seed) + 1.5 * (np.arange(count) >= at)[:, None]


def remembering() -> Judge:
    """A judge that only its memory of twenty frames makes speak."""
    held = latents(20_000, 1)
    t2, hatch = np.square(held).sum(axis=1), np.full(len(held), b"hatch")
    memory, _ = fit_memory(
        (0.02,), 1000.0, {}, 40.0, held, t2, hatch, np.array([0, len(held)]), np.arange(len(held)) >= 16_000
    )
    charts = (*CHARTS, "mewma")
    limits = tuple(
        Limit(value, value, value, 0.0, 1e-4, "given", 1, 1.0, False, RARITY_TAIL)
        for value in (*[QUIET] * len(CHARTS), LASTING)
    )
    camera = CameraLimits(dark_spread=0.0, saturated_level=1e9, saturated_fraction=1.0, row_contrast=1e9)
    return Judge(Readout(), charts, ContextLimits(limits, {}), camera, RULE, memory)  # type: ignore[arg-type]


def remembered(judge: Judge, frames: np.ndarray, first_seq: int = 0, stream: bytes = b"one") -> np.ndarray:
    """The memory chart's scores of *frames*."""
    batch = batch_of(frames, first_seq, stream)
    return judge.judge(frames, batch, np.arange(first_seq, first_seq + len(frames))).values[:, -1]


def test_a_small_lasting_shift_is_an_event_of_the_memory_chart_that_says_by_how_much() -> None:
    judge = remembering()
    [change] = judge_all(judge, frames_of(shifted()), [])
    assert (change.source, change.change.phase) == ("mewma", "began")
    event = change.change.event
    assert 100 < int(event.first["seq"]) < 125
    assert event.peak["limits"].tolist() == [QUIET] * 4 + [LASTING]
    assert event.peak["scores"][4] > LASTING
    assert remembered(remembering(), frames_of(shifted()))[int(event.peak["seq"])] == event.peak["scores"][4]


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 200), max_size=8).map(sorted),
    places=st.lists(st.sampled_from([b"hatch", b"contour"]), min_size=1, max_size=5),
)
def test_with_a_memory_too_any_batches_give_the_same_scores_and_events(cuts: list[int], places: list[bytes]) -> None:
    frames = frames_of(shifted(200, 40))
    frames[17, 3, 3] = np.nan
    frames[90] = 0.0  # dark
    contexts = np.resize(np.repeat(places, 11), 200)
    found = []
    for edges in ([0, 200], [0, *cuts, 200]):
        judge, values, changes = remembering(), [], []
        for lo, hi in pairwise(edges):
            batch = batch_of(frames[lo:hi], lo)._replace(context=contexts[lo:hi])
            verdicts = judge.judge(batch.pixels, batch, np.arange(lo, hi))
            values.append(verdicts.values)
            changes += verdicts.changes
        changes += judge.judge(frames[:1], batch_of(frames[:1], 0, b"two"), np.arange(200, 201)).changes
        found.append((np.concatenate(values), sorted(ended(changes))))
    (whole, events), (pieces, again) = found
    np.testing.assert_array_equal(pieces, whole)
    assert again == events
    assert {rule for rule, *_ in events} == {"charts", "dark"}


def test_another_stream_begins_with_an_empty_memory() -> None:
    judge = remembering()
    assert remembered(judge, frames_of(shifted())).max() > LASTING
    new = frames_of(latents(50, 5))
    expected = remembered(remembering(), new, 200, b"two")
    np.testing.assert_array_equal(remembered(judge, new, 200, b"two"), expected)
    assert remembered(judge, frames_of(shifted()), 250)[0] < 2.0, "and so does the first one when it comes back"


def test_a_stream_that_begins_within_a_batch_begins_with_an_empty_memory() -> None:
    old, new = frames_of(shifted()), frames_of(latents(50, 5))
    batches = batch_of(old), batch_of(new, 200, b"two")
    both = FrameBatch._make(np.concatenate(columns) for columns in zip(*batches, strict=True))
    values = remembering().judge(both.pixels, both, np.arange(250)).values[:, -1]
    np.testing.assert_array_equal(values[:200], remembered(remembering(), old))
    np.testing.assert_array_equal(values[200:], remembered(remembering(), new, 200, b"two"))


def test_frames_that_are_not_judged_leave_the_memory_as_it_was() -> None:
    frames = frames_of(shifted())
    judged = np.delete(np.arange(200), [50, 51, 60])
    expected = remembered(remembering(), frames[judged])
    frames[50:52] = 7.0  # dark: no contrast
    frames[60, 0, 0] = np.inf
    np.testing.assert_array_equal(remembered(remembering(), frames), expected)


def test_a_snapshot_gives_the_memories_back() -> None:
    judge, frames = remembering(), frames_of(shifted())
    remembered(judge, frames[:150])
    before = judge.snapshot()
    torn = remembered(judge, frames[:50], 150)
    judge.restore(before)
    again = remembered(judge, frames[150:], 150)
    np.testing.assert_array_equal(again, remembered(remembering(), frames)[150:])
    assert not np.array_equal(torn, again)


def test_without_a_memory_there_are_the_charts_of_single_frames_only(judge: Judge) -> None:
    frames = normal(6, 1)
    verdicts = judge.judge(frames, batch_of(frames), np.arange(6))
    np.testing.assert_array_equal(verdicts.values, verdicts.scores.values)
    assert verdicts.over.shape == (6, len(CHARTS))


def test_keeping_warm_leaves_no_trace() -> None:
    judge, untouched, frames = remembering(), remembering(), frames_of(shifted())
    for one in (judge, untouched):
        remembered(one, frames[:100])
    before = judge.snapshot()
    judge.warm(frames[100:104])
    assert judge.snapshot() == before
    np.testing.assert_array_equal(remembered(judge, frames[100:], 100), remembered(untouched, frames[100:], 100))


def test_a_warm_judge_meets_no_loop_that_is_still_to_be_compiled() -> None:
    loops = (find_faults, joint_scores, remember)
    judge, frames = remembering(), frames_of(shifted())
    for count in (1, 4):
        judge.warm(frames[:count])
    ways = [len(loop.signatures) for loop in loops]  # type: ignore[attr-defined]  # numba's
    for lo, hi in ((0, 1), (1, 9), (9, 200)):
        remembered(judge, frames[lo:hi], lo)
    frames[5] = 7.0  # dark: the others are taken out
    remembered(judge, frames[:20], 200)
    assert [len(loop.signatures) for loop in loops] == ways  # type: ignore[attr-defined]
