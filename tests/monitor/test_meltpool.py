"""The simulated melt pool: repeatable, alive, physical, and honest about what it did on purpose."""

import itertools
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.meltpool.alloys import ALLOYS
from monitor.camera.meltpool.anomalies import DURATIONS_FRAMES, KINDS
from monitor.camera.meltpool.camera import (
    FRAME_S,
    LEG_FRAMES,
    PAUSE_FRAMES,
    STRATEGY,
    MeltPool,
    normal_frames,
    normal_in_context,
)
from monitor.camera.meltpool.outline import rectangle
from monitor.camera.meltpool.scan import Beam, Strategy
from monitor.camera.publisher import Shot
from monitor.camera.schedule import GAP_FRAMES, Truth

Frames = np.ndarray[Any, np.dtype[np.uint8]]

LAYER_FRAMES = 1330  # of the default part, a few more or less by direction
SMALL = Strategy(rectangle(2.0, 0.6))
"""A part whose layers are short: many in a short film."""


def film(pool: MeltPool, frames: int) -> tuple[Frames, list[Truth], list[Shot]]:
    """The first *frames* frames, the truth about them, and their shots: those of one vector as one."""
    taken = list(pool.shots(frames))
    shots = vectors([shot for shot, _ in taken])
    truths = [truth for _, truths in taken for truth in truths]
    if pool.unfinished is not None:
        truths.append(msgspec.structs.replace(pool.unfinished, last_seq=frames - 1))
    return np.concatenate([shot.pixels for shot in shots]), truths, shots


def vectors(shots: list[Shot]) -> list[Shot]:
    """*shots* with those of one vector, or of one way to a vector, made one."""
    made = []
    for _, one in itertools.groupby(shots, lambda shot: (shot.layer, shot.context, shot.active)):
        legs = list(one)
        xy = np.concatenate([leg.xy for leg in legs if leg.xy is not None])
        made.append(legs[0]._replace(pixels=np.concatenate([leg.pixels for leg in legs]), xy=xy))
    return made


def told(shots: list[Shot], name: str) -> np.ndarray:
    """One fact about each frame."""
    return np.concatenate([np.full(len(shot.pixels), getattr(shot, name)) for shot in shots])


def area(pixels: Frames, threshold: int = 80) -> np.ndarray:
    return (pixels > threshold).sum(axis=(1, 2))


def anomalous(truths: list[Truth], frames: int) -> np.ndarray:
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


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (120, 120), (96, 48), (400, 576)])
def test_frames_of_every_size_show_the_same_bright_pool_on_a_dark_ground(height: int, width: int) -> None:
    pixels = normal_frames(2, seed=1, height=height, width=width, every=30)
    assert pixels.shape == (2, height, width)
    assert pixels.dtype == np.uint8
    assert pixels.max() == 255
    assert np.median(pixels) < 12
    rows, columns = np.nonzero(pixels[1] > 200)
    assert rows.mean() == pytest.approx((height - 1) / 2, abs=0.12 * height)
    assert columns.mean() == pytest.approx((width - 1) / 2, abs=0.12 * width)
    pixel_um = 960 / min(height, width)
    assert area(pixels)[1] * pixel_um**2 == pytest.approx(11_500, rel=0.35)


@pytest.mark.parametrize("side", [15, 577, 0, -1])
def test_sizes_that_no_camera_here_has_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="16 to 576"):
        MeltPool(side, 64)


def test_an_unknown_alloy_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="no such alloy: unobtainium; there are IN625"):
        MeltPool(alloy="unobtainium")


@pytest.mark.parametrize("alloy", ALLOYS)
def test_every_alloy_melts(alloy: str) -> None:
    pixels, _, shots = film(MeltPool(48, 48, 1, alloy=alloy), 60)
    assert area(pixels[told(shots, "active")])[-1] > 5


def test_no_two_frames_are_the_same_and_neighbours_are_more_alike_than_strangers() -> None:
    pixels, _, shots = film(MeltPool(48, 48, 3), 1200)
    hatch = [shot for shot in shots if shot.active and shot.context == "hatch" and len(shot.pixels) > 30]
    light = [shot.pixels[8:].mean(axis=(1, 2)) for shot in hatch]
    steps = np.concatenate([np.abs(np.diff(one)) for one in light]).mean()
    everywhere = np.concatenate(light)
    assert steps < 0.5 * np.abs(everywhere - np.roll(everywhere, len(everywhere) // 2)).mean()
    assert (pixels[1:] != pixels[:-1]).any(axis=(1, 2)).all()


def test_runs_differ_from_each_other_by_more_than_one_run_from_itself() -> None:
    def levels(seed: int) -> list[float]:
        """Of the steady part of each long vector."""
        _, _, shots = film(MeltPool(32, 32, seed), 500)
        return [float(shot.pixels[10:].mean()) for shot in shots if shot.active and len(shot.pixels) > 16]

    runs = [levels(seed) for seed in range(10)]
    assert np.std([np.mean(one) for one in runs]) > 1.5 * np.mean([np.std(one) for one in runs])


def test_the_fixed_pattern_belongs_to_the_camera_not_to_the_run() -> None:
    def dark(seed: int) -> np.ndarray:
        pixels, _, shots = film(MeltPool(32, 32, seed, strategy=SMALL), 1000)
        pause = ~told(shots, "active") & (told(shots, "context") == "")
        return pixels[np.flatnonzero(pause)[5:]].mean(axis=0)

    first, second = dark(1), dark(2)
    assert first.mean(axis=1).std() > 0.5
    np.testing.assert_allclose(first, second, atol=0.6)


# Physics


def test_more_power_and_less_speed_make_a_larger_pool() -> None:
    def size(beam: Beam) -> float:
        pixels, _, shots = film(MeltPool(64, 64, 5, strategy=STRATEGY._replace(hatch=beam)), 150)
        return float(np.median(area(pixels[told(shots, "active")])))

    plain = size(Beam(195.0, 800.0))
    assert size(Beam(250.0, 800.0)) > 1.15 * plain
    assert size(Beam(195.0, 1200.0)) < 0.95 * plain


def test_the_tail_lies_behind_the_pool() -> None:
    rows, columns = np.mgrid[:64, :64] - 31.5
    for seed in range(3):
        for shot in film(MeltPool(64, 64, seed), 150)[2]:
            if not shot.active or len(shot.pixels) < 20:
                continue
            assert shot.xy is not None
            ahead = (shot.xy[-1] - shot.xy[0]) / np.hypot(*(shot.xy[-1] - shot.xy[0]))
            glow = np.clip(shot.pixels[10:].mean(axis=0) - 12, 0, 60)
            along = columns * ahead[0] + rows * ahead[1]
            assert glow[along < -6].sum() > 1.5 * glow[along > 6].sum()


def test_a_vector_begins_with_a_small_pool_that_grows_to_its_steady_size() -> None:
    _, _, shots = film(MeltPool(64, 64, 2), 900)
    vectors = [area(shot.pixels) for shot in shots if shot.active and len(shot.pixels) > 30]
    first, steady = (np.mean([one[at] for one in vectors]) for at in (0, 15))
    assert first < 0.9 * steady


def test_contours_look_unlike_hatches() -> None:
    pixels, _, shots = film(MeltPool(64, 64, 1), 1400)
    active, context = told(shots, "active"), told(shots, "context")
    hatch, contour = (np.median(area(pixels[active & (context == name)])) for name in ("hatch", "contour"))
    assert contour < 0.75 * hatch


def test_a_turn_around_shows_the_last_track_cooling_and_is_not_active() -> None:
    _, _, shots = film(MeltPool(64, 64, 1), 400)
    turns = [shot for before, shot in itertools.pairwise(shots) if before.active and not shot.active]
    assert len(turns) > 3
    for shot in turns:
        assert np.median(shot.pixels[-1]) < 12
        assert shot.pixels[-1].max() < 60


# The scan


def test_layers_are_turned_by_67_degrees_and_parted_by_dark_frames_and_a_pause() -> None:
    _, _, shots = film(MeltPool(32, 32, 5, strategy=SMALL, recoat_s=0.7), 1300)
    layers = told(shots, "layer")
    assert layers[-1] >= 3
    angles = []
    for layer in range(int(layers[-1])):
        own = [shot for shot in shots if shot.layer == layer]
        longest = max(
            (shot for shot in own if shot.active and shot.context == "hatch"), key=lambda one: len(one.pixels)
        )
        assert longest.xy is not None
        along = longest.xy[-1] - longest.xy[0]
        angles.append(math.degrees(math.atan2(along[1], along[0])) % 180)
        assert not own[-1].active
        assert len(own[-1].pixels) == PAUSE_FRAMES
        assert own[-1].pixels[3:].max() < 40
        assert own[0].pause_s == (0.7 if layer else 0.0)
        assert all(shot.pause_s == 0.0 for shot in own[1:])
    assert np.allclose(np.diff(angles) % 180, 67, atol=0.1)


def test_positions_are_millimetres_on_the_part_and_go_at_the_beams_speed() -> None:
    _, _, shots = film(MeltPool(16, 16, 3), LAYER_FRAMES)
    places = np.concatenate([shot.xy for shot in shots if shot.active and shot.xy is not None])
    assert np.abs(places).max() < 2.01
    for shot in shots:
        if shot.active and shot.context == "hatch" and len(shot.pixels) > 5:
            assert shot.xy is not None
            steps = np.hypot(*np.diff(shot.xy, axis=0).T)
            assert np.allclose(steps, STRATEGY.hatch.mm_per_s * FRAME_S, rtol=1e-3)


def test_a_vector_is_computed_in_pieces_so_that_none_of_its_frames_waits_for_all() -> None:
    shots = [shot for shot, _ in MeltPool(16, 16, 3).shots(LAYER_FRAMES + 200)]
    assert max(len(shot.pixels) for shot in shots) == LEG_FRAMES
    assert max(len(shot.pixels) for shot in vectors(shots)) > 4 * LEG_FRAMES


def test_a_machine_that_takes_no_time_to_recoat_makes_no_pause() -> None:
    shots = [shot for shot, _ in MeltPool(16, 16, 3, strategy=SMALL, recoat_s=0.0).shots(1300)]
    assert shots[-1].layer
    assert {shot.pause_s for shot in shots} == {0.0}


def test_normal_frames_are_those_of_a_slower_camera_and_cover_the_layer() -> None:
    every, slow, run = 12, [], []
    for pace, found in ((every, slow), (1, run)):
        for shot, _ in MeltPool(16, 16, 4, frame_s=pace * FRAME_S).shots(LAYER_FRAMES // pace):
            if shot.active:
                found.append(shot)
    pixels, places = (np.concatenate(parts) for parts in zip(*((s.pixels, s.xy) for s in slow), strict=True))
    np.testing.assert_array_equal(normal_frames(len(pixels), 4, 16, 16, every), pixels)
    own = np.concatenate([shot.xy for shot in run if shot.xy is not None])
    assert np.isclose(places[:, None], own, atol=1e-4).all(axis=2).any(axis=1).all(), "the run's own scan"
    assert (np.ptp(places, axis=0) > 0.9 * np.ptp(own, axis=0)).all()
    assert {shot.context for shot in slow} == {"hatch", "contour"}


def test_normal_frames_know_their_context() -> None:
    _, contexts = normal_in_context(99, 4, 16, 16, 12)
    shots = (shot for shot, _ in MeltPool(16, 16, 4, frame_s=12 * FRAME_S).shots(200) if shot.active)
    assert contexts.tolist() == [shot.context for shot in shots for _ in shot.pixels][:99]
    assert set(contexts.tolist()) == {"hatch", "contour"}


def test_normal_frames_are_welding_only() -> None:
    pixels = normal_frames(80, seed=4, height=32, width=32, every=25)
    assert len(pixels) == 80
    assert (pixels.max(axis=(1, 2)) > 100).mean() > 0.95  # the first of a vector may be dim


# Anomalies


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0), st.integers(1, 900), st.sampled_from([None, *((k,) for k in KINDS)]))
def test_the_truth_is_in_order_apart_within_the_film_and_never_in_the_pause(
    seed: int, rate: float, frames: int, kinds: tuple[str, ...] | None
) -> None:
    pixels, truths, shots = film(MeltPool(16, 16, seed, rate, kinds, strategy=SMALL), frames)
    assert len(pixels) == frames
    before = -1
    for truth in truths:
        assert before < truth.first_seq <= truth.last_seq < frames
        assert truth.kind in (kinds or KINDS)
        before = truth.last_seq + GAP_FRAMES
    pause, active = told(shots, "context") == "", told(shots, "active")
    for truth in truths:
        shortest, longest = DURATIONS_FRAMES[truth.kind]
        cut_short = truth.last_seq + 1 == frames or pause[truth.last_seq + 1]
        assert (1 if cut_short else shortest) <= active[truth.first_seq : truth.last_seq + 1].sum() <= longest
    assert not pause[anomalous(truths, frames)].any()
    assert told(shots, "active")[[truth.first_seq for truth in truths]].all()


def test_short_anomalies_are_seen_for_as_long_as_they_last_though_the_laser_travels_meanwhile() -> None:
    lasted = []
    for seed in range(4):
        _, truths, shots = film(MeltPool(16, 16, seed, 0.02, ("spatter", "splash")), 1000)
        active = told(shots, "active")
        lasted += [(active[truth.first_seq : truth.last_seq + 1].sum(), truth) for truth in truths]
    assert sum(frames < truth.last_seq + 1 - truth.first_seq for frames, truth in lasted) > 3, "some meet a travel"
    assert min(frames for frames, _ in lasted) >= 2


def test_the_truth_says_where_it_began() -> None:
    _, truths, shots = film(MeltPool(16, 16, 3, 0.01, strategy=SMALL), 1500)
    assert len(truths) > 4
    places = np.concatenate([shot.xy for shot in shots if shot.xy is not None])
    layers, contexts = told(shots, "layer"), told(shots, "context")
    for truth in truths:
        assert truth.xy == pytest.approx(places[truth.first_seq], abs=1e-3)
        assert (truth.layer, truth.context) == (layers[truth.first_seq], contexts[truth.first_seq])


def compared(kind: str, side: int = 64) -> tuple[Frames, Frames]:
    """Frames of an anomaly on hatches, and those just before each, from several films."""
    odd, normal = [], []
    for seed in range(40):
        pixels, truths, shots = film(MeltPool(side, side, seed, 0.01, (kind,)), 400)
        hatch = told(shots, "active")
        for truth in truths:
            during = np.arange(truth.first_seq, truth.last_seq + 1)
            before = np.arange(max(truth.first_seq - 20, 0), truth.first_seq)
            odd.append(pixels[during[hatch[during]]])
            normal.append(pixels[before[hatch[before]]])
        if len(odd) > 12:
            break
    return np.concatenate(odd), np.concatenate(normal)


@pytest.mark.parametrize(
    ("kind", "light", "size"),
    [
        ("spatter", (1.0, 1.3), (0.9, 1.15)),
        ("splash", (1.3, 3.0), (1.2, 4.0)),
        ("plume", (1.2, 3.0), (0.9, 1.4)),
        ("keyhole", (1.2, 3.0), (1.25, 2.5)),
        ("lack_of_fusion", (0.5, 0.92), (0.2, 0.8)),
        ("balling", (0.85, 1.3), (0.85, 1.3)),
        ("defocus", (0.9, 1.1), (0.8, 1.35)),
        ("fouling", (0.6, 0.98), (0.5, 1.05)),
        ("stripes", (1.2, 2.5), (0.9, 1.15)),
    ],
)
def test_an_anomaly_changes_light_and_size_as_its_kind_says(
    kind: str, light: tuple[float, float], size: tuple[float, float]
) -> None:
    odd, normal = compared(kind)
    assert light[0] < odd.mean() / normal.mean() < light[1]
    assert size[0] < area(odd).mean() / area(normal).mean() < size[1]


def test_spatter_is_seen_away_from_the_pool() -> None:
    odd, normal = compared("spatter", 120)
    rows, columns = np.mgrid[:120, :120] - 59.5
    away = np.hypot(rows, columns) > 28
    seen = (odd[:, away].max(axis=1) > normal[:, away].max() + 5).mean()
    assert seen > 0.6


def test_balling_breaks_the_steady_size_up() -> None:
    odd, normal = compared("balling")
    assert area(odd).std() / area(odd).mean() > 1.5 * area(normal).std() / area(normal).mean()


def test_defocus_creeps_in() -> None:
    pixels, truths, shots = film(MeltPool(64, 64, 3, 0.01, ("defocus",)), 900)
    hatch = told(shots, "active") & (told(shots, "context") == "hatch")
    edge = np.abs(np.diff(pixels.astype(float), axis=2)).max(axis=(1, 2))
    longest = max(truths, key=lambda one: one.last_seq - one.first_seq)

    def sharpness(first: int, stop: int) -> float:
        return float(np.median(edge[first:stop][hatch[first:stop]]))

    before = sharpness(longest.first_seq - 20, longest.first_seq)
    assert sharpness(longest.first_seq, longest.first_seq + 12) > 0.9 * before
    assert sharpness((longest.first_seq + longest.last_seq) // 2, longest.last_seq + 1) < 0.75 * before


def test_a_frozen_buffer_repeats_the_frame_before_it() -> None:
    pixels, truths, _ = film(MeltPool(32, 32, 3, 0.05, ("frozen",)), 900)
    assert truths
    for truth in truths:
        frozen = pixels[truth.first_seq : truth.last_seq + 1]
        np.testing.assert_array_equal(frozen, np.broadcast_to(pixels[truth.first_seq - 1], frozen.shape))
    repeats = (pixels[1:] == pixels[:-1]).all(axis=(1, 2))
    np.testing.assert_array_equal(np.r_[False, repeats], anomalous(truths, len(pixels)))


def test_dropped_rows_are_zero_from_side_to_side() -> None:
    pixels, truths, _ = film(MeltPool(64, 64, 3, 0.05, ("rows_dropped",)), 600)
    zero_rows = (pixels == 0).all(axis=2).sum(axis=1)
    flags = anomalous(truths, len(pixels))
    assert (zero_rows[flags] >= 4).all()
    assert zero_rows[~flags].max() <= 1
