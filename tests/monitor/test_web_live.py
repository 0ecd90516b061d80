"""What viewers are told as it happens: by a real server, to clients that read, do not read, and come too many."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import uvicorn
from daemon_example import beat, free_port, record, some_config, some_orders
from judged_example import NS, Judged

from monitor.alarms.book import apply, open_book
from monitor.orders import Memory, Orders
from monitor.status import Status, look
from monitor.types import State
from monitor.web import live
from monitor.web.app import application
from monitor.web.connection import Connection
from monitor.web.live import Bins, Event, Hub, News, Viewer

DEADLINE_S = 20.0
NOW_NS = 10**12


class Shown:
    """A view of a small daemon, and of what was judged in a ring beside it; counts how often it is asked."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self._orders, self.memory = given, memory
        self.book = open_book("melt", [])
        self.ring = Judged()
        self.follower = self.ring.follower()
        self.asked = self.changes = 0

    def status(self) -> Status:
        self.asked += 1
        return look(self._orders, self.memory, self.book.active, NOW_NS, 5, NOW_NS, alarm_changes=self.changes)

    def finished(self, after: int | None, most: int) -> Bins | None:
        found = self.follower.scores.finished(after, most)
        return None if found is None else Bins(self.follower.charts, found, 0)

    def raise_alarm(self, event: int) -> None:
        self.book, _ = apply(self.book, record("began", event=event, epoch=f"hot-{event}"))


class Gallery:
    """Pictures, and how many were said to look."""

    def __init__(self) -> None:
        self.picture: tuple[int, bytes] | None = None
        self.wanted_by: list[int] = []

    def wanted(self, viewers: int) -> None:
        self.wanted_by.append(viewers)

    def latest(self) -> tuple[int, bytes] | None:
        return self.picture


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, NOW_NS)
        yield Shown(given, memory)


def whats(told: list[Event]) -> list[str]:
    return [one.what for one in told]


def data_of(event: Event) -> Any:
    head, _, data = event.told.decode().partition("\ndata: ")
    assert head == f"event: {event.what}"
    assert data.endswith("\n\n")
    assert "\n" not in data[:-2]
    return msgspec.json.decode(data[:-2].encode())


class TestNews:
    def test_a_status_is_told_every_second_and_at_once_where_something_changed(self, shown: Shown) -> None:
        news, told = News(shown), []
        for tenth in range(20):
            told += [(tenth, one) for one in news.step(tenth * NS // 10) if one.what == "status"]
        assert [tenth for tenth, _ in told] == [0, 10]
        assert data_of(told[0][1])["state"] == "ok"
        shown.raise_alarm(1)
        (event,) = news.step(20 * NS // 10 - 1)
        assert len(data_of(event)["alarms"]) == 1
        beat(shown.memory, NOW_NS, State.BLIND)
        assert data_of(news.step(2 * NS)[0])["state"] == "blind"
        shown.memory.vitals["permit_why"][0] = b"an alarm"
        assert whats(news.step(2 * NS + 1)) == ["status"]
        shown.changes = 2  # of an alarm that is over already
        assert whats(news.step(2 * NS + 2)) == ["status"]
        assert news.step(2 * NS + 3) == []

    def test_who_comes_is_told_the_status_at_once(self, shown: Shown) -> None:
        news = News(shown)
        news.step(0)
        assert whats(news.step(1, anew=True)) == ["status"]

    def test_every_finished_bin_is_told_once(self, shown: Shown) -> None:
        news, told = News(shown), []
        for tenth in range(20):
            shown.ring.show(1, tenth * NS // 10 + 7, t2=float(tenth), joint=tenth / 10)
            shown.follower.step(tenth * NS // 10 + 9)
            told += [data_of(one) for one in news.step(tenth * NS // 10 + 10) if one.what == "scores"]
        assert [one["first_bin"] for one in told] == [0, 1, 4, 7, 10, 13, 16][: len(told)]
        high = [value for one in told for value in one["charts"]["t2"]["high"]]
        assert high == [float(tenth) for tenth in range(len(high))]
        assert len(high) >= 16
        last = told[-1]
        assert (last["step_ms"], last["t_ns"]) == (100, (last["first_bin"] + len(last["judged"])) * NS // 10)
        assert last["charts"]["t2"]["low"] == last["charts"]["t2"]["high"]
        assert (last["charts"]["t2"]["limit"], last["charts"]["joint"]["limit"]) == (50.0, 1.0)

    def test_every_frame_over_its_limit_is_counted(self, shown: Shown) -> None:
        shown.ring.show(5, 7, t2=np.array([49.0, 51.0, 52.0, 1.0, 53.0]))
        shown.follower.step(NS // 10)
        (scores,) = (data_of(one) for one in News(shown).step(0) if one.what == "scores")
        assert (scores["charts"]["t2"]["over"], scores["charts"]["s2"]["over"]) == ([3], [0])

    def test_a_bin_without_frames_is_null(self, shown: Shown) -> None:
        shown.follower.step(0)
        shown.ring.show(2, NS // 20)
        shown.follower.step(3 * NS // 10)
        (scores,) = (data_of(one) for one in News(shown).step(0) if one.what == "scores")
        assert scores["judged"] == [2, 0, 0]
        assert scores["charts"]["s2"] == {
            "low": [1.0, None, None],
            "high": [1.0, None, None],
            "ratio": [0.3333333, None, None],
            "over": [0, 0, 0],
            "limit": 3.0,
        }
        shown.follower.step(5 * NS // 10)
        news = News(shown)
        news._bin = 2
        (scores,) = (data_of(one) for one in news.step(0) if one.what == "scores")
        assert scores["charts"]["s2"] == {
            "low": [None, None],
            "high": [None, None],
            "ratio": [None, None],
            "over": [0, 0],
            "limit": None,
        }

    def test_an_event_of_scores_is_small(self, shown: Shown) -> None:
        shown.ring.show(50, NS // 20, t2=np.random.default_rng(0).random(50))
        shown.follower.step(3 * NS // 10)
        (scores,) = (one for one in News(shown).step(0) if one.what == "scores")
        assert len(scores.told) < 450

    def test_each_picture_is_told_once_and_four_a_second_at_most(self, shown: Shown) -> None:
        gallery, told = Gallery(), []
        news = News(shown, gallery)
        assert "frame" not in whats(news.step(0))
        for tenth in range(20):
            gallery.picture = tenth // 4, b'{"seq":%d}' % tenth
            told += [data_of(one)["seq"] for one in news.step(tenth * NS // 10) if one.what == "frame"]
        assert told == [0, 4, 8, 12, 16]
        gallery.picture = 100, b"{}"
        assert whats(news.step(10 * NS)).count("frame") == 1
        gallery.picture = 101, b"{}"
        assert "frame" not in whats(news.step(10 * NS + NS // 5))

    def test_a_comment_keeps_the_line_alive(self, shown: Shown) -> None:
        news = News(shown)
        told = [one for second in range(25) for one in news.step(second * NS) if one.what == "comment"]
        assert [one.told for one in told] == [b":\n\n"] * 3


class TestViewer:
    def read(self, viewer: Viewer, most: int) -> list[bytes]:
        async def work() -> list[bytes]:
            told = []
            async for one in viewer.told():
                told.append(one)
                if len(told) == most:
                    break
            return told

        return asyncio.run(asyncio.wait_for(work(), DEADLINE_S))

    def test_older_scores_are_lost_before_newer_ones_and_no_status_is(self) -> None:
        viewer = Viewer()
        viewer.put(Event("status", b"status"))
        for number in range(live.WAITING_MOST + 9):
            viewer.put(Event("scores", b"%d" % number))
        told = self.read(viewer, live.WAITING_MOST + 1)
        assert told[:3] == [live.HELLO, b"status", b"10"]
        assert told[-1] == b"%d" % (live.WAITING_MOST + 8)

    def test_of_pictures_only_the_newest_waits(self) -> None:
        viewer = Viewer()
        for number in range(5):
            viewer.put(Event("frame", b"%d" % number))
            viewer.put(Event("status", b"status"))
        assert self.read(viewer, 7) == [live.HELLO, *[b"status"] * 4, b"4", b"status"]

    def test_where_nothing_may_be_lost_any_more_it_ends(self) -> None:
        viewer = Viewer()
        for _ in range(live.WAITING_MOST + 1):
            viewer.put(Event("status", b"status"))
        assert self.read(viewer, 99) == [live.HELLO]


class Hasty(Connection):
    patience_s = 0.5


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Stage:
    """A real server over a hub, in a thread with an event loop of its own."""

    def __init__(self, shown: Shown, gallery: Gallery) -> None:
        self.port = free_port()
        self.shown, self.gallery = shown, gallery
        self.hub: Hub | None = None
        self.server: Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self.hub = Hub(self.shown, self.gallery)
        app = application(self.shown, None, self.hub)
        self.server = Server(
            uvicorn.Config(
                app, port=self.port, http=Hasty, log_config=None, lifespan="off", timeout_graceful_shutdown=5
            )
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub.run())
            await self.server.serve()

    def __enter__(self) -> "Stage":
        self._thread.start()
        until(lambda: self.server is not None and self.server.started)
        return self

    def stop(self) -> None:
        assert self.hub is not None
        assert self.server is not None
        asyncio.run_coroutine_threadsafe(self._close(), self.server.servers[0].get_loop()).result(DEADLINE_S)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    async def _close(self) -> None:
        assert self.hub is not None
        assert self.server is not None
        self.hub.close()
        self.server.should_exit = True

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()

    def viewers(self) -> int:
        assert self.hub is not None
        return len(self.hub._viewers)

    @contextlib.contextmanager
    def look(self) -> Iterator[Iterator[str]]:
        """The lines that one viewer is told."""
        with (
            httpx.Client(trust_env=False, timeout=DEADLINE_S) as client,
            client.stream("GET", f"http://127.0.0.1:{self.port}{live.PATH}") as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield answer.iter_lines()


def until(holds: Callable[[], bool]) -> None:
    never, deadline = threading.Event(), time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        never.wait(0.005)


def next_of(lines: Iterator[str], what: str) -> Any:
    """The data of the next event of that kind."""
    for line in lines:
        if line == f"event: {what}":
            return msgspec.json.decode(next(lines).removeprefix("data: ").encode())
    raise AssertionError(f"the stream ended before an event {what}")


@pytest.fixture
def stage(shown: Shown) -> Iterator[Stage]:
    with Stage(shown, Gallery()) as made:
        yield made


class TestServer:
    def test_viewers_are_told_status_scores_and_pictures_as_they_come(self, stage: Stage) -> None:
        with stage.look() as one, stage.look() as other:
            assert next(one) == "retry: 1000"
            for lines in (one, other):
                assert next_of(lines, "status")["camera"] == "melt"
            stage.gallery.picture = 1, b'{"seq":7}'
            stage.shown.follower.step(time.monotonic_ns())
            for lines in (one, other):
                assert next_of(lines, "frame") == {"seq": 7}
            stage.shown.raise_alarm(1)
            for lines in (one, other):
                until(lambda lines=lines: bool(next_of(lines, "status")["alarms"]))  # type: ignore[misc]
            assert stage.gallery.wanted_by == [1, 2]
        until(lambda: stage.gallery.wanted_by[-1] == 0)

    def test_without_viewers_nobody_is_asked(self, stage: Stage) -> None:
        with stage.look() as lines:
            next_of(lines, "status")
        hub = stage.hub
        assert hub is not None
        until(lambda: hub.asleep)
        asked = stage.shown.asked
        assert stage.viewers() == 0
        with stage.look() as lines:
            assert next_of(lines, "status")["camera"] == "melt"
            assert not hub.asleep
        assert stage.shown.asked > asked

    def test_one_viewer_too_many_is_refused_in_one_line(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "VIEWERS_MOST", 2)
        with stage.look(), stage.look():
            answer = httpx.get(f"http://127.0.0.1:{stage.port}{live.PATH}", trust_env=False)
            assert (answer.status_code, answer.json()) == (503, {"error": "2 viewers look already; close one"})
        until(lambda: stage.viewers() == 0)
        with stage.look() as lines:
            assert next_of(lines, "status")

    def test_a_viewer_that_does_not_read_is_cut_off_and_the_others_go_on(self, stage: Stage) -> None:
        large = b'{"data":"%b"}' % (b"x" * (1 << 20))
        with stage.look() as lines, socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", stage.port))
            deaf.sendall(f"GET {live.PATH} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            until(lambda: stage.viewers() == 2)
            number = 0

            def is_alone() -> bool:
                nonlocal number
                number += 1
                stage.gallery.picture = number, large
                next_of(lines, "frame")
                return stage.viewers() == 1

            until(is_alone)
            assert next_of(lines, "status")

    def test_a_viewer_that_reads_is_left_alone_however_little_there_is(self, stage: Stage) -> None:
        with stage.look() as lines:
            begun_s = time.monotonic()
            while time.monotonic() - begun_s < 3 * Hasty.patience_s:
                next_of(lines, "status")
            assert stage.viewers() == 1

    def test_streams_end_when_the_server_does(self, stage: Stage) -> None:
        with stage.look() as lines:
            next_of(lines, "status")
            begun_s = time.monotonic()
            stage.stop()
            assert time.monotonic() - begun_s < 3.0
            assert [line for line in lines if line.startswith("retry")] == [], "what was under way, and then the end"

    def test_it_can_only_be_looked_at(self, stage: Stage) -> None:
        assert httpx.post(f"http://127.0.0.1:{stage.port}{live.PATH}", trust_env=False).status_code == 405
