"""Routes about the past: scores over time, and where on a layer they were high."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.alarms.alarm import Alarm, ratio_of
from monitor.history.grid import Cells
from monitor.history.layer_map import NO_LAYER, Shown, Summary
from monitor.history.pyramid import LEVELS, Span
from monitor.types import TEXT_BYTES
from monitor.web.answers import answer, numbers

KEPT_S: Final = LEVELS[-1].step_ns * LEVELS[-1].bins // 1_000_000_000
BINS_MOST: Final = 2000
EVENTS_MOST: Final = 500


class NoScoresError(ValueError):
    """There are none, and will be none: one line."""


class Past(NamedTuple):
    """Scores of a span, and the alarms that touch it."""

    charts: Sequence[str]
    span: Span
    mono_t_ns: int  # Unix time at which the monotonic clock was 0, as both clocks stand now
    alarms: list[tuple[Alarm, int | None]]  # and when each ended


class Layer(NamedTuple):
    """A layer's map, and how many events its job had: (layer, kind or source, count)."""

    shown: Shown
    events: list[tuple[int | None, str, int]]


class View(Protocol):
    """What is known of the past. Called in worker threads.

    Raises NoScoresError where nothing is judged, JournalError where alarms cannot be read.
    """

    def past(self, span_ns: int, bins: int, end_t_ns: int | None) -> Past: ...
    def layer(self, job: str | None, layer: int | None) -> Layer | None: ...


class PastQuery(msgspec.Struct, frozen=True):
    """The last so many seconds before *end_t_ns*, by default now."""

    span_s: Annotated[float, msgspec.Meta(gt=0, le=KEPT_S)] = 600.0
    bins: Annotated[int, msgspec.Meta(ge=2, le=BINS_MOST)] = 600
    end_t_ns: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class MapQuery(msgspec.Struct, frozen=True):
    """A layer of *job*; by default those that were seen last."""

    job: Annotated[str, msgspec.Meta(max_length=TEXT_BYTES)] | None = None
    layer: Annotated[int, msgspec.Meta(ge=NO_LAYER, le=2**63 - 1)] | None = None


def routes(view: View) -> list[Route]:
    """The routes over *view*."""

    def history(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), PastQuery, strict=False)
        except msgspec.ValidationError as error:
            return answer({"error": str(error)}, 400)
        return answer(past_as_json(view.past(round(query.span_s * 1e9), query.bins, query.end_t_ns), time.time_ns()))

    def layer_map(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), MapQuery, strict=False)
        except msgspec.ValidationError as error:
            return answer({"error": str(error)}, 400)
        found = view.layer(query.job, query.layer)
        if found is not None:
            return answer(layer_as_json(found))
        if query.job is None and query.layer is None:
            return answer(NOTHING_YET)
        return answer({"error": "there is no such job or layer"}, 404)

    return [
        Route("/api/v1/history", history, methods=["GET"]),
        Route("/api/v1/map", layer_map, methods=["GET"]),
    ]


def past_as_json(past: Past, now_t_ns: int) -> dict[str, Any]:
    """As the page gets it. An alarm that is active lasts until *now_t_ns*."""
    span, edges = past.span, (past.span.edges_ns + past.mono_t_ns).tolist()
    return {
        "first_t_ns": edges[0],
        "last_t_ns": edges[-1],
        "edges_t_ns": edges,
        "judged": span.judged.tolist(),
        "charts": {
            name: {
                "low": numbers(span.low[row]),
                "high": numbers(span.high[row]),
                "ratio": numbers(span.ratio[row]),
                "over": span.over[row].tolist(),
                "limit": numbers(span.limit[row]),
            }
            for row, name in enumerate(past.charts)
        },
        "events": [_event(alarm, ended_t_ns or now_t_ns) for alarm, ended_t_ns in past.alarms],
    }


def _event(alarm: Alarm, last_t_ns: int) -> dict[str, Any]:
    return {
        "id": alarm.id,
        "source": alarm.source,
        "priority": alarm.priority,
        "state": alarm.state,
        "kind": alarm.kind.name if alarm.kind is not None else None,
        "first_t_ns": alarm.raised_t_ns,
        "last_t_ns": last_t_ns,
        "ratio": ratio_of(alarm),
    }


NOTHING_YET: Final[dict[str, Any]] = {
    "jobs": [], "job": None, "layers": [], "layer": None, "extent": None, "rows": 0, "columns": 0, "ratio": [],
    "judged": [], "summary": None, "job_summary": None, "earlier": [], "same_place": None,
}  # fmt: skip
"""No frame was judged."""


def layer_as_json(layer: Layer) -> dict[str, Any]:
    """As the page gets it."""
    shown, window = layer.shown, layer.shown.window
    number = _told(shown.number)
    found: dict[str, Any] = {"extent": None, "rows": 0, "columns": 0, "ratio": [], "judged": []}
    if window is not None and shown.cells is not None:
        x, y, side = window.column, window.row, 2.0**window.power
        found = {
            "extent": [x * side, y * side, (x + window.columns) * side, (y + window.rows) * side],
            "rows": window.rows,
            "columns": window.columns,
            "ratio": _ratios(shown.cells),
            "judged": shown.cells.judged.tolist(),
        }
    by_layer: dict[int | None, Counter[str]] = {}
    for at, name, count in layer.events:
        by_layer.setdefault(at, Counter())[name] += count
    return {
        "jobs": shown.jobs,
        "job": shown.job,
        "layers": shown.layers,
        "layer": number,
        **found,
        "summary": _summary(shown.summary, by_layer.get(number, Counter())),
        "job_summary": _summary(shown.job_summary, _sum(by_layer.values())),
        "earlier": [
            {
                "layer": one.number,
                "judged": one.summary.judged,
                "rate": _rate(one.summary),
                "events": by_layer.get(one.number, Counter()).total(),
                "most": one.summary.worst.ratio if one.summary.worst else None,
            }
            for one in shown.earlier
        ],
        "same_place": None if shown.same_place is None else {"ratio": _ratios(shown.same_place)},
    }


def _told(number: int) -> int | None:
    return None if number == NO_LAYER else number


def _ratios(cells: Cells) -> list[float | None]:
    return numbers(np.where(cells.judged > 0, cells.ratio, np.nan))


def _summary(summary: Summary, events: Counter[str]) -> dict[str, Any]:
    return {
        "judged": summary.judged,
        "exceeding": summary.exceeding,
        "rate": _rate(summary),
        "worst": None if summary.worst is None else summary.worst._asdict(),
        "events": events,
    }


def _rate(summary: Summary) -> float:
    return summary.exceeding / summary.judged


def _sum(counts: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counts, Counter())
