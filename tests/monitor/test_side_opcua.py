"""The side process as an OPC UA server: clients see the permit and alarms, and what they do is journalled."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from asyncua import Client, ua
from daemon_example import free_port, record, some_config, some_orders
from opcua_example import Listener, acknowledge, call, fields
from side_example import Side, wait_for

from monitor.config import Config
from monitor.journal.store import Journal
from monitor.sinks.opcua.settings import Opcua

DEADLINE_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    opcua = Opcua(port=free_port(), anonymous_operates=True)
    return msgspec.structs.replace(some_config(tmp_path), opcua=opcua)


@pytest.fixture
def side(config: Config) -> Iterator[Side]:
    with some_orders(config) as (given, memory):
        made = Side(given, memory)
        yield made
        made.close()


async def acknowledged(port: int, alarm_id: str) -> bool:
    """The permit as a client sees it that comments and acknowledges an alarm which was raised before it came."""
    async with Client(f"opc.tcp://127.0.0.1:{port}/framewatch") as client:
        permit = bool(await client.get_node(ua.NodeId("melt.Permit", 2)).read_value())
        listener = Listener(client)
        await listener.subscribe()
        await listener.refresh()
        [event, *_] = await listener.told(alarm_id)
        await call(client, event.NodeId, "ConditionType_AddComment", event.EventId, ua.LocalizedText("dust?"))
        [_, said, *_] = await listener.told(alarm_id, 2)
        told = fields(said)
        assert (told["Comment"], told["ClientUserId"], told["AckedState/Id"]) == ("dust?", "anonymous", False)
        await acknowledge(client, said, "seen at the panel")
        return permit


def test_a_client_sees_the_permit_and_what_it_says_of_an_older_alarm_is_journalled(side: Side, config: Config) -> None:
    side.start()
    side.tell(record("began"))
    wait_for(lambda: int(side.memory.vitals["heard"][0]) == 1)
    wait_for(lambda: _listens(config), DEADLINE_S)
    journal = Journal(Path(config.journal), config.camera)
    [alarm] = journal.alarms(1)
    assert config.opcua is not None
    assert asyncio.run(asyncio.wait_for(acknowledged(config.opcua.port, alarm.id), DEADLINE_S)), "the permit"
    said = [(one.what, one.by, one.reason, one.alarm.rev) for one in journal.changes(alarm.id)[1:]]
    assert said == [
        ("commented", "anonymous", "dust?", 2),
        ("acknowledged", "anonymous", "seen at the panel", 3),
    ]
    journal.close()
    assert side.stop()[0] == 0


def _listens(config: Config) -> bool:
    assert config.opcua is not None
    try:
        socket.create_connection(("127.0.0.1", config.opcua.port), 1).close()
    except OSError:
        return False
    return True
