"""What operators do from an OPC UA client: the library's own, over loopback."""

import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("asyncua", reason="the extra opcua is not installed")

from asyncua import ua
from opcua_example import House, acknowledge, alarm, call, fields, value

from monitor.sinks.opcua.settings import Opcua


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One server for all: each test has alarms, and mostly a source, of its own."""
    with asyncio.Runner() as runner:
        house = House(runner, Opcua(port=0, anonymous_operates=True, max_shelve_s=60))
        runner.run(house.sink.start())
        yield house
        runner.run(house.sink.stop())


@pytest.fixture(autouse=True)
def _nothing_asked(house: House) -> None:
    house.person.asked.clear()
    house.person.refusal = None


def test_acknowledging_is_handed_on_and_its_revision_bears_the_comment(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("16", 1, "acknowledged"))
            event = (await listener.told("16"))[0]
            await acknowledge(client, event, "on my way")
            assert house.person.asked == [("acknowledge", "16", "anonymous", "on my way")]
            await house.sink.send(alarm("16", 2, "acknowledged", acked=True))
            found = fields((await listener.told("16", 2))[1])
            assert (found["AckedState/Id"], found["Comment"], found["ClientUserId"]) == (True, "on my way", "anonymous")
            with pytest.raises(ua.uaerrors.BadEventIdUnknown):
                await acknowledge(client, event)
            with pytest.raises(ua.uaerrors.BadConditionBranchAlreadyAcked):
                await acknowledge(client, listener.of("16")[1])

    house.run(work())


def test_the_events_of_an_alarm_that_only_grew_still_stand_for_it(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("17", 1, "growing"))
            await house.sink.send(alarm("17", 2, "growing", frames_over=4))
            first, grown = await listener.told("17", 2)
            await acknowledge(client, first)
            await house.sink.send(alarm("17", 3, "growing", priority="high"))
            await listener.told("17", 3)
            for old in (first, grown):
                with pytest.raises(ua.uaerrors.BadEventIdUnknown):
                    await acknowledge(client, old)

    house.run(work())


def test_an_unknown_event_and_another_conditions_event_are_refused(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("18", 1, "known"))
            await house.sink.send(alarm("18x", 1, "elsewhere"))
            event = (await listener.told("18"))[0]
            for node, event_id in ((event.NodeId, b"?"), (ua.NodeId("camera.elsewhere", 2), event.EventId)):
                with pytest.raises(ua.uaerrors.BadEventIdUnknown):
                    await call(client, node, "AcknowledgeableConditionType_Acknowledge", event_id, ua.LocalizedText(""))
            with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
                await call(client, ua.NodeId("camera", 2), "ConditionType_AddComment", b"?", ua.LocalizedText(""))
            with pytest.raises(ua.uaerrors.BadArgumentsMissing):
                await call(client, event.NodeId, "AcknowledgeableConditionType_Acknowledge", b"?")
            with pytest.raises(ua.uaerrors.BadInvalidArgument):
                await call(client, event.NodeId, "AcknowledgeableConditionType_Acknowledge", "?", "text")
            assert house.person.asked == []

    house.run(work())


def test_what_the_life_cycle_refuses_is_told_and_leaves_no_comment(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("19", 1, "refused"))
            house.person.refusal = "the journal is full"
            with pytest.raises(ua.uaerrors.BadInvalidState):
                await acknowledge(client, (await listener.told("19"))[0])
            await house.sink.send(alarm("19", 2, "refused", frames_over=4))
            assert fields((await listener.told("19", 2))[1])["Comment"] == ""

    house.run(work())


def test_a_comment_is_handed_on_and_its_revision_is_an_event_that_bears_it(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("20", 1, "commented"))
            event = (await listener.told("20"))[0]
            await call(client, event.NodeId, "ConditionType_AddComment", event.EventId, ua.LocalizedText("dust?"))
            assert house.person.asked == [("comment", "20", "anonymous", "dust?")]
            await house.sink.send(alarm("20", 2, "commented"))
            again = fields((await listener.told("20", 2))[1])
            assert (again["Comment"], again["ClientUserId"], again["Revision"]) == ("dust?", "anonymous", 2)
            assert again["AckedState/Id"] is False
            await acknowledge(client, event)

    house.run(work())


def test_a_comment_is_taken_back_by_an_empty_text_in_a_language(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("22", 1, "regretted"))
            event = (await listener.told("22"))[0]
            for text in (ua.LocalizedText("dust?"), ua.LocalizedText("", "en")):
                await call(client, event.NodeId, "ConditionType_AddComment", event.EventId, text)
            assert [asked[-1] for asked in house.person.asked] == ["dust?", ""]
            await house.sink.send(alarm("22", 2, "regretted"))
            assert fields((await listener.told("22", 2))[1])["Comment"] == ""

    house.run(work())


def test_a_comment_that_says_nothing_or_too_much_is_refused(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("23", 1, "silent"))
            event = (await listener.told("23"))[0]
            for text in (ua.LocalizedText(None), ua.LocalizedText("x" * 501)):
                with pytest.raises(ua.uaerrors.BadInvalidArgument):
                    await call(client, event.NodeId, "ConditionType_AddComment", event.EventId, text)
            assert house.person.asked == []
            house.person.refusal = "it is gone"
            with pytest.raises(ua.uaerrors.BadInvalidState):
                await call(client, event.NodeId, "ConditionType_AddComment", event.EventId, ua.LocalizedText("dust?"))
            await house.sink.send(alarm("23", 2, "silent"))
            assert fields((await listener.told("23", 2))[1])["Comment"] == ""

    house.run(work())


def test_shelving_is_handed_on(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("21", 1, "shelved"))
            node = (await listener.told("21"))[0].NodeId
            state = ua.NodeId("camera.shelved.ShelvingState", 2)
            await call(client, state, "ShelvedStateMachineType_TimedShelve", 30_000.0)
            assert await value(client, "shelved.ShelvingState.UnshelveTime") == 0
            await house.sink.send(alarm("21", 2, "shelved", shelved=True))
            event = (await listener.told("21", 2))[1]
            assert fields(event)["ShelvingState/CurrentState"] == "TimedShelved"
            assert event.SuppressedOrShelved is True
            assert 0 < await value(client, "shelved.ShelvingState.UnshelveTime") <= 30_000
            with pytest.raises(ua.uaerrors.BadConditionAlreadyShelved):
                await call(client, node, "AlarmConditionType_ShelvingState_OneShotShelve")
            await call(client, node, "AlarmConditionType_ShelvingState_Unshelve")
            await house.sink.send(alarm("21", 3, "shelved"))
            with pytest.raises(ua.uaerrors.BadConditionNotShelved):
                await call(client, state, "ShelvedStateMachineType_Unshelve")
            await call(client, state, "ShelvedStateMachineType_OneShotShelve")
            by = "anonymous"
            assert house.person.asked == [("shelve", "21", by, 30.0), ("unshelve", "21", by), ("shelve", "21", by, 60)]

    house.run(work())


@pytest.mark.parametrize("for_ms", [0.0, -1.0, 60_001.0, float("nan")])
def test_shelving_has_limits(house: House, for_ms: float) -> None:
    async def work() -> None:
        async with house.client() as client:
            with pytest.raises(ua.uaerrors.BadShelvingTimeOutOfRange):
                await call(client, ua.NodeId("camera.t2", 2), "ShelvedStateMachineType_TimedShelve", for_ms)

    house.run(work())


def test_conditions_can_be_neither_enabled_nor_disabled(house: House) -> None:
    async def work() -> None:
        async with house.client() as client:
            with pytest.raises(ua.uaerrors.BadConditionAlreadyEnabled):
                await call(client, ua.NodeId("camera.t2", 2), "ConditionType_Enable")
            with pytest.raises(ua.uaerrors.BadNotSupported):
                await call(client, ua.NodeId("camera.t2", 2), "ConditionType_Disable")

    house.run(work())


def test_methods_may_be_called_by_the_conditions_own_identifiers_too(house: House) -> None:
    async def work() -> None:
        async with house.client() as client:
            condition = client.get_node(ua.NodeId("camera.t2", 2))
            with pytest.raises(ua.uaerrors.BadConditionAlreadyEnabled):
                await condition.call_method("0:Enable")
            shelving = await condition.get_child("0:ShelvingState")
            with pytest.raises(ua.uaerrors.BadShelvingTimeOutOfRange):
                await shelving.call_method("0:TimedShelve", 0.0)

    house.run(work())
