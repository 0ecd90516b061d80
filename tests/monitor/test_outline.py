"""Outlines: what lies in them, what keeps its distance from their edges, and which make no sense."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outline_examples import (
    SHAPES,
    Array,
    angles,
    area,
    mirrored,
    points_between,
    scribbles,
    shapes,
    to_edge,
    turned,
    within,
)

from monitor.camera.meltpool.outline import (
    BRACKET,
    Outline,
    Span,
    disc,
    edges_of,
    free_spans,
    insets,
    inside,
    lug,
    rectangle,
    rings_of,
)

SHORTEST_MM = 0.05
ANGLES = [0.0, 0.4, math.pi / 2, 2.7]


def spans_at(outline: Outline, heights: Array, offset_mm: float) -> tuple[list[Span], Array, Array]:
    """The free spans, and their beginnings and ends (n, 2)."""
    spans = free_spans(edges_of(rings_of(outline)), heights, offset_mm, SHORTEST_MM)
    firsts = np.array([(span.first_mm, heights[span.line]) for span in spans])
    lasts = np.array([(span.last_mm, heights[span.line]) for span in spans])
    return spans, firsts.reshape(-1, 2), lasts.reshape(-1, 2)


def test_the_shapes_have_the_sizes_they_were_asked_for() -> None:
    assert area(rectangle(3.0, 2.0)) == pytest.approx(6.0)
    assert area(disc(1.5)) == pytest.approx(math.pi * 1.5**2, rel=0.01)
    assert area(lug(4.0, 2.5, 1.1)) == pytest.approx(2.75 * 2.5 + math.pi * (1.25**2 / 2 - 0.55**2), rel=0.01)
    for outline, size in ((rectangle(3.0, 2.0), (3.0, 2.0)), (disc(1.5), (3.0, 3.0)), (BRACKET, (4.0, 2.5))):
        corners = np.array(outline[0])
        assert np.ptp(corners, axis=0) == pytest.approx(size)
        assert corners.min(axis=0) == pytest.approx(np.array(size) / -2)
    assert len(BRACKET[1]) >= 24


@settings(max_examples=60, deadline=None)
@given(shapes, angles, st.integers(0, 2**32))
def test_a_point_lies_inside_where_the_edges_go_round_it(outline: Outline, angle: float, seed: int) -> None:
    part = turned(outline, angle)
    points = np.random.default_rng(seed).uniform(-3.5, 3.5, (200, 2))
    np.testing.assert_array_equal(inside(points, edges_of(rings_of(part))), within(points, part))


# Free spans


@settings(max_examples=40, deadline=None)
@given(shapes, angles, st.sampled_from([0.02, 0.1, 0.2]))
def test_a_span_lies_inside_and_ends_where_an_edge_comes_as_near_as_its_offset(
    outline: Outline, angle: float, offset_mm: float
) -> None:
    part = turned(outline, angle)
    _, firsts, lasts = spans_at(part, np.linspace(-3.5, 3.5, 90), offset_mm)
    points = points_between(firsts, lasts)
    assert within(points, part).all()
    assert to_edge(points, part).min() >= offset_mm - 1e-9
    np.testing.assert_allclose(to_edge(np.concatenate([firsts, lasts]), part), offset_mm, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(shapes, angles)
def test_spans_come_line_by_line_from_left_to_right_and_none_is_too_short(outline: Outline, angle: float) -> None:
    spans, firsts, lasts = spans_at(turned(outline, angle), np.linspace(-2.0, 2.0, 60), 0.1)
    assert spans == sorted(spans)
    assert (lasts - firsts)[:, 0].min() >= SHORTEST_MM


@pytest.mark.parametrize("outline", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("angle", ANGLES)
def test_spans_close_together_cover_the_part(outline: Outline, angle: float) -> None:
    heights = np.arange(-3.995, 4.0, 0.01)
    _, firsts, lasts = spans_at(turned(outline, angle), heights, 2e-5)
    assert (lasts - firsts)[:, 0].sum() * 0.01 == pytest.approx(area(outline), rel=0.01)


@pytest.mark.parametrize(
    ("height_mm", "expected"),
    [
        (0.0, [(-1.9, -0.6), (0.6, 1.9)]),
        (0.55, [(-1.9, -0.5 - math.sqrt(0.0075)), (0.5 + math.sqrt(0.0075), 1.9)]),  # around the hole's corners
        (0.61, [(-1.9, 1.9)]),
        (0.89, [(-1.9, 1.9)]),
        (0.91, []),
        (5.0, []),
    ],
)
def test_the_spans_beside_a_square_hole(height_mm: float, expected: list[tuple[float, float]]) -> None:
    spans, _, _ = spans_at((*rectangle(4.0, 2.0), *rectangle(1.0, 1.0)), np.array([height_mm]), 0.1)
    assert [(span.first_mm, span.last_mm) for span in spans] == [pytest.approx(ends, abs=1e-9) for ends in expected]


def test_a_span_may_be_as_short_as_asked_for_and_no_shorter() -> None:
    edges = edges_of(rings_of(rectangle(1.0, 1.0)))
    assert free_spans(edges, np.zeros(1), 0.1, 0.79) == [(0, pytest.approx(-0.4), pytest.approx(0.4))]
    assert free_spans(edges, np.zeros(1), 0.1, 0.81) == []


# Insets


def closed(rings: list[Array]) -> Array:
    """Many points of the edges of *rings*."""
    return np.concatenate([points_between(ring, np.roll(ring, -1, axis=0)) for ring in rings])


@pytest.mark.parametrize("outline", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("way_round", [lambda rings: rings, mirrored], ids=["as given", "mirrored"])
def test_an_inset_follows_each_ring_inside_the_material(outline: Outline, way_round: Any) -> None:
    moved = insets(rings_of(way_round(outline)), 0.05)
    points = closed(moved)
    assert len(moved) == len(outline)
    assert within(points, outline).all()
    assert to_edge(points, outline).min() == pytest.approx(0.05, abs=1e-9)
    # Only in front of a corner is it further away from the edge, and not much.
    assert to_edge(points, outline).max() <= math.sqrt(2) * 0.05 + 1e-9
    assert np.quantile(to_edge(points, outline), 0.8) == pytest.approx(0.05, abs=1e-9)


def test_an_outer_ring_shrinks_and_a_hole_grows() -> None:
    moved = insets(rings_of((*rectangle(4.0, 3.0), *disc(1.2), *rectangle(0.8, 0.6))), 0.05)
    assert [float(np.ptp(ring[:, 0])) for ring in moved] == pytest.approx([3.9, 2.5, 0.7], abs=0.01)


@settings(max_examples=200, deadline=None)
@given(scribbles, st.sampled_from([0.01, 0.05, 0.3]))
def test_any_outline_has_insets_within_itself_or_is_refused(outline: Outline, offset_mm: float) -> None:
    try:
        points = closed(insets(rings_of(outline), offset_mm))
    except ValueError:
        return
    assert within(points, outline).all()
    assert (to_edge(points, outline) >= offset_mm - 1e-6).all()


# Rings


def test_a_point_that_only_repeats_the_one_before_is_left_out() -> None:
    (x, y), *others = BRACKET[0]
    repeated = ((x, y), (x, y), (x + 1e-12, y), *others, (x, y))
    usual, found = (np.array(rings_of((ring,))[0]) for ring in (BRACKET[0], repeated))
    assert found.shape == usual.shape
    assert {tuple(point) for point in found.round(9)} == {tuple(point) for point in usual.round(9)}


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
def test_an_outline_without_room_or_sense_is_refused_in_one_line(outline: Outline, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        insets(rings_of(outline), 0.05)
    assert "\n" not in str(refused.value)
