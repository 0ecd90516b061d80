"""When samples are grouped, and what becomes of a grouping that fails or lasts too long: real processes."""

import os
import select
from contextlib import closing
from pathlib import Path

import pytest

from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.launcher import REST_NS, Finished, Known, Launcher, Task, due

S = 10**9
MANY = Known(held=100, new=50, of_space=True)


@pytest.mark.parametrize(
    ("known", "since_s", "took_s", "is_due"),
    [
        (MANY, 100, 1, True),
        (MANY._replace(new=49), 100, 1, False),
        (MANY._replace(new=1), 3600, 1, True),
        (MANY._replace(new=0), 3600, 1, False),
        (MANY._replace(new=1), None, 0, True),
        (MANY._replace(held=19), 10_000, 1, False),
        (MANY, 59, 1, False),
        (MANY, 100, 11, False),
        (MANY._replace(new=0, of_space=False), 100, 1, True),
        (MANY._replace(new=0, of_space=False), 59, 1, False),
    ],
)
def test_it_is_due_after_many_events_or_long_enough_and_never_without_a_rest(
    known: Known, since_s: int | None, took_s: int, is_due: bool
) -> None:
    assert REST_NS == 60 * S
    assert due(Taxonomy(), known, None if since_s is None else since_s * S, took_s * S) is is_due


def test_time_and_number_can_each_be_left_out() -> None:
    by_number, by_time = Taxonomy(period_s=None), Taxonomy(every_events=None)
    assert not due(by_number, MANY._replace(new=49), 10_000 * S, S)
    assert due(by_number, MANY, 100 * S, S)
    assert not due(by_time, MANY, 3599 * S, S)
    assert due(by_time, MANY, 3600 * S, S)


def task_of(folder: Path, **settings: float) -> Task:
    given = Taxonomy(**settings)  # type: ignore[arg-type]
    return Task(str(folder / "kinds.db"), "melt", str(folder / "no bundle"), given, os.getpid())


def ended(launcher: Launcher, mono_ns: int) -> Finished:
    assert launcher._process is not None
    with open(os.pidfd_open(launcher._process.pid)) as process:
        assert select.select([process], [], [], 60)[0], "it never ended"
    found = launcher.look(mono_ns)
    assert found is not None
    return found


def test_a_grouping_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with closing(Launcher(task_of(tmp_path))) as launcher:
        launcher.start(0)
        assert launcher.running
        found = ended(launcher, 2 * S)
        assert found.why.startswith(f"{tmp_path / 'no bundle'}: is no bundle")
        assert not launcher.running
        assert (launcher.ended_ns, launcher.took_ns) == (2 * S, 2 * S)
        assert launcher.look(3 * S) is None


def test_a_grouping_that_lasts_too_long_is_ended(tmp_path: Path) -> None:
    with closing(Launcher(task_of(tmp_path, limit_s=5))) as launcher:
        launcher.start(0)
        found = launcher.look(5 * S + 1)
        assert found is not None
        assert "taxonomy.limit_s" in found.why
        assert not launcher.running


def test_a_grouping_ends_with_the_side_process(tmp_path: Path) -> None:
    launcher = Launcher(task_of(tmp_path))
    launcher.start(0)
    assert launcher._process is not None
    process = launcher._process
    launcher.close()
    assert process.poll() is not None
    assert not launcher.running
