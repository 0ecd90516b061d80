"""The side process and the bell: what is true at this moment reaches a broker when it changes."""

from pathlib import Path

import msgspec
from daemon_example import record, some_config, some_orders
from mqtt_example import Mosquitto, broker, listening
from side_example import Side
from sink_examples import run, until

from monitor.sinks.config import Mqtt, Sinks
from monitor.types import State

HARDLY_EVER_LOOKS = ("-c", "from monitor import vitals; vitals.BEAT_NS = 10**13; from monitor import side; side.main()")
"""A side process that looks at shared memory by itself at its start, and next in hours."""


def test_a_permit_that_falls_is_told_when_the_judging_process_rings(tmp_path: Path) -> None:
    async def work(mosquitto: Mosquitto, side: Side) -> None:
        await mosquitto.until_up()
        async with listening(mosquitto.port) as listener:
            side.start(program=HARDLY_EVER_LOOKS)
            side.tell(record("began"))
            await until(lambda: any("/alarm/" in one.topic for one in listener.heard), "the connection")
            side.state = State.BLIND
            await until(lambda: not side.memory.vitals["permit"][0])
            side.ring()
            await until(lambda: any(not one["permit"] for one in listener.of("plant/melt/permit")), "the fall")
            await until(lambda: any(one["state"] == "blind" for one in listener.of("plant/melt/heartbeat")))

    with broker(tmp_path) as mosquitto:
        sinks = Sinks(mqtt=(Mqtt(name="hall", host="127.0.0.1", port=mosquitto.port, prefix="plant"),))
        config = msgspec.structs.replace(some_config(tmp_path), sinks=sinks)
        with some_orders(config) as (given, memory):
            side = Side(given, memory)
            try:
                run(lambda: work(mosquitto, side))
            finally:
                side.close()
