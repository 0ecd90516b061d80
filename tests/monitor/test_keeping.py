"""What came true of the promise: judged hours by job, events by verdict, and blocks that reach the disk once."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from daemon_example import record
from promise_example import SCALE, T_NS, block

from monitor import blocklog
from monitor.alarms.alarm import Alarm, Verdict
from monitor.alarms.book import apply, open_book
from monitor.blockstore import Block, BlockStore, BlockStoreError, beside, read_blocks
from monitor.keeping import JOBS_SHOWN, PERIOD_NS, RECOUNT_NS, Counted, JobStatus, Keeper, PromiseStatus
from monitor.orders import Promise, StopPromise
from monitor.shared import lay_out, size_of

HOUR_NS = 3600 * 10**9
PROMISE = Promise(
    per_hour=1.0,
    conservative=True,
    hours=2.5,
    extrapolated_by=1.5,
    rate_hz=100.0,
    dead_time_s=0.3,
    why="it is well",
    scale=SCALE,
    drift=True,
)


STOPS = StopPromise(
    per_hour=0.1, rule="5 of 8", hours=2.5, extrapolated_by=4.0, dead_time_s=0.5, why="too short for it"
)
CHARTS = ("t2", "s2", "offset", "local")


def alarm(
    number: int, verdict: Verdict | None = None, job: str = "part 7", hour: float = 1.0, source: str = "t2"
) -> Alarm:
    [case] = apply(open_book("melt", []), record("began", number, job=job, source=source))[1]
    return msgspec.structs.replace(case.alarm, verdict=verdict, raised_t_ns=T_NS + round(hour * HOUR_NS))


class Side:
    """A keeper, the shared memory that it reads, and the alarms that it asks for."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.db"
        [self.log] = lay_out(bytearray(size_of(blocklog.fields())), blocklog.fields())
        blocklog.begin(self.log, "hot-1")
        self.alarms: list[Alarm] = []
        self.asked_ns: list[int] = []
        self.now_ns = 10**12
        self.keeper = self.another()

    def another(self, limits_ns: int = 0) -> Keeper:
        """A keeper as a restarted process has it."""
        return Keeper(PROMISE, CHARTS, self.journal, self.log, limits_ns, STOPS)

    def since(self, sources: Sequence[str], t_ns: int) -> Counted:
        self.asked_ns.append(t_ns)
        found = [one for one in self.alarms if one.raised_t_ns >= t_ns and one.source in sources]
        counts = Counter((one.job, one.verdict) for one in found)
        return [(job, verdict, count) for (job, verdict), count in counts.items()]

    def step(self, blocks: Sequence[Block] = (), *, news: bool = True) -> PromiseStatus:
        blocklog.append(self.log, blocks)
        self.now_ns += PERIOD_NS
        self.keeper.step(self.now_ns, self.since, news)
        assert self.keeper.status is not None
        return self.keeper.status

    @property
    def stored(self) -> list[Block]:
        return read_blocks(beside(self.journal), SCALE)


def full(_store: BlockStore, _blocks: Sequence[Block]) -> list[Block]:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    made = Side(tmp_path)
    yield made
    made.keeper.close()


def counts(job: JobStatus) -> tuple[str | None, float, int, int, int]:
    return job.job, job.hours, job.true, job.false, job.unknown


def test_before_anything_is_known_nothing_is_said(side: Side) -> None:
    assert side.keeper.status is None
    assert side.keeper.why == ""


def test_the_promise_is_told_beside_what_came_true(side: Side) -> None:
    status = side.step()
    told = (status.per_hour, status.conservative, status.calibration_hours, status.extrapolated_by, status.dead_time_s)
    assert told == (1.0, True, 2.5, 1.5, 0.3)
    assert (status.why, status.blocks, status.jobs) == ("it is well", 0, [])
    overall = status.overall
    assert counts(overall) == (None, 0.0, 0, 0, 0)
    assert (overall.fewest.per_hour, overall.fewest.high, overall.judgement) == (None, None, "not yet known")
    assert side.asked_ns == [], "no alarm counts where no time was judged"


def test_frames_that_come_faster_than_the_budget_counts_are_told_once(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    """Blocks of 360,000 frames an hour are the hundred a second of the budget."""
    alike = side.step([block(0, frames=370_000)])
    assert alike.judged_rate_hz == pytest.approx(100 * 37 / 36)
    assert not alike.rate_apart
    faster = [side.step([block(number, frames=720_000)]) for number in (1, 2)]
    assert [one.rate_apart for one in faster] == [True, True]
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("151.4 frames are judged a second, and the false-alarm budget takes 100 for one")


def test_of_few_frames_the_rate_is_not_told(side: Side) -> None:
    assert side.step([block(0, frames=999)]).judged_rate_hz is None


def test_hours_and_events_are_counted_by_job(side: Side) -> None:
    side.alarms = [alarm(1), alarm(2, "true"), alarm(3, "false", "part 8"), alarm(4, "unknown", "part 8")]
    blocks = [block(0), block(1), block(2, job="part 8"), block(3, job="part 8"), block(4, job="part 8")]
    status = side.step(blocks)
    assert [counts(job) for job in status.jobs] == [("part 7", 2.0, 1, 0, 1), ("part 8", 3.0, 0, 1, 1)]
    assert counts(status.overall) == (None, 5.0, 1, 1, 2)
    assert status.blocks == 5
    assert side.stored == blocks


def test_unknown_events_bound_the_rate(side: Side) -> None:
    side.alarms = [alarm(1), alarm(2, "true"), alarm(3, "false"), alarm(4, "unknown")]
    overall = side.step([block(number) for number in range(10)]).overall
    assert (overall.fewest.events, overall.fewest.per_hour) == (1, pytest.approx(0.1))
    assert (overall.most.events, overall.most.per_hour) == (3, pytest.approx(0.3))
    assert overall.fewest.low < 0.1 < 0.3 < (overall.most.high or 0)


@pytest.mark.parametrize(
    ("hours", "false", "unknown", "judgement"),
    [
        (4, 0, 0, "kept"),
        (2, 0, 0, "not yet known"),
        (4, 0, 3, "not yet known"),
        (1, 9, 0, "broken"),
        (1, 0, 9, "not yet known"),
    ],
)
def test_a_promise_is_kept_broken_or_not_yet_known(
    side: Side, hours: int, false: int, unknown: int, judgement: str
) -> None:
    side.alarms = [alarm(number, "false" if number < false else None) for number in range(false + unknown)]
    overall = side.step([block(number) for number in range(hours)]).overall
    assert overall.judgement == judgement
    assert (overall.hours_to_know > 0) == (judgement == "not yet known")
    assert f": {judgement}" in overall.why


def test_an_alarm_of_a_job_of_which_no_block_is_finished_counts(side: Side) -> None:
    side.alarms = [alarm(1, "false", "part 9")]
    status = side.step([block(0)])
    assert [counts(job) for job in status.jobs] == [("part 7", 1.0, 0, 0, 0), ("part 9", 0.0, 0, 1, 0)]
    assert counts(status.overall) == (None, 1.0, 0, 1, 0)


def test_alarms_from_before_the_first_block_are_of_other_hours(side: Side) -> None:
    side.alarms = [alarm(1, hour=-0.1), alarm(2, hour=0.1)]
    assert side.step([block(0)]).overall.unknown == 1
    assert set(side.asked_ns) == {T_NS}, "the first block took an hour"


def test_what_other_limits_have_judged_says_nothing_of_these(side: Side) -> None:
    side.alarms = [alarm(number, "false", hour=number + 0.5) for number in range(5)]
    side.step([block(number) for number in range(5)])
    side.keeper.close()
    side.keeper = side.another(T_NS + 2 * HOUR_NS)
    status = side.step([block(5)])
    assert counts(status.overall) == (None, 4.0, 0, 3, 0)
    assert status.blocks == 6, "for a new calibration all of them are good"


def test_the_latest_jobs_are_shown_and_all_are_counted(side: Side) -> None:
    count = JOBS_SHOWN + 5
    status = side.step([block(number, job=f"part {number}") for number in range(count)])
    assert [job.job for job in status.jobs] == [f"part {number}" for number in range(5, count)]
    assert status.overall.hours == count


def test_a_restarted_side_process_stores_and_counts_each_block_once(side: Side) -> None:
    first = side.step([block(0), block(1)])
    side.keeper.close()
    side.keeper = side.another()
    again = side.step()
    assert (again.blocks, again.overall.hours) == (first.blocks, first.overall.hours) == (2, 2.0)
    assert side.step([block(2)]).overall.hours == 3.0
    assert side.stored == [block(0), block(1), block(2)]


@pytest.mark.parametrize("finished", [1, 2, 4])
def test_a_restarted_hot_process_goes_on(side: Side, finished: int) -> None:
    side.step([block(0), block(1)])
    blocklog.begin(side.log, "hot-2")
    status = side.step([block(number, "hot-2") for number in range(finished)])
    assert (status.blocks, status.overall.hours) == (2 + finished, 2.0 + finished)
    assert [(one.epoch, one.number) for one in side.stored[2:]] == [("hot-2", number) for number in range(finished)]


def test_blocks_go_to_disk_once_a_second(side: Side) -> None:
    side.step([block(0)])
    blocklog.append(side.log, [block(1)])
    side.keeper.step(side.now_ns + PERIOD_NS - 1, side.since, False)
    assert side.stored == [block(0)]
    side.keeper.step(side.now_ns + PERIOD_NS, side.since, False)
    assert side.stored == [block(0), block(1)]


def test_new_verdicts_are_seen_without_new_blocks(side: Side) -> None:
    side.alarms = [alarm(1)]
    assert side.step([block(0)]).overall.unknown == 1
    side.alarms = [alarm(1, "true")]
    assert counts(side.step().overall) == (None, 1.0, 1, 0, 0)


def test_a_disk_that_refuses_is_told_and_made_up_for(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = side.step([block(0)])
    with monkeypatch.context() as patched:
        patched.setattr(BlockStore, "add", full)
        assert side.step([block(1)]) == before
        assert side.step([block(2)]) == before
        assert side.keeper.why == "blocks of judged time cannot be written: database or disk is full"
    assert caplog.text.count("cannot be written") == 1, "told once, not every second"
    assert side.step().overall.hours == 3.0
    assert side.keeper.why == ""
    assert side.stored == [block(0), block(1), block(2)]


def test_what_was_finished_last_is_written_before_the_end(side: Side) -> None:
    side.step([block(0)])
    blocklog.append(side.log, [block(1)])
    side.keeper.close()
    assert side.stored == [block(0), block(1)]


def test_a_disk_that_refuses_at_the_end_does_not_hold_it_up(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    side.step([block(0)])
    blocklog.append(side.log, [block(1)])
    with monkeypatch.context() as patched:
        patched.setattr(BlockStore, "add", full)
        side.keeper.close()
    assert "the last 1 blocks of judged time are lost: database or disk is full" in caplog.text
    assert side.stored == [block(0)]


def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.blocks.db")) as theirs:
        theirs.execute("CREATE TABLE theirs (a)")
    with pytest.raises(BlockStoreError, match="is another program's database"):
        Side(tmp_path)


def test_stops_have_a_promise_of_their_own_and_alarms_of_their_own_keep_it(side: Side) -> None:
    side.alarms = [alarm(1, "false"), alarm(2, "false", source="stop"), alarm(3, "true", source="stop")]
    status = side.step([block(number) for number in range(20)])
    assert status.stops is not None
    assert (status.stops.per_hour, status.stops.rule, status.stops.extrapolated_by) == (0.1, "5 of 8", 4.0)
    assert counts(status.stops.overall) == (None, 20.0, 1, 1, 0)
    assert counts(status.overall) == (None, 20.0, 0, 1, 0), "a stop is no second alarm of the charts"


def test_where_no_alarm_has_changed_none_is_counted_anew(side: Side) -> None:
    side.alarms = [alarm(1, "false")]
    side.step([block(0)])
    asked = len(side.asked_ns)
    side.alarms = [alarm(1, "true")]
    still = side.step([block(1)], news=False)
    assert (len(side.asked_ns), counts(still.overall)) == (asked, (None, 2.0, 0, 1, 0))
    assert counts(side.step().overall) == (None, 2.0, 1, 0, 0)


def test_many_alarms_are_counted_the_more_seldom(side: Side) -> None:
    side.alarms = [alarm(number, "false") for number in range(3 * PERIOD_NS // RECOUNT_NS)]
    for number in range(5):
        side.step([block(number)])
    assert len(side.asked_ns) == 4, "charts and stops, at the first step and at the fourth"


def test_a_change_between_two_countings_is_not_forgotten(side: Side) -> None:
    side.step([block(0)])
    side.alarms = [alarm(1, "false")]
    side.keeper.step(side.now_ns + 1, side.since, True)
    assert side.step(news=False).overall.false == 1
