"""The scan of a layer: inside the part, at its speeds and powers, and known at every moment."""

import contextlib
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.camera.meltpool.scan import (
    BRACKET,
    CONTEXTS,
    Beam,
    Outline,
    Path,
    Strategy,
    Stretch,
    at,
    disc,
    layer_path,
    lug,
    rectangle,
    stretches,
)

FRAME_S = 1e-4
HATCH, CONTOUR = CONTEXTS.index("hatch"), CONTEXTS.index("contour")
L_SHAPE: Outline = (
    ((-1.0, -1.0), (1.5, -1.0), (1.5, 0.0), (0.2, 0.0), (0.2, 1.0), (-1.0, 1.0)),
    ((-0.7, -0.7), (-0.2, -0.7), (-0.2, -0.2), (-0.7, -0.2)),
)
ISLAND: Outline = (*rectangle(4.0, 3.0), *disc(1.2), *rectangle(0.8, 0.6))
TWO_PARTS: Outline = (((0.0, 0.0), (1.0, 0.0), (0.5, 0.9)), ((2.0, 0.0), (3.0, 0.0), (3.0, 1.0), (2.0, 1.0)))
SPIKED: Outline = (((0.0, 0.0), (3.0, 0.0), (3.0, 2.0), (1.6, 2.0), (1.5, 0.5), (1.4, 2.0), (0.0, 2.0)),)
SHAPES = {
    "bracket": BRACKET,
    "rectangle": rectangle(3.0, 2.0),
    "disc": disc(1.0),
    "L with a square hole": L_SHAPE,
    "island in a hole": ISLAND,
    "two parts": TWO_PARTS,
    "deep notch": SPIKED,
}
Array = np.ndarray[Any, np.dtype[Any]]

shapes = st.sampled_from(list(SHAPES.values()))
angles = st.floats(-10.0, 10.0)


def mirrored(outline: Outline) -> Outline:
    """The same edges, gone along the other way round."""
    return tuple(tuple(reversed(ring)) for ring in outline)


def turned(outline: Outline, angle_rad: float) -> Outline:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return tuple(tuple((c * x - s * y, s * x + c * y) for x, y in ring) for ring in outline)


def area(outline: Outline) -> float:
    """Of rings that lie in one another or apart, by the shoelace formula."""
    total = 0.0
    for ring in outline:
        x, y = np.array(ring).T
        holes = sum(enclosed(np.array(ring[:1]), other)[0] for other in outline if other is not ring)
        total += (-1) ** holes * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return float(total)


def enclosed(points: Array, ring: Any) -> Array:
    """How often *ring* goes round each of *points* (n, 2), 0 or 1: by the angle it is seen under."""
    away = np.array(ring)[None] - points[:, None]
    turn = away[..., 0] + 1j * away[..., 1]
    return np.abs(np.rint(np.angle(np.roll(turn, -1, axis=1) / turn).sum(axis=1) / (2 * math.pi))).astype(int)


def within(points: Array, outline: Outline) -> Array:
    return np.sum([enclosed(points, ring) for ring in outline], axis=0) % 2 == 1


def to_edge(points: Array, outline: Outline) -> Array:
    """How far each of *points* (n, 2) is from the nearest edge."""
    nearest = np.full(len(points), np.inf)
    for ring in outline:
        for start, stop in zip(ring, ring[1:] + ring[:1], strict=True):
            edge = np.subtract(stop, start) if start != stop else np.full(2, 1e-12)
            along = np.clip((points - start) @ edge / (edge @ edge), 0.0, 1.0)
            nearest = np.minimum(nearest, np.hypot(*(points - start - along[:, None] * edge).T))
    return nearest


def lit(path: Path, context: int) -> Array:
    """Which pieces of *path* are scanned in *context* with the laser on."""
    return np.asarray((path.watts > 0) & (path.context == context))


def lengths(path: Path) -> Array:
    return np.hypot(*np.diff(path.xy_mm, axis=0).T)


def points_on(path: Path, context: int) -> Array:
    """Many points of what is scanned in *context*, ends included."""
    chosen = lit(path, context)
    share = np.linspace(0.0, 1.0, 21)[:, None, None]
    points = path.xy_mm[:-1][chosen] * (1 - share) + path.xy_mm[1:][chosen] * share
    return np.asarray(points.reshape(-1, 2))


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


@settings(max_examples=40, deadline=None)
@given(shapes, angles)
def test_a_hatch_vector_ends_only_where_the_part_does(outline: Outline, angle: float) -> None:
    strategy = Strategy(outline)
    path = layer_path(strategy, 0, angle)
    chosen = lit(path, HATCH)
    ends = np.concatenate([path.xy_mm[:-1][chosen], path.xy_mm[1:][chosen]])
    np.testing.assert_allclose(to_edge(ends, outline), strategy.hatch_offset_mm, atol=1e-9)


@pytest.mark.parametrize("outline", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.7])
def test_the_hatch_covers_the_part(outline: Outline, angle: float) -> None:
    strategy = Strategy(outline, hatch_mm=0.01, contour_offset_mm=1e-5, hatch_offset_mm=2e-5)
    path = layer_path(strategy, 0, angle)
    covered = lengths(path)[lit(path, HATCH)].sum() * strategy.hatch_mm
    assert covered == pytest.approx(area(outline), rel=0.01)


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
@pytest.mark.parametrize("way_round", [lambda rings: rings, mirrored])
def test_a_contour_follows_each_ring_inside_the_material(outline: Outline, way_round: Any) -> None:
    strategy = Strategy(way_round(outline))
    path = layer_path(strategy, 0, 0.3)
    points = points_on(path, CONTOUR)
    assert within(points, outline).all()
    assert to_edge(points, outline).min() == pytest.approx(strategy.contour_offset_mm, abs=1e-9)
    # Only in front of a corner is it further away from the edge, and not much.
    assert to_edge(points, outline).max() <= math.sqrt(2) * strategy.contour_offset_mm + 1e-9
    assert np.quantile(to_edge(points, outline), 0.8) == pytest.approx(strategy.contour_offset_mm, abs=1e-9)
    assert len(np.unique(path.vector[lit(path, CONTOUR)])) == len(outline)
    for vector in np.unique(path.vector[lit(path, CONTOUR)]):
        pieces = np.flatnonzero(lit(path, CONTOUR) & (path.vector == vector))
        np.testing.assert_allclose(path.xy_mm[pieces[-1] + 1], path.xy_mm[pieces[0]], atol=1e-12)  # it closes


def test_contours_come_after_the_hatch_in_the_order_of_the_rings() -> None:
    path = layer_path(Strategy(ISLAND), 0, 0.3)
    assert (np.diff(path.context) >= 0).all()
    shown = [path.xy_mm[:-1][lit(path, CONTOUR) & (path.vector == v)] for v in np.unique(path.vector)[-3:]]
    widths = [float(np.ptp(points[:, 0])) for points in shown]
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
        last, first = (np.flatnonzero(on & (path.vector == v)) for v in (before, after))
        assert (np.diff(last) == 1).all()
        assert not on[last[-1] + 1 : first[0]].any()
        assert first[0] > last[-1] + 1
    assert len(path.times_s) == len(path.xy_mm) == len(on) + 1 == len(path.context) + 1 == len(path.vector) + 1


def test_the_mirror_runs_up_to_each_vector_and_past_it_at_the_vectors_speed() -> None:
    strategy = Strategy(rectangle(2.0, 2.0), skywriting_s=4e-4)
    path = layer_path(strategy, 0, 0.2)
    for vector in np.unique(path.vector):
        pieces = np.flatnonzero((path.watts > 0) & (path.vector == vector))
        ends = [(pieces[0], path.times_s[pieces[0]], -1), (pieces[-1], path.times_s[pieces[-1] + 1], 1)]
        for piece, moment, sign in ends:
            step = (path.xy_mm[piece + 1] - path.xy_mm[piece]) / (path.times_s[piece + 1] - path.times_s[piece])
            away_s = sign * np.array([1e-4, 2.5e-4, 4e-4])
            places, watts = at(path, moment + away_s)
            np.testing.assert_allclose(places, at(path, moment)[0] + away_s[:, None] * step, atol=1e-9)
            assert not watts[away_s != 0.0][: 2 if sign < 0 else 3].any()


def test_over_a_narrow_hole_the_mirror_goes_straight_on() -> None:
    hole = tuple((x, y) for x, y in rectangle(0.1, 1.9)[0])
    strategy = Strategy((*rectangle(3.0, 3.0), hole), skywriting_s=1e-3)  # 0.8 mm: more than the gap
    path = layer_path(strategy, 0, 0.0)
    middle = [v for v in np.unique(path.vector) if path.context[path.vector == v][0] == HATCH]
    crossed = 0
    for before, after in itertools.pairwise(middle):
        last = np.flatnonzero((path.watts > 0) & (path.vector == before))[-1]
        first = np.flatnonzero((path.watts > 0) & (path.vector == after))[0]
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
    assert [stretch.first for stretch in found] == [0, *np.cumsum(sizes)[:-1].tolist()]
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


# Shapes


def test_the_shapes_have_the_sizes_they_were_asked_for() -> None:
    assert area(rectangle(3.0, 2.0)) == pytest.approx(6.0)
    assert area(disc(1.5)) == pytest.approx(math.pi * 1.5**2, rel=0.01)
    assert area(lug(4.0, 2.5, 1.1)) == pytest.approx(2.75 * 2.5 + math.pi * (1.25**2 / 2 - 0.55**2), rel=0.01)
    for outline, size in ((rectangle(3.0, 2.0), (3.0, 2.0)), (disc(1.5), (3.0, 3.0)), (BRACKET, (4.0, 2.5))):
        corners = np.array(outline[0])
        assert np.ptp(corners, axis=0) == pytest.approx(size)
        assert corners.min(axis=0) == pytest.approx(np.array(size) / -2)
    assert len(BRACKET[1]) >= 24


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


def test_a_point_that_only_repeats_another_changes_nothing() -> None:
    ring = BRACKET[0]
    closed = ((*ring[:3], ring[2], *ring[3:], ring[0]), BRACKET[1])
    usual, repeated = (layer_path(Strategy(outline), 0, 0.3) for outline in (BRACKET, closed))
    first_contour = usual.vector[lit(usual, CONTOUR)][0]
    before = usual.times_s[:-1][usual.vector < first_contour]
    np.testing.assert_array_equal(repeated.times_s[: len(before)], before)
    np.testing.assert_allclose(repeated.times_s[-1], usual.times_s[-1], rtol=0.02)  # the contour may begin elsewhere


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        ((), "without a ring"),
        (((),), "finite"),
        ((((0.0, 0.0), (1.0, 1.0)),), "at least 3"),
        ((((0.0, 0.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)),), "at least 3"),
        ((((0.0, 0.0), (math.nan, 1.0), (1.0, 0.0)),), "finite"),
        ((((0.0, 0.0), (math.inf, 1.0), (1.0, 0.0)),), "finite"),
        ((((0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0)),), "finite"),
        ((((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)),), "no contour"),
        (rectangle(0.0, 1.0), "at least 3"),
        (rectangle(3.0, 0.09), "no contour"),
        (rectangle(3.0, 0.02), "no contour"),
        ((((-1.0, -1.0), (1.0, 1.0), (1.0, -1.0), (-1.0, 1.1)),), "no contour"),
        (lug(4.0, 2.5, 2.45), "no contour"),
        ((*rectangle(3.0, 3.0), *rectangle(2.94, 2.94)), "no contour"),
        ((*rectangle(2.0, 2.0), *rectangle(3.0, 1.0)), "no contour"),
    ],
)
def test_an_outline_that_cannot_be_scanned_is_refused_in_one_line(outline: Outline, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        layer_path(Strategy(outline), 0, 0.3)
    assert "\n" not in str(refused.value)


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
@given(
    st.lists(st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)), max_size=7).map(tuple), max_size=2).map(
        tuple
    ),
    angles,
)
def test_any_outline_is_scanned_within_itself_or_refused(outline: Outline, angle: float) -> None:
    strategy = Strategy(outline, hatch_mm=0.2)
    with contextlib.suppress(ValueError):
        path = layer_path(strategy, 0, angle)
        for context, offset_mm in ((HATCH, strategy.hatch_offset_mm), (CONTOUR, strategy.contour_offset_mm)):
            points = points_on(path, context)
            assert within(points, outline).all()
            assert (to_edge(points, outline) >= offset_mm - 1e-6).all()
