import asyncio
import contextlib
import logging
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_examples import (
    T_NS,
    Journal,
    Memory,
    VirtualClock,
    dispatching,
    everything,
    of,
    route,
    run,
    some_alarm,
    some_journal,
    until,
)

from monitor.sinks.dispatch import Dispatch
from monitor.sinks.feed import Entry
from monitor.sinks.pump import PAGE, REFUSALS_MAX
from monitor.sinks.retry import Policy
from monitor.sinks.sink import DeliveryError


def test_every_change_arrives_once_and_in_order() -> None:
    async def main() -> None:
        sink = Memory()
        with some_journal() as journal:
            async with dispatching(journal, route(sink)) as dispatch:
                for number in range(2 * PAGE + 10):
                    journal.write(some_alarm(number))
                dispatch.wake()
                await until(lambda: len(sink.got) == 2 * PAGE + 10)
                await until(lambda: journal.cursor("memory") == 2 * PAGE + 10, "the mark")
                assert of(dispatch, "memory").pending == 0
                assert of(dispatch, "memory").sent == 2 * PAGE + 10
        assert [alarm.id for alarm in sink.got] == sorted(alarm.id for alarm in sink.got)

    run(main)


def test_a_sink_goes_on_where_it_was_when_the_process_starts_again() -> None:
    async def main() -> None:
        with some_journal() as journal:
            journal.write(some_alarm(1))  # before the sink was configured
            first, second = Memory(), Memory()
            async with dispatching(journal, route(first)) as dispatch:
                journal.write(some_alarm(2))
                dispatch.wake()
                await until(lambda: len(first.got) == 1)
            journal.write(some_alarm(3))
            async with dispatching(journal, route(second)):
                await until(lambda: len(second.got) == 1)
            assert (first.seen, second.seen) == ([("2", 1)], [("3", 1)])

    run(main)


def test_failures_open_the_circuit_and_the_first_delivery_closes_it() -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        sink.error = DeliveryError("the answer is 500")
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock) as dispatch:
                journal.write(some_alarm())
                dispatch.wake()
                for failures in range(1, 7):
                    await until(lambda failures=failures: of(dispatch, "memory").failures == failures)
                    assert of(dispatch, "memory").circuit == ("closed" if failures < 5 else "open")
                    await until(lambda: clock.sleepers == 2)  # the poll, and the pause
                    clock.pass_s(60.0)
                sink.open.clear()
                await until(lambda: sink.tried == 7)
                assert of(dispatch, "memory").circuit == "half_open"
                sink.error = None
                sink.open.set()
                await until(lambda: len(sink.got) == 1)
                assert of(dispatch, "memory").circuit == "closed"

    run(main)


def test_a_refused_change_is_passed_over_after_a_few_tries_and_the_next_arrives() -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        sink.poison = {some_alarm(2).id}
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock) as dispatch:
                for number in (1, 2, 3):
                    journal.write(some_alarm(number))
                dispatch.wake()
                while len(sink.got) < 2:
                    await until(lambda: clock.sleepers == 2 or len(sink.got) == 2)
                    clock.pass_s(60.0)
                assert sink.seen == [("1", 1), ("3", 1)]
                assert sink.tried == 2 + REFUSALS_MAX
                assert of(dispatch, "memory")[1:6] == (0, 2, REFUSALS_MAX, 1, 0)

    run(main)


def test_after_a_long_outage_old_revisions_are_shed_counted_and_the_newest_of_each_alarm_goes() -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        sink.error = DeliveryError("down")
        policy = Policy(max_age_s=3600.0)
        with some_journal() as journal:
            async with dispatching(journal, route(sink, policy=policy), clock=clock) as dispatch:
                for rev in (1, 2, 3):
                    for number in (1, 2):
                        journal.write(some_alarm(number, rev), T_NS)
                journal.write(some_alarm(3, 1), T_NS + 7000 * 10**9)
                journal.write(some_alarm(3, 2), T_NS + 7000 * 10**9)
                dispatch.wake()
                await until(lambda: clock.sleepers == 2)  # the poll, and the pause after the failure
                sink.error = None
                clock.pass_s(7200.0)
                await until(lambda: len(sink.got) == 4)
                assert sink.seen == [("1", 3), ("2", 3), ("3", 1), ("3", 2)]
                assert of(dispatch, "memory").shed == 4

    run(main)


@pytest.mark.parametrize("days", [2, -2])
def test_a_wall_clock_that_is_set_makes_no_change_old(days: int) -> None:
    async def main() -> None:
        sink, clock = Memory(), VirtualClock()
        sink.error = DeliveryError("down")
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock) as dispatch:
                for rev in (1, 2, 3):
                    journal.write(some_alarm(1, rev), T_NS)
                dispatch.wake()
                await until(lambda: clock.sleepers == 2)  # the poll, and the pause after the failure
                sink.error, clock.ahead_s = None, days * 86_400.0
                clock.pass_s(60.0)
                await until(lambda: len(sink.got) == 3)
                assert of(dispatch, "memory").shed == 0

    run(main)


def test_what_a_sink_does_not_want_is_passed_over_even_while_it_could_not_deliver() -> None:
    async def main() -> None:
        sink = Memory()
        sink.error = DeliveryError("down")
        with some_journal() as journal:
            async with dispatching(journal, route(sink, lambda alarm: alarm.priority == "critical")) as dispatch:
                journal.write(some_alarm())
                dispatch.wake()
                await until(lambda: journal.cursor("memory") == 1)
            assert sink.tried == 0

    run(main)


def test_an_error_that_nobody_foresaw_is_told_with_its_trace_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        sink, well = Memory("broken"), Memory("well")
        sink.error = KeyError("mistake")
        with some_journal() as journal:
            async with dispatching(journal, route(sink), route(well)) as dispatch:
                journal.write(some_alarm())
                dispatch.wake()
                await until(lambda: len(well.got) == 1 and of(dispatch, "broken").failures == 1)

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "KeyError" in caplog.text


def test_a_sink_that_says_that_the_other_side_is_back_is_tried_at_once() -> None:
    class Returning(Memory):
        async def run(self, back: Callable[[], None]) -> None:
            self.back = back

    async def main() -> None:
        sink, clock = Returning(), VirtualClock()
        sink.error = DeliveryError("there is no connection")
        with some_journal() as journal:
            async with dispatching(journal, route(sink), clock=clock) as dispatch:
                journal.write(some_alarm())
                dispatch.wake()
                await until(lambda: sink.tried == 1 and clock.sleepers == 2)
                sink.error = None
                sink.back()
                await until(lambda: len(sink.got) == 1)

    run(main)


def test_rows_that_are_for_no_sink_do_not_wait_for_ever() -> None:
    class Gapped(Journal):
        def after(self, row: int, most: int) -> list[Entry]:
            return [entry for entry in super().after(row, most) if entry.alarm.why != "for nobody"]

    async def main() -> None:
        sink = Memory()
        with contextlib.closing(Gapped()) as journal:
            async with dispatching(journal, route(sink)) as dispatch:
                journal.write(some_alarm(1))
                journal.write(some_alarm(2, why="for nobody"))
                dispatch.wake()
                await until(lambda: len(sink.got) == 1 and of(dispatch, "memory").pending == 0)

    run(main)


@settings(max_examples=40)
@given(
    answers=st.lists(st.sampled_from(["yes", "failed", "bug"]), max_size=30),
    changes=st.lists(st.integers(1, 3), min_size=1, max_size=12),
    restart=st.integers(0, 20),
    lost=st.booleans(),
)
def test_whatever_fails_and_wherever_it_is_killed_every_change_arrives_and_each_alarm_in_order(
    answers: list[str], changes: list[int], restart: int, lost: bool
) -> None:
    class Moody(Memory):
        async def deliver(self, entry: Entry) -> None:
            answer = answers.pop() if answers else "yes"
            if answer == "yes":
                await super().deliver(entry)
            elif answer == "failed":
                raise DeliveryError("no")
            else:
                raise ValueError("bug")

    async def until_killed(sink: Memory) -> None:
        clock = VirtualClock()
        dispatch = Dispatch(journal, [route(sink, everything, Policy(most_s=1.0))], clock, draw=lambda: 0.0)
        task = asyncio.create_task(dispatch.run())
        for _ in range(restart):
            await asyncio.sleep(0)
            clock.pass_s(1.0)
        task.cancel()
        await asyncio.wait([task])

    async def main() -> None:
        journal.cursor("memory")
        for number in changes:
            revs[number] = revs.get(number, 0) + 1
            journal.write(some_alarm(number, revs[number]))
        first, second, clock = Moody(), Moody(), VirtualClock()
        journal.forgetting = lost  # as when the machine loses power
        await until_killed(first)
        journal.forgetting = False
        async with dispatching(journal, route(second), clock=clock):
            while journal.cursor("memory") < len(changes):
                await asyncio.sleep(0.0005)
                clock.pass_s(60.0)
        for number, newest in revs.items():
            before, then = (
                [alarm.rev for alarm in sink.got if alarm.id == some_alarm(number).id] for sink in (first, second)
            )
            assert before == list(range(1, len(before) + 1))
            assert then == list(range(newest - len(then) + 1, newest + 1))
            assert len(before) + len(then) >= newest

    revs: dict[int, int] = {}
    logging.disable(logging.CRITICAL)
    try:
        with some_journal() as journal:
            run(main)
    finally:
        logging.disable(logging.NOTSET)
