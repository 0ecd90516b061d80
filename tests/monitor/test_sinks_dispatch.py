from collections.abc import Callable

import pytest
from sink_examples import (
    Memory,
    VirtualClock,
    dispatching,
    of,
    route,
    run,
    some_alarm,
    some_journal,
    until,
)

from monitor.sinks.sink import DeliveryError


def test_a_change_that_nobody_announced_is_found_by_the_poll() -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock):
                await until(lambda: clock.sleepers == 1)
                journal.write(some_alarm())
                clock.pass_to_next()
                await until(lambda: sink.seen == [("1", 1)])

    run(main)


def test_a_dead_sink_and_a_hanging_sink_hold_up_neither_another_nor_the_stop() -> None:
    async def main() -> None:
        dead, hanging, well = Memory("dead"), Memory("hanging"), Memory("well")
        dead.error = DeliveryError("refused")
        hanging.open.clear()
        with some_journal() as journal:
            async with dispatching(journal, route(dead), route(hanging), route(well)) as dispatch:
                for number in range(1, 101):
                    journal.write(some_alarm(number))
                dispatch.wake()
                await until(lambda: len(well.got) == 100 and dead.tried > 0 and hanging.tried > 0)
                assert [of(dispatch, name).pending for name in ("dead", "hanging", "well")] == [100, 100, 0]
            assert journal.cursor("well") == 100
            assert journal.cursor("dead") == journal.cursor("hanging") == 0
            assert dead.closed
            assert hanging.closed

    run(main)


def test_what_a_sink_keeps_is_started_again_when_it_breaks() -> None:
    class Breaking(Memory):
        runs = 0

        async def run(self, back: Callable[[], None]) -> None:
            self.runs += 1
            if self.runs == 1:
                raise ValueError("mistake")

    async def main() -> None:
        sink, clock = Breaking(), VirtualClock()
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock):
                journal.write(some_alarm())
                await until(lambda: clock.sleepers == 2)  # the poll, and the pause before the next start
                clock.pass_s(60.0)
                await until(lambda: sink.runs == 2 and len(sink.got) == 1)

    run(main)


def test_a_goodbye_that_fails_is_told_and_the_stop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Sullen(Memory):
        async def close(self) -> None:
            raise DeliveryError("the broker did not answer")

    async def main() -> None:
        sullen, well = Sullen("sullen"), Memory("well")
        with some_journal() as journal:
            async with dispatching(journal, route(sullen), route(well)):
                pass
        assert well.closed

    run(main)
    assert "the broker did not answer" in caplog.text


def test_a_disk_that_refuses_is_waited_for() -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock):
                journal.refusing = True
                await until(lambda: clock.sleepers == 2)
                journal.refusing = False
                clock.pass_s(1.0)
                await until(lambda: clock.sleepers == 1)
                journal.write(some_alarm())
                clock.pass_to_next()
                await until(lambda: len(sink.got) == 1)

    run(main)


def test_the_stop_delivers_what_is_there_and_marks_it() -> None:
    async def main() -> None:
        sink = Memory()
        sink.open.clear()
        with some_journal() as journal:
            async with dispatching(journal, route(sink)) as dispatch:
                for number in (1, 2, 3):
                    journal.write(some_alarm(number))
                dispatch.wake()
                await until(lambda: sink.tried == 1)
                dispatch.stop(5.0)
                sink.open.set()
            assert len(sink.got) == 3
            assert journal.cursor("memory") == 3
            assert sink.closed

    run(main)


def test_without_sinks_there_is_nothing_to_do_until_the_stop() -> None:
    async def main() -> None:
        with some_journal() as journal:
            async with dispatching(journal) as dispatch:
                dispatch.wake()
                assert dispatch.statistics == []

    run(main)
