"""The commands. No logic: each reads its arguments and hands them on.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, with one line on standard error.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import monitor

if TYPE_CHECKING:
    from monitor.camera.publisher import Sent
    from monitor.config import Config

DONE, FAILED, USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # before torch loads: waiting threads must not take the others' cores
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        return 130  # as shells say it: ended by SIGINT
    except BrokenPipeError:
        return FAILED  # whoever read our output has gone
    except Exception as error:
        status = _status_of(error)
        if status is None:
            raise
        sys.stderr.write(f"framewatch: {_line_of(error)}\n")
        return status


def _status_of(error: Exception) -> int | None:
    """The exit status for errors that a person can mend, None for bugs."""
    from calibration.charts import CalibrationError
    from monitor.bundle import BundleError
    from monitor.camera.publisher import EndpointError
    from monitor.camera.recordings import RecordingError
    from monitor.journal import JournalError
    from monitor.yamlfile import ConfigError

    if isinstance(error, ConfigError | BundleError | EndpointError | RecordingError | JournalError):
        return USAGE
    if isinstance(error, CalibrationError | OSError):
        return FAILED
    return None


def _line_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _calibrate(options: argparse.Namespace) -> int:
    from monitor import screen
    from monitor.camera.capture import capture
    from monitor.camera.recordings import groups

    config = _config(options.config)
    if bool(options.paths) == bool(options.endpoint):
        return _usage("give recorded frames (PATH...) or a camera (--endpoint), one of them")
    camera_settings, contexts = options.settings, tuple(options.context) or None
    if options.endpoint:
        screen.say(f"waiting for {options.frames} active frames of {options.camera} from {options.endpoint}")
        captured = capture(
            options.endpoint,
            options.camera,
            options.frames,
            kind=options.socket,
            bind=options.bind,
            silence_s=options.silence,
        )
        recordings = list(captured.recordings)
        camera_settings, contexts = camera_settings or captured.settings, contexts or captured.contexts
        screen.say(f"received {sum(len(one.frames) for one in recordings)} frames in {len(recordings)} group(s)")
    else:
        recordings = groups(options.paths)
    from monitor.calibrate import calibrate  # torch takes seconds to import: a wrong path is told before

    with screen.training() as progress:
        bundle = calibrate(
            recordings,
            config.calibration,
            Path(options.out),
            camera_settings=camera_settings,
            contexts=contexts,
            progress=progress,
        )
    screen.show_bundle(bundle)
    return DONE


def _score(options: argparse.Namespace) -> int:
    from monitor import bundle as bundles
    from monitor import screen
    from monitor.camera.recordings import groups
    from monitor.score import SUFFIXES, score_table, write_table

    out = Path(options.out)
    if out.suffix.lower() not in SUFFIXES:
        return _usage(f"--out {out}: must end in {' or '.join(SUFFIXES)}")
    if out.is_dir() or not out.parent.is_dir():
        return _usage(f"--out {out}: is a folder, or stands in none; name a file in a folder that is there")
    table = score_table(bundles.read(Path(options.bundle)), groups(options.paths))
    write_table(table, out)
    flagged = sum(table["flag"].to_pylist())
    screen.say(f"{out}: {table.num_rows} frames scored, {flagged} over a limit")
    return DONE


def _evaluate(options: argparse.Namespace) -> int:
    from monitor import bundle as bundles
    from monitor import screen
    from monitor.camera.recordings import groups
    from monitor.score import evaluate

    found = evaluate(bundles.read(Path(options.bundle)), groups(options.normal), groups(options.anomalous))
    if options.json:
        sys.stdout.write(screen.evaluation_json(found) + "\n")
    else:
        screen.show_evaluation(found)
    return DONE


def _run(options: argparse.Namespace) -> int:
    from monitor.service import run

    return run(_config(options.config))


def _replay(options: argparse.Namespace) -> int:
    from monitor.camera.publisher import replay
    from monitor.camera.recordings import groups

    sent = replay(
        groups(options.paths),
        options.endpoint,
        options.rate,
        loop=options.loop,
        camera=options.camera,
        socket=options.socket,
        connect=options.connect,
        frames_per_message=options.frames_per_message,
        wait_s=options.wait,
        stop=_stop_asked(),
    )
    return _tell_sent(sent)


def _simulate(options: argparse.Namespace) -> int:
    from monitor.camera.simulate import simulate

    sent = simulate(
        options.endpoint,
        options.rate,
        frames=options.frames,
        seed=options.seed,
        anomaly_rate=options.anomaly_rate,
        truth=Path(options.truth) if options.truth else None,
        size=options.size,
        camera=options.camera,
        socket=options.socket,
        connect=options.connect,
        frames_per_message=options.frames_per_message,
        wait_s=options.wait,
        stop=_stop_asked(),
    )
    return _tell_sent(sent)


def _doctor(options: argparse.Namespace) -> int:
    from monitor import screen
    from monitor.doctor import examine

    findings = examine(_config(options.config))
    screen.show_findings(findings, as_json=options.json)
    return FAILED if any(finding.grade == "fault" for finding in findings) else DONE


def _demo(options: argparse.Namespace) -> int:
    from monitor.demo import demo

    return demo(options.seconds)


def _config(path: str | None) -> "Config":
    from monitor.config import Config, read

    return Config() if path is None else read(Path(path))


def _usage(message: str) -> int:
    sys.stderr.write(f"framewatch: {message}\n")
    return USAGE


def _stop_asked() -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT came: a camera then says that its stream ends."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: asked.append(received))
    return lambda: bool(asked)


def _tell_sent(sent: "Sent") -> int:
    from monitor import screen

    if not sent.met:
        screen.err.print("framewatch: nobody listened at the start; what a PUB socket sends to nobody is gone")
    screen.say(f"sent {sent.frames} frames in {sent.messages} messages, at most {sent.late_s * 1e3:.1f} ms late")
    return DONE if sent.frames else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="framewatch", description="Real-time process monitor for cameras.")
    parser.add_argument("--version", action="version", version=f"framewatch {monitor.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_demo(commands)
    _add_calibrate(commands)
    _add_offline(commands)
    _add_cameras(commands)
    _add_daemon(commands)
    return parser


_Commands = argparse._SubParsersAction  # the only name that argparse has for it


def _add(commands: "_Commands[_Parser]", name: str, command: Callable[[argparse.Namespace], int], does: str) -> _Parser:
    parser = commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _add_demo(commands: "_Commands[_Parser]") -> None:
    demo = _add(commands, "demo", _demo, "the whole system with a simulated camera, no hardware needed")
    demo.add_argument("--seconds", type=_positive, default=30.0, help="how long frames are judged (default 30)")


def _add_calibrate(commands: "_Commands[_Parser]") -> None:
    calibrate = _add(commands, "calibrate", _calibrate, "train on normal frames, set limits on held-out groups")
    calibrate.add_argument(
        "paths", nargs="*", metavar="PATH", help="a group of frames: folder of images, TIFF, npy, HDF5"
    )
    calibrate.add_argument("--endpoint", type=_endpoint, help="take live frames from this ZeroMQ address instead")
    calibrate.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    calibrate.add_argument("--config", help="YAML file; its calibration section is used")
    calibrate.add_argument("--settings", help="the camera's settings that these frames were taken with")
    calibrate.add_argument("--context", action="append", default=[], help="a context that these frames stand for")
    calibrate.add_argument("--frames", type=_count, default=5000, help="live: how many frames (default 5000)")
    calibrate.add_argument("--camera", type=_camera, default="camera", help="live: the camera's name (default camera)")
    calibrate.add_argument("--socket", choices=("sub", "pull"), default="sub", help="live: kind of socket")
    calibrate.add_argument("--bind", action="store_true", help="live: listen at the endpoint instead of connecting")
    calibrate.add_argument("--silence", type=_positive, default=10.0, help="live: seconds without frames that end it")


def _add_offline(commands: "_Commands[_Parser]") -> None:
    score = _add(commands, "score", _score, "score recorded frames without a daemon")
    score.add_argument("paths", nargs="+", metavar="PATH")
    score.add_argument("--bundle", required=True)
    score.add_argument("--out", required=True, metavar="FILE.parquet|.csv")
    evaluate = _add(commands, "evaluate", _evaluate, "how well a bundle tells normal from anomalous recordings")
    evaluate.add_argument("--normal", nargs="+", required=True, metavar="PATH")
    evaluate.add_argument("--anomalous", nargs="+", required=True, metavar="PATH")
    evaluate.add_argument("--bundle", required=True)
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_cameras(commands: "_Commands[_Parser]") -> None:
    replay = _add(commands, "replay", _replay, "a camera that sends recorded frames")
    replay.add_argument("paths", nargs="+", metavar="PATH")
    replay.add_argument("--loop", action="store_true", help="again and again")
    simulate = _add(commands, "simulate", _simulate, "a camera that sends simulated frames with known truth")
    simulate.add_argument("kind", choices=("meltpool",))
    simulate.add_argument("--frames", type=_count, help="stop after so many")
    simulate.add_argument("--seed", type=_seed, default=0)
    simulate.add_argument("--anomaly-rate", type=_share, default=0.0, help="anomalies a frame (default 0)")
    simulate.add_argument("--truth", metavar="FILE", help="write what is anomalous, one JSON object a line")
    simulate.add_argument("--size", type=_size, default=(120, 120), metavar="H[xW]", help="pixels (default 120)")
    for camera in (replay, simulate):
        camera.add_argument("--endpoint", type=_own_endpoint, required=True)
        camera.add_argument("--rate", type=_rate, required=True, metavar="HZ")
        camera.add_argument("--camera", type=_camera, default="camera", help="the camera's name (default camera)")
        camera.add_argument("--socket", choices=("pub", "push"), default="pub")
        camera.add_argument("--connect", action="store_true", help="connect to the endpoint instead of binding it")
        camera.add_argument("--frames-per-message", type=_count)
        camera.add_argument("--wait", type=_positive, default=10.0, help="seconds to wait for a reader (default 10)")


def _add_daemon(commands: "_Commands[_Parser]") -> None:
    run = _add(commands, "run", _run, "the daemon")
    run.add_argument("--config", required=True)
    doctor = _add(commands, "doctor", _doctor, "check device, bundle, memory, ports, journal, disk and clock")
    doctor.add_argument("--config")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 1e-3 <= value <= 1e7:
        raise argparse.ArgumentTypeError(f"{text} must lie between 0.001 and 1e7")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must lie between 0 and 1")
    return value


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} must be at least {least}")
    return value


def _count(text: str) -> int:
    return _whole(text, 1)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _size(text: str) -> tuple[int, int]:
    from monitor.camera.recordings import LONGEST_SIDE_PX, SHORTEST_SIDE_PX

    height, _, width = text.partition("x")
    sides = _count(height), _count(width or height)
    if not all(SHORTEST_SIDE_PX <= side <= LONGEST_SIDE_PX for side in sides):
        raise argparse.ArgumentTypeError(f"{text}: each side must be {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} pixels")
    return sides


def _camera(text: str) -> str:
    from monitor.config import CAMERA_NAME

    return _like(CAMERA_NAME, text, text)


def _endpoint(text: str) -> str:
    from monitor.config import ENDPOINT

    return _like(ENDPOINT, text, text)


def _own_endpoint(text: str) -> str:
    """An endpoint that may leave the choice of the port to the system."""
    from monitor.config import ENDPOINT

    return _like(ENDPOINT, re.sub(r":[0*]\Z", ":1", text), text)


def _like(pattern: str, checked: str, text: str) -> str:
    from monitor.config import WANTED

    if not re.search(pattern, checked):
        raise argparse.ArgumentTypeError(f"'{text}' must be {WANTED[pattern]}")
    return text


if __name__ == "__main__":
    sys.exit(main())
