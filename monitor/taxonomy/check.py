"""Whether the daemon could keep kinds of anomaly as configured: their file is only read, and nothing made beside it."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from monitor.config import Config
from monitor.finding import Finding
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.shown import Overview, overview
from monitor.taxonomy.store import Store, StoreError, beside

CHECK: Final = "kinds"
NEW_ONE: Final = "move it away (kinds then begin anew, without their names), or restore a copy"


def examine(config: Config, frame_bytes: int | None) -> Finding:
    """What is wrong with the file of kinds, or what it holds. *frame_bytes*: of one frame; None where nobody knows."""
    path = beside(Path(config.journal))
    for one in _written_with(path):
        if not os.access(one, os.W_OK):
            return Finding(CHECK, "fault", f"{one} cannot be written", "let the daemon's user write it")
    held, found = 0, f"{path} will be made by a daemon with a bundle"
    if path.is_file() and path.stat().st_size == 0:
        found = f"{path} is empty and will be filled"
    elif path.exists() and not path.is_file():
        return Finding(CHECK, "fault", f"{path} is no file", "move it away")
    elif path.exists():
        try:
            with closing(Store(path, config.camera, check=True, read_only=True)) as store:
                found = f"{path}: {_told(overview(store))}"
        except StoreError as error:
            problem, _, remedy = str(error).rpartition("; ")
            return Finding(CHECK, "fault", problem or remedy, _remedy(remedy) if problem else NEW_ONE)
        except sqlite3.Error as error:
            return Finding(CHECK, "fault", f"{path} cannot be read: {error}", NEW_ONE)
        held = path.stat().st_size
    return _with_room(found, path.parent, most_bytes(config.taxonomy, frame_bytes) - held)


def most_bytes(settings: Taxonomy, frame_bytes: int | None) -> int:
    """Pixels that there may come to be."""
    most = round(settings.mib * 2**20)
    return most if frame_bytes is None else min(most, (settings.samples + settings.normals) * frame_bytes)


def _written_with(path: Path) -> list[Path]:
    """The folder of the file at *path*, and what lies there of it: the daemon writes them all."""
    files = (path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
    return [path.parent, *(one for one in files if one.exists())]


def _remedy(of_the_file: str) -> str:
    return NEW_ONE if of_the_file == "move it away" else of_the_file


def _told(seen: Overview) -> str:
    living = sum(kind.state == "alive" for kind in seen.kinds)
    grouped = "never grouped yet" if seen.run is None else f"grouped {seen.run.number} time(s)"
    return f"{living} kind(s) alive of {len(seen.kinds)}, {seen.held} of {seen.events} events held, {grouped}"


def _with_room(found: str, folder: Path, more: int) -> Finding:
    free = shutil.disk_usage(folder).free
    if more <= free:
        return Finding(CHECK, "ok", found)
    found = f"{found}; it may grow by {more / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are free"
    return Finding(CHECK, "warning", found, "make room, or lower taxonomy.mib")
