"""The command line: arguments to one of `commands`, errors to one line and an exit status.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, with one line on standard error.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import monitor
from monitor import arguments as take
from monitor import commands as do
from monitor.commands import FAILED, USAGE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Inside(argparse.Action):
    """Collects one list of context and paths a time that `--in` is given."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            context = take.no_recording(take.context(values[0]), values[1:])
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
    from monitor.bench.children import BenchError
    from monitor.blockstore import BlockStoreError
    from monitor.bundle import BundleError
    from monitor.camera.publisher import EndpointError
    from monitor.camera.recordings import RecordingError
    from monitor.camera.simulate import CameraError, TruthError
    from monitor.journal.store import JournalError
    from monitor.keys import KeyFileError
    from monitor.operators.reach import AlarmError
    from monitor.recorder.shelf import ShelfError
    from monitor.taxonomy.embedding import EmbeddingError
    from monitor.taxonomy.events import CompareError
    from monitor.taxonomy.store import StoreError
    from monitor.yamlfile import ConfigError

    if isinstance(
        error,
        ConfigError
        | BundleError
        | EndpointError
        | RecordingError
        | CameraError
        | JournalError
        | BlockStoreError
        | StoreError
        | CompareError
        | EmbeddingError
        | KeyFileError,
    ):
        return USAGE
    if isinstance(error, AlarmError | ShelfError | CalibrationError | TruthError | BenchError | OSError):
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
    _add_alarms(commands)
    _add_taxonomy(commands)
    _add_recordings_of_events(commands)
    _add_keys(commands)
    _add_bench(commands)
    return parser


_Commands = argparse._SubParsersAction  # the only name that argparse has for it


def _add(commands: "_Commands[_Parser]", name: str, command: Callable[[argparse.Namespace], int], does: str) -> _Parser:
    parser = commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _add_demo(commands: "_Commands[_Parser]") -> None:
    demo = _add(commands, "demo", do.demo, "the whole system with a simulated camera, no hardware needed")
    demo.add_argument("--seconds", type=take.positive, default=30.0, help="how long frames are judged (default 30)")
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
        type=take.exclusion,
        action="append",
        default=[],
        metavar="GROUP[:FIRST-LAST]",
        help="held-out frames that you looked at and that are not normal: they set no limit, and the bundle says so",
    )
    calibrate.add_argument("--endpoint", type=take.endpoint, help="take live frames from this ZeroMQ address instead")
    calibrate.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    calibrate.add_argument("--config", help="YAML file; its calibration section is used")
    calibrate.add_argument("--settings", help="the camera's settings that these frames were taken with")
    calibrate.add_argument(
        "--context", type=take.context, action="append", default=[], help="a context to admit besides those of --in"
    )
    calibrate.add_argument(
        "--rate",
        type=take.rate,
        metavar="HZ",
        help="judged frames a second, for false alarms an hour (default: live, as measured; else input.rate_hz)",
    )
    calibrate.add_argument("--frames", type=take.count, default=5000, help="live: how many frames (default 5000)")
    calibrate.add_argument(
        "--camera", type=take.camera, default="camera", help="live: the camera's name (default camera)"
    )
    calibrate.add_argument("--socket", choices=("sub", "pull"), default="sub", help="live: kind of socket")
    calibrate.add_argument("--bind", action="store_true", help="live: listen at the endpoint instead of connecting")
    calibrate.add_argument(
        "--silence", type=take.positive, default=10.0, help="live: seconds without frames that end it"
    )


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
        "--why", required=True, type=take.reason, metavar="TEXT", help="the reason, for the bundle's history"
    )
    recalibrate.add_argument(
        "--false-alarms-per-hour", type=take.budget, metavar="R", help="another budget (default: the bundle's own)"
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
        "--rate", type=take.rate, metavar="HZ", help="frames a second of PATHs (default input.rate_hz)"
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
    evaluate.add_argument("--context", type=take.context, help="what all these frames show: whose limits hold")
    evaluate.add_argument("--bundle", required=True)
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_cameras(commands: "_Commands[_Parser]") -> None:
    replay = _add(commands, "replay", do.replay, "a camera that sends recorded frames")
    _add_recordings(replay)
    replay.add_argument("--loop", action="store_true", help="again and again")
    simulate = _add(commands, "simulate", do.simulate, "a camera that sends simulated frames with known truth")
    simulate.add_argument("kind", choices=("meltpool", "stem"))
    simulate.add_argument("--mode", choices=("images", "diffraction"), help="stem: what a frame shows (default images)")
    simulate.add_argument("--frames", type=take.count, help="stop after so many")
    simulate.add_argument("--seed", type=take.seed, default=0)
    simulate.add_argument("--anomaly-rate", type=take.share, default=0.0, help="anomalies a frame (default 0)")
    simulate.add_argument("--kinds", type=take.names, metavar="A,B,...", help="anomalies of these kinds only")
    simulate.add_argument("--truth", metavar="FILE", help="write what is anomalous, one JSON object a line")
    simulate.add_argument(
        "--size",
        type=take.size,
        metavar="H[xW]",
        help="pixels (default: meltpool 120, stem images 64, diffraction 128)",
    )
    simulate.add_argument(
        "--bank", type=take.count, metavar="N", help="meltpool: compute whole layers of N frames, then repeat them"
    )
    simulate.add_argument(
        "--recoat", type=take.not_negative, metavar="S", help="meltpool: pause between layers (default 0.3)"
    )
    for camera in (replay, simulate):
        camera.add_argument("--endpoint", type=take.own_endpoint, required=True)
        more = " (recordings of events: without it as they were exposed)" if camera is replay else ""
        camera.add_argument(
            "--rate", type=take.rate, required=camera is simulate, metavar="HZ", help=f"frames a second{more}"
        )
        camera.add_argument("--camera", type=take.camera, default="camera", help="the camera's name (default camera)")
        camera.add_argument("--socket", choices=("pub", "push"), default="pub")
        camera.add_argument("--connect", action="store_true", help="connect to the endpoint instead of binding it")
        camera.add_argument("--secret", metavar="FILE", help="the camera's own secret key ('framewatch keys new NAME')")
        camera.add_argument(
            "--server-key", metavar="FILE", help="with --secret: public key of whoever is at the endpoint"
        )
        camera.add_argument(
            "--clients", metavar="DIR", help="with --secret: folder of *.public files of who may connect"
        )
        camera.add_argument(
            "--insecure",
            action="store_true",
            help="bind beyond loopback without keys: whoever reaches it may read",
        )
        camera.add_argument("--frames-per-message", type=take.count)
        camera.add_argument(
            "--wait", type=take.positive, default=10.0, help="seconds to wait for a reader (default 10)"
        )


def _add_daemon(commands: "_Commands[_Parser]") -> None:
    run = _add(commands, "run", do.run, "the daemon")
    run.add_argument("--config", required=True)
    doctor = _add(
        commands, "doctor", do.doctor, "check device, bundle, memory, ports, keys, journal, disk, sinks and clock"
    )
    doctor.add_argument("--config")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")


def _add_keys(commands: "_Commands[_Parser]") -> None:
    keys = commands.add_parser("keys", help="make and show the keys of who may speak", description="Keys and tokens.")
    kinds = keys.add_subparsers(metavar="new|show|token", required=True, parser_class=_Parser)
    new = _add(
        kinds, "new", do.keys_new, "make a key pair: NAME.secret, which stays here, and NAME.public to give away"
    )
    new.add_argument("name", type=take.camera, metavar="NAME", help="of the daemon, camera or controller that has it")
    new.add_argument("--dir", default=".", metavar="D", help="folder to write to (default: this one)")
    show = _add(kinds, "show", do.keys_show, "print the public key that a secret or public file holds")
    show.add_argument("file", metavar="FILE")
    token = _add(kinds, "token", do.keys_token, "make the token that changes over HTTP must carry")
    token.add_argument("--out", metavar="FILE", help="write it there, for http.token_file, instead of printing it")


def _add_alarms(commands: "_Commands[_Parser]") -> None:
    from monitor.operators import parser

    does = "what people do about alarms, of a daemon that runs or one that does not"
    parser.add(commands.add_parser("alarms", help=does, description=does[0].upper() + does[1:] + "."))


def _add_taxonomy(commands: "_Commands[_Parser]") -> None:
    from monitor.taxonomy import parser

    does = "kinds of anomaly: which there are, what they are called"
    parser.add(commands.add_parser("taxonomy", help=does, description=does[0].upper() + does[1:] + "."))


def _add_recordings_of_events(commands: "_Commands[_Parser]") -> None:
    from monitor.recorder import parser

    does = "recordings of the frames around events: which there are, which are kept"
    parser.add(commands.add_parser("recordings", help=does, description=does[0].upper() + does[1:] + "."))


def _add_bench(commands: "_Commands[_Parser]") -> None:
    bench = _add(
        commands, "bench", do.bench, "what rate this machine holds, and how soon frames are judged at half of it"
    )
    bench.add_argument("--bundle", help="measure with it (default: one trained in seconds for a simulated melt pool)")
    bench.add_argument(
        "--frames", nargs="+", default=[], metavar="PATH", help="with --bundle: send these frames, not simulated ones"
    )
    bench.add_argument("--size", type=take.count, metavar="PX", help="side of the simulated frames (default 120)")
    bench.add_argument("--dtype", choices=("uint8", "uint16", "float32"), help="their pixels (default uint8)")
    bench.add_argument(
        "--rate", type=take.rate, metavar="HZ", help="measure this rate instead of searching the highest"
    )
    bench.add_argument(
        "--for-rate",
        type=take.rate,
        metavar="HZ",
        help="without --bundle: train for a camera of this rate (default 1000)",
    )
    bench.add_argument("--seconds", type=take.positive, help="of each trial that counts (default 10, --quick 3)")
    bench.add_argument(
        "--busy",
        action=argparse.BooleanOptionalAction,
        help="only with, or only without, competing processes on the same cores (default: one after the other)",
    )
    bench.add_argument("--quick", action="store_true", help="a rough answer in a fraction of the time")
    bench.add_argument("--frames-per-message", type=take.count, help="default: 1, above 2,000 frames/s those of 2 ms")
    bench.add_argument("--batch", type=take.count, default=128, help="engine.batch (default 128)")
    bench.add_argument("--max-wait-ms", type=take.not_negative, default=1.0, help="engine.max_wait_ms (default 1)")
    bench.add_argument("--threads", type=take.count, default=1, help="engine.threads (default 1)")
    bench.add_argument("--device", type=take.device, default="cpu", help="engine.device (default cpu)")
    bench.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON; without FILE in place of the table"
    )
    bench.add_argument("--picture", metavar="FILE.svg", help="write a picture")


if __name__ == "__main__":
    sys.exit(main())
