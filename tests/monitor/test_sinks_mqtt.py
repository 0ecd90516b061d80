"""Against a real mosquitto on a port of its own."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import aiomqtt
import pytest
from mqtt_example import Mosquitto, connected, heartbeat, listening, permit, retained, sink, with_broker
from sink_examples import (
    T_NS,
    Journal,
    VirtualClock,
    certificates,
    dispatching,
    of,
    route,
    some_alarm,
    some_entry,
    until,
)

from monitor.sinks.pump import SystemClock
from monitor.sinks.sink import DeliveryError


def test_open_alarms_are_retained_and_emptied_when_they_are_over(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with listening(mosquitto.port) as listener, connected(sink(mosquitto.port), journal) as dispatch:
            for number in (1, 2):
                journal.write(some_alarm(number))
            dispatch.wake()
            one, two = (f"plant/melt/alarm/{some_alarm(number).id}" for number in (1, 2))
            await until(lambda: len(listener.of(two)) == 1)
            assert {topic: body["rev"] for topic, body in (await retained(mosquitto.port)).items()} == {one: 1, two: 1}
            journal.write(some_alarm(1, 2, state="cleared"))
            journal.write(some_alarm(2, 2))
            dispatch.wake()
            await until(lambda: len(listener.of(two)) == 2)
            assert [body and (body["rev"], body["state"]) for body in listener.of(one)] == [
                (1, "active"),
                (2, "cleared"),
                None,
            ]
            assert {topic: body["rev"] for topic, body in (await retained(mosquitto.port)).items()} == {two: 2}

    with_broker(tmp_path, main)


def test_a_heartbeat_is_retained_and_a_stop_leaves_offline_behind(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with listening(mosquitto.port) as listener:
            async with connected(sink(mosquitto.port), journal) as dispatch:
                dispatch.say(heartbeat())
                await until(lambda: bool(listener.of("plant/melt/heartbeat")))
                assert (await retained(mosquitto.port))["plant/melt/heartbeat"]["state"] == "ok"
            left = (await retained(mosquitto.port))["plant/melt/heartbeat"]
        assert left == {"v": 1, "camera": "melt", "state": "offline", "why": "the daemon was stopped"}

    with_broker(tmp_path, main)


def test_the_last_will_says_offline_when_the_connection_dies(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        mqtt = sink(mosquitto.port)
        async with listening(mosquitto.port) as listener, connected(mqtt, journal) as dispatch:
            dispatch.say(heartbeat())
            await until(lambda: bool(listener.of("plant/melt/heartbeat")))
            assert mqtt._link is not None
            connection = mqtt._link._client.socket()
            assert isinstance(connection, socket.socket)
            connection.shutdown(socket.SHUT_RDWR)
            await until(lambda: len(listener.of("plant/melt/heartbeat")) == 2)
            assert listener.of("plant/melt/heartbeat")[1]["state"] == "offline"
            await until(mqtt._linked.is_set, "the next connection")

    with_broker(tmp_path, main)


def test_a_permit_is_never_retained_and_ends_with_its_time(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with listening(mosquitto.port) as listener, connected(sink(mosquitto.port), journal) as dispatch:
            dispatch.say(permit(1, ttl_ms=2500))
            await until(lambda: bool(listener.of("plant/melt/permit")))
            [heard] = listener.heard
            assert (heard.body["n"], heard.body["permit"], heard.retained) == (1, True, False)
            assert heard.expiry_s in (2, 3)  # the broker takes off what has passed
            assert await retained(mosquitto.port) == {}

    with_broker(tmp_path, main)


def test_of_what_is_said_while_the_broker_is_slow_the_newest_wins(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        mqtt = sink(mosquitto.port, timeout_s=10.0)
        async with listening(mosquitto.port) as listener, connected(mqtt, journal) as dispatch:
            mosquitto.hold(True)
            dispatch.say(permit(1))
            await until(mqtt._permit.empty, "the first to leave")
            for n in range(2, 50):
                dispatch.say(permit(n))
                await asyncio.sleep(0)
            mosquitto.hold(False)
            await until(lambda: 49 in [one["n"] for one in listener.of("plant/melt/permit")])
            assert [one["n"] for one in listener.of("plant/melt/permit")] == [1, 49]

    with_broker(tmp_path, main)


def test_what_is_no_longer_true_is_not_sent(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        mqtt = sink(mosquitto.port)
        mqtt.say(permit(1))  # nobody is connected
        async with listening(mosquitto.port) as listener, connected(mqtt, journal) as dispatch:
            dispatch.say(permit(2, t_ns=SystemClock().unix_ns() - 10**9, ttl_ms=500))
            dispatch.say(heartbeat(t_ns=SystemClock().unix_ns() - 3 * 10**9))
            await until(mqtt._permit.empty)
            await until(mqtt._heartbeat.empty)
            dispatch.say(permit(3))
            await until(lambda: bool(listener.heard))
            assert [one.body["n"] for one in listener.heard] == [3]

    with_broker(tmp_path, main)


def test_after_an_outage_of_the_broker_every_change_arrives_in_order(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        clock = VirtualClock()  # the sink connects again when we let it
        async with connected(sink(mosquitto.port, timeout_s=0.3, clock=clock), journal) as dispatch:
            mosquitto.stop()
            await until(lambda: clock.sleepers == 1)
            for rev in range(1, 21):
                journal.write(some_alarm(1 + rev % 2, rev))
            dispatch.wake()
            await until(lambda: of(dispatch, "hall").failures > 0)
            mosquitto.start()
            await mosquitto.until_up()
            async with listening(mosquitto.port) as listener:
                clock.pass_s(60.0)
                await until(lambda: len(listener.heard) == 20)
                assert [heard.body["rev"] for heard in listener.heard] == list(range(1, 21))
            await until(lambda: journal.cursor("hall") == 20)

    with_broker(tmp_path, main)


def test_a_broker_that_stands_still_is_a_failure_and_gets_everything_when_it_moves_again(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with connected(sink(mosquitto.port, timeout_s=0.3), journal) as dispatch:
            mosquitto.hold(True)
            journal.write(some_alarm(1))
            dispatch.wake()
            await until(lambda: of(dispatch, "hall").failures > 0)
            assert of(dispatch, "hall").sent == 0
            mosquitto.hold(False)
            await until(lambda: of(dispatch, "hall").sent == 1)
            assert (await retained(mosquitto.port))[f"plant/melt/alarm/{some_alarm(1).id}"]["rev"] == 1

    with_broker(tmp_path, main)


def test_a_connection_that_was_given_up_is_closed_though_the_broker_may_still_answer(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        mosquitto.hold(True)
        link = sink(mosquitto.port, timeout_s=0.2)._new_link()
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await link.__aenter__()
        await until(lambda: link._client.socket() is None)
        mosquitto.hold(False)

    with_broker(tmp_path, main)


def test_a_broker_that_says_no_has_not_got_it(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\ntopic write plant/melt/heartbeat\n")

    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        mqtt = sink(mosquitto.port)
        async with connected(mqtt, journal):
            with pytest.raises(DeliveryError, match="Not authorized"):
                await mqtt.deliver(some_entry())

    with_broker(tmp_path, main, f"acl_file {tmp_path}/acl")


def test_a_user_with_the_right_password_is_let_in_and_another_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = shutil.which("mosquitto_passwd")
    assert make
    subprocess.run([make, "-c", "-b", f"{tmp_path}/users", "monitor", "open sesame"], check=True, capture_output=True)

    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with connected(sink(mosquitto.port, user="monitor", password="open sesame"), journal):
            pass
        stranger = sink(mosquitto.port, user="monitor", password="guess")
        async with dispatching(journal, route(stranger)):
            await until(lambda: "Not authorized" in caplog.text)
            assert not stranger._linked.is_set()

    with_broker(tmp_path, main, "allow_anonymous false", f"password_file {tmp_path}/users")


# paho leaves a socket whose handshake fails to the garbage collector, which does close it.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_over_tls_the_broker_must_prove_who_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = certificates(tmp_path)

    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        trusting = ssl.create_default_context(cafile=str(made.cert))
        async with connected(sink(mosquitto.port, tls=trusting), journal):
            pass
        async with dispatching(journal, route(sink(mosquitto.port, tls=ssl.create_default_context()))):
            await until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)

    with_broker(tmp_path, main, f"certfile {made.cert}", f"keyfile {made.key}")


def test_what_was_written_before_the_clock_began_is_still_delivered(tmp_path: Path) -> None:
    async def main(mosquitto: Mosquitto, journal: Journal) -> None:
        async with connected(sink(mosquitto.port), journal) as dispatch:
            journal.write(some_alarm(1), T_NS - 10**18)
            dispatch.wake()
            await until(lambda: of(dispatch, "hall").sent == 1)

    with_broker(tmp_path, main)
