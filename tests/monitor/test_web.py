import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from daemon_example import beat, count_frames, judge_frames, record, some_config, some_orders

from monitor.alarms.alarm import Alarm
from monitor.alarms.book import apply, open_book
from monitor.journal.reading import Which
from monitor.journal.store import JournalError
from monitor.layers import RateSummary
from monitor.orders import Memory, Orders
from monitor.status import Status, look
from monitor.types import TEXT_BYTES, State
from monitor.vitals import LOST_NS
from monitor.web.app import application

NOW_NS = 10**12


class Shown:
    """A view of a small daemon; remembers what alarms were asked for."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self._orders = given
        self.memory = memory
        self.now_ns = NOW_NS
        self.book, _ = apply(open_book("melt", []), record("began", job="<b>part</b>"))
        self.asked: list[tuple[int, Which | None]] = []
        self.jobs: list[str | None] = []

    def status(self) -> Status:
        return look(self._orders, self.memory, self.book.active, self.now_ns, 5, NOW_NS)

    def alarms(self, limit: int, state: Which | None) -> list[Alarm]:
        self.asked.append((limit, state))
        return self.book.active

    def layers(self, job: str | None) -> RateSummary:
        self.jobs.append(job)
        return RateSummary()

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return f"accept={accept}".encode(), "text/plain; version=0.0.4; charset=utf-8"

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(application(self))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, NOW_NS)
        yield Shown(given, memory)


def test_a_journal_that_cannot_be_read_is_told_in_one_line_and_stops_nothing_else(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> list[Alarm]:
        raise JournalError("journal: journal.db cannot be read: disk I/O error")

    monkeypatch.setattr(shown, "alarms", fail)
    answer = shown.get("/api/v1/alarms")
    assert (answer.status_code, answer.json()) == (503, {"error": "journal: journal.db cannot be read: disk I/O error"})
    assert shown.get("/api/v1/status").status_code == 200


def test_it_is_alive_even_when_nothing_else_works(shown: Shown) -> None:
    shown.now_ns += LOST_NS + 1
    answer = shown.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "alive")


@pytest.mark.parametrize("state", State)
def test_it_is_ready_when_it_judges_or_is_told_that_there_is_nothing_to_judge(shown: Shown, state: State) -> None:
    beat(shown.memory, NOW_NS, state, "because")
    answer = shown.get("/readyz")
    ready = state in ("ok", "idle")
    assert answer.status_code == (200 if ready else 503)
    assert answer.json() == {"ready": ready, "state": state.value, "why": "because"}


def test_it_is_not_ready_when_the_hot_process_does_not_answer(shown: Shown) -> None:
    shown.now_ns += LOST_NS + 1
    answer = shown.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "state": "degraded", "why": "the hot process does not answer"}


def test_the_status_is_whole(shown: Shown) -> None:
    count_frames(shown.memory)
    judge_frames(shown.memory)
    status: dict[str, Any] = shown.get("/api/v1/status").json()
    assert (status["camera"], status["state"], status["permit"], status["bundle"]) == ("melt", "ok", True, "ab" * 32)
    assert status["ledger"]["received"] == 90
    assert status["charts"][1] == {"name": "s2", "limit": 3.0, "score": 4.5, "exceedances": 1}
    assert [alarm["job"] for alarm in status["alarms"]] == ["<b>part</b>"]


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (100, None)),
        ("?limit=1", (1, None)),
        ("?limit=1000&state=active", (1000, "active")),
        ("?state=cleared&unknown=1", (100, "cleared")),
    ],
)
def test_alarms_are_asked_for_by_number_and_state(shown: Shown, query: str, asked: tuple[int, str | None]) -> None:
    answer = shown.get(f"/api/v1/alarms{query}")
    assert answer.status_code == 200
    assert [alarm["rev"] for alarm in answer.json()["alarms"]] == [1]
    assert shown.asked == [asked]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1.5", "state=open", "limit="])
def test_a_wrong_query_is_refused_with_the_reason(shown: Shown, query: str) -> None:
    answer = shown.get(f"/api/v1/alarms?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]
    assert shown.asked == []


@pytest.mark.parametrize(
    ("query", "job"), [("", None), ("?job=part%207", "part 7"), ("?job=", ""), ("?job=null", "null")]
)
def test_layers_are_asked_for_by_job(shown: Shown, query: str, job: str | None) -> None:
    answer = shown.get(f"/api/v1/layers{query}")
    assert (answer.status_code, answer.json()) == (200, {"jobs": [], "layers": []})
    assert shown.jobs == [job]


def test_a_job_longer_than_any_is_refused_with_the_reason(shown: Shown) -> None:
    answer = shown.get(f"/api/v1/layers?job={'x' * (TEXT_BYTES + 1)}")
    assert answer.status_code == 400
    assert "job" in answer.json()["error"]
    assert shown.jobs == []


def test_metrics_come_in_the_format_asked_for(shown: Shown) -> None:
    answer = shown.get("/metrics", accept="application/openmetrics-text")
    assert answer.text == "accept=application/openmetrics-text"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/api/v1/alarms", "/api/v1/layers", "/metrics"])
def test_nothing_can_be_changed(shown: Shown, method: str, path: str) -> None:
    assert shown.get(path, method).status_code == 405


def test_an_unknown_path_is_not_found(shown: Shown) -> None:
    assert shown.get("/api/v2/status").status_code == 404
