"""The side process as it runs: real shared memory, a real socket and a real file, and what stops it at the start."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest
from daemon_example import record, some_orders
from side_example import PATIENCE_S, Side, Subscriber, wait_for

from monitor.config import Config
from monitor.journal.store import Journal
from monitor.status import LOST_WHY


class TestProcess:
    def test_an_event_is_heard_and_journalled_and_the_process_leaves_in_order(
        self, side: Side, subscriber: Subscriber, config: Config
    ) -> None:
        process = side.start()
        subscriber.joined()
        side.tell(record("began"))
        raised = subscriber.alarm(rev=1)
        wait_for(lambda: side.memory.vitals["active_alarms"][0] == 1)
        assert int(side.memory.vitals["side_pid"][0]) == process.pid

        with httpx.Client(base_url=f"http://127.0.0.1:{config.http.port}", trust_env=False) as http:
            assert http.get("/healthz").text == "alive"
            assert http.get("/readyz").status_code == 200
            assert [alarm["id"] for alarm in http.get("/api/v1/alarms?state=active").json()["alarms"]] == [raised["id"]]
            assert (
                'framewatch_alarms_total{camera="melt",priority="medium",source="t2"} 1.0' in http.get("/metrics").text
            )
            assert "<!doctype html>" in http.get("/").text

        side.tell(record("ended", last_seq=30, frames_over=9))
        assert side.stop() == (0, "", "")
        cleared = subscriber.alarm(rev=2)
        assert (cleared["id"], cleared["state"], cleared["frames_over"]) == (raised["id"], "cleared", 9)
        journal = Journal(Path(config.journal), config.camera)
        assert [told.alarm.rev for told in journal.changes(raised["id"])] == [1, 2]
        journal.close()

    def test_killed_between_records_it_loses_nothing_and_raises_nothing_twice(
        self, side: Side, subscriber: Subscriber, config: Config
    ) -> None:
        side.start()
        subscriber.joined()
        side.tell(record("began", event=1))
        subscriber.alarm(rev=1)
        side.tell(record("began", event=2))
        side.kill()  # it may or may not have read the second one
        side.tell(record("grew", event=1, last_seq=20, frames_over=6))
        side.start()
        side.tell(record("ended", event=1, last_seq=21, frames_over=7))
        subscriber.alarm(rev=3)
        side.kill()
        side.start()
        side.tell(record("ended", event=2, last_seq=40, frames_over=8))
        last = subscriber.until(lambda told: told.body.get("frames_over") == 8).body
        assert (last["rev"], last["state"]) == (2, "cleared")
        assert side.stop()[0] == 0

        journal = Journal(Path(config.journal), config.camera)
        first, second = reversed(journal.alarms(10))
        assert sum(journal.raised().values()) == 2
        for alarm, revisions in ((first, [1, 2, 3]), (second, [1, 2])):
            assert [told.alarm.rev for told in journal.changes(alarm.id)] == revisions
            heard = [told.body["rev"] for told in subscriber.heard if told.body.get("id") == alarm.id]
            assert list(dict.fromkeys(heard)) == revisions, "each is heard, in order"
        journal.close()

    def test_it_speaks_for_a_hot_process_that_is_lost(self, side: Side, subscriber: Subscriber) -> None:
        side.start()
        subscriber.joined()
        side.hold_breath()
        lost = subscriber.until(lambda told: told.topic == "heartbeat.melt").body
        withheld = subscriber.until(lambda told: told.topic == "permit.melt").body
        assert (lost["state"], lost["why"]) == ("degraded", LOST_WHY)
        assert withheld["permit"] is False
        side.breathe()
        cleared = subscriber.until(lambda told: told.body.get("state") == "cleared").body
        assert (cleared["source"], cleared["rev"]) == ("degraded", 2)

    def test_it_leaves_when_its_parent_dies(self, side: Side, config: Config) -> None:
        side.tell(record("began"))
        read_end, write_end = os.pipe()
        parent = (
            "import subprocess, sys\n"
            f"child = subprocess.Popen([sys.executable, '-m', 'monitor.side'], stdin=subprocess.PIPE, pass_fds="
            f"({side.orders.memory_fd}, {side.orders.wake_fd}, {write_end}))\n"
            "child.communicate(sys.stdin.buffer.read())\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", parent],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(side.orders.memory_fd, side.orders.wake_fd, write_end),
        )
        os.close(write_end)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(side.orders))
        process.stdin.close()
        wait_for(lambda: side.memory.vitals["side_beat_ns"][0] > 0)
        process.kill()
        process.wait(PATIENCE_S)
        gone, _, _ = select.select([read_end], [], [], PATIENCE_S)
        os.close(read_end)
        assert gone, "the side process still holds its end of the pipe"
        journal = Journal(Path(config.journal), config.camera)
        assert [alarm.rev for alarm in journal.alarms(10)] == [1]
        journal.close()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signals_end_it_without_complaint(self, side: Side, number: signal.Signals) -> None:
        process = side.start()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out, err) == (0, b"", b"")

    def test_it_never_imports_torch(self) -> None:
        script = "import sys, monitor.side; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestStart:
    """What the operator must mend is one line that names the key, and exit status 2."""

    def refusal(self, config: Config) -> str:
        with some_orders(config) as (given, memory):
            side = Side(given, memory)
            process = side.start(ready=False)
            out, err = process.communicate(timeout=PATIENCE_S)
            side.close()
        assert (process.returncode, out) == (2, b"")
        [line] = err.decode().splitlines()
        return line

    def test_http_port_in_use(self, config: Config) -> None:
        with socket.create_server(("127.0.0.1", config.http.port)):
            assert (
                self.refusal(config)
                == f"framewatch: framewatch.yaml: http.port: {config.http.port} is in use; choose another"
            )

    def test_alarm_endpoint_in_use(self, config: Config) -> None:
        endpoint = config.outputs.alarms
        with socket.create_server(("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))):
            assert (
                self.refusal(config)
                == f"framewatch: framewatch.yaml: outputs.alarms: {endpoint} is in use; choose another"
            )

    @pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
    def test_an_address_of_another_machine(self, config: Config, host: str) -> None:
        http = msgspec.structs.replace(config.http, host=host)
        assert self.refusal(msgspec.structs.replace(config, http=http)).startswith(
            f"framewatch: framewatch.yaml: http.host: '{host}' is no address"
        )

    def test_a_journal_that_cannot_be_opened(self, config: Config, tmp_path: Path) -> None:
        wrong = msgspec.structs.replace(config, journal=str(tmp_path / "no" / "journal.db"))
        assert self.refusal(wrong).startswith(f"framewatch: framewatch.yaml: journal: {wrong.journal} cannot be opened")
