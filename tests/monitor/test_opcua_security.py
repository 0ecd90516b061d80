"""Who gets in to the OPC UA server, what they may do, and what they may cost."""

import asyncio
import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("asyncua", reason="the extra opcua is not installed")

from asyncua import Client, ua
from opcua_example import House, acknowledge, alarm, call, permit, until

from monitor.sinks.opcua import certificate, peers, users
from monitor.sinks.opcua.settings import Opcua

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a file of users, and the pair of a client."""
    folder = tmp_path_factory.mktemp("opcua")
    (folder / "users").write_text("".join(users.line_of(name, PASSWORD) + "\n" for name in ("anna", "ben")))
    certificate.load(folder / "client.der", folder / "client.pem", "urn:client", "localhost")
    return folder


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[House]:
    """A server as it stands in a plant's network: nobody comes in without security and a name."""
    settings = Opcua(host="0.0.0.0", port=0, certificate="server.der", key="server.key", users="users").beside(folder)
    with asyncio.Runner() as runner:
        house = House(runner, settings)
        runner.run(house.sink.start())
        yield house
        runner.run(house.sink.stop())


@pytest.fixture(scope="module")
def readable(folder: Path) -> Iterator[House]:
    """A server on loopback that anybody on the machine may read."""
    settings = Opcua(port=0, users="users", max_clients=3).beside(folder)
    with asyncio.Runner() as runner:
        house = House(runner, settings)
        runner.run(house.sink.start())
        yield house
        runner.run(house.sink.stop())


def pair(folder: Path) -> tuple[str, str]:
    return str(folder / "client.der"), str(folder / "client.pem")


def test_who_comes_in_with_security_and_password_operates_by_name(secured: House, folder: Path) -> None:
    async def work() -> None:
        async with secured.client("anna", PASSWORD, pair(folder)) as client, secured.listener(client) as listener:
            await secured.sink.send(alarm("50"))
            await acknowledge(client, (await listener.told("50"))[0], "mine")
            assert secured.person.asked == [("acknowledge", "50", "anna", "mine")]

    secured.run(work())


def test_a_wrong_password_is_refused_and_so_is_what_follows_at_once(secured: House, folder: Path) -> None:
    async def work() -> None:
        for password in ("wrong", PASSWORD):
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                async with secured.client("ben", password, pair(folder)):
                    pass

    secured.run(work())


def test_an_unknown_name_is_refused(secured: House, folder: Path) -> None:
    async def work() -> None:
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            async with secured.client("nobody", PASSWORD, pair(folder)):
                pass

    secured.run(work())


def test_nobody_comes_in_without_a_name(secured: House, folder: Path) -> None:
    async def work() -> None:
        with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
            async with secured.client(pair=pair(folder)):
                pass

    secured.run(work())


def test_nobody_comes_in_without_security(secured: House) -> None:
    async def work() -> None:
        client = Client(secured.url)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            assert await client.get_endpoints(), "what security is wanted is told to everybody"
            with pytest.raises(ua.uaerrors.BadSecurityPolicyRejected):
                await client.create_session()
        finally:
            client.disconnect_socket()

    secured.run(work())


def test_the_servers_own_pair_was_made_for_its_address(secured: House, folder: Path) -> None:
    key = folder / "server.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made, _ = certificate.load(folder / "server.der", key, "", "")
    assert made.not_valid_after_utc > made.not_valid_before_utc


def test_who_has_no_name_reads_and_refreshes_but_changes_nothing(readable: House) -> None:
    async def work() -> None:
        async with readable.client() as client, readable.listener(client) as listener:
            await readable.sink.send(alarm("60"))
            event = (await listener.told("60"))[0]
            await listener.refresh()
            await listener.marks(4)
            for refused in (
                acknowledge(client, event),
                call(client, event.NodeId, "ConditionType_AddComment", event.EventId, ua.LocalizedText("")),
                call(client, event.NodeId, "ShelvedStateMachineType_TimedShelve", 1000.0),
                call(client, event.NodeId, "ShelvedStateMachineType_OneShotShelve"),
                call(client, event.NodeId, "ShelvedStateMachineType_Unshelve"),
                call(client, event.NodeId, "ConditionType_Disable"),
                client.get_node(ua.NodeId("camera.Permit", 2)).write_value(True),
                client.get_node(ua.NodeId("camera.local.AckedState.Id", 2)).write_value(True),
                client.nodes.objects.add_variable(2, "mine", 1),
            ):
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await refused
            assert readable.person.asked == []

    readable.run(work())


def test_who_has_a_name_may_not_write_either(readable: House) -> None:
    async def work() -> None:
        async with readable.client("anna", PASSWORD) as client:
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(ua.NodeId("camera.Permit", 2)).write_value(True)

    readable.run(work())


def test_a_connection_may_not_use_a_session_that_it_did_not_activate(readable: House) -> None:
    async def work() -> None:
        async with readable.client() as victim:
            client = Client(readable.url)
            await client.connect_socket()
            try:
                await client.send_hello()
                await client.open_secure_channel()
                with pytest.raises(ua.uaerrors.BadSessionNotActivated):
                    await client.get_node(ua.NodeId("camera.State", 2)).read_data_value()
                token = victim.uaclient.protocol.authentication_token
                assert token.NodeIdType == ua.NodeIdType.ByteString, "none can be guessed"
                await client.create_session()
                with pytest.raises(ua.uaerrors.BadSessionNotActivated):
                    await client.get_node(ua.NodeId("camera.State", 2)).read_data_value()
                with pytest.raises(ua.uaerrors.BadTooManySessions):
                    await client.create_session()
            finally:
                client.disconnect_socket()

    readable.run(work())


def test_nothing_may_be_registered_here(readable: House) -> None:
    async def work() -> None:
        async with readable.client() as client:
            with pytest.raises(ua.uaerrors.BadServiceUnsupported):
                await client.uaclient.register_server(ua.RegisteredServer())

    readable.run(work())


def test_there_may_be_so_many_clients_and_no_more(readable: House) -> None:
    async def work() -> None:
        async with readable.client(), readable.client(), readable.client():
            with pytest.raises((ConnectionError, TimeoutError)):
                async with readable.client(timeout_s=1):
                    pass
        async with readable.client() as client:
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running

    readable.run(work())


def test_a_client_that_reads_nothing_is_cut_off_and_holds_nobody_up(
    readable: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "UNREAD_BYTES", 1 << 16)

    async def work() -> None:
        async with readable.client() as good, readable.listener(good) as listener:
            silent = Client(readable.url)
            await silent.connect()
            transport = silent.uaclient.protocol.transport
            transport.pause_reading()
            names = [silent.get_node(ua.NodeId("camera.Permit", 2))] * 500
            asked = [asyncio.ensure_future(silent.read_attributes(names, ua.AttributeIds.Description))]
            server = readable.listening
            while len(server.clients) == 2:
                asked.append(asyncio.ensure_future(silent.read_attributes(names, ua.AttributeIds.Description)))
                await asyncio.sleep(0)
            await readable.sink.send(alarm("61", source="unheld"))
            assert await listener.told("61")
            for one in asked:
                one.cancel()
            transport.abort()
            await asyncio.gather(*asked, silent.disconnect(), return_exceptions=True)

    readable.run(work())


def test_a_peer_that_sends_no_opc_ua_is_cut_off(readable: House) -> None:
    async def work() -> None:
        port = readable.listening.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"MSGF\xff\xff\xff\x7f" + bytes(2 * peers.UNPARSED_BYTES))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b"", "nothing is answered"
        writer.close()
        await until(lambda: not readable.listening.clients)

    readable.run(work())


def test_what_a_subscription_asks_for_is_clamped(readable: House) -> None:
    async def work() -> None:
        async with readable.client() as client, readable.listener(client) as listener:
            service = readable.listening.iserver.subscription_service.subscriptions
            hasty = await client.create_subscription(0, listener)
            data = service[hasty.subscription_id].data
            assert data.RevisedPublishingInterval == peers.PUBLISH_MS[0]
            assert data.RevisedLifetimeCount * data.RevisedPublishingInterval <= peers.LIFE_MS
            node = client.get_node(ua.NodeId("camera.Permit", 2))
            with pytest.raises(ua.uaerrors.BadTooManyMonitoredItems):
                await hasty.subscribe_data_change([node] * (peers.ITEMS_MAX + 1))
            for _ in range(peers.EVENT_ITEMS_MAX):
                await hasty.subscribe_events()
            with pytest.raises(ua.uaerrors.BadTooManyMonitoredItems):
                await hasty.subscribe_events()

    readable.run(work())


def test_stopping_does_not_wait_for_clients(folder: Path) -> None:
    with asyncio.Runner() as runner:
        house = House(runner, Opcua(port=0))
        runner.run(house.sink.start())

        async def work() -> None:
            client = Client(house.url)
            await client.connect()
            transport = client.uaclient.protocol.transport
            transport.pause_reading()
            await house.sink.stop()
            transport.abort()
            await asyncio.gather(client.disconnect(), return_exceptions=True)

        house.run(work())


def test_what_ended_the_watch_over_the_permit_is_raised(readable: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async def broken() -> None:
            raise RuntimeError("broken")

        watch = readable.sink._watch
        try:
            readable.sink._watch = asyncio.ensure_future(broken())
            await asyncio.wait([readable.sink._watch])
            with pytest.raises(RuntimeError, match="broken"):
                await readable.sink.say(permit(1))
        finally:
            readable.sink._watch = watch

    readable.run(work())
