"""The arguments of `framewatch recordings`."""

import argparse
from collections.abc import Callable
from typing import Any


def add(recordings: argparse.ArgumentParser) -> None:
    """The commands below *recordings*."""
    below = recordings.add_subparsers(metavar="list|show|pin|unpin", required=True, parser_class=type(recordings))

    def command(name: str, function: str, does: str) -> Any:
        parser = below.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        parser.set_defaults(command=_late(function))
        parser.add_argument("--config", required=True, help="the daemon's configuration")
        parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    command("list", "list_", "all recordings, the newest first")
    shown = command("show", "show", "one recording: its events, its frames, and what is missing among them")
    shown.add_argument("name", metavar="NAME", help="as the list has it, or its path")
    for name, does in (("pin", "keep it, whatever the budget says"), ("unpin", "let it go when its turn comes")):
        asked = command(name, name, does)
        asked.add_argument("name", metavar="NAME", help="as the list has it, or its path")
        asked.add_argument("--by", help="who says so (default: the user of this machine)")
        if name == "pin":
            asked.add_argument("--reason", default="", metavar="TEXT")


def _late(function: str) -> Callable[[argparse.Namespace], int]:
    """That of `monitor.recorder.commands`, which is loaded when it runs: no other command is to wait for it."""

    def run(options: argparse.Namespace) -> int:
        from monitor.recorder import commands

        found: Callable[[argparse.Namespace], int] = getattr(commands, function)
        return found(options)

    return run
