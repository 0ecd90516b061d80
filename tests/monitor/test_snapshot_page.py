"""Which alarms a snapshot shows: the newest revisions of what was asked for, page by page."""

import msgspec
from alarm_example import revisions_of
from daemon_example import record
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.alarm import Alarm
from monitor.snapshots.page import page_of
from monitor.snapshots.request import Request, Wanted

[RAISED] = [one.alarm for one in revisions_of(record("began"))]


def alarm(number: int, rev: int = 1, state: str = "active", acked: bool = False) -> Alarm:
    return msgspec.structs.replace(RAISED, id=f"{number:04x}", rev=rev, state=state, acked=acked)


ALARMS = st.lists(
    st.builds(alarm, st.integers(0, 60), st.just(1), st.sampled_from(["active", "cleared"]), st.booleans()),
    unique_by=lambda one: one.id,
    max_size=30,
)


def test_the_latest_come_first_and_only_what_was_asked_for() -> None:
    active = [alarm(1), alarm(4, acked=True)]
    kept = [alarm(3, state="cleared"), alarm(2, state="cleared")]
    shown = {
        state: [one.id for one in page_of(Request(state=state), active, kept, {})[0]]
        for state in ("open", "active", "unacknowledged")
    }
    assert shown == {
        "open": ["0004", "0003", "0002", "0001"],
        "active": ["0004", "0001"],
        "unacknowledged": ["0003", "0002", "0001"],
    }


def test_what_the_disk_has_not_taken_goes_before_what_it_has() -> None:
    """The journal still has alarm 2 as unacknowledged, and knows nothing of alarm 3."""
    unwritten = {
        "0002": alarm(2, rev=3, state="cleared", acked=True),
        "0003": alarm(3, rev=2, state="cleared"),
        "0004": msgspec.structs.replace(alarm(4), journaled=False),
    }
    found, more = page_of(Request(), [alarm(4)], [alarm(2, rev=2, state="cleared")], unwritten)
    assert [(one.id, one.rev, one.journaled) for one in found] == [("0004", 1, False), ("0003", 2, True)]
    assert not more


@given(ALARMS, ALARMS, st.integers(1, 5), st.sampled_from(["open", "active", "unacknowledged"]))
def test_pages_show_each_alarm_once_and_none_is_left_out(
    written: list[Alarm], refused: list[Alarm], most: int, state: Wanted
) -> None:
    unwritten = {one.id: msgspec.structs.replace(one, rev=2) for one in refused}
    now = {one.id: one for one in written} | unwritten
    active = [one for one in now.values() if one.state == "active"]
    in_journal = sorted(
        (one for one in written if one.state == "cleared" and not one.acked), key=lambda one: one.id, reverse=True
    )
    shown, request = list[Alarm](), Request(state=state)
    while True:
        behind = [one for one in in_journal if request.before is None or one.id < request.before]
        page, more = page_of(request, active, behind[: most + 1 + len(unwritten)], unwritten, most)
        assert len(page) <= most
        shown += page
        if not more:
            break
        request = Request(state=state, before=page[-1].id)
    wanted = {
        "open": [one for one in now.values() if one.state == "active" or not one.acked],
        "active": active,
        "unacknowledged": [one for one in now.values() if not one.acked],
    }[state]
    assert shown == sorted(wanted, key=lambda one: one.id, reverse=True)
