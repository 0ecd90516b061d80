"""What each of `framewatch taxonomy` does with its arguments, with a daemon that runs or one that does not.

Lists are read from the file, beside whoever writes it. What changes something is asked of the daemon, with its token;
where none runs it is written into the file.
"""

import argparse
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from monitor import config as configs
from monitor import screen
from monitor.config import Config
from monitor.operators import reach
from monitor.operators.commands import by_whom, token_of
from monitor.operators.reach import AlarmError
from monitor.operators.show import as_json, clock
from monitor.taxonomy import shown
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.records import Naming
from monitor.taxonomy.shown import ChangeShown, KindInFull, KindShown, Overview, SampleShown
from monitor.taxonomy.store import WAIT_S, Store, beside

DONE: Final = 0
TIMEOUT_S: Final = 20.0
LOOK_S: Final = 0.5
SHA_DIGITS: Final = 12
BEGIN_S: Final = 10.0
"""A grouping that was asked for is begun sooner; then it has its own limit."""


def list_(options: argparse.Namespace) -> int:
    with _file(options, read_only=True) as store:
        found = shown.overview(store)
    if options.json:
        as_json(found)
    else:
        _show_all(found)
    return DONE


def show(options: argparse.Namespace) -> int:
    with _file(options, read_only=True) as store:
        found = shown.in_full(store, options.id)
    if found is None:
        raise AlarmError(f"there is no kind {options.id}")
    if options.json:
        as_json(found)
    else:
        _show_one(found)
    return DONE


def name(options: argparse.Namespace) -> int:
    if not (options.name or options.note or options.priority):
        raise AlarmError("give a NAME, a --note or a --priority")
    config = configs.read(Path(options.config))
    asked = reach.bounded(Naming(by_whom(options), options.name, options.note or "", options.priority))
    try:
        answer = reach.by_daemon(config, token_of(config), f"taxonomy/{options.id}/name", asked, TIMEOUT_S)
        found: KindInFull | None = msgspec.convert(answer, KindInFull)
    except ConnectionRefusedError:
        with _file(options) as store:
            store.act(options.id, asked, time.time_ns())
            found = shown.in_full(store, options.id)
    if found is None:
        raise AlarmError(f"there is no kind {options.id}")
    if options.json:
        as_json(found)
    else:
        screen.say(_line(found.kind))
    return DONE


def run(options: argparse.Namespace) -> int:
    config = configs.read(Path(options.config))
    if config.bundle is None:
        raise AlarmError(f"{options.config}: without a bundle there are no points to group")
    try:
        found = _by_daemon(config, by_whom(options))
    except ConnectionRefusedError:
        found = _here(options, config, config.bundle)
    if options.json:
        as_json(found)
    else:
        _show_all(found)
    return DONE


def compare(options: argparse.Namespace) -> int:
    from monitor.taxonomy import compare_command

    return compare_command.compare(options)


def _by_daemon(config: Config, by: str) -> Overview:
    """Have the daemon group, and wait until it has."""

    def look() -> Overview:
        return msgspec.convert(reach.by_daemon(config, None, "taxonomy", None, TIMEOUT_S), Overview)

    before = look()
    reach.by_daemon(config, token_of(config), "taxonomy/run", {"by": by}, TIMEOUT_S)
    never, ends_s = threading.Event(), time.monotonic() + BEGIN_S + config.taxonomy.limit_s
    while time.monotonic() < ends_s:
        never.wait(LOOK_S)
        now = look()
        if now.running:
            continue
        if now.failed:
            raise AlarmError(now.failed)
        if now.run is not None and (before.run is None or now.run.number > before.run.number):
            return now
    raise AlarmError("the daemon does not group; its log says why")


def _here(options: argparse.Namespace, config: Config, bundle: str) -> Overview:
    """No daemon runs: group in this process."""
    from monitor.taxonomy.group import group

    with _file(options) as store:
        try:
            group(Task(str(beside(Path(config.journal))), config.camera, bundle, config.taxonomy, 0))
        except OSError as error:
            where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise AlarmError(f"they are grouped, but their page cannot be written: {where}") from None
        return shown.overview(store)


@contextmanager
def _file(options: argparse.Namespace, *, read_only: bool = False) -> Iterator[Store]:
    config = configs.read(Path(options.config))
    path = beside(Path(config.journal))
    if not path.exists():
        raise AlarmError(f"{path}: there are no kinds yet; a daemon with a bundle makes the file when it starts")
    store = Store(path, config.camera, wait_s=WAIT_S, read_only=read_only)
    try:
        yield store
    except sqlite3.Error as error:
        raise AlarmError(f"{path}: {error}") from None
    finally:
        store.close()


def _show_all(found: Overview) -> None:
    if found.few_count:
        screen.say(f"too few to be a kind: {found.few_count} events, the farthest from any kind first")
        _table_of(found.few)
    if found.kinds:
        headings = ("kind", "name", "state", "priority", "events", "first", "last")
        screen.listing(headings, [_cells(kind) for kind in found.kinds])
    else:
        screen.say("no kinds yet")
    if found.run is not None:
        run = found.run
        by = f" by embedding {run.embedding[:SHA_DIGITS]}" if run.embedding else ""
        took = f"{run.points} events grouped{by} at {clock(run.t_ns)} in {run.seconds:.1f} s"
        screen.say(f"{took}: {run.why}" + (f"; {run.left_out} no longer fit the bundle" if run.left_out else ""))
    missed = f", {found.missed} without a frame" if found.missed else ""
    screen.say(f"{found.new} events since; of {found.events} that there were{missed}, {found.held} are kept")


def _cells(kind: KindShown) -> tuple[str, ...]:
    times = clock(kind.first_t_ns), clock(kind.last_t_ns)
    return str(kind.id), kind.name, _state(kind), kind.priority or "", str(kind.events), *times


def _show_one(found: KindInFull) -> None:
    screen.say(_line(found.kind))
    for note in found.kind.notes:
        screen.say(f"  {note}")
    for heading, samples in (("typical events:", found.nearest), ("farthest from them:", found.farthest)):
        if samples:
            screen.say(heading)
            _table_of(samples)
    for change in found.changes:
        screen.say(f"run {change.run}: {_became(change)}")
    for act in found.acts:
        said = [f"name {act.name}"] if act.name else []
        said += [f"note {act.note}"] if act.note else []
        said += [f"priority {act.priority or 'none'}"] if act.priority is not None else []
        screen.say(f"{clock(act.t_ns)}  {act.by}: {', '.join(said)}")


def _line(kind: KindShown) -> str:
    called = f" {kind.name}" if kind.name else ""
    urgent = f", priority {kind.priority}" if kind.priority else ""
    return f"kind {kind.id}{called}: {_state(kind)}{urgent}, {kind.events} events, {kind.held} of them kept"


def _state(kind: KindShown) -> str:
    return f"merged into {kind.merged_into}" if kind.merged_into is not None else kind.state


def _became(change: ChangeShown) -> str:
    others = ", ".join(map(str, change.others))
    told = {"born": "a part of", "returned": "a part of", "split": "into itself and", "merged": "took in"}
    return f"{change.what}, {told[change.what]} {others}" if others else change.what


def _table_of(samples: list[SampleShown]) -> None:
    rows = []
    for one in samples:
        near = "" if one.nearest is None else f"{one.nearest} at {one.distance:.2f} radii"
        layer = "" if one.layer is None else str(one.layer)
        kept = clock(one.t_ns), one.source, f"{one.ratio:.2f}", str(one.seq)
        rows.append((str(one.id), one.alarm or "", *kept, layer, near))
    screen.listing(("sample", "alarm", "kept", "source", "ratio", "frame", "layer", "nearest kind"), rows)
