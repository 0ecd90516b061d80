"""The pictures of a stream show blocks, memory and delays where they are."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import plotly.graph_objects as go
import pytest
from report_examples import BUDGET, DATA, DELAYS, PROMISE

from calibration.shifted import MEWMA, T2
from monitor.report import streams
from monitor.report.drawing import BAND_COLOUR, LIMIT_COLOUR, SECOND_COLOUR, SERIES_POINTS


def lines(figure: go.Figure, colour: str) -> list[go.layout.Shape]:
    return [shape for shape in figure.layout.shapes if shape.type == "line" and shape.line.color == colour]


def test_every_axis_has_a_name() -> None:
    for figure in (
        streams.extremes(PROMISE),
        streams.survival(PROMISE),
        streams.correlation(DATA.correlation),
        streams.delays(DELAYS),
    ):
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text


def test_blocks_are_drawn_in_order_with_both_limits_and_the_interval() -> None:
    figure = streams.extremes(PROMISE)
    [curve] = figure.data
    assert len(curve.x) <= SERIES_POINTS
    assert curve.y.max() == pytest.approx(max(BUDGET.extremes))
    assert [line.y0 for line in lines(figure, LIMIT_COLOUR)] == [6.0]
    assert [line.y0 for line in lines(figure, SECOND_COLOUR)] == [3.0]
    [band] = [shape for shape in figure.layout.shapes if shape.fillcolor == BAND_COLOUR]
    assert (band.y0, band.y1) == (5.7, 6.6)


def test_the_survival_curve_falls_to_the_share_that_the_budget_lets_through() -> None:
    figure = streams.survival(PROMISE)
    curve, tail, read = figure.data
    assert (np.diff(curve.y) > 0).all()
    assert (np.diff(curve.x) <= 0).all()
    meant = 0.25 * 2.1 / 15_120
    assert (read.x[0], read.y[0]) == (PROMISE.groups_level, pytest.approx(meant))
    assert tail.y[0] > curve.y[0] > tail.y[1]
    assert 10 ** figure.layout.yaxis.range[0] < meant
    assert [line.x0 for line in lines(figure, LIMIT_COLOUR)] == [6.0]


def test_a_limit_that_blocks_support_needs_no_tail() -> None:
    within = replace(PROMISE, groups_level=float(np.quantile(BUDGET.extremes, 0.999)))
    assert len(streams.survival(within).data) == 2


def test_few_blocks_are_points() -> None:
    few = replace(PROMISE, budget=msgspec.structs.replace(BUDGET, extremes=BUDGET.extremes[:40], blocks=40))
    assert streams.extremes(few).data[0].mode == "lines+markers"
    assert streams.extremes(PROMISE).data[0].mode == "lines"


def test_memory_is_shown_in_time_where_the_frame_rate_is_known_and_in_frames_where_not() -> None:
    timed = streams.correlation(replace(DATA.correlation, rate_hz=500.0))
    assert (timed.data[-1].x[0], timed.data[-1].x[-1]) == (2.0, 600.0)
    [line] = timed.layout.shapes
    assert line.x0 == 240.0
    plain = streams.correlation(replace(DATA.correlation, rate_hz=math.nan, dead_time=0))
    assert (plain.data[-1].x[0], plain.data[-1].x[-1]) == (1, 300)
    assert "frames" in plain.layout.xaxis.title.text
    assert not plain.layout.shapes


def test_delays_are_drawn_where_half_of_the_runs_saw_the_shift_and_marked_as_longer_where_not() -> None:
    curves = {trace.name: trace for trace in streams.delays(DELAYS).data}
    measured = curves[f"{MEWMA}, measured"]
    np.testing.assert_allclose(measured.y, [math.nan, 0.9, 0.045])
    np.testing.assert_allclose(measured.error_y.array, [0.0, 0.18, 0.009])
    np.testing.assert_allclose(measured.error_y.arrayminus, [0.0, 0.09, 0.0045])
    longer = curves[f"{T2}, longer than"]
    np.testing.assert_allclose(longer.y, [0.8, 0.8])
    theory = curves[f"{T2}, theory for independent Gaussian frames"]
    np.testing.assert_allclose(theory.y, [90.0, 12.0, 0.008])
