"""The report's pictures show what they are given, where it is."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from report_examples import DATA, HISTORY, SWEEP, chart, example
from scipy.integrate import trapezoid

from calibration.spread import Plane
from monitor.report import frames, learning, scores
from monitor.report.data import Square
from monitor.report.drawing import BAND_COLOUR, LIMIT_COLOUR, SCATTER_POINTS


def red_lines(figure: go.Figure) -> list[go.layout.Shape]:
    return [shape for shape in figure.layout.shapes if shape.type == "line" and shape.line.color == LIMIT_COLOUR]


def named(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


# Charts


def test_bars_count_every_frame_and_the_density_expects_as_many() -> None:
    shown = replace(chart(limit=14.0), scores=np.random.default_rng(0).normal(10.0, 1.0, 5000))
    bars, density = scores.histogram(shown).data
    assert bars.y.sum() == 5000
    expected = trapezoid(np.nan_to_num(density.y), density.x) / bars.width[0]
    assert expected == pytest.approx(5000, rel=0.01)


def test_the_limit_is_drawn_where_it_is_on_both_pictures() -> None:
    [upright] = red_lines(scores.histogram(chart(limit=4.0)))
    [level] = red_lines(scores.over_frames(chart(limit=4.0), DATA.starts))
    assert (upright.x0, upright.x1) == (level.y0, level.y1) == (4.0, 4.0)


def test_an_interval_is_drawn_where_it_is_known() -> None:
    unknown = replace(chart(), limit_low=math.nan, limit_high=math.nan, extrapolated=True)
    for shown, bands in ((chart(), 1), (unknown, 0)):
        drawn = [shape for shape in scores.histogram(shown).layout.shapes if shape.fillcolor == BAND_COLOUR]
        assert len(drawn) == bands


def test_limits_of_contexts_are_drawn_over_their_own_frames() -> None:
    held = np.repeat([3.0, 4.0, 3.0], [50, 100, 50])
    several = replace(chart(), held=held)
    steps = [(line.x0, line.x1, line.y0) for line in red_lines(scores.over_frames(several, DATA.starts))]
    assert steps == [(-0.5, 49.5, 3.0), (49.5, 149.5, 4.0), (149.5, 199.5, 3.0)]
    assert [line.x0 for line in red_lines(scores.histogram(several))] == [3.0, 4.0]


@pytest.mark.parametrize(("largest", "kind"), [(4.0, "linear"), (1000.0, "log")])
def test_an_axis_turns_logarithmic_when_one_score_would_take_it_all(largest: float, kind: str) -> None:
    far = replace(chart(), scores=np.append(np.linspace(1.0, 2.0, 199), largest))
    figure = scores.histogram(far)
    assert figure.layout.xaxis.type == kind
    assert scores.over_frames(far, DATA.starts).layout.yaxis.type == kind
    place = figure.layout.annotations[0].x
    assert place == pytest.approx(math.log10(far.limit) if kind == "log" else far.limit)
    assert figure.data[0].y.sum() == 200


def test_each_group_is_a_curve_of_its_own_over_its_frames() -> None:
    figure = scores.over_frames(chart(), DATA.starts)
    assert {name: (trace.x[0], trace.x[-1]) for name, trace in named(figure).items()} == {
        "runs/run7": (0, 99),
        "runs/run8": (100, 199),
    }


def test_scores_that_are_not_finite_leave_the_others_in_their_place() -> None:
    values = chart().scores.copy()
    values[:100:2] = np.nan
    first, _ = scores.over_frames(replace(chart(), scores=values), DATA.starts).data
    np.testing.assert_array_equal(first.x, np.arange(1, 100, 2))


@pytest.mark.parametrize("groups", [2, 12, 60, 400])
def test_names_of_groups_do_not_touch_each_other(groups: int) -> None:
    starts = [(10 * number, f"layers/layer_{number:04d}") for number in range(groups)]
    names = scores.names_above(starts, 10 * groups)
    assert names
    wide = [len(name["text"]) * scores.LETTER_PX if name["textangle"] == 0 else scores.LINE_PX for name in names]
    places = [name["x"] * scores.PLOT_PX / (10 * groups) for name in names]
    for (a, wide_a), (b, wide_b) in itertools.pairwise(zip(places, wide, strict=True)):
        assert b - a >= (wide_a + wide_b) / 2 - 1e-6
    assert (len(names) == groups) is (groups <= 12)


# What was learned


def test_the_weights_kept_are_those_that_drew_frames_held_out_best() -> None:
    assert learning.kept(HISTORY).step == 100
    star = named(learning.training(HISTORY))["weights used: step 100"]
    assert (star.x[0], star.y[0]) == (100, 0.3)
    assert learning.kept([one._replace(held=math.nan) for one in HISTORY]).step == 150


def test_networks_are_shown_where_they_were_trained_beside_components_of_all_sizes() -> None:
    figure = learning.sweep(SWEEP._replace(network=(math.nan, 0.2, math.nan)))
    curves = named(figure)
    assert curves["network"].x == (4,)
    assert curves["principal components"].x == SWEEP.sizes
    assert figure.layout.shapes[0].x0 == SWEEP.chosen


@pytest.mark.parametrize(("given", "told"), [(False, "chosen: 4"), (True, "this bundle: 4")])
def test_a_size_is_called_chosen_only_where_it_was(given: bool, told: str) -> None:
    [mark] = learning.sweep(SWEEP._replace(given=given)).layout.annotations
    assert mark.text == told


@pytest.mark.parametrize("groups", [2, 7, 8, 60])
def test_every_group_is_in_the_plane_of_latents_however_many_frames_the_others_have(groups: int) -> None:
    lengths = [20_000, *[3] * (groups - 1)]
    starts = [(sum(lengths[:number]), f"run {number}") for number in range(groups)]
    plane = Plane(np.random.default_rng(0).normal(size=(sum(lengths), 2)), np.zeros(2), (0.5, 0.2))
    *shown, mean = learning.latents(plane, starts).data
    assert [trace.name for trace in shown] == [name for _, name in starts]
    assert all(len(trace.x) >= 1 for trace in shown)
    assert sum(len(trace.x) for trace in shown) <= SCATTER_POINTS + groups
    assert (mean.name, mean.x[0], mean.y[0]) == ("training mean", 0.0, 0.0)


def test_few_groups_have_colours_and_shapes_of_their_own() -> None:
    markers = [learning.latents(DATA.latents, DATA.starts).data[number].marker for number in (0, 1)]
    assert markers[0].color != markers[1].color
    assert markers[0].symbol != markers[1].symbol


def test_the_circle_holds_the_share_of_gaussian_latents_that_it_is_said_to() -> None:
    q = np.random.default_rng(0).normal(size=(200_000, 2))
    inside = np.linalg.norm(q, axis=1) < learning.CIRCLE_RADIUS
    assert inside.mean() == pytest.approx(learning.CIRCLE_SHARE, abs=0.002)


# Frames


def test_the_square_lies_about_the_place_on_the_sensor_and_in_what_was_seen_whatever_the_blocks() -> None:
    large = replace(example(side=200), came=np.zeros((400, 400)), place=Square(300, 100, 28), peak=Square(50, 150, 14))
    figure = frames.panels(large, frames.greys([large]), marked=True)
    corners = [(shape.x0, shape.x1, shape.y0, shape.y1) for shape in figure.layout.shapes]
    assert corners == [(85.5, 113.5, 285.5, 313.5)] + [(142.5, 156.5, 42.5, 56.5)] * 3
    assert [shape.xref for shape in figure.layout.shapes] == ["x", "x2", "x3", "x4"]
    came, seen = figure.data[:2]
    assert came.z.shape == (133, 133)
    assert (came.x0, came.dx) == (1.0, 3)  # blocks of three pixels: the first is about pixel 1
    assert (seen.z.shape, seen.dx) == ((100, 100), 2)
    assert not frames.panels(large, frames.greys([large]), marked=False).layout.shapes


def test_all_frames_share_one_scale_of_grey_so_that_a_dark_one_is_dark() -> None:
    dark = np.full((20, 20), 7)
    covered = replace(example(), came=dark, seen=dark, drawn=np.full((20, 20), 9.0))
    grey = frames.greys([covered, example()])
    for low, high in grey:
        assert low <= 7
        assert high > 200
    assert [trace.zmax for trace in frames.panels(covered, grey, marked=False).data[:3]] == [
        grey.came[1],
        grey.seen[1],
        grey.seen[1],
    ]


def test_what_is_seen_without_its_ground_is_as_light_as_it_would_be_with_it() -> None:
    one = example()
    lifted = replace(one, came=one.came.astype(np.float32) + 1000)
    grey = frames.greys([lifted])
    assert grey.came[0] == grey.seen[0] + 1000
