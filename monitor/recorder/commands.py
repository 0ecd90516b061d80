"""What each of `framewatch recordings` does, with a daemon that runs or one that does not.

Lists are read from the folder. A pin is asked of the daemon, which may write there, with its token; where none runs it
is set by hand.
"""

import argparse
import time
import urllib.parse
from pathlib import Path
from typing import Final, Literal

import msgspec

from monitor import config as configs
from monitor import screen
from monitor.operators import reach
from monitor.operators.commands import by_whom, token_of
from monitor.operators.reach import AlarmError
from monitor.operators.show import as_json, clock
from monitor.recorder import recording
from monitor.recorder.shelf import Pin, Shelf, ShelfError, Shown

DONE: Final = 0
TIMEOUT_S: Final = 20.0


def list_(options: argparse.Namespace) -> int:
    found = _shelf(options).shown()
    if options.json:
        as_json(found)
    else:
        _show_all(found)
    return DONE


def show(options: argparse.Namespace) -> int:
    shelf, name = _shelf(options), Path(options.name).name
    found = shelf.show(name)
    try:
        tables = recording.tables(shelf.path(name))
    except (OSError, KeyError, ValueError, RuntimeError):
        raise ShelfError(f"{name} cannot be read: it is damaged") from None
    if options.json:
        as_json({**msgspec.structs.asdict(found), "tables": tables})
        return DONE
    _show_all([found])
    for event in tables["events"]:
        over = "" if event["ratio"] is None else f", {event['ratio']:.2f} x its limit at frame {event['peak_seq']}"
        screen.say(
            f"event {event['event']}: {event['source']}, frames {event['first_seq']} to {event['last_seq']}{over}"
        )
    for gap in tables["gaps"]:
        screen.say(f"missing: frames {gap['first_seq']} to {gap['last_seq']} of {gap['stream']}, {gap['why']}")
    return DONE


def pin(options: argparse.Namespace) -> int:
    return _act(options, "pin", Pin(by_whom(options), options.reason))


def unpin(options: argparse.Namespace) -> int:
    return _act(options, "unpin", Pin(by_whom(options)))


def _act(options: argparse.Namespace, act: Literal["pin", "unpin"], asked: Pin) -> int:
    config, name = configs.read(Path(options.config)), Path(options.name).name
    asked = reach.bounded(asked)
    try:
        path = f"recordings/{urllib.parse.quote(name, safe='')}/{act}"
        found = msgspec.convert(reach.by_daemon(config, token_of(config), path, asked, TIMEOUT_S), Shown)
    except ConnectionRefusedError:
        shelf = Shelf(config.recorder.place(config.journal))
        given = msgspec.structs.replace(asked, t_ns=time.time_ns())
        found = shelf.pin(name, given) if act == "pin" else shelf.unpin(name)
    if options.json:
        as_json(found)
    else:
        _show_all([found])
    return DONE


def _shelf(options: argparse.Namespace) -> Shelf:
    config = configs.read(Path(options.config))
    if not config.recorder.on:
        raise AlarmError(f"{options.config}: nothing is recorded (recorder.mib is 0)")
    return Shelf(config.recorder.place(config.journal))


def _show_all(found: list[Shown]) -> None:
    if not found:
        return screen.say("no recordings")
    numbers = ("events", "frames", "gaps", "MiB")
    screen.listing(("name", "written", "source", "job", *numbers, "pinned by"), [_cells(one) for one in found], numbers)
    return None


def _cells(one: Shown) -> tuple[str, ...]:
    counts = ("" if value is None else str(value) for value in (one.events, one.frames, one.gaps))
    written = "damaged" if one.t_ns is None else clock(one.t_ns)
    size = f"{one.nbytes / 2**20:.1f}"
    return one.name, written, one.source or "", one.job or "", *counts, size, one.pinned.by if one.pinned else ""
