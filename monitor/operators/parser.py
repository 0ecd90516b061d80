"""The arguments of `framewatch alarms`."""

import argparse
import re
from collections.abc import Callable
from typing import Any

from monitor import arguments as take

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def duration(text: str) -> float:
    """Seconds of a text such as 90s, 10m, 1.5h or 2d."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration such as 90s, 10m, 1.5h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def table(text: str) -> str:
    if not text.endswith((".csv", ".json")):
        raise argparse.ArgumentTypeError(f"'{text}' must end with .csv or .json")
    return text


def add(alarms: argparse.ArgumentParser) -> None:
    """The commands below *alarms*."""
    below = alarms.add_subparsers(metavar="COMMAND", required=True, parser_class=type(alarms))

    def command(name: str, function: str, does: str, json: bool = True) -> Any:
        parser = below.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        parser.set_defaults(command=_late(function))
        parser.add_argument("--config", required=True, help="the daemon's configuration")
        if json:
            parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    listed = command("list", "list_", "the latest alarms, newest first, and how many there are")
    listed.add_argument("--state", choices=("active", "cleared", "unacknowledged"))
    listed.add_argument("--limit", type=take.count, default=50, help="at most so many (default 50)")
    _which(listed)
    command("history", "history", "what became of one alarm, and who did what").add_argument("id", metavar="ID")
    told = command("tail", "tail", "which alarms are open, then every change as it is published")
    told.add_argument("--changes-only", action="store_true", help="leave out what is open already")
    told.add_argument("--secret", metavar="FILE", help="own secret key, where the daemon asks for keys")
    told.add_argument("--server-key", metavar="FILE", help="with --secret: the daemon's public key")
    command("sources", "sources", "which sources are shelved, suppressed or out of service")
    shown = command("figures", "figures", "how good the alarms are, in the figures of ISA-18.2")
    shown.add_argument("--hours", type=take.positive, default=24.0, help="of the last so many (default 24)")
    exported = command("export", "export", "every revision as a table", json=False)
    exported.add_argument("--out", type=table, required=True, metavar="FILE.csv|.json")
    exported.add_argument("--hours", type=take.positive, help="of the last so many (default: all)")
    _acknowledge(command("ack", "acknowledge", "alarms were seen; said again of one, its verdict is changed"))
    shelved = command("shelve", "shelve", "alarms of this source are not to be told for a while")
    _target(shelved)
    shelved.add_argument("--for", dest="for_s", type=duration, required=True, metavar="10m")
    _who(shelved)
    suppressed = command("suppress", "suppress", "for programs: alarms of this source mean nothing for a while")
    _target(suppressed)
    suppressed.add_argument("--for", dest="for_s", type=duration, required=True, metavar="10m")
    _who(suppressed, required=True)
    out = command("out", "take_out", "this source is out of service until it is put back")
    _target(out)
    _who(out, required=True)
    back = command("back", "put_back", "this source is told as usual again")
    _target(back)
    back.add_argument("--from", dest="mode", choices=("shelved", "suppressed", "out_of_service"), required=True)
    _who(back)


def _late(function: str) -> Callable[[argparse.Namespace], int]:
    """That of `monitor.operators.commands`, which is loaded when it runs: no other command is to wait for it."""

    def run(options: argparse.Namespace) -> int:
        from monitor.operators import commands

        found: Callable[[argparse.Namespace], int] = getattr(commands, function)
        return found(options)

    return run


def _acknowledge(seen: argparse.ArgumentParser) -> None:
    which = seen.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?")
    which.add_argument("--all", action="store_true", help="every alarm that nobody has acknowledged so far, or:")
    _which(seen)
    last = seen.add_mutually_exclusive_group()
    last.add_argument("--until", metavar="ID", help="with --all: those raised up to and with this one")
    last.add_argument("--before", metavar="ID", help="with --all: those raised before this one")
    seen.add_argument("--verdict", choices=("true", "false", "unknown"), help="was it one?")
    _who(seen)


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", help="those of this source")
    parser.add_argument("--group", metavar="ID", help="a flood alarm: those that stand behind it, and itself")


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="ID|SOURCE", help="an alarm, whose source is meant, or the name of a source")


def _who(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument("--by", help="who acts (default: the user of this machine)")
    parser.add_argument("--reason", default="", required=required, help="why")
