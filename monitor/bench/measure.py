"""The whole measurement: what runs by itself, then the daemon; each without and with competing processes."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

import monitor
from monitor import service
from monitor.bench import alone, search
from monitor.bench.alone import Ceilings, CeilingsOrder, NaiveOrder, NaiveRow, Passed, Scored, ScoringOrder
from monitor.bench.children import BenchError, Camera, ask, competing, competitors
from monitor.bench.daemon import Daemon, free_ports
from monitor.bench.delays import quantiles
from monitor.bench.permits import Listener, falls_after
from monitor.bench.producer import FLAT_OUT_HZ, Opening, Order
from monitor.bench.report import Condition, DelaysAt, Frames, Machine, Report, Resources, Settings, beside
from monitor.bench.subject import Subject
from monitor.bench.trial import Outcome, Trial, run_trial
from monitor.camera.publisher import frames_per_message_at
from monitor.config import Config, Engine, Events, Http, Input, Log, Outputs, Permit
from monitor.manifest import CLEAR_FRAMES
from monitor.ring import RECORD

CAMERA: Final = "bench"
ANY_PORT: Final = "tcp://127.0.0.1:*"

MOST_OF_SCORING: Final = 1.5
"""No rate is tried that is so many times what scoring alone reaches."""
FIRST_OF_SCORING: Final = 0.5
LEAST_OF_FIRST: Final = 1 / 64
RING_BYTES: Final = 512 * 2**20
RING_S: Final = 4.0
DRAIN_S: Final = 0.5
"""Nobody waits for frames that are left when the measurement is over."""

WARM_HZ: Final = 200.0
WARM_FRAMES: Final = 100
WARM_PATIENCE_S: Final = 20.0
CALM_S: Final = 60.0

PERMIT_BACK_S: Final = 0.5
"""After the last frame of a fault's event until the permit is surely given again: both processes look about."""
PERMIT_WAIT_S: Final = 10.0

Say = Callable[[str], None]


class Plan(NamedTuple):
    """What is to be measured, and for how long."""

    batch: int = 128
    max_wait_ms: float = 1.0
    threads: int = 1
    device: str = "cpu"
    frames_per_message: int | None = None
    rate_hz: float | None = None  # measure this one and search none
    seconds: float = 10.0  # of the trials that count
    trial_s: float = 3.0  # of those that search
    alone_s: float = 1.0  # of each figure that is measured without the daemon
    dark_frames: int = 24
    idle_s: float = 3.0
    busy: bool | None = None  # None: without and with competing processes

    @property
    def conditions(self) -> list[int]:
        """How many competing processes, in turn."""
        some = competitors(cores())
        return {None: [0, some], True: [some], False: [0]}[self.busy]


QUICK: Final = Plan(seconds=3.0, trial_s=1.5, alone_s=0.4, dark_frames=6, idle_s=1.0)


def cores() -> int:
    """That this process, and with it all others, may use."""
    return len(os.sched_getaffinity(0))


def measure(plan: Plan, subject: Subject, folder: Path, say: Say = lambda line: None) -> Report:
    """Everything, in each condition; scratch files go to *folder*. Raises BenchError."""
    conditions, multiply_adds = [], 0
    for count in plan.conditions:
        say(beside(count))
        with competing(count):
            found, multiply_adds = _condition(plan, subject, folder, count, say)
        conditions.append(found)
    held = subject.bundle.manifest
    height, width, dtype = held.height, held.width, held.dtype
    frame_bytes = subject.frame_bytes
    settings = Settings(plan.batch, plan.max_wait_ms, plan.threads, plan.device, plan.frames_per_message, plan.seconds)
    frames = Frames(subject.told, height, width, dtype, frame_bytes, frame_bytes + RECORD.itemsize, multiply_adds)
    return Report(1, machine(), frames, settings, conditions)


def machine() -> Machine:
    """This machine, and what runs on it."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    torch = importlib.metadata.version("torch")
    return Machine(_processor(), cores(), memory_gib, monitor.__version__, platform.python_version(), torch)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, model = line.partition(":")
        if name.strip() == "model name":
            return model.strip()
    return platform.machine()


def _condition(plan: Plan, subject: Subject, folder: Path, count: int, say: Say) -> tuple[Condition, int]:
    say("  ceilings, scoring alone and the naive loop")
    ceilings = ask("monitor.bench.ceilings", CeilingsOrder(plan.device, plan.threads, plan.alone_s), Ceilings)
    scored = _score(plan, subject)
    naive = _naive(plan, subject)
    scoring_hz = scored.as_the_daemon(plan.batch).frames_per_s
    most_hz = max(MOST_OF_SCORING * scoring_hz, plan.rate_hz or 0.0)
    opening = Opening(
        str(subject.bank), ANY_PORT, CAMERA, most_hz, subject.context, subject.settings, plan.frames_per_message
    )
    say("  starting the daemon")
    with Camera(opening) as camera:
        config = config_of(plan, subject, camera.endpoint, folder, most_hz)
        with Daemon(config, subject.bundle) as daemon:
            session = _Session(plan, daemon, camera, say)
            start_s = session.start()
            idle_cores = session.idle_cores()
            held_hz = session.find(scoring_hz)
            at_hz = plan.rate_hz or (held_hz and held_hz / 2)
            delays = session.delays(at_hz, config.outputs.permit) if at_hz else None
            resident = daemon.resident_mib()
            ring_s = daemon.ring.slots / most_hz
    resources = Resources(start_s, *resident, daemon.ring_bytes / 2**20, ring_s, idle_cores)
    found = Condition(
        competing=count,
        ceilings=ceilings,
        scoring=scored.rows,
        naive=naive,
        held_hz=held_hz,
        limited_by=_limited_by(session.trials, held_hz),
        searched=plan.rate_hz is None,
        trials=session.trials,
        delays=delays,
        resources=resources,
    )
    return found, scored.operations


def _score(plan: Plan, subject: Subject) -> Scored:
    batches = sorted({1, 8, 32, plan.batch})
    order = ScoringOrder(str(subject.bundle.path), str(subject.bank), plan.device, plan.threads, batches, plan.alone_s)
    return ask("monitor.bench.scoring", order, Scored, service.MALLOC)


def _naive(plan: Plan, subject: Subject) -> list[NaiveRow]:
    """The naive loop, fed by a camera that pushes as fast as it takes the frames."""
    held = subject.bundle.manifest
    if max(held.height, held.width) > alone.NAIVE_SIDE_MAX_PX:
        return []
    endpoint = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    order = NaiveOrder(endpoint, held.height, held.width, plan.threads, sorted({1, plan.batch}), plan.alone_s)
    with Camera(Opening(str(subject.bank), endpoint, CAMERA, FLAT_OUT_HZ, "", "", 1, "push")) as camera:
        camera.begin(Order(FLAT_OUT_HZ, 2**31))
        return ask("monitor.bench.naive", order, Passed).rows


def config_of(plan: Plan, subject: Subject, endpoint: str, folder: Path, most_hz: float) -> Config:
    """The daemon's configuration: as it is by default, but for a permit that comes back at once after a fault."""
    alarms, permit, page = free_ports(3)
    held = subject.bundle.manifest
    events = Events() if held.budget is None else Events(k=held.budget.k, n=held.budget.n)
    return Config(
        camera=CAMERA,
        bundle=str(subject.bundle.path),
        journal=str(folder / "journal.db"),
        input=Input(
            endpoint=endpoint,
            rate_hz=most_hz,
            buffer_s=min(RING_S, RING_BYTES / (most_hz * subject.frame_bytes)),
            frames_per_message=plan.frames_per_message or frames_per_message_at(most_hz),
            max_frame_px=max(Input().max_frame_px, held.height, held.width),
        ),
        engine=Engine(batch=plan.batch, max_wait_ms=plan.max_wait_ms, threads=plan.threads, device=plan.device),
        events=events,
        # Frames that the bundle does not know may well exceed a limit all the time: charts do not withhold it here.
        permit=Permit(withhold_states=(), withhold_priorities=("high", "critical"), quiet_s=0.0),
        outputs=Outputs(alarms=f"tcp://127.0.0.1:{alarms}", permit=f"tcp://127.0.0.1:{permit}", snapshot=None),
        http=Http(port=page),
        log=Log(level="error"),
        drain_s=DRAIN_S,
    )


class _Session:
    """Trials with one daemon and one camera, each after the other."""

    def __init__(self, plan: Plan, daemon: Daemon, camera: Camera, say: Say) -> None:
        self._plan, self._daemon, self._camera, self._say = plan, daemon, camera, say
        self.trials: list[Trial] = []

    def start(self) -> float:
        """Seconds from the start of the processes to the first frame judged; they are warm afterwards."""
        if not self._daemon.wait_until_ready():
            raise BenchError("the daemon did not get ready to receive frames")
        deadline = time.monotonic() + WARM_PATIENCE_S
        while (judged_ns := self._daemon.first_judged_ns()) is None:
            if time.monotonic() > deadline:
                raise BenchError(f"the daemon judges none of the frames: it is {self._daemon.told_state()}")
            self._camera.send(Order(WARM_HZ, WARM_FRAMES), self._daemon.look)
        if not self._daemon.wait_until_recording():
            raise BenchError("the recorder did not begin")
        return judged_ns / 1e9 - self._daemon.started_s

    def idle_cores(self) -> float:
        """Processor time a second while the camera sends keep-alives and no frame."""
        self._calm()
        before, begun = self._daemon.cpu_s(), time.monotonic()
        self._daemon.wait_until(lambda: False, self._plan.idle_s)
        after, seconds = self._daemon.cpu_s(), time.monotonic() - begun
        return (sum(after) - sum(before)) / seconds

    def find(self, scoring_hz: float) -> float | None:
        """The highest rate held; where one rate was asked for, that one, if it is."""
        plan = self._plan
        if plan.rate_hz is not None:
            return plan.rate_hz if self._trial(plan.rate_hz, plan.seconds).trial.held else None
        first_hz, most_hz = FIRST_OF_SCORING * scoring_hz, MOST_OF_SCORING * scoring_hz
        least_hz = LEAST_OF_FIRST * first_hz

        def held(rate_hz: float) -> bool:
            trial = self._trial(rate_hz, plan.trial_s).trial
            # A neighbour's turn may make one short trial fail: what nearly held is tried twice.
            return trial.held or (trial.is_close and self._trial(rate_hz, plan.trial_s).trial.held)

        self._say("  searching the highest rate held")
        found_hz = search.highest_held(held, first_hz, least_hz, most_hz)
        return found_hz and search.confirmed(
            lambda rate_hz: self._trial(rate_hz, plan.seconds).trial.held, found_hz, least_hz
        )

    def delays(self, rate_hz: float, permit_endpoint: str) -> DelaysAt:
        """Delays at *rate_hz*: first of normal frames, then of the permit after black ones."""
        self._say(f"  delays at {rate_hz:,.0f} frames/s")
        outcome = self._trial(rate_hz, self._plan.seconds)
        fallen, dark = self._falls(rate_hz, permit_endpoint)
        found = outcome.delays
        return DelaysAt(
            rate_hz,
            quantiles(found.received_to_judged),
            quantiles(found.sent_to_judged),
            quantiles(np.array(fallen, np.int64)),
            dark,
            outcome.trial,
        )

    def _falls(self, rate_hz: float, endpoint: str) -> tuple[list[int], int]:
        """From black frames to the permit's fall at a subscriber (ns), and how many black frames there were."""
        every = CLEAR_FRAMES + round(PERMIT_BACK_S * rate_hz)
        seconds = (self._plan.dark_frames + 1) * every / rate_hz
        self._calm()
        with Listener(endpoint, CAMERA) as listener:
            self._daemon.wait_until(listener.is_given, PERMIT_WAIT_S)
            outcome = self._trial(rate_hz, seconds, every)
        return falls_after(outcome.dark, listener.heard), len(outcome.dark)

    def _trial(self, rate_hz: float, seconds: float, dark_every: int = 0) -> Outcome:
        self._calm()
        outcome = run_trial(self._daemon, self._camera, rate_hz, seconds, dark_every)
        trial = outcome.trial
        self.trials.append(trial)
        self._say(f"    {trial.rate_hz:>9,.0f} frames/s  {'held' if trial.held else 'not held: ' + trial.why}")
        return outcome

    def _calm(self) -> None:
        """Until nothing of the trial before waits any more."""
        if self._daemon.wait_until(lambda: self._daemon.ledger().in_flight == 0, CALM_S) is None:
            raise BenchError(f"frames of the last trial still wait after {CALM_S:g} s")


def _limited_by(trials: list[Trial], held_hz: float | None) -> str:
    """What kept the lowest rate above the one held from being held."""
    above = [trial for trial in trials if not trial.held and trial.rate_hz > (held_hz or 0.0)]
    return min(above, key=lambda trial: trial.rate_hz).limited_by if above else "daemon"
