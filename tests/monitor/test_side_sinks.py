"""The side process with sinks: what is journalled arrives, also after an outage and a kill."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from daemon_example import record, some_config, some_orders
from side_example import Side, wait_for

from monitor.config import Config
from monitor.sinks.config import Command, Sinks

APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + chr(10))"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A file to which a program writes each alarm that it is given."""
    return tmp_path / "told"


@pytest.fixture
def config(tmp_path: Path, told: Path) -> Config:
    program = Command(name="file", command=(sys.executable, "-c", APPEND, str(told)))
    return msgspec.structs.replace(some_config(tmp_path), sinks=Sinks(commands=(program,)))


@pytest.fixture
def side(config: Config) -> Iterator[Side]:
    with some_orders(config) as (given, memory):
        made = Side(given, memory)
        yield made
        made.close()


def arrived(told: Path) -> list[tuple[str, int]]:
    if not told.exists():
        return []
    alarms = [json.loads(line) for line in told.read_text().splitlines()]
    return [(alarm["source"], alarm["rev"]) for alarm in alarms]


def test_each_change_arrives_in_order(side: Side, told: Path) -> None:
    side.start()
    for one in (record("began"), record("grew", last_seq=20, frames_over=7), record("ended", last_seq=21)):
        side.tell(one)
    wait_for(lambda: len(arrived(told)) == 3)
    assert arrived(told) == [("t2", 1), ("t2", 2), ("t2", 3)]
    assert side.stop()[0] == 0


def test_what_did_not_arrive_before_a_kill_arrives_after_it(side: Side, told: Path) -> None:
    side.start()
    side.tell(record("began"))
    wait_for(lambda: len(arrived(told)) == 1)
    for event in range(2, 8):
        side.tell(record("began", event=event, source="frozen"))
    wait_for(lambda: int(side.memory.vitals["heard"][0]) == 7)
    side.kill()
    side.start()
    wait_for(lambda: len(set(arrived(told))) >= 2 and arrived(told).count(("frozen", 1)) >= 6)
    assert side.stop()[0] == 0
