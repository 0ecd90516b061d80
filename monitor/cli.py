"""The command line: arguments to one of `commands`, errors to one line and an exit status.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, with one line on standard error.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import monitor
from monitor import commands as do
from monitor.commands import FAILED, USAGE

if TYPE_CHECKING:
    from monitor.exclusion import Exclusion


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Inside(argparse.Action):
    """Collects one list of context and paths a time that `--in` is given."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            context = _no_recording(_context(values[0]), values[1:])
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        if len(values) < 2:
            raise argparse.ArgumentError(self, f"which frames show {context}? Give their paths after it")
        setattr(options, self.dest, [*getattr(options, self.dest), values])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # Before torch and numpy load: waiting threads must not take the others' cores, and matrices as small as a camera's
    # gain nothing from a second one.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        sys.stderr.write("framewatch: interrupted\n")
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
    from monitor.blockstore import BlockStoreError
    from monitor.bundle import BundleError
    from monitor.camera.publisher import EndpointError
    from monitor.camera.recordings import RecordingError
    from monitor.camera.simulate import CameraError, TruthError
    from monitor.journal import JournalError
    from monitor.yamlfile import ConfigError

    if isinstance(
        error, ConfigError | BundleError | EndpointError | RecordingError | CameraError | JournalError | BlockStoreError
    ):
        return USAGE
    if isinstance(error, CalibrationError | TruthError | OSError):
        return FAILED
    return None


def _line_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="framewatch", description="Real-time process monitor for cameras.")
    parser.add_argument("--version", action="version", version=f"framewatch {monitor.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_demo(commands)
    _add_calibrate(commands)
    _add_recalibrate(commands)
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
    demo = _add(commands, "demo", do.demo, "the whole system with a simulated camera, no hardware needed")
    demo.add_argument("--seconds", type=_positive, default=30.0, help="how long frames are judged (default 30)")
    demo.add_argument("--stem", action="store_true", help="with a STEM detector instead of a melt pool")


def _add_recordings(parser: _Parser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a group of frames: folder of images, TIFF, npy, HDF5")
    parser.add_argument(
        "--in",
        dest="inside",
        action=_Inside,
        nargs="+",
        default=[],
        metavar=("CONTEXT", "PATH"),
        help="groups of frames that show this context (hatch, contour, ...); again for each context. All paths after "
        "it are of that context: PATHs without one come first",
    )


def _add_calibrate(commands: "_Commands[_Parser]") -> None:
    calibrate = _add(commands, "calibrate", do.calibrate, "train on normal frames, set limits on held-out groups")
    _add_recordings(calibrate)
    calibrate.add_argument(
        "--stretch",
        nargs="+",
        default=[],
        metavar="PATH",
        help="clean frames in the stream's own order that set the limits, one path a run; without them groups of the "
        "others are held out for it",
    )
    calibrate.add_argument(
        "--stretch-in",
        action=_Inside,
        nargs="+",
        default=[],
        metavar=("CONTEXT", "PATH"),
        help="such frames of one context; again for each",
    )
    calibrate.add_argument(
        "--exclude",
        type=_exclusion,
        action="append",
        default=[],
        metavar="GROUP[:FIRST-LAST]",
        help="held-out frames that you looked at and that are not normal: they set no limit, and the bundle says so",
    )
    calibrate.add_argument("--endpoint", type=_endpoint, help="take live frames from this ZeroMQ address instead")
    calibrate.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    calibrate.add_argument("--config", help="YAML file; its calibration section is used")
    calibrate.add_argument("--settings", help="the camera's settings that these frames were taken with")
    calibrate.add_argument(
        "--context", type=_context, action="append", default=[], help="a context to admit besides those of --in"
    )
    calibrate.add_argument(
        "--rate",
        type=_rate,
        metavar="HZ",
        help="judged frames a second, for false alarms an hour (default: live, as measured; else input.rate_hz)",
    )
    calibrate.add_argument("--frames", type=_count, default=5000, help="live: how many frames (default 5000)")
    calibrate.add_argument("--camera", type=_camera, default="camera", help="live: the camera's name (default camera)")
    calibrate.add_argument("--socket", choices=("sub", "pull"), default="sub", help="live: kind of socket")
    calibrate.add_argument("--bind", action="store_true", help="live: listen at the endpoint instead of connecting")
    calibrate.add_argument("--silence", type=_positive, default=10.0, help="live: seconds without frames that end it")


def _add_recalibrate(commands: "_Commands[_Parser]") -> None:
    recalibrate = _add(
        commands,
        "recalibrate",
        do.recalibrate,
        "set new limits without training: from a clean stretch, or from the blocks that the daemon kept as it ran",
    )
    _add_recordings(recalibrate)
    recalibrate.add_argument("--config", required=True, help="the daemon's configuration: its bundle gets the limits")
    recalibrate.add_argument(
        "--why", required=True, type=_reason, metavar="TEXT", help="the reason, for the bundle's history"
    )
    recalibrate.add_argument(
        "--false-alarms-per-hour", type=_budget, metavar="R", help="another budget (default: the bundle's own)"
    )
    recalibrate.add_argument("--by", metavar="NAME", help="who approves (default: who runs this)")
    recalibrate.add_argument("--yes", action="store_true", help="approved: do not ask")
    recalibrate.add_argument(
        "--true",
        action="append",
        default=[],
        metavar="ALARM",
        help="without PATHs: this alarm was true, so its blocks set no limit; again for each",
    )
    recalibrate.add_argument(
        "--rate", type=_rate, metavar="HZ", help="frames a second of PATHs (default input.rate_hz)"
    )


def _add_offline(commands: "_Commands[_Parser]") -> None:
    score = _add(commands, "score", do.score, "score recorded frames without a daemon")
    _add_recordings(score)
    score.add_argument("--bundle", required=True)
    score.add_argument("--out", required=True, metavar="FILE.parquet|.csv")
    score.add_argument("--map", metavar="FOLDER", help="bundles with tiles: a picture of each image, a table of tiles")
    evaluate = _add(commands, "evaluate", do.evaluate, "how well a bundle tells normal from anomalous recordings")
    evaluate.add_argument("--normal", nargs="+", required=True, metavar="PATH")
    evaluate.add_argument("--anomalous", nargs="+", required=True, metavar="PATH")
    evaluate.add_argument("--context", type=_context, help="what all these frames show: whose limits hold")
    evaluate.add_argument("--bundle", required=True)
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_cameras(commands: "_Commands[_Parser]") -> None:
    replay = _add(commands, "replay", do.replay, "a camera that sends recorded frames")
    _add_recordings(replay)
    replay.add_argument("--loop", action="store_true", help="again and again")
    simulate = _add(commands, "simulate", do.simulate, "a camera that sends simulated frames with known truth")
    simulate.add_argument("kind", choices=("meltpool", "stem"))
    simulate.add_argument("--mode", choices=("images", "diffraction"), help="stem: what a frame shows (default images)")
    simulate.add_argument("--frames", type=_count, help="stop after so many")
    simulate.add_argument("--seed", type=_seed, default=0)
    simulate.add_argument("--anomaly-rate", type=_share, default=0.0, help="anomalies a frame (default 0)")
    simulate.add_argument("--kinds", type=_names, metavar="A,B,...", help="anomalies of these kinds only")
    simulate.add_argument("--truth", metavar="FILE", help="write what is anomalous, one JSON object a line")
    simulate.add_argument(
        "--size", type=_size, metavar="H[xW]", help="pixels (default: meltpool 120, stem images 64, diffraction 128)"
    )
    simulate.add_argument(
        "--bank", type=_count, metavar="N", help="meltpool: compute whole layers of N frames, then repeat them"
    )
    simulate.add_argument(
        "--recoat", type=_not_negative, metavar="S", help="meltpool: pause between layers (default 0.3)"
    )
    for camera in (replay, simulate):
        camera.add_argument("--endpoint", type=_own_endpoint, required=True)
        camera.add_argument("--rate", type=_rate, required=True, metavar="HZ")
        camera.add_argument("--camera", type=_camera, default="camera", help="the camera's name (default camera)")
        camera.add_argument("--socket", choices=("pub", "push"), default="pub")
        camera.add_argument("--connect", action="store_true", help="connect to the endpoint instead of binding it")
        camera.add_argument("--frames-per-message", type=_count)
        camera.add_argument("--wait", type=_positive, default=10.0, help="seconds to wait for a reader (default 10)")


def _add_daemon(commands: "_Commands[_Parser]") -> None:
    run = _add(commands, "run", do.run, "the daemon")
    run.add_argument("--config", required=True)
    doctor = _add(commands, "doctor", do.doctor, "check device, bundle, memory, ports, journal, disk and clock")
    doctor.add_argument("--config")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")


def _exclusion(text: str) -> "Exclusion":
    from monitor.exclusion import parse

    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def _budget(text: str) -> float:
    value = _number(text)
    if not 1e-6 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text} must lie between 1e-6 and 1e6")
    return value


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("give a reason: it stands in the bundle's history")
    return text.strip()


def _not_negative(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must not be below 0")
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
    height, _, width = text.partition("x")
    return _count(height), _count(width or height)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' must be names with commas between them")
    return names


def _context(text: str) -> str:
    from monitor.types import TEXT_BYTES

    if not 0 < len(text.encode("utf-8", "replace")) <= TEXT_BYTES or not text.isprintable():
        raise argparse.ArgumentTypeError(f"'{text}' must be the name of a context, of at most {TEXT_BYTES} bytes")
    return text


def _no_recording(context: str, paths: Sequence[str]) -> str:
    """*context*, unless it is itself a recording, which would be left out in silence. *paths* are those after it."""
    from monitor.camera.recordings import IMAGES

    place = Path(context)
    images = place.is_dir() and any(one.suffix.lower() in IMAGES for one in place.iterdir())
    # Frames may well lie in a folder that is named after their context.
    beside = any(place.resolve() not in (Path(path).resolve(), *Path(path).resolve().parents) for path in paths)
    if place.name != context or place.is_file() or (images and (beside or not paths)):
        raise argparse.ArgumentTypeError(f"'{context}' is a path: name the context first, then paths (--in hatch PATH)")
    return context


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
