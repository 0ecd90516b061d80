"""What keeps the alarms is killed 200 times at random moments of a burst: nothing is lost, nothing is doubled."""

import random
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from daemon_example import record, some_config, some_orders
from side_example import Side, Subscriber, wait_for

from monitor.alarms.acts import Acknowledge
from monitor.config import Config
from monitor.journal.store import Journal
from monitor.operators import reach

KILLS = 200
LONGEST_S = 1.6  # a process is killed at the latest so long after it was started: half of them are up by then
AHEAD_MOST = 1000  # records that the event log may be ahead of the reader: it holds twice as many
PATIENCE_S = 120.0


class Burst(threading.Thread):
    """Tells of one event after the other: each begins, grows and ends; some a hundred a second."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self._side = side
        self._done = threading.Event()
        self.events = 0

    def run(self) -> None:
        while not self._done.wait(0.01):
            if int(self._side.memory.log["count"][0]) - int(self._side.memory.vitals["heard"][0]) > AHEAD_MOST:
                continue
            self.events += 1
            source = ("t2", "s2", "frozen")[self.events % 3]
            more = {"event": self.events, "source": source, "t_ns": 10**18 + self.events}
            for phase, frames in (("began", 3), ("grew", 8), ("ended", 9)):
                self._side.tell(record(phase, last_seq=10 + frames, frames_over=frames, **more))

    def stop(self) -> None:
        self._done.set()
        self.join()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


def test_killed_at_random_moments_it_loses_no_alarm_and_doubles_none(config: Config) -> None:
    chance = random.Random(20_261_130)
    never = threading.Event()
    acked: set[str] = set()
    with some_orders(config) as (given, memory):
        side, subscriber = Side(given, memory), Subscriber(config.outputs.alarms)
        burst = Burst(side)
        burst.start()
        try:
            for kill in range(KILLS):
                side.start(ready=False)
                never.wait(chance.uniform(0, LONGEST_S))
                side.kill()
                journal = Journal(Path(config.journal), config.camera)  # it opens every time
                alarms = journal.alarms(50)
                journal.close()
                if alarms and kill % 5 == 0:  # someone acknowledges while nothing runs
                    alarm_id = chance.choice(alarms).id
                    reach.do(config, None, alarm_id, Acknowledge("ann", "true"))
                    acked.add(alarm_id)
            burst.stop()
            side.start()
            wait_for(lambda: int(memory.vitals["heard"][0]) == int(memory.log["count"][0]), PATIENCE_S)
            subscriber.until(lambda told: told.topic == "alarm.melt")
            status, _, said = side.stop()
            assert status == 0, said
            heard = subscriber.rest()
        finally:
            burst.stop()
            side.close()
            subscriber.close()
    journal = Journal(Path(config.journal), config.camera)
    revisions = defaultdict(list)
    for told in _all_changes(journal):
        revisions[told.alarm.id].append(told)
    floods = {alarm_id for alarm_id, changes in revisions.items() if changes[0].alarm.source == "flood"}
    assert len(floods) <= 1
    assert len(revisions) == burst.events + len(floods), "one alarm for each event"
    assert sum(journal.raised().values()) == burst.events + len(floods)
    for alarm_id, changes in revisions.items():
        assert [one.alarm.rev for one in changes] == list(range(1, len(changes) + 1))
        if alarm_id in floods:
            continue
        assert [one.what for one in changes if one.what not in ("acknowledged", "changed")] == ["raised", "cleared"]
        assert changes[-1].alarm.frames_over == 9
        assert changes[-1].alarm.acked is (alarm_id in acked)
    by_revision = {(alarm_id, one.alarm.rev): one.alarm for alarm_id, found in revisions.items() for one in found}
    published = {(body["id"], body["rev"]): body["frames_over"] for body in heard}
    assert published
    for key, frames_over in published.items():
        assert by_revision[key].frames_over == frames_over, "what is sent again is the same"
    journal.close()


def _all_changes(journal: Journal) -> list:  # type: ignore[type-arg]
    found, row = [], 0
    while page := journal.changes_after(row, 1000):
        row = page[-1].row
        found += page
    return found
