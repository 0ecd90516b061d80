"""The promise of a false-alarm budget, on small streams: `python -m tests.benchmarks.promise` runs the large ones."""

from pathlib import Path

import numpy as np
import pytest

from calibration.events import EventRule, start, step
from tests.benchmarks.promise import __main__ as command
from tests.benchmarks.promise.figures import OnStream, read
from tests.benchmarks.promise.streams import Stream, chunks, events, fresh, scored
from tests.benchmarks.promise.trials import by_ranks, summary, trials

SMALL = Stream("small", 0.9, 40_000, 2_000_000, floor=2.2, charts=3)


@pytest.mark.parametrize("stream", [SMALL, SMALL._replace(memory=0.5, period=500)], ids=["AR(1) 0.9", "periodic"])
def test_limits_keep_their_budget_on_fresh_streams(stream: Stream) -> None:
    done = trials(stream, fresh(stream, 99), (3.0, 8.0), 24, 7)
    for expected in (3.0, 8.0):
        found = summary(stream.name, expected, done[expected])
        assert 0.6 < found.mean < 1.6
        assert found.conservative_mean < found.mean
        assert found.covered >= 0.75
        assert found.conservative_over <= 0.25


def test_smooth_tails_keep_a_budget_that_ranks_break() -> None:
    """Ranks tie the highest frames of all charts: asked for two events, they allow one a chart."""
    stream = SMALL._replace(charts=4, k=1, n=1, floor=2.8)
    ahead = fresh(stream, 99)
    smooth = summary(stream.name, 2.0, trials(stream, ahead, (2.0,), 24, 7)[2.0]).mean
    assert 0.7 < smooth < 1.4
    assert np.mean(by_ranks(stream, ahead, 2.0, 24, 7)) > 1.4 * smooth


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("clear_frames", [1, 40])
def test_events_on_a_fresh_stream_are_those_of_the_rule(k: int, n: int, clear_frames: int) -> None:
    stream = Stream("short", 0.9, 0, 20_000, floor=1.5, charts=3, k=k, n=n)
    scores = scored(np.concatenate(list(chunks(stream, stream.fresh, 5))))
    limits = scored(np.full((1, 3), 1.9))[0]
    rows = np.zeros(len(scores), [("seq", "i8"), ("joint", "f8")])
    rows["joint"] = 2.0 * (scores > limits).any(axis=1)
    rule = EventRule(k, n, clear_frames)
    _, changes = step(rule, start(rule), rows)
    began = sum(change.phase == "began" for change in changes)
    assert began > 50
    assert events(fresh(stream, 5), limits, clear_frames) == began


def test_streams_do_not_depend_on_the_pieces_they_are_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SMALL._replace(period=500)
    whole = np.concatenate(list(chunks(stream, 3000, 1)))
    monkeypatch.setattr("tests.benchmarks.promise.streams.CHUNK", 700)
    assert np.allclose(np.concatenate(list(chunks(stream, 3000, 1))), whole)
    turning = whole.reshape(-1, 500, 3)[:, 250:290].mean()
    assert turning - whole.mean() > 0.5


def test_the_command_writes_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "STREAMS", {"small": SMALL._replace(fresh=4_000_000)})
    monkeypatch.setattr("sys.argv", ["promise", "--quick", "--only", "small", "--calibrations", "2"])
    monkeypatch.setattr("sys.argv", [*command.sys.argv, "--json", str(tmp_path / "figures.json")])
    command.main()
    rows = read(tmp_path / "figures.json", list[OnStream])
    assert [row.expected for row in rows] == list(command.EXPECTED)
    assert capsys.readouterr().out.count("small") == len(rows)
