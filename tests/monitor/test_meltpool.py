"""The simulated melt pool: repeatable, alive, and honest about what it did on purpose."""

import itertools
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.meltpool.anomalies import DURATIONS_FRAMES, KINDS
from monitor.camera.meltpool.camera import (
    PAUSE_FRAMES,
    VECTOR_FRAMES,
    VECTOR_MM,
    VECTORS_PER_LAYER,
    MeltPool,
    normal_frames,
)
from monitor.camera.publisher import Publisher
from monitor.camera.schedule import GAP_FRAMES, Truth
from monitor.camera.simulate import TruthFile, publish_pool, read_truth, simulate

LAYER_FRAMES = VECTOR_FRAMES * VECTORS_PER_LAYER
PERIOD_FRAMES = LAYER_FRAMES + PAUSE_FRAMES
Frames = np.ndarray[Any, np.dtype[np.uint8]]


def film(pool: MeltPool, frames: int) -> tuple[Frames, list[Truth], Frames]:
    """The next *frames* frames, the truth about them, and whether the laser was on."""
    shots = list(pool.shots(frames))
    pixels = np.concatenate([shot.pixels for shot, _ in shots])
    active = np.concatenate([np.full(len(shot.pixels), shot.active) for shot, _ in shots])
    return pixels, [truth for _, truths in shots for truth in truths], active


def level(pixels: Frames) -> Any:
    return pixels.reshape(len(pixels), -1).mean(axis=1)


def anomalous(truths: list[Truth], frames: int) -> Any:
    flags = np.zeros(frames, bool)
    for truth in truths:
        flags[truth.first_seq : truth.last_seq + 1] = True
    return flags


# Frames


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    first, again, other = (film(MeltPool(32, 40, seed, 0.01), 500) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (120, 120), (96, 48), (576, 576)])
def test_frames_of_every_size_show_a_bright_pool_on_a_dark_ground(height: int, width: int) -> None:
    pixels = normal_frames(3, seed=1, height=height, width=width)
    assert pixels.shape == (3, height, width)
    assert pixels.dtype == np.uint8
    assert pixels.max() == 255
    assert np.median(pixels) < 12
    rows, columns = np.nonzero(pixels[0] == 255)
    assert rows.mean() == pytest.approx((height - 1) / 2, abs=0.15 * height)
    assert columns.mean() == pytest.approx((width - 1) / 2, abs=0.15 * width)


@pytest.mark.parametrize("side", [15, 577, 0, -1])
def test_sizes_that_no_camera_here_has_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="16 to 576"):
        MeltPool(side, 64)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_an_anomaly_rate_is_a_probability(rate: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        MeltPool(anomaly_rate=rate)


def test_an_unknown_kind_of_anomaly_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="no such anomaly: meteor"):
        MeltPool(kinds=("meteor",))


def test_no_two_frames_are_the_same_and_neighbours_are_more_alike_than_strangers() -> None:
    brightness = level(normal_frames(4000, seed=3, height=32, width=32).clip(max=254))
    steps = np.abs(np.diff(brightness)).mean()
    strangers = np.abs(brightness[1000:] - brightness[:-1000]).mean()
    assert steps < 0.8 * strangers
    pixels = normal_frames(300, seed=3, height=32, width=32)
    assert (pixels[1:] != pixels[:-1]).any(axis=(1, 2)).all()


def test_runs_differ_from_each_other_by_more_than_their_own_noise() -> None:
    means = [level(normal_frames(2 * LAYER_FRAMES, seed, 32, 32)) for seed in range(6)]
    within = np.mean([np.std(one.reshape(-1, LAYER_FRAMES).mean(axis=1)) for one in means])
    assert np.std([one.mean() for one in means]) > 1.5 * within


def test_bright_pixels_are_noisier_than_dark_ones() -> None:
    pixels = normal_frames(VECTOR_FRAMES, seed=2).astype(np.float32)  # one vector: the pool hardly moves
    noise = np.diff(pixels, axis=0).std(axis=0)
    mean = pixels.mean(axis=0)
    assert noise[(mean > 60) & (mean < 200)].mean() > 2 * noise[mean < 10].mean()


def test_the_row_pattern_belongs_to_the_camera_not_to_the_run() -> None:
    dark = [film(MeltPool(64, 64, seed), PERIOD_FRAMES)[0][LAYER_FRAMES:].mean(axis=(0, 2)) for seed in (1, 2)]
    assert np.std(dark[0]) > 0.5
    np.testing.assert_allclose(dark[0], dark[1], atol=0.2)


# The scan


def test_the_laser_is_off_between_layers_and_the_frames_dark() -> None:
    pixels, _, active = film(MeltPool(32, 32, 4), 2 * PERIOD_FRAMES)
    expected = np.tile([True] * LAYER_FRAMES + [False] * PAUSE_FRAMES, 2)
    np.testing.assert_array_equal(active, expected)
    assert pixels[~active].max() < 20
    assert (pixels[active].max(axis=(1, 2)) > 200).all()


def test_each_layer_is_scanned_back_and_forth_and_turned_by_67_degrees() -> None:
    shots = [shot for shot, _ in MeltPool(16, 16, 5).shots(2 * PERIOD_FRAMES)]
    welding = [shot for shot in shots if shot.active]
    angles = []
    for shot in welding:
        assert shot.xy is not None
        along = shot.xy[-1] - shot.xy[0]
        assert np.hypot(*along) == pytest.approx(VECTOR_MM, rel=1e-4)
        angles.append(math.degrees(math.atan2(along[1], along[0])))
    assert (angles[1] - angles[0]) % 360 == pytest.approx(180, abs=0.01)
    assert (angles[VECTORS_PER_LAYER] - angles[0]) % 360 == pytest.approx(67, abs=0.01)
    assert [shot.layer for shot in welding] == [0] * VECTORS_PER_LAYER + [1] * VECTORS_PER_LAYER


def test_the_tail_lies_behind_the_pool() -> None:
    for shot, _ in itertools.islice(MeltPool(64, 64, 6).shots(), 2):
        assert shot.xy is not None
        ahead = (shot.xy[-1] - shot.xy[0]) / VECTOR_MM
        image = shot.pixels.mean(axis=0)
        rows, columns = np.mgrid[:64, :64] - 31.5
        projected = columns * ahead[0] + rows * ahead[1]
        assert image[(projected < -8)].sum() > 1.2 * image[(projected > 8)].sum()


def test_a_film_goes_on_where_it_stopped() -> None:
    pool = MeltPool(16, 16, 1, 0.05)
    _, first, _ = film(pool, 3 * VECTOR_FRAMES)
    _, second, _ = film(pool, 3 * VECTOR_FRAMES)
    assert all(truth.last_seq < 3 * VECTOR_FRAMES for truth in first)
    assert all(truth.first_seq >= 3 * VECTOR_FRAMES for truth in second)


def test_normal_frames_are_welding_only() -> None:
    pixels = normal_frames(LAYER_FRAMES + 50, seed=4, height=32, width=32)
    assert len(pixels) == LAYER_FRAMES + 50
    assert (pixels.max(axis=(1, 2)) > 200).all()


# Anomalies


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.0, 1.0),
    st.integers(1, 3 * PERIOD_FRAMES),
    st.sampled_from([KINDS, *((k,) for k in KINDS)]),
)
def test_the_truth_is_in_order_apart_within_the_film_and_never_in_the_dark(
    seed: int, rate: float, frames: int, kinds: tuple[str, ...]
) -> None:
    pixels, truths, active = film(MeltPool(16, 16, seed, rate, kinds), frames)
    assert len(pixels) == frames
    before = -1
    for truth in truths:
        assert before < truth.first_seq <= truth.last_seq < frames
        assert truth.last_seq - truth.first_seq < DURATIONS_FRAMES[truth.kind][1]
        assert truth.kind in kinds
        before = truth.last_seq + GAP_FRAMES - 1
    assert active[anomalous(truths, frames)].all()


def test_anomalies_come_as_often_as_asked() -> None:
    _, truths, active = film(MeltPool(16, 16, 1, 0.002), 60_000)
    flags = anomalous(truths, len(active))
    chances = active.sum() - flags.sum() - GAP_FRAMES * len(truths)
    assert len(truths) == pytest.approx(0.002 * chances, rel=0.35)
    assert {truth.kind for truth in truths} == set(KINDS)
    assert film(MeltPool(16, 16, 1, 0.0), 5000)[1] == []


def compared(kind: str) -> tuple[Frames, Frames]:
    """Frames of *kind*, and the normal frames of the same film, of the scan vectors it did not touch."""
    pixels, truths, active = film(MeltPool(64, 64, 9, 0.02, (kind,)), 2 * PERIOD_FRAMES)
    flags = anomalous(truths, len(pixels))
    assert len(truths) > 3
    return pixels[flags], pixels[active & ~flags]


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("splash", 1.15, 3.0),
        ("spatter", 1.002, 1.3),
        ("plume", 1.2, 3.0),
        ("dim", 0.3, 0.9),
        ("keyhole", 1.15, 4.0),
    ],
)
def test_an_anomaly_changes_the_light_as_its_kind_says(kind: str, least: float, most: float) -> None:
    odd, normal = compared(kind)
    assert least < odd.mean() / normal.mean() < most


@pytest.mark.parametrize(("kind", "changes_core"), [("keyhole", True), ("dim", True), ("plume", False)])
def test_the_pool_itself_changes_only_where_the_pool_is_at_fault(kind: str, changes_core: bool) -> None:
    odd, normal = compared(kind)
    area = (odd > 250).sum() / len(odd) / ((normal > 250).sum() / len(normal))
    assert (abs(area - 1) > 0.2) == changes_core


def test_a_frozen_buffer_repeats_the_frame_before_it() -> None:
    pixels, truths, _ = film(MeltPool(32, 32, 3, 0.05, ("frozen",)), 3 * PERIOD_FRAMES)
    assert truths
    for truth in truths:
        frozen = pixels[truth.first_seq : truth.last_seq + 1]
        np.testing.assert_array_equal(frozen, np.broadcast_to(pixels[truth.first_seq - 1], frozen.shape))
    repeats = (pixels[1:] == pixels[:-1]).all(axis=(1, 2))
    np.testing.assert_array_equal(np.r_[False, repeats], anomalous(truths, len(pixels)))


def test_dropped_rows_are_zero_from_side_to_side() -> None:
    pixels, truths, _ = film(MeltPool(64, 64, 3, 0.05, ("rows_dropped",)), PERIOD_FRAMES)
    zero_rows = (pixels == 0).all(axis=2).sum(axis=1)
    flags = anomalous(truths, len(pixels))
    assert (zero_rows[flags] >= 4).all()
    assert zero_rows[~flags].max() <= 1


# On a socket, with its truth in a file


def test_the_truth_file_holds_what_was_sent_and_nothing_of_what_was_not(tmp_path: Path) -> None:
    truths = (Truth("splash", 5, 9, 1.0), Truth("dim", 20, 29, 0.7), Truth("plume", 40, 45, 1.2))
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as file:
        file.add(truths)
        file.sent(9)
        assert read_truth(path) == []
        file.sent(10)
        assert read_truth(path) == [truths[0]]
        file.finish(25)
    assert read_truth(path) == [truths[0], msgspec.structs.replace(truths[1], last_seq=24)]


@pytest.mark.parametrize("stop_at", [None, 777])
def test_a_published_film_is_the_film_and_its_truth_ends_where_the_frames_end(
    tmp_path: Path, stop_at: int | None
) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    path = tmp_path / "truth.jsonl"
    pool = MeltPool(16, 16, 2, 0.05)
    with Publisher("inproc://film", 1000.0, clock=lambda: now[0], sleep=sleep) as publisher:
        ends_s = math.inf if stop_at is None else (stop_at - 0.5) / 1000.0
        sent = publish_pool(publisher, pool, 1000, path, wait_s=0.0, stop=lambda: now[0] >= ends_s)
    assert sent.frames == (stop_at or 1000)
    found = read_truth(path)
    everything = film(MeltPool(16, 16, 2, 0.05), 1000)[1]
    cut = [truth for truth in everything if truth.first_seq < sent.frames]
    assert len(found) > 3
    assert [(one.kind, one.first_seq, one.last_seq) for one in found] == [
        (one.kind, one.first_seq, min(one.last_seq, sent.frames - 1)) for one in cut
    ]


def test_an_anomaly_that_a_stop_cuts_short_is_told_all_the_same(tmp_path: Path) -> None:
    pool = MeltPool(16, 16, 0, 1.0, ("frozen",))  # the first begins as soon as one may
    for _ in itertools.takewhile(lambda _: pool.unfinished is None, pool.shots()):
        pass
    assert pool.unfinished is not None
    assert pool.unfinished.kind == "frozen"


def test_simulate_publishes_frames_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    context = zmq.Context()
    reader = context.socket(zmq.SUB)
    reader.setsockopt(zmq.RCVTIMEO, 5000)
    reader.subscribe(b"")
    endpoint = f"ipc://{tmp_path}/camera"
    reader.connect(endpoint)
    sent = simulate(endpoint, 5000.0, frames=100, size=(24, 32), frames_per_message=20, truth=tmp_path / "t.jsonl")
    name, header, pixels, places = reader.recv_multipart()
    reader.close(0)
    context.term()
    assert (sent.frames, sent.met) == (100, True)
    assert name == b"meltpool"
    assert b'"shape":[20,24,32]' in header
    assert len(pixels) == 20 * 24 * 32
    assert len(places) == 20 * 12
