"""What each command does with its arguments: read files, hand them on, show what came out. No logic.

Imports stand inside the functions: torch takes seconds to load, and most commands do without it.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.camera.publisher import Sent
    from monitor.camera.recordings import Recording
    from monitor.config import Config
    from monitor.keys import Credentials

DONE, FAILED, USAGE = 0, 1, 2
NO_FRAMES = "give recorded frames (PATH... or --in CONTEXT PATH...)"


def calibrate(options: argparse.Namespace) -> int:
    from monitor import screen
    from monitor.camera.capture import capture

    config = _config(options.config)
    if bool(options.paths or options.inside) == bool(options.endpoint):
        return _usage("give recorded frames (PATH..., --in CONTEXT PATH...) or a camera (--endpoint), one of them")
    from monitor.camera.recordings import groups

    stretches = groups(options.stretch, [(context, paths) for context, *paths in options.stretch_in])
    camera_settings, rate_hz = options.settings, config.input.rate_hz
    if options.endpoint:
        screen.say(f"waiting for {options.frames} active frames of {options.camera} from {options.endpoint}")
        captured = capture(
            options.endpoint,
            options.camera,
            options.frames,
            kind=options.socket,
            bind=options.bind,
            silence_s=options.silence,
            credentials=_input_keys(config, options.endpoint, options.bind),
        )
        recordings = list(captured.recordings)
        rate_hz = captured.rate_hz or rate_hz
        camera_settings = camera_settings or captured.settings
        screen.say(f"received {sum(len(one.frames) for one in recordings)} frames in {len(recordings)} group(s)")
    else:
        recordings = _recorded(options)
    from monitor.calibrate import calibrate as fit  # torch takes seconds to import: a wrong path is told before

    with screen.training() as progress:
        bundle = fit(
            recordings,
            config.calibration,
            Path(options.out),
            camera_settings=camera_settings,
            contexts=tuple(options.context) or None,
            stretches=stretches,
            exclusions=options.exclude,
            events=config.events,
            rate_hz=options.rate or rate_hz,
            device=config.engine.device,
            progress=progress,
        )
    screen.show_bundle(bundle)
    return DONE


def recalibrate(options: argparse.Namespace) -> int:
    import getpass

    import msgspec

    from monitor import bundle as bundles
    from monitor import screen
    from monitor.kept import judged_blocks, unjudged_alarms
    from monitor.recalibrate import Approval
    from monitor.recalibrate import write as replace

    config = _config(options.config)
    if config.bundle is None:
        return _usage(f"{options.config}: names no bundle; there is nothing to set new limits for")
    if not (options.yes or sys.stdin.isatty()):
        return _usage("a person approves new limits: run it in a terminal, or say --yes")
    path = Path(config.bundle)
    bundle = bundles.read(path)
    if options.true and (options.paths or options.inside):
        return _usage("--true leaves blocks out that the daemon kept; frames that are not normal are not given at all")
    try:
        approval = Approval(options.by or getpass.getuser(), options.why)
    except (KeyError, OSError):
        return _usage("this user has no name: say who approves, with --by")
    settings = config.calibration
    if options.false_alarms_per_hour:
        settings = msgspec.structs.replace(settings, false_alarms_per_hour=options.false_alarms_per_hour)
    report: str | None
    if options.paths or options.inside:
        from monitor.recalibrate import from_stretches

        recordings = _recorded(options)
        asked_for = msgspec.structs.replace(config, calibration=settings)
        rate_hz = options.rate or config.input.rate_hz
        manifest, report = from_stretches(bundle, recordings, asked_for, rate_hz, approval)
    else:
        from monitor.recalibrate import from_blocks

        journal = Path(config.journal)
        blocks = judged_blocks(bundle, journal, config.camera, options.true)
        manifest, report = from_blocks(bundle, blocks, settings, approval)
        screen.show_unjudged(unjudged_alarms(bundle, journal, config.camera, blocks))
    if bundle.manifest.budget is not None and (other := bundle.manifest.budget.other_than(settings)):
        screen.say(f"note: {other}; the new limits do as {options.config} and the options say")
    screen.show_replacement(bundle.manifest, manifest)
    if not options.yes and not screen.agreed(f"replace the limits of {path}?"):
        screen.say("nothing was changed")
        return FAILED
    replace(bundle, manifest, report)
    screen.say(f"{path}: new limits; restart the daemon to use them")
    return DONE


def score(options: argparse.Namespace) -> int:
    from monitor import bundle as bundles
    from monitor import screen
    from monitor.score import SUFFIXES, score_table, write_table

    out = Path(options.out)
    if out.suffix.lower() not in SUFFIXES:
        return _usage(f"--out {out}: must end in {' or '.join(SUFFIXES)}")
    if out.is_dir() or not out.parent.is_dir():
        return _usage(f"--out {out}: is a folder, or stands in none; name a file in a folder that is there")
    if not (options.paths or options.inside):
        return _usage(NO_FRAMES)
    if options.map and Path(options.map).exists() and not Path(options.map).is_dir():
        return _usage(f"--map {options.map}: is a file; name a folder")
    bundle, recordings = bundles.read(Path(options.bundle)), _recorded(options)
    if options.map:
        from monitor.maps import write_maps

        table = write_maps(bundle, recordings, Path(options.map), out.suffix.lower())
        screen.say(f"{options.map}: {table.num_rows} maps and a table of their tiles")
    else:
        table = score_table(bundle, recordings)
    write_table(table, out)
    flagged = sum(table["flag"].to_pylist())
    screen.say(f"{out}: {table.num_rows} frames scored, {flagged} over a limit")
    return DONE


def evaluate(options: argparse.Namespace) -> int:
    from monitor import bundle as bundles
    from monitor import score as scores
    from monitor import screen
    from monitor.camera.recordings import groups

    context = options.context or ""
    normal, anomalous = (groups([], [(context, paths)]) for paths in (options.normal, options.anomalous))
    found = scores.evaluate(bundles.read(Path(options.bundle)), normal, anomalous)
    if options.json:
        sys.stdout.write(screen.evaluation_json(found) + "\n")
    else:
        screen.show_evaluation(found)
    return DONE


def run(options: argparse.Namespace) -> int:
    from monitor import service

    return service.run(_config(options.config), options.config)


def replay(options: argparse.Namespace) -> int:
    from monitor.camera import player, publisher

    if not (options.paths or options.inside):
        return _usage(NO_FRAMES)
    recordings, credentials = _recorded(options), _camera_keys(options)
    of_events = all(one.recorded is not None for one in recordings)
    if options.rate is None and not of_events:
        return _usage("give a --rate: only recordings of events say when their frames were exposed")
    send: Callable[..., Sent] = player.play if of_events else publisher.replay
    sent = send(
        recordings,
        options.endpoint,
        options.rate,
        loop=options.loop,
        camera=options.camera,
        socket=options.socket,
        connect=options.connect,
        frames_per_message=options.frames_per_message,
        credentials=credentials,
        wait_s=options.wait,
        stop=_stop_asked(),
    )
    return _tell_sent(sent)


def simulate(options: argparse.Namespace) -> int:
    from monitor.camera import simulate as cameras

    if options.mode and options.kind != "stem":
        return _usage(f"--mode says what a stem camera shows; leave it out with {options.kind}")
    credentials = _camera_keys(options)
    simulated = cameras.camera_of(
        f"stem {options.mode or 'images'}" if options.kind == "stem" else options.kind,
        size=options.size,
        seed=options.seed,
        anomaly_rate=options.anomaly_rate,
        kinds=options.kinds,
        bank=options.bank,
        recoat_s=options.recoat,
    )
    sent = cameras.simulate(
        simulated,
        options.endpoint,
        options.rate,
        frames=options.frames,
        truth=Path(options.truth) if options.truth else None,
        camera=options.camera,
        socket=options.socket,
        connect=options.connect,
        frames_per_message=options.frames_per_message,
        credentials=credentials,
        wait_s=options.wait,
        stop=_stop_asked(),
    )
    return _tell_sent(sent)


def keys_new(options: argparse.Namespace) -> int:
    from monitor import keys, screen

    secret, public = keys.make(options.name, Path(options.dir))
    screen.say(f"{secret}: stays on this machine, for its owner only\n{public}: for whoever is to know {options.name}")
    return DONE


def keys_show(options: argparse.Namespace) -> int:
    from monitor import keys

    path = Path(options.file)
    key = keys.read_secret(path).public if path.suffix == keys.SECRET else keys.read_public(path)
    sys.stdout.write(key.decode() + "\n")
    return DONE


def keys_token(options: argparse.Namespace) -> int:
    from monitor import screen
    from monitor.web import token

    if options.out is None:
        sys.stdout.write(token.make() + "\n")
        return DONE
    token.write(Path(options.out))
    screen.say(f"{options.out}: name it in http.token_file; it stays on this machine, for its owner only")
    return DONE


def doctor(options: argparse.Namespace) -> int:
    from monitor import screen
    from monitor.doctor import examine

    findings = examine(_config(options.config))
    screen.show_findings(findings, as_json=options.json)
    return FAILED if any(finding.grade == "fault" for finding in findings) else DONE


def bench(options: argparse.Namespace) -> int:
    from monitor.bench import command

    try:
        report = command.bench(options)
    except command.UsageError as error:
        return _usage(str(error))
    return DONE if all(one.held_hz for one in report.conditions) else FAILED


def demo(options: argparse.Namespace) -> int:
    from monitor import demo as demonstration

    return demonstration.demo(options.seconds, stem=options.stem)


def _config(path: str | None) -> "Config":
    from monitor.config import Config, read

    return Config() if path is None else read(Path(path))


def _recorded(options: argparse.Namespace) -> "list[Recording]":
    """The groups that the command was given, with and without a context."""
    from monitor.camera.recordings import groups

    return groups(options.paths, [(context, paths) for context, *paths in options.inside])


def _input_keys(config: "Config", endpoint: str, bind: bool) -> "Credentials | None":
    """What a live camera asks for, or is asked for, as the daemon would. Raises ConfigError and KeyFileError."""
    from monitor import exposure, keys

    if bind:
        exposure.refuse_bind("--endpoint", endpoint, config.security)
    return keys.of_daemon(config.security)


def _camera_keys(options: argparse.Namespace) -> "Credentials | None":
    """What a camera of ours proves itself by; None: it has no key. Raises KeyFileError.

    Raises ConfigError where it would be open to the network without keys, as the daemon does.
    """
    from monitor import exposure, keys

    if not options.connect:
        exposure.refuse_camera(options.endpoint, keyed=bool(options.clients), insecure=options.insecure)
    if options.secret is None and not (options.server_key or options.clients):
        return None
    if options.secret is None or bool(options.server_key) == bool(options.clients):
        raise keys.KeyFileError(
            "a camera with keys needs --secret and either --server-key (it knows who is at the endpoint) or --clients "
            "(who may connect to it)"
        )
    return keys.Credentials(
        keys.read_secret(Path(options.secret)),
        keys.read_public(Path(options.server_key)) if options.server_key else None,
        Path(options.clients) if options.clients else None,
    )


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
