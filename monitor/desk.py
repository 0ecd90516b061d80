"""What the side process knows and decides: no clock and no socket, time is an argument."""

import logging
import sqlite3
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from monitor import eventlog
from monitor import permit as permits
from monitor.alarms import acts, book, late, life, modes, reading
from monitor.alarms.acts import AcknowledgeAll, Asked, Refused
from monitor.alarms.alarm import (
    SOURCES,
    Alarm,
    Urgency,
    cause_of,
    count_causes,
    count_raised,
    urgency_of,
    with_kinds,
)
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Entry, Moment, Revision, Rules
from monitor.alarms.waiting import Waiting
from monitor.config import Config
from monitor.journal.age import NEVER_BEFORE_NS
from monitor.journal.outbox import Outbox
from monitor.journal.retention import Retention
from monitor.journal.store import Act, Change, Journal
from monitor.keeping import Keeper
from monitor.layers import LayerBook, RateSummary
from monitor.orders import Memory, Orders
from monitor.sinks.opcua.settings import NAME as OPCUA
from monitor.snapshots.page import MOST, Snapshot, page_of
from monitor.snapshots.request import Request, RequestError
from monitor.standin import StandIn
from monitor.status import LOST_WHY, Status, hot_answers, hot_lost, look, state_of
from monitor.sweep import Sweeps, Swept
from monitor.taxonomy import table
from monitor.taxonomy.namer_feed import Named
from monitor.taxonomy.taxonomist import Taxonomist
from monitor.vitals import PRIORITIES

SETTLE_NS: Final = 500_000_000
"""Alarms wait so long after the socket is bound: subscribers of a side process that died are still connecting again."""

OVERWRITTEN_SHOWN_NS: Final = 60_000_000_000
SLOW_DISK_NS: Final = 2_000_000_000

LEAVING_MOST: Final = 2000
"""Changes that leave at one step: subscribers lose what they cannot keep up with (`monitor.broadcast`)."""

_log = logging.getLogger("monitor.side")


class Telegram(NamedTuple):
    """One message of the alarm socket."""

    topic: str
    body: bytes


class Answer(NamedTuple):
    """What came of something that was asked for."""

    refused: Refused | None
    alarm: Alarm | None = None  # in the revision that it led to; None: nothing changed, or no alarm of a source is open
    source: str | None = None
    journaled: bool = True  # false: the disk refused; it holds all the same, and is written when there is room


class Desk:
    """What the side process knows and decides. No clock and no socket; `step` blocks on the disk."""

    def __init__(self, given: Orders, memory: Memory, journal: Journal, mono_ns: int, t_ns: int = 0) -> None:
        """At *mono_ns* (monotonic), which is *t_ns* (Unix)."""
        self._orders = given
        self._memory = memory
        self._journal = journal
        self._started_ns = mono_ns
        self._position = journal.position(given.boot)
        self._outbox = Outbox(journal, given.boot, self._position)
        self._rules, urgency = rules_of(given.config)
        self._urgency, self._kinds_version = urgency, 0
        held = modes.reopened(*journal.modes(), mono_ns, t_ns)
        self.life = life.open_life(journal.open_entries(), held, self._rules, mono_ns, given.boot)
        self._book = book.open_book(given.config.camera, life.cases_of(self.life), urgency, journal.newest_id())
        self._book = self._book._replace(named_later=given.config.taxonomy.embedding is not None)
        self.raised: Mapping[tuple[str, str], int] = journal.raised()
        stops = given.bundle is not None and given.bundle.stops is not None
        self._without_cause = frozenset(given.bundle.limits if given.bundle and stops else ())  # charts: stops speak
        self._waiting = Waiting(journal.unacknowledged(), self.life.active, self._without_cause)
        self.unacknowledged: Counter[str] = self._waiting.by_cause  # alarms that wait for a person
        self.heard = self._position  # records of the event log that the count above is of
        self._asked: deque[tuple[str, Asked, Future[Answer]]] = deque()
        self._to_show: deque[tuple[Request, Future[Snapshot]]] = deque()
        self._sweeps = Sweeps()
        self._stand_in = StandIn(given.config, memory.vitals)
        self._changes = 0  # revisions that this process made
        self._overwritten = 0
        self._overwritten_ns = 0
        self._step_ns: int | None = None  # since when a step runs
        self._keeper = _keeper(given, memory)
        keep = given.config.alarms
        names, awaited = partial(sink_names, given.config), self._awaited(given.config)
        self._retention = Retention(journal, keep.keep_days, keep.keep_mib, names, NEVER_BEFORE_NS, awaited)
        rates = given.bundle.rates if given.bundle else None
        self._layers = LayerBook(rates, memory.units) if rates is not None else None
        self.taxonomist = None
        if given.bundle is not None:
            self.taxonomist = Taxonomist(
                given,
                memory,
                journal.alarms_since,
                mono_ns,
                t_ns,
                lambda *kinds: table.write(memory.kinds, table.Table(*kinds)),
            )

    def ask(self, target: str, asked: Asked) -> "Future[Answer]":
        """Have something done to an alarm or source at the next step; answered once it is journalled. Of any thread.

        Raises msgspec.ValidationError where what is *asked* goes beyond its bounds.
        """
        asked = msgspec.convert(msgspec.to_builtins(asked), type(asked))  # whoever made it: bounds hold
        answer: Future[Answer] = Future()
        self._asked.append((target, asked, answer))
        return answer

    def show(self, request: Request) -> "Future[Snapshot]":
        """The alarms as they are after the next step: what changes later is sent later. Of any thread.

        Gives RequestError in its place where the journal cannot be read.
        """
        answer: Future[Snapshot] = Future()
        self._to_show.append((request, answer))
        return answer

    def ask_all(self, asked: AcknowledgeAll) -> "Future[Swept]":
        """Have many alarms acknowledged, a piece at each step from the next one on; likewise."""
        return self._sweeps.ask(msgspec.convert(msgspec.to_builtins(asked), AcknowledgeAll))

    def step(self, mono_ns: int, t_ns: int, last: bool = False) -> list[Telegram]:
        """Apply what the event log, the beat of the hot process and people say, journal it, and return what is to be
        sent.

        *mono_ns* and *t_ns*: now, monotonic and Unix. The *last* step keeps nothing back.
        """
        self._step_ns = mono_ns
        records, self._position, overwritten = eventlog.read(self._memory.log, self._position)
        if overwritten:
            self._overwritten, self._overwritten_ns = overwritten, mono_ns
            _log.error("%d event records were overwritten before they were read", overwritten)
        new_kinds, named = [], list[Named]()
        if self.taxonomist is not None:
            self.taxonomist.see(records, t_ns)  # first of all: the ring overwrites the frames that they speak of
            new_kinds, named = self.taxonomist.news(t_ns), self.taxonomist.named(t_ns)
        lost = hot_lost(self._memory.vitals, mono_ns, self._started_ns)
        state, _ = state_of(self._memory.vitals, mono_ns, self._started_ns)
        at, held = Moment(state, mono_ns, t_ns), self.life.modes
        revisions = self._apply(
            [*records, *self._watch(lost, mono_ns, t_ns), *new_kinds, *(one.record for one in named)], at
        )
        if self.taxonomist is not None:
            self.taxonomist.follow(revisions)
        made = {one.alarm.id: one.entry for one in revisions if one.what not in life.UNTOLD}
        find = partial(self._over, made)
        self.life, told = late.name(self._rules, self.life, self._book, named, find, at)
        revisions += told
        made |= {one.alarm.id: one.entry for one in told}
        answers, acted, done = self._do_what_was_asked(at, made)
        revisions += acted
        revisions += self._sweep(at, made, last)
        self.raised = count_raised(self.raised, [one.alarm for one in revisions if one.what == "raised"])
        changed = None if self.life.modes is held else self.life.modes
        self._outbox.accept([Change(one, t_ns) for one in revisions], self._position, mono_ns, done, changed)
        self._waiting.follow(revisions)
        self._changes += len(revisions)
        self.unacknowledged = self._waiting.by_cause
        self.heard = self._position
        for answer, said in answers:
            if answer.set_running_or_notify_cancel():  # whoever asked may have gone
                answer.set_result(said._replace(journaled=self._outbox.on_disk))
        self._sweeps.answer(self._outbox.on_disk)
        settled = last or mono_ns - self._started_ns >= SETTLE_NS
        leaving = self._outbox.take(None if last else LEAVING_MOST) if settled else []
        camera = self._orders.config.camera
        telegrams = [Telegram(f"alarm.{camera}", msgspec.json.encode(alarm)) for alarm in leaving]
        spoken = self._stand_in.step(lost, partial(self.status, mono_ns, t_ns), mono_ns, t_ns)
        telegrams += [Telegram(topic, msgspec.json.encode(said)) for topic, said in spoken]
        if self._keeper is not None:
            self._keeper.step(mono_ns, self._journal.verdicts, bool(revisions))
        if self._layers is not None:
            self._layers.step(mono_ns)
        self._forget(mono_ns, t_ns)
        self._show(at)
        self._step_ns = None
        return telegrams

    def tend(self, mono_ns: int, t_ns: int, last: bool = False) -> None:
        """What has time until the alarms of a step have left."""
        if self.taxonomist is not None:
            self.taxonomist.tend(mono_ns, t_ns, journaled=self._outbox.on_disk, last=last)

    @property
    def causes(self) -> list[int]:
        """How many open alarms about frames there are of each cause that may withhold the permit. Of any thread."""
        return count_causes(self.life.holding, self._without_cause)

    def why(self, mono_ns: int) -> str:
        """What is wrong with this process at *mono_ns*; empty: nothing. Any thread may ask while a step runs."""
        started_ns = self._step_ns
        if started_ns is not None and mono_ns - started_ns > SLOW_DISK_NS:
            return f"the journal has not answered for {(mono_ns - started_ns) // 1_000_000_000} s"
        if self._outbox.why:
            return self._outbox.why
        if self._keeper is not None and self._keeper.why:
            return self._keeper.why
        if self._overwritten and mono_ns - self._overwritten_ns < OVERWRITTEN_SHOWN_NS:
            return f"{self._overwritten} event records were overwritten before they were read"
        return ""

    @property
    def unwritten(self) -> tuple[bool, int]:
        """Whether the disk refuses the journal, and how many changes wait for it. Any thread may ask likewise."""
        return bool(self._outbox.why), self._outbox.waiting

    def status(self, mono_ns: int, t_ns: int) -> Status:
        """The whole daemon. Any thread may ask while a step runs."""
        promise = self._keeper.status if self._keeper is not None else None
        layers = self._layers.current if self._layers is not None else None
        alarms, changes, began_ns = self.life.active, self._changes, self._started_ns
        return look(self._orders, self._memory, alarms, mono_ns, t_ns, began_ns, promise, layers, changes)

    def layers(self, job: str | None) -> RateSummary:
        """The latest layers, of all jobs or of *job*; none without a chart of rates. Any thread may ask likewise."""
        return self._layers.summary(job) if self._layers is not None else RateSummary()

    def close(self) -> None:
        """Close what this desk has opened itself."""
        if self._keeper is not None:
            self._keeper.close()
        if self.taxonomist is not None:
            self.taxonomist.close()

    def _awaited(self, config: Config) -> list[tuple[str, str]]:
        """Sources and priorities of alarms that someone must acknowledge before the permit comes back."""
        kinds = [(source, priority) for source in SOURCES for priority in PRIORITIES]
        return [kind for kind in kinds if cause_of(*kind, self._without_cause) in permits.awaited(config.permit)]

    def _forget(self, mono_ns: int, t_ns: int) -> None:
        """Trim the journal, where it knows all that happened: nobody can acknowledge what is removed."""
        if not self._outbox.on_disk or self._sweeps:
            return
        unseen = [one for one in self._retention.step(mono_ns, t_ns) if not one.acked]
        for one in unseen:
            self._waiting.forget(one.source, one.priority)
        if unseen:
            self.unacknowledged = self._waiting.by_cause

    def _watch(self, lost: bool, mono_ns: int, t_ns: int) -> list[eventlog.EventRecord]:
        if not lost and not hot_answers(self._memory.vitals, mono_ns):
            return []  # it loads, or stops: no reason for an alarm, and what was lost does not judge again yet
        record = book.watch_hot(self._book, lost, t_ns)
        if record is None:
            return []
        _log.log(logging.ERROR if lost else logging.INFO, "%s", LOST_WHY if lost else "the hot process is back")
        return [record]

    def _apply(self, records: list[eventlog.EventRecord], at: Moment) -> list[Revision]:
        lossy = self._overwritten > 0
        self._renew_priorities()
        self._book, self.life, revisions = reading.read(self._rules, self._book, self.life, records, at, lossy)
        return revisions

    def _renew_priorities(self) -> None:
        """Take over what operators say of kinds: as new, at least, as what the hot process named the records by."""
        found = table.read(self._memory.kinds, self._kinds_version)
        if found is not None:
            self._kinds_version, kinds = found
            self._book = self._book._replace(urgency=with_kinds(self._urgency, kinds.priority_of))

    def _do_what_was_asked(
        self, at: Moment, made: dict[str, Entry]
    ) -> "tuple[list[tuple[Future[Answer], Answer]], list[Revision], list[Act]]":
        """*made*: alarms as this step has made them, by id, to which is added what is done here."""
        answers, revisions, done = [], list[Revision](), list[Act]()
        while self._asked:
            target, asked, answer = self._asked.popleft()
            outcome = acts.do(self._rules, self.life, target, asked, partial(self._over, made), at)
            if isinstance(outcome, Refused):
                answers.append((answer, Answer(outcome)))
                continue
            self.life = outcome.life
            revisions += outcome.revisions
            made |= {one.alarm.id: one.entry for one in outcome.revisions}
            if outcome.source is not None:
                what = acts.what_of(asked)
                done.append(Act(at.t_ns, what, outcome.source, asked.by, asked.reason, outcome.until_t_ns))
            latest = outcome.revisions[-1].alarm if outcome.revisions else None
            answers.append((answer, Answer(None, latest, outcome.source)))
        return answers, revisions, done

    def _over(self, made: Mapping[str, Entry], alarm_id: str) -> Entry | None:
        """An alarm that is over: what this step made of it is not on disk yet, nor is what a full disk refused."""
        return made.get(alarm_id) or self._outbox.entry(alarm_id) or self._journal.entry(alarm_id)

    def _show(self, at: Moment) -> None:
        while self._to_show:
            request, answer = self._to_show.popleft()
            if not answer.set_running_or_notify_cancel():  # whoever asked waits no more
                continue
            try:
                alarms, more = self._page_of(request)
            except sqlite3.DatabaseError as error:
                answer.set_exception(RequestError("unavailable", f"the journal cannot be read: {error}"))
            else:
                answer.set_result(Snapshot(self._orders.config.camera, at.t_ns, at.state, alarms, more))

    def _page_of(self, request: Request) -> tuple[list[Alarm], bool]:
        """The journal does not know what the disk refuses; for active ones alone it is not needed."""
        unwritten, kept = self._outbox.unwritten(), list[Alarm]()
        if request.state != "active":
            kept = self._journal.cleared_unseen(request.before, MOST + 1 + len(unwritten))
        return page_of(request, self.life.active, kept, unwritten)

    def _sweep(self, at: Moment, made: Mapping[str, Entry], last: bool) -> list[Revision]:
        """The next piece of what is acknowledged at once."""
        sweep = self._sweeps.current
        if sweep is None:
            return []
        if last or not self._outbox.on_disk:
            # What the disk has refused stands in no order with what it holds: one by one they can be acknowledged.
            sweep.refuse("the daemon stops" if last else self._outbox.why)
            return []
        try:
            self.life, revisions = sweep.step(self._journal, self._rules, self.life, made, at)
        except sqlite3.Error as error:
            sweep.refuse(f"the journal cannot be read: {error}")
            return []
        return revisions


def rules_of(config: Config) -> tuple[Rules, Urgency]:
    """How alarms live and how urgent they are, as *config* has it."""
    given, rate_hz = config.alarms, config.input.rate_hz
    flood = None
    if given.flood is not None:
        flood = FloodRule(given.flood.begins_above, given.flood.ends_below, given.flood.window_s)
    on_s, off_s = (
        {str(source): delay_s for source, delay_s in one.items()} for one in (given.on_delay_s, given.off_delay_s)
    )
    suppressed_in = {str(source): states for source, states in given.suppress.items()}
    rules = Rules(on_s, off_s, frozenset(given.latch), suppressed_in, flood)
    return rules, urgency_of(given.priorities, rate_hz)


def sink_names(config: Config) -> list[str]:
    """What reads the journal at its own pace, by the name of its cursor."""
    return [*config.sinks.names, *([OPCUA] if config.opcua is not None else [])]


def _keeper(given: Orders, memory: Memory) -> Keeper | None:
    """What keeps the promise's blocks; None where the limits are per frame."""
    bundle = given.bundle
    if bundle is None or bundle.promise is None:
        return None
    journal, charts = Path(given.config.journal), list(bundle.limits)
    return Keeper(bundle.promise, charts, journal, memory.blocks, bundle.created_ns, bundle.stops)
