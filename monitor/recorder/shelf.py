"""The folder of recordings: their names, which of them are pinned, and how many bytes they may take.

A recording is written under a hidden name, synced, and renamed: what bears its name is whole. A pin is a small file
beside it, so that it survives whatever is killed; whoever may write to the folder may pin.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec

from monitor.recorder.recording import attributes_of

SUFFIX: Final = ".h5"
PIN: Final = ".pin"
PART: Final = ".part"
KNOWN_MOST: Final = 4096

_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[0-9a-z-]{1,8}_\d{1,19}(?:-\d{1,6})?\.h5")
_HALF_WRITTEN: Final = re.compile(r"\..+\.(?:h5|pin)\.part")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=500)]


class ShelfError(ValueError):
    """A recording that there is none of, or that cannot be pinned: one line."""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who keeps a recording from being removed, and why."""

    by: Name
    reason: Text = ""
    t_ns: int = 0  # Unix, when; of what is asked for it means nothing


class Shown(msgspec.Struct, frozen=True):
    """A recording in one line."""

    name: str
    path: str
    nbytes: int
    pinned: Pin | None
    t_ns: int | None = None  # Unix, when it was written; None, as all below: the file is damaged
    epoch: str | None = None
    event: int | None = None
    events: int | None = None
    source: str | None = None
    stream: str | None = None
    job: str | None = None
    layer: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    frames: int | None = None
    gaps: int | None = None
    bundle: str | None = None


class File(msgspec.Struct, frozen=True):
    """A recording, as the folder shows it."""

    name: str
    nbytes: int
    pinned: bool


def name_of(began_t_ns: int, epoch: str, event: int, part: int = 0) -> str:
    """What the recording of an event is called: names sort by the time when events began. *part*: a later one of it."""
    seconds, rest = divmod(began_t_ns, 1_000_000_000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    more = f"-{part + 1}" if part else ""
    return f"{stamp}.{rest // 1_000_000:03d}Z_{epoch[:8].lower()}_{event}{more}{SUFFIX}"


class Shelf:
    """The recordings in *folder*. Several processes may use it; only one writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[str, int, int], Shown] = {}

    def files(self) -> list[File]:
        """All of them, the oldest first; none where there is no folder. Raises OSError where it cannot be read."""
        try:
            found = sorted(os.scandir(self.folder), key=lambda one: one.name)
        except FileNotFoundError:
            return []
        names = {one.name for one in found}
        files = []
        for one in found:
            if _NAME.fullmatch(one.name):
                with suppress(FileNotFoundError):  # it was removed meanwhile
                    if one.is_file(follow_symlinks=False):
                        size = one.stat(follow_symlinks=False).st_size
                        files.append(File(one.name, size, one.name + PIN in names))
        return files

    def path(self, name: str) -> Path:
        """Of the recording of this name. Raises ShelfError where there is none: no other file is ever meant."""
        path = self.folder / name
        if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_file():
            raise ShelfError(f"there is no recording {name!r}")
        return path

    def shown(self) -> list[Shown]:
        """All of them with what they say of themselves, the newest first. Raises OSError."""
        found = []
        for one in reversed(self.files()):
            with suppress(ShelfError):  # it was removed meanwhile
                found.append(self.show(one.name))
        return found

    def show(self, name: str) -> Shown:
        """One of them. Raises ShelfError."""
        path = self.path(name)
        try:
            stat = path.stat()
        except OSError:
            raise ShelfError(f"there is no recording {name!r}") from None
        key = name, stat.st_size, stat.st_mtime_ns
        if key not in self._known:
            if len(self._known) >= KNOWN_MOST:  # of files that are gone, too
                self._known.clear()
            found = _shown(path, stat.st_size)
            if found.t_ns is None:
                self.path(name)  # not damaged, if it was removed meanwhile
            self._known[key] = found
        return msgspec.structs.replace(self._known[key], pinned=self.pin_of(name))

    def pin_of(self, name: str) -> Pin | None:
        """Who pinned it; None: nobody."""
        try:
            return msgspec.json.decode((self.folder / (name + PIN)).read_bytes(), type=Pin)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            return Pin("unknown", "its pin cannot be read")

    def pin(self, name: str, pin: Pin) -> Shown:
        """Keep it, whatever the budget says. Raises ShelfError, and OSError where the disk refuses."""
        self.path(name)
        self._put(self.folder / (name + PIN), lambda path: path.write_bytes(msgspec.json.encode(pin)))
        return self.show(name)

    def unpin(self, name: str) -> Shown:
        """Let it go when its turn comes. Raises ShelfError, and OSError where the disk refuses."""
        path = self.path(name)
        path.with_name(name + PIN).unlink(missing_ok=True)
        return self.show(name)

    # The recorder's side

    def clean(self) -> int:
        """Remove what a process that was killed has left half written, and pins of what is gone; how many files."""
        found = [one for one in os.listdir(self.folder) if _HALF_WRITTEN.fullmatch(one) or self._stray(one)]
        for name in found:
            (self.folder / name).unlink(missing_ok=True)
        return len(found)

    def make_room(self, nbytes: int, budget: int) -> list[str]:
        """Remove the oldest that nobody has pinned until so many bytes more are within *budget*.

        Returns which are gone. Raises ShelfError, having removed none, where that would not be enough.
        """
        files = self.files()
        over = sum(one.nbytes for one in files) + nbytes - budget
        loose = [one for one in files if not one.pinned]
        if over > sum(one.nbytes for one in loose):
            pinned = sum(one.nbytes for one in files if one.pinned)
            more = f", of which {pinned / 2**20:.1f} MiB are pinned" if pinned else ""
            raise ShelfError(f"{nbytes / 2**20:.1f} MiB are more than the budget of {budget / 2**20:.1f} MiB{more}")
        return self._remove(loose, over)

    def give_way(self, nbytes: int) -> list[str]:
        """Remove the oldest that nobody has pinned, so many bytes of them: the disk is full, whatever the budget."""
        return self._remove([one for one in self.files() if not one.pinned], nbytes)

    def put(
        self, name: str, write: Callable[[Path], object], admit: Callable[[int], object] = lambda nbytes: None
    ) -> None:
        """Have *write* fill a file, ask *admit* whether so many bytes may stay, and give it its *name*.

        Whatever either raises, nothing is left of it.
        """
        self._put(self.folder / name, write, admit)

    def _put(
        self, path: Path, write: Callable[[Path], object], admit: Callable[[int], object] = lambda nbytes: None
    ) -> None:
        scratch = path.with_name(f".{path.name}{PART}")
        try:
            write(scratch)
            sync(scratch)
            admit(scratch.stat().st_size)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        sync(path.parent)

    def _remove(self, files: Iterable[File], nbytes: int) -> list[str]:
        gone = []
        for one in files:
            if nbytes <= 0:
                break
            if (self.folder / (one.name + PIN)).exists():  # since we looked
                continue
            (self.folder / one.name).unlink(missing_ok=True)
            gone.append(one.name)
            nbytes -= one.nbytes
        return gone

    def _stray(self, name: str) -> bool:
        return name.endswith(SUFFIX + PIN) and not (self.folder / name.removesuffix(PIN)).exists()


def _shown(path: Path, nbytes: int) -> Shown:
    found = attributes_of(path)
    named = {name: found[name] for name in Shown.__struct_fields__ if name in found}
    if "layer" in named and named["layer"] < 0:
        named["layer"] = None
    return Shown(path.name, str(path.absolute()), nbytes, None, t_ns=found.get("written_t_ns"), **named)


def sync(path: Path) -> None:
    """Have the file or folder at *path* on disk as it is now. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
