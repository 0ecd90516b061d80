"""Camera faults are found, anomalies of the process are left to the charts, and batches make no difference."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.camera import (
    DARK,
    FAULTS,
    FROZEN,
    ROWS_MISSING,
    SATURATED,
    CameraLimits,
    CameraState,
    check,
    fit_camera,
)

Frames = npt.NDArray[Any]
HEIGHT, WIDTH = 40, 48


def pools(count: int, seed: int = 0, noise: float = 2.0, dtype: str = "uint8", gain: float = 1.0) -> Frames:
    """A bright pool that wanders over a black ground; without noise most rows of a frame are all zero."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    centre = random.uniform(15, 25, (count, 2, 1, 1))
    pool = 220 * np.exp(-((row - centre[:, 0]) ** 2 + (column - centre[:, 1]) ** 2) / 25)
    frames = gain * (pool + np.abs(random.normal(0, noise, (count, HEIGHT, WIDTH))))
    top = np.iinfo(dtype).max if dtype != "float32" else np.inf
    return frames.clip(0, top).astype(dtype)


def codes(limits: CameraLimits, frames: Frames) -> list[int]:
    return check(limits, CameraState(), frames)[1].tolist()


NORMAL = pools(300)
LIMITS = fit_camera([NORMAL], NORMAL.dtype)


def test_codes_are_places_in_the_list_of_faults() -> None:
    assert [FAULTS[code - 1] for code in (FROZEN, SATURATED, DARK, ROWS_MISSING)] == list(FAULTS)


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize(("dtype", "gain"), [("uint8", 1.0), ("uint8", 1.5), ("uint16", 15.0), ("float32", 0.01)])
def test_normal_frames_raise_nothing_seen_or_unseen(dtype: str, gain: float, noise: float) -> None:
    seen, unseen = (pools(300, seed, noise, dtype, gain) for seed in (0, 1))
    limits = fit_camera([seen], dtype)
    assert not any(codes(limits, seen))
    assert not any(codes(limits, unseen))
    assert np.isfinite(limits).all()


# frozen


def test_the_second_repeat_is_frozen_and_a_new_frame_is_not() -> None:
    a, b, c = pools(3, seed=2)
    assert codes(LIMITS, np.stack([a, b, b, c, c, c, c, a])) == [0, 0, 0, 0, 0, FROZEN, FROZEN, 0]


def test_a_frame_that_differs_in_one_pixel_is_not_frozen() -> None:
    frames = np.repeat(pools(1), 6, axis=0)
    frames[np.arange(6), 3, np.arange(6) + 1] += 1
    assert not any(codes(LIMITS, frames))


def test_a_camera_that_repeats_itself_when_normal_is_frozen_only_beyond_that() -> None:
    frames = np.repeat(pools(60), 2, axis=0)
    limits = fit_camera([frames], frames.dtype)
    assert limits.frozen_repeats == 3
    assert not any(codes(limits, frames))
    assert codes(limits, np.repeat(pools(1), 5, axis=0)) == [0, 0, 0, FROZEN, FROZEN]


# saturated


def test_a_frame_white_beyond_what_pools_reach_is_saturated() -> None:
    frames = pools(3, seed=3)
    frames[0, :, : WIDTH // 2] = 255
    frames[1, :, : WIDTH // 8] = 255
    frames[2] = 255
    assert codes(LIMITS, frames) == [SATURATED, 0, SATURATED]


def test_a_camera_that_clips_often_may_clip_somewhat_more() -> None:
    limits = fit_camera([pools(200, gain=20.0)], np.uint8)
    assert limits.saturated_fraction > 0.25
    assert limits.saturated_fraction < 1
    white = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    assert codes(limits, white) == [SATURATED]


def test_a_twelve_bit_camera_in_sixteen_bits_saturates_at_twelve() -> None:
    clipped = np.minimum(pools(200, dtype="uint16", gain=25.0), 4095)
    limits = fit_camera([clipped], np.uint16)
    assert limits.saturated_level == 4095  # seen in the frames
    below = pools(200, dtype="uint16", gain=15.0)
    limits = fit_camera([below], np.uint16)
    assert limits.saturated_level == 4095  # the next full scale above them
    white = below[:1].copy()
    white[0, 10:35] = 4095
    assert codes(limits, white) == [SATURATED]


def test_a_process_much_brighter_than_normal_is_no_camera_fault() -> None:
    bright = pools(20, dtype="uint16", gain=200.0)
    assert not any(codes(fit_camera([pools(200, dtype="uint16", gain=10.0)], np.uint16), bright))


def test_float_frames_have_no_full_scale_unless_they_show_one() -> None:
    open_ended = pools(100, dtype="float32", gain=0.01)
    assert fit_camera([open_ended], np.float32).saturated_level == np.finfo(np.float32).max
    assert fit_camera([np.minimum(open_ended, 1.5)], np.float32).saturated_level == 1.5


# dark


@pytest.mark.parametrize("level", [0, 7, 200, 254])
def test_a_frame_without_an_image_is_dark_at_any_level(level: int) -> None:
    flat = np.full((1, HEIGHT, WIDTH), level, np.uint8)
    noisy = flat.copy()
    noisy[0, ::3, ::5] += 1
    assert codes(LIMITS, flat) == [DARK]
    assert codes(LIMITS, noisy) == [DARK]


def test_a_dark_camera_is_dark_and_not_frozen() -> None:
    assert codes(LIMITS, np.zeros((5, HEIGHT, WIDTH), np.uint8)) == [DARK] * 5


def test_frames_as_faint_as_the_faintest_normal_ones_are_not_dark() -> None:
    faint = pools(20, seed=4, gain=0.05, noise=0.5)
    mixed = np.concatenate((NORMAL, faint))
    limits = fit_camera([mixed], np.uint8)
    assert not any(codes(limits, faint))


# rows missing


@pytest.mark.parametrize(("rows", "fill"), [(slice(20, 40), 0), (slice(0, 18), 255), (slice(19, 20), 90)])
def test_an_image_cut_off_by_constant_rows_has_rows_missing(rows: slice, fill: int) -> None:
    frames = pools(4, seed=5)
    frames[2, rows] = fill
    limits = fit_camera([NORMAL], np.uint8)._replace(saturated_fraction=0.9)
    assert codes(limits, frames) == [0, 0, ROWS_MISSING, 0]


def test_a_pool_that_fades_into_black_rows_is_whole() -> None:
    normal = pools(300, noise=0.0)
    assert (normal.max(axis=2) == 0).any()
    limits = fit_camera([normal], np.uint8)
    cut = pools(1, seed=6, noise=0.0)
    cut[0, 20:] = 0
    assert codes(limits, cut) == [ROWS_MISSING]


def test_a_row_that_looks_constant_in_the_sampled_columns_is_looked_at_as_a_whole() -> None:
    frame = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    frame[0, :, 1] = np.arange(HEIGHT) * 5 + 1  # no row is constant, though nearly every column is
    frame[0, :, 0] = 0
    assert codes(LIMITS, frame) == [0]


def test_a_sharp_edge_that_belongs_to_normal_frames_is_borne() -> None:
    masked = pools(200)
    masked[:, :20] = 0  # a region of interest cut out by the camera itself
    limits = fit_camera([masked], np.uint8)
    assert limits.row_contrast > 0.25
    assert not any(codes(limits, masked))


# always


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30), st.data())
def test_codes_do_not_depend_on_how_the_stream_is_cut(kinds: list[int], data: st.DataObject) -> None:
    palette = pools(4, seed=8)
    palette = np.concatenate((palette, palette))
    palette[4], palette[5], palette[6, :22] = 0, 255, 0
    frames = palette[kinds]
    expected = codes(LIMITS, frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frames)), max_size=6)))
    state, found = CameraState(), []
    for batch in np.split(frames, cuts):
        memory = batch.copy()
        state, part = check(LIMITS, state, memory)
        memory[:] = 99  # the ring's slot is used again
        found += part.tolist()
    assert found == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16", "float32"]))
def test_limits_hold_for_the_frames_they_were_fitted_on_but_for_a_thousandth(seed: int, dtype: str) -> None:
    random = np.random.default_rng(seed)
    frames = (random.integers(0, 4, (40, 16, 17)) * random.integers(0, 60, (40, 16, 1))).astype(dtype)
    frames[:, 0, 0], frames[:, 5, 7] = 0, np.arange(40) + 1  # no two alike, none constant
    assert not any(codes(fit_camera([frames], dtype), frames))


def test_pixels_that_are_not_finite_are_left_to_others() -> None:
    frames = pools(4, dtype="float32")
    limits = fit_camera([pools(50, dtype="float32")], np.float32)
    frames[0, 3, 3], frames[1], frames[2] = np.nan, np.nan, np.inf
    assert codes(limits, frames) == [0, 0, 0, 0]


def test_another_frame_size_is_no_repeat() -> None:
    state, _ = check(LIMITS, CameraState(), pools(2))
    state, found = check(LIMITS, state, pools(1)[:, :30, :30])
    assert found.tolist() == [0]
    assert state.repeats == 0


def test_no_frames_change_nothing() -> None:
    state = CameraState(pools(1)[0], 1)
    assert check(LIMITS, state, pools(0))[0] is state
    with pytest.raises(ValueError, match="need normal frames"):
        fit_camera([pools(0)], np.uint8)


@pytest.mark.skipif("FRAMEWATCH_DATA" not in os.environ, reason="FRAMEWATCH_DATA is not set: no real frames")
@pytest.mark.parametrize(("seen", "unseen"), [("train.npy", "test.npy"), ("test.npy", "defect_SrVacancy.npy")])
def test_real_frames_defective_or_not_are_no_camera_faults(seen: str, unseen: str) -> None:
    folder = Path(os.environ["FRAMEWATCH_DATA"]) / "stem-sto"
    frames = np.load(folder / seen)
    assert not any(codes(fit_camera([frames], frames.dtype), np.load(folder / unseen)))


def by_the_definitions(limits: CameraLimits, frames: Frames) -> list[int]:
    """Codes of a stream's first *frames*, each check as it is defined, on all pixels at once."""
    flat = frames.reshape(len(frames), -1)
    low, high = flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)
    constant = (frames == frames[:, :, :1]).all(axis=2)
    edges = np.pad(constant, ((0, 0), (1, 1)))
    touching = (edges[:, 2:] | edges[:, :-2]) & ~constant
    found, repeats = [], 0
    with np.errstate(invalid="ignore"):
        spread = high - low
        rows = frames.max(axis=2).astype(np.float64) - frames.min(axis=2)
        contrast = np.where(touching, rows / spread[:, None], 0.0).max(axis=1)
    share = np.where(high == limits.saturated_level, (flat == limits.saturated_level).mean(axis=1), 0.0)
    for index, frame in enumerate(frames):
        repeats = repeats + 1 if index and np.array_equal(frame, frames[index - 1]) else 0
        faults = (
            (SATURATED, share[index] > limits.saturated_fraction),
            (DARK, spread[index] < limits.dark_spread or spread[index] == 0),
            (FROZEN, repeats >= limits.frozen_repeats),
            (ROWS_MISSING, contrast[index] > limits.row_contrast),
        )
        found.append(next((code for code, holds in faults if holds), 0))
    return found


@settings(deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    shape=st.tuples(st.integers(1, 9), st.sampled_from([1, 7, 8, 15, 16, 17, 24, 40])),
    seed=st.integers(0, 2**32 - 1),
    odd=st.lists(st.tuples(st.integers(0, 11), st.sampled_from([np.nan, np.inf, -np.inf])), max_size=3),
    cut=st.integers(0, 12),
)
def test_codes_are_those_of_the_definitions(
    dtype: str, shape: tuple[int, int], seed: int, odd: list[tuple[int, float]], cut: int
) -> None:
    random = np.random.default_rng(seed)
    frames = random.choice([0, 0, 7, 60, 90], (12, *shape)).astype(dtype)
    frames[random.random((12, shape[0])) < 0.4] = random.choice([0, 90])  # constant rows
    frames[random.integers(12)] = 90
    for index in random.integers(1, 12, 5):
        frames[index] = frames[index - 1]
    if dtype == "float32":
        for index, value in odd:
            frames[index, random.integers(shape[0]), random.integers(shape[1])] = value
    limits = CameraLimits(10.0, 90.0, 0.3, 0.7, 2)
    expected = by_the_definitions(limits, frames)
    state, before = check(limits, CameraState(), frames[:cut])
    assert [*before.tolist(), *check(limits, state, frames[cut:])[1].tolist()] == expected
    frames.setflags(write=False)
    mirrored = frames[:, ::-1, ::-1]
    assert codes(limits, frames) == expected
    assert codes(limits, mirrored) == by_the_definitions(limits, mirrored)


def test_a_checked_frame_may_be_overwritten_and_a_state_kept() -> None:
    frames = np.repeat(pools(1), 3, axis=0)
    kept, _ = check(LIMITS, CameraState(), frames[:2])
    last = None if kept.last is None else kept.last.copy()
    check(LIMITS, kept, pools(3, seed=5))
    np.testing.assert_array_equal(kept.last, last)
    assert check(LIMITS, kept, frames[2:])[1].tolist() == [FROZEN]
