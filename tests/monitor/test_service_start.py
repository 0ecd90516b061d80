import pytest

from monitor.service import RECORDER_START_S, Start


def test_the_daemon_runs_once_it_records_what_it_judges() -> None:
    start = Start(records=True)
    looks = [(False, False, 0.0), (False, True, 1.0), (True, False, 2.0), (True, True, 3.0), (True, True, 4.0)]
    assert [start.complete(*look) for look in looks] == [False, False, False, True, False]


def test_without_a_recorder_it_runs_once_it_judges() -> None:
    start = Start(records=False)
    assert [start.complete(True, False, now_s) for now_s in (2.0, 3.0)] == [True, False]


def test_a_recorder_that_does_not_come_is_not_waited_for_long(caplog: pytest.LogCaptureFixture) -> None:
    start = Start(records=True)
    waited = [start.complete(True, False, 500.0 + since_s) for since_s in (0.0, RECORDER_START_S - 0.1)]
    assert waited == [False, False]
    assert not caplog.messages
    assert start.complete(True, False, 500.0 + RECORDER_START_S)
    assert "not begun" in caplog.text
