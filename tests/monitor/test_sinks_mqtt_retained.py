"""A real mosquitto that loses what it retained, as one without persistence does when it is restarted."""

from pathlib import Path
from typing import Any

import pytest
from mqtt_example import Listener, Mosquitto, connected, heartbeat, listening, retained, sink, with_broker
from sink_examples import Journal, VirtualClock, dispatching, of, route, some_alarm, until

from monitor.sinks import mqtt as mqtts
from monitor.sinks.dispatch import Dispatch
from monitor.sinks.mqtt import MqttSink

HEARTBEAT = "plant/melt/heartbeat"


def topic(number: int) -> str:
    return f"plant/melt/alarm/{some_alarm(number).id}"


def revisions(found: dict[str, Any]) -> dict[str, int]:
    return {name: body["rev"] for name, body in found.items() if name != HEARTBEAT}


def told(listener: Listener, number: int) -> list[tuple[int, str] | None]:
    return [body and (body["rev"], body["state"]) for body in listener.of(topic(number))]


async def delivered(dispatch: Dispatch, journal: Journal) -> None:
    dispatch.wake()
    await until(lambda: journal.cursor("hall") == journal.newest(), "the delivery")


async def lose_all(mosquitto: Mosquitto, clock: VirtualClock) -> None:
    """Another broker in its place, which knows nothing; the sink does not try it before its clock moves."""
    mosquitto.stop()
    await until(lambda: clock.sleepers == 1, "the loss")
    mosquitto.start()
    await mosquitto.until_up()
    assert await retained(mosquitto.port) == {}


async def connect_again(mqtt: MqttSink, clock: VirtualClock) -> None:
    clock.pass_s(0.6)  # longer than the first pause, shorter than a heartbeat lives
    await until(mqtt._linked.is_set, "the connection")


def test_a_broker_that_lost_what_it_retained_is_given_it_again_though_nothing_changes(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        clock = VirtualClock()
        mqtt = sink(mosquitto.port, clock=clock)
        async with connected(mqtt, journal) as dispatch:
            for number, rev, more in (
                (1, 1, {}),
                (2, 1, {}),
                (3, 1, {}),
                (2, 2, {"acked": True}),
                (3, 2, {"state": "cleared"}),
            ):
                journal.write(some_alarm(number, rev, **more))
            await delivered(dispatch, journal)
            dispatch.say(heartbeat(t_ns=clock.unix_ns()))
            await until(mqtt._heartbeat.empty)
            await lose_all(mosquitto, clock)
            async with listening(mosquitto.port) as listener:
                await connect_again(mqtt, clock)
                await until(lambda: bool(listener.of(HEARTBEAT)))
                assert [heard.topic for heard in listener.heard if heard.topic != HEARTBEAT] == [topic(1), topic(2)]
            found = await retained(mosquitto.port)
            assert revisions(found) == {topic(1): 1, topic(2): 2}
            assert found[HEARTBEAT]["state"] == "ok"

    with_broker(tmp_path, main)


def test_what_changed_while_there_was_no_broker_follows_in_order(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        clock = VirtualClock()
        mqtt = sink(mosquitto.port, timeout_s=0.3, clock=clock)
        async with connected(mqtt, journal) as dispatch:
            for number in (1, 2):
                journal.write(some_alarm(number))
            await delivered(dispatch, journal)
            await lose_all(mosquitto, clock)
            for number, rev, state in ((2, 2, "active"), (3, 1, "active"), (1, 2, "cleared"), (2, 3, "active")):
                journal.write(some_alarm(number, rev, state=state))
            dispatch.wake()
            await until(lambda: of(dispatch, "hall").failures > 0)
            async with listening(mosquitto.port) as listener:
                await connect_again(mqtt, clock)
                await until(lambda: len(listener.heard) == 7)
                assert told(listener, 1) == [(1, "active"), (2, "cleared"), None]
                assert told(listener, 2) == [(1, "active"), (2, "active"), (3, "active")]
                assert told(listener, 3) == [(1, "active")]
            assert revisions(await retained(mosquitto.port)) == {topic(2): 3, topic(3): 1}

    with_broker(tmp_path, main)


def test_a_change_that_may_have_arrived_never_gives_way_to_an_older_one(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        clock = VirtualClock()
        mqtt = sink(mosquitto.port, timeout_s=0.3, clock=clock)
        async with connected(mqtt, journal) as dispatch:
            journal.write(some_alarm(1))
            await delivered(dispatch, journal)
            mosquitto.hold(True)
            journal.write(some_alarm(1, 2))
            dispatch.wake()
            await until(lambda: of(dispatch, "hall").failures > 0)  # it left, and nobody has answered
            await until(lambda: clock.sleepers == 1)
            mosquitto.hold(False)
            async with listening(mosquitto.port) as listener:
                await connect_again(mqtt, clock)
                await until(lambda: len(told(listener, 1)) >= 2)
                assert set(told(listener, 1)) == {(2, "active")}

    with_broker(tmp_path, main)


def test_a_process_that_starts_gives_what_was_open_as_far_as_the_one_before_it_had_come(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with connected(sink(mosquitto.port), journal) as dispatch:
            for number in (1, 2):
                journal.write(some_alarm(number))
            await delivered(dispatch, journal)
        mosquitto.stop()
        journal.write(some_alarm(1, 2))
        mosquitto.start()
        await mosquitto.until_up()
        async with listening(mosquitto.port) as listener, connected(sink(mosquitto.port), journal):
            await until(lambda: len(told(listener, 1)) == 2)
            assert told(listener, 1) == [(1, "active"), (2, "active")]
            assert told(listener, 2) == [(1, "active")]

    with_broker(tmp_path, main)


def test_a_sink_that_is_new_is_given_what_is_open_of_what_it_wants(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        for number, priority in ((1, "low"), (2, "high")):
            journal.write(some_alarm(number, priority=priority))
        mqtt = sink(mosquitto.port)
        async with dispatching(journal, route(mqtt, wants=lambda alarm: alarm.priority == "high")):
            await until(mqtt._linked.is_set)
            assert revisions(await retained(mosquitto.port)) == {topic(2): 1}

    with_broker(tmp_path, main)


def test_no_more_than_the_latest_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtts, "STANDING_MAX", 2)

    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        clock = VirtualClock()
        mqtt = sink(mosquitto.port, clock=clock)
        async with connected(mqtt, journal) as dispatch:
            for number, rev in ((1, 1), (2, 1), (3, 1), (1, 2)):
                journal.write(some_alarm(number, rev))
            await delivered(dispatch, journal)
            await lose_all(mosquitto, clock)
            await connect_again(mqtt, clock)
            assert revisions(await retained(mosquitto.port)) == {topic(3): 1, topic(1): 2}

    with_broker(tmp_path, main)


def test_a_broker_that_refuses_alarms_still_gets_the_heartbeat(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "acl").write_text(f"topic read #\ntopic write {HEARTBEAT}\ntopic write mark\n")

    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        for number in range(5):
            journal.write(some_alarm(number))
        async with connected(sink(mosquitto.port), journal) as dispatch:
            dispatch.say(heartbeat())
            async with listening(mosquitto.port) as listener:
                await until(lambda: bool(listener.of(HEARTBEAT)))
        assert caplog.text.count("open alarms are not given again: the broker says: Not authorized") == 1

    with_broker(tmp_path, main, f"acl_file {tmp_path}/acl")
