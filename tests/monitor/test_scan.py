"""The scan of a layer: inside the part, at its speeds and powers, and known at every moment."""

import contextlib
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outline_examples import (
    ISLAND,
    SHAPES,
    Array,
    angles,
    points_between,
    scribbles,
    shapes,
    to_edge,
    turned,
    within,
)

from monitor.camera.meltpool.outline import BRACKET, Outline, rectangle
from monitor.camera.meltpool.scan import CONTEXTS, Beam, Path, Strategy, Stretch, at, layer_path, stretches

FRAME_S = 1e-4
HATCH, CONTOUR = CONTEXTS.index("hatch"), CONTEXTS.index("contour")


def lit(path: Path, context: int) -> Array:
    """Which pieces of *path* are scanned in *context* with the laser on."""
    return np.asarray((path.watts > 0) & (path.context == context))


def scanned(path: Path, vector: int) -> Array:
    """The pieces of *vector* with the laser on, from its first to its last."""
    return np.flatnonzero((path.watts > 0) & (path.vector == vector))


def lengths(path: Path) -> Array:
    return np.hypot(*np.diff(path.xy_mm, axis=0).T)


def points_on(path: Path, context: int) -> Array:
    """Many points of what is scanned in *context*, ends included."""
    chosen = lit(path, context)
    return points_between(path.xy_mm[:-1][chosen], path.xy_mm[1:][chosen])


def hatch_lines(path: Path, angle_rad: float) -> list[tuple[float, int]]:
    """Height across the hatch and direction, 1 or -1, of each line; its pieces must agree."""
    chosen = lit(path, HATCH)
    axes = np.array([[math.cos(angle_rad), math.sin(angle_rad)], [-math.sin(angle_rad), math.cos(angle_rad)]])
    start, stop = path.xy_mm[:-1][chosen] @ axes.T, path.xy_mm[1:][chosen] @ axes.T
    np.testing.assert_allclose(start[:, 1], stop[:, 1], atol=1e-9)
    lines = []
    for height, group in itertools.groupby(zip(start, stop, strict=True), key=lambda ends: round(ends[0][1], 6)):
        signs = {int(np.sign(last[0] - first[0])) for first, last in group}
        assert len(signs) == 1
        lines.append((height, signs.pop()))
    return lines


# What is scanned


@settings(max_examples=40, deadline=None)
@given(shapes, angles)
def test_the_hatch_lies_in_the_part_and_keeps_its_distance_from_every_edge(outline: Outline, angle: float) -> None:
    strategy = Strategy(outline)
    points = points_on(layer_path(strategy, 0, angle), HATCH)
    assert within(points, outline).all()
    assert to_edge(points, outline).min() >= strategy.hatch_offset_mm - 1e-9


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.7])
def test_the_hatch_at_its_usual_spacing_covers_what_lies_inside_its_offset(angle: float) -> None:
    path = layer_path(Strategy(rectangle(3.0, 2.0)), 0, angle)
    assert lengths(path)[lit(path, HATCH)].sum() * 0.1 == pytest.approx(2.8 * 1.8, rel=0.03)


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(0, 400), angles, st.sampled_from([0.05, 0.1, 0.13]))
def test_neighbouring_lines_run_in_opposite_directions_one_spacing_apart(
    outline: Outline, layer: int, first: float, hatch_mm: float
) -> None:
    strategy = Strategy(outline, hatch_mm=hatch_mm)
    angle = first + math.radians(67.0) * layer
    lines = hatch_lines(layer_path(strategy, layer, first), angle)
    heights, signs = np.array(lines).T
    spacings = np.diff(heights) / hatch_mm
    np.testing.assert_allclose(spacings, np.rint(spacings), atol=1e-4)  # heights are rounded
    assert (np.rint(spacings) >= 1).all()
    assert (signs == np.resize([1, -1], len(signs))).all()
    if outline in (BRACKET, SHAPES["rectangle"], SHAPES["disc"]):  # no line between two parts is missing
        np.testing.assert_allclose(spacings, 1.0, atol=1e-4)


@pytest.mark.parametrize("turn_deg", [67.0, 90.0, 0.0, -33.0])
def test_the_hatch_turns_from_layer_to_layer(turn_deg: float) -> None:
    strategy = Strategy(BRACKET, turn_deg=turn_deg)
    first = [next(s for s in stretches(layer_path(strategy, n, 0.5), FRAME_S) if s.active) for n in range(4)]
    ahead = np.array([stretch.ahead_rad[0] for stretch in first])
    np.testing.assert_allclose(np.exp(1j * ahead), np.exp(1j * (0.5 + np.radians(turn_deg) * np.arange(4))), atol=1e-9)


@pytest.mark.parametrize("outline", SHAPES.values(), ids=SHAPES)
def test_a_contour_follows_each_ring_at_its_distance_and_closes(outline: Outline) -> None:
    strategy = Strategy(outline)
    path = layer_path(strategy, 0, 0.3)
    points = points_on(path, CONTOUR)
    assert within(points, outline).all()
    assert to_edge(points, outline).min() == pytest.approx(strategy.contour_offset_mm, abs=1e-9)
    vectors = np.unique(path.vector[lit(path, CONTOUR)])
    assert len(vectors) == len(outline)
    for vector in vectors:
        pieces = scanned(path, vector)
        np.testing.assert_allclose(path.xy_mm[pieces[-1] + 1], path.xy_mm[pieces[0]], atol=1e-12)


def test_contours_come_after_the_hatch_in_the_order_of_the_rings() -> None:
    path = layer_path(Strategy(ISLAND), 0, 0.3)
    assert (np.diff(path.context) >= 0).all()
    widths = [float(np.ptp(path.xy_mm[scanned(path, vector), 0])) for vector in np.unique(path.vector)[-3:]]
    assert widths == pytest.approx([4.0 - 0.1, 2.4 + 0.1, 0.8 - 0.1], abs=0.01)


@settings(max_examples=30, deadline=None)
@given(shapes, angles, angles)
def test_a_turned_part_is_scanned_by_a_turned_path(outline: Outline, angle: float, turn: float) -> None:
    path = layer_path(Strategy(outline), 3, angle)
    other = layer_path(Strategy(turned(outline, turn)), 3, angle + turn)
    np.testing.assert_allclose(other.times_s, path.times_s, atol=1e-8)
    c, s = math.cos(turn), math.sin(turn)
    np.testing.assert_allclose(other.xy_mm, path.xy_mm @ np.array([[c, s], [-s, c]]), atol=1e-6)


# How it is scanned


@settings(max_examples=40, deadline=None)
@given(
    shapes,
    angles,
    st.builds(Beam, st.floats(50.0, 400.0), st.floats(200.0, 3000.0)),
    st.builds(Beam, st.floats(50.0, 400.0), st.floats(200.0, 3000.0)),
    st.sampled_from([0.0, 1e-4, 5e-4]),
    st.sampled_from([0.0, 2e-4]),
)
def test_each_lit_piece_has_the_beam_of_its_context(
    outline: Outline, angle: float, hatch: Beam, contour: Beam, skywriting_s: float, settle_s: float
) -> None:
    strategy = Strategy(outline, hatch, contour, skywriting_s=skywriting_s, settle_s=settle_s)
    path = layer_path(strategy, 0, angle)
    assert path.times_s[0] == 0.0
    assert (np.diff(path.times_s) > 0).all()
    for context, beam in ((HATCH, hatch), (CONTOUR, contour)):
        chosen = lit(path, context)
        assert chosen.any()
        assert (path.watts[chosen] == beam.watts).all()
        np.testing.assert_allclose((lengths(path) / np.diff(path.times_s))[chosen], beam.mm_per_s, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(shapes, angles, st.sampled_from([0.0, 3e-4]))
def test_the_laser_is_off_between_vectors_and_never_within_one(
    outline: Outline, angle: float, skywriting_s: float
) -> None:
    path = layer_path(Strategy(outline, skywriting_s=skywriting_s), 0, angle)
    on = path.watts > 0
    for before, after in itertools.pairwise(np.unique(path.vector)):
        last, first = scanned(path, before), scanned(path, after)
        assert (np.diff(last) == 1).all()
        assert not on[last[-1] + 1 : first[0]].any()
        assert first[0] > last[-1] + 1
    assert len(path.times_s) == len(path.xy_mm) == len(on) + 1 == len(path.context) + 1 == len(path.vector) + 1


def test_the_mirror_runs_up_to_each_vector_and_past_it_at_the_vectors_speed() -> None:
    strategy = Strategy(rectangle(2.0, 2.0), skywriting_s=4e-4)
    path = layer_path(strategy, 0, 0.2)
    for vector in np.unique(path.vector):
        pieces = scanned(path, vector)
        ends = [(pieces[0], path.times_s[pieces[0]], -1), (pieces[-1], path.times_s[pieces[-1] + 1], 1)]
        for piece, moment, sign in ends:
            step = (path.xy_mm[piece + 1] - path.xy_mm[piece]) / (path.times_s[piece + 1] - path.times_s[piece])
            away_s = sign * np.array([1e-4, 2.5e-4, 3.9e-4])
            places, watts = at(path, moment + away_s)
            np.testing.assert_allclose(places, at(path, moment)[0] + away_s[:, None] * step, atol=1e-9)
            assert not watts.any()


def test_over_a_narrow_hole_the_mirror_goes_straight_on() -> None:
    outline = (*rectangle(3.0, 3.0), *rectangle(0.1, 1.9))
    strategy = Strategy(outline, skywriting_s=1e-3)  # 0.8 mm: more than the gap
    path = layer_path(strategy, 0, 0.0)
    crossed = 0
    for before, after in itertools.pairwise(np.unique(path.vector[path.context == HATCH])):
        last, first = scanned(path, before)[-1], scanned(path, after)[0]
        gap = path.xy_mm[first] - path.xy_mm[last + 1]
        if abs(gap[1]) < 1e-9:
            crossed += 1
            assert abs(gap[0]) == pytest.approx(0.3, abs=1e-9)
            assert path.times_s[first] - path.times_s[last + 1] == pytest.approx(0.3 / 800.0)
    assert crossed >= 18


def test_without_skywriting_the_mirror_takes_the_shortest_way() -> None:
    path = layer_path(Strategy(rectangle(2.0, 1.0), skywriting_s=0.0, settle_s=5e-5), 0, 0.0)
    off = path.watts == 0
    turns = off & (path.context == HATCH)
    np.testing.assert_allclose(lengths(path)[turns], 0.1, atol=1e-9)
    np.testing.assert_allclose(np.diff(path.times_s)[turns], 0.1 / 5000.0 + 5e-5)
    assert path.watts[0] > 0
    assert path.watts[-1] > 0
    np.testing.assert_allclose(path.xy_mm[0], [-0.9, -0.35], atol=1e-9)


# At any time


@settings(max_examples=30, deadline=None)
@given(shapes, angles, st.lists(st.floats(-0.05, 0.4), min_size=1, max_size=30))
def test_the_place_is_exact_at_breakpoints_and_nowhere_jumps(outline: Outline, angle: float, moments: Any) -> None:
    path = layer_path(Strategy(outline), 1, angle)
    np.testing.assert_array_equal(at(path, path.times_s)[0], path.xy_mm)
    times = np.array(moments)
    step_s = 1e-7
    before, after = at(path, times)[0], at(path, times + step_s)[0]
    assert np.hypot(*(after - before).T).max() <= 5000.0 * step_s * 1.001  # nothing moves faster than a jump


def test_the_power_changes_at_breakpoints_and_is_off_outside_the_layer() -> None:
    path = layer_path(Strategy(BRACKET), 0, 0.3)
    np.testing.assert_array_equal(at(path, path.times_s)[1], [*path.watts, 0.0])
    np.testing.assert_array_equal(at(path, (path.times_s[:-1] + path.times_s[1:]) / 2)[1], path.watts)
    outside = [-np.inf, -1.0, -1e-9, path.times_s[-1] + 1e-9, 1e9]
    places, watts = at(path, outside)
    assert not watts.any()
    np.testing.assert_array_equal(places, path.xy_mm[[0, 0, 0, -1, -1]])


@pytest.mark.parametrize("shape", [(), (1,), (0,), (5, 64), (2, 3, 4)])
def test_times_of_any_shape_are_answered_in_that_shape(shape: tuple[int, ...]) -> None:
    path = layer_path(Strategy(BRACKET), 0, 0.3)
    times = np.random.default_rng(1).uniform(0.0, path.times_s[-1], shape)
    places, watts = at(path, times)
    assert places.shape == (*shape, 2)
    assert np.shape(watts) == shape


# Frames


def film(path: Path, frame_s: float) -> tuple[list[Stretch], Array]:
    found = list(stretches(path, frame_s))
    return found, np.concatenate([stretch.times_s for stretch in found])


@settings(max_examples=40, deadline=None)
@given(shapes, angles, st.sampled_from([0.0, 3e-4]), st.floats(2e-5, 0.5))
def test_the_frames_of_all_stretches_are_the_layers_frames_in_order(
    outline: Outline, angle: float, skywriting_s: float, frame_s: float
) -> None:
    path = layer_path(Strategy(outline, skywriting_s=skywriting_s), 0, angle)
    found, times = film(path, frame_s)
    np.testing.assert_array_equal(times, np.arange(len(times)) * frame_s)
    assert times[-1] < path.times_s[-1] <= len(times) * frame_s
    sizes = [len(stretch.times_s) for stretch in found]
    assert min(sizes) > 0
    for stretch in found:
        assert stretch.xy_mm.shape == (len(stretch.times_s), 2)
        assert stretch.ahead_rad.shape == stretch.times_s.shape


@settings(max_examples=30, deadline=None)
@given(shapes, angles)
def test_a_stretch_is_one_vector_or_the_way_to_it(outline: Outline, angle: float) -> None:
    path = layer_path(Strategy(outline), 0, angle)
    vectors = []
    for stretch in stretches(path, FRAME_S):
        places, watts = at(path, stretch.times_s)
        np.testing.assert_array_equal(places, stretch.xy_mm)
        assert ((watts > 0) == stretch.active).all()
        pieces = np.searchsorted(path.times_s, stretch.times_s, side="right") - 1
        assert {CONTEXTS[context] for context in path.context[pieces]} == {stretch.context}
        assert len(set(path.vector[pieces])) == 1
        vectors.append((int(path.vector[pieces[0]]), stretch.active))
    assert len(set(vectors[:-1])) == len(vectors) - 1  # none is cut in two: only the last has travel at both its ends


def test_frames_head_where_the_next_place_is() -> None:
    path = layer_path(Strategy(BRACKET), 2, 0.3)
    for stretch in stretches(path, FRAME_S):
        ahead = at(path, stretch.times_s + 1e-9)[0] - stretch.xy_mm
        same = np.angle(np.exp(1j * (np.arctan2(ahead[:, 1], ahead[:, 0]) - stretch.ahead_rad)))
        np.testing.assert_allclose(same, 0.0, atol=1e-5)


@pytest.mark.parametrize("layer", range(6))
def test_a_layer_of_the_bracket_takes_one_to_two_thousand_frames_most_of_them_lit(layer: int) -> None:
    found, times = film(layer_path(Strategy(BRACKET), layer, 0.3), FRAME_S)
    assert 1000 <= len(times) <= 2000
    assert sum(len(stretch.times_s) for stretch in found if stretch.active) > 0.6 * len(times)
    assert {(s.active, s.context) for s in found} == set(itertools.product((True, False), CONTEXTS))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_frame_at_the_very_end_belongs_to_no_layer(count: int) -> None:
    path = layer_path(Strategy(BRACKET), 0, 0.3)
    assert len(film(path, float(path.times_s[-1]) / count)[1]) == count


@pytest.mark.parametrize("frame_s", [0.0, -1e-4, math.nan, math.inf])
def test_frames_need_a_spacing_in_time(frame_s: float) -> None:
    with pytest.raises(ValueError, match="a frame every"):
        list(stretches(layer_path(Strategy(BRACKET), 0, 0.0), frame_s))


# Parts with little room, and none


def test_a_wall_too_thin_for_a_hatch_gets_its_contour_only() -> None:
    path = layer_path(Strategy(rectangle(3.0, 0.15)), 0, 0.4)
    assert not lit(path, HATCH).any()
    assert lengths(path)[lit(path, CONTOUR)].sum() == pytest.approx(2 * (2.9 + 0.05))


@pytest.mark.parametrize("wide_mm", [0.21, 0.25, 0.3])
def test_a_wall_with_room_for_one_line_gets_it_in_its_middle(wide_mm: float) -> None:
    (height, _sign), *others = hatch_lines(layer_path(Strategy(rectangle(3.0, wide_mm)), 0, 0.0), 0.0)
    assert not others
    assert height == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("lines", range(1, 30))
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_whole_spacings_make_as_many_lines_however_they_are_rounded(lines: int, angle: float) -> None:
    outline = turned(rectangle(3.0, 0.2 + 0.1 * lines), angle)
    assert len(hatch_lines(layer_path(Strategy(outline), 0, angle), angle)) == lines


@pytest.mark.parametrize(
    ("outline", "reason"),
    [((), "without a ring"), ((((0.0, 0.0), (1.0, 1.0)),), "at least 3"), (rectangle(3.0, 0.09), "no contour")],
)
def test_an_outline_that_cannot_be_scanned_is_refused(outline: Outline, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        layer_path(Strategy(outline), 0, 0.3)


@pytest.mark.parametrize("angle", [math.nan, math.inf, -math.inf])
def test_a_direction_that_is_none_is_refused(angle: float) -> None:
    with pytest.raises(ValueError, match="a first angle"):
        layer_path(Strategy(BRACKET), 0, angle)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hatch", lambda bad: Beam(bad, 800.0)),
        ("hatch", lambda bad: Beam(195.0, bad)),
        ("contour", lambda bad: Beam(bad, 800.0)),
        ("contour", lambda bad: Beam(195.0, bad)),
        ("hatch_mm", lambda bad: bad),
        ("jump_mm_per_s", lambda bad: bad),
        ("hatch_offset_mm", lambda bad: bad),
        ("contour_offset_mm", lambda bad: bad or 0.1),
        ("skywriting_s", lambda bad: bad or -1e-9),
        ("settle_s", lambda bad: bad or -1e-9),
        ("turn_deg", lambda bad: math.nan),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(bad: float, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        layer_path(Strategy(BRACKET)._replace(**{setting: value(bad)}), 1, 0.3)
    assert "\n" not in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(scribbles, angles)
def test_any_outline_is_scanned_within_itself_or_refused(outline: Outline, angle: float) -> None:
    strategy = Strategy(outline, hatch_mm=0.2)
    with contextlib.suppress(ValueError):
        path = layer_path(strategy, 0, angle)
        for context, offset_mm in ((HATCH, strategy.hatch_offset_mm), (CONTOUR, strategy.contour_offset_mm)):
            points = points_on(path, context)
            assert within(points, outline).all()
            assert (to_edge(points, outline) >= offset_mm - 1e-6).all()
