"""Every Prometheus metric, in one place. They are read from shared memory when they are asked for.

Prefix `framewatch_`, base units, label `camera` and otherwise only labels from closed sets. The frame counters come
from one snapshot of the ledger, so that they close in every scrape.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from monitor import vitals
from monitor.alarms.figures import Figures
from monitor.journal.room import JournalStatus
from monitor.keeping import JobStatus
from monitor.orders import Orders, StopPromise
from monitor.recorder.board import Counts
from monitor.shared import Arrays
from monitor.sinks.pump import Statistics
from monitor.sinks.retry import CircuitState
from monitor.status import Status
from monitor.taxonomy.taxonomist import TaxonomyStatus
from monitor.types import State
from monitor.vitals import PRIORITIES

PREFIX: Final = "framewatch_"

CIRCUITS: Final[Sequence[CircuitState]] = ("closed", "half_open", "open")
"""States of a sink's circuit, by their value in `sink_circuit`."""

HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    "age": ("frame_age_seconds", "From a frame's arrival to its judgement"),
    "delay": ("frame_delay_seconds", "From a frame's exposure to its judgement, less the running minimum"),
    "batch": ("batch_frames", "Frames scored together"),
    "score": ("score_seconds", "Scoring one batch"),
    "fall": ("permit_fall_seconds", "From the arrival of the deciding frame to the withdrawn permit"),
}
"""Name in the vitals -> name and description of the metric."""

Labelled = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels after `camera`, and the value."""


class Metrics(Collector):
    """The metrics of one daemon.

    *look* gives its status, *raised* how many alarms were ever raised by source and priority, *sinks* what became of
    their changes, *figures* how good the alarms of the last day were, *taxonomy* how kinds of anomaly stand, *missed*
    how many judged frames the history of the charts has not seen, *journal* whether the disk takes it, *recorder*
    what is recorded of events.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        orders: Orders,
        arrays: Arrays,
        look: Callable[[], Status],
        raised: Callable[[], Mapping[tuple[str, str], int]],
        sinks: Callable[[], Sequence[Statistics]] = tuple,
        figures: Callable[[], Figures | None] | None = None,
        taxonomy: Callable[[], TaxonomyStatus] | None = None,
        missed: Callable[[], int] | None = None,
        journal: Callable[[], JournalStatus] | None = None,
        recorder: Callable[[], Counts] | None = None,
    ) -> None:
        self._camera = orders.config.camera
        self._device = orders.config.engine.device
        self._bundle = orders.bundle
        self._recorder_budget = orders.config.recorder.mib * 2**20
        self._vitals = arrays
        self._look = look
        self._raised = raised
        self._sinks, self._figures, self._taxonomy = sinks, figures, taxonomy
        self._missed, self._journal, self._recorder = missed, journal, recorder
        self._torch = torch_version()
        self._registry = registry
        registry.register(self)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, in the format that the HTTP header *accept* asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read shared memory."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics of this moment."""
        status = self._look()
        yield from self._frames(status)
        yield from self._peers()
        yield from self._snapshots()
        yield from self._timings()
        yield from self._charts(status)
        yield from self._promise(status)
        yield from self._alarms(status)
        yield from self._kinds()
        yield from self._history()
        yield from self._recordings()
        yield from self._deliveries()
        yield from self._room()
        yield from self._state(status)

    def _frames(self, status: Status) -> Iterator[Metric]:
        ledger = status.ledger
        yield self._counter("messages_rejected_total", "Messages refused", ("reason",), _by_label(ledger.rejected))
        for name, text, value in (
            ("announced", "Positions of seq passed", ledger.announced),
            ("lost_upstream", "Frames announced that never came", ledger.lost_upstream),
            ("received", "Frames of accepted messages", ledger.received),
            ("judged", "Frames judged", ledger.judged),
        ):
            yield self._counter(f"frames_{name}_total", text, (), [((), value)])
        yield self._counter(
            "frames_unjudged_total", "Frames accepted but not to be judged", ("reason",), _by_label(ledger.unjudged)
        )
        yield self._counter(
            "frames_dropped_total", "Frames that should have been judged", ("reason",), _by_label(ledger.dropped)
        )
        yield self._gauge("frames_in_flight", "Frames waiting for judgement", (), [((), ledger.in_flight)])

    def _peers(self) -> Iterator[Metric]:
        refused = [((door,), float(self._vitals[f"refused_{door}"][0])) for door in vitals.DOORS]
        yield self._counter("peers_refused_total", "Connections refused for want of a key", ("socket",), refused)

    def _snapshots(self) -> Iterator[Metric]:
        counts = dict(zip(vitals.SNAPSHOTS, self._vitals["snapshots"].tolist(), strict=True))
        text = "Snapshots of the alarms given to who asked"
        yield self._counter("snapshots_answered_total", text, (), [((), counts.pop("answered"))])
        text = "Requests for a snapshot refused"
        yield self._counter("snapshots_refused_total", text, ("reason",), _by_label(counts))

    def _timings(self) -> Iterator[Metric]:
        for name, (metric, text) in HISTOGRAMS.items():
            bounds = [*(repr(bound) for bound in vitals.HISTOGRAMS[name]), "+Inf"]
            counts = np.cumsum(self._vitals[f"{name}_counts"]).tolist()
            family = HistogramMetricFamily(PREFIX + metric, text, labels=("camera",))
            total = float(self._vitals[f"{name}_sum"][0])
            family.add_metric((self._camera,), list(zip(bounds, counts, strict=True)), total)
            yield family

    def _charts(self, status: Status) -> Iterator[Metric]:
        charts = status.charts
        yield self._counter(
            "chart_exceedances_total",
            "Frames over the limit",
            ("chart",),
            [((chart.name,), chart.exceedances) for chart in charts],
        )
        yield self._gauge(
            "chart_score",
            "Latest score",
            ("chart",),
            [((chart.name,), chart.score) for chart in charts if chart.score is not None],
        )
        yield self._gauge(
            "chart_limit",
            "Upper control limit in the context of the latest frame judged",
            ("chart",),
            [((chart.name,), chart.limit) for chart in charts],
        )
        if self._bundle is not None:
            age_s = (status.t_ns - self._bundle.created_ns) / 1e9
            yield self._gauge("calibration_age_seconds", "Since the bundle was made", (), [((), age_s)])
            yield self._gauge(
                "calibration_extrapolated",
                "1: a limit rests on too few frames for its rate",
                (),
                [((), self._bundle.extrapolated)],
            )

    def _promise(self, status: Status) -> Iterator[Metric]:
        yield self._counter("judged_seconds_total", "Time of the frames judged", (), [((), status.judged_s)])
        if status.drift is not None:
            yield self._gauge("drift_evidence", "1: the scores have drifted", (), [((), status.drift.evidence)])
            text = "Decades by which scores are rarer than at calibration"
            yield self._gauge("drift_shift_decades", text, (), [((), status.drift.shift_decades)])
        if self._bundle is None or self._bundle.promise is None:
            return
        budget = self._bundle.promise
        text = "False events that are to be borne in a judged hour"
        yield self._gauge("false_alarm_budget_per_hour", text, (), [((), budget.per_hour)])
        text = "Times that the clean hours are too few for the budget; 1: they support it"
        yield self._gauge("calibration_extrapolated_by", text, (), [((), budget.extrapolated_by)])
        if self._bundle.stops is not None:
            yield from self._stops(self._bundle.stops, status)
        if status.promise is None:
            return
        found = status.promise.overall
        text = "False events in a judged hour with the ends of their 90 % interval, unknown ones taken as true or false"
        yield self._gauge("false_alarms_per_hour", text, ("unknown", "end"), _realised(found))
        counts = [(("true",), found.true), (("false",), found.false), (("unknown",), found.unknown)]
        yield self._gauge("events", "Events of charts by verdict", ("verdict",), counts)
        yield self._gauge("promised_hours", "Judged hours since the limits were set", (), [((), found.hours)])
        rates_hz = [(("promised",), status.promise.rate_hz)]
        if status.promise.judged_rate_hz is not None:
            rates_hz.append((("judged",), status.promise.judged_rate_hz))
        text = "Frames that the budget takes for a second, and that were judged in one"
        yield self._gauge("frames_per_second", text, ("by",), rates_hz)
        yield self._gauge("kept_blocks", "Blocks of judged time kept for new limits", (), [((), status.promise.blocks)])

    def _stops(self, stops: StopPromise, status: Status) -> Iterator[Metric]:
        text = "False stops that are to be borne in a judged hour"
        yield self._gauge("false_stop_budget_per_hour", text, (), [((), stops.per_hour)])
        text = "Times that the clean hours are too few for the budget of stops; 1: they support it"
        yield self._gauge("stops_extrapolated_by", text, (), [((), stops.extrapolated_by)])
        if status.promise is not None and status.promise.stops is not None:
            text = "False stops in a judged hour, as false_alarms_per_hour has them"
            yield self._gauge("false_stops_per_hour", text, ("unknown", "end"), _realised(status.promise.stops.overall))

    def _alarms(self, status: Status) -> Iterator[Metric]:
        yield self._counter("alarms_total", "Alarms raised", ("source", "priority"), list(self._raised().items()))
        active = [alarm.priority for alarm in status.alarms]
        yield self._gauge(
            "alarms_active",
            "Open alarms",
            ("priority",),
            [((priority,), active.count(priority)) for priority in PRIORITIES],
        )
        found = self._figures() if self._figures is not None else None
        if found is None:
            return
        for name, text, value in (
            ("per_hour", "Alarms raised in the last day, an hour", found.per_hour),
            ("in_ten_minutes_most", "Most alarms raised in ten minutes of the last day", found.most_in_ten_minutes),
            ("flood_share", "Ten-minute windows of the last day with more than ten alarms", found.flood_share),
            ("chattering", "Sources that raised three alarms in a minute of the last day", len(found.chattering)),
            ("stale", "Alarms that have been active for more than a day", found.stale),
            ("unacknowledged", "Alarms of the last day that nobody has acknowledged", found.unacknowledged),
        ):
            yield self._gauge(f"alarms_{name}", text, (), [((), value)])

    def _kinds(self) -> Iterator[Metric]:
        if self._taxonomy is None:
            return
        found = self._taxonomy()
        yield self._gauge("taxonomy_kinds", "Kinds of anomaly that live", (), [((), found.kinds)])
        text = "What the last grouping took; 0: there was none"
        yield self._gauge("taxonomy_run_seconds", text, (), [((), found.run_seconds)])
        samples = [(("events",), float(found.samples)), (("normal",), float(found.normals))]
        yield self._gauge("taxonomy_samples", "Frames kept to find kinds among", ("of",), samples)
        yield self._counter("taxonomy_events_total", "Events of charts offered to be kept", (), [((), found.events)])
        text = "Events of which no frame could be kept"
        yield self._counter("taxonomy_events_missed_total", text, (), [((), found.missed)])
        text = "Frames of events that waited in vain for the process that names them"
        yield self._counter("taxonomy_unnamed_total", text, (), [((), found.unnamed)])
        text = "Groupings that came to nothing, writes that the disk refused, ends of the process that names events"
        yield self._counter("taxonomy_failures_total", text, (), [((), found.failures)])

    def _history(self) -> Iterator[Metric]:
        if self._missed is not None:
            text = "Judged frames overwritten before the charts' history had read their scores"
            yield self._counter("history_frames_missed_total", text, (), [((), self._missed())])

    def _recordings(self) -> Iterator[Metric]:
        if self._recorder is None:
            return
        found = self._recorder()
        for name, text, value in (
            ("recordings", "Recordings of events in the folder", found.recordings),
            ("recordings_bytes", "Bytes that they take", found.nbytes),
            ("recordings_pinned", "Recordings that no budget removes", found.pinned),
            ("recordings_pinned_bytes", "Bytes of those", found.pinned_bytes),
            ("recordings_budget_bytes", "Bytes that all recordings may take", self._recorder_budget),
            ("recordings_disk_free_bytes", "Room left on the file system of the recordings", found.disk_free),
            ("recordings_disk_bytes", "Size of the file system of the recordings", found.disk),
            ("recorder_archive_bytes", "Bytes of the archive of scores", found.archive_bytes),
        ):
            yield self._gauge(name, text, (), [((), value)])
        if found.beat_ns:  # there is none where nothing is judged
            text = "Since the recorder last said that it goes on"
            silent_s = max(time.monotonic_ns() - found.beat_ns, 0) / 1e9
            yield self._gauge("recorder_silent_seconds", text, (), [((), silent_s)])
        text = "Events that have no recording"
        yield self._counter("recordings_failed_total", text, ("reason",), _by_label(found.failed))
        for name, text, value in (
            ("recordings_written", "Recordings written", found.written),
            ("recorder_frames_missing", "Frames around events that are in no recording", found.missing),
            ("recorder_frames_archived", "Frames whose scores are archived", found.archived),
            ("recorder_archive_missing", "Frames whose scores could not be archived", found.archive_missing),
            ("recorder_restarts", "Times that the recorder ended and was started again", found.restarts),
        ):
            yield self._counter(f"{name}_total", text, (), [((), value)])

    def _deliveries(self) -> Iterator[Metric]:
        sinks = self._sinks()
        text = "Changes of alarms in the journal that the sink has not passed"
        yield self._gauge("sink_pending", text, ("sink",), [((one.sink,), one.pending) for one in sinks])
        for name, text, counts in (
            ("sent", "Changes delivered", [one.sent for one in sinks]),
            ("failures", "Deliveries that failed", [one.failures for one in sinks]),
            (
                "refused",
                "Changes passed over because the receiver refuses them for good",
                [one.refused for one in sinks],
            ),
            ("shed", "Old revisions passed over because a newer one follows", [one.shed for one in sinks]),
        ):
            values = [((one.sink,), count) for one, count in zip(sinks, counts, strict=True)]
            yield self._counter(f"sink_{name}_total", text, ("sink",), values)
        circuits = [((one.sink,), CIRCUITS.index(one.circuit)) for one in sinks]
        text = "0: deliveries succeed; 1: after many failures one is being tried; 2: they keep failing"
        yield self._gauge("sink_circuit", text, ("sink",), circuits)

    def _room(self) -> Iterator[Metric]:
        if self._journal is None:
            return
        found = self._journal()
        text = "1: the disk refuses the journal, and alarms leave with journaled false"
        yield self._gauge("journal_refused", text, (), [((), found.refused)])
        yield self._gauge("journal_unwritten", "Changes of alarms that wait for the disk", (), [((), found.unwritten)])
        for name, text, value in (
            ("bytes", "Size of the journal with its write-ahead log", found.size),
            ("disk_free_bytes", "Room left on the file system of the journal", found.free),
            ("disk_bytes", "Size of the file system of the journal", found.disk),
        ):
            if value is not None:
                yield self._gauge(f"journal_{name}", text, (), [((), value)])

    def _state(self, status: Status) -> Iterator[Metric]:
        yield self._gauge("permit", "1: the process may go on", (), [((), status.permit)])
        yield self._gauge(
            "state", "The state that holds is 1", ("state",), [((s.value,), s == status.state) for s in State]
        )
        yield self._gauge(
            "build_info",
            "Versions, and the device that scores",
            ("version", "torch", "device"),
            [((status.version, self._torch, self._device), 1)],
        )

    def _counter(self, name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=("camera", *labels))
        for label_values, value in values:
            family.add_metric((self._camera, *label_values), value)
        return family

    def _gauge(self, name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
        family = GaugeMetricFamily(PREFIX + name, text, labels=("camera", *labels))
        for label_values, value in values:
            family.add_metric((self._camera, *label_values), float(value))
        return family


def torch_version() -> str:
    """The installed torch, without importing it."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def _realised(found: JobStatus) -> Labelled:
    return [
        ((unknown, end), value)
        for unknown, rate in (("true", found.fewest), ("false", found.most))
        for end, value in (("low", rate.low), ("rate", rate.per_hour), ("high", rate.high))
        if value is not None
    ]


def _by_label(counts: Mapping[str, int]) -> Labelled:
    return [((label,), count) for label, count in counts.items()]
