"""How each layer and each job did, from the units that the hot process finished, in real shared memory."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from promise_example import unit, unit_log
from test_rates import FAR, FITTED, NEAR, WARNING, WINDOW, frames

from calibration.beta_binomial import rate_of
from monitor import layers as layer_books
from monitor import recordlog, unitlog
from monitor.layers import (
    JOBS_SHOWN,
    LAYERS_SHOWN,
    PERIOD_NS,
    UNITS_KEPT,
    LayerBook,
    LayerCount,
    RateSummary,
    layers_of,
)
from monitor.rates import RateWatch
from monitor.unitlog import FinishedUnit

LAW = FITTED.limit.law


class Side:
    """A book, the log that it reads, and the chart of rates that writes it."""

    def __init__(self) -> None:
        self.log = unit_log()
        self.watch = RateWatch(FITTED, WARNING, self.log)
        self.book = LayerBook(FITTED, self.log)
        self.now_ns = 10**12

    def step(self, units: Sequence[FinishedUnit] = ()) -> None:
        for one in units:
            unitlog.append(self.log, one)
        self.now_ns += PERIOD_NS
        self.book.step(self.now_ns)

    def show(self, *parts: Any) -> None:
        """Judged frames of one layer, or window, after another."""
        for part in parts:
            self.watch.take(part)
        self.watch.judge()
        self.step()


@pytest.fixture
def side() -> Side:
    return Side()


def layer(number: int, exceedances: int, count: int = WINDOW, **given: Any) -> Any:
    return frames(exceedances, count, first_seq=WINDOW * number, layer=number, **given)


def test_before_the_first_layer_is_finished_there_is_nothing(side: Side) -> None:
    side.show(layer(0, 3))
    assert side.book.current is None
    assert side.book.summary() == RateSummary([], [])


def test_a_finished_layer_is_told_with_its_rate_and_score(side: Side) -> None:
    side.show(layer(0, 3), layer(1, FAR), layer(2, 1))
    calm, over = side.book.summary().layers
    assert (calm.stream, calm.job, calm.layer, calm.first_seq, calm.last_seq) == ("one", "part 7", 0, 0, WINDOW - 1)
    assert (calm.judged, calm.exceedances, calm.rate) == (WINDOW, 3, 3 / WINDOW)
    rate = rate_of(LAW, [3], [WINDOW])
    assert (calm.low, calm.high) == (rate.low, rate.high)
    assert calm.low < calm.rate < calm.high
    assert calm.score is not None
    assert over.score is not None
    assert calm.score < calm.limit == over.limit == FITTED.limit.limit < over.score
    assert (calm.over, over.over, over.layer, calm.uncharted) == (False, True, 1, [])


def test_a_job_adds_up_its_layers(side: Side) -> None:
    side.show(layer(0, 3), layer(1, FAR), layer(2, 1, 50), layer(3, NEAR), layer(4, 0))
    [job] = side.book.summary().jobs
    assert (job.job, job.judged, job.exceedances) == ("part 7", 3 * WINDOW + 50, 4 + FAR + NEAR)
    assert (job.charted, job.uncharted, job.out_of_control) == (3, 1, 2)
    rate = rate_of(LAW, [3, FAR, 1, NEAR], [WINDOW, WINDOW, 50, WINDOW])
    assert (job.rate, job.low, job.high) == (rate.rate, rate.low, rate.high)


@pytest.mark.parametrize(("count", "restarted", "why"), [(50, False, "few_frames"), (150, True, "partial")])
def test_what_is_not_charted_is_counted_and_says_why(side: Side, count: int, restarted: bool, why: str) -> None:
    after = frames(1, first_seq=WINDOW, layer=1, stream="two" if restarted else "one")
    side.show(layer(0, 10, count), after, frames(0, 1, first_seq=2 * WINDOW, layer=2, stream="two"))
    first = side.book.summary().layers[0]
    assert (first.layer, first.judged, first.exceedances, first.score, first.over) == (0, count, 10, None, False)
    assert first.uncharted[0] == why


def test_windows_are_told_as_such(side: Side) -> None:
    side.show(frames(3), frames(FAR, first_seq=WINDOW), frames(2, first_seq=2 * WINDOW))
    assert [(one.layer, one.over) for one in side.book.summary().layers] == [(None, False), (None, True), (None, False)]
    assert side.book.current == LayerCount("part 7", layered=False, charted=3, out_of_control=1)


def test_the_current_job_is_that_of_the_last_unit(side: Side) -> None:
    side.step([unit(0, score=9.0), unit(1), unit(2, job="part 8"), unit(3, job="part 8", score=9.0)])
    assert side.book.current == LayerCount("part 8", layered=True, charted=2, out_of_control=1)
    side.step([unit(4, why="few_frames")])
    assert side.book.current == LayerCount("part 7", layered=True, charted=2, out_of_control=1)


def test_a_job_is_asked_for_by_name(side: Side) -> None:
    side.step([unit(0), unit(1, job="part 8"), unit(2, job=""), unit(3, job="part 8")])
    assert [job.job for job in side.book.summary().jobs] == ["part 7", "part 8", ""]
    found = side.book.summary("part 8")
    assert [job.job for job in found.jobs] == ["part 8"]
    assert [one.layer for one in found.layers] == [1, 3]
    assert [one.job for one in side.book.summary("").layers] == [""]
    assert side.book.summary("part 9") == RateSummary([], [])


def test_a_layer_is_one_with_its_parts_unless_its_job_went_on_meanwhile() -> None:
    parts = [
        unit(0, layer=5),
        unit(1, layer=-1),  # frames that name no layer
        unit(2, layer=5, job="part 8"),
        unit(3, layer=5),
        unit(4, layer=6),
        unit(5, layer=5),  # the job is built again
        unit(6, layer=5, stream="two"),  # the camera was restarted: its frames are counted anew
    ]
    assert [[one.first_seq // 100 for one in found] for found in layers_of(parts)] == [[0, 3], [1], [2], [4], [5], [6]]


def test_the_parts_of_a_layer_are_added_up_and_the_highest_decides(side: Side) -> None:
    side.step(
        [unit(0, layer=5, score=9.0), unit(1, layer=-1, frames=7), unit(2, layer=5), unit(3, layer=5, why="partial")]
    )
    whole, between = side.book.summary().layers
    assert (whole.first_seq, whole.last_seq, whole.judged, whole.exceedances) == (0, 399, 300, 6)
    assert (whole.score, whole.over, whole.uncharted) == (9.0, True, ["partial"])
    assert (between.layer, between.judged) == (None, 7)


def test_units_are_read_once_a_second(side: Side) -> None:
    side.step([unit(0)])
    unitlog.append(side.log, unit(1))
    side.book.step(side.now_ns + PERIOD_NS - 1)
    assert len(side.book.summary().layers) == 1
    side.book.step(side.now_ns + PERIOD_NS)
    assert len(side.book.summary().layers) == 2


def test_the_layers_of_a_hot_process_that_died_are_kept(side: Side) -> None:
    side.step([unit(0), unit(1)])
    recordlog.begin(side.log, "hot-2")
    side.step([unit(2)])
    assert [one.layer for one in side.book.summary().layers] == [0, 1, 2]
    again = LayerBook(FITTED, side.log)
    again.step(0)
    assert [one.layer for one in again.summary().layers] == [2], (
        "a restarted side process finds those of the present one"
    )


def test_only_the_latest_are_kept_and_shown(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    assert UNITS_KEPT >= LAYERS_SHOWN
    monkeypatch.setattr(layer_books, "UNITS_KEPT", LAYERS_SHOWN + 20)
    side.book = LayerBook(FITTED, side.log)
    for first in (0, 400):
        side.step([unit(number, job=f"part {number // 10}") for number in range(first, first + 400)])
    found = side.book.summary()
    assert [one.layer for one in found.layers] == [*range(800 - LAYERS_SHOWN, 800)]
    assert [job.job for job in found.jobs] == [f"part {number}" for number in range(80 - JOBS_SHOWN, 80)]
    assert len(side.book.summary("part 28").layers) == 10
    assert side.book.summary("part 27").layers == []


def test_it_may_be_asked_while_units_come_in(side: Side) -> None:
    side.step([unit(0)])
    answers: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(side.book.summary("part 7").jobs[0].charted)

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(1, 200):
        side.step([unit(number)])
    done.set()
    asking.join()
    assert answers == sorted(answers)
    assert side.book.summary().jobs[0].charted == 200
