"""The hot process: ingest thread, engine thread, watch thread. Started by the supervisor as `python -m monitor.hot`."""

import os

os.environ.setdefault(
    "GOMP_SPINCOUNT", "0"
)  # before torch loads OpenMP: waiting threads must not take the other's core

import gc
import logging
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import zmq

from monitor import bundle as bundles
from monitor import doorkeeper, keys, logs, orders
from monitor import ingest as ingests
from monitor.backlog import Backlog
from monitor.bundle import Bundle, BundleError
from monitor.config import Config
from monitor.doorkeeper import Door, Doorkeeper
from monitor.ledger import Ledger
from monitor.orders import Memory, Orders
from monitor.ring import Ring
from monitor.shared import Arrays
from monitor.types import Pixels
from monitor.voice import Voice
from monitor.warmth import WARM_FRAMES, idle_frames, sizes
from monitor.watch import Parts, Watch
from monitor.wire.native import WireLimits

if TYPE_CHECKING:  # these load what takes seconds: the watch speaks before
    from monitor.judge import Judge, SourcedChange, Stops
    from monitor.taxonomy.naming import EventNamer

T = TypeVar("T")
Admits = Callable[[zmq.Frame], bool]

JOIN_S = 2.0
COMPILED_ANEW = (
    "compiled loops cannot be kept, since no folder for them can be written: every start takes some fifteen seconds "
    "longer; set NUMBA_CACHE_DIR to a folder that can"
)
log = logging.getLogger("framewatch.hot")


class Loop(NamedTuple):
    """The threads that carry frames, and what stops them."""

    socket: "zmq.Socket[bytes]"
    stop_receiving: threading.Event
    stop_judging: threading.Event  # later: what was received is judged
    ingest: threading.Thread
    engine: threading.Thread


def main() -> int:
    """Run until told to stop; exit status 0, or 2 with one line where the configuration cannot be carried out."""
    received = orders.receive()
    logs.set_up(received.config.log, "hot")
    try:
        return _run(received)
    except (BundleError, OSError, ValueError) as error:
        sys.stderr.write(f"framewatch: {received.source}: {error}\n")
        return 2


def _run(received: Orders) -> int:
    config = received.config
    memory = orders.open_memory(received)
    bundle = bundles.read(Path(config.bundle)) if config.bundle else None
    if bundle and received.bundle and bundle.sha256 != received.bundle.sha256:
        raise BundleError(f"{config.bundle}: was replaced while the daemon ran; restart the daemon to use it")
    epoch = secrets.token_hex(8)
    memory.vitals["permit"][0] = 0  # that of a process before this one is not to be taken for ours
    memory.vitals["epoch"][0] = epoch.encode()
    memory.vitals["hot_pid"][0] = os.getpid()
    memory.vitals["engine_beat_ns"][0] = time.monotonic_ns()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    keeper = doorkeeper.hire_for_daemon(config.security, context, memory.vitals)
    try:
        return _work(received, memory, bundle, epoch, context, keeper)
    finally:
        if keeper is not None:
            keeper.close()


def _work(
    received: Orders,
    memory: Memory,
    bundle: Bundle | None,
    epoch: str,
    context: "zmq.Context[zmq.Socket[bytes]]",
    keeper: Doorkeeper | None,
) -> int:
    """Watch and judge until told to stop."""
    config = received.config
    voice = _named("outputs.permit", lambda: Voice(context, config.outputs.permit, config.camera, keeper))
    manifest, clocks = bundle.manifest if bundle else None, (time.monotonic_ns, time.time_ns)
    watch = Watch(config, memory, manifest, epoch, voice, *clocks, lambda: os.eventfd_write(received.wake_fd, 1))
    _stop_on_signal(watch.stopping)
    watching = threading.Thread(target=_guarded, args=(watch.run,), name="watch", daemon=True)
    watching.start()
    try:
        loop = _start_loop(received, memory, bundle, epoch, context, watch, keeper)
        _wait_for_the_end(watch, received.supervisor_pid)
        return _stop(received, watch, watching, loop)
    finally:
        # The watch speaks through the voice: closed under it, it would fail, and end the process with another status.
        watch.finished.set()
        watching.join(JOIN_S)
        voice.close()


def _start_loop(
    received: Orders,
    memory: Memory,
    bundle: Bundle | None,
    epoch: str,
    context: "zmq.Context[zmq.Socket[bytes]]",
    watch: Watch,
    keeper: Doorkeeper | None,
) -> Loop:
    """Load the network, warm it up, open the camera's socket, start the threads."""
    parts = _build(received, memory, bundle, epoch, watch)
    # What was loaded stays: to look through it for garbage would halt every thread for a tenth of a second.
    gc.collect()
    gc.freeze()
    loop = _threads(parts, *_open_input(context, received.config, keeper))
    loop.engine.start()
    loop.ingest.start()
    watch.parts = parts
    frames = f"{received.height}x{received.width} {received.dtype}" if bundle else "no"
    log.info("judging %s frames from %s, epoch %s", frames, received.config.input.endpoint, epoch)
    return loop


def _build(received: Orders, memory: Memory, bundle: Bundle | None, epoch: str, watch: Watch) -> Parts:
    """The parts that carry frames, from ingest to handover."""
    from calibration.camera import FAULTS
    from monitor.alarms.alarm import urgency_of
    from monitor.engine import Engine
    from monitor.handover import Handover
    from monitor.promise import witness_of
    from monitor.recorder import notes

    config = received.config
    ring = Ring(memory.ring)
    backlog = Backlog(ring, Ledger(memory.ledger), config.engine.batch, int(config.engine.max_wait_ms * 1e6))
    sha256 = bundle.sha256 if bundle else ""
    charts = bundle.manifest.charts if bundle else ()
    urgency = urgency_of(config.alarms.priorities, config.input.rate_hz)
    clocks = time.monotonic_ns, time.time_ns
    stops = bundle is not None and bundle.stop_limits is not None
    judge = _make_judge(received, bundle, memory.vitals, ring.pixels) if bundle else None
    beside = config.taxonomy.embedding is not None  # then events are named in a process of its own
    names = _make_namer(received, judge, memory.kinds, sha256) if judge and not beside else None
    log_of_events = memory.log, received.wake_fd, epoch, sha256, charts, ring
    handover = Handover(*log_of_events, *clocks, urgency, stops=stops, names=names)

    def report(changes: "Sequence[SourcedChange]") -> None:
        received_ns = int(max(one.change.event.last["received_ns"] for one in changes))
        if handover.withhold(changes):
            watch.event_changed(received_ns)
        handover.report(changes)
        watch.event_changed(received_ns)

    witness = None
    if bundle:
        witness = witness_of(config, bundle.manifest, epoch, memory.vitals, memory.blocks, memory.units)
    book = notes.of_arrays(memory.notes, ring.slots, ring.written)
    engine = Engine(backlog, judge, memory.vitals, report, time.monotonic_ns, time.time_ns, witness, book)
    if judge is not None and judge.scorer.tiling is None:
        engine.idle_frames = idle_frames(WARM_FRAMES, received.height, received.width, received.dtype)
    silence_ns = int(config.input.silence_s * 1e9)
    admission = bundle.admission if bundle else None
    ingest = ingests.Ingest(config.camera, admission, _wire_limits(config), silence_ns, backlog)
    return Parts(engine, ingest, backlog, handover, FAULTS, witness.rates if witness else None)


def _wire_limits(config: Config) -> WireLimits:
    return WireLimits(
        max_frames=config.input.max_frames_per_message,
        max_side_px=config.input.max_frame_px,
        max_message_bytes=config.input.max_message_mib * 2**20,
    )


def _open_input(
    context: "zmq.Context[zmq.Socket[bytes]]", config: Config, keeper: Doorkeeper | None
) -> "tuple[zmq.Socket[bytes], Admits | None]":
    """The camera's socket, and who may speak on it; None: whoever is there."""
    given, credentials = config.input, keys.of_daemon(config.security)
    door: Door | None = None

    def lock(socket: "zmq.Socket[bytes]") -> None:
        nonlocal door
        door = doorkeeper.lock(socket, credentials, keeper if given.bind else None, "input")

    waiting = ingests.waiting_messages(given.rate_hz, given.buffer_s, given.frames_per_message)
    limit = _wire_limits(config).max_message_bytes
    socket = _named(
        "input.endpoint",
        lambda: ingests.open_socket(
            context, given.endpoint, given.socket, given.bind, config.camera, waiting, limit, lock
        ),
    )
    return socket, None if door is None else door.admits


def _threads(parts: Parts, socket: "zmq.Socket[bytes]", admits: "Admits | None") -> Loop:
    stop_receiving, stop_judging = threading.Event(), threading.Event()

    def receive() -> None:
        ingests.receive(socket, parts.ingest, stop_receiving, time.monotonic_ns, admits)

    def judge() -> None:
        parts.engine.run(stop_judging.is_set)

    ingest, engine = (
        threading.Thread(target=_guarded, args=(body,), name=name, daemon=True)
        for name, body in (("ingest", receive), ("engine", judge))
    )
    return Loop(socket, stop_receiving, stop_judging, ingest, engine)


def _make_judge(received: Orders, bundle: Bundle, board: Arrays, ring: Pixels) -> "Judge":
    """The judge of *bundle*, warmed up: the first frames must not wait for first calls."""
    from models.compiled import keeps
    from models.compiled.prepare import prepare
    from models.scorer import CPU, Scorer
    from monitor import device as devices
    from monitor.judge import Judge

    config = received.config
    devices.require(config.engine.device)
    held = bundle.manifest
    for odd in devices.oddities(held.engine, held.precision, config.engine.device):
        log.warning("%s: %s", bundle.path, odd)
    try:
        device, threads = config.engine.device, config.engine.threads
        scorer = Scorer(bundle.tensors, held.height, held.width, device, held.precision, threads)
    except ValueError as error:
        raise BundleError(f"{bundle.path}: {error}; calibrate anew") from None
    if not scorer.is_compiled:
        from models.torch_pass import in_one_thread

        in_one_thread()  # the scorer shares frames out among threads itself
    if scorer.device != CPU:
        from models.cuda import pin

        if not pin(ring, scorer.device):
            log.warning("the driver does not lock the ring's memory: frames are copied twice")

    def beat() -> None:
        board["engine_beat_ns"][0] = time.monotonic_ns()

    rule, limits = held.rule_for(config.events), bundle.context_limits
    judge = Judge(scorer, held.charts, limits, bundle.camera_limits, rule, bundle.memory, beat, _stops(bundle))
    most = config.engine.batch if scorer.tiling is None else 1  # images come to the network one by one
    frames = idle_frames(most, held.height, held.width, held.dtype)
    for count in sizes(most, every=not scorer.is_compiled):
        judge.warm(frames[:count])
    if not keeps(prepare):
        log.warning(COMPILED_ANEW)
    return judge


def _make_namer(received: Orders, judge: "Judge", kinds: Arrays, sha256: str) -> "EventNamer":
    """What names events, warmed up likewise."""
    from monitor.taxonomy.naming import EventNamer

    names = EventNamer(judge.scorer, kinds, sha256)
    names.warm(idle_frames(1, received.height, received.width, received.dtype)[0])
    return names


def _stops(bundle: Bundle) -> "Stops | None":
    from monitor.judge import Stops

    limits, budget = bundle.stop_limits, bundle.manifest.budget
    rule = budget.stop_rule if budget else None
    return None if rule is None or limits is None else Stops(rule, limits)


def _wait_for_the_end(watch: Watch, supervisor_pid: int) -> None:
    """Until a signal comes, the supervisor is gone, or a thread has died of a bug (which ends the process)."""
    while not watch.stopping.wait(0.2):
        if os.getppid() != supervisor_pid:
            log.warning("the supervisor is gone: stopping")
            watch.stopping.set()


def _stop(received: Orders, watch: Watch, watching: threading.Thread, loop: Loop) -> int:
    """Orderly: no new frames, judge what was received, count what is left, say goodbye."""
    assert watch.parts is not None
    backlog = watch.parts.backlog
    loop.stop_receiving.set()
    loop.ingest.join(JOIN_S)
    loop.stop_judging.set()
    loop.socket.close(0)
    backlog.stop_accepting()
    loop.engine.join(received.config.drain_s)
    backlog.abandon()
    watch.finished.set()
    watching.join(JOIN_S)
    watch.say_goodbye()
    log.info("stopped")
    return 0


def _stop_on_signal(stopping: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor passes it on in order


def _guarded(body: Callable[[], None]) -> None:
    """A thread that dies of a bug takes the process with it: the supervisor restarts it, the side process says so."""
    try:
        body()
    except BaseException:
        log.critical("the %s thread failed; the process ends", threading.current_thread().name, exc_info=True)
        logging.shutdown()
        os._exit(70)  # EX_SOFTWARE


def _named(key: str, open_it: Callable[[], T]) -> T:
    """*open_it*, whose OSError then names the configuration *key*."""
    try:
        return open_it()
    except OSError as error:
        raise OSError(f"{key}: {error}; choose another address or stop what holds it") from None


if __name__ == "__main__":
    sys.exit(main())
