"""The past over HTTP: scores over time with the alarms that touch it, and maps of layers with their events."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from daemon_example import LIMITS, beat, record, some_config, some_orders
from judged_example import NS, Judged

from monitor import eventlog
from monitor.desk import Desk
from monitor.history.follower import Follower
from monitor.history.grid import SIDE
from monitor.journal.reader import Reader
from monitor.journal.store import Journal
from monitor.sinks.dispatch import Dispatch
from monitor.types import Kind
from monitor.web import history
from monitor.web.answers import numbers
from monitor.web.app import application
from monitor.web.window import Window


class Room:
    """A window over a desk, and over what was judged in a ring beside it."""

    def __init__(self, folder: Path, *, bundle: bool = True) -> None:
        config = some_config(folder)
        self._orders = some_orders(config, bundle=bundle)
        given, self.memory = self._orders.__enter__()
        self.now_ns = time.monotonic_ns()
        beat(self.memory, self.now_ns)
        self.journal = Journal(Path(config.journal), config.camera)
        self.reader = Reader(Path(config.journal), config.camera)
        self.desk = Desk(given, self.memory, self.journal, self.now_ns, time.time_ns())
        self.ring = Judged()
        self.follower: Follower | None = self.ring.follower() if bundle else None
        dispatch = Dispatch(self.journal, [])
        self.window = Window(given, self.memory, self.desk, self.reader, dispatch, self.follower)

    def follow(self) -> None:
        assert self.follower is not None
        self.follower.step(time.monotonic_ns())

    def tell(self, *events: Any) -> None:
        for event in events:
            eventlog.append(self.memory.log, msgspec.structs.replace(event, t_ns=time.time_ns()))
        self.desk.step(time.monotonic_ns(), time.time_ns())

    def get(self, path: str) -> tuple[int, Any]:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(application(self.window))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.get(path)

        answer = asyncio.run(ask())
        return answer.status_code, answer.json()

    def close(self) -> None:
        self.reader.close()
        self.journal.close()
        self._orders.__exit__(None, None, None)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def some(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def test_the_extremes_of_a_span_are_told_with_the_alarms_that_touch_it(room: Room) -> None:
    now_ns, now_t_ns = time.monotonic_ns(), time.time_ns()
    room.ring.show(2, now_ns - 3 * NS, t2=[10, 1.25])
    room.ring.show(2, now_ns - 2 * NS, t2=[60, 40], joint=[1.5, 0.5])
    room.follow()
    room.tell(record("began", event=1), record("ended", event=1), record("began", event=2, source="frozen"))
    status, told = room.get("/api/v1/history?span_s=60&bins=600")
    assert status == 200
    assert list(told["charts"]) == [*LIMITS, "joint"]
    assert len(told["edges_t_ns"]) == len(told["judged"]) + 1 == 601
    assert (told["first_t_ns"], told["last_t_ns"]) == (told["edges_t_ns"][0], told["edges_t_ns"][-1])
    assert abs(told["last_t_ns"] - now_t_ns) < 2 * NS
    t2 = told["charts"]["t2"]
    assert {len(column) for column in t2.values()} == {600}
    assert (some(t2["low"]), some(t2["high"]), some(t2["limit"])) == ([1.25, 40.0], [10.0, 60.0], [50.0, 50.0])
    assert some(t2["ratio"]) == [0.2, 1.2]
    assert (sum(t2["over"]), sum(told["judged"]), sum(told["charts"]["joint"]["over"])) == (1, 4, 1)
    at = next(i for i, high in enumerate(t2["high"]) if high == 60)
    assert told["edges_t_ns"][at] <= now_t_ns - 2 * NS + 10**8 < told["edges_t_ns"][at + 1] + 2 * 10**8
    events = [(one["source"], one["state"], one["priority"], one["ratio"], one["kind"]) for one in told["events"]]
    assert events == [("frozen", "active", "high", 1.2, None), ("t2", "cleared", "medium", 1.2, None)]
    assert all(one["first_t_ns"] <= one["last_t_ns"] for one in told["events"])


def test_what_is_told_ends_where_bins_are_finished(room: Room) -> None:
    room.follow()
    _, told = room.get("/api/v1/history?span_s=10&bins=100")
    assert room.follower is not None
    assert told["last_t_ns"] - told["first_t_ns"] == 10 * NS
    assert room.follower.scores.finished_ns % 10**8 == 0


def test_an_earlier_span_has_its_own_alarms_and_no_later_ones(room: Room) -> None:
    room.tell(record("began", event=1))
    room.follow()
    end_t_ns = time.time_ns() - 3600 * NS
    _, told = room.get(f"/api/v1/history?span_s=60&bins=10&end_t_ns={end_t_ns}")
    assert 0 <= told["last_t_ns"] - end_t_ns < 60 * NS
    assert told["events"] == []
    assert set(told["judged"]) == {0}


@pytest.mark.parametrize(
    "query",
    ["span_s=0", "span_s=-1", "span_s=604801", "span_s=x", "bins=1", "bins=2001", "bins=1.5", "end_t_ns=-1", "span_s="],
)
def test_a_wrong_span_is_refused_with_the_reason(room: Room, query: str) -> None:
    status, told = room.get(f"/api/v1/history?{query}")
    assert status == 400
    assert query.split("=")[0] in told["error"]
    assert "\n" not in told["error"]


def test_a_layer_is_told_with_its_events_and_those_before(room: Room) -> None:
    for layer in (1, 2):
        scores = [0.5, 1.5 * layer]
        room.ring.show(2, time.monotonic_ns(), t2=[1, 60], joint=scores, job="part", layer=layer, xy=[(0, 0), (10, 5)])
    room.follow()
    begun = {"job": "part", "layer": 1}
    room.tell(
        record("began", event=1, kind=Kind(3, "spatter", 0.5), **begun),
        record("ended", event=1, kind=Kind(3, "spatter", 0.5), **begun),
        record("began", event=2, job="part", layer=2),
        record("began", event=3, source="frozen", job="other", layer=2),
    )
    status, told = room.get("/api/v1/map")
    assert status == 200
    assert (told["jobs"], told["job"], told["layers"], told["layer"]) == (["part"], "part", [1, 2], 2)
    assert (told["rows"], told["columns"], told["extent"]) == (6, 11, [0.0, 0.0, 11.0, 6.0])
    assert (told["ratio"][0], told["ratio"][-1], told["judged"][0]) == (0.5, 3.0, 1)
    assert len(told["ratio"]) == len(told["judged"]) == 66
    assert some(told["ratio"]) == [0.5, 3.0]
    assert told["summary"] == {
        "judged": 2,
        "exceeding": 1,
        "rate": 0.5,
        "worst": {"seq": 2 * 2 - 1, "ratio": 3.0, "xy": [10.0, 5.0]},
        "events": {"t2": 1},
    }
    assert (told["job_summary"]["judged"], told["job_summary"]["events"]) == (4, {"spatter": 1, "t2": 1})
    assert told["earlier"] == [{"layer": 1, "judged": 2, "rate": 0.5, "events": 1, "most": 1.5}]
    assert some(told["same_place"]["ratio"]) == [0.5, 1.5]
    status, told = room.get("/api/v1/map?job=part&layer=1")
    assert (told["layer"], told["summary"]["events"], told["same_place"]) == (1, {"spatter": 1}, None)


def test_frames_without_positions_or_layers_have_sums_and_no_map(room: Room) -> None:
    room.ring.show(2, time.monotonic_ns())
    room.follow()
    room.tell(record("began", event=1), record("began", event=2, source="degraded"))
    _, told = room.get("/api/v1/map")
    assert (told["job"], told["layers"], told["layer"], told["extent"], told["ratio"]) == ("", [], None, None, [])
    assert (told["summary"]["judged"], told["summary"]["events"]) == (2, {"t2": 1})


def test_before_the_first_frame_there_is_an_empty_map(room: Room) -> None:
    status, told = room.get("/api/v1/map")
    assert (status, told["jobs"], told["layer"], told["extent"]) == (200, [], None, None)


@pytest.mark.parametrize(
    ("query", "status"), [("job=none", 404), ("layer=7", 404), ("layer=x", 400), ("layer=-2", 400)]
)
def test_a_layer_that_is_not_there_is_told_in_one_line(room: Room, query: str, status: int) -> None:
    room.ring.show(2, time.monotonic_ns(), job="part", layer=1)
    room.follow()
    found, told = room.get(f"/api/v1/map?{query}")
    assert found == status
    assert "\n" not in told["error"]


def test_events_of_a_job_are_counted_once_a_second_however_many_look(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.ring.show(2, time.monotonic_ns(), job="part", layer=1)
    room.follow()
    asked: list[str] = []
    count = room.reader.by_layer

    def by_layer(job: str, *rest: Any) -> Any:
        asked.append(job)
        return count(job, *rest)

    monkeypatch.setattr(room.reader, "by_layer", by_layer)
    monkeypatch.setattr("monitor.web.window.EVENTS_NS", 3600 * NS)
    for _ in range(3):
        assert room.get("/api/v1/map")[0] == 200
    assert asked == ["part"]


@pytest.mark.parametrize("path", ["/api/v1/history", "/api/v1/map"])
def test_without_a_bundle_there_are_no_scores(tmp_path: Path, path: str) -> None:
    room = Room(tmp_path, bundle=False)
    try:
        status, told = room.get(path)
    finally:
        room.close()
    assert (status, told) == (404, {"error": "nothing is judged without a bundle, so there are no scores"})


def test_missed_frames_are_in_the_metrics(room: Room) -> None:
    assert room.follower is not None
    room.follower.missed = 5
    assert b'framewatch_history_frames_missed_total{camera="melt"} 5.0' in room.window.metrics("")[0]


def test_the_largest_map_is_of_a_size_that_can_be_asked_for_every_second(room: Room) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        room.ring.show(
            60, time.monotonic_ns(), job="part", layer=1, xy=rng.uniform(0, 100, (60, 2)), joint=rng.random(60)
        )
        room.follow()
    _, told = room.get("/api/v1/map")
    assert max(told["rows"], told["columns"]) > SIDE // 2
    assert len(json.dumps(told, separators=(",", ":"))) < 300_000


@pytest.mark.parametrize(
    "value", [0.0, 1.5, -2.25, 0.1, 123456.7, 1234567.0, 12345678.0, 3.4e38, 1e-30, 1e-45, np.nan, np.inf, -np.inf]
)
def test_scores_are_told_in_few_digits_that_say_the_same(value: float) -> None:
    exact = np.float32(value)
    (told,) = numbers(np.array([exact]))
    if not np.isfinite(exact):
        assert told is None
    else:
        assert told == pytest.approx(float(exact), rel=1e-6, abs=1e-44)
        assert len(repr(told)) <= 24


def test_a_query_of_the_longest_span_is_what_is_kept() -> None:
    assert history.KEPT_S == 7 * 86_400
