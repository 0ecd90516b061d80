"""The arguments of `framewatch taxonomy`."""

import argparse
import importlib
from collections.abc import Callable
from typing import Any, Final

from monitor import arguments as take
from monitor.taxonomy.records import NAME_MOST, NOTE_MOST, in_one_line
from monitor.vitals import PRIORITIES

GROUPS_MOST: Final = 24  # as models.taxonomy.cut.KINDS_MAX, which the commands do not load

CONTENTS_MOST: Final = 256  # crops of 32 x 32 px hold no more that would tell kinds apart


def text(most: int) -> Callable[[str], str]:
    """Text of at most so many letters, and at least one that can be seen."""

    def take_text(given: str) -> str:
        if len(given) > most or not in_one_line(given):
            raise argparse.ArgumentTypeError(f"takes 1 to {most} letters in one line")
        return given.strip()

    return take_text


def add(taxonomy: argparse.ArgumentParser) -> None:
    """The commands below *taxonomy*."""
    below = taxonomy.add_subparsers(metavar="COMMAND", required=True, parser_class=type(taxonomy))

    def command(name: str, function: str, does: str, module: str = "commands") -> Any:
        parser = below.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        parser.set_defaults(command=_late(module, function))
        parser.add_argument("--config", required=True, help="the daemon's configuration")
        parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    command("list", "list_", "what is too few to be a kind, then all kinds")
    shown = command("show", "show", "one kind: its typical and its farthest events, its history, what was said of it")
    shown.add_argument("id", metavar="ID", type=take.count)
    named = command("name", "name", "call a kind by a name, note something about it, give it a priority")
    named.add_argument("id", metavar="ID", type=take.count)
    named.add_argument("name", metavar="NAME", nargs="?", type=text(NAME_MOST))
    named.add_argument("--note", type=text(NOTE_MOST), metavar="TEXT")
    named.add_argument("--priority", choices=(*PRIORITIES, "none"), help="none takes it away")
    named.add_argument("--by", help="who says so (default: the user of this machine)")
    run = command("run", "run", "group the events that are kept now, and say what was found")
    run.add_argument("--by", help="who asks (default: the user of this machine)")
    learn = command(
        "learn", "learn", "learn an embedding by which kinds are told apart, from frames of events", "learn"
    )
    _add_learning(learn)
    _add_compare(
        command("compare", "compare", "other ways to group, and other embeddings, side by side; changes nothing")
    )


def _add_compare(compare: Any) -> None:
    compare.add_argument(
        "--from", dest="paths", nargs="+", default=[], metavar="PATH", help="recorded frames in place of kept events"
    )
    compare.add_argument(
        "--embedding", action="append", default=[], metavar="FILE", help="an embedding to compare too; again for each"
    )
    compare.add_argument(
        "--labels",
        metavar="FILE",
        help="what events are: CSV with columns label, and alarm or seq (and stream); the truth of a simulated camera "
        "(.jsonl); with --from also `folders`: names of the frames' folders (default: names of kinds)",
    )
    numbers = compare.add_mutually_exclusive_group()
    numbers.add_argument("--kinds", type=groups, metavar="K", help="every way is to find so many groups")
    numbers.add_argument("--most", type=groups, metavar="K", help="try up to so many groups (default 12)")
    compare.add_argument("--out", metavar="REPORT.html", help="write a page with curves, maps and typical frames")


def groups(given: str) -> int:
    """A number of groups, 2 to GROUPS_MOST."""
    found = take.count(given)
    if not 2 <= found <= GROUPS_MOST:
        raise argparse.ArgumentTypeError(f"takes 2 to {GROUPS_MOST}")
    return found


def contents(given: str) -> int:
    """Numbers that a frame becomes, 1 to CONTENTS_MOST."""
    found = take.count(given)
    if found > CONTENTS_MOST:
        raise argparse.ArgumentTypeError(f"takes 1 to {CONTENTS_MOST}")
    return found


def _add_learning(learn: argparse.ArgumentParser) -> None:
    learn.add_argument("--out", required=True, metavar="FILE", help="file to write, for taxonomy.embedding")
    learn.add_argument(
        "--embedding",
        required=True,
        choices=("invariant", "texture", "backbone"),
        help="an object or defect whichever way it is turned; a surface; somebody else's frozen network",
    )
    learn.add_argument(
        "--from",
        dest="paths",
        nargs="+",
        default=[],
        metavar="PATH",
        help="recorded frames of anomalies, as calibrate takes them (default: the frames kept beside the journal)",
    )
    learn.add_argument("--steps", type=take.count, metavar="N", help="invariant: steps of training (default 600)")
    learn.add_argument(
        "--seed",
        type=take.seed,
        default=0,
        metavar="N",
        help="invariant: the same frames and seed give the same embedding (default 0)",
    )
    learn.add_argument("--contents", type=contents, metavar="P", help="invariant: numbers a frame (default 8)")
    learn.add_argument("--network", metavar="NAME", help="backbone: resnet18, ...")
    learn.add_argument("--weights", metavar="FILE", help="backbone: its weights, safetensors or a state saved by torch")
    learn.add_argument(
        "--library", choices=("torchvision", "timm"), default="torchvision", help="backbone: which knows the network"
    )


def _late(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """That of a module of `monitor.taxonomy`, which is loaded when it runs: no other command is to wait for it."""

    def run(options: argparse.Namespace) -> int:
        found: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"monitor.taxonomy.{module}"), function
        )
        return found(options)

    return run
