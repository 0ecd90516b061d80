"""What each of `framewatch alarms` does with its arguments."""

import argparse
import getpass
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor import config as configs
from monitor import keys, screen
from monitor.alarms.acts import Acknowledge, Asked, PutBack, Shelve, Suppress, TakeOut
from monitor.alarms.alarm import Alarm
from monitor.alarms.figures import figures as figures_of
from monitor.config import Config
from monitor.journal.store import Journal
from monitor.operators import reach, show
from monitor.operators.reach import AlarmError
from monitor.web import token

if TYPE_CHECKING:
    from monitor.operators.tail import Lock

DONE, FAILED = 0, 1
PAGE = 1000  # revisions read at a time


def list_(options: argparse.Namespace) -> int:
    with _journal(options) as journal:
        found = journal.alarms(options.limit, options.state)
    if options.json:
        show.as_json(found)
    else:
        show.alarms(found)
    return DONE


def history(options: argparse.Namespace) -> int:
    with _journal(options) as journal:
        found = journal.changes(options.id)
    if not found:
        raise AlarmError(f"there is no alarm {options.id!r}")
    if options.json:
        show.as_json([one._asdict() for one in found])
    else:
        show.history(found)
    return DONE


def sources(options: argparse.Namespace) -> int:
    with _journal(options) as journal:
        modes, _ = journal.modes()
    if options.json:
        show.as_json([{"source": source, **mode._asdict()} for (source, _), mode in modes.items()])
    else:
        show.sources(modes)
    return DONE


def figures(options: argparse.Namespace) -> int:
    last_t_ns = time.time_ns()
    first_t_ns = last_t_ns - round(options.hours * 3.6e12)
    with _journal(options) as journal:
        found = figures_of(journal.lived(first_t_ns, last_t_ns), first_t_ns, last_t_ns)
    if options.json:
        show.as_json(found)
    else:
        show.figures(found)
    return DONE


def export(options: argparse.Namespace) -> int:
    since_t_ns = 0 if options.hours is None else time.time_ns() - round(options.hours * 3.6e12)
    changes, row = [], 0
    with _journal(options) as journal:
        while page := journal.changes_after(row, PAGE):
            row = page[-1].row
            changes += [one for one in page if one.t_ns >= since_t_ns]
    path = Path(options.out)
    if path.suffix == ".json":
        path.write_bytes(msgspec.json.encode([one._asdict() for one in changes]))
    else:
        path.write_text(show.as_csv(changes), newline="")
    screen.say(f"{len(changes)} revisions written to {path}")
    return DONE


def acknowledge(options: argparse.Namespace) -> int:
    return _do(options, options.id, Acknowledge(_by(options), options.verdict, options.reason))


def shelve(options: argparse.Namespace) -> int:
    return _do(options, options.target, Shelve(_by(options), options.for_s, options.reason))


def suppress(options: argparse.Namespace) -> int:
    return _do(options, options.target, Suppress(_by(options), options.for_s, options.reason))


def take_out(options: argparse.Namespace) -> int:
    return _do(options, options.target, TakeOut(_by(options), options.reason))


def put_back(options: argparse.Namespace) -> int:
    return _do(options, options.target, PutBack(_by(options), options.mode, options.reason))


def tail(options: argparse.Namespace) -> int:
    """What is open, then each change of an alarm as it is published, until interrupted."""
    import zmq

    from monitor.operators.tail import Tail

    config = configs.read(Path(options.config))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = _lock(options)
    snapshot = None if options.changes_only else config.outputs.snapshot
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def tell(alarm: Alarm, t_ns: int) -> None:
        if options.json:
            sys.stdout.write(msgspec.json.encode(alarm).decode() + "\n")
            sys.stdout.flush()
        else:
            screen.say(f"{show.clock(t_ns)}  {alarm.id} rev {alarm.rev:<3} {show.line_of(alarm)}")

    try:
        Tail(context, config.camera, config.outputs.alarms, snapshot, lock).follow(
            lambda alarm: tell(alarm, alarm.raised_t_ns),
            lambda alarm: tell(alarm, time.time_ns()),
            lambda line: screen.err.print(line, markup=False),
        )
    except KeyboardInterrupt:
        return DONE
    finally:
        context.destroy(0)


def _lock(options: argparse.Namespace) -> "Lock":
    """What gives a socket the keys of *options*, if any."""
    if options.secret is None:
        return lambda socket: None
    if options.server_key is None:
        raise AlarmError("with --secret name the daemon's public key, --server-key FILE")
    own, server = keys.read_secret(Path(options.secret)), keys.read_public(Path(options.server_key))
    return partial(keys.use_as_client, own=own, server=server)


def _journal(options: argparse.Namespace) -> "_Opened":
    config = configs.read(Path(options.config))
    if not Path(config.journal).exists():
        raise AlarmError(f"{config.journal}: there is no journal yet; it is made when the daemon starts")
    return _Opened(Path(config.journal), config.camera)


class _Opened(Journal):
    """A journal that is closed where the `with` ends."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _do(options: argparse.Namespace, target: str, asked: Asked) -> int:
    config = configs.read(Path(options.config))
    found = reach.do(config, _token(config), target, asked)
    if options.json:
        show.as_json(found)
    elif found["alarm"] is not None:
        screen.say(show.line_of(msgspec.convert(found["alarm"], Alarm)))
    elif found["source"] is not None:
        screen.say(f"{found['source']}: done; no alarm of it is open")
    else:
        screen.say("nothing changed: it was so already")
    return DONE


def _token(config: Config) -> str | None:
    return token.text_of(Path(config.http.token_file)) if config.http.token_file else None


def _by(options: argparse.Namespace) -> str:
    """Who acts: as said, or the user of this machine."""
    try:
        return str(options.by or getpass.getuser())
    except (KeyError, OSError):
        raise AlarmError("this user has no name: say who acts, with --by") from None
