"""Scores over time: whatever is asked, no extreme is missing, and memory does not grow."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.history.pyramid import LEVELS, Pyramid, Resolution, Span

SMALL = (Resolution(10, 8), Resolution(40, 8), Resolution(120, 10))
CHARTS = 2


class Raw(NamedTuple):
    """All frames that were added, with the times they are told of."""

    judged_ns: np.ndarray
    scores: np.ndarray
    limits: np.ndarray


def filled(times: list[int], seed: int, levels: tuple[Resolution, ...] = SMALL, piece: int = 5) -> tuple[Pyramid, Raw]:
    judged_ns = np.sort(np.array(times))
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (CHARTS, len(judged_ns))).astype(np.float32)
    limits = rng.choice([1.0, 2.0], scores.shape)
    pyramid = Pyramid(CHARTS, levels)
    for first in range(0, len(judged_ns), piece):
        rows = slice(first, first + piece)
        pyramid.add(judged_ns[rows], scores[:, rows], scores[:, rows] > limits[:, rows], limits[:, rows])
    return pyramid, Raw(judged_ns, scores, limits)


def assert_true(span: Span, raw: Raw) -> None:
    for column in range(len(span.judged)):
        rows = (raw.judged_ns >= span.edges_ns[column]) & (raw.judged_ns < span.edges_ns[column + 1])
        assert span.judged[column] == rows.sum()
        assert span.over[:, column].tolist() == (raw.scores > raw.limits)[:, rows].sum(axis=1).tolist()
        if rows.any():
            assert span.low[:, column].tolist() == raw.scores[:, rows].min(axis=1).tolist()
            assert span.high[:, column].tolist() == raw.scores[:, rows].max(axis=1).tolist()
            assert span.ratio[:, column].tolist() == (raw.scores / raw.limits)[:, rows].max(axis=1).tolist()
            assert span.limit[:, column].tolist() == raw.limits[:, rows][:, -1].tolist()
        else:
            assert np.isinf(span.low[:, column]).all()
            assert np.isneginf(span.ratio[:, column]).all()
            assert np.isnan(span.limit[:, column]).all()


def kept(raw: Raw) -> Raw:
    """What the coarsest level of SMALL has not forgotten."""
    rows = raw.judged_ns >= (int(raw.judged_ns[-1]) // 120 - 9) * 120
    return Raw(raw.judged_ns[rows], raw.scores[:, rows], raw.limits[:, rows])


times = st.lists(st.integers(0, 2000), min_size=1, max_size=120)


@given(times, st.integers(0, 99), st.integers(0, 2100), st.integers(1, 2100), st.integers(2, 30))
def test_the_extremes_of_any_answer_are_those_of_the_raw_scores(
    drawn: list[int], seed: int, end: int, length: int, most: int
) -> None:
    pyramid, raw = filled(drawn, seed)
    span = pyramid.span(end - length, end, most)
    assert 1 <= len(span.judged) <= most
    assert_true(span, kept(raw))


@given(times, st.integers(0, 99), st.integers(1, 1200), st.integers(2, 30))
def test_an_answer_about_what_is_kept_covers_all_that_was_asked(
    drawn: list[int], seed: int, length: int, most: int
) -> None:
    pyramid, raw = filled(drawn, seed)
    end = int(raw.judged_ns[-1]) + 1
    span = pyramid.span(end - length, end, most)
    assert span.edges_ns[-1] >= end
    assert span.edges_ns[0] < end - length + 120, "at most a bin is missing at its beginning"
    assert_true(span, kept(raw))


def test_a_spike_is_seen_at_every_scale() -> None:
    count = 100_000  # a frame every 0.1 s: nearly three hours
    judged_ns = np.arange(count) * LEVELS[0].step_ns
    scores = np.zeros((1, count), np.float32)
    scores[0, 70_001] = 9
    pyramid = Pyramid(1)
    pyramid.add(judged_ns, scores, scores > 1, np.ones(scores.shape))
    end = int(judged_ns[-1]) + 1
    for seconds in (3_000, 7_000, 30_000, 100_000, 600_000):
        span = pyramid.span(end - seconds * 10**9, end, 50)
        assert (float(span.high.max()), int(span.over.sum())) == (9.0, 1), seconds


def test_a_span_of_as_many_bins_as_are_asked_for_is_told_in_the_finest_ones() -> None:
    pyramid, _ = filled(list(range(0, 100, 3)), 0)
    span = pyramid.span(97 - 60, 97, 6)
    assert np.diff(span.edges_ns).tolist() == [10] * 6
    assert span.edges_ns[-1] == 100


def test_stretches_stay_where_they_are_while_the_span_moves_on() -> None:
    pyramid, _ = filled(list(range(2000)), 0, LEVELS)
    step = LEVELS[0].step_ns
    edges = [pyramid.span(now - 100 * step, now, 20).edges_ns for now in (200 * step, 201 * step, 203 * step)]
    widths = {int(width) for one in edges for width in np.diff(one)}
    assert len(widths) == 1
    assert len({int(one[0]) % widths.copy().pop() for one in edges}) == 1


def test_what_comes_late_counts_in_the_bin_that_is_open() -> None:
    pyramid = Pyramid(1, SMALL)

    def add(judged_ns: int, score: float) -> None:
        pyramid.add(np.array([judged_ns]), np.array([[score]], np.float32), np.array([[False]]), np.array([[5.0]]))

    add(3, 1.0)
    pyramid.finish(12)
    told = pyramid.finished(None, 10)
    assert told is not None
    assert (told.first, told.span.high.tolist(), pyramid.finished_ns) == (0, [[1.0]], 10)
    add(9, 2.0)  # its bin was told
    assert pyramid.finished(0, 10) is None
    pyramid.finish(35)
    told = pyramid.finished(0, 10)
    assert told is not None
    assert (told.first, told.span.judged.tolist()) == (1, [1, 0])
    assert told.span.high.tolist() == [[2.0, -np.inf]]
    assert pyramid.finished(2, 10) is None


@given(times, st.integers(0, 99), st.integers(1, 40))
def test_what_is_told_bin_by_bin_misses_no_frame(drawn: list[int], seed: int, turn: int) -> None:
    judged_ns = np.sort(np.array(drawn))
    scores = np.random.default_rng(seed).normal(0, 1, (1, len(drawn))).astype(np.float32)
    pyramid, told, last = Pyramid(1, (Resolution(10, 500),)), [], None
    for now in range(0, 2100 + turn, turn):
        # The last frames before a look are seen at the next one: their scores were being written.
        seen = (judged_ns < now - 3) & (judged_ns >= now - 3 - turn)
        if seen.any():
            pyramid.add(judged_ns[seen], scores[:, seen], scores[:, seen] > 9, np.ones((1, seen.sum())))
        pyramid.finish(now)
        found = pyramid.finished(last, 500)
        if found is not None:
            assert found.first == (0 if last is None else last + 1)
            last = found.first + len(found.span.judged) - 1
            told.append(found.span)
    assert sum(int(span.judged.sum()) for span in told) == len(drawn)
    assert max(float(span.high.max()) for span in told) == float(scores.max())


def test_memory_is_bounded_whatever_comes() -> None:
    pyramid = Pyramid(6)
    before = pyramid.nbytes
    assert before < 7_700_000, "as it is documented"
    judged_ns = np.arange(0, 10**15, 10**11)
    scores = np.zeros((6, len(judged_ns)), np.float32)
    pyramid.add(judged_ns, scores, scores > 1, np.ones(scores.shape))
    assert pyramid.nbytes == before


@pytest.mark.parametrize("uptime_s", [5, 3600])
def test_a_span_from_before_the_machine_ran_is_empty_there(uptime_s: int) -> None:
    pyramid = Pyramid(1)
    now = uptime_s * 10**9
    pyramid.add(np.array([now - 1]), np.array([[2.0]], np.float32), np.array([[True]]), np.array([[1.0]]))
    span = pyramid.span(now - 8 * 3600 * 10**9, now, 500)
    assert (int(span.judged.sum()), float(span.high.max())) == (1, 2.0)
    assert np.diff(span.edges_ns).max() <= 60 * 10**9
