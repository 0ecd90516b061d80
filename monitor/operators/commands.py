"""What each of `framewatch alarms` does with its arguments."""

import argparse
import getpass
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor import config as configs
from monitor import keys, screen
from monitor.alarms.acts import Acknowledge, AcknowledgeAll, Asked, PutBack, Shelve, Suppress, TakeOut
from monitor.alarms.alarm import SOURCES, Alarm
from monitor.alarms.figures import figures as figures_of
from monitor.config import Config
from monitor.journal.reader import Reader
from monitor.journal.reading import Wanted
from monitor.operators import reach, show, table
from monitor.operators.reach import AlarmError
from monitor.web import token

if TYPE_CHECKING:
    from monitor.operators.tail import Lock

DONE, FAILED = 0, 1


def list_(options: argparse.Namespace) -> int:
    wanted = Wanted(options.state, source=_source(options), group=options.group)
    with _journal(options) as journal:
        found = journal.listed(options.limit, wanted)
        count, unseen = journal.count(wanted), journal.count(wanted._replace(unseen=True))
    if options.json:
        show.as_json(found)
    else:
        show.alarms(found, count, unseen)
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
    first_t_ns = max(last_t_ns - round(options.hours * 3.6e12), 0)
    with _journal(options) as journal:
        found = figures_of(journal.lived(first_t_ns, last_t_ns), first_t_ns, last_t_ns)
    if options.json:
        show.as_json(found)
    else:
        show.figures(found)
    return DONE


def export(options: argparse.Namespace) -> int:
    since_t_ns = 0 if options.hours is None else max(time.time_ns() - round(options.hours * 3.6e12), 0)
    path = Path(options.out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half written goes away then, too
    with _journal(options) as journal:
        count = table.write(path, table.pages(journal, since_t_ns))
    screen.say(f"{count} revisions written to {path}")
    return DONE


def acknowledge(options: argparse.Namespace) -> int:
    if options.all:
        return _acknowledge_all(options)
    if options.source or options.group or options.until or options.before:
        raise AlarmError("--source, --group, --until and --before belong to --all")
    return _do(options, options.id, Acknowledge(by_whom(options), options.verdict, options.reason))


def shelve(options: argparse.Namespace) -> int:
    return _do(options, options.target, Shelve(by_whom(options), options.for_s, options.reason))


def suppress(options: argparse.Namespace) -> int:
    return _do(options, options.target, Suppress(by_whom(options), options.for_s, options.reason))


def take_out(options: argparse.Namespace) -> int:
    return _do(options, options.target, TakeOut(by_whom(options), options.reason))


def put_back(options: argparse.Namespace) -> int:
    return _do(options, options.target, PutBack(by_whom(options), options.mode, options.reason))


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
            lambda line: screen.err.print(line),
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


@contextmanager
def _journal(options: argparse.Namespace) -> Iterator[Reader]:
    """The journal, and what it holds at one moment; nothing is written, whatever its format."""
    config = configs.read(Path(options.config))
    if not Path(config.journal).exists():
        raise AlarmError(f"{config.journal}: there is no journal yet; it is made when the daemon starts")
    reader = Reader(Path(config.journal), config.camera)
    try:
        with reader.snapshot():
            yield reader
    finally:
        reader.close()


def _do(options: argparse.Namespace, target: str, asked: Asked) -> int:
    config = configs.read(Path(options.config))
    found = reach.do(config, token_of(config), target, asked)
    if options.json:
        show.as_json(found)
    elif found["alarm"] is not None:
        screen.say(show.line_of(msgspec.convert(found["alarm"], Alarm)))
    elif found["source"] is not None:
        screen.say(f"{found['source']}: done; no alarm of it is open")
    else:
        screen.say("nothing changed: it was so already")
    return DONE


def _acknowledge_all(options: argparse.Namespace) -> int:
    """Up to the newest alarm that there is now: what comes meanwhile nobody has seen."""
    if not options.reason:
        raise AlarmError("say why they are all acknowledged at once, with --reason")
    config = configs.read(Path(options.config))
    with _journal(options) as journal:
        wanted = _up_to(journal, options)
        count, newest = journal.count(wanted), journal.listed(1, wanted)
    found = {"acknowledged": 0, "ids": [], "journaled": True}
    if newest:
        if not options.json:
            screen.say(f"{count} alarms wait, the one raised last is {newest[0].id}")
        asked = AcknowledgeAll(
            by_whom(options), newest[0].id, options.verdict, options.reason, options.source, options.group
        )
        found = reach.do_all(config, token_of(config), asked)
    if options.json:
        show.as_json({"waited": count, "until": newest[0].id if newest else None, **found})
    else:
        later = "" if found["journaled"] else "; the disk refuses, and they are written when it takes them"
        screen.say(f"{found['acknowledged']} alarms acknowledged{later}")
    return DONE


def _up_to(journal: Reader, options: argparse.Namespace) -> Wanted:
    """Which alarms wait, up to the one that was named or to the newest."""
    wanted = Wanted("unacknowledged", source=_source(options), group=options.group)
    named = options.until or options.before
    if named is None:
        return wanted
    place = journal.place(named)
    if place is None:
        raise AlarmError(f"there is no alarm {named!r}")
    return wanted._replace(until=place if options.until else place - 1)


def _source(options: argparse.Namespace) -> str | None:
    if options.source is not None and options.source not in SOURCES:
        raise AlarmError(f"there is no source {options.source!r}; there are {', '.join(SOURCES)}")
    return str(options.source) if options.source is not None else None


def token_of(config: Config) -> str | None:
    """What a request that changes something carries; None: none is configured."""
    return token.text_of(Path(config.http.token_file)) if config.http.token_file else None


def by_whom(options: argparse.Namespace) -> str:
    """Who acts: as said, or the user of this machine."""
    try:
        return str(options.by or getpass.getuser())
    except (KeyError, OSError):
        raise AlarmError("this user has no name: say who acts, with --by") from None
