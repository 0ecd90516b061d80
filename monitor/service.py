"""The supervisor: reads the configuration, makes the shared memory, starts the processes, restarts whichever dies.

It touches no frame and holds no state that a restart would need: that lies in the shared memory and in the journal.
"""

import contextlib
import errno
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from monitor import exposure, keys, logs, notify
from monitor.bundle import Bundle, BundleError, read
from monitor.config import Config
from monitor.manifest import FittedLimit, Manifest
from monitor.orders import BundleFacts, Memory, Orders, Promise, StopPromise, layout, open_memory
from monitor.shared import create, size_of
from monitor.state import WAITING
from monitor.taxonomy import embedding as embeddings
from monitor.taxonomy.embedding import EmbeddingError
from monitor.types import PixelType, State
from monitor.vitals import STATES
from monitor.web import token
from monitor.yamlfile import ConfigError

LOOK_S: Final = 0.05
RECORDER_START_S: Final = 15.0
"""The daemon waits so long for it before it says that it runs: frames are judged all the same."""
RESTART_DELAYS_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Before the first restart, the second, ...; a process that ran for `STEADY_S` starts again at the beginning."""
STEADY_S: Final = 30.0
HOT_STOP_S: Final = 10.0
"""What the hot process may take to stop, after `drain_s`."""
SIDE_STOP_S: Final = 10.0
RECORDER_STOP_S: Final = 10.0
USAGE: Final = 2
MEMORY_SHARE: Final = 0.8
"""Most of the machine's available memory that the ring may take."""

MALLOC: Final = {
    # The tensors of every batch come from the heap instead of fresh pages of the kernel.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}

log = logging.getLogger("framewatch")


class Child:
    """One of the processes."""

    def __init__(self, name: str, orders: Orders, environment: dict[str, str]) -> None:
        self.name = name
        self._orders = orders
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._restarts = 0
        self._due_s = 0.0
        self.settled = False  # it has once said that it runs

    def start(self, now_s: float) -> None:
        """Start the process and give it its orders."""
        self._started_s = now_s
        process = subprocess.Popen(
            [sys.executable, "-m", f"monitor.{self.name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._orders.memory_fd, self._orders.wake_fd),
            env=self._environment,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the others in order
        )
        self._process = process
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(self._orders))
            process.stdin.close()
        except BrokenPipeError:
            log.warning("the %s process died before it read its orders", self.name)

    def look(self, now_s: float) -> int | None:
        """Restart the process if it has died and its time has come; its exit status at the moment it is found dead."""
        if self._process is None:
            if now_s >= self._due_s:
                self.start(now_s)
            return None
        status = self._process.poll()
        if status is None:
            return None
        self._process = None
        if now_s - self._started_s > STEADY_S:
            self._restarts = 0
        delay_s = RESTART_DELAYS_S[min(self._restarts, len(RESTART_DELAYS_S) - 1)]
        self._restarts += 1
        self._due_s = now_s + delay_s
        return status

    def stop(self, timeout_s: float) -> None:
        """Tell the process to stop in order, and end it if it has not by *timeout_s*."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.error("the %s process did not stop within %g s and is killed", self.name, timeout_s)
            self._process.kill()
            self._process.wait()
        self._process = None


def run(config: Config, source: str) -> int:
    """The daemon of *config*, read from the file *source*, until SIGTERM or SIGINT.

    Exit status 0, or 2 where the configuration cannot be carried out. Raises ConfigError and BundleError before
    anything is started.
    """
    logs.set_up(config.log, "framewatch")
    bundle = read(Path(config.bundle)) if config.bundle else None
    orders = prepare(config, source, bundle)
    if bundle and bundle.manifest.budget and (other := bundle.manifest.budget.other_than(config.calibration)):
        log.warning("%s: %s; recalibrate to have it so", source, other)
    memory = open_memory(orders)
    stopping = threading.Event()
    _stop_on_signals(stopping)
    notifier = notify.of_this_process()
    side, hot, recorder = Child("side", orders, {}), Child("hot", orders, MALLOC), recorder_of(orders)
    side.start(time.monotonic())
    hot.start(time.monotonic())
    if recorder is not None:
        memory.recorder["beat_ns"][0] = time.monotonic_ns()  # its silence counts from here, if it never says a word
        recorder.start(time.monotonic())
    welcome = f"camera {config.camera}, frames from {config.input.endpoint}, page http://{config.http.host}:{config.http.port}/"
    try:
        return _supervise(side, hot, recorder, memory, stopping, welcome, notifier)
    finally:
        notifier.stopping()
        stop(side, hot, recorder, memory, config.drain_s + HOT_STOP_S)


def stop(side: Child, hot: Child, recorder: Child | None, memory: Memory, hot_stop_s: float) -> None:
    """End all in order; each of them is ended, whatever interrupts the waiting for another."""
    # Said first: the side process outlives the hot one by what the recorder takes, and would raise an alarm for it.
    within_s = hot_stop_s + RECORDER_STOP_S + SIDE_STOP_S
    memory.vitals["stop_by_ns"][0] = time.monotonic_ns() + round(within_s * 1e9)
    with contextlib.ExitStack() as last_first:
        last_first.callback(side.stop, SIDE_STOP_S)
        if recorder is not None:
            last_first.callback(recorder.stop, RECORDER_STOP_S)  # the side process tells which alarm has a recording
        last_first.callback(hot.stop, hot_stop_s)


class Start:
    """When the daemon may say that it runs: once it can judge and, where it is to record, does that too."""

    def __init__(self, records: bool) -> None:
        self._records = records
        self._ready_s: float | None = None  # since when it can judge
        self._said = False

    def complete(self, ready: bool, recording: bool, now_s: float) -> bool:
        """Whether to say so at *now_s*, once: *ready* to judge, and *recording* or late with it by RECORDER_START_S."""
        if self._said or not ready:
            return False
        if self._ready_s is None:
            self._ready_s = now_s
        late = now_s - self._ready_s >= RECORDER_START_S
        self._said = recording or late or not self._records
        if self._said and self._records and not recording:
            log.warning("the recorder has not begun yet: until it has, events may go unrecorded")
        return self._said


def recorder_of(orders: Orders) -> Child | None:
    """The recorder's process, where anything is judged and to be recorded."""
    recorded = orders.config.recorder.on and orders.bundle is not None
    return Child("recorder.process", orders, {}) if recorded else None


def frame_of(bundle: Bundle | None) -> tuple[int, int, PixelType]:
    """Height, width and type of the ring's slots; the smallest there are where nothing is judged."""
    if bundle is None:
        return 16, 16, "uint8"
    return bundle.manifest.height, bundle.manifest.width, bundle.manifest.dtype


def ring_slots(config: Config) -> int:
    """Slots of the ring: the seconds asked for at the camera's nominal rate, and never under four batches."""
    return max(int(config.input.rate_hz * config.input.buffer_s), 4 * config.engine.batch, 16)


def ring_bytes(config: Config, bundle: Bundle | None) -> int:
    """Bytes of the shared memory that the daemon takes besides the processes' own."""
    charts = len(bundle.manifest.limits) if bundle else 0
    return size_of(*layout(charts, ring_slots(config), *frame_of(bundle), *_kept(config, bundle)))


def _kept(config: Config, bundle: Bundle | None) -> tuple[int, int]:
    """Size of the latents that the ring keeps, and how many memories notes are kept of: none where none is recorded."""
    if bundle is None or not config.recorder.on:
        return 0, 0
    return bundle.latent, len(bundle.memory.seconds) if bundle.memory is not None else 0


def available_bytes() -> int:
    """Memory that the machine can still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return sys.maxsize


def _values(limits: Mapping[str, FittedLimit]) -> dict[str, float]:
    return {chart: limit.value for chart, limit in limits.items()}


def _promise(held: Manifest) -> Promise | None:
    budget = held.budget
    if budget is None:
        return None
    return Promise(
        per_hour=budget.per_hour,
        conservative=budget.conservative,
        hours=budget.hours,
        extrapolated_by=budget.extrapolated_by,
        rate_hz=budget.rate_hz,
        dead_time_s=budget.block_frames / budget.rate_hz,
        why=budget.why,
        scale=held.scale,
        drift=held.drift is not None,
    )


def _stops(held: Manifest) -> StopPromise | None:
    stops = held.budget.stops if held.budget else None
    if stops is None:
        return None
    return StopPromise(
        per_hour=stops.per_hour,
        rule=stops.name,
        hours=stops.hours,
        extrapolated_by=stops.extrapolated_by,
        dead_time_s=stops.block_frames / stops.rate_hz,
        why=stops.why,
    )


def prepare(config: Config, source: str, bundle: Bundle | None) -> Orders:
    if bundle is None and config.bundle:
        raise BundleError(f"{config.bundle}: is missing")
    exposure.refuse(config, source)
    keys.of_daemon(config.security)  # what is wrong with a file is told before anything starts
    if config.http.token_file:
        token.read(Path(config.http.token_file))
    if config.recorder.on and bundle is not None:
        _make_folder(config.recorder.place(config.journal))
    height, width, dtype = frame_of(bundle)
    if max(height, width) > config.input.max_frame_px:
        raise ConfigError(
            f"input.max_frame_px: is {config.input.max_frame_px} but the bundle judges frames of {height}x{width} "
            "pixels; raise it"
        )
    size, free = ring_bytes(config, bundle), available_bytes()
    if size > MEMORY_SHARE * free:
        raise ConfigError(
            f"input.buffer_s: a ring of {ring_slots(config)} frames takes {size / 2**20:.0f} MiB but only "
            f"{free / 2**20:.0f} MiB are free; lower input.buffer_s, input.rate_hz or engine.batch"
        )
    facts = None
    if bundle is not None:
        held = bundle.manifest
        try:
            held.rule_for(config.events)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        limits, own = _values(held.limits), {context: _values(own) for context, own in held.own_limits.items()}
        facts = BundleFacts(
            bundle.sha256,
            limits,
            held.extrapolated,
            held.created_ns,
            _promise(held),
            own,
            held.rates,
            _stops(held),
            *_kept(config, bundle),
        )
    embedding = _embedding(config, bundle)
    wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
    slots = ring_slots(config)
    orders = Orders(
        config, source, os.getpid(), create(size), wake_fd, secrets.token_hex(8), slots, height, width, dtype, facts,
        embedding,
    )  # fmt: skip
    open_memory(orders).vitals["boot"][0] = orders.boot.encode()
    return orders


def _embedding(config: Config, bundle: Bundle | None) -> str | None:
    """The sha256 of the embedding by which kinds are told apart. Raises ConfigError where it is of no use."""
    if config.taxonomy.embedding is None:
        return None
    path = Path(config.taxonomy.embedding)
    try:
        said, sha256 = embeddings.about(path)
        if bundle is not None:
            embeddings.require_fit(path, said, (bundle.manifest.height, bundle.manifest.width), bundle.manifest.dtype)
    except EmbeddingError as error:
        raise ConfigError(f"taxonomy.embedding: {error}") from None
    return sha256


def _make_folder(folder: Path) -> None:
    """Where recordings are to lie. A disk that is full is no reason not to watch."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigError(
                f"recorder.folder: {folder} cannot be made ({error.strerror}); name another, or set recorder.mib to 0"
            ) from None


def _supervise(
    side: Child,
    hot: Child,
    recorder: Child | None,
    memory: Memory,
    stopping: threading.Event,
    welcome: str,
    notifier: notify.Notifier,
) -> int:
    """Until *stopping*, or until a process says that the configuration cannot be carried out: the exit status."""
    start = Start(recorder is not None)
    while not stopping.wait(LOOK_S):
        side.settled = side.settled or bool(memory.vitals["side_beat_ns"][0])
        hot.settled = hot.settled or is_ready(memory)
        recording = bool(memory.recorder["pid"][0])
        if start.complete(side.settled and hot.settled, recording, time.monotonic()):
            log.info("running: %s", welcome)
            notifier.ready()
        notifier.turn(memory, time.monotonic_ns())
        if recorder is not None and (status := recorder.look(time.monotonic())) is not None:
            memory.recorder["restarts"][0] += 1
            log.error("the recorder ended with status %d and is restarted; frames are judged all the same", status)
        for child in (side, hot):
            status = child.look(time.monotonic())
            if status is None:
                continue
            if status == USAGE and not child.settled:
                return USAGE  # it has said in one line what is wrong with the configuration
            # A beat from the beginning of time: the other process need not wait until this one is missed.
            memory.vitals[f"{child.name}_beat_ns"][0] = notify.DIED_NS
            log.error("the %s process ended with status %d and is restarted", child.name, status)
    log.info("stopping")
    return 0


def is_ready(memory: Memory) -> bool:
    """Whether the hot process has loaded its network and opened the camera's socket."""
    state, why = STATES[int(memory.vitals["state"][0])], bytes(memory.vitals["why"][0]).decode(errors="replace")
    return state is not State.STARTING or why.startswith(WAITING)


def _stop_on_signals(stopping: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
