"""The OPC UA server with the library's own client, over loopback."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="the extra opcua is not installed")

from asyncua import ua
from opcua_example import House, acknowledge, alarm, fields, heartbeat, permit, until, value

from monitor.sinks.opcua.settings import Opcua, OpcuaError
from monitor.sinks.opcua.sink import OpcuaSink


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


def test_an_alarm_arrives_as_a_condition_event(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("10", source="frozen", priority="high", why="no pixel changes"))
            found = fields((await listener.told("10"))[0])
            assert found["NodeId"] == ua.NodeId("camera.frozen", 2)
            assert found["EventType"] == ua.NodeId("FramewatchAlarmType", 2)
            assert found["SourceNode"] == ua.NodeId("camera", 2)
            expected = {
                "AlarmId": "10", "Revision": 1, "Source": "frozen", "ConditionName": "frozen", "SourceName": "camera",
                "Severity": 750, "LastSeverity": 750, "Message": "frozen: no pixel changes", "Retain": True,
                "ActiveState/Id": True, "ActiveState": "Active", "AckedState/Id": False, "EnabledState/Id": True,
                "AckedState": "Unacknowledged", "SuppressedOrShelved": False, "SuppressedState/Id": False,
                "OutOfServiceState/Id": False, "ShelvingState/CurrentState": "Unshelved", "ClientUserId": "",
                "ConditionClassName": "ProcessConditionClassType", "PeakRatio": 4.0, "FramesOver": 3, "Job": "part 7",
            }  # fmt: skip
            assert {name: found[name] for name in expected} == expected
            assert found["BranchId"].is_null()
            assert found["Time"].timestamp() == 1_700_000_000
            assert abs(found["ReceiveTime"].timestamp() - time.time()) < 60

    house.run(work())


@pytest.mark.parametrize(("priority", "severity"), [("low", 200), ("medium", 500), ("high", 750), ("critical", 950)])
def test_severity_follows_the_priority(house: House, priority: str, severity: int) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm(f"11{priority}", source=f"severity_{priority}", priority=priority))
            assert (await listener.told(f"11{priority}"))[0].Severity == severity

    house.run(work())


@pytest.mark.parametrize("source", ["t2", "mewma", "exceedance_rate", "dark", "degraded"])
def test_each_source_has_a_condition_before_its_first_alarm(house: House, source: str) -> None:
    async def work() -> None:
        async with house.client() as client:
            expected = {
                "ConditionName": source, "SourceName": "camera", "Retain": False, "EnabledState.Id": True,
                "ActiveState.Id": False, "AckedState.Id": True, "ShelvingState.UnshelveTime": 0,
            }  # fmt: skip
            assert {path: await value(client, f"{source}.{path}") for path in expected} == expected
            camera = client.get_node(ua.NodeId("camera", 2))
            found = await camera.get_referenced_nodes(ua.ObjectIds.HasCondition)
            assert ua.NodeId(f"camera.{source}", 2) in [node.nodeid for node in found]
            condition = await camera.get_child(f"2:{source}")
            assert (await condition.read_display_name()).Text == source
            assert (await condition.read_type_definition()) == ua.NodeId("FramewatchAlarmType", 2)

    house.run(work())


@pytest.mark.parametrize("notifier", ["Framewatch", "camera"])
def test_events_may_be_subscribed_to_at_our_own_objects(house: House, notifier: str) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client, ua.NodeId(notifier, 2)) as listener:
            await house.sink.send(alarm(f"12{notifier}", source=f"at_{notifier}"))
            assert await listener.told(f"12{notifier}")

    house.run(work())


def test_a_condition_is_retained_until_it_is_over_and_acknowledged(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            for rev, changed in enumerate(({}, {"state": "cleared"}, {"state": "cleared", "acked": True}), 1):
                await house.sink.send(alarm("13", rev, "retained", **changed))
            told = await listener.told("13", 3)
            assert [event.Retain for event in told] == [True, True, False]
            assert len({event.EventId for event in told}) == 3
            assert await value(client, "retained.Retain") is False
            assert await value(client, "retained.ActiveState.Id") is False

    house.run(work())


@pytest.mark.parametrize(
    ("flag", "state"),
    [("suppressed", "SuppressedState"), ("out_of_service", "OutOfServiceState"), ("latched", "LatchedState")],
)
def test_what_holds_of_an_alarm_is_a_state_of_its_condition(house: House, flag: str, state: str) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm(f"26{flag}", source=flag, **{flag: True}))
            found = fields((await listener.told(f"26{flag}"))[0])
            states = ("SuppressedState", "OutOfServiceState", "LatchedState")
            assert [name for name in states if found[f"{name}/Id"]] == [state]
            assert found["SuppressedOrShelved"] is (flag != "latched")
            assert await value(client, f"{flag}.{state}.Id") is True

    house.run(work())


def test_an_alarm_stays_with_the_condition_under_which_it_was_first_shown(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("14", 1, "first_chart"))
            await house.sink.send(alarm("14", 2, "second_chart"))
            told = await listener.told("14", 2)
            assert {event.ConditionName for event in told} == {"first_chart"}
            assert [event.Source for event in told] == ["first_chart", "second_chart"]

    house.run(work())


def test_an_older_alarm_is_told_as_a_branch(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await house.sink.send(alarm("15a", 1, "branching", state="cleared"))
            await house.sink.send(alarm("15b", 1, "branching"))
            branch = (await listener.told("15a", 2))[1]
            assert (branch.BranchId, branch.Retain) == (ua.NodeId("15a", 2), True)
            assert (await listener.told("15b"))[0].BranchId.is_null()
            await acknowledge(client, branch)
            assert house.person.asked == [("acknowledge", "15a", "anonymous", "seen")]
            assert await value(client, "branching.AlarmId") == "15b", "the node shows the condition's own state"

    house.run(work())


def test_a_late_client_is_told_what_is_retained_when_it_refreshes(house: House) -> None:
    async def work() -> None:
        await house.sink.send(alarm("22a", 1, "late", state="cleared"))
        await house.sink.send(alarm("22b", 1, "late"))
        await house.sink.send(alarm("22c", 1, "late_over", state="cleared", acked=True))
        async with house.client() as client, house.listener(client) as listener:
            await listener.refresh()
            await until(lambda: listener.events[-1:] != [] and _is_end(listener.events[-1]))
            marks = await listener.marks(1)
            assert (marks[0], marks[-1], marks.count("start")) == ("start", "end", 1)
            assert {"22a", "22b"} <= set(marks)
            assert "22c" not in marks
            event = listener.of("22b")[0]
            await acknowledge(client, event)

    house.run(work())


def _is_end(event: Any) -> bool:
    return bool(event.EventType == ua.NodeId(ua.ObjectIds.RefreshEndEventType))


def test_a_refresh_is_told_to_the_one_who_asks(house: House) -> None:
    async def work() -> None:
        async with (
            house.client() as one,
            house.client() as other,
            house.listener(one) as asking,
            house.listener(other) as still,
        ):
            await asking.refresh()
            await until(lambda: asking.events[-1:] != [] and _is_end(asking.events[-1]))
            await house.sink.send(alarm("23", 1, "after"))
            await still.told("23")
            assert len(still.events) == 1
            asking.subscription = still.subscription
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await asking.refresh()

    house.run(work())


def test_one_item_may_be_refreshed_alone(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            item = next(iter(listener.subscription._monitored_items.values())).server_handle
            await listener.refresh(item)
            await until(lambda: listener.events[-1:] != [] and _is_end(listener.events[-1]))
            with pytest.raises(ua.uaerrors.BadMonitoredItemIdInvalid):
                await listener.refresh(item + 1)

    house.run(work())


def test_a_filter_by_type_takes_subtypes_and_one_by_state_its_whole_path(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            of_type, acked = ua.ContentFilterElement(), ua.ContentFilterElement()
            of_type.FilterOperator = ua.FilterOperator.OfType
            of_type.FilterOperands = [ua.LiteralOperand(ua.Variant(ua.NodeId(ua.ObjectIds.AlarmConditionType)))]
            acked.FilterOperator = ua.FilterOperator.Equals
            path = ua.SimpleAttributeOperand()
            path.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
            path.BrowsePath = [ua.QualifiedName("AckedState"), ua.QualifiedName("Id")]
            path.AttributeId = ua.AttributeIds.Value
            acked.FilterOperands = [path, ua.LiteralOperand(ua.Variant(True))]
            both = ua.ContentFilterElement()
            both.FilterOperator = ua.FilterOperator.And
            both.FilterOperands = [ua.ElementOperand(1), ua.ElementOperand(2)]
            wanted = ua.EventFilter()
            wanted.SelectClauses = [ua.SimpleAttributeOperand()]
            wanted.SelectClauses[0].TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
            wanted.SelectClauses[0].BrowsePath = [ua.QualifiedName("AlarmId", 2)]
            wanted.SelectClauses[0].AttributeId = ua.AttributeIds.Value
            wanted.WhereClause.Elements = [both, of_type, acked]
            events = list[Any]()
            listener.event_notification = events.append  # type: ignore[method-assign]
            subscription = await client.create_subscription(50, listener)
            await subscription.subscribe_events(evfilter=wanted)
            await house.sink.send(alarm("24a", 1, "filtered"))
            await house.sink.send(alarm("24b", 1, "filtered_acked", acked=True))
            await until(lambda: "24b" in [getattr(event, "AlarmId", None) for event in events if not _full(event)])
            assert [event.AlarmId for event in events if not _full(event)] == ["24b"]

    house.run(work())


def _full(event: Any) -> bool:
    return hasattr(event, "Severity")


def test_after_a_restart_the_conditions_are_as_before(house: House) -> None:
    open_alarms = [alarm("25a", 3, "again", state="cleared"), alarm("25b", 2, "again", acked=True)]

    async def retained(of: House) -> list[dict[str, Any]]:
        async with of.client() as client, of.listener(client) as listener:
            await listener.refresh()
            await until(lambda: listener.events[-1:] != [] and _is_end(listener.events[-1]))
            told = [fields(event) for alarm_id in ("25a", "25b") for event in listener.of(alarm_id)]
            names = ("AlarmId", "Revision", "BranchId", "NodeId", "ActiveState/Id", "AckedState/Id", "Time", "Retain")
            return [{name: one[name] for name in names} for one in told]

    async def work() -> None:
        for one in open_alarms:
            await house.sink.send(one)
        before = await retained(house)
        assert len(before) == 2
        other = House(house.runner, Opcua(port=0))
        await other.sink.start()
        for one in reversed(open_alarms):
            await other.sink.send(one)
        after = await retained(other)
        await other.sink.stop()
        assert after == before

    house.run(work())


def test_variables_show_what_is_said(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await listener.watch("PermitCount")
            await house.sink.say(permit(time.time_ns(), n=4, permit=False, why="alarm 7"))
            await house.sink.say(heartbeat(time.time_ns()))
            expected = {
                "Permit": False, "PermitWhy": "alarm 7", "PermitMode": "interlock", "PermitCount": 4,
                "PermitEpoch": "e", "State": "ok", "StateWhy": "", "Coverage": 0.5, "FrameAgeP99": 7.5,
                "ActiveAlarms": 2,
            }  # fmt: skip
            assert {name: await value(client, name) for name in expected} == expected
            await until(lambda: any(told.Value.Value == 4 for told in listener.values.get("PermitCount", [])))
            description = await client.get_node(ua.NodeId("camera.Permit", 2)).read_description()
            assert "not a safety function" in description.Text

    house.run(work())


def test_a_permit_that_runs_out_turns_bad_for_readers_and_subscribers(house: House) -> None:
    async def work() -> None:
        async with house.client() as client, house.listener(client) as listener:
            await listener.watch("Permit")
            await house.sink.say(permit(time.time_ns(), ttl_ms=200, n=5))
            await until(lambda: any(told.Value.Value is True for told in listener.values.get("Permit", [])))
            await until(lambda: listener.values["Permit"][-1].StatusCode.is_bad())
            assert listener.values["Permit"][-1].StatusCode.value == ua.StatusCodes.BadNoCommunication
            with pytest.raises(ua.uaerrors.BadNoCommunication):
                await value(client, "Permit")
            await house.sink.say(permit(time.time_ns(), n=6))
            assert await value(client, "Permit") is True

    house.run(work())


def test_a_permit_that_comes_too_late_is_bad_at_once(house: House) -> None:
    async def work() -> None:
        async with house.client() as client:
            await house.sink.say(permit(time.time_ns() - 1_000_000_000, ttl_ms=500))
            with pytest.raises(ua.uaerrors.BadNoCommunication):
                await value(client, "Permit")

    house.run(work())


def test_a_port_that_is_taken_is_told_in_one_line(house: House) -> None:
    async def work() -> None:
        port = int(house.sink.url.split(":")[2].partition("/")[0])
        with pytest.raises(OpcuaError, match=rf"^opcua.port: {port} is in use"):
            await OpcuaSink(Opcua(port=port), "camera", house.person).start()

    house.run(work())
