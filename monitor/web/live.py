"""What the page is told as it happens, as server-sent events: made once for all viewers, and not at all for none.

A viewer that falls behind loses the older scores and pictures, never a status. One that takes up nothing is cut off by
its connection (`monitor.web.connection`), and one whose queue is full of what must not be lost is ended here.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from monitor.history.pyramid import Finished
from monitor.status import Status
from monitor.web.answers import answer, numbers

PATH: Final = "/api/v1/live"
TURN_S: Final = 0.1
VIEWERS_MOST: Final = 32
WAITING_MOST: Final = 64
"""Events that wait for one viewer."""

STATUS_NS: Final = 1_000_000_000
SCORES_NS: Final = 300_000_000
FRAME_NS: Final = 250_000_000
COMMENT_NS: Final = 10_000_000_000
BINS_MOST: Final = 100
"""Bins of one event: after a long wait the older ones are left out; `/api/v1/history` has them."""

HELLO: Final = b"retry: 1000\n\n"

What = Literal["status", "scores", "frame", "comment"]


class Event(NamedTuple):
    what: What
    told: bytes  # as it goes over the wire


class View(Protocol):
    """What is told of. Called in a thread."""

    def status(self) -> Status: ...

    def finished(self, after: int | None, most: int) -> "Bins | None":
        """The bins of scores that were finished since number *after*; None where there is none."""
        ...


class Bins(NamedTuple):
    """Finished bins of all charts."""

    charts: tuple[str, ...]
    finished: Finished
    mono_t_ns: int  # Unix time at which the monotonic clock was 0


class Pictures(Protocol):
    """Where pictures of frames come from, as JSON. Neither call blocks."""

    def wanted(self, viewers: int) -> None:
        """Say how many look: for none, none need be drawn."""
        ...

    def latest(self) -> tuple[int, bytes] | None:
        """The newest one and its number, which is another for each; None where there is none yet."""
        ...


class News:
    """What there is to tell at each turn. It remembers what was told last."""

    def __init__(self, view: View, pictures: Pictures | None = None) -> None:
        self._view, self._pictures = view, pictures
        self._key: object = None
        self._status_ns = self._scores_ns = self._frame_ns = self._comment_ns = -COMMENT_NS
        self._bin: int | None = None
        self._picture: int | None = None

    def step(self, mono_ns: int, *, anew: bool = False) -> list[Event]:
        """What is to be told at *mono_ns* (monotonic); with *anew* the status in any case: somebody has come."""
        told = self._status(mono_ns, anew) + self._scores(mono_ns) + self._frame(mono_ns)
        if mono_ns - self._comment_ns >= COMMENT_NS:
            self._comment_ns = mono_ns
            told.append(Event("comment", b":\n\n"))
        return told

    def _status(self, mono_ns: int, anew: bool) -> list[Event]:
        status = self._view.status()
        alarms = [(one.id, one.rev) for one in status.alarms]
        key = status.state, status.why, status.side_why, status.permit, status.permit_why, alarms, status.alarm_changes
        if not anew and key == self._key and mono_ns - self._status_ns < STATUS_NS:
            return []
        self._key, self._status_ns = key, mono_ns
        return [_event("status", msgspec.json.encode(status))]

    def _scores(self, mono_ns: int) -> list[Event]:
        if mono_ns - self._scores_ns < SCORES_NS:
            return []
        found = self._view.finished(self._bin, BINS_MOST)
        if found is None:
            return []
        self._scores_ns = mono_ns
        self._bin = found.finished.first + len(found.finished.span.judged) - 1
        return [_event("scores", msgspec.json.encode(scores_as_json(found)))]

    def _frame(self, mono_ns: int) -> list[Event]:
        if self._pictures is None or mono_ns - self._frame_ns < FRAME_NS:
            return []
        found = self._pictures.latest()
        if found is None or found[0] == self._picture:
            return []
        self._picture, self._frame_ns = found[0], mono_ns
        return [_event("frame", found[1])]


def _event(what: What, data: bytes) -> Event:
    return Event(what, b"event: %b\ndata: %b\n\n" % (what.encode(), data))


def scores_as_json(bins: Bins) -> dict[str, Any]:
    """As the page gets them: of each chart the extremes of each bin, and the limit that held last."""
    span = bins.finished.span
    edges = span.edges_ns
    return {
        "step_ms": int(edges[1] - edges[0]) // 1_000_000,
        "first_bin": bins.finished.first,
        "t_ns": int(edges[-1]) + bins.mono_t_ns,
        "judged": span.judged.tolist(),
        "charts": {
            name: {
                "low": numbers(span.low[row]),
                "high": numbers(span.high[row]),
                "ratio": numbers(span.ratio[row]),
                "over": span.over[row].tolist(),
                "limit": _last_known(numbers(span.limit[row])),
            }
            for row, name in enumerate(bins.charts)
        },
    }


def _last_known(limits: list[float | None]) -> float | None:
    return next((limit for limit in reversed(limits) if limit is not None), None)


class Viewer:
    """What waits for one viewer."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._there = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """Let *event* wait; where too much does, the oldest that may be lost is lost, and otherwise this ends."""
        if event.what == "frame":  # pictures are large, and an old one is of no use
            self._lose("frame")
        self._waiting.append(event)
        if len(self._waiting) > WAITING_MOST and not self._lose("scores", "comment", "frame"):
            self.end()
        self._there.set()

    def end(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._there.set()

    async def told(self) -> AsyncIterator[bytes]:
        """All that is put, until the end."""
        yield HELLO
        while not self._ended:
            await self._there.wait()
            self._there.clear()
            while self._waiting:
                yield self._waiting.popleft().told

    def _lose(self, *what: What) -> bool:
        for event in self._waiting:
            if event.what in what:
                self._waiting.remove(event)
                return True
        return False


class Hub:
    """All viewers. Everything but `run` is for handlers in the event loop."""

    def __init__(self, view: View, pictures: Pictures | None = None) -> None:
        self._news, self._pictures = News(view, pictures), pictures
        self._viewers: list[Viewer] = []
        self._come = asyncio.Event()
        self._closed = False
        self.asleep = False  # nobody looks: nothing is made

    async def run(self) -> None:
        """Tell viewers as long as there are any, and otherwise wait for one; until `close`."""
        while not self._closed:
            if not self._viewers:
                self._come.clear()
                self.asleep = True
                await self._come.wait()
                self.asleep = False
            anew = self._come.is_set()
            self._come.clear()
            for event in await asyncio.to_thread(self._tell, anew):
                for viewer in self._viewers:
                    viewer.put(event)
            try:
                await asyncio.wait_for(self._come.wait(), TURN_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        """End all streams, and let nobody begin another."""
        self._closed = True
        self._come.set()
        for viewer in self._viewers:
            viewer.end()

    def join(self) -> Viewer | None:
        """A viewer more, None where there are too many."""
        if self._closed or len(self._viewers) >= VIEWERS_MOST:
            return None
        viewer = Viewer()
        self._viewers = [*self._viewers, viewer]
        self._come.set()
        self._say_how_many()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self._viewers = [one for one in self._viewers if one is not viewer]
        self._say_how_many()

    def _tell(self, anew: bool) -> list[Event]:
        return self._news.step(time.monotonic_ns(), anew=anew)

    def _say_how_many(self) -> None:
        if self._pictures is not None:
            self._pictures.wanted(len(self._viewers))


class _Stream(StreamingResponse):
    """To one viewer; however it ends, the viewer leaves."""

    def __init__(self, hub: Hub, viewer: Viewer) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nor is a proxy to hold it back
        super().__init__(viewer.told(), headers=headers, media_type="text/event-stream")
        self._hub, self._viewer = hub, viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._viewer)


def routes(hub: Hub) -> list[Route]:
    """The route over *hub*."""

    async def live(_: Request) -> Response:
        viewer = hub.join()
        if viewer is None:
            return answer({"error": f"{VIEWERS_MOST} viewers look already; close one"}, 503)
        return _Stream(hub, viewer)

    return [Route(PATH, live, methods=["GET"])]
