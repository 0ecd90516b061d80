"""`framewatch demo`: the whole system on this machine, with a simulated camera and known anomalies."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

import monitor
from monitor import bundle as bundles
from monitor import screen
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle, BundleError
from monitor.calibrate import calibrate, digest
from monitor.camera.recordings import Recording
from monitor.camera.simulate import read_truth
from monitor.camera.truth import compare
from monitor.config import Calibration, Events
from monitor.demo_hearing import CAMERA, listen, listen_to_the_last, subscribed, tell, wait_until_listening
from monitor.journal.store import Journal
from monitor.status import LedgerStatus, Status
from monitor.web import token

START_S = 600.0  # as systemd gives the daemon: loops are compiled the first time, which takes minutes on busy cores
LAYER_FRAMES = 1200  # active ones, of the simulated part
PAGE_PORT = 8090
JOURNAL = "journal.db"
TOKEN = "http.token"


Normal = Callable[[int, int, int], dict[str, npt.NDArray[Any]]]
"""Number of frames, seed of the run, side of a frame -> normal frames (n, side, side) of each context, n in all."""


def welding(count: int, seed: int, side_px: int) -> dict[str, npt.NDArray[Any]]:
    """Normal frames of a melt pool, spread over a whole layer: neighbours are alike, and contours come last."""
    from monitor.camera.meltpool.camera import normal_in_context

    frames, contexts = normal_in_context(count, seed, side_px, side_px, every=LAYER_FRAMES // count)
    return {str(context): frames[contexts == context] for context in np.unique(contexts)}


def scanning(count: int, seed: int, side_px: int) -> dict[str, npt.NDArray[Any]]:
    """Normal images of a scanning transmission electron microscope."""
    from monitor.camera.stem.images import normal_frames

    return {"": normal_frames(count, seed, side_px, side_px)}


class Scene(NamedTuple):
    """Which camera the demonstration has, and how large it is."""

    seconds: float
    camera: tuple[str, ...] = ("meltpool",)  # as `framewatch simulate` knows it
    watched: str = "melt-pool camera"
    normal: Normal = welding
    folder: Path = Path("demo")
    side_px: int = 64
    rate_hz: float = 1000.0
    groups: int = 100  # runs of the simulated machine, each with a scan direction, focus and brightness of its own
    group_frames: int = 40
    stretches: int = 24  # further runs, frame by frame, which set the limits
    stretch_frames: int = 1200
    calibration: Calibration = Calibration(latent=16, max_steps=2000, false_alarms_per_hour=60.0)
    events: Events = Events(k=2, n=3)
    anomaly_rate: float = 1 / 600
    seed: int = 2026


class Ports(NamedTuple):
    """Where the parts of the demonstration meet."""

    frames: str
    alarms: str
    permit: str
    snapshot: str
    page: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page}"


def demo(seconds: float, *, stem: bool = False) -> int:
    """Show everything for *seconds* of frames; exit status 0 where every frame was accounted for."""
    with leaving_in_order():
        return show(stem_scene(seconds) if stem else Scene(seconds))


@contextlib.contextmanager
def leaving_in_order() -> Iterator[None]:
    """SIGTERM ends what runs here as Ctrl-C does: daemon and camera have sessions of their own, and would go on."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stem_scene(seconds: float) -> Scene:
    """The demonstration with images of a scanning transmission electron microscope."""
    return Scene(
        seconds,
        camera=("stem", "--mode", "images"),
        watched="STEM detector",
        normal=scanning,
        folder=Path("demo/stem"),
        rate_hz=400.0,
        # Further apart than the dead time, which is that of a specimen that drifts: nearer ones would be one event.
        anomaly_rate=1 / 450,
    )


def show(scene: Scene) -> int:
    """The demonstration, told step by step on standard output."""
    scene.folder.mkdir(parents=True, exist_ok=True)
    bundle = calibrated(scene)
    ports = _free_ports()
    config = _write_config(scene, ports, bundle)
    daemon_log, camera_log, truth = (scene.folder / name for name in ("daemon.log", "camera.log", "truth.jsonl"))
    count = max(1, round(scene.seconds * scene.rate_hz))
    screen.say(f"[2/4] starting the daemon ({config}, log {daemon_log})")
    # The camera starts beside the daemon and waits for it, so that the daemon hears it from its first moment.
    with (
        subscribed(ports.alarms, ports.permit) as listener,
        _process(_camera_arguments(scene, ports, count, truth), camera_log) as camera,
        _process(["run", "--config", str(config)], daemon_log) as daemon,
    ):
        early = wait_until_listening(listener, daemon, START_S)
        if early is None and daemon.poll() is None:
            screen.say(f"the daemon is not ready after {START_S:g} s, and nothing was shown; see {daemon_log}")
            return 1
        if early is None:
            screen.say(f"the daemon did not start:\n{daemon_log.read_text().strip()}")
            return 1
        screen.say(f"      operator page {ports.url}/   metrics {ports.url}/metrics")
        screen.say(f"      to acknowledge alarms there: the token in {scene.folder / TOKEN}")
        screen.say(
            f"[3/4] a simulated {scene.watched} sends {count} frames at {scene.rate_hz:g} Hz; alarms as they come:"
        )
        for alarm in early:
            tell(alarm)
        if not listen(listener, camera, daemon):
            screen.say(f"the daemon ended:\n{daemon_log.read_text().strip()}")
            return 1
        if camera.returncode:
            screen.say(f"the camera failed:\n{camera_log.read_text().strip()}")
            return 1
        status = _wait_until_judged(ports, count)
        listen_to_the_last(listener)
    return _summarise(status, count, _alarms(scene), truth)


def _alarms(scene: Scene) -> list[Alarm]:
    """Every alarm of the demonstration, from the journal of the daemon that has ended."""
    with contextlib.closing(Journal(scene.folder / JOURNAL, CAMERA)) as journal:
        return journal.alarms(sys.maxsize)


def _camera_arguments(scene: Scene, ports: Ports, count: int, truth: Path) -> list[str]:
    return [
        *("simulate", *scene.camera, "--endpoint", ports.frames, "--rate", str(scene.rate_hz)),
        *("--frames", str(count), "--seed", str(scene.seed), "--anomaly-rate", str(scene.anomaly_rate)),
        *("--size", str(scene.side_px), "--camera", CAMERA, "--truth", str(truth), "--wait", str(START_S)),
    ]


def calibrated(scene: Scene) -> Bundle:
    """The bundle of an earlier demonstration, where it was made of the same frames in the same way, or a new one."""
    path, last = scene.folder / "bundle", scene.groups + scene.stretches
    with contextlib.suppress(BundleError):
        bundle = bundles.read(path)
        if _is_of(bundle, scene):
            screen.say(f"[1/4] using the calibration of the last demonstration ({path}; remove it to train anew)")
            return bundle
    total, clean = scene.groups * scene.group_frames, scene.stretches * scene.stretch_frames
    screen.say(
        f"[1/4] training on {total} normal frames of {scene.groups} simulated runs, limits on {clean} of "
        f"{scene.stretches} others"
    )
    runs = _runs(scene, range(scene.groups), scene.group_frames)
    stretches = _runs(scene, range(scene.groups, last), scene.stretch_frames)
    with screen.training() as progress:
        bundle = calibrate(
            runs,
            scene.calibration,
            path,
            stretches=stretches,
            events=scene.events,
            rate_hz=scene.rate_hz,
            progress=progress,
        )
    _tell_limits(bundle)
    return bundle


def _runs(scene: Scene, seeds: Iterable[int], frames: int) -> list[Recording]:
    """Normal frames of the runs with *seeds*, so many *frames* of each, by context."""
    return [
        Recording(", ".join(filter(None, (scene.watched, f"run {seed}", context))), shown, context)
        for seed in seeds
        for context, shown in scene.normal(frames, seed, scene.side_px).items()
    ]


def _tell_limits(bundle: Bundle) -> None:
    held = bundle.manifest
    for context, limits in (held.own_limits or {"": held.limits}).items():
        values = ", ".join(f"{chart} {limit.value:.3g}" for chart, limit in limits.items())
        screen.say(f"      upper limits{context and f' of {context}'}: {values}")
    screen.say(f"      report {bundle.path / bundles.REPORT}")


def _is_of(bundle: Bundle, scene: Scene) -> bool:
    """Whether *bundle* was made by this program, of the frames of *scene*, with its settings.

    Frames are those of its first and its last run: a simulation that has changed shows in any of them.
    """
    made, wanted = bundle.manifest, scene.calibration
    same_settings = all(made.training[name] == getattr(wanted, name) for name in ("latent", "max_steps", "seed"))
    asked = made.budget and (made.budget.asked_per_hour, made.budget.k, made.budget.n, made.budget.rate_hz)
    same_rate = asked == (wanted.false_alarms_per_hour, scene.events.k, scene.events.n, scene.rate_hz)
    total = scene.groups * scene.group_frames + scene.stretches * scene.stretch_frames
    last = scene.groups + scene.stretches - 1
    ends = [*_runs(scene, [0], scene.group_frames), *_runs(scene, [last], scene.stretch_frames)]
    has_all = sum(group.frames for group in made.groups) == total
    same_frames = has_all and {digest(run.frames) for run in ends} <= {group.sha256 for group in made.groups}
    return made.program == monitor.__version__ and same_settings and same_rate and same_frames


def _write_config(scene: Scene, ports: Ports, bundle: Bundle) -> Path:
    path = scene.folder / "framewatch.yaml"
    journal = scene.folder / JOURNAL
    forget(scene.folder)
    path.write_text(
        "# Written by `framewatch demo`.\n"
        f"camera: {CAMERA}\n"
        f"bundle: {_quoted(bundle.path)}\n"
        f"journal: {_quoted(journal)}\n"
        "input:\n"
        f"  endpoint: {ports.frames}\n"
        f"  rate_hz: {scene.rate_hz:g}\n"
        f"events: {{k: {scene.events.k}, n: {scene.events.n}}}\n"
        f"calibration: {{false_alarms_per_hour: {scene.calibration.false_alarms_per_hour:g}}}\n"
        "alarms: {flood: null}  # the simulation has more anomalies in a minute than a person is to see in an hour\n"
        "outputs:\n"
        f"  alarms: {ports.alarms}\n"
        f"  permit: {ports.permit}\n"
        f"  snapshot: {ports.snapshot}\n"
        "http:\n"
        f"  port: {ports.page}\n"
        f"  token_file: {TOKEN}\n"
    )
    if not (scene.folder / TOKEN).exists():
        token.write(scene.folder / TOKEN)
    return path


def forget(folder: Path) -> None:
    """Remove the journal of an earlier demonstration and all beside it: each tells of its own alarms only."""
    for old in folder.glob(f"{Path(JOURNAL).stem}.*db*"):
        if old.is_dir():
            shutil.rmtree(old)  # recordings
        else:
            old.unlink()


def _quoted(path: Path) -> str:
    """*path* as YAML reads it whatever it holds: a JSON string is one of YAML's."""
    return msgspec.json.encode(str(path.resolve())).decode()


@contextlib.contextmanager
def _process(arguments: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """One of our own commands in a process of its own, told to stop at the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor.cli", *arguments], stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_judged(ports: Ports, count: int) -> Status:
    """The status once every frame that the camera sent is accounted for, or has had its time."""
    deadline = time.monotonic() + 10.0
    while True:
        status = msgspec.json.decode(_get(ports, "/api/v1/status"), type=Status)
        done = status.ledger.announced >= count and status.ledger.in_flight == 0
        if done or time.monotonic() > deadline:
            return status
        time.sleep(0.1)


def _get(ports: Ports, path: str) -> bytes:
    with urllib.request.urlopen(ports.url + path, timeout=10) as answer:  # loopback, our own daemon
        body: bytes = answer.read()
    return body


def _summarise(status: Status, sent: int, alarms: list[Alarm], truth: Path) -> int:
    screen.say("[4/4] summary")
    _tell_frames(status, sent)
    screen.show_comparison(compare(alarms, read_truth(truth)))
    return 0 if _in_flight(status.ledger) == 0 and status.ledger.received == sent else 1


def _tell_frames(status: Status, sent: int) -> None:
    held = status.ledger
    unjudged = ", ".join(f"{n} {reason}" for reason, n in held.unjudged.items() if n) or "0"
    dropped = ", ".join(f"{n} {reason}" for reason, n in held.dropped.items() if n) or "0"
    screen.say(
        f"      frames sent {sent}, announced {held.announced}, lost upstream {held.lost_upstream}, "
        f"received {held.received}"
    )
    screen.say(f"      judged {held.judged}, unjudged {unjudged}, dropped {dropped}, in flight {_in_flight(held)}")
    screen.say(f"      99 % of frames were judged within {status.frame_age_p99_ms:g} ms of their arrival")


def _in_flight(held: LedgerStatus) -> int:
    return held.received - held.judged - sum(held.unjudged.values()) - sum(held.dropped.values())


def _free_ports() -> Ports:
    """Ports on loopback that nobody listens at just now; the page's usual one where it is free."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        *ours, page = (probe.getsockname()[1] for probe in probes)
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", PAGE_PORT)))
            page = PAGE_PORT
    frames, alarms, permit, snapshot = (f"tcp://127.0.0.1:{port}" for port in ours)
    return Ports(frames, alarms, permit, snapshot, page)
